//! Questions to the index, and answers.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::codec::Record;
use crate::id::{Incarnation, ObjectKey, OutboxId, SiteId, UploadId};
use crate::record::{
    BlobRecord, BucketRecord, OutboxEntry, PartRecord, UploadRecord, VersionRecord,
};

/// Which index this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexIdentity {
    /// The site.
    pub site: SiteId,
    /// Random number drawn when the index was first made, in hex; a restored backup gets a
    /// new one only when told to.
    pub epoch: String,
}

/// A key, seen in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The bucket, if there is one.
    pub bucket: Option<BucketRecord>,
    /// The current version of the key, if there is one.
    pub version: Option<Box<VersionRecord>>,
    /// The version's blob.
    pub blob: Option<Box<BlobRecord>>,
}

/// A listing of current versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The bucket's life.
    pub bucket: Incarnation,
    /// Only keys that start with this.
    pub prefix: String,
    /// Fold keys that contain this after the prefix. Not empty.
    pub delimiter: Option<String>,
    /// Only keys and common prefixes after this text (exclusive). A common prefix counts as
    /// after when it is greater than this; keys beneath a prefix equal to this are skipped
    /// when a delimiter is given and this ends a common prefix.
    pub after: Option<String>,
    /// At most so many entries, keys and prefixes together.
    pub limit: usize,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListEntry {
    /// A key with its current version.
    Object(ObjectKey, Box<VersionRecord>),
    /// A common prefix.
    Prefix(String),
}

/// A page of a listing, in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Keys and prefixes.
    pub entries: Vec<ListEntry>,
    /// Whether more follow; the last entry's text is then the next page's `after`.
    pub more: bool,
}

/// A listing of open uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadsQuery {
    /// The bucket's life.
    pub bucket: Incarnation,
    /// Only keys that start with this.
    pub prefix: String,
    /// Fold keys that contain this after the prefix.
    pub delimiter: Option<String>,
    /// Only after this key, or after this upload of this key.
    pub after: Option<(String, Option<UploadId>)>,
    /// At most so many, uploads and prefixes together.
    pub limit: usize,
}

/// A page of open uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// Uploads in order of key and id.
    pub uploads: Vec<UploadRecord>,
    /// Folded prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page goes on, when there is more.
    pub next: Option<(String, Option<UploadId>)>,
}

/// A page of parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartsPage {
    /// Parts in order of number.
    pub parts: Vec<PartRecord>,
    /// Whether more follow.
    pub more: bool,
}

/// Depth and age of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Entries by kind of work: replicate, clean, discard, abort, complete, repair.
    pub depth: [u64; 6],
    /// Since when the oldest entry is due; in the future when none is.
    pub oldest: Option<Timestamp>,
    /// Since when the oldest entry that waits for a replica is due.
    pub oldest_replicate: Option<Timestamp>,
}

/// A place in the outbox, in the order in which its entries become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DuePosition {
    /// When the entry there is due.
    pub not_before: Timestamp,
    /// The entry.
    pub id: OutboxId,
}

impl DuePosition {
    /// Before every entry.
    pub const START: Self = Self::at(Timestamp::from_millis(0));

    /// Before every entry that is due at `time` or later.
    pub const fn at(time: Timestamp) -> Self {
        Self {
            not_before: time,
            id: OutboxId(0),
        }
    }

    /// Where an entry stands.
    pub const fn of(entry: &OutboxEntry) -> Self {
        Self {
            not_before: entry.not_before,
            id: entry.id,
        }
    }

    /// The next place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            not_before: self.not_before,
            id: OutboxId(self.id.0.saturating_add(1)),
        }
    }
}

/// What is remembered of the wall clock, so that a leap is noticed over a restart too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockNote {
    /// What it showed when it was last noted.
    pub seen: Timestamp,
    /// What it showed after it had last leapt ahead.
    pub leapt: Timestamp,
}

impl Record for ClockNote {
    const NAME: &'static str = "clock note";
    const VERSION: u8 = 1;
}
