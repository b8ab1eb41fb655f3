//! Write a Weir policy in Rust.
//!
//! A policy is a type that implements [`Policy`] and one trait for each
//! decision that it makes:
//!
//! | trait | decides | in the macro |
//! |---|---|---|
//! | [`PlacementPolicy`] | where a new version goes | `placement` |
//! | [`OverflowPolicy`] | what happens when that is full | `overflow` |
//! | [`ReplicationPolicy`] | which copies an object should have now | `replication` |
//! | [`ReadRoutingPolicy`] | which copy serves a read | `read_routing` |
//!
//! [`export_policy!`] makes a component of it, which the gateway loads. The
//! types here are plain data, so a policy is unit-tested with `cargo test`,
//! without Wasm; [`testing`] has the helpers.
//!
//! ```
//! use weir_plugin_sdk::settings::Settings;
//! use weir_plugin_sdk::{
//!     BackendState, ConfigError, Description, Facts, Placement, PlacementPolicy, Policy, Request,
//! };
//!
//! /// Small objects to the first backend, everything else to the others.
//! struct SmallFirst {
//!     small_bytes_max: u64,
//!     backends: u32,
//! }
//!
//! impl Policy for SmallFirst {
//!     fn describe() -> Description {
//!         Description::new("small-first", "0.1.0", "Small objects on the first backend")
//!     }
//!
//!     fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
//!         let mut settings = Settings::parse(settings);
//!         let small_bytes_max = settings.integer("small_bytes_max", 0..=u64::MAX, 65_536);
//!         settings.finish()?;
//!         Ok(Self { small_bytes_max, backends: facts.backends.len() as u32 })
//!     }
//! }
//!
//! impl PlacementPolicy for SmallFirst {
//!     fn place(&self, request: &Request, _backends: &[BackendState]) -> Placement {
//!         let all = 0..self.backends;
//!         match request.size_bytes {
//!             Some(size) if size <= self.small_bytes_max => {
//!                 Placement::new(all, request).because("small")
//!             }
//!             _ => Placement::new(all.rev(), request).because("large or unknown"),
//!         }
//!     }
//! }
//!
//! weir_plugin_sdk::export_policy!(SmallFirst: placement);
//!
//! use weir_plugin_sdk::testing;
//! let policy = SmallFirst::configure("{}", testing::facts(&["a", "b"])).unwrap();
//! let mut request = testing::request("bucket", "key");
//! request.size_bytes = Some(10);
//! assert_eq!(policy.place(&request, &testing::states(2)).candidates, [0, 1]);
//! ```
//!
//! A policy is pure: the same arguments give the same decision. It has no
//! clock, randomness, network or files; time and entropy come with each
//! question. Decisions take `&self`, so that nothing is carried from one call
//! to the next: the host repeats calls on fresh instances and counts the ones
//! that differ.

// The generated export functions need `unsafe`, and exist only in Wasm builds.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
pub mod host;
pub mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod types;

pub use types::{
    Addition, BackendFacts, BackendState, ConfigError, CopyState, Cost, Description, Eviction,
    Excluded, Facts, Health, Label, Limits, MonthUsage, Object, ObjectCopy, Obstacle, Occasion,
    Operation, Overflow, Placement, Read, Replication, Request, Route, SiteFacts, Verdict, label,
};

/// What every policy is.
pub trait Policy: Sized + 'static {
    /// Who this is. Needs no settings.
    fn describe() -> Description;

    /// Builds the policy from its settings, a JSON document (`{}` when the
    /// operator gave none), and the static facts. Called once for an
    /// instance. Return every mistake, not only the first:
    /// [`settings::Settings`] collects them.
    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>>;
}

/// Decides where new versions go.
pub trait PlacementPolicy: Policy {
    /// Decides one request. `backends` has one entry for each of
    /// [`Facts::backends`], in that order. An answer without candidates, with
    /// an unknown index or with one twice counts as a fault.
    fn place(&self, request: &Request, backends: &[BackendState]) -> Placement;
}

/// Decides what happens when the backends that placement prefers are full or
/// over a usage limit.
///
/// ```
/// # use weir_plugin_sdk::*;
/// # struct Spill;
/// # impl Policy for Spill {
/// #     fn describe() -> Description { Description::new("spill", "0.1.0", "") }
/// #     fn configure(_: &str, _: Facts) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
/// # }
/// impl OverflowPolicy for Spill {
///     fn overflow(&self, _: &Request, excluded: &[Excluded], backends: &[BackendState]) -> Overflow {
///         let open = |index: &u32| {
///             backends[*index as usize].usable() && excluded.iter().all(|e| e.backend != *index)
///         };
///         Overflow::spill((0..backends.len() as u32).filter(open)).because("wherever there is room")
///     }
/// }
/// # use weir_plugin_sdk::testing;
/// # let answer = Spill.overflow(&testing::request("b", "k"), &[testing::full(0)], &testing::states(2));
/// # assert_eq!(answer.verdict, Verdict::Spill(vec![1]));
/// ```
pub trait OverflowPolicy: Policy {
    /// Decides for a write that may not go to any of `excluded`, which is not
    /// empty.
    fn overflow(
        &self,
        request: &Request,
        excluded: &[Excluded],
        backends: &[BackendState],
    ) -> Overflow;
}

/// Decides which copies an object should have.
///
/// ```
/// # use weir_plugin_sdk::*;
/// # struct Two;
/// # impl Policy for Two {
/// #     fn describe() -> Description { Description::new("two", "0.1.0", "") }
/// #     fn configure(_: &str, _: Facts) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
/// # }
/// impl ReplicationPolicy for Two {
///     fn replicate(&self, object: &Object, _: &[BackendState]) -> Replication {
///         Replication::towards(&[0, 1], object).because("on the first two")
///     }
/// }
/// # use weir_plugin_sdk::testing;
/// let answer = Two.replicate(&testing::object("bucket", "key", &[1, 2]), &testing::states(3));
/// assert_eq!(answer.add[0].backend, 0);
/// assert_eq!(answer.drop, [2]);
/// ```
pub trait ReplicationPolicy: Policy {
    /// Decides for one object: after its commit, when a copy needs repair, and
    /// on reviews.
    fn replicate(&self, object: &Object, backends: &[BackendState]) -> Replication;
}

/// Decides which copy serves a read.
///
/// ```
/// # use weir_plugin_sdk::*;
/// # struct Fastest;
/// # impl Policy for Fastest {
/// #     fn describe() -> Description { Description::new("fastest", "0.1.0", "") }
/// #     fn configure(_: &str, _: Facts) -> Result<Self, Vec<ConfigError>> { Ok(Self) }
/// # }
/// impl ReadRoutingPolicy for Fastest {
///     fn route(&self, read: &Read, backends: &[BackendState]) -> Route {
///         let mut order = read.copies.clone();
///         order.sort_by_key(|index| backends[*index as usize].latency_us);
///         Route::new(order)
///     }
/// }
/// # use weir_plugin_sdk::testing;
/// let mut states = testing::states(2);
/// states[0].latency_us = 9_000;
/// let route = Fastest.route(&testing::read("bucket", "key", &[0, 1]), &states);
/// assert_eq!(route.order, [1, 0]);
/// ```
pub trait ReadRoutingPolicy: Policy {
    /// Decides for one read of an object with several copies. On the path of
    /// every such read.
    fn route(&self, read: &Read, backends: &[BackendState]) -> Route;
}
