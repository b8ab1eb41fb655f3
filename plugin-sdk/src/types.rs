//! The data a policy sees and answers with. The fields are those of the WIT
//! package in `wit/`, which says what each means.

mod describe;
mod facts;
mod overflow;
mod placement;
mod replication;
mod routing;
mod state;

pub use describe::{ConfigError, Description};
pub use facts::{BackendFacts, Cost, Facts, Label, Limits, SiteFacts, label};
pub use overflow::{Eviction, Excluded, Obstacle, Overflow, Verdict};
pub use placement::{Operation, Placement, Request};
pub use replication::{Addition, CopyState, Object, ObjectCopy, Occasion, Replication};
pub use routing::{Read, Route};
pub use state::{BackendState, Health, MonthUsage};
