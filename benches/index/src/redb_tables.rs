//! redb with one B-tree per table, to compare with the one tree that the index uses.

use std::ops::Bound;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use weir_index::store::{Changes, CommitError, Reader, Step, Store, Table, Visit};
use weir_types::index::IndexError;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

fn definition(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

pub(crate) struct RedbTables(Database);

impl RedbTables {
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Self {
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create(path)
            .expect("the file is the bench's own");
        let transaction = database.begin_write().expect("the only writer");
        for table in Table::ALL {
            transaction.open_table(definition(*table)).expect("a plain name");
        }
        transaction.commit().expect("the disk has room");
        Self(database)
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        let mut changes = changes.iter().peekable();
        while let Some((table, _, _)) = changes.peek() {
            let table = *table;
            let mut rows = transaction.open_table(definition(table))?;
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

impl Store for RedbTables {
    type Snapshot<'s> = TablesSnapshot;

    fn snapshot(&self) -> Result<TablesSnapshot, IndexError> {
        Ok(TablesSnapshot(self.0.begin_read().map_err(storage)?))
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.write(changes).map_err(|error| CommitError(error.to_string()))
    }
}

pub(crate) struct TablesSnapshot(ReadTransaction);

impl Reader for TablesSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let rows = self.0.open_table(definition(table)).map_err(storage)?;
        let value = rows.get(key).map_err(storage)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let rows = self.0.open_table(definition(table)).map_err(storage)?;
        let mut from = from.to_vec();
        'seek: loop {
            let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
            for row in ReadableTable::range::<&[u8]>(&rows, range).map_err(storage)? {
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

fn storage(error: impl std::fmt::Display) -> IndexError {
    IndexError::Storage(error.to_string())
}
