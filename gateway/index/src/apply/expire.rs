//! Forgetting what was kept for a while.

use weir_types::clock::Timestamp;
use weir_types::index::IndexError;

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
        let young = keys::split_time(key).is_none_or(|(time, _)| time >= before);
        if young || found.len() >= limit {
            return Ok(Step::Stop);
        }
        found.push(key.to_vec());
        Ok(Step::Next)
    })?;
    Ok(found)
}
