//! Whether a backend has room for further bytes.
//!
//! The ledger in the index is the truth: copies and intents, changed in the same
//! transactions. What a request is about to write but has not yet noted in the index stands
//! here, so that two requests cannot both be promised the last bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_types::record::LedgerRecord;

/// The room of one backend.
#[derive(Debug)]
pub struct Room {
    bytes_max: Option<u64>,
    pending: Arc<AtomicU64>,
}

/// Bytes claimed by a request; given back on drop, which is right after the index has noted
/// them (the ledger counts them then) or after the request has failed.
#[derive(Debug)]
pub struct PendingBytes {
    bytes: u64,
    before: u64,
    bytes_max: Option<u64>,
    pending: Arc<AtomicU64>,
}

impl Room {
    /// Room for at most `bytes_max` bytes; `None` is no limit.
    pub fn new(bytes_max: Option<u64>) -> Self {
        Self {
            bytes_max,
            pending: Arc::default(),
        }
    }

    /// The limit, if there is one.
    pub fn bytes_max(&self) -> Option<u64> {
        self.bytes_max
    }

    /// Whether `bytes` seem to fit beside what a ledger notes and others claim. Promises
    /// nothing: only a claim does.
    pub fn fits(&self, noted_bytes: u64, bytes: u64) -> bool {
        let pending = self.pending.load(Ordering::SeqCst);
        let wanted = noted_bytes.saturating_add(pending).saturating_add(bytes);
        self.bytes_max.is_none_or(|max| wanted <= max)
    }

    /// Puts a claim on `bytes`. Whether they fit is asked *after* that, with a ledger read
    /// later: a rival's bytes are then either in the ledger already or among the claims.
    pub fn claim(&self, bytes: u64) -> PendingBytes {
        let before = self.pending.fetch_add(bytes, Ordering::SeqCst);
        PendingBytes {
            bytes,
            before,
            bytes_max: self.bytes_max,
            pending: Arc::clone(&self.pending),
        }
    }
}

impl PendingBytes {
    /// Whether there is a limit at all.
    pub fn is_limited(&self) -> bool {
        self.bytes_max.is_some()
    }

    /// Whether the claim fits beside what `ledger`, read after the claim was made, accounts for.
    pub fn fits(&self, ledger: &LedgerRecord) -> bool {
        let noted = ledger.used_bytes.saturating_add(ledger.reserved_bytes);
        let wanted = noted.saturating_add(self.before).saturating_add(self.bytes);
        self.bytes_max.is_none_or(|max| wanted <= max)
    }
}

impl Drop for PendingBytes {
    fn drop(&mut self) {
        self.pending.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
