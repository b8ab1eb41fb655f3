//! Leases: while a blob is being read, the cleaner leaves its bytes alone.

use std::sync::Arc;

use dashmap::mapref::entry::Entry;
use weir_types::id::BlobId;

use crate::gateway::Gateway;

/// One reader's lease; ends when dropped.
pub(super) struct Lease {
    gateway: Arc<Gateway>,
    blob: BlobId,
}

impl Lease {
    pub(super) fn take(gateway: &Arc<Gateway>, blob: BlobId) -> Self {
        *gateway.leases.entry(blob).or_insert(0) += 1;
        Self {
            gateway: Arc::clone(gateway),
            blob,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Entry::Occupied(mut readers) = self.gateway.leases.entry(self.blob) {
            *readers.get_mut() -= 1;
            if *readers.get() == 0 {
                readers.remove();
            }
        }
    }
}
