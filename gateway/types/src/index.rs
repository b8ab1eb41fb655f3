//! The seam to the durable record of everything: buckets, versions, blobs, copies, work.
//!
//! Reads see one consistent snapshot each. Every change is a [`Mutation`]: plain data that
//! says what must still hold and what then changes. It is applied in one serial order, wholly
//! or not at all, and is on disk (group commit, fsync) when [`Index::apply`] answers.
//! Because changes are data, they can be recorded, shipped and replayed.

mod mutation;
mod query;

use async_trait::async_trait;
use tokio::sync::watch;

pub use mutation::{Applied, CommitContent, CommitVersion, Mutation, Refusal, WriteConditions};
pub use query::{
    ClockNote, DuePosition, IndexIdentity, ListEntry, ListPage, ListQuery, Lookup, OutboxStats,
    PartsPage, UploadsPage, UploadsQuery,
};

use crate::clock::Timestamp;
use crate::id::{
    BackendId, BlobId, BucketName, Incarnation, IntentId, ObjectKey, OutboxId, PartNumber, UploadId,
};
use crate::record::{
    BlobRecord, BucketRecord, CopyRecord, Intent, LedgerRecord, OutboxEntry, ScrubRecord,
    Tombstone, UploadRecord, VersionRecord,
};

/// The index of one site. Exactly one process has it open.
///
/// Dropping the future of [`Index::apply`] does not recall the mutation: once handed over,
/// it is applied or refused as a whole.
#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// Which index this is: backends remember it in their owner marker.
    fn identity(&self) -> IndexIdentity;

    /// Applies one mutation durably.
    async fn apply(&self, mutation: Mutation) -> Result<Applied, IndexError>;

    /// Rises whenever a commit put work into the outbox.
    fn outbox_signal(&self) -> watch::Receiver<u64>;

    /// `true` while the disk under the index is nearly full: mutations that take space are
    /// refused with [`IndexError::Full`], those that free it go on.
    fn is_read_only(&self) -> bool;

    /// One bucket.
    async fn bucket(&self, name: &BucketName) -> Result<Option<BucketRecord>, IndexError>;

    /// All buckets in order of their names.
    async fn buckets(&self) -> Result<Vec<BucketRecord>, IndexError>;

    /// What a read or write of one key needs, from one snapshot.
    async fn lookup(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Lookup, IndexError>;

    /// Versions of a key, newest first, the current one included.
    async fn versions(
        &self,
        bucket: Incarnation,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<VersionRecord>, IndexError>;

    /// The tombstone of a key, while it is remembered.
    async fn tombstone(
        &self,
        bucket: Incarnation,
        key: &ObjectKey,
    ) -> Result<Option<Tombstone>, IndexError>;

    /// A page of current versions, with common prefixes folded: the keys beneath a folded
    /// prefix are skipped, not read.
    async fn list(&self, query: ListQuery) -> Result<ListPage, IndexError>;

    /// A blob.
    async fn blob(&self, blob: BlobId) -> Result<Option<BlobRecord>, IndexError>;

    /// CRC32Cs of `count` blocks of one segment from block `first` on; fewer where the
    /// segment ends.
    async fn crcs(
        &self,
        blob: BlobId,
        segment: PartNumber,
        first: u64,
        count: usize,
    ) -> Result<Vec<u32>, IndexError>;

    /// Blobs after `after` in order of their ids: for verification.
    async fn blobs(
        &self,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<Vec<BlobRecord>, IndexError>;

    /// Copies on one backend after `after`, in order of blob and attempt.
    async fn copies_on(
        &self,
        backend: &BackendId,
        after: Option<(BlobId, u32)>,
        limit: usize,
    ) -> Result<Vec<(BlobId, CopyRecord)>, IndexError>;

    /// One intent.
    async fn intent(&self, intent: IntentId) -> Result<Option<Intent>, IndexError>;

    /// Intents after `after`.
    async fn intents(
        &self,
        after: Option<IntentId>,
        limit: usize,
    ) -> Result<Vec<Intent>, IndexError>;

    /// Outbox entries due at `now`, oldest `not_before` first.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, IndexError> {
        self.due_from(DuePosition::START, now, limit).await
    }

    /// Outbox entries due at `now` that stand at `from` or after it, oldest `not_before`
    /// first: a reader that goes on from [`DuePosition::next`] of the last one sees every
    /// entry once.
    async fn due_from(
        &self,
        from: DuePosition,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, IndexError>;

    /// When the next entry that is not yet due will be.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, IndexError>;

    /// Depth and age of the outbox.
    async fn outbox_stats(&self) -> Result<OutboxStats, IndexError>;

    /// One upload, in any state.
    async fn upload(&self, upload: UploadId) -> Result<Option<UploadRecord>, IndexError>;

    /// Open uploads of a bucket in order of key and upload id.
    async fn uploads(&self, query: UploadsQuery) -> Result<UploadsPage, IndexError>;

    /// Uploads whose Complete was accepted and is not committed yet: for a start after a crash.
    async fn completing_uploads(&self, limit: usize) -> Result<Vec<UploadId>, IndexError>;

    /// Open uploads of all buckets that were started before `before`: for the reaper.
    async fn stale_uploads(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<UploadId>, IndexError>;

    /// Parts of an upload after part `after` (0: from the first), in order of number.
    async fn parts(
        &self,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, IndexError>;

    /// The bucket's life, the key and the version that a finished upload became, while that is
    /// remembered: answers a client's repeated Complete.
    async fn completed(
        &self,
        upload: UploadId,
    ) -> Result<Option<(Incarnation, ObjectKey, VersionRecord)>, IndexError>;

    /// What lies on each backend.
    async fn ledger(&self) -> Result<Vec<(BackendId, LedgerRecord)>, IndexError>;

    /// The latest time that a write was given.
    async fn newest_write(&self) -> Result<Timestamp, IndexError>;

    /// What was noted of the clock; the default when nothing was.
    async fn clock_note(&self) -> Result<ClockNote, IndexError>;

    /// What was noted about the verification of a backend's copies; `None` before the first.
    async fn scrub(&self, backend: &BackendId) -> Result<Option<ScrubRecord>, IndexError>;

    /// One outbox entry.
    async fn work(&self, id: OutboxId) -> Result<Option<OutboxEntry>, IndexError>;
}

/// Why the index did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Something that had to hold does not hold (any more). Nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The disk under the index is nearly full. Nothing was changed.
    #[error("the index's disk is nearly full")]
    Full,
    /// A read failed, or a record is damaged. (A failed write ends the process.)
    #[error("index: {0}")]
    Storage(String),
}
