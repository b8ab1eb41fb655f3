//! What the writer knows about the log, and what it adds to each commit.

use std::collections::VecDeque;

use weir_types::codec::Record;
use weir_types::entropy::Entropy;
use weir_types::index::IndexError;

use super::entry::{encode, entry_of};
use super::{LogEntry, LogHash, LogOptions, LogTail, StreamId};
use crate::open::OpenError;
use crate::rows::{self, LogNote};
use crate::store::{Changes, Reader, Step, Store, Table};

/// Entries that one commit takes out of the log to make room: where more must go, the commits
/// that follow do it.
const DROPPED_PER_COMMIT_MAX: usize = 1024;

/// The log as of the last commit. One thread at a time commits, and it alone has this.
#[derive(Debug)]
pub(crate) struct LogState {
    options: LogOptions,
    stream: StreamId,
    last: u64,
    hash: LogHash,
    /// Bytes of each entry that is held, the oldest first; at least one.
    sizes: VecDeque<u64>,
    bytes: u64,
    lost: u64,
}

impl LogState {
    /// Goes on with the log of `store` as `options` want it; begins a new stream where there is
    /// none or another was wanted. Without options, what an earlier log left is removed.
    pub(crate) fn open(
        store: &impl Store,
        options: Option<&LogOptions>,
        entropy: &dyn Entropy,
    ) -> Result<Option<Self>, OpenError> {
        let (note, mut found) = {
            let snapshot = store.snapshot()?;
            let note: Option<LogNote> = rows::read(&snapshot, Table::Meta, rows::LOG)?;
            (note, Found::look(&snapshot)?)
        };
        let mut changes = Changes::default();
        let Some(options) = options else {
            if note.is_some() || found.last.is_some() {
                changes.set(Table::Meta, rows::LOG.to_vec(), None);
                found.remove(&mut changes);
                store.commit(&changes)?;
            }
            return Ok(None);
        };
        let goes_on = note.filter(|note| note.tag == options.tag);
        if let (Some(note), Some(last)) = (goes_on, found.last.take()) {
            return Ok(Some(Self {
                options: options.clone(),
                stream: StreamId(note.stream),
                last: last.number,
                hash: last.hash(),
                bytes: found.sizes.iter().sum(),
                sizes: found.sizes,
                lost: 0,
            }));
        }
        found.remove(&mut changes);
        let state = Self::begin(options.clone(), entropy, &mut changes);
        store.commit(&changes)?;
        Ok(Some(state))
    }

    fn begin(options: LogOptions, entropy: &dyn Entropy, changes: &mut Changes) -> Self {
        let stream = StreamId(entropy.u128().to_be_bytes());
        let note = LogNote {
            stream: stream.0,
            tag: options.tag.clone(),
        };
        changes.set(Table::Meta, rows::LOG.to_vec(), Some(note.encode()));
        let first = LogEntry {
            number: 1,
            before: stream.0,
            changes: Vec::new(),
        };
        let row = first.row();
        let bytes = row.len() as u64;
        changes.set(Table::Log, key(first.number), Some(row));
        Self {
            options,
            stream,
            last: first.number,
            hash: first.hash(),
            sizes: VecDeque::from([bytes]),
            bytes,
            lost: 0,
        }
    }

    /// What the log holds.
    pub(crate) fn tail(&self) -> LogTail {
        LogTail {
            stream: self.stream,
            first: self.first(),
            last: self.last,
            bytes: self.bytes,
            lost: self.lost,
        }
    }

    /// Adds the entry of a commit to its changes, and makes room for it.
    pub(crate) fn append(&mut self, changes: &mut Changes) {
        let encoded = encode(changes);
        if encoded.is_empty() {
            return;
        }
        let entry = LogEntry {
            number: self.last + 1,
            before: self.hash,
            changes: encoded,
        };
        let row = entry.row();
        self.last = entry.number;
        self.hash = entry.hash();
        self.bytes += row.len() as u64;
        self.sizes.push_back(row.len() as u64);
        changes.set(Table::Log, key(entry.number), Some(row));
        for _ in 0..DROPPED_PER_COMMIT_MAX {
            if self.bytes <= self.options.bytes_max || !self.drop_first(changes) {
                break;
            }
            self.lost += 1;
        }
    }

    /// Lets entries up to `through` go.
    pub(crate) fn trim(&mut self, stream: StreamId, through: u64, changes: &mut Changes) {
        while self.stream == stream && self.first() <= through {
            if !self.drop_first(changes) {
                break;
            }
        }
    }

    /// Begins a new stream if `stream` is the present one.
    pub(crate) fn restart(
        &mut self,
        stream: StreamId,
        entropy: &dyn Entropy,
        changes: &mut Changes,
    ) {
        if self.stream != stream {
            return;
        }
        for number in self.first()..=self.last {
            changes.set(Table::Log, key(number), None);
        }
        let lost = self.lost;
        *self = Self::begin(self.options.clone(), entropy, changes);
        self.lost = lost;
    }

    fn first(&self) -> u64 {
        self.last + 1 - self.sizes.len() as u64
    }

    /// The newest entry stays: it knows number and hash.
    fn drop_first(&mut self, changes: &mut Changes) -> bool {
        if self.sizes.len() < 2 {
            return false;
        }
        let number = self.first();
        let Some(bytes) = self.sizes.pop_front() else {
            return false;
        };
        self.bytes -= bytes;
        changes.set(Table::Log, key(number), None);
        true
    }
}

/// Says in `changes` that what was logged so far tells nothing about what follows.
pub(crate) fn begin_anew(changes: &mut Changes) {
    changes.set(Table::Meta, rows::LOG.to_vec(), None);
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The entries of a store.
struct Found {
    keys: Vec<Vec<u8>>,
    sizes: VecDeque<u64>,
    last: Option<LogEntry>,
}

impl Found {
    fn look(reader: &dyn Reader) -> Result<Self, IndexError> {
        let mut found = Self {
            keys: Vec::new(),
            sizes: VecDeque::new(),
            last: None,
        };
        let mut last = Vec::new();
        reader.scan(Table::Log, &[], &mut |key, value| {
            found.keys.push(key.to_vec());
            found.sizes.push_back(value.len() as u64);
            last.clear();
            last.extend(value);
            Ok(Step::Next)
        })?;
        if let Some(key) = found.keys.last() {
            found.last = Some(entry_of(key, &last)?);
        }
        Ok(found)
    }

    fn remove(&self, changes: &mut Changes) {
        for key in &self.keys {
            changes.set(Table::Log, key.clone(), None);
        }
    }
}
