//! The background: it brings copies, repairs them, cleans up, and gives nothing up for lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::{Call, Fault};
use weir_core::decide::LeastUsed;
use weir_types::backend::BackendErrorKind;
use weir_types::clock::Timestamp;
use weir_types::crash::CrashPoints;
use weir_types::record::{CopyState, OutboxEntry, Work};

use crate::support::{
    Dice, Life, Scripted, World, at_rest, blob_of, come_to_rest, held, holder, in_memory,
    object_key, require_laws,
};

async fn outbox(life: &Life, limit: u64) -> Vec<OutboxEntry> {
    let far = Timestamp::from_millis(u64::MAX / 2);
    let limit = usize::try_from(limit).expect("fits into memory");
    life.gateway
        .index()
        .due(far, limit)
        .await
        .expect("readable")
}

async fn read(life: &Life, key: &str) -> Vec<u8> {
    life.client
        .get(key)
        .await
        .expect("reads")
        .expect("is there")
        .0
}

#[test]
fn objects_get_their_copies_whatever_their_size() {
    for copies in [1, 2, 3] {
        let mut world = World::in_memory(3, 3);
        world.decider = Arc::new(LeastUsed::wanting(copies));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            for size in [0, 1, 1024, 1025, 262_144, 262_145, 1_000_000] {
                let key = format!("put/{size}");
                life.client
                    .put(&key, &Dice::new(size).bytes(size))
                    .await
                    .expect("is put");
            }
            let id = life
                .client
                .create_upload("parts", None)
                .await
                .expect("begins")
                .upload_id;
            let mut parts = Vec::new();
            for (number, size) in [(1, 700_000), (2, 1000), (9, 300_000)] {
                let bytes = Dice::new(size).bytes(size);
                let part = life
                    .client
                    .part("parts", id, number, &bytes)
                    .await
                    .expect("taken");
                parts.push((number, part.etag));
            }
            let complete = life.client.completion("parts", id, &parts);
            life.client
                .complete(complete)
                .await
                .expect("becomes an object");
            at_rest(&life).await;
            let blob = blob_of(&life, "parts").await;
            assert_eq!(blob.copies.len(), usize::from(copies));
            assert_eq!(blob.segments.len(), 3);
        });
    }
}

#[test]
fn work_waits_for_a_backend_that_is_down() {
    in_memory(4, async |world, life| {
        for number in [1, 2] {
            let down = Fault::Fail(BackendErrorKind::Unavailable);
            world.fail(number, BackendOperation::Put, u64::MAX, down);
        }
        for number in 0..50 {
            life.client
                .put(&format!("{number}"), &[number; 100])
                .await
                .expect("b0 takes it");
        }
        let background = life.start_background();
        sleep(Duration::from_secs(1800)).await;
        let replicas = async || {
            let mut entries = outbox(life, 1000).await;
            entries.retain(|entry| matches!(entry.work, Work::Replicate { .. }));
            entries
        };
        let waiting = replicas().await;
        assert_eq!(waiting.len(), 50, "nothing is given up");
        assert!(waiting.iter().any(|e| {
            e.last_error
                .as_deref()
                .is_some_and(|e| e.contains("injected"))
        }));
        // Pauses grow: half an hour of trying is few tries, and most of it waits for breakers.
        assert!(waiting.iter().all(|e| e.attempts < 60), "{waiting:#?}");
        world.calm();
        sleep(Duration::from_secs(180)).await;
        assert_eq!(replicas().await, []);
        come_to_rest(life).await;
        background.stop().await;
        require_laws(life).await.expect("the laws hold");
    });
}

/// Keys say where their objects go: first `b0`, then the backend of their first digit.
fn directed(copies: u8) -> Arc<Scripted> {
    Arc::new(Scripted::placing(copies, |_, request, _| {
        let digit = request.key.as_str().bytes().next().expect("not empty") - b'0';
        vec![0, usize::from(digit)]
    }))
}

#[test]
fn a_backlog_for_a_dead_backend_costs_others_nothing() {
    const BACKLOG: u64 = 50_000;
    let mut world = World::in_memory(15, 3);
    world.decider = directed(2);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let down = Fault::Fail(BackendErrorKind::Unavailable);
        world.fail(1, BackendOperation::Put, u64::MAX, down);
        for number in 0..BACKLOG {
            let key = format!("1/{number}");
            life.client.put(&key, &[1]).await.expect("b0 takes it");
        }
        let copied = async |backend: usize| held(&*life.backends[backend]).await.len() as u64;
        let background = life.start_background();
        for round in 1..=2 {
            for number in 0..50 {
                let key = format!("2/{round}/{number}");
                life.client.put(&key, &[2]).await.expect("b0 takes it");
            }
            // The second round meets a dispatcher that has looked at everything.
            sleep(Duration::from_secs(if round == 1 { 2 } else { 1 })).await;
            assert_eq!(
                copied(2).await,
                50 * round,
                "the others' work is done at once"
            );
            sleep(Duration::from_secs(600)).await;
        }
        let mut waiting = outbox(&life, 2 * BACKLOG).await;
        waiting.retain(|entry| matches!(entry.work, Work::Replicate { .. }));
        assert_eq!(waiting.len() as u64, BACKLOG, "nothing is given up");
        let put_off = waiting.iter().filter(|e| e.not_before != e.created_at);
        let failures: u32 = waiting.iter().map(|e| e.attempts).sum();
        assert!(
            put_off.clone().all(|e| e.attempts > 0) && (5..120).contains(&failures),
            "only what was tried is put off: {} entries, {failures} failures",
            put_off.count()
        );

        let slow = Fault::Slow(Duration::from_millis(100));
        world.fail(1, BackendOperation::Put, u64::MAX, slow);
        let before = Instant::now();
        while copied(1).await == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        assert!(
            before.elapsed() < Duration::from_secs(40),
            "a probe finds out"
        );
        sleep(Duration::from_secs(100)).await;
        let at_once = life.gateway.settings().background_per_backend_max as u64;
        let copies = copied(1).await;
        assert!(
            (900 * at_once..=1020 * at_once).contains(&copies),
            "all slots are used and no more: {copies} copies"
        );
        come_to_rest(&life).await;
        assert_eq!(copied(1).await, BACKLOG);
        background.stop().await;
    });
}

#[test]
fn a_backend_that_others_stand_in_for_is_probed_with_a_write() {
    let mut world = World::in_memory(18, 2);
    world.decider = directed(1);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let failed = Arc::new(AtomicU64::new(0));
        let down = Arc::clone(&failed);
        let plan = move |call: &Call<'_>| {
            let hit = call.operation == BackendOperation::Put;
            hit.then(|| down.fetch_add(1, Ordering::SeqCst));
            hit.then_some(Fault::Fail(BackendErrorKind::Unavailable))
        };
        world.memory(0).set_plan(Some(Arc::new(plan)));
        // No background runs: nothing else would ask the backend.
        for number in 0..300 {
            let key = format!("1/{number}");
            life.client.put(&key, &[1; 100]).await.expect("b1 takes it");
            sleep(Duration::from_secs(1)).await;
        }
        let failed = failed.load(Ordering::SeqCst);
        assert!((10..30).contains(&failed), "probes are few: {failed}");
        world.calm();
        let serves = async |number: u64| {
            let key = format!("1/late/{number}");
            life.client.put(&key, &[1; 100]).await.expect("is put");
            sleep(Duration::from_secs(1)).await;
            holder(&blob_of(&life, &key).await, 0) == 0
        };
        let mut waited = 0;
        while !serves(waited).await {
            waited += 1;
            assert!(waited < 35, "it is back, and nobody notices");
        }
        assert!(serves(waited + 1).await);
        at_rest(&life).await;
    });
}

#[test]
fn one_that_fails_holds_up_no_other() {
    in_memory(5, async |world, life| {
        life.client.put("broken", &[7; 5000]).await.expect("is put");
        let broken = blob_of(life, "broken").await;
        assert!(
            world
                .memory(holder(&broken, 0))
                .rot(broken.copies[0].key.as_str(), 17)
        );
        for number in 0..20 {
            life.client
                .put(&format!("{number}"), &[number; 3000])
                .await
                .expect("is put");
        }
        let background = life.start_background();
        sleep(Duration::from_secs(3600)).await;
        for number in 0..20 {
            assert_eq!(blob_of(life, &format!("{number}")).await.copies.len(), 2);
        }
        // The only copy stays, however wrong it looks, and so does the wish for another.
        let blob = blob_of(life, "broken").await;
        assert_eq!(
            (blob.copies.len(), blob.copies[0].state),
            (1, CopyState::Suspect)
        );
        let waiting = outbox(life, 1000).await;
        assert_eq!(
            waiting.len(),
            2,
            "replicate and repair, and no traces elsewhere"
        );
        assert!(
            waiting.iter().all(|entry| entry.last_error.is_some()),
            "{waiting:#?}"
        );
        // It is made good again: nothing is wrong any more.
        assert!(
            world
                .memory(holder(&broken, 0))
                .rot(broken.copies[0].key.as_str(), 17)
        );
        come_to_rest(life).await;
        background.stop().await;
        require_laws(life).await.expect("the laws hold");
        assert_eq!(read(life, "broken").await, [7; 5000]);
    });
}

#[test]
fn copies_that_are_wrong_or_missing_are_replaced() {
    type Harm = fn(&World, usize, &str);
    let harms: &[(&str, Harm)] = &[
        ("rotten", |world, number, key| {
            assert!(world.memory(number).rot(key, 270_000))
        }),
        ("missing", |world, number, key| {
            assert!(world.memory(number).lose(key))
        }),
    ];
    for (name, harm) in harms {
        in_memory(6, async |world, life| {
            let bytes = Dice::new(6).bytes(600_000);
            life.client.put("key", &bytes).await.expect("is put");
            at_rest(life).await;
            let before = blob_of(life, "key").await;
            let (wrong, other) = (holder(&before, 0), holder(&before, 1));
            harm(world, wrong, before.copies[0].key.as_str());
            // The read begins at the wrong copy, and ends well.
            let refused = Fault::Fail(BackendErrorKind::Unavailable);
            world.fail(other, BackendOperation::Get, 1, refused);
            assert!(read(life, "key").await == bytes, "{name}");
            world.calm();
            at_rest(life).await;
            let after = blob_of(life, "key").await;
            assert!(
                after
                    .copies
                    .iter()
                    .all(|copy| copy.key != before.copies[0].key),
                "{name}"
            );
            assert!(read(life, "key").await == bytes, "{name}");
        });
    }
}

#[test]
fn a_suspect_that_reads_well_is_good_again() {
    in_memory(7, async |world, life| {
        let bytes = Dice::new(7).bytes(300_000);
        life.client.put("key", &bytes).await.expect("is put");
        at_rest(life).await;
        let before = blob_of(life, "key").await;
        world.fail_everywhere(BackendOperation::Get, 1, Fault::Corrupt { offset: 5 });
        assert!(
            life.client.get("key").await.is_err(),
            "both copies are read wrong once"
        );
        world.calm();
        sleep(Duration::from_millis(1)).await;
        let suspected = blob_of(life, "key").await;
        assert!(
            suspected
                .copies
                .iter()
                .all(|copy| copy.state == CopyState::Suspect)
        );
        at_rest(life).await;
        assert_eq!(blob_of(life, "key").await.copies, before.copies);
        assert!(read(life, "key").await == bytes);
    });
}

#[test]
fn a_write_that_lands_late_is_removed() {
    in_memory(9, async |world, life| {
        for operation in [BackendOperation::Put, BackendOperation::PutPart] {
            world.fail_everywhere(operation, 1, Fault::Late);
            let client = &life.client;
            let write = async {
                if operation == BackendOperation::Put {
                    client.put("key", &[1; 100]).await.map(drop)
                } else {
                    let id = client.create_upload("key", None).await?.upload_id;
                    client.part("key", id, 1, &[1; 100]).await.map(drop)
                }
            };
            let gone = timeout(Duration::from_secs(30), write).await;
            assert!(gone.is_err(), "the client waits in vain");
            world.calm();
            let background = life.start_background();
            sleep(Duration::from_secs(60)).await;
            let thawed: usize = (0..3).map(|number| world.memory(number).thaw()).sum();
            assert_eq!(
                thawed, 1,
                "the write lands after its bytes were first deleted"
            );
            come_to_rest(life).await;
            // Uploads live for two hours.
            sleep(Duration::from_secs(7300)).await;
            come_to_rest(life).await;
            background.stop().await;
            require_laws(life).await.expect("the laws hold");
        }
    });
}

#[test]
fn a_backend_that_is_not_configured_is_waited_for() {
    let mut world = World::in_memory(10, 3);
    world.decider = Arc::new(LeastUsed::wanting(3));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
    });
    world.unconfigure(1);
    world.live(CrashPoints::none(), async |life| {
        life.client.delete("key", None).await.expect("is deleted");
        life.client.put("other", &[2; 100]).await.expect("is put");
        let background = life.start_background();
        sleep(Duration::from_secs(7200)).await;
        background.stop().await;
        let waiting = outbox(&life, 1000).await;
        assert_eq!(waiting.len(), 1, "{waiting:#?}");
        assert_eq!(
            waiting[0].last_error.as_deref(),
            Some("the backend b1 is not configured")
        );
    });
    world.configure(1);
    world.live(CrashPoints::none(), async |life| {
        at_rest(&life).await;
    });
}

#[test]
fn nobody_waits_for_one_slow_backend() {
    let mut world = World::in_memory(11, 3);
    world.decider = Arc::new(LeastUsed::wanting(3));
    world.settings.background_tasks_max = 6;
    world.settings.background_per_backend_max = 2;
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for number in 0..60 {
            life.client
                .put(&format!("{number}"), &[number; 10])
                .await
                .expect("is put");
        }
        at_rest(&life).await;
        world.fail(
            1,
            BackendOperation::Delete,
            u64::MAX,
            Fault::Slow(Duration::from_secs(60)),
        );
        for number in 0..60 {
            life.client
                .delete(&format!("{number}"), None)
                .await
                .expect("is deleted");
        }
        let background = life.start_background();
        sleep(Duration::from_secs(180)).await;
        assert_eq!(
            held(&*life.backends[0]).await.len(),
            0,
            "the others are done"
        );
        assert_eq!(
            held(&*life.backends[2]).await.len(),
            0,
            "the others are done"
        );
        assert!(
            held(&*life.backends[1]).await.len() > 40,
            "the slow one is slow"
        );
        come_to_rest(&life).await;
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn abandoned_uploads_leave_nothing() {
    in_memory(12, async |world, life| {
        let id = life
            .client
            .create_upload("key", None)
            .await
            .expect("begins")
            .upload_id;
        life.client
            .part("key", id, 1, &[1; 5000])
            .await
            .expect("is taken");
        let background = life.start_background();
        sleep(Duration::from_secs(7000)).await;
        assert!(
            life.client.part("key", id, 2, &[2; 10]).await.is_ok(),
            "not yet"
        );
        sleep(Duration::from_secs(300)).await;
        assert!(
            life.client.part("key", id, 3, &[3; 10]).await.is_err(),
            "by now"
        );
        come_to_rest(life).await;
        background.stop().await;
        require_laws(life).await.expect("the laws hold");
        assert!((0..3).all(|number| world.memory(number).uploads().is_empty()));
    });
}

#[test]
fn a_background_that_is_stopped_leaves_its_work() {
    in_memory(13, async |world, life| {
        world.fail_everywhere(
            BackendOperation::Put,
            u64::MAX,
            Fault::Slow(Duration::from_secs(3600)),
        );
        world.fail(0, BackendOperation::Put, 0, Fault::Hang);
        life.client
            .put("key", &[1; 100])
            .await
            .expect("b0 takes it");
        let background = life.start_background();
        sleep(Duration::from_secs(5)).await;
        timeout(Duration::from_secs(1), background.stop())
            .await
            .expect("promptly");
        assert!(
            outbox(life, 1000)
                .await
                .iter()
                .any(|e| matches!(e.work, Work::Replicate { .. }))
        );
        world.calm();
        at_rest(life).await;
    });
}

#[test]
fn many_deletes_are_forgotten_in_one_round() {
    let mut world = World::in_memory(16, 3);
    world.settings.memory_of_deletes = Duration::from_secs(3600);
    world.decider = Arc::new(LeastUsed::wanting(1));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for number in 0..2500 {
            let key = format!("{number}");
            life.client.put(&key, &[1]).await.expect("is put");
            life.client.delete(&key, None).await.expect("is deleted");
        }
        let index = life.gateway.index();
        let bucket = index.bucket(&life.client.bucket).await;
        let bucket = bucket.expect("readable").expect("there").incarnation;
        let background = life.start_background();
        sleep(Duration::from_secs(3600 + 61)).await;
        for number in 0..2500 {
            let key = object_key(&format!("{number}"));
            assert_eq!(index.tombstone(bucket, &key).await, Ok(None), "{number}");
        }
        background.stop().await;
        at_rest(&life).await;
    });
}

#[test]
fn deletes_are_forgotten_in_time() {
    let mut world = World::in_memory(14, 3);
    world.settings.memory_of_deletes = Duration::from_secs(3600);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        life.client.delete("key", None).await.expect("is deleted");
        let index = life.gateway.index();
        let bucket = index
            .bucket(&life.client.bucket)
            .await
            .expect("readable")
            .expect("there");
        let remembered = async || {
            let tombstone = index
                .tombstone(bucket.incarnation, &object_key("key"))
                .await;
            tombstone.expect("readable").is_some()
        };
        let background = life.start_background();
        sleep(Duration::from_secs(3000)).await;
        assert!(remembered().await);
        sleep(Duration::from_secs(1000)).await;
        assert!(!remembered().await);
        background.stop().await;
        at_rest(&life).await;
    });
}
