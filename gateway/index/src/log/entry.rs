//! How changes are written down, and read again.

use aws_lc_rs::digest;
use weir_types::index::IndexError;

use super::{LogEntry, LogHash};
use crate::rows;
use crate::store::{Changes, Table};

/// Version of the form of an entry.
const VERSION: u8 = 1;
/// Length of a value that stands for a row which goes.
const GONE: u32 = u32::MAX;

impl LogEntry {
    /// Stands for this entry and all before it.
    pub fn hash(&self) -> LogHash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.number.to_be_bytes());
        context.update(&self.before);
        context.update(&self.changes);
        let digest = context.finish();
        *digest
            .as_ref()
            .first_chunk()
            .expect("a SHA-256 has 32 bytes")
    }

    /// The value of its row.
    pub(crate) fn row(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(1 + self.before.len() + self.changes.len());
        row.push(VERSION);
        row.extend(self.before);
        row.extend(&self.changes);
        row
    }
}

/// Reads a row of the log.
pub(crate) fn entry_of(key: &[u8], value: &[u8]) -> Result<LogEntry, IndexError> {
    let damaged = || rows::damaged("a log entry cannot be read");
    let number = key.try_into().map_err(|_| damaged())?;
    let (version, rest) = value.split_first().ok_or_else(damaged)?;
    let (before, changes) = rest.split_first_chunk().ok_or_else(damaged)?;
    if *version != VERSION {
        return Err(damaged());
    }
    Ok(LogEntry {
        number: u64::from_be_bytes(number),
        before: *before,
        changes: changes.to_vec(),
    })
}

/// Whether a row is the log's own and stands in no entry.
pub(crate) fn is_own(table: Table, key: &[u8]) -> bool {
    table == Table::Log || (table == Table::Meta && key == rows::LOG)
}

/// What `changes` do to the rows that are not the log's own.
pub(crate) fn encode(changes: &Changes) -> Vec<u8> {
    let mut out = Vec::new();
    for (table, key, value) in changes.iter() {
        if is_own(table, key) {
            continue;
        }
        out.push(table.code());
        out.extend(length(key).to_le_bytes());
        out.extend(value.map_or(GONE, length).to_le_bytes());
        out.extend(key);
        out.extend(value.unwrap_or_default());
    }
    out
}

/// Lays what [`encode`] wrote over `changes`.
pub(crate) fn decode(mut rest: &[u8], changes: &mut Changes) -> Result<(), IndexError> {
    while !rest.is_empty() {
        let (table, key, value) =
            take(&mut rest).ok_or_else(|| rows::damaged("a logged change cannot be read"))?;
        changes.set(table, key.to_vec(), value.map(<[u8]>::to_vec));
    }
    Ok(())
}

/// A row, and what becomes of it.
type Row<'b> = (Table, &'b [u8], Option<&'b [u8]>);

fn take<'b>(rest: &mut &'b [u8]) -> Option<Row<'b>> {
    let (code, after) = rest.split_first()?;
    let (key_bytes, after) = after.split_first_chunk::<4>()?;
    let (value_bytes, after) = after.split_first_chunk::<4>()?;
    let (key, after) = after.split_at_checked(u32::from_le_bytes(*key_bytes) as usize)?;
    let table = Table::from_code(*code).filter(|table| !is_own(*table, key))?;
    let value_bytes = u32::from_le_bytes(*value_bytes);
    if value_bytes == GONE {
        *rest = after;
        return Some((table, key, None));
    }
    let (value, after) = after.split_at_checked(value_bytes as usize)?;
    *rest = after;
    Some((table, key, Some(value)))
}

fn length(field: &[u8]) -> u32 {
    let length = u32::try_from(field.len()).ok();
    let length = length.filter(|length| *length != GONE);
    length.expect("keys and values of rows are far below 4 GiB")
}
