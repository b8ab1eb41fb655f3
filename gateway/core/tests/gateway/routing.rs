//! In which order copies are read when a policy has a say in it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_core::decide::{BackendState, ReadState, Route};
use weir_core::observe::Clamped;
use weir_types::backend::BackendErrorKind;
use weir_types::crash::CrashPoints;
use weir_types::index::Mutation;
use weir_types::operation::RangeSpec;
use weir_types::record::CopyState;

use crate::support::{Life, Notes, Scripted, World, at_rest, backend_id, blob_of};

/// Four backends, of which `b0`, `b1` and `b2` hold a copy of each object.
fn world(
    seed: u64,
    notes: &Notes,
    route: impl Fn(&ReadState<'_>, &[BackendState]) -> Route + Send + Sync + 'static,
) -> World {
    let mut world = World::in_memory(seed, 4);
    let decider = Scripted::placing(3, |_, _, _| vec![0, 1, 2]);
    world.decider = Arc::new(decider.routing(route));
    world.observer = Arc::new(notes.clone());
    world
}

fn order(order: &[usize]) -> Route {
    Route {
        order: order.to_vec(),
        hedge_after: None,
    }
}

async fn put(life: &Life, key: &str) {
    life.client.put(key, &[1; 100]).await.expect("is put");
    at_rest(life).await;
}

/// Reads the key; tells which backends gave bytes.
async fn served_by(world: &World, life: &Life, key: &str) -> Vec<usize> {
    let given = |number: usize| world.memory(number).bytes_in_out().1;
    let before: Vec<u64> = (0..4).map(given).collect();
    let read = life.client.get(key).await.expect("reads");
    assert!(read.expect("is there").0 == [1; 100]);
    (0..4).filter(|n| given(*n) > before[*n]).collect()
}

#[test]
fn copies_are_tried_in_the_order_of_the_policy() {
    for (seed, first) in (1..).zip([&[2, 1, 0][..], &[1], &[0, 2], &[3, 99, usize::MAX, 1]]) {
        let notes = Notes::default();
        let world = world(seed, &notes, |_, _| order(first));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            put(&life, "key").await;
            let wanted = first
                .iter()
                .find(|number| **number < 3)
                .expect("one that holds it");
            for _ in 0..5 {
                assert_eq!(
                    served_by(&world, &life, "key").await,
                    [*wanted],
                    "{first:?}"
                );
            }
            assert_eq!(notes.clamped(Clamped::Hedge), 0);
        });
    }
}

#[test]
fn an_order_of_nothing_is_no_order() {
    let notes = Notes::default();
    let world = world(10, &notes, |_, _| order(&[]));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        put(&life, "key").await;
        assert_eq!(served_by(&world, &life, "key").await.len(), 1);
    });
}

#[test]
fn copies_that_the_order_leaves_out_serve_when_the_others_fail() {
    let notes = Notes::default();
    let world = world(11, &notes, |_, _| order(&[2]));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        put(&life, "key").await;
        let down = Fault::Fail(BackendErrorKind::Unavailable);
        world.fail(2, BackendOperation::Get, 1, down);
        let by = served_by(&world, &life, "key").await;
        assert!(by == [0] || by == [1], "{by:?}");
        assert_eq!(
            served_by(&world, &life, "key").await,
            [2],
            "one failure is none"
        );
    });
}

#[test]
fn an_open_breaker_goes_last_whatever_the_policy_says() {
    let notes = Notes::default();
    let healthy: Arc<Mutex<Vec<bool>>> = Arc::default();
    let seen = Arc::clone(&healthy);
    let world = world(12, &notes, move |_, backends| {
        *seen.lock() = backends.iter().map(|backend| backend.healthy).collect();
        order(&[2, 1, 0])
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        put(&life, "key").await;
        let down = Fault::Fail(BackendErrorKind::Unavailable);
        world.fail(2, BackendOperation::Get, u64::MAX, down);
        for _ in 0..life.gateway.settings().breaker_failures_max {
            assert_eq!(served_by(&world, &life, "key").await, [1]);
        }
        sleep(Duration::from_millis(101)).await;
        served_by(&world, &life, "key").await;
        assert_eq!(*healthy.lock(), [true, true, false, true]);
        world.calm();
        assert_eq!(
            served_by(&world, &life, "key").await,
            [1],
            "b2 works, but nobody knows"
        );
        sleep(Duration::from_secs(60)).await;
        served_by(&world, &life, "key").await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            served_by(&world, &life, "key").await,
            [2],
            "a probe found out"
        );
    });
}

#[test]
fn the_policy_is_asked_only_when_there_is_a_choice() {
    type Asked = Arc<Mutex<Vec<(String, u64, Vec<usize>)>>>;
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let notes = Notes::default();
    let world = world(13, &notes, move |read, backends| {
        assert_eq!(backends.len(), 4);
        let what = format!("{} asks for {}/{}", read.principal, read.bucket, read.key);
        let mut copies = read.copies.to_vec();
        copies.sort_unstable();
        seen.lock().push((what, read.length_bytes, copies));
        Route {
            order: vec![1],
            hedge_after: Some(Duration::from_millis(5)),
        }
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("alone", &[1; 100]).await.expect("is put");
        served_by(&world, &life, "alone").await;
        assert_eq!(*asked.lock(), []);

        put(&life, "key").await;
        // The laws were checked by reading.
        asked.lock().clear();
        let hedged = notes.clamped(Clamped::Hedge);
        let range = Some(RangeSpec::FromTo(10, Some(29)));
        client.get_part("key", range, None).await.expect("reads");
        let what = "TESTER asks for bucket/key".to_owned();
        assert_eq!(*asked.lock(), [(what.clone(), 20, vec![0, 1, 2])]);
        assert_eq!(notes.clamped(Clamped::Hedge), hedged + 1);

        // Copies that are suspect are no choice.
        let blob = blob_of(&life, "key").await;
        for (number, choices) in [(2, 2), (1, 2)] {
            let backend = backend_id(number);
            let copy = blob.copies.iter().find(|copy| copy.backend == backend);
            let mark = Mutation::MarkCopy {
                blob: blob.blob,
                attempt: copy.expect("there").attempt,
                backend,
                state: CopyState::Suspect,
                now: life.now(),
            };
            life.gateway.index().apply(mark).await.expect("is marked");
            served_by(&world, &life, "key").await;
            assert_eq!(asked.lock().len(), choices, "without b{number}");
        }
        assert_eq!(asked.lock()[1], (what, 100, vec![0, 1]));
    });
}

#[test]
fn reads_are_routed_by_states_of_a_moment_ago() {
    let used: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&used);
    let notes = Notes::default();
    let world = world(14, &notes, move |_, backends| {
        seen.lock().push(backends[0].used_bytes);
        order(&[0])
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        put(&life, "key").await;
        // The laws were checked by reading.
        sleep(Duration::from_secs(1)).await;
        used.lock().clear();
        served_by(&world, &life, "key").await;
        life.client.put("more", &[1; 50]).await.expect("is put");
        served_by(&world, &life, "key").await;
        sleep(Duration::from_millis(101)).await;
        served_by(&world, &life, "key").await;
        assert_eq!(*used.lock(), [100, 100, 150]);
    });
}
