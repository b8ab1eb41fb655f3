//! One writer at a time per part, and one task that finishes an upload.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use weir_types::id::{PartNumber, UploadId};

use crate::gateway::Gateway;

/// The right to write one part of one upload, or (`None`) to finish it; ends when dropped.
pub(super) struct Turn {
    gateway: Arc<Gateway>,
    what: (UploadId, Option<PartNumber>),
    held: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Waits until nobody else does the same. Cancelling leaves the queue.
    pub(super) async fn wait(
        gateway: &Arc<Gateway>,
        upload: UploadId,
        part: Option<PartNumber>,
    ) -> Self {
        let what = (upload, part);
        let mut turn = Self {
            gateway: Arc::clone(gateway),
            what,
            held: None,
        };
        let lock = Arc::clone(gateway.upload_locks.entry(what).or_default().value());
        turn.held = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        // The map's own reference is the last one: nobody waits.
        self.gateway
            .upload_locks
            .remove_if(&self.what, |_, lock| Arc::strong_count(lock) == 1);
    }
}
