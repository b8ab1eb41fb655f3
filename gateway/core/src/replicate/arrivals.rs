//! Where new entries of the outbox are looked for: at its end.
//!
//! An entry stands where its time places it, and its time was read a little before it was
//! committed. So entries can come to stand before the end of what was read already. What was
//! read is settled only up to a little before the time at which it was read, and each look
//! begins where that ends. What lies there and is held back elsewhere is remembered, so that
//! it is not tried at every look.

use std::collections::BTreeSet;
use std::time::Duration;

use weir_types::clock::Timestamp;
use weir_types::index::DuePosition;
use weir_types::record::OutboxEntry;

/// An entry that is committed later than this after its time was read is found only when the
/// whole outbox is looked through.
const LATE_MAX: Duration = Duration::from_secs(5);

/// Entries that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// How far the end of the outbox was read.
pub(super) struct Arrivals {
    /// All that stands before this was read, and nothing comes to stand there any more.
    settled: DuePosition,
    /// Looks begin here at the earliest: too much of what lies before is held back.
    closed: DuePosition,
    /// Where the next page begins, when the last one was full.
    next: Option<DuePosition>,
    /// Entries that are held back.
    remembered: BTreeSet<DuePosition>,
}

impl Arrivals {
    /// Begins at `now`.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            settled: before(now),
            closed: DuePosition::START,
            next: None,
            remembered: BTreeSet::new(),
        }
    }

    /// Where the next page begins.
    pub(super) fn next_page(&self) -> DuePosition {
        self.next.unwrap_or_else(|| self.from())
    }

    /// Takes what was read at `now` from [`Arrivals::next_page`] on, at most `limit` entries,
    /// and leaves in it what is not held back.
    pub(super) fn take(&mut self, page: &mut Vec<OutboxEntry>, now: Timestamp, limit: usize) {
        let began = self.next_page();
        let last = page.last().filter(|_| page.len() >= limit);
        self.next = last.map(|last| DuePosition::of(last).next());
        // What was passed over between an earlier page's settled part and this page's begin is
        // read again by the next look.
        if began <= self.from() {
            let end = self.next.unwrap_or(DuePosition::at(now));
            self.settled = self.from().max(end.min(before(now)));
            self.remembered = self.remembered.split_off(&self.settled);
        }
        page.retain(|entry| !self.remembered.contains(&DuePosition::of(entry)));
    }

    /// An entry is held back, and will be read again when its wait is over.
    pub(super) fn remember(&mut self, entry: &OutboxEntry) {
        let at = DuePosition::of(entry);
        if at < self.from() {
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
        self.next.is_some()
    }

    /// Whether each look reads what is known already.
    pub(super) fn is_crowded(&self) -> bool {
        !self.remembered.is_empty()
    }

    /// Where looks begin.
    fn from(&self) -> DuePosition {
        self.settled.max(self.closed)
    }
}

fn before(now: Timestamp) -> DuePosition {
    let late_max = u64::try_from(LATE_MAX.as_millis()).unwrap_or(u64::MAX);
    DuePosition::at(Timestamp::from_millis(
        now.as_millis().saturating_sub(late_max),
    ))
}

#[cfg(test)]
mod tests;
