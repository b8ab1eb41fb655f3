//! Every copy is verified in its turn, at the rate that was set, and what is wrong is repaired.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_core::decide::LeastUsed;
use weir_core::replicate::{ScrubOrder, ScrubRefused, ScrubState, ScrubStatus};
use weir_types::backend::BackendErrorKind;
use weir_types::clock::Timestamp;
use weir_types::crash::CrashPoints;
use weir_types::record::{BLOCK_BYTES, BlobRecord, CopyState, Work};

use crate::support::{
    Dice, Life, World, at_rest, backend_id, blob_of, come_to_rest, holder, require_laws,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Lengths of objects that are put whole: each has an edge of its own.
const SIZES: &[u64] = &[0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 1_000_000];

/// Lengths of the parts of one that is put in parts.
const PARTS: &[u64] = &[700_000, 1000, 300_000];

/// A world whose objects have so many copies and are verified at such a rate.
fn world(seed: u64, copies: u8, bytes_per_second: u64) -> World {
    let mut world = World::in_memory(seed, 3);
    world.decider = Arc::new(LeastUsed::wanting(copies));
    world.settings.scrub_bytes_per_second_max = bytes_per_second;
    world.settings.scrub_requests_per_second_max = 1000;
    world
}

/// The same with one object of each kind, all of whose copies are made.
fn full_world(seed: u64, copies: u8, bytes_per_second: u64) -> World {
    let mut world = world(seed, copies, 0);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for size in SIZES {
            let bytes = Dice::new(*size).bytes(*size);
            let put = life.client.put(&format!("{size}"), &bytes).await;
            put.expect("is put");
        }
        put_in_parts(&life, "parts").await;
        at_rest(&life).await;
    });
    world.settings.scrub_bytes_per_second_max = bytes_per_second;
    world
}

async fn put_in_parts(life: &Life, key: &str) {
    let upload = life.client.create_upload(key, None).await;
    let upload = upload.expect("begins").upload_id;
    let mut parts = Vec::new();
    for (number, size) in (1..).zip(PARTS) {
        let bytes = Dice::new(*size).bytes(*size);
        let part = life.client.part(key, upload, number, &bytes).await;
        parts.push((number, part.expect("is taken").etag));
    }
    let complete = life.client.completion(key, upload, &parts);
    life.client.complete(complete).await.expect("is completed");
}

/// Keys of all objects of a full world.
fn keys() -> Vec<String> {
    let mut keys: Vec<_> = SIZES.iter().map(u64::to_string).collect();
    keys.push("parts".to_owned());
    keys
}

/// The first and the last byte of each block of an object.
fn edges(blob: &BlobRecord) -> Vec<usize> {
    let mut lengths: Vec<u64> = blob.segments.iter().map(|(_, length)| *length).collect();
    if lengths.is_empty() {
        lengths.push(blob.size);
    }
    let mut edges = Vec::new();
    let mut start = 0;
    for length in lengths {
        let end = start + length;
        while start < end {
            let next = (start + BLOCK_BYTES).min(end);
            edges.extend([start, next - 1].map(|at| usize::try_from(at).expect("small")));
            start = next;
        }
    }
    edges.dedup();
    edges
}

async fn status(life: &Life, number: usize) -> ScrubStatus {
    let all = life.gateway.scrub_status().await.expect("readable");
    assert_eq!(all[number].backend, backend_id(number));
    all[number].clone()
}

/// Begins a pass on all backends and waits until each is at its end.
async fn pass(life: &Life) {
    let begun = life.now();
    let start = life.gateway.scrub(ScrubOrder::Start, None);
    assert_eq!(start.await, Ok(()));
    let limit = Instant::now() + 3 * DAY;
    let full = |status: &ScrubStatus| {
        let since = status.last_full.map(|full| full.began_at);
        status.pass.is_none() && since >= Some(begun)
    };
    for number in 0..3 {
        while !full(&status(life, number).await) {
            assert!(Instant::now() < limit, "{:?}", status(life, number).await);
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn read(life: &Life, key: &str) -> Vec<u8> {
    let read = life.client.get(key).await.expect("reads");
    read.expect("is there").0
}

/// Requests of one kind of operation to a backend: when, for which key, and the bytes that it
/// had given until then.
type Requests = Arc<Mutex<Vec<(Instant, String, u64)>>>;

/// Writes the reads of a backend down from now on.
fn watch(
    backend: &MemoryBackend,
    fault: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static,
) -> Requests {
    let requests = Requests::default();
    let (noted, given) = (Arc::clone(&requests), backend.clone());
    let plan = move |call: &Call<'_>| {
        if matches!(
            call.operation,
            BackendOperation::Get | BackendOperation::Head
        ) {
            let bytes = given.bytes_in_out().1;
            noted
                .lock()
                .push((Instant::now(), call.key.to_owned(), bytes));
        }
        fault(call)
    };
    backend.set_plan(Some(Arc::new(plan)));
    requests
}

#[test]
fn rot_in_any_block_is_found_and_repaired() {
    // In pieces of a block, and in pieces that hold the whole of every object.
    for rate in [BLOCK_BYTES, 64 * MIB] {
        let world = full_world(20, 2, rate);
        world.live(CrashPoints::none(), async |life| {
            let background = life.start_background();
            pass(&life).await;
            for key in keys() {
                let whole = read(&life, &key).await;
                for at in edges(&blob_of(&life, &key).await) {
                    let before = blob_of(&life, &key).await;
                    let wrong = &before.copies[at % 2];
                    let rotten = world.memory(holder(&before, at % 2));
                    assert!(rotten.rot(wrong.key.as_str(), at));
                    pass(&life).await;
                    come_to_rest(&life).await;
                    let after = blob_of(&life, &key).await.copies;
                    assert!(
                        after.iter().all(|copy| copy.key != wrong.key),
                        "{key}: byte {at} is wrong in {wrong:?}"
                    );
                    assert!(read(&life, &key).await == whole, "{key}");
                }
            }
            background.stop().await;
            require_laws(&life).await.expect("the laws hold");
        });
    }
}

#[test]
fn copies_that_are_missing_or_have_another_length_are_found_and_repaired() {
    type Harm = (&'static str, Option<fn(u64) -> u64>);
    let harms: &[Harm] = &[
        ("missing", None),
        ("longer", Some(|size| size + 1)),
        ("shorter", Some(|size| size.saturating_sub(1))),
        ("empty", Some(|_| 0)),
    ];
    let world = full_world(21, 2, BLOCK_BYTES);
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        pass(&life).await;
        for (name, length) in harms {
            for key in keys() {
                let before = blob_of(&life, &key).await;
                let wrong = &before.copies[0];
                let number = holder(&before, 0);
                let length = length.map(|length| length(before.size));
                if length == Some(before.size) {
                    continue;
                }
                assert!(world.memory(number).lose(wrong.key.as_str()));
                if let Some(length) = length {
                    let bytes = Bytes::from(Dice::new(before.size).bytes(length));
                    let body = futures_util::stream::iter([Ok(bytes)]).boxed();
                    let put = life.backends[number].put(&wrong.key, length, body).await;
                    put.expect("is put");
                }
                pass(&life).await;
                come_to_rest(&life).await;
                let after = blob_of(&life, &key).await.copies;
                assert!(
                    after.iter().all(|copy| copy.key != wrong.key),
                    "{key} {name}: {after:?}"
                );
                assert_eq!(read(&life, &key).await.len() as u64, before.size);
            }
        }
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn the_rate_is_obeyed() {
    // Bytes and requests per second.
    for (rate, requests_per_second) in [(BLOCK_BYTES, 1000), (3_000_000, 1000), (64 * MIB, 2)] {
        let mut world = full_world(22, 3, rate);
        world.settings.scrub_requests_per_second_max = requests_per_second;
        world.live(CrashPoints::none(), async |life| {
            let requests = watch(world.memory(1), |_| None);
            let background = life.start_background();
            let began = Instant::now();
            pass(&life).await;
            let (took, given) = (began.elapsed(), world.memory(1).bytes_in_out().1);
            background.stop().await;
            let requests = requests.lock().clone();
            assert!(requests.len() >= keys().len());
            let fits = |count: u64, per_second: u64, time: Duration| {
                u128::from(count) * 1_000_000_000 <= u128::from(per_second) * time.as_nanos()
            };
            for (n, (since, _, before)) in requests.iter().enumerate() {
                for (m, (at, key, after)) in requests.iter().enumerate().skip(n) {
                    let time = *at - *since;
                    assert!(fits(after - before, rate, time), "{key} after {time:?}");
                    let more = (m - n) as u64;
                    assert!(fits(more, u64::from(requests_per_second), time), "{key}");
                }
            }
            let full = status(&life, 1).await.last_full.expect("a full pass");
            let total = SIZES.iter().sum::<u64>() + PARTS.iter().sum::<u64>();
            assert_eq!((full.counts.copies, full.counts.bytes), (6, total));
            assert_eq!(
                given - requests[0].2,
                total,
                "every byte was read, and once"
            );
            // It is not much slower than it may be, either.
            let for_bytes = Duration::from_millis(total * 1000 / rate);
            let for_requests = Duration::from_secs(1) * requests.len() as u32 / requests_per_second;
            let least = for_bytes.max(for_requests);
            assert!(
                took < least + least / 10 + Duration::from_secs(1),
                "{took:?}"
            );
        });
    }
}

#[test]
fn a_pass_goes_on_after_a_restart_where_it_stopped() {
    const OBJECTS: u64 = 60;
    const SIZE: u64 = 100 * KIB;
    // Whether the process is stopped, or dies.
    for stopped in [true, false] {
        let mut world = world(23, 1, 0);
        // One backend holds everything.
        world.unconfigure(1);
        world.unconfigure(2);
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            for number in 0..OBJECTS {
                let bytes = Dice::new(number).bytes(SIZE);
                let put = life.client.put(&format!("{number}"), &bytes).await;
                put.expect("is put");
                sleep(Duration::from_millis(3)).await;
            }
        });
        // Each copy takes a second.
        world.settings.scrub_bytes_per_second_max = SIZE;
        let mut verified: BTreeMap<String, u64> = BTreeMap::new();
        let mut there: BTreeMap<String, String> = BTreeMap::new();
        let mut lives = 0_u64;
        loop {
            let requests = watch(world.memory(0), |_| None);
            let is_over = world.live(CrashPoints::none(), async |life| {
                if lives == 0 {
                    for number in 0..OBJECTS {
                        let key = format!("{number}");
                        let copy = blob_of(&life, &key).await.copies[0].key.to_string();
                        there.insert(key, copy);
                    }
                }
                let background = life.start_background();
                sleep(Duration::from_millis(8300)).await;
                // Before the cursor, after it, and new ones at the end.
                for number in [lives * 2, OBJECTS - 1 - lives * 2] {
                    let key = format!("{number}");
                    life.client.delete(&key, None).await.expect("is deleted");
                    there.remove(&key);
                }
                let new = format!("new/{lives}");
                life.client.put(&new, &[1; 1000]).await.expect("is put");
                sleep(Duration::from_millis(400)).await;
                if stopped {
                    background.stop().await;
                }
                let all = life.gateway.scrub_status().await.expect("readable");
                assert_eq!(all.len(), 1);
                assert!(all[0].pass.as_ref().is_none_or(|p| p.counts.suspects == 0));
                all[0].last_full.is_some()
            });
            lives += 1;
            for (_, key, _) in requests.lock().iter() {
                *verified.entry(key.clone()).or_default() += 1;
            }
            if is_over {
                break;
            }
            assert!(lives < 12, "it begins from the start again and again");
        }
        assert!(lives >= 5, "it was interrupted");
        for (key, copy) in &there {
            let times = verified.get(copy).copied().unwrap_or_default();
            assert!(times >= 1, "{key} was left out");
            // What is noted is at most five seconds old when the process dies.
            assert!(!stopped || times == 1, "{key} was verified {times} times");
        }
        let twice = verified.values().filter(|times| **times > 1).count() as u64;
        assert!(twice <= 6 * lives, "{twice} copies were verified again");
    }
}

#[test]
fn the_last_good_copy_is_never_removed() {
    for copies in [1, 2] {
        let world = full_world(24, copies, 64 * MIB);
        world.live(CrashPoints::none(), async |life| {
            let before = blob_of(&life, "1000000").await;
            for (number, copy) in before.copies.iter().enumerate() {
                let backend = world.memory(holder(&before, number));
                assert!(backend.rot(copy.key.as_str(), 5));
            }
            let background = life.start_background();
            pass(&life).await;
            sleep(DAY).await;
            pass(&life).await;
            let after = blob_of(&life, "1000000").await;
            assert_eq!(after.copies.len(), usize::from(copies));
            for (now, then) in after.copies.iter().zip(&before.copies) {
                assert_eq!((&now.key, now.state), (&then.key, CopyState::Suspect));
            }
            let far = Timestamp::from_millis(u64::MAX / 2);
            let due = life.gateway.index().due(far, 100).await.expect("readable");
            let is_repair = |work: &Work| matches!(work, Work::Repair { .. });
            assert!(
                due.iter().any(|entry| is_repair(&entry.work)),
                "it is not given up"
            );
            // Nothing is wrong any more: so it is found to be.
            for (number, copy) in before.copies.iter().enumerate() {
                let backend = world.memory(holder(&before, number));
                assert!(backend.rot(copy.key.as_str(), 5));
            }
            come_to_rest(&life).await;
            background.stop().await;
            require_laws(&life).await.expect("the laws hold");
            assert_eq!(blob_of(&life, "1000000").await.copies, before.copies);
        });
    }
}

#[test]
fn a_backend_that_is_away_is_not_judged() {
    let world = full_world(25, 3, 64 * MIB);
    world.live(CrashPoints::none(), async |life| {
        let down = Fault::Fail(BackendErrorKind::Unavailable);
        watch(world.memory(1), move |_| Some(down));
        let background = life.start_background();
        sleep(Duration::from_secs(2 * 3600)).await;
        for number in [0, 2] {
            let status = status(&life, number).await;
            assert_eq!(status.state, ScrubState::Resting, "others are done");
            assert_eq!(status.last_full.map(|full| full.counts.copies), Some(6));
        }
        let away = status(&life, 1).await;
        let pass = away.pass.expect("it is not over");
        assert_eq!((pass.counts.copies, away.last_full), (0, None));
        assert!((1..=6).contains(&pass.again.len()), "{pass:?}");
        assert!(pass.counts.skipped >= pass.again.len() as u64);
        for key in keys() {
            let copies = blob_of(&life, &key).await.copies;
            assert!(copies.iter().all(|copy| copy.state == CopyState::Good));
        }
        world.calm();
        sleep(Duration::from_secs(2 * 3600)).await;
        let back = status(&life, 1).await;
        let full = back.last_full.expect("all came again");
        assert_eq!((full.counts.copies, full.counts.suspects), (6, 0));
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn a_copy_that_never_answers_holds_up_no_other_and_comes_again() {
    let mut world = full_world(26, 3, 64 * MIB);
    world.settings.scrub_interval = DAY;
    world.live(CrashPoints::none(), async |life| {
        let blob = blob_of(&life, "262144").await;
        let copy = blob
            .copies
            .iter()
            .find(|copy| copy.backend == backend_id(1));
        let copy = copy.expect("each backend has one");
        let (position, key) = ((blob.blob, copy.attempt), copy.key.to_string());
        let hangs = move |call: &Call<'_>| (call.key == key).then_some(Fault::Hang);
        watch(world.memory(1), hangs);
        let background = life.start_background();
        sleep(Duration::from_secs(3 * 3600)).await;
        let status = async || status(&life, 1).await;
        let pass = status().await.pass.expect("it is not over");
        assert_eq!(pass.again, [position]);
        assert_eq!((pass.walked, pass.counts.copies), (true, 5));
        assert!((3..20).contains(&pass.counts.skipped), "{pass:?}");
        background.stop().await;
    });
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        sleep(DAY).await;
        let next = status(&life, 1).await;
        assert_eq!(
            next.last_full, None,
            "a pass that leaves one out is not full"
        );
        let pass = next.pass.expect("the next one began");
        assert_eq!((pass.again.len(), pass.counts.copies), (1, 5));
        world.calm();
        sleep(Duration::from_secs(2 * 3600)).await;
        let status = status(&life, 1).await;
        assert_eq!(status.last_full.map(|full| full.counts.copies), Some(6));
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn a_blob_that_dies_or_a_copy_that_goes_while_it_is_read_is_no_fault() {
    // A block takes 64 seconds: longer than the time after which what is deleted is removed.
    let world = full_world(27, 2, 4 * KIB);
    world.live(CrashPoints::none(), async |life| {
        let blob = blob_of(&life, "parts").await;
        let requests = [0, 1].map(|at| watch(world.memory(holder(&blob, at)), |_| None));
        let copies = [0, 1].map(|at| blob.copies[at].key.to_string());
        let background = life.start_background();
        let reads = |at: usize| {
            let requests = requests[at].lock();
            requests
                .iter()
                .filter(|(_, key, _)| *key == copies[at])
                .count()
        };
        while reads(0) == 0 || reads(1) == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        life.client.delete("parts", None).await.expect("is deleted");
        sleep(Duration::from_secs(1000)).await;
        assert_eq!((reads(0), reads(1)), (5, 5), "each was read to its end");
        come_to_rest(&life).await;
        for number in 0..3 {
            let status = status(&life, number).await;
            let counts = status.last_full.map(|full| full.counts);
            let counts = counts.or(status.pass.map(|pass| pass.counts));
            assert_eq!(counts.map(|counts| counts.suspects), Some(0));
        }
        background.stop().await;
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn clients_come_first_and_are_not_measured_by_it() {
    let world = full_world(28, 3, MIB);
    world.live(CrashPoints::none(), async |life| {
        let slow = Fault::Slow(Duration::from_millis(700));
        let handle = life.gateway.backends().get(&backend_id(0));
        let handle = Arc::clone(handle.expect("configured"));
        let requests = watch(world.memory(0), move |_| Some(slow));
        let background = life.start_background();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(requests.lock().len(), 6, "a pass was made");
        assert_eq!(handle.latency(), None, "nobody has read");

        // Somebody always waits for the backend.
        let busy = {
            let handle = Arc::clone(&handle);
            tokio::spawn(async move {
                let never = std::future::pending::<Result<(), _>>();
                handle
                    .call("get", weir_core::observe::OperationClass::Read, never)
                    .await
            })
        };
        sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        requests.lock().clear();
        pass(&life).await;
        assert!(
            began.elapsed() >= Duration::from_secs(6 * 5),
            "{:?}",
            began.elapsed()
        );
        assert!(
            began.elapsed() <= Duration::from_secs(6 * 7),
            "it goes on all the same"
        );
        busy.abort();
        sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        pass(&life).await;
        assert!(began.elapsed() <= Duration::from_secs(7));

        // All slots of the background are taken: it waits for one.
        requests.lock().clear();
        let most = u32::try_from(life.gateway.settings().background_per_backend_max);
        let slots = Arc::clone(handle.background_slots());
        let taken = slots
            .acquire_many_owned(most.expect("small"))
            .await
            .expect("open");
        let start = life.gateway.scrub(ScrubOrder::Start, Some(handle.id()));
        assert_eq!(start.await, Ok(()));
        sleep(Duration::from_secs(600)).await;
        assert_eq!(requests.lock().len(), 0);
        drop(taken);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(requests.lock().len(), 6);
        background.stop().await;
    });
}

#[test]
fn operators_stop_and_start_it() {
    let mut world = full_world(29, 3, BLOCK_BYTES);
    let one = backend_id(1);
    world.live(CrashPoints::none(), async |life| {
        let scrub = async |order, backend| life.gateway.scrub(order, backend).await;
        let refused = Err(ScrubRefused::NotRunning);
        assert_eq!(scrub(ScrubOrder::Start, None).await, refused);
        let background = life.start_background();
        sleep(Duration::from_secs(6)).await;
        assert_eq!(scrub(ScrubOrder::Stop, Some(&one)).await, Ok(()));
        let nowhere = backend_id(9);
        let refused = Err(ScrubRefused::NoBackend(nowhere.clone()));
        assert_eq!(scrub(ScrubOrder::Stop, Some(&nowhere)).await, refused);
        let stopped = status(&life, 1).await;
        assert_eq!(stopped.state, ScrubState::Stopped);
        sleep(40 * DAY).await;
        assert_eq!(status(&life, 1).await, stopped, "nothing is verified");
        let full = status(&life, 2).await.last_full;
        let full = full.expect("the others go on");
        assert!(life.now().since(full.began_at) < 20 * DAY);
        background.stop().await;
    });
    // Else the next pass would be due at the end of this one.
    world.settings.scrub_interval = 100 * DAY;
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        sleep(DAY).await;
        let stopped = status(&life, 1).await;
        assert_eq!(
            stopped.state,
            ScrubState::Stopped,
            "a restart changes nothing"
        );
        let came_to = stopped.pass.expect("it was interrupted").counts.copies;
        assert!((1..6).contains(&came_to), "{came_to} copies");
        let requests = watch(world.memory(1), |_| None);
        pass_of(&life).await;
        let read: std::collections::BTreeSet<_> = requests
            .lock()
            .iter()
            .map(|(_, key, _)| key.clone())
            .collect();
        assert_eq!(read.len() as u64, 6 - came_to, "it goes on where it was");
        let status = status(&life, 1).await;
        assert_eq!(status.last_full.map(|full| full.counts.copies), Some(6));
        background.stop().await;
    });
    world.settings.scrub_bytes_per_second_max = 0;
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        let refused = life.gateway.scrub(ScrubOrder::Start, None).await;
        assert_eq!(refused, Err(ScrubRefused::Off));
        let status = status(&life, 1).await;
        assert_eq!(status.state, ScrubState::Off);
        assert!(status.last_full.is_some(), "what was noted is still told");
        background.stop().await;
    });
}

/// Lets what was stopped on the second backend go on to its end.
async fn pass_of(life: &Life) {
    let one = backend_id(1);
    let start = life.gateway.scrub(ScrubOrder::Start, Some(&one));
    assert_eq!(start.await, Ok(()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(status(life, 1).await.pass, None);
}

#[test]
fn passes_follow_each_other_at_their_interval() {
    let mut world = full_world(30, 3, 64 * MIB);
    world.settings.scrub_interval = 7 * DAY;
    world.live(CrashPoints::none(), async |life| {
        let began = life.now();
        let requests = watch(world.memory(1), |_| None);
        let background = life.start_background();
        sleep(Duration::from_secs(60)).await;
        for week in 0..4_u64 {
            assert_eq!(requests.lock().len() as u64, 6 * (week + 1));
            let status = status(&life, 1).await;
            let due = status.next_at.expect("it rests").since(began);
            let wanted = (7 * DAY) * u32::try_from(week + 1).expect("small");
            assert!(
                due >= wanted && due < wanted + Duration::from_secs(3600),
                "{due:?}"
            );
            sleep(7 * DAY).await;
        }
        background.stop().await;
    });
}
