//! When a revision that keeps failing is no longer asked.
//!
//! One crafted key or one client must not switch a policy off for everybody:
//! faults count by distinct keys, and they must come from two principals. Where one is all there
//! is and no call has succeeded meanwhile, the policy is probed first, on inputs that once
//! succeeded. The way back is the same probe, after a time that doubles.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::limits::Limits;

/// Faults further apart than this have nothing to do with each other.
const WINDOW_MS: u64 = 60_000;
/// Distinct keys and principals that are remembered.
const DISTINCT_MAX: usize = 64;

/// Whether a revision may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Open,
    /// No.
    Closed,
    /// This caller, and no other, is to probe and tell [`Quarantine::probed`].
    Probe,
}

#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    closed: AtomicBool,
    successes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_start_ms: u64,
    successes_at_start: u64,
    keys: Vec<u64>,
    principals: Vec<u64>,
    /// Times in quarantine in a row; the wait doubles with each.
    level: u32,
    until_ms: u64,
    opened_ms: u64,
    probing: bool,
    /// Distinct keys at which faults of one principal lead to the next probe.
    probe_at: usize,
}

impl Quarantine {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(crate) fn admit(&self, now_ms: u64) -> Admission {
        if !self.is_closed() {
            return Admission::Open;
        }
        let mut state = self.state.lock();
        if state.probing || now_ms < state.until_ms {
            return Admission::Closed;
        }
        state.probing = true;
        Admission::Probe
    }

    pub(crate) fn succeeded(&self) {
        self.successes.fetch_add(1, Relaxed);
    }

    /// Notes a fault; true if the revision is in quarantine from now on. `works` probes it on
    /// inputs that once succeeded, `None` where there are none; it is called without a lock.
    pub(crate) fn failed(
        &self,
        now_ms: u64,
        key: u64,
        principal: u64,
        limits: &Limits,
        works: impl FnOnce() -> Option<bool>,
    ) -> bool {
        let successes = self.successes.load(Relaxed);
        let mut state = self.state.lock();
        if state.keys.is_empty() || now_ms.saturating_sub(state.window_start_ms) > WINDOW_MS {
            state.window_start_ms = now_ms;
            state.successes_at_start = successes;
            state.keys.clear();
            state.principals.clear();
            state.probe_at = limits.quarantine_keys_min;
        }
        insert(&mut state.keys, key);
        insert(&mut state.principals, principal);
        if self.is_closed() || state.keys.len() < limits.quarantine_keys_min {
            return false;
        }
        if state.principals.len() < 2 {
            if successes != state.successes_at_start {
                return false;
            }
            if state.keys.len() < DISTINCT_MAX {
                // A probe costs instances, so it is not made at every key.
                if state.probing || state.keys.len() < state.probe_at {
                    return false;
                }
                state.probe_at = state.keys.len().saturating_mul(2);
                state.probing = true;
                drop(state);
                let works = works();
                state = self.state.lock();
                state.probing = false;
                if works == Some(true) || self.is_closed() {
                    return false;
                }
            }
        }
        if now_ms.saturating_sub(state.opened_ms) > 2 * limits.quarantine_ms_max {
            state.level = 0;
        }
        state.close(now_ms, limits);
        self.closed.store(true, Relaxed);
        true
    }

    /// Ends a probe: open again, or closed for twice as long.
    pub(crate) fn probed(&self, now_ms: u64, good: bool, limits: &Limits) {
        let mut state = self.state.lock();
        state.probing = false;
        if good {
            state.opened_ms = now_ms;
            state.keys.clear();
            state.principals.clear();
            self.closed.store(false, Relaxed);
        } else {
            state.close(now_ms, limits);
        }
    }
}

impl State {
    fn close(&mut self, now_ms: u64, limits: &Limits) {
        let factor = 1_u64.checked_shl(self.level).unwrap_or(u64::MAX);
        let wait_ms = limits.quarantine_ms_min.saturating_mul(factor);
        self.until_ms = now_ms.saturating_add(wait_ms.min(limits.quarantine_ms_max));
        self.level = (self.level + 1).min(63);
    }
}

fn insert(set: &mut Vec<u64>, value: u64) {
    if set.len() < DISTINCT_MAX && !set.contains(&value) {
        set.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            quarantine_keys_min: 3,
            quarantine_ms_min: 100,
            quarantine_ms_max: 1000,
            ..Limits::default()
        }
    }

    /// Feeds faults and successes, `works` being what a probe finds: a fault is a
    /// (key, principal). Gives the number of probes.
    fn check(events: &[Option<(u64, u64)>], works: Option<bool>, closed: bool) -> u32 {
        let quarantine = Quarantine::default();
        let mut probes = 0;
        for event in events {
            match event {
                Some((key, principal)) => {
                    quarantine.failed(1, *key, *principal, &limits(), || {
                        assert!(!quarantine.state.is_locked());
                        probes += 1;
                        works
                    });
                }
                None => quarantine.succeeded(),
            }
        }
        assert_eq!(quarantine.is_closed(), closed, "{events:?}, {works:?}");
        probes
    }

    #[test]
    fn only_widespread_faults_close() {
        let fault = |key, principal| Some((key, principal));
        let of_one = |keys: u64| (0..keys).map(|key| fault(key, 1)).collect::<Vec<_>>();
        let (all, one_less) = (DISTINCT_MAX as u64, DISTINCT_MAX as u64 - 1);
        let after = |event, mut events: Vec<_>| {
            events.push(event);
            events
        };
        for (events, works, closed, probes) in [
            // One key, however often; few keys.
            (
                vec![fault(1, 1), fault(1, 2), fault(1, 3), fault(1, 4)],
                None,
                false,
                0,
            ),
            (vec![fault(1, 1), fault(2, 2)], None, false, 0),
            // One principal while others succeed.
            (
                vec![fault(1, 1), None, fault(2, 1), fault(3, 1), fault(4, 1)],
                None,
                false,
                0,
            ),
            // Two principals, whoever succeeds.
            (
                vec![fault(1, 1), None, fault(2, 2), fault(3, 1)],
                Some(true),
                true,
                0,
            ),
            (after(fault(9, 2), of_one(4)), Some(true), true, 1),
            // One principal while nobody succeeds: a probe tells.
            (of_one(2), Some(false), false, 0),
            (of_one(3), None, true, 1),
            (of_one(3), Some(false), true, 1),
            (of_one(3), Some(true), false, 1),
            // At 3, 6, 12, 24 and 48 keys.
            (of_one(one_less), Some(true), false, 5),
            // So many keys are more than somebody's bad luck.
            (of_one(all), Some(true), true, 5),
        ] {
            assert_eq!(check(&events, works, closed), probes, "{events:?}");
        }
    }

    #[test]
    fn faults_far_apart_do_not_add_up() {
        let quarantine = Quarantine::default();
        for n in 0..10 {
            assert!(!quarantine.failed(n * (WINDOW_MS + 1), n, n, &limits(), || None));
        }
    }

    #[test]
    fn probes_one_at_a_time_with_growing_waits() {
        let quarantine = Quarantine::default();
        for key in 0..3 {
            quarantine.failed(0, key, key, &limits(), || None);
        }
        let mut now_ms = 0;
        for wait_ms in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(quarantine.admit(now_ms + wait_ms - 1), Admission::Closed);
            now_ms += wait_ms;
            assert_eq!(quarantine.admit(now_ms), Admission::Probe);
            assert_eq!(quarantine.admit(now_ms), Admission::Closed);
            quarantine.probed(now_ms, false, &limits());
        }
        assert_eq!(quarantine.admit(now_ms + 1000), Admission::Probe);
        quarantine.probed(now_ms + 1000, true, &limits());
        assert_eq!(quarantine.admit(now_ms + 1000), Admission::Open);
    }
}
