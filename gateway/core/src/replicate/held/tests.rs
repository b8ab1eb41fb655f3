use std::sync::Arc;

use weir_backend::memory::MemoryBackend;
use weir_types::backend::{Backend, BackendError, BackendErrorKind};
use weir_types::id::{BlobId, OutboxId};

use super::*;
use crate::Settings;
use crate::backends::BackendFacts;
use crate::observe::{Observer, Silent};

fn id() -> BackendId {
    BackendId::parse("b0").expect("a valid id")
}

fn backends() -> Backends {
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let facts = BackendFacts::new(id());
    let backend = Arc::new(MemoryBackend::new()) as Arc<dyn Backend>;
    Backends::new(vec![(facts, backend)], &observer, &Settings::default())
}

/// Entry number `number`, due at that time.
fn entry(number: u64, bytes: u64) -> OutboxEntry {
    let at = Timestamp::from_millis(number);
    let blob = BlobId(number.into());
    let work = Work::Replicate { blob, bytes };
    OutboxEntry {
        id: OutboxId(number),
        work,
        created_at: NOW,
        not_before: at,
        attempts: 0,
        last_error: None,
        due_since: at,
    }
}

const NOW: Timestamp = Timestamp::from_millis(0);

#[test]
fn a_lot_keeps_the_lightest_and_knows_where_the_rest_is() {
    let (backends, subjects) = (backends(), HashSet::new());
    let gates = Gates {
        backends: &backends,
        subjects: &subjects,
    };
    let mut held = Held::default();
    let many = NEAR_MAX as u64 + 3;
    let mut dropped = Vec::new();
    for number in 1..=many {
        let bytes = if number % 100 == 0 { 1000 } else { number };
        let over = held.hold(Wait::Slot(id()), entry(number, bytes), NOW);
        dropped.extend(over.expect("there are few lots").map(|entry| entry.id.0));
    }
    assert_eq!(dropped, [200, 100, many]);
    assert!(!held.has_pages(&gates), "what is kept comes first");

    let handle = backends.get(&id()).expect("is configured");
    let free = handle.background_slots().available_permits();
    let first = held.release(&gates, NOW);
    let bytes = |entry: &OutboxEntry| weight(entry, NOW);
    assert_eq!(first.len(), free, "as many as there are slots");
    assert!(first.is_sorted_by_key(bytes) && bytes(&first[0]) == 1);
    let slots = Arc::clone(handle.background_slots());
    let taken = slots.try_acquire_many(u32::try_from(free).expect("few"));
    assert_eq!(held.release(&gates, NOW), [], "all slots are taken");
    drop(taken);
    let mut released = first.len();
    while !held.has_pages(&gates) {
        released += held.release(&gates, NOW).len();
    }
    assert_eq!(released, NEAR_MAX);
    let (wait, from) = held.next_page(&gates).expect("some are left");
    assert_eq!(
        (&wait, from),
        (&Wait::Slot(id()), DuePosition::of(&entry(100, 0)))
    );
    held.read(&wait, None);
    assert_eq!(held.release(&gates, NOW), []);
    assert!(held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_finds_out_whether_a_breaker_closes() {
    let (backends, subjects) = (backends(), HashSet::new());
    let gates = Gates {
        backends: &backends,
        subjects: &subjects,
    };
    let handle = backends.get(&id()).expect("is configured");
    let class = OperationClass::Write;
    let down = BackendError::new(BackendErrorKind::Unavailable, "down");
    for _ in 0..Settings::default().breaker_failures_max {
        handle.learn(class, Some(&down));
    }
    let mut held = Held::default();
    let wait = Wait::breakers(vec![(id(), class), (id(), class)]);
    for number in 1..=9 {
        let held = held.hold(wait.clone(), entry(number, 0), NOW);
        assert_eq!(held, Ok(None));
    }
    assert_eq!(held.release(&gates, NOW), []);
    tokio::time::sleep(Settings::default().breaker_open.0).await;
    assert_eq!(held.release(&gates, NOW).len(), 1, "a probe");
    assert!(handle.admits(class));
    assert_eq!(held.release(&gates, NOW), [], "it is on its way");
    handle.learn(class, None);
    assert_eq!(held.release(&gates, NOW).len(), 8);
}

#[test]
fn lots_are_few() {
    let mut held = Held::default();
    let wait = |number: u64| Wait::Subject(Subject::Blob(BlobId(number.into())));
    for number in 1..=LOTS_MAX as u64 {
        assert_eq!(held.hold(wait(number), entry(number, 0), NOW), Ok(None));
    }
    assert_eq!(held.hold(wait(1), entry(90, 0), NOW), Ok(None));
    let over = entry(99, 0);
    assert_eq!(held.hold(wait(99), over.clone(), NOW), Err(over));
}
