//! What happens to a new version when nothing that placement proposed has room.

use std::sync::Arc;

use parking_lot::Mutex;
use weir_core::decide::{Excluded, Obstacle, OverflowProposal, Verdict};
use weir_core::observe::{Clamped, Overflow};
use weir_types::crash::CrashPoints;
use weir_types::operation::PutObject;
use weir_types::{Error, ErrorCode};

use crate::constraints::policy;
use crate::support::{
    Life, Notes, Rules, Scripted, World, at_rest, backend_id, blob_of, body, code_of, come_to_rest,
    require_laws,
};

/// Room of the backends that placement proposes.
const ROOM: u64 = 4000;

/// What the overflow policy was asked.
type Asked = Arc<Mutex<Vec<Vec<Excluded>>>>;

fn answer(verdict: Verdict, reason: &str) -> Option<OverflowProposal> {
    Some(OverflowProposal {
        revision: "spill@1".into(),
        reason: reason.into(),
        verdict,
    })
}

/// Five backends: placement proposes `b0` and `b1`, which hold little; `b2` is without limit,
/// `b3` holds little too, and `b4` lies where nothing may lie.
fn world(
    seed: u64,
    notes: &Notes,
    answer: impl Fn() -> Option<OverflowProposal> + Send + Sync + 'static,
) -> (World, Asked) {
    let mut world = World::in_memory(seed, 5);
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let rules = Rules::new(vec![policy("here", 2, &["here"], false)]);
    let decider = Scripted::placing(2, |_, _, _| vec![0, 1]).under(&rules);
    world.decider = Arc::new(decider.overflowing(move |_, excluded, _| {
        seen.lock().push(excluded.to_vec());
        answer()
    }));
    for number in 0..5 {
        let facts = world.facts(number);
        facts.residency = Some(if number == 4 { "there" } else { "here" }.into());
        facts.bytes_max = [Some(ROOM), Some(ROOM), None, Some(ROOM), None][number];
    }
    world.observer = Arc::new(notes.clone());
    (world, asked)
}

/// Puts with a body that must not be asked for.
async fn put_unread(life: &Life, bytes: u64) -> Error {
    let mut unread = body(&[]);
    unread.size = bytes;
    unread.frames = Box::pin(futures_util::stream::poll_fn(|_| panic!("it is read")));
    let put: PutObject = life.client.putting("unread", None, unread);
    life.client.put_as(put).await.expect_err("refused")
}

fn full(backend: usize) -> Excluded {
    let obstacle = Obstacle::Bytes;
    Excluded { backend, obstacle }
}

#[test]
fn what_has_no_room_spills_where_constraints_and_room_allow() {
    let notes = Notes::default();
    let spill = || answer(Verdict::Spill(vec![9, 0, 4, 3, 2, 2]), "to the \n attic");
    let (world, asked) = world(1, &notes, spill);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("small", &[1; 100]).await.expect("is put");
        assert_eq!(*asked.lock(), Vec::<Vec<Excluded>>::new());

        client.put("large", &[1; 5000]).await.expect("spills");
        let blob = blob_of(&life, "large").await;
        assert_eq!(blob.copies[0].backend, backend_id(2));
        let placement = &blob.placement;
        assert_eq!(placement.home, [backend_id(0), backend_id(1)]);
        let candidates = [backend_id(2), backend_id(0), backend_id(1)];
        assert_eq!(placement.candidates, candidates);
        assert_eq!(placement.revision, "spill@1");
        let reason = "spilled over: to the   attic; placed first by scripted: a test";
        assert_eq!(placement.reason, reason);
        assert_eq!(placement.copies_wanted, 2);
        let (_, info) = client.get("large").await.expect("reads").expect("there");
        assert_eq!(info.version.placement, *placement);

        assert_eq!(*asked.lock(), [[full(0), full(1)]]);
        assert_eq!(notes.overflows(), [Overflow::Spilled]);
        assert_eq!(notes.clamped(Clamped::Forbidden), 1);
    });
}

#[test]
fn one_candidate_with_room_is_enough() {
    let notes = Notes::default();
    let (mut world, asked) = world(2, &notes, || answer(Verdict::Refuse, "never"));
    world.facts(1).bytes_max = None;
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("large", &[1; 5000]).await.expect("is put");
        assert_eq!(
            blob_of(&life, "large").await.copies[0].backend,
            backend_id(1)
        );
        assert!(asked.lock().is_empty());
    });
}

#[test]
fn a_refusal_tells_the_reason_before_the_body_is_read() {
    let notes = Notes::default();
    let refuse = || answer(Verdict::Refuse, "full until\u{7} Monday");
    let (world, _) = world(3, &notes, refuse);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for bytes in [ROOM + 1, 900_000] {
            let error = put_unread(&life, bytes).await;
            assert_eq!(error.code, ErrorCode::QuotaExceeded);
            assert_eq!(error.message, "full until  Monday");
        }
        assert_eq!(notes.overflows(), [Overflow::Refused; 2]);
        at_rest(&life).await;
    });
}

#[test]
fn without_an_overflow_policy_what_is_full_is_refused() {
    let notes = Notes::default();
    let (world, asked) = world(4, &notes, || None);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let error = put_unread(&life, 900_000).await;
        assert_eq!(error.code, ErrorCode::QuotaExceeded);
        assert_eq!(asked.lock().len(), 1);
        assert_eq!(notes.overflows(), []);
    });
}

#[test]
fn a_spill_to_where_nothing_may_lie_is_a_refusal() {
    let notes = Notes::default();
    // Unknown, full, forbidden.
    let spill = || answer(Verdict::Spill(vec![7, 0, 3, 4]), "nowhere else");
    let (world, _) = world(5, &notes, spill);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let error = put_unread(&life, 5000).await;
        let told = (error.code, error.message.as_ref());
        assert_eq!(told, (ErrorCode::QuotaExceeded, "nowhere else"));
        at_rest(&life).await;
        assert!(world.memory(4).contents().is_empty());
    });
}

#[test]
fn room_is_not_made_but_the_object_goes_where_it_may_meanwhile() {
    for (meanwhile, code) in [
        (vec![2], None),
        (vec![], Some(ErrorCode::ServiceUnavailable)),
        (vec![4], Some(ErrorCode::QuotaExceeded)),
    ] {
        let notes = Notes::default();
        let verdict = Verdict::MakeRoom {
            evictions: 3,
            meanwhile,
        };
        let (world, _) = world(6, &notes, move || answer(verdict.clone(), "soon"));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            let put = life.client.put("large", &[1; 5000]).await;
            assert_eq!(put.err().map(|error| error.code), code);
            assert_eq!(notes.clamped(Clamped::MakeRoom), 1);
            let outcome = match code {
                None => Overflow::Meanwhile,
                Some(_) => Overflow::Refused,
            };
            assert_eq!(notes.overflows(), [outcome]);
        });
    }
}

#[test]
fn a_backend_that_says_it_is_full_makes_the_object_overflow_too() {
    let notes = Notes::default();
    let spill = || answer(Verdict::Spill(vec![1, 2]), "attic");
    let (world, asked) = world(7, &notes, spill);
    for number in [0, 1] {
        world.memory(number).set_bytes_max(Some(100));
    }
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        overflows(&life, &asked, 500).await;
    });
}

#[test]
fn a_large_body_that_full_disks_have_not_read_overflows() {
    let mut world = World::on_files(12, 3);
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let decider = Scripted::placing(2, |_, _, _| vec![0, 1]);
    world.decider = Arc::new(decider.overflowing(move |_, excluded, _| {
        seen.lock().push(excluded.to_vec());
        answer(Verdict::Spill(vec![1, 2]), "attic")
    }));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for number in [0, 1] {
            world.disk(number).set_bytes_max(Some(300_000));
        }
        overflows(&life, &asked, 600_000).await;
    });
}

/// Puts what `b0` and `b1` say they have no room for.
async fn overflows(life: &Life, asked: &Asked, size: usize) {
    let bytes = vec![5; size];
    life.client.put("key", &bytes).await.expect("spills");
    let blob = blob_of(life, "key").await;
    assert_eq!(blob.copies[0].backend, backend_id(2));
    assert_eq!(blob.placement.home, [backend_id(0), backend_id(1)]);
    assert_eq!(*asked.lock(), [[full(0), full(1)]]);
    let got = life.client.get("key").await.expect("reads");
    assert!(got.expect("is there").0 == bytes);
}

#[test]
fn it_is_asked_once_for_a_version() {
    let notes = Notes::default();
    let (world, asked) = world(8, &notes, || answer(Verdict::Spill(vec![2]), "attic"));
    for number in [0, 1, 2] {
        world.memory(number).set_bytes_max(Some(100));
    }
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let put = life.client.put("key", &[5; 500]).await;
        assert_eq!(code_of(put), ErrorCode::QuotaExceeded);
        assert_eq!(asked.lock().len(), 1);
    });
}

#[test]
fn uploads_overflow_when_they_begin() {
    let notes = Notes::default();
    let (world, asked) = world(9, &notes, || answer(Verdict::Spill(vec![2]), "attic"));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        let room = usize::try_from(ROOM).expect("fits");
        client.put("filler", &vec![1; room]).await.expect("is put");
        let background = life.start_background();
        come_to_rest(&life).await;
        background.stop().await;
        assert!(asked.lock().is_empty());
        let upload = client.create_upload("key", None).await.expect("spills");
        assert_eq!(upload.legs[0].backend, backend_id(2));
        assert_eq!(upload.placement.home, [backend_id(0), backend_id(1)]);
        let id = upload.upload_id;
        let part = client.part("key", id, 1, &[7; 2000]).await.expect("taken");
        let complete = client.completion("key", id, &[(1, part.etag)]);
        client.complete(complete).await.expect("becomes an object");
        let blob = blob_of(&life, "key").await;
        assert_eq!(blob.placement.home, [backend_id(0), backend_id(1)]);
        assert_eq!(notes.overflows(), [Overflow::Spilled]);
    });
}

#[test]
fn a_spilled_object_gets_its_copies_when_there_is_room_again() {
    let notes = Notes::default();
    let (world, _) = world(10, &notes, || answer(Verdict::Spill(vec![2]), "attic"));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("filler", &[1; 3900]).await.expect("is put");
        let background = life.start_background();
        come_to_rest(&life).await;
        client.put("key", &[2; 500]).await.expect("spills");
        client.delete("filler", None).await.expect("is deleted");
        come_to_rest(&life).await;
        background.stop().await;
        let blob = blob_of(&life, "key").await;
        let holders: Vec<_> = blob.copies.iter().map(|c| c.backend.clone()).collect();
        assert_eq!(holders, [backend_id(2), backend_id(0)]);
        require_laws(&life).await.expect("the laws hold");
    });
}

#[test]
fn shared_bytes_need_no_room() {
    let notes = Notes::default();
    let (world, asked) = world(11, &notes, || answer(Verdict::Refuse, "full"));
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("key", &[1; 3000]).await.expect("is put");
        let background = life.start_background();
        come_to_rest(&life).await;
        background.stop().await;
        client.copy("key", "other").await.expect("moves no bytes");
        assert!(asked.lock().is_empty());
        assert_eq!(put_unread(&life, 3000).await.code, ErrorCode::QuotaExceeded);
    });
}
