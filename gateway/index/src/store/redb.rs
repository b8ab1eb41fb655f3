//! The embedded engine: one redb file.
//!
//! Each table is a B-tree of its own: tables that only grow at their end then fill their pages,
//! which halves the file compared with one tree for all (`benches/index` has the figures).

use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition,
};
use weir_types::index::IndexError;

use super::{Changes, CommitError, Reader, Step, Store, Table, View, Visit};

type Bytes = &'static [u8];
type Rows = TableDefinition<'static, Bytes, Bytes>;
type Opened = ReadOnlyTable<Bytes, Bytes>;

const fn rows_of(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

/// An index file, or something that behaves like one.
///
/// Between two commits all readers share one read transaction and its opened tables, since to
/// begin one and to find the tables costs as much as a lookup in them.
pub struct RedbStore {
    /// A state that somebody has read; it may be an older one.
    shared: ArcSwapOption<State>,
    /// Commits that have ended.
    commits: AtomicU64,
    database: Database,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens a database file, or makes it; `cache_bytes` bounds the page cache.
    pub fn open_file(path: &std::path::Path, cache_bytes: usize) -> Result<Self, redb::Error> {
        Self::prepare(builder(cache_bytes).create(path)?)
    }

    /// Opens a database on `storage`, or makes it there if it is empty.
    pub fn open_on(
        storage: Box<dyn StorageBackend>,
        cache_bytes: usize,
    ) -> Result<Self, redb::Error> {
        Self::prepare(builder(cache_bytes).create_with_backend(Boxed(storage))?)
    }

    /// Makes sure that every table stands, so that no reader has to care. A binary that knows
    /// more tables than the file adds them here.
    fn prepare(database: Database) -> Result<Self, redb::Error> {
        let standing = database.begin_read()?.list_tables()?.count();
        if standing < Table::ALL.len() {
            let transaction = database.begin_write()?;
            for table in Table::ALL {
                transaction.open_table(rows_of(*table))?;
            }
            transaction.commit()?;
        }
        Ok(Self {
            shared: ArcSwapOption::empty(),
            commits: AtomicU64::new(0),
            database,
        })
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut changes = changes.iter().peekable();
        while let Some((table, _, _)) = changes.peek() {
            let table = *table;
            let mut rows = transaction.open_table(rows_of(table))?;
            while let Some((_, key, value)) = changes.next_if(|(of, _, _)| *of == table) {
                match value {
                    Some(value) => rows.insert(key, value)?,
                    None => rows.remove(key)?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(cache_bytes)
        .set_repair_callback(|repair| {
            tracing::info!(
                progress = repair.progress(),
                "checking the index after a crash"
            );
        });
    builder
}

impl Store for RedbStore {
    type Snapshot<'s> = RedbSnapshot;

    fn snapshot(&self) -> Result<RedbSnapshot, IndexError> {
        let commits = self.commits.load(Ordering::Acquire);
        if let Some(state) = self.shared.load_full()
            && state.commits == commits
        {
            return Ok(RedbSnapshot(state));
        }
        let transaction = self.database.begin_read().map_err(storage)?;
        let state = Arc::new(State {
            commits,
            tables: [const { OnceLock::new() }; Table::ALL.len()],
            transaction,
        });
        self.shared.store(Some(Arc::clone(&state)));
        Ok(RedbSnapshot(state))
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        let written = self.write(changes);
        // Counted before anybody is told of the commit: who asks after that sees it. A reader
        // that began before may still share its state; nobody takes it, as its count is too
        // small, and the next reader or commit lets it and the pages that it holds go.
        self.commits.fetch_add(1, Ordering::Release);
        self.shared.store(None);
        written.map_err(|error| CommitError(error.to_string()))
    }
}

/// A read transaction, and the tables that were asked for in it.
struct State {
    /// Commits that had ended before it began: it shows at least those.
    commits: u64,
    tables: [OnceLock<Opened>; Table::ALL.len()],
    transaction: ReadTransaction,
}

impl State {
    fn rows(&self, table: Table) -> Result<&Opened, IndexError> {
        let place = &self.tables[usize::from(table.code())];
        if let Some(rows) = place.get() {
            return Ok(rows);
        }
        let rows = self.transaction.open_table(rows_of(table));
        let rows = rows.map_err(storage)?;
        Ok(place.get_or_init(|| rows))
    }
}

/// A state of a [`RedbStore`].
pub struct RedbSnapshot(Arc<State>);

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSnapshot").finish_non_exhaustive()
    }
}

impl Reader for RedbSnapshot {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        let value = self.0.rows(table)?.get(key).map_err(storage)?;
        value.map_or(Ok(()), |value| view(value.value()))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let rows = self.0.rows(table)?;
        let mut from = from.to_vec();
        'seek: loop {
            let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
            for row in ReadableTable::range::<&[u8]>(rows, range).map_err(storage)? {
                let (key, value) = row.map_err(storage)?;
                match visit(key.value(), value.value())? {
                    Step::Next => {}
                    Step::Stop => return Ok(()),
                    Step::Seek(to) => {
                        from = to;
                        continue 'seek;
                    }
                }
            }
            return Ok(());
        }
    }
}

fn storage(error: impl fmt::Display) -> IndexError {
    IndexError::Storage(error.to_string())
}

/// redb takes its storage by value; this lets it be chosen at run time.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

type Io<T> = std::io::Result<T>;
type Locking<T> = Result<T, redb::BackendError>;

impl StorageBackend for Boxed {
    fn len(&self) -> Io<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Io<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Io<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> Io<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<()> {
        self.0.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locking<bool> {
        self.0.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests;
