//! What is known about the shipping to one backend.

use weir_types::clock::Timestamp;
use weir_types::id::BackendId;

/// How the shipping to one backend stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// The backend.
    pub backend: BackendId,
    /// The newest log number that is whole there, with a snapshot before it; `None` as long as
    /// nothing can be restored from there.
    pub shipped: Option<u64>,
    /// Log numbers that are not there yet.
    pub lag_entries: u64,
    /// For how long the oldest of them is committed, at most, in milliseconds; 0 without any.
    pub lag_ms: u64,
    /// The newest snapshot that is whole there.
    pub snapshot: Option<SnapshotStatus>,
    /// Parts of a snapshot that are there, of how many, while one is under way.
    pub under_way: Option<(u32, u32)>,
    /// Why nothing goes on at the moment.
    pub error: Option<String>,
    /// Segments of the log shipped since the start.
    pub segments: u64,
    /// Snapshots shipped since the start.
    pub snapshots: u64,
    /// Bytes shipped since the start.
    pub bytes: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// How often the log no longer held what was to be shipped next.
    pub gaps: u64,
}

/// A snapshot on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// Its log number.
    pub number: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Its bytes.
    pub bytes: u64,
}

/// The same, as the worker keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) shipped: Option<u64>,
    /// All that was committed before this time is there.
    pub(crate) up_to: Option<Timestamp>,
    pub(crate) snapshot: Option<SnapshotStatus>,
    pub(crate) under_way: Option<(u32, u32)>,
    pub(crate) error: Option<String>,
    pub(crate) segments: u64,
    pub(crate) snapshots: u64,
    pub(crate) bytes: u64,
    pub(crate) failures: u64,
    pub(crate) gaps: u64,
}

impl Known {
    /// Seen at `now`, when the log ends at `last`; the shipping began at `began`.
    pub(crate) fn status(
        &self,
        backend: &BackendId,
        last: u64,
        began: Timestamp,
        now: Timestamp,
    ) -> TargetStatus {
        let whole = self.shipped.filter(|_| self.snapshot.is_some());
        let lag_entries = last.saturating_sub(whole.unwrap_or(0));
        let since = self.up_to.filter(|_| whole.is_some()).unwrap_or(began);
        let lag = now.since(since).as_millis();
        let lag_ms = u64::try_from(lag).unwrap_or(u64::MAX);
        TargetStatus {
            backend: backend.clone(),
            shipped: whole,
            lag_entries,
            lag_ms: if lag_entries == 0 { 0 } else { lag_ms },
            snapshot: self.snapshot,
            under_way: self.under_way,
            error: self.error.clone(),
            segments: self.segments,
            snapshots: self.snapshots,
            bytes: self.bytes,
            failures: self.failures,
            gaps: self.gaps,
        }
    }
}
