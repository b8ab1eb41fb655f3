//! What is to be done.

use weir_types::clock::Timestamp;
use weir_types::id::OutboxId;
use weir_types::index::{DuePosition, IndexError, OutboxStats};
use weir_types::record::{OutboxEntry, Work};

use crate::keys;
use crate::rows::{self, Counters};
use crate::store::{Reader, Step, Table};

/// See [`weir_types::index::Index::due_from`].
pub(crate) fn due_from(
    reader: &dyn Reader,
    from: DuePosition,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<OutboxEntry>, IndexError> {
    let mut entries: Vec<OutboxEntry> = Vec::new();
    let from = keys::outbox_due(from.not_before, from.id);
    reader.scan(Table::OutboxDue, &from, &mut |row, _| {
        let (not_before, id) = parse(row)?;
        if not_before > now || entries.len() >= limit {
            return Ok(Step::Stop);
        }
        let entry = rows::read(reader, Table::Outbox, &keys::outbox(id))?;
        entries.push(rows::require(entry, "a due outbox entry is missing")?);
        Ok(Step::Next)
    })?;
    Ok(entries)
}

/// See [`weir_types::index::Index::next_due`].
pub(crate) fn next_due(
    reader: &dyn Reader,
    now: Timestamp,
) -> Result<Option<Timestamp>, IndexError> {
    let Some(later) = now.as_millis().checked_add(1) else {
        return Ok(None);
    };
    let from = keys::outbox_due(Timestamp::from_millis(later), OutboxId(0));
    let mut next = None;
    reader.scan(Table::OutboxDue, &from, &mut |row, _| {
        next = Some(parse(row)?.0);
        Ok(Step::Stop)
    })?;
    Ok(next)
}

/// See [`weir_types::index::Index::outbox_stats`]. Reads a bounded number of rows, however
/// deep the outbox is: depths are counted as entries come and go.
pub(crate) fn outbox_stats(reader: &dyn Reader) -> Result<OutboxStats, IndexError> {
    let counters: Counters = rows::read(reader, Table::Meta, rows::COUNTERS)?.unwrap_or_default();
    let mut stats = OutboxStats {
        depth: counters.depth,
        ..OutboxStats::default()
    };
    for kind in 0..rows::WORK_KINDS {
        let within = [u8::try_from(kind).expect("there are few kinds of work")];
        let (mut seen, mut rows_max) = (0, 1);
        rows::scan_prefix(reader, Table::Outbox, &within, &within, &mut |_, value| {
            let entry: OutboxEntry = rows::decode(value)?;
            let since = entry.due_since;
            stats.oldest = Some(stats.oldest.map_or(since, |oldest| oldest.min(since)));
            if matches!(entry.work, Work::Replicate { .. }) {
                stats.oldest_replicate = Some(since);
            }
            // The first that came is the first that was due, unless it was allowed to wait.
            if entry.work.may_wait() {
                rows_max = WAITING_ROWS_MAX;
            }
            seen += 1;
            Ok(seen < rows_max)
        })?;
    }
    Ok(stats)
}

/// Entries of one kind that are asked for their age; those behind them came later.
const WAITING_ROWS_MAX: usize = 256;

fn parse(row: &[u8]) -> Result<(Timestamp, OutboxId), IndexError> {
    keys::parse_outbox_due(row).ok_or_else(|| rows::damaged("an outbox time cannot be read"))
}

#[cfg(test)]
mod tests;
