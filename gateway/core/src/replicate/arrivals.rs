//! Where new entries of the outbox are looked for: at its end.
//!
//! An entry stands where its time places it, and its time was read a little before it was
//! committed. So entries can come to stand shortly before the end of what was read already,
//! and each look begins a little before that. What lies there and is held back elsewhere is
//! remembered, so that it is not tried at every look.

use std::collections::BTreeSet;
use std::time::Duration;

use weir_types::clock::Timestamp;
use weir_types::index::DuePosition;
use weir_types::record::OutboxEntry;

/// An entry that is committed later than this after its time was read is found only when the
/// whole outbox is looked through.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Entries that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// How far the end of the outbox was read.
pub(super) struct Arrivals {
    /// The next entry to be read.
    tip: DuePosition,
    /// Looks begin here at the earliest.
    closed: DuePosition,
    /// Looks begin here at present.
    from: DuePosition,
    /// Entries from `from` on that are held back.
    remembered: BTreeSet<DuePosition>,
    /// The last page was full.
    more: bool,
}

impl Arrivals {
    /// Begins at `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        let tip = DuePosition::at(before(now));
        Self {
            tip,
            closed: DuePosition::START,
            from: tip,
            remembered: BTreeSet::new(),
            more: false,
        }
    }

    /// Where the next page begins.
    pub(super) fn next_page(&mut self, now: Timestamp) -> DuePosition {
        if self.more {
            return self.tip;
        }
        let late = DuePosition::at(before(now));
        self.from = self.tip.min(late).max(self.closed);
        self.remembered = self.remembered.split_off(&self.from);
        self.from
    }

    /// Takes a page of at most `limit` entries, and leaves in it what is not held back.
    pub(super) fn take(&mut self, page: &mut Vec<OutboxEntry>, limit: usize) {
        self.more = page.len() >= limit;
        if let Some(last) = page.last() {
            self.tip = self.tip.max(DuePosition::of(last).next());
        }
        page.retain(|entry| !self.remembered.contains(&DuePosition::of(entry)));
    }

    /// An entry is held back, and will be read again when its wait is over.
    pub(super) fn remember(&mut self, entry: &OutboxEntry) {
        let at = DuePosition::of(entry);
        if at < self.from {
            return;
        }
        self.remembered.insert(at);
        if self.remembered.len() > REMEMBERED_MAX
            && let Some(first) = self.remembered.pop_first()
        {
            self.closed = self.closed.max(first.next());
        }
    }

    /// Whether the end was not reached.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Whether each look reads what is known already.
    pub(super) fn is_crowded(&self) -> bool {
        !self.remembered.is_empty()
    }
}

fn before(now: Timestamp) -> Timestamp {
    let late_max = u64::try_from(LATE_MAX.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(late_max))
}
