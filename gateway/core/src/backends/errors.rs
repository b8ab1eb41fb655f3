//! How many calls to a backend fail.

use std::sync::atomic::{AtomicU32, Ordering};

/// One call counts for this part of the whole.
const WEIGHT: u32 = 32;

/// In these parts the share is kept, so that it can reach 0.
const WHOLE: u32 = 1000 * WEIGHT;

/// A smoothed share of failed calls. Calls that end together may count as one: it is an
/// estimate, and free.
#[derive(Debug, Default)]
pub(super) struct ErrorShare(AtomicU32);

impl ErrorShare {
    /// A call ended.
    pub(super) fn learn(&self, failed: bool) {
        let old = self.0.load(Ordering::Relaxed);
        if old == 0 && !failed {
            return;
        }
        let fall = old.div_ceil(WEIGHT);
        let rise = if failed { WHOLE / WEIGHT } else { 0 };
        self.0
            .store((old - fall + rise).min(WHOLE), Ordering::Relaxed);
    }

    /// In thousandths.
    pub(super) fn permille(&self) -> u32 {
        self.0.load(Ordering::Relaxed) / WEIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_what_happens() {
        let share = ErrorShare::default();
        share.learn(false);
        assert_eq!(share.permille(), 0);
        share.learn(true);
        assert_eq!(share.permille(), 31);
        for _ in 0..500 {
            share.learn(true);
        }
        assert!(share.permille() >= 990, "{share:?}");
        for _ in 0..500 {
            share.learn(false);
        }
        assert_eq!(share.permille(), 0);
    }
}
