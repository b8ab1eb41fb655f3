//! What each key may show, given which writes were acknowledged when.
//!
//! A write that was acknowledged before another began is over; among the rest any may have
//! been the last. A write that was cut off by a kill may have happened or not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What a key holds: the number of an object, or nothing.
pub(crate) type Value = Option<u64>;

/// A write to one key.
#[derive(Debug, Clone)]
struct Write {
    began: u64,
    ended: Option<u64>,
    /// What it may have written: more than one for a copy, whose source was changing.
    values: BTreeSet<Value>,
}

/// The writes to all keys. Time is a counter.
#[derive(Debug)]
pub(crate) struct History {
    keys: Vec<Mutex<Vec<Write>>>,
    clock: AtomicU64,
    acknowledged: AtomicU64,
    cut_off: AtomicU64,
}

/// A write that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    key: usize,
    began: u64,
}

impl History {
    /// `keys` keys that hold nothing.
    pub(crate) fn new(keys: usize) -> Self {
        let empty = Write {
            began: 0,
            ended: Some(0),
            values: BTreeSet::from([None]),
        };
        Self {
            keys: (0..keys).map(|_| Mutex::new(vec![empty.clone()])).collect(),
            clock: AtomicU64::new(1),
            acknowledged: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
        }
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Notes that a write of one of `values` to `key` begins.
    pub(crate) fn begin(&self, key: usize, values: BTreeSet<Value>) -> Begun {
        let mut writes = self.keys[key].lock();
        let began = self.tick();
        writes.push(Write {
            began,
            ended: None,
            values,
        });
        Begun { key, began }
    }

    /// Notes that it was acknowledged. `values`, when given, are what it may have written.
    pub(crate) fn acknowledge(&self, begun: Begun, values: Option<BTreeSet<Value>>) {
        let mut writes = self.keys[begun.key].lock();
        let ended = self.tick();
        for write in writes.iter_mut().filter(|write| write.began == begun.began) {
            write.ended = Some(ended);
            if let Some(values) = &values {
                write.values.clone_from(values);
            }
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that it may also have written one of `values`.
    pub(crate) fn widen(&self, begun: Begun, values: BTreeSet<Value>) {
        let mut writes = self.keys[begun.key].lock();
        for write in writes.iter_mut().filter(|write| write.began == begun.began) {
            write.values.extend(values.iter().copied());
        }
    }

    /// Notes that it was refused: it had no effect.
    pub(crate) fn refuse(&self, begun: Begun) {
        self.keys[begun.key]
            .lock()
            .retain(|write| write.began != begun.began);
    }

    /// Notes that nobody knows what became of it; it stays possible.
    pub(crate) fn lose(&self) {
        self.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    /// What `key` may show from `since` (a time that [`History::now`] gave) until now.
    pub(crate) fn possible(&self, key: usize, since: u64) -> BTreeSet<Value> {
        possible(&self.keys[key].lock(), since)
    }

    /// The time now.
    pub(crate) fn now(&self) -> u64 {
        self.tick()
    }

    /// Notes that after a restart, with nobody writing, `key` shows `value`; or says what it
    /// might have shown instead.
    pub(crate) fn settle(&self, key: usize, value: Value) -> Result<(), BTreeSet<Value>> {
        let mut writes = self.keys[key].lock();
        let allowed = possible(&writes, u64::MAX);
        if !allowed.contains(&value) {
            return Err(allowed);
        }
        let now = self.tick();
        *writes = vec![Write {
            began: now,
            ended: Some(now),
            values: BTreeSet::from([value]),
        }];
        Ok(())
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many were cut off.
    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }
}

/// A write is over for readers from `since` on if another one began after its end and was
/// acknowledged before `since`.
fn possible(writes: &[Write], since: u64) -> BTreeSet<Value> {
    let over = |write: &Write| {
        write.ended.is_some_and(|ended| {
            writes
                .iter()
                .any(|other| other.began > ended && other.ended.is_some_and(|e| e < since))
        })
    };
    writes
        .iter()
        .filter(|write| !over(write))
        .flat_map(|write| write.values.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: u64) -> BTreeSet<Value> {
        BTreeSet::from([Some(id)])
    }

    #[test]
    fn an_acknowledged_write_must_be_seen() {
        let history = History::new(1);
        let write = history.begin(0, one(1));
        history.acknowledge(write, None);
        assert_eq!(history.possible(0, u64::MAX), one(1));
        assert_eq!(history.settle(0, None), Err(one(1)), "lost");
        assert_eq!(history.settle(0, Some(1)), Ok(()));
    }

    #[test]
    fn a_write_that_was_cut_off_may_be_seen() {
        let history = History::new(1);
        let first = history.begin(0, one(1));
        history.acknowledge(first, None);
        history.begin(0, one(2));
        history.lose();
        assert_eq!(
            history.possible(0, u64::MAX),
            BTreeSet::from([Some(1), Some(2)])
        );
        assert_eq!(history.settle(0, Some(2)), Ok(()));
        assert_eq!(
            history.settle(0, Some(1)),
            Err(one(2)),
            "it cannot change its mind"
        );
    }

    #[test]
    fn a_deleted_object_never_returns() {
        let history = History::new(1);
        for values in [one(1), BTreeSet::from([None])] {
            let write = history.begin(0, values);
            history.acknowledge(write, None);
        }
        assert_eq!(
            history.settle(0, Some(1)),
            Err(BTreeSet::from([None])),
            "resurrected"
        );
    }

    #[test]
    fn of_concurrent_writes_any_may_be_last() {
        let history = History::new(1);
        let (a, b) = (history.begin(0, one(1)), history.begin(0, one(2)));
        history.acknowledge(a, None);
        history.acknowledge(b, None);
        assert_eq!(
            history.possible(0, u64::MAX),
            BTreeSet::from([Some(1), Some(2)])
        );
        assert!(history.settle(0, None).is_err());
    }

    #[test]
    fn a_refused_write_leaves_no_trace() {
        let history = History::new(1);
        let write = history.begin(0, one(1));
        history.refuse(write);
        assert_eq!(history.settle(0, Some(1)), Err(BTreeSet::from([None])));
    }

    #[test]
    fn a_reader_may_see_what_was_there_when_it_began() {
        let history = History::new(1);
        let first = history.begin(0, one(1));
        history.acknowledge(first, None);
        let since = history.now();
        let second = history.begin(0, one(2));
        history.acknowledge(second, None);
        assert_eq!(
            history.possible(0, since),
            BTreeSet::from([Some(1), Some(2)])
        );
        assert_eq!(history.possible(0, u64::MAX), one(2));
    }
}
