//! A few inputs that a revision answered well, to probe it with when it is in
//! quarantine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::api::{Input, OwnedInput};

const KEPT_MAX: usize = 4;
/// Once the first are kept, one input in so many replaces an older one.
const OFFERED_PER_KEPT: u64 = 1024;

/// Inputs of one decision.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    offered: AtomicU64,
    kept: Mutex<Vec<OwnedInput>>,
}

impl Recordings {
    /// Keeps the first inputs, and some of the later ones.
    pub(crate) fn offer<'a>(&self, input: impl FnOnce() -> Input<'a>) {
        let offered = self.offered.fetch_add(1, Relaxed);
        let first = offered < KEPT_MAX as u64;
        if !first && !offered.is_multiple_of(OFFERED_PER_KEPT) {
            return;
        }
        let recording = OwnedInput::from(&input());
        let mut kept = self.kept.lock();
        if kept.len() < KEPT_MAX {
            kept.push(recording);
        } else {
            let oldest = (offered / OFFERED_PER_KEPT) as usize % KEPT_MAX;
            kept[oldest] = recording;
        }
    }

    /// Whether `good` holds for every kept input; `None` if none is kept. Ends at the first
    /// that it does not hold for.
    pub(crate) fn all(&self, mut good: impl FnMut(&Input<'_>) -> bool) -> Option<bool> {
        let kept = std::mem::take(&mut *self.kept.lock());
        if kept.is_empty() {
            return None;
        }
        let all = kept
            .iter()
            .all(|recording| recording.borrow(|input| good(&input)));
        *self.kept.lock() = kept;
        Some(all)
    }
}
