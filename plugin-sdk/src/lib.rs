//! Write a Weir policy in Rust.
//!
//! A policy is a type that implements [`PlacementPolicy`]; the macro
//! [`placement_policy!`] turns it into a component that the gateway loads. The
//! types here are plain data, so a policy is unit-tested with `cargo test`,
//! without Wasm; [`testing`] has the helpers.
//!
//! ```
//! use weir_plugin_sdk::{
//!     BackendState, ConfigError, Decision, Description, Facts, PlacementPolicy, Request,
//! };
//!
//! /// Small objects to the first backend, everything else to the others.
//! struct SmallFirst {
//!     backends: u32,
//! }
//!
//! impl PlacementPolicy for SmallFirst {
//!     fn describe() -> Description {
//!         Description::new("small-first", "0.1.0", "Small objects on the first backend")
//!     }
//!
//!     fn configure(_settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>> {
//!         Ok(Self { backends: facts.backends.len() as u32 })
//!     }
//!
//!     fn place(&self, request: &Request, _backends: &[BackendState]) -> Decision {
//!         let all = 0..self.backends;
//!         match request.size_bytes {
//!             Some(0..=65_536) => Decision::new(all, request).because("small"),
//!             _ => Decision::new(all.rev(), request).because("large or unknown"),
//!         }
//!     }
//! }
//!
//! weir_plugin_sdk::placement_policy!(SmallFirst);
//!
//! use weir_plugin_sdk::testing;
//! let policy = SmallFirst::configure("{}", testing::facts(&["a", "b"])).unwrap();
//! let mut request = testing::request("bucket", "key");
//! request.size_bytes = Some(10);
//! assert_eq!(policy.place(&request, &testing::states(2)).candidates, [0, 1]);
//! ```
//!
//! A policy is pure: the same arguments give the same decision. It has no
//! clock, randomness, network or files; time and entropy come with the
//! [`Request`]. `place` takes `&self`, so that nothing is carried from one
//! call to the next: the host repeats calls on fresh instances and counts the
//! ones that differ.

// The generated export functions need `unsafe`, and exist only in Wasm builds.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
pub mod host;
pub mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod types;

pub use types::{
    BackendFacts, BackendState, ConfigError, Cost, Decision, Description, Facts, Health, Label,
    Operation, Request, SiteFacts,
};

/// Decides where new versions go.
pub trait PlacementPolicy: Sized + 'static {
    /// Who this is. Needs no settings.
    fn describe() -> Description;

    /// Builds the policy from its settings, a JSON document, and the static
    /// facts. Called once for an instance. Return every mistake, not only the
    /// first: [`settings::Settings`] collects them.
    fn configure(settings: &str, facts: Facts) -> Result<Self, Vec<ConfigError>>;

    /// Decides one request. `backends` has one entry for each of
    /// `facts.backends`, in that order.
    fn place(&self, request: &Request, backends: &[BackendState]) -> Decision;
}

/// Exports a [`PlacementPolicy`] as a component of the world
/// `weir:policy/placement-policy`. Once in a crate; natively it only checks
/// that the type implements the trait.
#[macro_export]
macro_rules! placement_policy {
    ($policy:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn implements<P: $crate::PlacementPolicy>() {}
            implements::<$policy>();
        };

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unreachable_pub)]
        mod weir_policy_component {
            use super::*;
            use $crate::glue;

            ::std::thread_local! {
                static POLICY: ::std::cell::OnceCell<$policy> =
                    const { ::std::cell::OnceCell::new() };
            }

            struct Component;

            impl glue::lifecycle::Guest for Component {
                fn describe() -> glue::lifecycle::Description {
                    glue::describe::<$policy>()
                }

                fn configure(
                    settings: ::std::string::String,
                    facts: glue::types::Facts,
                ) -> ::std::result::Result<(), ::std::vec::Vec<glue::lifecycle::ConfigError>>
                {
                    let policy = glue::configure::<$policy>(&settings, facts)?;
                    POLICY.with(|cell| cell.set(policy)).map_err(|_| glue::configured_twice())
                }
            }

            impl glue::placement::Guest for Component {
                fn place(
                    request: glue::types::Request,
                    backends: ::std::vec::Vec<glue::types::BackendState>,
                ) -> glue::placement::Decision {
                    POLICY.with(|cell| glue::place(cell.get(), request, backends))
                }
            }

            glue::bindings::export!(Component with_types_in glue::bindings);
        }
    };
}
