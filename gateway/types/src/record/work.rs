//! Intents, the outbox and the ledger.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::codec::{DecodeError, Record};
use crate::id::{BackendId, BackendKey, BlobId, IntentId, OutboxId, UploadId};

/// A durable note that bytes may come to lie under one backend key. It precedes the first
/// byte and goes in the transaction that makes the bytes a copy, or once they are known to
/// be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id.
    pub intent: IntentId,
    /// Where the bytes go.
    pub backend: BackendId,
    /// Under which key.
    pub key: BackendKey,
    /// For which blob.
    pub blob: BlobId,
    /// The attempt number in the key.
    pub attempt: u32,
    /// What for.
    pub purpose: IntentPurpose,
    /// When it was written.
    pub created_at: Timestamp,
    /// The backend's own upload id, once known.
    pub backend_upload: Option<String>,
    /// Bytes reserved on the backend until this intent goes.
    pub reserved_bytes: u64,
    /// How far it is.
    pub state: IntentState,
}

impl Record for Intent {
    const NAME: &'static str = "intent";
    const VERSION: u8 = 1;
}

/// What an intent's bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IntentPurpose {
    /// The first copy of an object that is being put or copied.
    Put,
    /// A further copy of a committed blob.
    Replica,
    /// A client's multipart upload. Lives as long as the upload.
    Upload(UploadId),
}

/// Progress of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IntentState {
    /// The writer may still be at work.
    Open,
    /// The write is given up; no commit may use this intent any more. Its bytes are deleted
    /// at once and again at `last_look_at`, after the longest time a late write can take;
    /// then the intent goes.
    Condemned {
        /// When the bytes are deleted for the last time.
        last_look_at: Timestamp,
    },
}

/// A piece of work that a commit left behind. Delivered at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its number. Assigned by the index.
    pub id: OutboxId,
    /// What is to be done.
    pub work: Work,
    /// When it was put here.
    pub created_at: Timestamp,
    /// Not to be started earlier.
    pub not_before: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it became due, or will be: its age counts from here. Failures do not move it; a
    /// wait that belongs to the work does ([`Work::may_wait`]).
    pub due_since: Timestamp,
}

impl Record for OutboxEntry {
    const NAME: &'static str = "outbox";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(Self::damaged(format!("no format {version} ever existed")));
        }
        let first = postcard::from_bytes::<FirstOutboxEntry>(body).map_err(Self::damaged)?;
        let due_since = match first.attempts {
            0 => first.not_before,
            _ => first.created_at,
        };
        Ok(Self {
            id: first.id,
            work: first.work,
            created_at: first.created_at,
            not_before: first.not_before,
            attempts: first.attempts,
            last_error: first.last_error,
            due_since,
        })
    }
}

/// Version 1 of [`OutboxEntry`].
#[derive(Serialize, Deserialize)]
struct FirstOutboxEntry {
    id: OutboxId,
    work: Work,
    created_at: Timestamp,
    not_before: Timestamp,
    attempts: u32,
    last_error: Option<String>,
}

/// Kinds of work. Each is idempotent: done twice, its effect is that of once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Work {
    /// Bring the blob to the copies it wants.
    Replicate {
        /// The blob.
        blob: BlobId,
        /// Its length, so that small work need not wait behind large.
        bytes: u64,
    },
    /// Remove every copy of a dead blob, then the blob's row.
    Clean {
        /// The blob.
        blob: BlobId,
    },
    /// Delete the bytes of a condemned intent (and its backend upload).
    Discard {
        /// The intent.
        intent: IntentId,
    },
    /// Remove an aborting upload: its backend uploads, parts and intents.
    Abort {
        /// The upload.
        upload: UploadId,
    },
    /// Finish a Complete that was accepted.
    Complete {
        /// The upload.
        upload: UploadId,
    },
    /// Replace, then remove, a copy that looked wrong.
    Repair {
        /// The blob.
        blob: BlobId,
    },
}

impl Work {
    /// Whether to wait is a part of it: for readers to end, or for a write that may still
    /// land. What else waits is late, whatever it waits for.
    pub const fn may_wait(&self) -> bool {
        matches!(self, Self::Clean { .. } | Self::Discard { .. })
    }
}

/// What lies on one backend, as the index accounts for it.
///
/// Law: `used_bytes` and `used_objects` are the sums over all copies on the backend;
/// `reserved_bytes` is the sum over all intents for it. Kept in the same transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// Bytes of copies.
    pub used_bytes: u64,
    /// Number of copies.
    pub used_objects: u64,
    /// Bytes that intents reserve.
    pub reserved_bytes: u64,
}

impl Record for LedgerRecord {
    const NAME: &'static str = "ledger";
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_first_version_are_read() {
        let at = Timestamp::from_millis;
        for (attempts, due_since) in [(0, at(50)), (2, at(10))] {
            let first = FirstOutboxEntry {
                id: OutboxId(8),
                work: Work::Repair { blob: BlobId(7) },
                created_at: at(10),
                not_before: at(50),
                attempts,
                last_error: None,
            };
            let bytes = postcard::to_extend(&first, vec![1]).expect("it can be encoded");
            let want = OutboxEntry {
                id: first.id,
                work: first.work,
                created_at: first.created_at,
                not_before: first.not_before,
                attempts,
                last_error: None,
                due_since,
            };
            assert_eq!(OutboxEntry::decode(&bytes).as_ref(), Ok(&want));
            assert_eq!(OutboxEntry::decode(&want.encode()), Ok(want));
        }
    }
}
