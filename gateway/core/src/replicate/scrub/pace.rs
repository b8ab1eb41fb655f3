//! How fast copies are read.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A budget of bytes and of requests per second, by the monotonic clock. Each piece is paid
/// for by the time that the next one waits; time in which nothing is read is not saved up. So
/// in any time, at most as much is read as fits into it, and one piece more.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    requests_per_second: u32,
    ready_at: Instant,
}

impl Pace {
    /// A budget that is free at once.
    pub(super) fn new(bytes_per_second: u64, requests_per_second: u32) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            requests_per_second: requests_per_second.max(1),
            ready_at: Instant::now(),
        }
    }

    /// Waits until the next piece may be read.
    pub(super) async fn ready(&self) {
        sleep_until(self.ready_at).await;
    }

    /// A piece of so many bytes is read now, with one request.
    pub(super) fn spend(&mut self, bytes: u64) {
        let for_bytes = cost(bytes, self.bytes_per_second);
        let for_requests = cost(1, u64::from(self.requests_per_second));
        self.ready_at = self.ready_at.max(Instant::now()) + for_bytes.max(for_requests);
    }
}

/// The time that `count` take at a rate, rounded up.
fn cost(count: u64, per_second: u64) -> Duration {
    let nanos = (u128::from(count) * 1_000_000_000).div_ceil(u128::from(per_second));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_dearer_of_bytes_and_requests_counts_and_nothing_is_saved_up() {
        const MIB: u64 = 1 << 20;
        let mut pace = Pace::new(MIB, 20);
        // Time that passes before a piece, its bytes, and how long the next one waits then.
        for (pass, bytes, wait) in [
            (0, MIB, 1000),
            (1000, MIB / 2, 500),
            (500, 10, 50),
            (50, 0, 50),
            (90_000, MIB, 1000),
            (400, MIB, 1600),
        ] {
            advance(Duration::from_millis(pass)).await;
            pace.spend(bytes);
            let left = pace.ready_at - Instant::now();
            assert_eq!(left.as_millis(), wait, "{bytes} bytes after {pass} ms");
        }
    }

    #[test]
    fn a_cost_is_never_too_small() {
        for (count, per_second, nanos) in [
            (0, 5, 0),
            (1, 3, 333_333_334),
            (u64::MAX, 1, u64::MAX),
            (1, u64::MAX, 1),
        ] {
            assert_eq!(cost(count, per_second), Duration::from_nanos(nanos));
        }
    }
}
