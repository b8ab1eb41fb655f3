//! One transaction: changes laid over a snapshot, taken back mutation by mutation.

use weir_types::clock::{Hlc, Timestamp};
use weir_types::codec::Record;
use weir_types::id::{Seq, SiteId};
use weir_types::index::IndexError;

use crate::rows::{self, Counters};
use crate::store::{Change, Changes, Reader, Step, Table, View, Visit};

/// Changes over a snapshot. Reads see them; a mutation that is refused leaves none.
pub(crate) struct Txn<'a> {
    base: &'a dyn Reader,
    site: &'a SiteId,
    changes: Changes,
    undo: Vec<(Table, Vec<u8>, Change)>,
    counters: Counters,
    stored_counters: Counters,
}

impl<'a> Txn<'a> {
    /// Nothing changed yet over `base`, in the index of `site`.
    pub(crate) fn new(base: &'a dyn Reader, site: &'a SiteId) -> Result<Self, IndexError> {
        let counters: Counters = rows::read(base, Table::Meta, rows::COUNTERS)?.unwrap_or_default();
        Ok(Self {
            base,
            site,
            changes: Changes::default(),
            undo: Vec::new(),
            stored_counters: counters.clone(),
            counters,
        })
    }

    /// Runs `step`; when it fails, what it changed is taken back.
    pub(crate) fn attempt<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.undo.clear();
        let counters = self.counters.clone();
        let result = step(self);
        if result.is_err() {
            self.counters = counters;
            while let Some((table, key, before)) = self.undo.pop() {
                self.changes.restore(table, key, before);
            }
        }
        result
    }

    /// The changes to commit, and whether work was put into the outbox.
    pub(crate) fn finish(mut self) -> (Changes, bool) {
        if self.counters != self.stored_counters {
            let row = self.counters.encode();
            self.changes
                .set(Table::Meta, rows::COUNTERS.to_vec(), Some(row));
        }
        (
            self.changes,
            self.counters.outbox != self.stored_counters.outbox,
        )
    }

    /// The site whose index this is.
    pub(crate) fn site(&self) -> &SiteId {
        self.site
    }

    /// The next commit sequence.
    pub(crate) fn next_seq(&mut self) -> Seq {
        self.counters.seq += 1;
        Seq(self.counters.seq)
    }

    /// The next reading of the hybrid logical clock.
    pub(crate) fn next_hlc(&mut self, now: Timestamp) -> Hlc {
        self.counters.hlc = self.counters.hlc.tick(now);
        self.counters.hlc
    }

    /// What rises with commits.
    pub(crate) fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// One decoded row.
    pub(crate) fn read<T: Record>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, IndexError> {
        rows::read(self, table, key)
    }

    /// Writes a record.
    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, record: &impl Record) {
        self.set(table, key, Some(record.encode()));
    }

    /// Writes a row that says everything in its key.
    pub(crate) fn put_key(&mut self, table: Table, key: Vec<u8>) {
        self.set(table, key, Some(Vec::new()));
    }

    /// Removes a row.
    pub(crate) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.set(table, key, None);
    }

    /// Removes all rows whose keys start with `prefix`.
    pub(crate) fn delete_under(&mut self, table: Table, prefix: &[u8]) -> Result<(), IndexError> {
        for key in rows::keys_under(self, table, prefix)? {
            self.delete(table, key);
        }
        Ok(())
    }

    fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        let before = self.changes.set(table, key.clone(), value);
        self.undo.push((table, key, before));
    }
}

impl Reader for Txn<'_> {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        match self.changes.get(table, key) {
            Some(changed) => changed.as_ref().map_or(Ok(()), |value| view(value)),
            None => self.base.view(table, key, view),
        }
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        let mut from = from.to_vec();
        while let Step::Seek(to) = self.merge(table, &from, visit)? {
            from = to;
        }
        Ok(())
    }
}

impl Txn<'_> {
    /// Visits rows of base and changes in one order, until the visitor wants something other
    /// than the next row.
    fn merge(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<Step, IndexError> {
        let mut changed = self.changes.range(table, from).peekable();
        let mut end = Step::Next;
        self.base.scan(table, from, &mut |key, value| {
            let mut replaced = false;
            while let Some((new_key, new_value)) =
                changed.next_if(|(new_key, _)| new_key.as_slice() <= key)
            {
                replaced = new_key.as_slice() == key;
                if let Some(new_value) = new_value {
                    end = visit(new_key, new_value)?;
                    if end != Step::Next {
                        return Ok(Step::Stop);
                    }
                }
            }
            if !replaced {
                end = visit(key, value)?;
            }
            Ok(if end == Step::Next {
                Step::Next
            } else {
                Step::Stop
            })
        })?;
        for (key, value) in changed {
            if end != Step::Next {
                break;
            }
            if let Some(value) = value {
                end = visit(key, value)?;
            }
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
