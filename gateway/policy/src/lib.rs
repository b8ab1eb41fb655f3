//! The host of Weir's policies: sandboxed components that propose where
//! objects go, and what happens to them after.
//!
//! [`PolicyHost`] holds one [binding](PolicyHost::bind) per name. A component
//! is [loaded](PolicyHost::load) for a binding (compiled, checked, configured:
//! milliseconds, off the request path). It can decide beside the active one as a
//! [shadow](PolicyHost::shadow), then for a share of the keys as a
//! [canary](PolicyHost::canary), and is [activated](PolicyHost::activate)
//! by swapping one pointer. [`PolicyHost::place`], [`overflow`](PolicyHost::overflow),
//! [`replicate`](PolicyHost::replicate) and [`route`](PolicyHost::route) are synchronous, take
//! about a microsecond, and answer whatever a component does: on a trap, a limit or
//! a bad answer the previous revision decides, then a native default.
//!
//! A policy proposes; it never acts. This crate checks the shape of an answer
//! (known backends, no duplicates, numbers in range). Whether a backend is
//! writable, within quota and allowed is for the caller to check on the
//! candidates, whoever proposed them.

pub mod api;
mod binding;
mod bindings;
pub mod builtin;
mod cache;
mod check;
mod compiler;
mod decision;
mod engine;
mod error;
pub mod examine;
mod guest;
mod host;
mod instance;
mod limits;
mod metrics;
pub mod native;
mod quarantine;
mod recording;
mod revision;
mod shadow;
mod share;
pub mod signature;
mod tap;
mod text;
mod wire;

pub use api::{
    Addition, Answer, BackendFacts, BackendState, CopyFacts, CopyState, Cost, DecidedBy,
    DecisionKind, Decisions, Eviction, Excluded, Health, Input, MonthUsage, NativeCause,
    ObjectFacts, Obstacle, Occasion, Operation, Origin, OverflowAnswer, OverflowDecision,
    OverflowInput, OwnedInput, OwnedObject, OwnedOverflow, OwnedPlacement, OwnedRead,
    OwnedReplication, OwnedRequest, OwnedRouting, PlacementAnswer, PlacementDecision,
    PlacementInput, ReadFacts, ReplicationAnswer, ReplicationDecision, ReplicationInput,
    RequestFacts, RoutingAnswer, RoutingDecision, RoutingInput, SiteFacts, StaticFacts,
    UsageLimits, Verdict,
};
pub use binding::{BindingSettings, BindingStatus, OnFault, Share};
pub use cache::CacheError;
pub use error::{ActivateError, ConfigError, Fault, FaultKind, LoadError, Refused, StartError};
pub use examine::examine;
pub use host::{HostOptions, PolicyHost};
pub use limits::{Allocation, Limits};
pub use metrics::{BindingMetrics, DecisionMetrics, MetricsSnapshot, ShadowMetrics};
pub use revision::{Description, Isolation, RevisionId};
pub use shadow::{Difference, Differences};
pub use signature::{PublicKey, SignatureError, SigningKey};
pub use tap::Tap;
