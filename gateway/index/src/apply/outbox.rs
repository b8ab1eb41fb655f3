//! The outbox.

use weir_types::clock::Timestamp;
use weir_types::id::OutboxId;
use weir_types::index::IndexError;
use weir_types::record::{OutboxEntry, Work};

use crate::keys;
use crate::rows;
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn enqueue(txn: &mut Txn<'_>, work: Work, now: Timestamp, not_before: Timestamp) {
    let kind = rows::work_kind(&work);
    let counters = txn.counters();
    counters.outbox += 1;
    counters.depth[usize::from(kind)] += 1;
    let id = keys::outbox_id(counters.outbox, kind);
    let entry = OutboxEntry {
        id,
        work,
        created_at: now,
        not_before,
        attempts: 0,
        last_error: None,
        due_since: not_before,
    };
    txn.put_key(Table::OutboxDue, keys::outbox_due(not_before, id));
    txn.put(Table::Outbox, keys::outbox(id), &entry);
}

pub(super) fn finish(txn: &mut Txn<'_>, id: OutboxId) -> Result<(), IndexError> {
    let Some(entry) = txn.read::<OutboxEntry>(Table::Outbox, &keys::outbox(id))? else {
        return Ok(());
    };
    let depth = &mut txn.counters().depth[usize::from(keys::outbox_kind(id))];
    *depth = depth
        .checked_sub(1)
        .ok_or_else(|| rows::damaged("the outbox counts below zero"))?;
    txn.delete(Table::OutboxDue, keys::outbox_due(entry.not_before, id));
    txn.delete(Table::Outbox, keys::outbox(id));
    Ok(())
}

pub(super) fn defer(
    txn: &mut Txn<'_>,
    id: OutboxId,
    not_before: Timestamp,
    error: Option<String>,
) -> Result<(), IndexError> {
    let Some(mut entry) = txn.read::<OutboxEntry>(Table::Outbox, &keys::outbox(id))? else {
        return Ok(());
    };
    txn.delete(Table::OutboxDue, keys::outbox_due(entry.not_before, id));
    txn.put_key(Table::OutboxDue, keys::outbox_due(not_before, id));
    entry.not_before = not_before;
    if error.is_some() {
        entry.attempts = entry.attempts.saturating_add(1);
        entry.last_error = error;
    } else if entry.work.may_wait() {
        entry.due_since = not_before;
    }
    txn.put(Table::Outbox, keys::outbox(id), &entry);
    Ok(())
}
