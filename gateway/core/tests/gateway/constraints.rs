//! What the configuration demands of copies holds for every one of them, whoever proposed it,
//! and however long ago.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use weir_backend::Operation as BackendOperation;
use weir_backend::memory::Fault;
use weir_core::decide::{Constraints, StoragePolicy};
use weir_core::observe::Clamped;
use weir_types::ErrorCode;
use weir_types::backend::BackendErrorKind;
use weir_types::crash::CrashPoints;
use weir_types::id::BackendId;
use weir_types::index::Mutation;
use weir_types::record::{BlobRecord, CopyState};

use crate::support::{
    DieAt, Life, Notes, Rules, Scripted, World, at_rest, backend_id, blob_of, body, code_of,
};

/// A storage policy with its constraints; no residency: any will do.
pub(crate) fn policy(name: &str, copies: u8, residency: &[&str], apart: bool) -> StoragePolicy {
    let residency: BTreeSet<String> = residency.iter().map(|r| (*r).to_owned()).collect();
    StoragePolicy {
        constraints: Constraints {
            residency: Some(residency).filter(|residency| !residency.is_empty()),
            distinct_failure_domains: apart,
        },
        ..StoragePolicy::unconstrained(name, copies)
    }
}

/// `b0` in the us; `b1`, `b2` and `b3` in the eu, the first two of them in one failure domain.
fn world(seed: u64, rules: &Rules, order: &'static [usize]) -> World {
    let mut world = World::in_memory(seed, 4);
    let places = [("us", "w"), ("eu", "x"), ("eu", "x"), ("eu", "y")];
    for (number, (residency, domain)) in places.into_iter().enumerate() {
        let facts = world.facts(number);
        facts.residency = Some(residency.into());
        facts.failure_domain = Some(domain.into());
    }
    world.decider = Arc::new(placing(rules, order));
    world
}

fn placing(rules: &Rules, order: &'static [usize]) -> Scripted {
    Scripted::placing(1, move |_, _, _| order.to_vec()).under(rules)
}

fn ids(numbers: &[usize]) -> Vec<BackendId> {
    numbers.iter().map(|number| backend_id(*number)).collect()
}

/// Where a blob's good copies lie, in the order in which they were made.
fn holders(blob: &BlobRecord) -> Vec<BackendId> {
    let good = blob.copies.iter().filter(|c| c.state == CopyState::Good);
    good.map(|copy| copy.backend.clone()).collect()
}

/// Uploads one part and completes; gives the key's blob.
async fn upload(life: &Life, key: &str) -> BlobRecord {
    let client = &life.client;
    let id = client
        .create_upload(key, None)
        .await
        .expect("begins")
        .upload_id;
    let part = client.part(key, id, 1, &[7; 2000]).await.expect("taken");
    let complete = client.completion(key, id, &[(1, part.etag)]);
    client.complete(complete).await.expect("becomes an object");
    blob_of(life, key).await
}

fn holds_nothing(world: &World, number: usize) -> bool {
    let backend = world.memory(number);
    backend.contents().is_empty() && backend.uploads().is_empty()
}

#[test]
fn candidates_are_those_that_the_residency_admits() {
    let rules = Rules::new(vec![policy("eu", 2, &["eu"], false)]);
    let mut world = world(1, &rules, &[0, 3, 0, 99, 1, 3]);
    let notes = Notes::default();
    world.observer = Arc::new(notes.clone());
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("put", &[1; 100]).await.expect("is put");
        let put = blob_of(&life, "put").await;
        let uploaded = upload(&life, "upload").await;
        for blob in [put, uploaded] {
            assert_eq!(blob.placement.candidates, ids(&[3, 1]));
            assert_eq!(blob.placement.storage_policy.as_deref(), Some("eu"));
            assert_eq!(holders(&blob), ids(&[3]));
        }
        assert_eq!(notes.clamped(Clamped::Forbidden), 4);
        at_rest(&life).await;
        assert!(holds_nothing(&world, 0));
    });
}

#[test]
fn what_may_lie_nowhere_is_refused() {
    let rules = Rules::new(vec![policy("eu", 2, &["eu"], false)]);
    let world = world(2, &rules, &[0]);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        let refused = ErrorCode::ServiceUnavailable;
        assert_eq!(code_of(client.put("key", &[1; 100]).await), refused);
        assert_eq!(code_of(client.create_upload("key", None).await), refused);
        at_rest(&life).await;
        assert!(holds_nothing(&world, 0));
    });
}

#[test]
fn a_rule_that_comes_after_the_decision_holds_for_the_write() {
    let (lax, strict) = (policy("p", 1, &[], false), policy("p", 1, &["eu"], false));
    // With another candidate, and without.
    for (order, taken) in [(&[0, 3][..], true), (&[0][..], false)] {
        let rules = Rules::new(vec![lax.clone()]);
        let mut world = world(3, &rules, &[]);
        let (then, before, after) = (rules.clone(), lax.clone(), strict.clone());
        let decider = Scripted::placing(1, move |policy, _, _| {
            assert_eq!(*policy, before, "the rule comes later");
            then.set(vec![after.clone()]);
            order.to_vec()
        });
        world.decider = Arc::new(decider.under(&rules));
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            let client = &life.client;
            let put = client.put("put", &[1; 100]).await;
            rules.set(vec![lax.clone()]);
            let large = client.put("large", &[1; 5000]).await;
            rules.set(vec![lax.clone()]);
            let begun = client.create_upload("upload", None).await;
            let all = [put.is_ok(), large.is_ok(), begun.is_ok()];
            assert_eq!(all, [taken; 3], "{order:?}");
            if let Ok(upload) = begun {
                assert_eq!(upload.legs[0].backend, backend_id(3));
                client
                    .abort("upload", upload.upload_id)
                    .await
                    .expect("aborts");
            }
            at_rest(&life).await;
            assert!(holds_nothing(&world, 0), "{order:?}");
        });
    }
}

#[test]
fn parts_go_nowhere_where_a_new_rule_forbids_it() {
    let (lax, strict) = (policy("p", 1, &[], false), policy("p", 1, &["eu"], false));
    let rules = Rules::new(vec![lax.clone()]);
    let world = world(4, &rules, &[0]);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("source", &[3; 2000]).await.expect("is put");
        let upload = client.create_upload("key", None).await.expect("begins");
        let id = upload.upload_id;
        let part = client.part("key", id, 1, &[7; 2000]).await.expect("taken");
        let taken = world.memory(0).bytes_in_out().0;
        let complete = || client.completion("key", id, &[(1, part.etag.clone())]);

        rules.set(vec![strict]);
        let refused = ErrorCode::ServiceUnavailable;
        assert_eq!(code_of(client.part("key", id, 2, &[7; 100]).await), refused);
        let source = client.source("source");
        let copied = client.part_copy("key", id, 2, source, None).await;
        assert_eq!(code_of(copied), refused);
        assert_eq!(code_of(client.complete(complete()).await), refused);
        assert_eq!(world.memory(0).bytes_in_out().0, taken);

        rules.set(vec![lax]);
        client
            .complete(complete())
            .await
            .expect("becomes an object");
        at_rest(&life).await;
    });
}

#[test]
fn further_copies_keep_to_the_residency_of_today() {
    let rules = Rules::new(vec![policy("p", 2, &[], false)]);
    let world = world(5, &rules, &[1, 0]);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        rules.set(vec![policy("p", 2, &["eu"], false)]);
        let background = life.start_background();
        sleep(Duration::from_secs(600)).await;
        assert!(holds_nothing(&world, 0), "b0 is not in the eu");
        let far = weir_types::clock::Timestamp::from_millis(u64::MAX / 2);
        let waiting = life.gateway.index().due(far, 10).await.expect("readable");
        let why = waiting[0].last_error.as_deref();
        assert_eq!(why, Some("its storage policy p allows no copy on b0"));

        // Nobody knows what holds for a storage policy that is gone.
        rules.set(vec![policy("other", 2, &[], false)]);
        sleep(Duration::from_secs(600)).await;
        assert!(holds_nothing(&world, 0));

        rules.set(vec![policy("p", 2, &[], false)]);
        background.stop().await;
        at_rest(&life).await;
        assert_eq!(holders(&blob_of(&life, "key").await), ids(&[1, 0]));
    });
}

#[test]
fn further_copies_lie_in_failure_domains_of_their_own() {
    for (copies, wanted, held) in [(2, 2, &[1, 3][..]), (3, 3, &[1, 3, 0]), (4, 3, &[1, 3, 0])] {
        let rules = Rules::new(vec![policy("apart", copies, &[], true)]);
        let mut world = world(6, &rules, &[1, 2, 3, 0]);
        let notes = Notes::default();
        world.observer = Arc::new(notes.clone());
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            life.client.put("key", &[1; 100]).await.expect("is put");
            at_rest(&life).await;
            let blob = blob_of(&life, "key").await;
            assert_eq!(blob.placement.copies_wanted, wanted);
            assert_eq!(holders(&blob), ids(held), "{copies} copies");
            assert_eq!(notes.clamped(Clamped::Copies), usize::from(copies > wanted));
        });
    }
}

#[test]
fn backends_without_a_failure_domain_are_each_their_own() {
    let rules = Rules::new(vec![policy("apart", 3, &[], true)]);
    let mut world = world(7, &rules, &[1, 2, 3]);
    world.facts(2).failure_domain = None;
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        assert_eq!(holders(&blob_of(&life, "key").await), ids(&[1, 2, 3]));
    });
}

/// Makes the copy on a backend look wrong.
async fn suspect(life: &Life, key: &str, number: usize) {
    let blob = blob_of(life, key).await;
    let backend = backend_id(number);
    let copy = blob.copies.iter().find(|copy| copy.backend == backend);
    let mark = Mutation::MarkCopy {
        blob: blob.blob,
        attempt: copy.expect("a copy lies there").attempt,
        backend,
        state: CopyState::Suspect,
        now: life.now(),
    };
    life.gateway.index().apply(mark).await.expect("is marked");
}

/// One life in which the background runs until it dies, or for ten minutes.
fn run(world: &World, die_at: &DieAtPoint) -> bool {
    let plan = DieAt::new(die_at.0, 1);
    world.live(plan.points(), async |life| {
        let background = life.start_background();
        tokio::select! {
            () = plan.death() => {}
            () = sleep(Duration::from_secs(600)) => background.stop().await,
        }
    });
    plan.is_dead()
}

struct DieAtPoint(&'static str);

/// `b1` and `b3` hold copies; that on `b1` looked wrong and could not be read, `b2` in the same
/// failure domain took its place, and there the process died.
fn replaced_and_not_removed(rules: &Rules, seed: u64, order: &'static [usize]) -> World {
    let world = world(seed, rules, order);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        life.client.put("key", &[1; 100]).await.expect("is put");
        at_rest(&life).await;
        suspect(&life, "key", 1).await;
    });
    let down = Fault::Fail(BackendErrorKind::Unavailable);
    world.fail(1, BackendOperation::Get, u64::MAX, down);
    assert!(run(&world, &DieAtPoint("repair:restored")));
    world.calm();
    world
}

#[test]
fn a_suspect_is_not_cleared_beside_a_good_copy_in_its_failure_domain() {
    let rules = Rules::new(vec![policy("apart", 2, &[], true)]);
    let world = replaced_and_not_removed(&rules, 8, &[1, 3, 2]);
    assert!(!run(&world, &DieAtPoint("repair:absolved")), "cleared");
    world.live(CrashPoints::none(), async |life| {
        at_rest(&life).await;
        assert_eq!(holders(&blob_of(&life, "key").await), ids(&[3, 2]));
    });
}

#[test]
fn of_too_many_copies_those_stay_that_may_lie_together() {
    let lax = policy("apart", 2, &[], false);
    let rules = Rules::new(vec![lax]);
    // Copies lie on b1 and b2, until b3 takes the place of b1.
    let world = replaced_and_not_removed(&rules, 9, &[1, 2, 3]);
    assert!(run(&world, &DieAtPoint("repair:absolved")), "not cleared");
    rules.set(vec![policy("apart", 2, &[], true)]);
    world.live(CrashPoints::none(), async |life| {
        assert_eq!(holders(&blob_of(&life, "key").await), ids(&[1, 2, 3]));
        at_rest(&life).await;
        assert_eq!(holders(&blob_of(&life, "key").await), ids(&[1, 3]));
    });
}

#[test]
fn copies_move_bytes_when_another_rule_applies() {
    let (first, eu) = (
        policy("first", 1, &[], false),
        policy("eu", 1, &["eu"], false),
    );
    let same = policy("same", 1, &[], false);
    let rules = Rules::new(vec![first, eu, same]);
    let world = world(10, &rules, &[0, 3]);
    // From, to, the storage class asked for, whether the blob is shared, where it lies then.
    let cases = [
        ("a", "b", None, true, 0),
        ("a", "a", None, true, 0),
        ("a", "c", Some("eu"), false, 3),
        ("a", "d", Some("same"), false, 0),
        ("c", "e", Some("eu"), true, 3),
        ("c", "f", None, false, 0),
        ("a", "a", Some("eu"), false, 3),
    ];
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let client = &life.client;
        client.put("a", &[9; 3000]).await.expect("is put");
        for (from, to, class, shared, lies) in cases {
            let case = format!("{from} to {to} as {class:?}");
            let source = blob_of(&life, from).await;
            client.copy_as(from, to, class).await.expect("is copied");
            let copy = blob_of(&life, to).await;
            assert_eq!(copy.blob == source.blob, shared, "{case}");
            assert_eq!(holders(&copy), ids(&[lies]), "{case}");
            let wanted = class.unwrap_or("first");
            let named = copy.placement.storage_policy.as_deref();
            assert_eq!(named, Some(wanted), "{case}");
            let (bytes, info) = client.get(to).await.expect("reads").expect("is there");
            assert_eq!(bytes, [9; 3000], "{case}");
            let noted = info.version.placement.storage_policy;
            assert_eq!(noted.as_deref(), Some(wanted), "{case}");
        }
        at_rest(&life).await;
    });
}

#[test]
fn a_copy_to_itself_brings_an_object_under_a_stricter_rule() {
    for strict in [policy("p", 2, &["eu"], false), policy("p", 2, &[], true)] {
        let rules = Rules::new(vec![policy("p", 2, &[], false)]);
        let before = if strict.constraints.residency.is_some() {
            &[0, 3, 1][..]
        } else {
            &[1, 2, 3]
        };
        let world = world(11, &rules, before);
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            let client = &life.client;
            client.put("key", &[9; 3000]).await.expect("is put");
            at_rest(&life).await;
            let loose = blob_of(&life, "key").await;
            assert_eq!(holders(&loose), ids(&before[..2]));
            rules.set(vec![strict.clone()]);
            client.copy("key", "key").await.expect("is copied");
            at_rest(&life).await;
            let strict = blob_of(&life, "key").await;
            assert_ne!(strict.blob, loose.blob, "bytes moved");
            let now = if before[0] == 0 { [3, 1] } else { [1, 3] };
            assert_eq!(holders(&strict), ids(&now));
        });
    }
}

#[test]
fn a_body_that_is_refused_before_it_is_read_is_not_read() {
    let rules = Rules::new(vec![policy("eu", 1, &["eu"], false)]);
    let world = world(12, &rules, &[0]);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        let put = life.client.putting("key", None, {
            let mut unread = body(&[1; 5000]);
            unread.frames = Box::pin(futures_util::stream::poll_fn(|_| panic!("it is read")));
            unread
        });
        let refused = life.client.put_as(put).await;
        assert_eq!(code_of(refused), ErrorCode::ServiceUnavailable);
    });
}
