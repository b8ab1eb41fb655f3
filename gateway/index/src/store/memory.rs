//! An engine that keeps everything in memory: for models and simulation.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use weir_types::index::IndexError;

use super::{Changes, CommitError, Reader, Step, Store, Table, View, Visit};

type Tables = [BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()];

/// Tables in memory. Clones share them, so that a simulated restart can open another index
/// on what an earlier one committed.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<RwLock<Tables>>);

/// A state of a [`MemoryStore`]; commits wait until it is dropped.
#[derive(Debug)]
pub struct MemorySnapshot<'s>(RwLockReadGuard<'s, Tables>);

impl Store for MemoryStore {
    type Snapshot<'s> = MemorySnapshot<'s>;

    fn snapshot(&self) -> Result<MemorySnapshot<'_>, IndexError> {
        Ok(MemorySnapshot(self.0.read()))
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        let mut tables = self.0.write();
        for (table, key, value) in changes.iter() {
            let rows = &mut tables[usize::from(table.code())];
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }
}

impl Reader for MemorySnapshot<'_> {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        let value = self.0[usize::from(table.code())].get(key);
        value.map_or(Ok(()), |value| view(value))
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let rows = &self.0[usize::from(table.code())];
        let mut from = from.to_vec();
        'seek: loop {
            let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
            for (key, value) in rows.range::<[u8], _>(range) {
                match visit(key, value)? {
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
