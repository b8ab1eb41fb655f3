//! Which copies an object has when a policy has a say in it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_core::decide::{Addition, BackendState, CopiesProposal, HeldCopy, ObjectState, Occasion};
use weir_core::observe::Clamped;
use weir_types::backend::BackendErrorKind;
use weir_types::clock::Timestamp;
use weir_types::crash::CrashPoints;
use weir_types::id::BackendId;
use weir_types::index::Mutation;
use weir_types::operation::PutObject;
use weir_types::record::{ContentHeaders, CopyState, Work};

use crate::constraints::policy;
use crate::support::{
    Life, Notes, Rules, Scripted, World, at_rest, backend_id, blob_of, body, come_to_rest,
};

const HOUR: Duration = Duration::from_secs(3600);

fn add(backends: &[usize]) -> Vec<Addition> {
    let now = |backend: &usize| Addition {
        backend: *backend,
        priority: 0,
        not_before_ms: 0,
    };
    backends.iter().map(now).collect()
}

fn copies(add: Vec<Addition>, drop: &[usize]) -> CopiesProposal {
    CopiesProposal {
        revision: "mirror@1".into(),
        reason: "a test".into(),
        add,
        drop: drop.to_vec(),
    }
}

/// Five backends; objects are placed on the first of `b0`, `b1` and `b2` and want `wanted`
/// copies.
fn world(
    seed: u64,
    wanted: u8,
    notes: &Notes,
    replicate: impl Fn(&ObjectState<'_>, &[BackendState]) -> CopiesProposal + Send + Sync + 'static,
) -> World {
    let mut world = World::in_memory(seed, 5);
    let decider = Scripted::placing(wanted, |_, _, _| vec![0, 1, 2]);
    world.decider = Arc::new(decider.replicating(replicate));
    world.observer = Arc::new(notes.clone());
    world
}

/// The backends that hold good copies of a key, in the order in which they were made.
async fn holders(life: &Life, key: &str) -> Vec<BackendId> {
    let blob = blob_of(life, key).await;
    let good = blob.copies.iter().filter(|c| c.state == CopyState::Good);
    good.map(|copy| copy.backend.clone()).collect()
}

fn ids(numbers: &[usize]) -> Vec<BackendId> {
    numbers.iter().map(|number| backend_id(*number)).collect()
}

/// What lies there when the background has done all it can within an hour.
async fn settled(life: &Life, key: &str) -> Vec<BackendId> {
    let background = life.start_background();
    sleep(HOUR).await;
    background.stop().await;
    holders(life, key).await
}

#[test]
fn copies_are_made_and_dropped_as_the_policy_says_within_the_rules() {
    // Copies wanted, additions, drops, what lies there at the end, drops that were not made.
    type Case<'a> = (u8, &'a [usize], &'a [usize], &'a [usize], usize);
    let cases: &[Case<'_>] = &[
        // In its order, as many as it says, wherever that is.
        (2, &[4], &[], &[0, 4], 0),
        (1, &[4, 3], &[], &[0, 4, 3], 0),
        (3, &[4, 3, 1], &[], &[0, 4, 3, 1], 0),
        // Fewer than are wanted: candidates fill up.
        (2, &[], &[], &[0, 1], 0),
        (3, &[4], &[], &[0, 4, 1], 0),
        // What is there, twice there, or nowhere.
        (2, &[0, 4, 4, 77, usize::MAX], &[], &[0, 4], 0),
        // Only what is too many goes, and never the last.
        (1, &[4], &[0], &[4], 0),
        (1, &[], &[0], &[0], 1),
        (1, &[4], &[0, 4, 0, 9], &[4], 0),
        (2, &[4], &[0], &[0, 4], 1),
        (2, &[4, 3], &[0], &[4, 3], 0),
        (2, &[4, 3], &[4, 0, 3], &[4, 3], 0),
    ];
    for (seed, &(wanted, adds, drops, lie, kept)) in (1..).zip(cases) {
        let notes = Notes::default();
        // Says the same until it is so.
        let world = world(seed, wanted, &notes, |_, _| copies(add(adds), drops));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            life.client.put("key", &[1; 100]).await.expect("is put");
            at_rest(&life).await;
            let case = format!("{wanted} wanted, {adds:?} added, {drops:?} dropped");
            assert_eq!(holders(&life, "key").await, ids(lie), "{case}");
            assert_eq!(notes.clamped(Clamped::Kept), kept, "{case}");
        });
    }
}

#[test]
fn uploads_and_copies_that_move_bytes_are_decided_about_too() {
    let notes = Notes::default();
    let mut world = world(20, 1, &notes, |_, _| copies(add(&[4]), &[]));
    let rules = Rules::new(vec![
        policy("one", 1, &[], false),
        policy("two", 1, &[], false),
    ]);
    let decider = Scripted::placing(1, |_, _, _| vec![0]).under(&rules);
    world.decider = Arc::new(decider.replicating(|_, _| copies(add(&[4]), &[])));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("put", &[1; 100]).await.expect("is put");
        client
            .copy_as("put", "copy", Some("two"))
            .await
            .expect("is copied");
        let id = client
            .create_upload("parts", None)
            .await
            .expect("begins")
            .upload_id;
        let part = client
            .part("parts", id, 1, &[7; 2000])
            .await
            .expect("taken");
        let complete = client.completion("parts", id, &[(1, part.etag)]);
        client.complete(complete).await.expect("becomes an object");
        at_rest(&life).await;
        for key in ["put", "copy", "parts"] {
            assert_eq!(holders(&life, key).await, ids(&[0, 4]), "{key}");
        }
    });
}

#[test]
fn constraints_hold_for_what_the_policy_adds() {
    let notes = Notes::default();
    let mut world = world(21, 1, &notes, |_, _| copies(Vec::new(), &[]));
    let rules = Rules::new(vec![policy("p", 1, &["eu"], true)]);
    let decider = Scripted::placing(1, |_, _, _| vec![0]).under(&rules);
    world.decider = Arc::new(decider.replicating(|_, _| copies(add(&[1, 2, 3, 4]), &[])));
    let places = [
        ("eu", "x"),
        ("us", "w"),
        ("eu", "x"),
        ("eu", "y"),
        ("eu", "y"),
    ];
    for (number, (residency, domain)) in places.into_iter().enumerate() {
        world.facts(number).residency = Some(residency.into());
        world.facts(number).failure_domain = Some(domain.into());
    }
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        assert_eq!(holders(&life, "key").await, ids(&[0, 3]));
        assert_eq!(notes.clamped(Clamped::Forbidden), 3);
    });
}

#[test]
fn a_copy_on_a_backend_that_is_gone_makes_no_other_superfluous() {
    let notes = Notes::default();
    let mut world = world(29, 1, &notes, |_, _| copies(add(&[4]), &[]));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        assert_eq!(holders(&life, "key").await, ids(&[0, 4]));
    });
    world.unconfigure(4);
    let decider = Scripted::placing(1, |_, _, _| vec![0]);
    world.decider = Arc::new(decider.replicating(|_, _| copies(Vec::new(), &[0])));
    world.live(CrashPoints::none(), async |life| {
        let blob = blob_of(&life, "key").await;
        let ask = Mutation::Enqueue {
            work: Work::Replicate {
                blob: blob.blob,
                bytes: blob.size,
            },
            now: life.now(),
            not_before: life.now(),
        };
        life.gateway.index().apply(ask).await.expect("is asked");
        assert_eq!(settled(&life, "key").await, ids(&[0, 4]));
        assert_eq!(notes.clamped(Clamped::Kept), 1);
    });
}

/// Adds `b4`, not before so long after the object was committed.
fn later(delay: Duration) -> impl Fn(&ObjectState<'_>, &[BackendState]) -> CopiesProposal {
    move |object, _| {
        let created_at = Timestamp::from_millis(object.created_at_ms);
        copies(
            vec![Addition {
                backend: 4,
                priority: 0,
                not_before_ms: created_at.plus(delay).as_millis(),
            }],
            &[],
        )
    }
}

#[test]
fn a_copy_that_is_put_off_waits_in_the_outbox() {
    // Copies wanted; how long after the commit it is due, and when it is made.
    for (wanted, delay, made) in [
        (1, 30 * 24 * HOUR, 30 * 24 * HOUR),
        (2, 5 * HOUR, 5 * HOUR),
        (2, 48 * HOUR, 24 * HOUR),
    ] {
        let notes = Notes::default();
        let world = world(22, wanted, &notes, later(delay));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            life.client.put("key", &[1; 100]).await.expect("is put");
            assert_eq!(settled(&life, "key").await, ids(&[0]));
        });
        // The process is another one, and the work is known to it.
        world.live(CrashPoints::none(), async |life| {
            let far = Timestamp::from_millis(u64::MAX / 2);
            let waiting = life.gateway.index().due(far, 9).await.expect("readable");
            assert_eq!(waiting.len(), 1);
            assert!(matches!(waiting[0].work, Work::Replicate { .. }));
            assert_eq!(
                waiting[0].due_since, waiting[0].not_before,
                "it is not late"
            );
            let background = life.start_background();
            sleep(made - 2 * HOUR).await;
            assert_eq!(holders(&life, "key").await, ids(&[0]), "{delay:?}");
            sleep(2 * HOUR).await;
            assert_eq!(holders(&life, "key").await, ids(&[0, 4]), "{delay:?}");
            come_to_rest(&life).await;
            background.stop().await;
            assert_eq!(notes.clamped(Clamped::Postponed) > 0, made != delay);
        });
    }
}

#[test]
fn a_policy_that_always_puts_off_is_asked_ever_more_seldom() {
    let notes = Notes::default();
    let asked: Arc<Mutex<usize>> = Arc::default();
    let seen = Arc::clone(&asked);
    let world = world(28, 1, &notes, move |object, _| {
        *seen.lock() += 1;
        let not_before_ms = object.now_ms + 1;
        copies(
            vec![Addition {
                backend: 4,
                priority: 0,
                not_before_ms,
            }],
            &[],
        )
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        let background = life.start_background();
        sleep(48 * HOUR).await;
        background.stop().await;
        assert!((48..100).contains(&*asked.lock()), "{asked:?}");
        assert_eq!(holders(&life, "key").await, ids(&[0]));
    });
}

#[test]
fn what_is_lower_in_priority_comes_later_and_is_counted() {
    let notes = Notes::default();
    let world = world(23, 1, &notes, |_, _| {
        let mut add = add(&[4, 3, 2]);
        add[0].priority = 9;
        copies(add, &[])
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        assert_eq!(holders(&life, "key").await, ids(&[0, 3, 2, 4]));
        assert_eq!(notes.clamped(Clamped::Priority), 1);
    });
}

#[test]
fn an_addition_that_fails_holds_up_no_other() {
    let notes = Notes::default();
    let world = world(24, 2, &notes, |_, _| copies(add(&[3, 4]), &[0]));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let down = Fault::Fail(BackendErrorKind::Unavailable);
        world.fail(3, BackendOperation::Put, u64::MAX, down);
        life.client.put("key", &[1; 100]).await.expect("is put");
        assert_eq!(
            settled(&life, "key").await,
            ids(&[0, 4]),
            "b0 stays until then"
        );
        world.calm();
        at_rest(&life).await;
        assert_eq!(holders(&life, "key").await, ids(&[4, 3]));
    });
}

/// What a policy was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    what: String,
    tags: Vec<(String, String)>,
    user_metadata: Vec<(String, String)>,
    copies: Vec<HeldCopy>,
    occasion: Occasion,
}

fn told(object: &ObjectState<'_>) -> Told {
    let ObjectState {
        bucket,
        key,
        size_bytes,
        copies_wanted,
        candidates,
        ..
    } = object;
    let (content_type, class) = (object.content_type, object.storage_class);
    Told {
        what: format!(
            "{bucket}/{key}: {size_bytes} bytes of {content_type:?}, {class:?}, \
             {copies_wanted} of {candidates:?}"
        ),
        tags: object.tags.to_vec(),
        user_metadata: object.user_metadata.to_vec(),
        copies: object.copies.to_vec(),
        occasion: object.occasion,
    }
}

#[test]
fn the_policy_is_told_what_the_object_is_and_why_it_is_asked() {
    let notes = Notes::default();
    let asked: Arc<Mutex<Vec<Told>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let world = world(25, 2, &notes, move |object, backends| {
        assert_eq!(backends.len(), 5);
        assert!(object.created_at_ms > 0 && object.created_at_ms <= object.now_ms);
        seen.lock().push(told(object));
        copies(add(&[3]), &[])
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        let label = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let put = PutObject {
            headers: ContentHeaders {
                content_type: Some("text/plain".into()),
                ..ContentHeaders::default()
            },
            tags: label("colour", "red"),
            user_metadata: label("camera", "old"),
            ..client.putting("key", Some("COLD"), body(&[1; 100]))
        };
        client.put_as(put).await.expect("is put");
        at_rest(&life).await;
        let blob = blob_of(&life, "key").await;
        let lost = blob.copies[1].key.as_str().to_owned();
        assert!(world.memory(3).lose(&lost));
        // Read until the loss is noticed.
        for _ in 0..20 {
            client.get("key").await.expect("another copy serves it");
            sleep(Duration::from_secs(1)).await;
        }
        let written = |n: usize| blob.copies[n].created_at.as_millis();
        let held = |backend, state, written_at_ms| HeldCopy {
            backend,
            state,
            written_at_ms,
        };
        let first = Told {
            what: "bucket/key: 100 bytes of Some(\"text/plain\"), Some(\"COLD\"), \
                   2 of [0, 1, 2]"
                .into(),
            tags: label("colour", "red"),
            user_metadata: label("camera", "old"),
            copies: vec![held(0, CopyState::Good, written(0))],
            occasion: Occasion::Committed,
        };
        assert_eq!(*asked.lock(), std::slice::from_ref(&first));
        let mark = Mutation::MarkCopy {
            blob: blob.blob,
            backend: backend_id(3),
            attempt: blob.copies[1].attempt,
            state: CopyState::Suspect,
            now: life.now(),
        };
        life.gateway.index().apply(mark).await.expect("is marked");
        at_rest(&life).await;
        let again = Told {
            copies: vec![
                held(0, CopyState::Good, written(0)),
                held(3, CopyState::Suspect, written(1)),
            ],
            occasion: Occasion::Repair,
            ..first.clone()
        };
        assert_eq!(*asked.lock(), [first, again]);
        assert_eq!(holders(&life, "key").await, ids(&[0, 3]));
    });
}

#[test]
fn a_blob_that_its_key_left_behind_is_nothing_to_decide_about() {
    let notes = Notes::default();
    let asked: Arc<Mutex<usize>> = Arc::default();
    let seen = Arc::clone(&asked);
    let world = world(26, 2, &notes, move |_, _| {
        *seen.lock() += 1;
        copies(add(&[4]), &[0])
    });
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("key", &[1; 100]).await.expect("is put");
        client.copy("key", "other").await.expect("is shared");
        client.delete("key", None).await.expect("is deleted");
        at_rest(&life).await;
        assert_eq!(*asked.lock(), 0);
        assert_eq!(holders(&life, "other").await, ids(&[0, 1]));
    });
}

#[test]
fn a_repair_drops_nothing_but_what_the_policy_says() {
    let notes = Notes::default();
    // Three copies where two are wanted.
    let world = world(27, 2, &notes, |_, _| copies(add(&[3, 4]), &[]));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        let blob = blob_of(&life, "key").await;
        assert!(world.memory(0).lose(blob.copies[0].key.as_str()));
        let mark = Mutation::MarkCopy {
            blob: blob.blob,
            backend: backend_id(0),
            attempt: blob.copies[0].attempt,
            state: CopyState::Suspect,
            now: life.now(),
        };
        life.gateway.index().apply(mark).await.expect("is marked");
        at_rest(&life).await;
        assert_eq!(holders(&life, "key").await, ids(&[3, 4]));
    });
}
