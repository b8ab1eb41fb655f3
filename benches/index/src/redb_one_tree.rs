//! redb with all tables in one B-tree, each row's key led by its table's number, to compare with
//! the tree per table that the index uses; with and without what lets it reopen at once after
//! a kill ("quick repair").

use std::ops::Bound;
use std::path::Path;

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use weir_index::store::{Changes, CommitError, Reader, Step, Store, Table, View, Visit};
use weir_types::index::IndexError;

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");

pub(crate) struct RedbOneTree {
    database: Database,
    quick_repair: bool,
}

impl RedbOneTree {
    pub(crate) fn open(path: &Path, cache_bytes: usize, quick_repair: bool) -> Self {
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create(path)
            .expect("the file is the bench's own");
        let store = Self {
            database,
            quick_repair,
        };
        store.write(&Changes::default()).expect("the disk has room");
        store
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(self.quick_repair);
        {
            let mut rows = transaction.open_table(ROWS)?;
            for (table, key, value) in changes.iter() {
                let row = row_key(table, key);
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

impl Store for RedbOneTree {
    type Snapshot<'s> = OneTreeSnapshot;

    fn snapshot(&self) -> Result<OneTreeSnapshot, IndexError> {
        let transaction = self.database.begin_read().map_err(storage)?;
        Ok(OneTreeSnapshot(
            transaction.open_table(ROWS).map_err(storage)?,
        ))
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.write(changes)
            .map_err(|error| CommitError(error.to_string()))
    }
}

pub(crate) struct OneTreeSnapshot(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Reader for OneTreeSnapshot {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        let value = self
            .0
            .get(row_key(table, key).as_slice())
            .map_err(storage)?;
        value.map_or(Ok(()), |value| view(value.value()))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let end = [table.code() + 1];
        let mut from = row_key(table, from);
        'seek: loop {
            let range = (
                Bound::Included(from.as_slice()),
                Bound::Excluded(end.as_slice()),
            );
            for row in ReadableTable::range::<&[u8]>(&self.0, range).map_err(storage)? {
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
    [&[table.code()], key].concat()
}

fn storage(error: impl std::fmt::Display) -> IndexError {
    IndexError::Storage(error.to_string())
}
