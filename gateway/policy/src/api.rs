//! What a caller passes in and gets back. Independent of the WIT version that
//! a component was built against; `wire` converts.

mod facts;
mod input;
mod kind;
mod origin;
mod overflow;
mod owned;
mod placement;
mod replication;
mod request;
mod routing;
mod state;

pub use facts::{BackendFacts, Cost, SiteFacts, StaticFacts, UsageLimits};
pub(crate) use input::Subject;
pub use input::{Answer, Input};
pub use kind::{DecisionKind, Decisions};
pub use origin::{DecidedBy, NativeCause, Origin};
pub use overflow::{
    Eviction, Excluded, Obstacle, OverflowAnswer, OverflowDecision, OverflowInput, Verdict,
};
pub use owned::{
    OwnedInput, OwnedObject, OwnedOverflow, OwnedPlacement, OwnedRead, OwnedReplication,
    OwnedRequest, OwnedRouting,
};
pub use placement::{PlacementAnswer, PlacementDecision, PlacementInput};
pub use replication::{
    Addition, CopyFacts, CopyState, ObjectFacts, Occasion, ReplicationAnswer, ReplicationDecision,
    ReplicationInput,
};
pub use request::{Operation, RequestFacts};
pub use routing::{ReadFacts, RoutingAnswer, RoutingDecision, RoutingInput};
pub use state::{BackendState, Health, MonthUsage};
