//! What is inside files.

use serde::{Deserialize, Serialize};
use weir_index::log::{LogEntry, LogHash, LogPosition, StreamId};
use weir_types::clock::Timestamp;
use weir_types::codec::Record;

/// Inside a manifest: a snapshot that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The stream of the log.
    pub stream: [u8; 16],
    /// Number of the last entry that the snapshot holds.
    pub number: u64,
    /// Hash of that entry.
    pub hash: LogHash,
    /// It holds all that was committed before this time.
    pub taken_at: Timestamp,
    /// Rows.
    pub rows: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// SHA-256 of each part.
    pub parts: Vec<[u8; 32]>,
}

impl Record for Manifest {
    const NAME: &'static str = "snapshot manifest";
    const VERSION: u8 = 1;
}

impl Manifest {
    /// Where in the log the snapshot stands.
    pub fn position(&self) -> LogPosition {
        LogPosition {
            stream: StreamId(self.stream),
            number: self.number,
            hash: self.hash,
        }
    }
}

/// What a segment of the log begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    stream: [u8; 16],
    first: u64,
    before: LogHash,
    after: LogHash,
    up_to: Option<Timestamp>,
}

impl Record for Head {
    const NAME: &'static str = "log segment";
    const VERSION: u8 = 1;
}

/// Entries of the log that follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The stream.
    pub stream: StreamId,
    /// The entries; one at least.
    pub entries: Vec<LogEntry>,
    /// They hold all that was committed before this time; `None` when more followed already.
    pub up_to: Option<Timestamp>,
}

impl Segment {
    /// After the last entry.
    pub fn position(&self) -> Option<LogPosition> {
        self.entries.last().map(|last| LogPosition {
            stream: self.stream,
            number: last.number,
            hash: last.hash(),
        })
    }

    /// Bytes to be sealed. `None` without entries.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (first, after) = (self.entries.first()?, self.position()?);
        let head = Head {
            stream: self.stream.0,
            first: first.number,
            before: first.before,
            after: after.hash,
            up_to: self.up_to,
        };
        let head = head.encode();
        let mut out = Vec::new();
        out.extend(u32::try_from(head.len()).ok()?.to_le_bytes());
        out.extend(head);
        for entry in &self.entries {
            out.extend(u32::try_from(entry.changes.len()).ok()?.to_le_bytes());
            out.extend(&entry.changes);
        }
        Some(out)
    }

    /// Reads what [`Segment::encode`] wrote; `None` when it is something else, or the entries
    /// do not follow one another.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = take(bytes)?;
        let head = Head::decode(head).ok()?;
        let (mut number, mut before) = (head.first, head.before);
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (changes, after) = take(rest)?;
            rest = after;
            let entry = LogEntry {
                number,
                before,
                changes: changes.to_vec(),
            };
            (number, before) = (number.checked_add(1)?, entry.hash());
            entries.push(entry);
        }
        (before == head.after && !entries.is_empty()).then_some(Self {
            stream: StreamId(head.stream),
            entries,
            up_to: head.up_to,
        })
    }
}

/// A field with its length before it, and what follows.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
