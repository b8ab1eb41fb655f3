use std::collections::{BTreeMap, BTreeSet};

use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::id::{BlobId, OutboxId};
use weir_types::record::Work;

use super::*;

const LIMIT: usize = 8;

fn entry(number: u64, due_ms: u64) -> OutboxEntry {
    let at = Timestamp::from_millis(due_ms);
    let blob = BlobId(number.into());
    OutboxEntry {
        id: OutboxId(number),
        work: Work::Clean { blob },
        created_at: at,
        not_before: at,
        attempts: 0,
        last_error: None,
        due_since: at,
    }
}

/// An outbox, and who reads it.
struct Model {
    outbox: BTreeMap<DuePosition, OutboxEntry>,
    seen: BTreeSet<OutboxId>,
    arrivals: Arrivals,
}

impl Model {
    /// One page. What is new to the reader is done at once, or is held back and stays.
    fn look(&mut self, now: u64, mut done: impl FnMut() -> bool) {
        let now = Timestamp::from_millis(now);
        let from = self.arrivals.next_page();
        let due = self.outbox.range(from..);
        let due = due.take_while(|(at, _)| at.not_before <= now);
        let mut page: Vec<_> = due.take(LIMIT).map(|(_, entry)| entry.clone()).collect();
        self.arrivals.take(&mut page, now, LIMIT);
        for entry in page {
            self.seen.insert(entry.id);
            if done() {
                self.outbox.remove(&DuePosition::of(&entry));
            } else {
                self.arrivals.remember(&entry);
            }
        }
    }
}

fn check(seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let below = |end: u64| entropy.u64() % end;
    let late_max = LATE_MAX.as_millis() as u64;
    let mut now = 1_000_000;
    let mut model = Model {
        outbox: BTreeMap::new(),
        seen: BTreeSet::new(),
        arrivals: Arrivals::new(Timestamp::from_millis(now)),
    };
    let mut number = 0;
    for _ in 0..400 {
        // Seconds without a look, or none: the reader may be busy with what it has.
        now += [0, 1, 20, 700, 3 * late_max][below(5) as usize];
        for _ in 0..below(30) {
            number += 1;
            let late = below(late_max);
            let due = now - late + [0, 0, 2 * late_max][below(3) as usize];
            let entry = entry(number, due);
            model.outbox.insert(DuePosition::of(&entry), entry);
        }
        for _ in 0..below(4) {
            model.look(now, || below(3) > 0);
        }
    }
    now += 4 * late_max;
    for _ in 0..number {
        model.look(now, || true);
    }
    let lost: Vec<_> = (1..=number)
        .filter(|number| !model.seen.contains(&OutboxId(*number)))
        .collect();
    assert!(lost.is_empty(), "seed {seed}: never seen: {lost:?}");
}

#[test]
fn every_entry_is_found_however_late_it_was_committed() {
    for seed in 0..200 {
        check(seed);
    }
}
