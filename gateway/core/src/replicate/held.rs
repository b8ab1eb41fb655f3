//! Work that cannot start yet, held back in memory.
//!
//! Entries that wait for the same thing share a lot. A lot keeps a few of them and, of all
//! others, only where in the outbox the first one stands. So a backlog of any length takes
//! the memory of a few entries, nothing is written while it waits, and when the wait is over
//! it is read again from there.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use weir_types::clock::Timestamp;
use weir_types::id::BackendId;
use weir_types::index::DuePosition;
use weir_types::record::{OutboxEntry, Work};

use super::job::Subject;
use crate::backends::Backends;
use crate::observe::OperationClass;

/// Entries that a lot keeps: enough that reading the outbox again is rare.
pub(super) const NEAR_MAX: usize = 256;

/// Lots that are told apart.
const LOTS_MAX: usize = 64;

/// While breakers are not closed, one entry of a lot is let go at most this often.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// What an entry waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// To be looked at for the first time.
    Look,
    /// The end of work on the same subject.
    Subject(Subject),
    /// A slot of this backend.
    Slot(BackendId),
    /// One of these breakers.
    Breakers(Vec<(BackendId, OperationClass)>),
}

impl Wait {
    /// Waits for the first of these breakers that lets requests through.
    pub(super) fn breakers(mut doors: Vec<(BackendId, OperationClass)>) -> Self {
        doors.sort();
        doors.dedup();
        Self::Breakers(doors)
    }
}

/// Whether entries of a lot may start now.
enum Gate {
    Shut,
    /// One may find out.
    Probe,
    /// So many.
    Open(usize),
}

/// What decides about gates.
pub(super) struct Gates<'a> {
    pub(super) backends: &'a Backends,
    pub(super) subjects: &'a HashSet<Subject>,
}

impl Gates<'_> {
    fn of(&self, wait: &Wait) -> Gate {
        match wait {
            Wait::Look => Gate::Open(usize::MAX),
            Wait::Subject(subject) if self.subjects.contains(subject) => Gate::Shut,
            Wait::Subject(_) => Gate::Open(1),
            Wait::Slot(backend) => {
                let handle = self.backends.get(backend);
                match handle.map(|handle| handle.background_slots().available_permits()) {
                    Some(0) => Gate::Shut,
                    Some(free) => Gate::Open(free),
                    None => Gate::Open(usize::MAX),
                }
            }
            Wait::Breakers(doors) => {
                let mut gate = Gate::Shut;
                for (backend, class) in doors {
                    match self.backends.get(backend) {
                        Some(handle) if !handle.is_healthy(*class) => {
                            if handle.would_admit(*class) {
                                gate = Gate::Probe;
                            }
                        }
                        _ => return Gate::Open(usize::MAX),
                    }
                }
                gate
            }
        }
    }
}

/// Entries that wait for the same thing.
#[derive(Default)]
struct Lot {
    near: Vec<OutboxEntry>,
    /// Where the first of the others stands.
    far: Option<DuePosition>,
    probed_at: Option<Instant>,
    /// Lots are read on in turns: the lower number comes first.
    turn: u64,
}

/// All work that is held back.
#[derive(Default)]
pub(super) struct Held {
    lots: BTreeMap<Wait, Lot>,
    turns: u64,
}

impl Held {
    /// Has the whole outbox looked through.
    pub(super) fn look_through(&mut self) {
        let lot = self.lots.entry(Wait::Look).or_default();
        lot.far = Some(DuePosition::START);
    }

    /// Holds an entry back. Gives the entry that its lot does not keep, if it is full: the
    /// heaviest, which will be read again. Refuses what is one lot too many.
    pub(super) fn hold(
        &mut self,
        wait: Wait,
        entry: OutboxEntry,
        now: Timestamp,
    ) -> Result<Option<OutboxEntry>, OutboxEntry> {
        if self.lots.len() >= LOTS_MAX && !self.lots.contains_key(&wait) {
            return Err(entry);
        }
        let lot = self.lots.entry(wait).or_default();
        lot.near.push(entry);
        if lot.near.len() <= NEAR_MAX {
            return Ok(None);
        }
        let weights = lot.near.iter().map(|entry| weight(entry, now));
        let heaviest = weights
            .enumerate()
            .max_by_key(|(at, weight)| (*weight, *at));
        let dropped = lot.near.swap_remove(heaviest.map_or(0, |(at, _)| at));
        let at = DuePosition::of(&dropped);
        lot.far = Some(lot.far.map_or(at, |far| far.min(at)));
        Ok(Some(dropped))
    }

    /// Takes out what may start now, the lightest of each lot.
    pub(super) fn release(&mut self, gates: &Gates<'_>, now: Timestamp) -> Vec<OutboxEntry> {
        let instant = Instant::now();
        let mut released = Vec::new();
        for (wait, lot) in &mut self.lots {
            let count = match gates.of(wait) {
                _ if lot.near.is_empty() => 0,
                Gate::Shut => 0,
                Gate::Open(count) => count.min(lot.near.len()),
                Gate::Probe => {
                    let rested = |at: Instant| instant >= at + PROBE_EVERY;
                    let may = lot.probed_at.is_none_or(rested);
                    if may {
                        lot.probed_at = Some(instant);
                    }
                    usize::from(may)
                }
            };
            if count > 0 {
                lot.near.sort_by_cached_key(|entry| weight(entry, now));
                released.extend(lot.near.drain(..count));
            }
        }
        self.lots
            .retain(|_, lot| !lot.near.is_empty() || lot.far.is_some());
        released
    }

    /// Whether [`Held::next_page`] would say something.
    pub(super) fn has_pages(&self, gates: &Gates<'_>) -> bool {
        self.next_lot(gates).is_some()
    }

    /// The lot that has nothing left of what it keeps and may go on, and where it is read on.
    /// Must be told by [`Held::read`] how far it came.
    pub(super) fn next_page(&self, gates: &Gates<'_>) -> Option<(Wait, DuePosition)> {
        self.next_lot(gates).map(|(wait, far)| (wait.clone(), far))
    }

    fn next_lot(&self, gates: &Gates<'_>) -> Option<(&Wait, DuePosition)> {
        let lots = self.lots.iter().filter(|(wait, lot)| {
            lot.near.is_empty() && lot.far.is_some() && !matches!(gates.of(wait), Gate::Shut)
        });
        let (wait, lot) = lots.min_by_key(|(_, lot)| lot.turn)?;
        Some((wait, lot.far?))
    }

    /// A lot's entries were read up to `far`; `None`: to the end.
    pub(super) fn read(&mut self, wait: &Wait, far: Option<DuePosition>) {
        self.turns += 1;
        if let Some(lot) = self.lots.get_mut(wait) {
            lot.far = far;
            lot.turn = self.turns;
        }
    }

    /// Whether anything waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }
}

/// Orders what is due: small before large, but each second of waiting counts against size, so
/// that a stream of small work does not starve large.
pub(super) fn weight(entry: &OutboxEntry, now: Timestamp) -> u64 {
    let bytes = match &entry.work {
        Work::Replicate { bytes, .. } => *bytes,
        _ => 0,
    };
    bytes / (1 + now.since(entry.created_at).as_secs())
}

#[cfg(test)]
mod tests;
