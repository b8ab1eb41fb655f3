//! The embedded engine: one redb file.
//!
//! All tables share one B-tree, each row's key led by its table's number: a commit then
//! rewrites one path of branch pages instead of one per table (`benches/index` has the figures).

use std::fmt;
use std::ops::Bound;

use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition, TableError,
};
use weir_types::index::IndexError;

use super::{Changes, CommitError, Reader, Step, Store, Table, Visit};

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");

/// An index file, or something that behaves like one.
pub struct RedbStore {
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

    /// Makes sure that the table stands, so that no reader has to care.
    fn prepare(database: Database) -> Result<Self, redb::Error> {
        let store = Self { database };
        if !store.has_rows_table()? {
            store.write(&Changes::default())?;
        }
        Ok(store)
    }

    fn has_rows_table(&self) -> Result<bool, redb::Error> {
        match self.database.begin_read()?.open_table(ROWS) {
            Ok(_) => Ok(true),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut rows = transaction.open_table(ROWS)?;
            let mut row = Vec::with_capacity(128);
            for (table, key, value) in changes.iter() {
                row.clear();
                row.push(table.code());
                row.extend_from_slice(key);
                match value {
                    Some(value) => rows.insert(row.as_slice(), value)?,
                    None => rows.remove(row.as_slice())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes).set_repair_callback(|repair| {
        tracing::info!(progress = repair.progress(), "checking the index after a crash");
    });
    builder
}

impl Store for RedbStore {
    type Snapshot<'s> = RedbSnapshot;

    fn snapshot(&self) -> Result<RedbSnapshot, IndexError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        let rows = transaction.open_table(ROWS).map_err(storage)?;
        Ok(RedbSnapshot { rows })
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.write(changes).map_err(|error| CommitError(error.to_string()))
    }
}

/// A state of a [`RedbStore`]; the table keeps the read transaction alive.
pub struct RedbSnapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSnapshot").finish_non_exhaustive()
    }
}

impl Reader for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let value = self.rows.get(row_key(table, key).as_slice()).map_err(storage)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let end = [table.code() + 1];
        let mut from = row_key(table, from);
        'seek: loop {
            let range = (Bound::Included(from.as_slice()), Bound::Excluded(end.as_slice()));
            for row in ReadableTable::range::<&[u8]>(&self.rows, range).map_err(storage)? {
                let (key, value) = row.map_err(storage)?;
                match visit(&key.value()[1..], value.value())? {
                    Step::Next => {}
                    Step::Stop => return Ok(()),
                    Step::Seek(to) => {
                        from = row_key(table, &to);
                        continue 'seek;
                    }
                }
            }
            return Ok(());
        }
    }
}

fn row_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 1);
    row.push(table.code());
    row.extend_from_slice(key);
    row
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
