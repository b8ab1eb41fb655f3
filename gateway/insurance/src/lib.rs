//! Index insurance: the index is never the only copy of itself.
//!
//! Snapshots of the index, and its log of changes as it grows, are shipped to backends as
//! objects of their own; from what lies there an index is made again. What a total loss of the
//! index costs is what was not shipped yet: about a second.
//!
//! # What lies on a backend
//! `w1-index/<site>/<epoch>/<stream>/<file>`, see [`name`]: parts of snapshots, a manifest for
//! each whole snapshot, written last, and segments of the log. No file is ever written twice.
//! [`seal`] describes the form of a file, encrypted or not; [`content`] what is inside.
//!
//! # What holds
//! - Each backend is shipped to for itself: one that is down or slow holds up no other, and
//!   nobody waits for any of them.
//! - The log is a chain ([`weir_index::log`]). What is missing, damaged, doubled or of an index
//!   that went another way does not fit into it and is noticed; it is never applied.
//! - What is old goes only when newer is whole on two backends (or on the only one).
//! - Nothing of another epoch is touched, and nothing but what is named so.

pub mod content;
mod inventory;
pub mod name;
pub mod restore;
pub mod seal;
mod ship;
mod status;

use std::sync::Arc;

use weir_types::backend::Backend;
use weir_types::id::BackendId;

pub use inventory::Inventory;
pub use ship::{Parts, Settings, Shipping, Watch, start};
pub use status::{SnapshotStatus, TargetStatus};

/// A backend that is shipped to or read from.
#[derive(Clone)]
pub struct Target {
    /// Its id.
    pub id: BackendId,
    /// How it is reached.
    pub backend: Arc<dyn Backend>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod testing;
