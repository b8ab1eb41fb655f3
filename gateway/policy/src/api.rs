//! What a caller passes in and gets back. Independent of the WIT version that
//! a component was built against; `wire` converts.

mod facts;
mod origin;
mod overflow;
mod placement;
mod replication;
mod request;
mod routing;
mod state;

use serde::{Deserialize, Serialize};

pub use facts::{BackendFacts, Cost, SiteFacts, StaticFacts, UsageLimits};
pub use origin::{DecidedBy, NativeCause, Origin};
pub use overflow::{Eviction, Excluded, Obstacle, OverflowDecision, OverflowInput, Verdict};
pub use placement::{PlacementDecision, PlacementInput};
pub use replication::{
    Addition, CopyFacts, CopyState, ObjectFacts, Occasion, ReplicationDecision, ReplicationInput,
};
pub use request::{Operation, RequestFacts};
pub use routing::{ReadFacts, RoutingDecision, RoutingInput};
pub use state::{BackendState, Health, MonthUsage};

/// The questions that a policy may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionKind {
    /// Where a new version goes.
    Placement,
    /// What happens when the preferred backends are full.
    Overflow,
    /// Which copies an object should have now.
    Replication,
    /// In which order copies are tried.
    ReadRouting,
}

impl DecisionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Placement,
        Self::Overflow,
        Self::Replication,
        Self::ReadRouting,
    ];

    /// Its interface's name in the WIT package.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placement => "placement",
            Self::Overflow => "overflow",
            Self::Replication => "replication",
            Self::ReadRouting => "read-routing",
        }
    }
}
