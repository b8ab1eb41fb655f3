//! Helpers for native unit tests of policies.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::host::Level;
use crate::{
    BackendFacts, BackendState, Excluded, Facts, Object, ObjectCopy, Obstacle, Read, Request,
};

thread_local! {
    static LOGS: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    static COUNTS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Facts with these backends and nothing else known about them.
#[must_use]
pub fn facts(backend_ids: &[&str]) -> Facts {
    let backends = backend_ids
        .iter()
        .map(|id| BackendFacts {
            id: (*id).to_owned(),
            ..BackendFacts::default()
        })
        .collect();
    Facts {
        backends,
        ..Facts::default()
    }
}

/// `count` empty, healthy, writable backends without a limit.
#[must_use]
pub fn states(count: usize) -> Vec<BackendState> {
    vec![
        BackendState {
            writable: true,
            slots_max: 16,
            ..BackendState::default()
        };
        count
    ]
}

/// A PutObject of unknown size for two copies, acknowledged after one.
#[must_use]
pub fn request(bucket: &str, key: &str) -> Request {
    Request {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        principal: "tester".to_owned(),
        copies: 2,
        ack: 1,
        ..Request::default()
    }
}

/// Backend `backend` has no room for more bytes.
#[must_use]
pub fn full(backend: u32) -> Excluded {
    Excluded {
        backend,
        obstacle: Obstacle::Bytes,
        resets_at_ms: None,
    }
}

/// An object of 1 MB that was just committed, with good copies on these
/// backends and no others wanted.
#[must_use]
pub fn object(bucket: &str, key: &str, backends: &[u32]) -> Object {
    let copy = |backend: &u32| ObjectCopy {
        backend: *backend,
        ..ObjectCopy::default()
    };
    Object {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        size_bytes: 1_000_000,
        copies_wanted: u32::try_from(backends.len()).unwrap_or(u32::MAX),
        candidates: backends.to_vec(),
        copies: backends.iter().map(copy).collect(),
        ..Object::default()
    }
}

/// A read of a whole object of 1 MB with copies on these backends.
#[must_use]
pub fn read(bucket: &str, key: &str, copies: &[u32]) -> Read {
    Read {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        size_bytes: 1_000_000,
        length_bytes: 1_000_000,
        principal: "tester".to_owned(),
        copies: copies.to_vec(),
        ..Read::default()
    }
}

/// The log lines of this thread since the last call.
#[must_use]
pub fn take_logs() -> Vec<(Level, String)> {
    LOGS.take()
}

/// The counters of this thread since the last call.
#[must_use]
pub fn take_counts() -> BTreeMap<String, u64> {
    COUNTS.take()
}

pub(crate) fn record_log(level: Level, message: &str) {
    LOGS.with_borrow_mut(|logs| logs.push((level, message.to_owned())));
}

pub(crate) fn record_count(name: &str, delta: u64) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(name.to_owned()).or_default() += delta);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn log_and_count_reach_the_test() {
        host::log(Level::Warn, "hot");
        host::count("placed", 1);
        host::count("placed", 2);
        assert_eq!(take_logs(), [(Level::Warn, "hot".to_owned())]);
        assert_eq!(take_counts(), BTreeMap::from([("placed".to_owned(), 3)]));
        assert!(take_logs().is_empty() && take_counts().is_empty());
    }
}
