//! The index over any engine.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::StorageBackend;
use tokio::sync::watch;
use weir_types::clock::Timestamp;
use weir_types::id::{
    BackendId, BlobId, BucketName, Incarnation, IntentId, ObjectKey, OutboxId, PartNumber, SiteId,
    UploadId,
};
use weir_types::index::{
    Applied, ClockNote, DuePosition, Index, IndexError, IndexIdentity, ListPage, ListQuery, Lookup,
    Mutation, OutboxStats, PartsPage, UploadsPage, UploadsQuery,
};
use weir_types::record::{
    BlobRecord, BucketRecord, CopyRecord, Intent, LedgerRecord, OutboxEntry, ScrubRecord,
    Tombstone, UploadRecord, VersionRecord,
};

use crate::audit::{self, Audit};
use crate::commit::{Committer, Queue};
use crate::file::{self, FileLock};
use crate::keys;
use crate::log::LogState;
use crate::open::{self, OpenError};
use crate::options::{CommitMode, IndexOptions};
use crate::query;
use crate::rows::{self, CompletedRecord, Counters};
use crate::space::{DiskSpace, SpaceGuard};
use crate::store::{MemoryStore, Reader, RedbStore, Store, Table};

/// The index of a site in one file.
pub type EmbeddedIndex = StoreIndex<RedbStore>;

/// The index of a site in memory: for models and simulation.
pub type MemoryIndex = StoreIndex<MemoryStore>;

/// The index over an engine. See [`weir_types::index`] for what it promises.
///
/// Reads run on the caller's thread: each takes microseconds, or one page of rows. Dropping
/// the index waits until what was handed over is committed.
pub struct StoreIndex<S: Store> {
    identity: IndexIdentity,
    space: Arc<SpaceGuard>,
    committer: Arc<Committer<S>>,
    // Dropped in this order: the writer first, then the engine, the lock last.
    queue: Queue<S>,
    store: Arc<S>,
    _lock: Option<FileLock>,
}

impl<S: Store> std::fmt::Debug for StoreIndex<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreIndex")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl StoreIndex<RedbStore> {
    /// Opens the index file of `site`, or makes it, and its folder, when there is none.
    /// Blocks; after a crash it first checks the file, which takes about a second per million
    /// rows.
    ///
    /// Fails with [`OpenError::InUse`] while another process has it open.
    pub fn open(path: &Path, site: SiteId, options: IndexOptions) -> Result<Self, OpenError> {
        file::make_folder(path).map_err(|error| file::failed(path, error))?;
        let lock = file::lock(path)?;
        file::keep_folder_private(path).map_err(|error| file::failed(path, error))?;
        let store = file::open_store(path, options.cache_bytes)?;
        let mut options = options;
        let folder = file::folder_of(path).to_owned();
        options
            .free_space
            .get_or_insert_with(|| Arc::new(DiskSpace(folder)));
        Self::start(store, site, options, Some(lock))
    }

    /// Opens the index of `site` on `storage`, or makes it there when that is empty. Nobody
    /// else may use the storage.
    pub fn open_on(
        storage: Box<dyn StorageBackend>,
        site: SiteId,
        options: IndexOptions,
    ) -> Result<Self, OpenError> {
        let store = RedbStore::open_on(storage, options.cache_bytes)
            .map_err(|error| OpenError::Damaged(error.to_string()))?;
        Self::over(store, site, options)
    }
}

impl StoreIndex<MemoryStore> {
    /// A new index of `site` in memory, without a thread of its own and always with room.
    pub fn new(site: SiteId) -> Self {
        let options = IndexOptions {
            commit: CommitMode::Inline,
            ..IndexOptions::default()
        };
        Self::over(MemoryStore::default(), site, options)
            .expect("an empty store in memory becomes an index")
    }
}

impl<S: Store> StoreIndex<S> {
    /// The index of `site` over an engine, made when the engine holds no rows. Nobody else may
    /// use the engine.
    pub fn over(store: S, site: SiteId, options: IndexOptions) -> Result<Self, OpenError> {
        Self::start(store, site, options, None)
    }

    fn start(
        store: S,
        site: SiteId,
        options: IndexOptions,
        lock: Option<FileLock>,
    ) -> Result<Self, OpenError> {
        let identity = open::admit(&store, site, &*options.entropy)?;
        let log = LogState::open(&store, options.log.as_ref(), &*options.entropy)?;
        let store = Arc::new(store);
        let guard = SpaceGuard::new(options.free_space.clone(), options.free_bytes_min);
        let space = Arc::new(guard);
        let committer = Arc::new(Committer::new(
            Arc::clone(&store),
            identity.site.clone(),
            Arc::clone(&space),
            log,
            &options,
        ));
        let queue = Queue::start(Arc::clone(&committer), &options)
            .map_err(|error| OpenError::Damaged(format!("no writer thread: {error}")))?;
        Ok(Self {
            identity,
            space,
            committer,
            queue,
            store,
            _lock: lock,
        })
    }

    /// Reads every row and checks the laws that hold between the tables. Blocks for about a
    /// second per million rows; memory grows with the number of blobs.
    pub fn audit(&self) -> Result<Audit, IndexError> {
        self.read(|reader| audit::audit(reader))
    }

    pub(crate) fn committer(&self) -> &Committer<S> {
        &self.committer
    }

    #[cfg(test)]
    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn queue(&self) -> &Queue<S> {
        &self.queue
    }

    /// Runs `question` on the state after the last commit.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&dyn Reader) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        question(&self.store.snapshot()?)
    }

    fn row<T: weir_types::codec::Record>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, IndexError> {
        self.read(|reader| rows::read(reader, table, key))
    }
}

#[async_trait]
impl<S: Store> Index for StoreIndex<S> {
    fn identity(&self) -> IndexIdentity {
        self.identity.clone()
    }

    async fn apply(&self, mutation: Mutation) -> Result<Applied, IndexError> {
        self.queue.apply(mutation).await
    }

    fn outbox_signal(&self) -> watch::Receiver<u64> {
        self.committer.outbox_signal()
    }

    fn is_read_only(&self) -> bool {
        self.space.is_low()
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<BucketRecord>, IndexError> {
        self.row(Table::Buckets, name.as_str().as_bytes())
    }

    async fn buckets(&self) -> Result<Vec<BucketRecord>, IndexError> {
        self.read(|reader| rows::page(reader, Table::Buckets, &[], None, usize::MAX))
    }

    async fn lookup(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Lookup, IndexError> {
        self.read(|reader| query::lookup(reader, bucket, key))
    }

    async fn versions(
        &self,
        bucket: Incarnation,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<VersionRecord>, IndexError> {
        self.read(|reader| query::versions(reader, bucket, key, limit))
    }

    async fn tombstone(
        &self,
        bucket: Incarnation,
        key: &ObjectKey,
    ) -> Result<Option<Tombstone>, IndexError> {
        self.row(Table::Tombstones, &keys::object(bucket, key.as_str()))
    }

    async fn list(&self, query: ListQuery) -> Result<ListPage, IndexError> {
        self.read(|reader| query::list(reader, &query))
    }

    async fn blob(&self, blob: BlobId) -> Result<Option<BlobRecord>, IndexError> {
        self.row(Table::Blobs, &keys::blob(blob))
    }

    async fn crcs(
        &self,
        blob: BlobId,
        segment: PartNumber,
        first: u64,
        count: usize,
    ) -> Result<Vec<u32>, IndexError> {
        self.read(|reader| query::crcs(reader, blob, segment, first, count))
    }

    async fn blobs(
        &self,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<Vec<BlobRecord>, IndexError> {
        let after = after.map(keys::blob);
        self.read(|reader| rows::page(reader, Table::Blobs, &[], after, limit))
    }

    async fn copies_on(
        &self,
        backend: &BackendId,
        after: Option<(BlobId, u32)>,
        limit: usize,
    ) -> Result<Vec<(BlobId, CopyRecord)>, IndexError> {
        self.read(|reader| query::copies_on(reader, backend, after, limit))
    }

    async fn intent(&self, intent: IntentId) -> Result<Option<Intent>, IndexError> {
        self.row(Table::Intents, &keys::intent(intent))
    }

    async fn intents(
        &self,
        after: Option<IntentId>,
        limit: usize,
    ) -> Result<Vec<Intent>, IndexError> {
        let after = after.map(keys::intent);
        self.read(|reader| rows::page(reader, Table::Intents, &[], after, limit))
    }

    async fn due_from(
        &self,
        from: DuePosition,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, IndexError> {
        self.read(|reader| query::due_from(reader, from, now, limit))
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, IndexError> {
        self.read(|reader| query::next_due(reader, now))
    }

    async fn outbox_stats(&self) -> Result<OutboxStats, IndexError> {
        self.read(|reader| query::outbox_stats(reader))
    }

    async fn upload(&self, upload: UploadId) -> Result<Option<UploadRecord>, IndexError> {
        self.row(Table::Uploads, &keys::upload(upload))
    }

    async fn uploads(&self, query: UploadsQuery) -> Result<UploadsPage, IndexError> {
        self.read(|reader| query::uploads(reader, &query))
    }

    async fn completing_uploads(&self, limit: usize) -> Result<Vec<UploadId>, IndexError> {
        self.read(|reader| query::completing_uploads(reader, limit))
    }

    async fn stale_uploads(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<UploadId>, IndexError> {
        self.read(|reader| query::stale_uploads(reader, before, limit))
    }

    async fn parts(
        &self,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, IndexError> {
        self.read(|reader| query::parts(reader, upload, after, limit))
    }

    async fn completed(
        &self,
        upload: UploadId,
    ) -> Result<Option<(Incarnation, ObjectKey, VersionRecord)>, IndexError> {
        let record: Option<CompletedRecord> = self.row(Table::Completed, &keys::upload(upload))?;
        Ok(record.map(|record| (record.bucket, record.key, record.version)))
    }

    async fn ledger(&self) -> Result<Vec<(BackendId, LedgerRecord)>, IndexError> {
        self.read(|reader| query::ledger(reader))
    }

    async fn newest_write(&self) -> Result<Timestamp, IndexError> {
        let counters: Option<Counters> = self.row(Table::Meta, rows::COUNTERS)?;
        Ok(Timestamp::from_millis(
            counters.unwrap_or_default().hlc.wall_ms,
        ))
    }

    async fn clock_note(&self) -> Result<ClockNote, IndexError> {
        let note = self.row(Table::Meta, rows::CLOCK)?;
        Ok(note.unwrap_or_default())
    }

    async fn scrub(&self, backend: &BackendId) -> Result<Option<ScrubRecord>, IndexError> {
        self.row(Table::Meta, &keys::scrub(backend))
    }

    async fn work(&self, id: OutboxId) -> Result<Option<OutboxEntry>, IndexError> {
        self.row(Table::Outbox, &keys::outbox(id))
    }
}
