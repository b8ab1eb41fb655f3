//! Forgetting what was kept for a while.

use weir_types::clock::Timestamp;
use weir_types::index::IndexError;

use super::upload;
use crate::keys;
use crate::rows;
use crate::store::{Reader, Step, Table};
use crate::txn::Txn;

/// Tells whether there may be more.
pub(super) fn expire(
    txn: &mut Txn<'_>,
    before: Timestamp,
    limit: usize,
) -> Result<bool, IndexError> {
    let mut more = false;
    for (ages, records) in [
        (Table::TombstoneAges, Table::Tombstones),
        (Table::CompletedAges, Table::Completed),
    ] {
        let old = older_than(txn, ages, before, limit)?;
        more |= old.len() >= limit;
        for age in old {
            let (_, record) =
                keys::split_time(&age).ok_or_else(|| rows::damaged("an age cannot be read"))?;
            txn.delete(records, record.to_vec());
            txn.delete(ages, age);
        }
    }
    Ok(more)
}

/// Keys of a table that is ordered by time, the oldest first.
fn older_than(
    txn: &Txn<'_>,
    table: Table,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Vec<u8>>, IndexError> {
    let mut found = Vec::new();
    txn.scan(table, &[], &mut |key, _| {
        let record = match keys::split_time(key) {
            Some((time, record)) if time < before && found.len() < limit => record,
            _ => return Ok(Step::Stop),
        };
        // A Complete that was accepted before the delete must still find it.
        if table != Table::TombstoneAges || !upload::is_completing(txn, record)? {
            found.push(key.to_vec());
        }
        Ok(Step::Next)
    })?;
    Ok(found)
}
