//! Typed rows, and the records that only the index itself knows.

use serde::{Deserialize, Serialize};
use weir_types::clock::{Hlc, Timestamp};
use weir_types::codec::{DecodeError, Record};
use weir_types::id::{Incarnation, ObjectKey, SiteId};
use weir_types::index::IndexError;
use weir_types::record::{FirstVersionRecord, VersionRecord, Work};

use crate::keys;
use crate::store::{Reader, Step, Table};

/// Number of kinds of [`Work`].
pub(crate) const WORK_KINDS: usize = 6;

/// Row of `meta` with the format version: four bytes, big endian.
pub(crate) const FORMAT: &[u8] = b"format";
/// Row of `meta` with the [`Identity`].
pub(crate) const IDENTITY: &[u8] = b"identity";
/// Row of `meta` with the [`Counters`].
pub(crate) const COUNTERS: &[u8] = b"counters";

/// Row of `meta` with the [`weir_types::index::ClockNote`], once there is one.
pub(crate) const CLOCK: &[u8] = b"clock";

/// Row of `meta` with the [`LogNote`], while there is a log.
pub(crate) const LOG: &[u8] = b"log";
/// Row of `meta` with the [`Predecessors`], in an index that was restored to succeed another.
pub(crate) const PREDECESSORS: &[u8] = b"predecessors";

/// Which stream the log's entries are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogNote {
    pub(crate) stream: [u8; 16],
    pub(crate) tag: String,
}

impl Record for LogNote {
    const NAME: &'static str = "log note";
    const VERSION: u8 = 1;
}

/// Epochs whose place this index has taken, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Predecessors(pub(crate) Vec<String>);

impl Record for Predecessors {
    const NAME: &'static str = "predecessors";
    const VERSION: u8 = 1;
}

/// Which index this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) site: SiteId,
    pub(crate) epoch: String,
}

impl Record for Identity {
    const NAME: &'static str = "identity";
    const VERSION: u8 = 1;
}

/// What rises with commits. Written with each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// The last commit sequence given out.
    pub(crate) seq: u64,
    /// The last clock reading given out.
    pub(crate) hlc: Hlc,
    /// Outbox entries ever made.
    pub(crate) outbox: u64,
    /// Outbox entries that stand, by [`work_kind`].
    pub(crate) depth: [u64; WORK_KINDS],
}

impl Record for Counters {
    const NAME: &'static str = "counters";
    const VERSION: u8 = 1;
}

/// What an upload became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletedRecord {
    pub(crate) bucket: Incarnation,
    pub(crate) key: ObjectKey,
    pub(crate) version: VersionRecord,
    pub(crate) completed_at: Timestamp,
}

impl Record for CompletedRecord {
    const NAME: &'static str = "completed upload";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_first::<FirstCompletedRecord>(version, body)
    }
}

/// Version 1 of [`CompletedRecord`].
#[derive(Deserialize)]
struct FirstCompletedRecord {
    bucket: Incarnation,
    key: ObjectKey,
    version: FirstVersionRecord,
    completed_at: Timestamp,
}

impl From<FirstCompletedRecord> for CompletedRecord {
    fn from(first: FirstCompletedRecord) -> Self {
        Self {
            bucket: first.bucket,
            key: first.key,
            version: first.version.into(),
            completed_at: first.completed_at,
        }
    }
}

/// The place of a kind of work in [`weir_types::index::OutboxStats::depth`].
pub(crate) const fn work_kind(work: &Work) -> u8 {
    match work {
        Work::Replicate { .. } => 0,
        Work::Clean { .. } => 1,
        Work::Discard { .. } => 2,
        Work::Abort { .. } => 3,
        Work::Complete { .. } => 4,
        Work::Repair { .. } => 5,
    }
}

/// Decodes a row.
pub(crate) fn decode<T: Record>(bytes: &[u8]) -> Result<T, IndexError> {
    T::decode(bytes).map_err(|error| IndexError::Storage(error.to_string()))
}

/// Reads and decodes one row.
pub(crate) fn read<T: Record>(
    reader: &(impl Reader + ?Sized),
    table: Table,
    key: &[u8],
) -> Result<Option<T>, IndexError> {
    let mut record = None;
    reader.view(table, key, &mut |bytes| {
        record = Some(decode(bytes)?);
        Ok(())
    })?;
    Ok(record)
}

/// A row that must be there because another names it.
pub(crate) fn require<T>(row: Option<T>, what: &str) -> Result<T, IndexError> {
    row.ok_or_else(|| damaged(what))
}

/// The tables contradict one another.
pub(crate) fn damaged(what: &str) -> IndexError {
    IndexError::Storage(format!("the index is damaged: {what}"))
}

/// Called for each row of [`scan_prefix`]; `false` ends the scan.
pub(crate) type VisitTail<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, IndexError> + 'v;

/// Visits rows whose keys start with `prefix`, from `from` on; the visitor sees what follows
/// the prefix.
pub(crate) fn scan_prefix(
    reader: &(impl Reader + ?Sized),
    table: Table,
    prefix: &[u8],
    from: &[u8],
    visit: &mut VisitTail<'_>,
) -> Result<(), IndexError> {
    let from = from.max(prefix);
    reader.scan(
        table,
        from,
        &mut |key, value| match key.strip_prefix(prefix) {
            Some(tail) if visit(tail, value)? => Ok(Step::Next),
            _ => Ok(Step::Stop),
        },
    )
}

/// Keys that start with `prefix`.
pub(crate) fn keys_under(
    reader: &(impl Reader + ?Sized),
    table: Table,
    prefix: &[u8],
) -> Result<Vec<Vec<u8>>, IndexError> {
    let mut found = Vec::new();
    reader.scan(table, prefix, &mut |key, _| {
        if !key.starts_with(prefix) {
            return Ok(Step::Stop);
        }
        found.push(key.to_vec());
        Ok(Step::Next)
    })?;
    Ok(found)
}

/// Up to `limit` decoded rows after the key `after` (exclusive), of those that start with
/// `prefix`.
pub(crate) fn page<T: Record>(
    reader: &(impl Reader + ?Sized),
    table: Table,
    prefix: &[u8],
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Vec<T>, IndexError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let from = after.map(keys::just_after).unwrap_or_default();
    scan_prefix(reader, table, prefix, &from, &mut |_, value| {
        found.push(decode(value)?);
        Ok(found.len() < limit)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests;
