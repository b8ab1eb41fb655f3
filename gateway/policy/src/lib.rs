//! The host of Weir's policies: sandboxed components that propose where
//! objects go.
//!
//! [`PolicyHost`] holds one [binding](PolicyHost::bind) per name. A component
//! is [loaded](PolicyHost::load) for a binding (compiled, checked, configured:
//! milliseconds, off the request path), then [activated](PolicyHost::activate)
//! by swapping one pointer. [`PolicyHost::decide`] is synchronous, takes about
//! a microsecond, and answers whatever a component does: on a trap, a limit or
//! a bad answer the previous revision decides, then the [`native`] default.
//!
//! A policy proposes; it never acts. This crate checks the shape of an answer
//! (known backends, no duplicates, numbers in range). Whether a backend is
//! writable, within quota and allowed is for the caller to check on the
//! candidates, whoever proposed them.

mod answer;
pub mod api;
mod bindings;
pub mod builtin;
mod check;
mod compiler;
mod engine;
mod error;
mod guest;
mod host;
mod instance;
mod limits;
mod metrics;
pub mod native;
mod quarantine;
mod recording;
mod revision;
mod wire;

pub use api::{
    Addition, BackendFacts, BackendState, CopyFacts, CopyState, Cost, DecidedBy, DecisionKind,
    Eviction, Excluded, Health, MonthUsage, NativeCause, ObjectFacts, Obstacle, Occasion,
    Operation, Origin, OverflowDecision, OverflowInput, PlacementDecision, PlacementInput,
    ReadFacts, ReplicationDecision, ReplicationInput, RequestFacts, RoutingDecision, RoutingInput,
    SiteFacts, StaticFacts, UsageLimits, Verdict,
};
pub use error::{ActivateError, ConfigError, Fault, FaultKind, LoadError, Refused};
pub use host::{BindingStatus, OnFault, PolicyHost};
pub use limits::{Allocation, Limits};
pub use metrics::{BindingMetrics, MetricsSnapshot};
pub use revision::{Description, RevisionId};
