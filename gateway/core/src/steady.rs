//! A clock that never goes back.
//!
//! Work of the background is due at times that stand in the index. A wall clock that is set
//! back would put all of it off by the leap. So the time that orders work goes on as time does
//! when the wall clock falls behind it, and is never less than what the index has seen. What
//! clients are told of puts and copies is the wall clock's.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_types::clock::{Clock, Timestamp};

/// While it is ahead of the wall clock it is slower by one part in so many, so that small
/// leaps are made up for.
const SLOWER_BY: u32 = 100;

pub(crate) struct SteadyClock {
    wall: Arc<dyn Clock>,
    /// What it showed last, and when.
    shown: Mutex<(Timestamp, Instant)>,
}

impl SteadyClock {
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        let shown = Mutex::new((wall.now(), Instant::now()));
        Self { wall, shown }
    }

    /// The wall clock's time, which may leap in both directions.
    pub(crate) fn wall(&self) -> Timestamp {
        self.wall.now()
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut shown = self.shown.lock();
        let (last, at) = *shown;
        let passed = at.elapsed();
        let least = last.plus(passed - passed / SLOWER_BY);
        let now = self.wall.now().max(least);
        if now > last {
            *shown = (now, Instant::now());
        }
        now
    }

    /// It shows no less than `seen` from now on.
    pub(crate) fn raise(&self, seen: Timestamp) {
        let mut shown = self.shown.lock();
        if seen > shown.0 {
            *shown = (seen, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[derive(Clone, Default)]
    struct Wall(Arc<AtomicU64>);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_goes_back_and_never_stands() {
        let wall = Wall::default();
        let steady = SteadyClock::new(Arc::new(wall.clone()));
        // The wall clock, how much time passes, and what the steady one shows.
        for (shows, pass, wanted) in [
            (1000, 0, 1000),
            (2000, 1000, 2000),
            (90_000, 0, 90_000),
            (3000, 0, 90_000),
            (4000, 1000, 90_990),
            (5000, 1000, 91_980),
            (91_990, 0, 91_990),
            (92_990, 1000, 92_990),
        ] {
            advance(Duration::from_millis(pass)).await;
            wall.0.store(shows, Ordering::SeqCst);
            assert_eq!(steady.now().as_millis(), wanted, "the wall shows {shows}");
            assert_eq!(steady.wall().as_millis(), shows);
        }
        steady.raise(Timestamp::from_millis(5));
        assert_eq!(steady.now().as_millis(), 92_990);
        steady.raise(Timestamp::from_millis(200_000));
        assert_eq!(steady.now().as_millis(), 200_000);
    }
}
