//! A circuit breaker (Nygard, "Release It!"): after failures in a row it opens, after a while
//! it lets one request through, and closes when that succeeds.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One breaker. Time is tokio's, so tests can pause it.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    open_first: Duration,
    open_longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        span: Duration,
    },
    /// One request is out; when it is not heard of until `until`, another may try.
    HalfOpen {
        until: Instant,
        span: Duration,
    },
}

impl Breaker {
    /// A closed breaker that opens after `failures_max` failures in a row, for the first span
    /// of `open`, then twice as long each time up to the second.
    pub fn new(failures_max: u32, open: (Duration, Duration)) -> Self {
        Self {
            failures_max: failures_max.max(1),
            open_first: open.0,
            open_longest: open.1,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Whether a request may go through now. Of an open breaker whose time is over, the caller
    /// that gets `true` is the probe.
    pub fn admits(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until, span } | State::HalfOpen { until, span } if now >= until => {
                *state = State::HalfOpen {
                    until: now + span,
                    span,
                };
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// Whether [`Breaker::admits`] would let a request through now. Makes nobody the probe.
    pub fn would_admit(&self) -> bool {
        match *self.state.lock() {
            State::Closed { .. } => true,
            State::Open { until, .. } | State::HalfOpen { until, .. } => Instant::now() >= until,
        }
    }

    /// Whether nothing is known against the backend.
    pub fn is_closed(&self) -> bool {
        matches!(*self.state.lock(), State::Closed { .. })
    }

    /// A request succeeded. Returns `Some(false)` when that closed the breaker.
    pub fn succeeded(&self) -> Option<bool> {
        let mut state = self.state.lock();
        let was_closed = matches!(*state, State::Closed { .. });
        *state = State::Closed { failures: 0 };
        (!was_closed).then_some(false)
    }

    /// A request failed. Returns `Some(true)` when that opened the breaker.
    pub fn failed(&self, retry_after: Option<Duration>) -> Option<bool> {
        let now = Instant::now();
        let mut state = self.state.lock();
        match *state {
            State::Closed { failures } if failures + 1 < self.failures_max => {
                *state = State::Closed {
                    failures: failures + 1,
                };
                None
            }
            State::Closed { .. } => {
                let span = self.open_first;
                let pause = span.max(retry_after.unwrap_or_default());
                *state = State::Open {
                    until: now + pause,
                    span,
                };
                Some(true)
            }
            State::HalfOpen { span, .. } => {
                let span = (span * 2).min(self.open_longest);
                let pause = span.max(retry_after.unwrap_or_default());
                *state = State::Open {
                    until: now + pause,
                    span,
                };
                None
            }
            // A request that was let through before the breaker opened.
            State::Open { .. } => None,
        }
    }
}
