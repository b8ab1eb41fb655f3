//! The seam to an ordered, durable key-value engine.
//!
//! An engine offers three things: a consistent snapshot to read from, ordered scans, and one
//! durable, atomic commit of a set of changes. Everything the index *means* is written once
//! above this seam, so an engine can be exchanged without touching a rule.

mod memory;
mod redb;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

use weir_types::index::IndexError;

pub use self::memory::MemoryStore;
pub use self::redb::RedbStore;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal;)*) => {
        /// The ordered tables of the index. The number is part of the format on disk.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Table { $($(#[$doc])* $name = $code,)* }

        impl Table {
            /// All tables, in the order of their numbers, which are consecutive from 0.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, for messages.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

tables! {
    /// Format version, identity, counters.
    Meta = 0 "meta";
    /// name → bucket.
    Buckets = 1 "buckets";
    /// incarnation, key → current version.
    Current = 2 "current";
    /// incarnation, key, NUL, descending sequence → noncurrent version.
    History = 3 "history";
    /// incarnation, key → tombstone.
    Tombstones = 4 "tombstones";
    /// time, incarnation, key: tombstones by age.
    TombstoneAges = 5 "tombstone ages";
    /// blob → blob.
    Blobs = 6 "blobs";
    /// blob, part, chunk → CRCs.
    Segments = 7 "segments";
    /// backend, NUL, blob, attempt: copies by backend.
    Copies = 8 "copies";
    /// intent → intent.
    Intents = 9 "intents";
    /// kind of work, id → entry.
    Outbox = 10 "outbox";
    /// not before, id: the outbox by due time.
    OutboxDue = 11 "outbox due";
    /// upload → upload.
    Uploads = 12 "uploads";
    /// incarnation, key, NUL, upload: open uploads by key.
    UploadKeys = 13 "upload keys";
    /// time of creation, upload: open uploads by age.
    UploadAges = 14 "upload ages";
    /// upload, number → part.
    Parts = 15 "parts";
    /// upload → what it became.
    Completed = 16 "completed uploads";
    /// time of completion, upload: completed uploads by age.
    CompletedAges = 17 "completed ages";
    /// backend → ledger.
    Ledger = 18 "ledger";
    /// incarnation, key, NUL, upload: completing uploads by key.
    Completing = 19 "completing uploads";
    /// number → what a commit changed.
    Log = 20 "log";
}

impl Table {
    /// The number: names the table in backups, and in engines with one key space.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// By its number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// What a scan does after a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Go on with the next row.
    Next,
    /// Go on with the first row at or after this key, which is greater than the row's.
    Seek(Vec<u8>),
    /// End the scan.
    Stop,
}

/// Called for each row of a scan with its key and value.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<Step, IndexError> + 'v;

/// Called with the value of a row, where it lies.
pub type View<'v> = dyn FnMut(&[u8]) -> Result<(), IndexError> + 'v;

/// One consistent state of all tables.
pub trait Reader {
    /// Shows the value under `key`, if there is one, without copying it.
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError>;

    /// The value under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let mut found = None;
        self.view(table, key, &mut |value| {
            found = Some(value.to_vec());
            Ok(())
        })?;
        Ok(found)
    }

    /// Visits the rows of `table` from the first key at or after `from` on, in byte order,
    /// until the visitor stops or the table ends.
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError>;
}

/// An engine. One process has it open, one thread at a time commits to it.
pub trait Store: Send + Sync + 'static {
    /// A consistent state; commits made later do not show in it.
    type Snapshot<'s>: Reader
    where
        Self: 's;

    /// The state after the last commit.
    fn snapshot(&self) -> Result<Self::Snapshot<'_>, IndexError>;

    /// Makes all changes visible at once. They are on disk (fsync) when this returns `Ok`;
    /// after an error nothing is known, and the caller must not go on.
    fn commit(&self, changes: &Changes) -> Result<(), CommitError>;
}

/// A commit failed: what is on disk is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(pub String);

/// Rows to be written and removed by one commit.
#[derive(Debug, Default)]
pub struct Changes {
    tables: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Table::ALL.len()],
}

/// What [`Changes`] say about one row: `None` nothing, `Some(None)` that it goes.
pub type Change = Option<Option<Vec<u8>>>;

impl Changes {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// All changes in order of table and key; `None` removes the row.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.tables
            .iter()
            .zip(Table::ALL)
            .flat_map(|(rows, table)| {
                rows.iter()
                    .map(|(key, value)| (*table, key.as_slice(), value.as_deref()))
            })
    }

    /// Sets what becomes of a row; answers what was said before.
    pub fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) -> Change {
        self.tables[usize::from(table.code())].insert(key, value)
    }

    /// Takes a [`Changes::set`] back.
    pub(crate) fn restore(&mut self, table: Table, key: Vec<u8>, before: Change) {
        let rows = &mut self.tables[usize::from(table.code())];
        match before {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.tables[usize::from(table.code())].get(key)
    }

    pub(crate) fn range(
        &self,
        table: Table,
        from: &[u8],
    ) -> btree_map::Range<'_, Vec<u8>, Option<Vec<u8>>> {
        let from = (Bound::Included(from), Bound::Unbounded);
        self.tables[usize::from(table.code())].range::<[u8], _>(from)
    }
}
