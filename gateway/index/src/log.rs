//! The log of changes: every row that a commit wrote or removed, in the commit's own
//! transaction, numbered and chained, so that a copy of the index elsewhere can be kept up.
//!
//! # What it promises
//! - An entry is in the log if and only if its commit is: both are one transaction.
//! - The state of a backup at number *n*, with the entries from *n + 1* to *m* applied in
//!   order, is the state after commit *m*, row for row (the log itself and its own note apart).
//! - Each entry names the hash of the one before. So entries that are missing, doubled, changed,
//!   or of an index that went another way, do not fit together.
//! - It never stops a commit and never grows beyond [`LogOptions::bytes_max`] by more than one
//!   entry: the oldest entries make room for new ones. Who has not read them by then sees the
//!   gap, and begins again with a backup.
//!
//! # Streams
//! Numbers belong to a stream, which is named by random bits. A new one begins with number 1
//! whenever what was logged before says nothing about what follows: when logging begins, after
//! the format of the index changed, in an index made from a backup, when
//! [`StoreIndex::restart_log`] asks for it. The first entry of a stream changes nothing.
//!
//! # Format
//! Key of a row: the number, big endian. Its value: a version (1 byte), the hash before (16
//! bytes), the changes. Changes follow one another in the order of table and key, numbers are
//! little endian: table (1 byte), length of key (4), length of value (4; all ones: the row
//! goes), key, value. The hash of an entry is the first half of the SHA-256 of number (8 bytes),
//! hash before, changes; the hash before the first entry is the name of the stream.

mod entry;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;

use tokio::sync::watch;
use weir_types::index::IndexError;

pub(crate) use entry::{decode, entry_of, is_own};
pub(crate) use state::{LogState, begin_anew};

use crate::StoreIndex;
use crate::rows::{self, LogNote};
use crate::store::{Reader, Step, Store, Table};

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Bound on the bytes of entries that nobody has read yet.
    pub bytes_max: u64,
    /// Where it changes, a new stream begins: what a reader cannot do without, such as the name
    /// of the key under which it keeps the entries.
    pub tag: String,
}

/// Names one stream of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// Parses the 32 lowercase hex digits that [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(plain) {
            return None;
        }
        let number = u128::from_str_radix(text, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Stands for all entries up to one.
pub type LogHash = [u8; 16];

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number in the stream; rises by one.
    pub number: u64,
    /// Hash of the entry before.
    pub before: LogHash,
    /// What it changed.
    pub changes: Vec<u8>,
}

/// A place in a stream: after this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// The stream.
    pub stream: StreamId,
    /// Number of the entry.
    pub number: u64,
    /// Its hash.
    pub hash: LogHash,
}

/// What the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTail {
    /// The stream.
    pub stream: StreamId,
    /// The oldest entry that is held.
    pub first: u64,
    /// The newest entry.
    pub last: u64,
    /// Bytes of all that are held.
    pub bytes: u64,
    /// Entries that made room before they were given free, since the index was opened.
    pub lost: u64,
}

/// What follows a position.
#[derive(Debug, PartialEq, Eq)]
pub enum LogRead {
    /// The entries that follow, without a gap; none when there are none yet.
    Entries(Vec<LogEntry>),
    /// What follows is not held (any more), or the position is none of this log's.
    Gap,
}

impl<S: Store> StoreIndex<S> {
    /// What the log holds, told anew after every commit; `None` without a log.
    pub fn log_tail(&self) -> watch::Receiver<Option<LogTail>> {
        self.committer().log_tail()
    }

    /// Entries of `stream` after number `after`, until they have `bytes_max` bytes; one at
    /// least, if there is one.
    pub fn log_after(
        &self,
        stream: StreamId,
        after: u64,
        bytes_max: usize,
    ) -> Result<LogRead, IndexError> {
        self.read(|reader| log_after(reader, stream, after, bytes_max))
    }

    /// Lets entries up to number `through` of `stream` go; the newest one stays. Does nothing
    /// when the stream is another one by now.
    pub async fn trim_log(&self, stream: StreamId, through: u64) -> Result<(), IndexError> {
        self.queue().trim_log(stream, through).await
    }

    /// Begins a new stream, when `stream` is still the present one.
    pub async fn restart_log(&self, stream: StreamId) -> Result<(), IndexError> {
        self.queue().restart_log(stream).await
    }

    /// Epochs of indexes that this one was restored to succeed: what belonged to them is this
    /// one's.
    pub fn predecessors(&self) -> Result<Vec<String>, IndexError> {
        let row = self.read(|reader| rows::read(reader, Table::Meta, rows::PREDECESSORS))?;
        Ok(row.map_or_else(Vec::new, |rows::Predecessors(epochs)| epochs))
    }
}

fn log_after(
    reader: &dyn Reader,
    stream: StreamId,
    after: u64,
    bytes_max: usize,
) -> Result<LogRead, IndexError> {
    let note: Option<LogNote> = rows::read(reader, Table::Meta, rows::LOG)?;
    if note.is_none_or(|note| note.stream != stream.0) {
        return Ok(LogRead::Gap);
    }
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut bytes = 0;
    let next = after.saturating_add(1);
    reader.scan(Table::Log, &next.to_be_bytes(), &mut |key, value| {
        let entry = entry_of(key, value)?;
        bytes += entry.changes.len();
        entries.push(entry);
        Ok(if bytes < bytes_max {
            Step::Next
        } else {
            Step::Stop
        })
    })?;
    let is_next = match entries.first() {
        Some(first) => first.number == next,
        // The newest entry is always held.
        None => after > 0 && reader.get(Table::Log, &after.to_be_bytes())?.is_some(),
    };
    Ok(if is_next {
        LogRead::Entries(entries)
    } else {
        LogRead::Gap
    })
}

/// Where the log of this state ends; `None` without a log. It holds no entry newer than its
/// last but those after `known`, which it held a moment ago.
pub(crate) fn position(
    reader: &dyn Reader,
    known: Option<LogTail>,
) -> Result<Option<LogPosition>, IndexError> {
    let note: Option<LogNote> = rows::read(reader, Table::Meta, rows::LOG)?;
    let Some(note) = note else { return Ok(None) };
    let stream = StreamId(note.stream);
    let from = known.filter(|tail| tail.stream == stream);
    let from = from.map_or(0, |tail| tail.last);
    let mut last = None;
    let mut visit = |key: &[u8], value: &[u8]| {
        last = Some((key.to_vec(), value.to_vec()));
        Ok(Step::Next)
    };
    reader.scan(Table::Log, &from.to_be_bytes(), &mut visit)?;
    let (key, value) = rows::require(last, "a log without entries")?;
    let entry = entry_of(&key, &value)?;
    Ok(Some(LogPosition {
        stream,
        number: entry.number,
        hash: entry.hash(),
    }))
}
