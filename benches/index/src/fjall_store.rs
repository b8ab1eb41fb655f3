//! fjall behind the index's storage seam: one keyspace per table.

use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use weir_index::store::{Changes, CommitError, Reader, Step, Store, Table, View, Visit};
use weir_types::index::IndexError;

/// Keyspaces in the order of [`Table::ALL`].
pub(crate) struct FjallStore {
    database: Database,
    keyspaces: Arc<[Keyspace]>,
}

impl FjallStore {
    pub(crate) fn open(folder: &Path, cache_bytes: usize) -> Self {
        let database = Database::builder(folder)
            .cache_size(cache_bytes as u64)
            .open()
            .expect("the folder is the bench's own");
        let keyspaces = Table::ALL.iter().map(|table| {
            let name = table.name().replace(' ', "_");
            database
                .keyspace(&name, KeyspaceCreateOptions::default)
                .expect("a plain name")
        });
        Self {
            keyspaces: keyspaces.collect(),
            database,
        }
    }
}

impl Store for FjallStore {
    type Snapshot<'s> = FjallSnapshot;

    fn snapshot(&self) -> Result<FjallSnapshot, IndexError> {
        let keyspaces = Arc::clone(&self.keyspaces);
        Ok(FjallSnapshot {
            snapshot: self.database.snapshot(),
            keyspaces,
        })
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (table, key, value) in changes.iter() {
            let keyspace = &self.keyspaces[usize::from(table.code())];
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        }
        batch
            .commit()
            .map_err(|error| CommitError(error.to_string()))
    }
}

pub(crate) struct FjallSnapshot {
    snapshot: fjall::Snapshot,
    keyspaces: Arc<[Keyspace]>,
}

impl Reader for FjallSnapshot {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        let keyspace = &self.keyspaces[usize::from(table.code())];
        let value = self.snapshot.get(keyspace, key).map_err(storage)?;
        value.map_or(Ok(()), |value| view(&value))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let keyspace = &self.keyspaces[usize::from(table.code())];
        let mut from = from.to_vec();
        'seek: loop {
            for row in self.snapshot.range(keyspace, from.clone()..) {
                let (key, value) = row.into_inner().map_err(storage)?;
                match visit(&key, &value)? {
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
