use std::collections::BTreeMap;
use std::time::Duration;

use weir_backend::memory::{Call, Fault, SeededFaults};
use weir_index::MemoryIndex;
use weir_index::store::{Changes, MemoryStore, Reader as _, Step, Table};
use weir_types::backend::{Backend as _, BackendErrorKind};
use weir_types::body::PutStream;
use weir_types::crash::CrashPlan;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendKey, BlobId, SiteId};

use super::*;
use crate::testing::*;

#[tokio::test(start_paused = true)]
async fn what_is_shipped_is_the_index() {
    for key in [None, Some(key('a'))] {
        let mut world = World::new(2, 1);
        world.key = key;
        let index = world.open();
        let shipping = world.ship(&index);
        for round in 0..30 {
            change(&index, &world.entropy, 1 + round % 7).await;
            shipped(&shipping).await;
            world
                .must_be_restored(&index, &format!("round {round}"))
                .await;
        }
        let held = (*index.log_tail().borrow()).expect("a log");
        assert_eq!(held.first, held.last, "everybody has everything");
        let status = shipping.watch().status();
        assert!(
            status
                .iter()
                .all(|s| s.segments > 20 && s.snapshots > 1 && s.failures == 0)
        );
        for backend in &world.backends {
            let snapshots = files(backend, "snap-");
            assert_eq!(snapshots.len(), 1, "old ones went: {snapshots:?}");
            let text = backend.contents();
            let plain = text
                .iter()
                .any(|held| held.bytes.windows(7).any(|b| b == b"bucket-"));
            assert_eq!(plain, world.key.is_none());
        }
        shipping.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ships_what_is_left_and_a_restart_goes_on() {
    let world = World::new(2, 2);
    for round in 0..20 {
        let index = world.open();
        let shipping = world.ship(&index);
        if round == 0 {
            shipped(&shipping).await;
        }
        tokio::time::sleep(Duration::from_millis(round * 173)).await;
        change(&index, &world.entropy, 3).await;
        if round % 2 == 0 {
            shipping.stop().await;
            world
                .must_be_restored(&index, &format!("stop {round}"))
                .await;
        } else {
            shipping.kill().await;
        }
    }
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    world.must_be_restored(&index, "at the end").await;
    let streams: std::collections::BTreeSet<_> = world.backends[0]
        .contents()
        .iter()
        .map(|held| held.key.split('/').nth(3).expect("a stream").to_owned())
        .collect();
    assert_eq!(streams.len(), 1, "restarts begin no new stream");
    shipping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_down_holds_up_no_other_and_catches_up() {
    let world = World::new(3, 3);
    let index = world.open();
    let shipping = world.ship(&index);
    change(&index, &world.entropy, 5).await;
    shipped(&shipping).await;
    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    world.backends[1].set_plan(Some(Arc::new(down)));
    for _ in 0..10 {
        change(&index, &world.entropy, 3).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let status = shipping.watch().status();
    assert_eq!((status[0].lag_entries, status[0].lag_ms), (0, 0));
    assert_eq!(status[2].lag_entries, 0);
    assert!(status[1].lag_entries >= 28, "{:?}", status[1]);
    assert!(
        (25_000..=60_000).contains(&status[1].lag_ms),
        "{:?}",
        status[1]
    );
    assert!(status[1].error.is_some() && status[1].failures > 0);
    world.must_be_restored(&index, "while one is down").await;
    world.backends[1].set_plan(None);
    shipped(&shipping).await;
    let status = shipping.watch().status();
    assert_eq!((status[1].gaps, &status[1].error), (0, &None));
    // From that one alone.
    let mut alone = World::new(1, 9);
    alone.backends = vec![world.backends[1].clone()];
    alone
        .must_be_restored(&index, "from the one that was down")
        .await;
    shipping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_had_to_let_go_is_followed_by_a_snapshot() {
    let mut world = World::new(2, 4);
    world.log_bytes_max = 4 << 10;
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    for backend in &world.backends {
        backend.set_plan(Some(Arc::new(down)));
    }
    change(&index, &world.entropy, 100).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tail = (*index.log_tail().borrow()).expect("a log");
    assert!(tail.bytes <= 4 << 10 && tail.lost > 50, "{tail:?}");
    world.backends[0].set_plan(None);
    until(&shipping, |status| status[0].lag_entries == 0).await;
    assert_eq!(shipping.watch().status()[0].gaps, 1);
    world.backends[1].set_plan(None);
    shipped(&shipping).await;
    world.must_be_restored(&index, "after the gap").await;
    shipping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_lag_grows_until_the_snapshot_after_a_gap_is_whole() {
    let mut world = World::new(1, 10);
    world.log_bytes_max = 4 << 10;
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    world.backends[0].set_plan(Some(Arc::new(down)));
    change(&index, &world.entropy, 100).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // The log goes through, the snapshot does not.
    let no_snapshot = |call: &Call<'_>| {
        let is_part = call.key.contains("/part-") || call.key.contains("/snap-");
        is_part.then_some(Fault::Fail(BackendErrorKind::Unavailable))
    };
    world.backends[0].set_plan(Some(Arc::new(no_snapshot)));
    let mut before = 0;
    for round in 0..10 {
        change(&index, &world.entropy, 1).await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        let status = shipping.watch().status().swap_remove(0);
        assert!(
            status.lag_ms >= 60_000 && status.lag_ms > before,
            "round {round}: {status:?}"
        );
        before = status.lag_ms;
    }
    world.backends[0].set_plan(None);
    shipped(&shipping).await;
    assert_eq!(shipping.watch().status()[0].gaps, 1);
    world.must_be_restored(&index, "after the gap").await;
    shipping.stop().await;
}

/// Ends the process the `at`th time that it passes any point.
struct DiesAt {
    at: u64,
    passed: AtomicU64,
    points: Mutex<BTreeMap<&'static str, u64>>,
}

impl CrashPlan for DiesAt {
    fn dies_at(&self, point: &'static str) -> bool {
        *self.points.lock().entry(point).or_default() += 1;
        self.passed.fetch_add(1, Ordering::SeqCst) + 1 >= self.at
    }
}

/// Every point of the way, in several states, with faults of the backends beside it.
#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_steps_leaves_no_gap() {
    let mut points: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..40 {
        let mut world = World::new(2, seed);
        world.key = (seed % 2 == 0).then(|| key('b'));
        world.settings.snapshot_log_bytes_min = 2 << 10;
        let mut crashes = 0;
        for round in 0..6 {
            let index = world.open();
            let plan = Arc::new(DiesAt {
                at: 1 + world.entropy.u64() % 40,
                passed: AtomicU64::new(0),
                points: Mutex::default(),
            });
            let faults = Arc::new(SeededFaults {
                dice: SeededEntropy::new(seed * 100 + round),
                per_mille: 60,
                faults: vec![
                    Fault::Fail(BackendErrorKind::Unavailable),
                    Fault::FailAfter(BackendErrorKind::Unavailable),
                ],
            });
            for backend in &world.backends {
                backend.set_plan(Some(Arc::<SeededFaults>::clone(&faults)));
            }
            let shipping = world.ship_until(&index, CrashPoints::planned(plan.clone()));
            for _ in 0..20 {
                change(&index, &world.entropy, 2).await;
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            shipping.kill().await;
            crashes += u64::from(plan.passed.load(Ordering::SeqCst) >= plan.at);
            for (point, count) in plan.points.lock().iter() {
                *points.entry(point).or_default() += count;
            }
            for backend in &world.backends {
                backend.set_plan(None);
            }
            // Whatever is there is a state the index had, without a gap.
            if let Ok(collected) = world.collect().await {
                assert_eq!(collected.gap, None, "seed {seed}, round {round}");
                assert_eq!(collected.damaged, [""; 0], "seed {seed}, round {round}");
                world.rows(&collected);
            }
        }
        assert!(crashes > 0, "seed {seed}: no crash");
        let index = world.open();
        let shipping = world.ship(&index);
        shipped(&shipping).await;
        world
            .must_be_restored(&index, &format!("seed {seed}, at the end"))
            .await;
        shipping.stop().await;
    }
    let expected = [
        "insurance.after-manifest",
        "insurance.after-part",
        "insurance.after-segment",
        "insurance.before-manifest",
        "insurance.before-removal",
        "insurance.before-segment",
        "insurance.before-trim",
    ];
    assert_eq!(points.keys().copied().collect::<Vec<_>>(), expected);
    assert!(points.values().all(|count| *count >= 20), "{points:?}");
}

#[tokio::test(start_paused = true)]
async fn an_index_put_back_from_a_copy_goes_another_way_and_keeps_what_was_shipped() {
    for commits_after in [0, 3, 40] {
        let mut world = World::new(2, 5);
        let index = world.open();
        let shipping = world.ship(&index);
        change(&index, &world.entropy, 5).await;
        shipped(&shipping).await;
        shipping.stop().await;
        // A copy of the file, by hand; what happens then is shipped, too.
        let copy = copy_of(&world.store);
        let shipping = world.ship(&index);
        change(&index, &world.entropy, 20).await;
        shipped(&shipping).await;
        shipping.stop().await;
        let (later, last) = (world.rows_of(&*index), tail_of(&index));
        drop(index);

        world.store = copy;
        let index = world.open();
        change(&index, &SeededEntropy::new(99), commits_after).await;
        assert_ne!(tail_of(&index), last);
        let shipping = world.ship(&index);
        shipped(&shipping).await;
        change(&index, &world.entropy, 2).await;
        shipped(&shipping).await;
        world.must_be_restored(&index, "the newest").await;
        shipping.stop().await;

        // Nothing of what the later state had shipped is lost.
        let found = crate::restore::survey(&site(), &world.targets(), None).await;
        assert_eq!(found.candidates.len(), 2);
        let other = found.candidates[1].place.stream;
        let chosen = found.choose(&site(), Some(other), &[]).expect("there");
        let folder = world.folder.path();
        let collected =
            crate::restore::collect(chosen, &world.targets(), None, folder, &|_| {}).await;
        let collected = collected.expect("whole");
        assert_eq!(collected.reached.number, last);
        assert!(world.rows(&collected) == later);
    }
}

fn tail_of(index: &MemoryIndex) -> u64 {
    index.log_tail().borrow().expect("a log").last
}

/// The rows of an index, log and all, in a store of their own.
fn copy_of(store: &MemoryStore) -> MemoryStore {
    let mut changes = Changes::default();
    let snapshot = store.snapshot().expect("memory does not fail");
    for table in Table::ALL {
        let copied = snapshot.scan(*table, &[], &mut |key, value| {
            changes.set(*table, key.to_vec(), Some(value.to_vec()));
            Ok(Step::Next)
        });
        copied.expect("memory does not fail");
    }
    let copy = MemoryStore::default();
    copy.commit(&changes).expect("memory does not fail");
    copy
}

#[tokio::test(start_paused = true)]
async fn other_streams_go_when_the_present_one_is_old_and_other_epochs_never() {
    let mut world = World::new(2, 6);
    let there = SiteId::parse("there").expect("a valid site");
    let stream = "0".repeat(32);
    let log = format!("{stream}/log-0000000000000001-0000000000000002.00000003");
    let snapshot = format!("{stream}/snap-0000000000000001-000001-000000000001.00000003");
    let epoch = "00ff";
    let foreign = [
        BackendKey::of_index(&site(), epoch, &log).expect("a valid name"),
        BackendKey::of_index(&there, epoch, &snapshot).expect("a valid name"),
        BackendKey::of(&site(), BlobId(7), 0),
    ];
    for backend in &world.backends {
        for key in &foreign {
            let body: PutStream = Box::pin(futures_util::stream::iter([Ok("x".into())]));
            backend.put(key, 1, body).await.expect("stored");
        }
    }
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    shipping.stop().await;
    let first = (*index.log_tail().borrow()).expect("a log").stream;
    drop(index);
    // Another key: another stream.
    world.key = Some(key('c'));
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    let of_first = |world: &World| {
        let keys = world.backends.iter().flat_map(|backend| backend.contents());
        let name = first.to_string();
        keys.filter(|held| held.key.contains(&name)).count()
    };
    let before = of_first(&world);
    assert!(before > 0);
    tokio::time::sleep(Duration::from_secs(6 * 24 * 3600)).await;
    shipped(&shipping).await;
    assert_eq!(of_first(&world), before);
    tokio::time::sleep(Duration::from_secs(2 * 24 * 3600)).await;
    shipped(&shipping).await;
    assert_eq!(of_first(&world), 0);
    for backend in &world.backends {
        let held = backend.contents();
        for key in &foreign {
            assert!(held.iter().any(|held| held.key == key.as_str()), "{key}");
        }
    }
    world
        .must_be_restored(&index, "with what is foreign beside it")
        .await;
    shipping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_snapshots_stay_until_a_second_backend_has_the_new_one() {
    let world = World::new(2, 7);
    let index = world.open();
    let shipping = world.ship(&index);
    change(&index, &world.entropy, 5).await;
    shipped(&shipping).await;
    let first = files(&world.backends[0], "snap-");
    assert_eq!(first.len(), 1);
    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    world.backends[1].set_plan(Some(Arc::new(down)));
    change(&index, &world.entropy, 150).await;
    until(&shipping, |status| {
        status[0].snapshots >= 2 && status[0].lag_entries == 0
    })
    .await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let both = files(&world.backends[0], "snap-");
    assert!(both.len() >= 2 && both.contains(&first[0]), "{both:?}");
    world.backends[1].set_plan(None);
    shipped(&shipping).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    for backend in &world.backends {
        assert!(!files(backend, "snap-").contains(&first[0]));
    }
    world.must_be_restored(&index, "after cleaning").await;
    shipping.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_room_for_a_snapshot_the_log_is_shipped_all_the_same() {
    let world = World::new(2, 8);
    let in_the_way = world.folder.path().join("insurance");
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    // The folder for snapshots goes, and something else takes its place.
    std::fs::remove_dir_all(&in_the_way).expect("it was made");
    std::fs::write(&in_the_way, b"in the way").expect("written");
    for _ in 0..40 {
        change(&index, &world.entropy, 5).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let status = shipping.watch().status();
    assert!(
        status
            .iter()
            .all(|s| s.lag_entries == 0 && s.snapshots == 1),
        "{status:#?}"
    );
    assert!(status.iter().all(|s| s.error.is_some()), "{status:#?}");
    world.must_be_restored(&index, "by the log alone").await;
    std::fs::remove_file(&in_the_way).expect("it is there");
    until(&shipping, |status| {
        status.iter().all(|s| s.snapshots == 2 && s.error.is_none())
    })
    .await;
    shipping.stop().await;
    world.must_be_restored(&index, "with snapshots again").await;
}
