//! An index that takes its time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;
use weir_types::clock::Timestamp;
use weir_types::id::{
    BackendId, BlobId, BucketName, Incarnation, IntentId, ObjectKey, OutboxId, PartNumber, UploadId,
};
use weir_types::index::{
    Applied, ClockNote, DuePosition, Index, IndexError, IndexIdentity, ListPage, ListQuery, Lookup,
    Mutation, OutboxStats, PartsPage, UploadsPage, UploadsQuery,
};
use weir_types::record::{
    BlobRecord, BucketRecord, CopyRecord, Intent, LedgerRecord, OutboxEntry, ScrubRecord,
    Tombstone, UploadRecord, VersionRecord,
};

use super::Dice;

/// Passes everything on. Some mutations wait for a moment first, and some for one after: what
/// was read before may have changed when they are applied, and much may happen (a death, say)
/// before their answer is heard.
pub(crate) struct Hesitant {
    index: Arc<dyn Index>,
    dice: Dice,
}

impl Hesitant {
    pub(crate) fn new(index: Arc<dyn Index>, seed: u64) -> Self {
        Self {
            index,
            dice: Dice::new(seed),
        }
    }

    async fn hesitate(&self) {
        if self.dice.chance(30) {
            sleep(Duration::from_millis(1 + self.dice.below(40))).await;
        }
    }
}

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Index for Hesitant {
            fn identity(&self) -> IndexIdentity {
                self.index.identity()
            }

            async fn apply(&self, mutation: Mutation) -> Result<Applied, IndexError> {
                self.hesitate().await;
                let answer = self.index.apply(mutation).await;
                self.hesitate().await;
                answer
            }

            fn outbox_signal(&self) -> watch::Receiver<u64> {
                self.index.outbox_signal()
            }

            fn is_read_only(&self) -> bool {
                self.index.is_read_only()
            }

            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, IndexError> {
                self.index.$name($($arg),*).await
            })*
        }
    };
}

pass_on! {
    bucket(name: &BucketName) -> Option<BucketRecord>;
    buckets() -> Vec<BucketRecord>;
    lookup(bucket: &BucketName, key: &ObjectKey) -> Lookup;
    versions(bucket: Incarnation, key: &ObjectKey, limit: usize) -> Vec<VersionRecord>;
    tombstone(bucket: Incarnation, key: &ObjectKey) -> Option<Tombstone>;
    list(query: ListQuery) -> ListPage;
    blob(blob: BlobId) -> Option<BlobRecord>;
    crcs(blob: BlobId, segment: PartNumber, first: u64, count: usize) -> Vec<u32>;
    blobs(after: Option<BlobId>, limit: usize) -> Vec<BlobRecord>;
    copies_on(backend: &BackendId, after: Option<(BlobId, u32)>, limit: usize)
        -> Vec<(BlobId, CopyRecord)>;
    intent(intent: IntentId) -> Option<Intent>;
    intents(after: Option<IntentId>, limit: usize) -> Vec<Intent>;
    due_from(from: DuePosition, now: Timestamp, limit: usize) -> Vec<OutboxEntry>;
    next_due(now: Timestamp) -> Option<Timestamp>;
    outbox_stats() -> OutboxStats;
    upload(upload: UploadId) -> Option<UploadRecord>;
    uploads(query: UploadsQuery) -> UploadsPage;
    completing_uploads(limit: usize) -> Vec<UploadId>;
    stale_uploads(before: Timestamp, limit: usize) -> Vec<UploadId>;
    parts(upload: UploadId, after: u16, limit: usize) -> PartsPage;
    completed(upload: UploadId) -> Option<(Incarnation, ObjectKey, VersionRecord)>;
    ledger() -> Vec<(BackendId, LedgerRecord)>;
    newest_write() -> Timestamp;
    clock_note() -> ClockNote;
    scrub(backend: &BackendId) -> Option<ScrubRecord>;
    work(id: OutboxId) -> Option<OutboxEntry>;
}
