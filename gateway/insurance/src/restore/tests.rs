use std::time::Duration;

use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_types::backend::{Backend as _, BackendErrorKind};
use weir_types::body::PutStream;
use weir_types::id::BackendKey;
use weir_types::index::Index as _;

use super::*;
use crate::testing::*;

/// Two backends with one snapshot and ten segments each.
async fn shipped_world() -> (World, Vec<Vec<u8>>) {
    let mut world = World::new(2, 1);
    world.settings.snapshot_log_bytes_min = 1 << 20;
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    let mut states = Vec::new();
    for _ in 0..10 {
        change(&index, &world.entropy, 3).await;
        shipped(&shipping).await;
        states.push(world.rows_of(&*index));
    }
    shipping.stop().await;
    for backend in &world.backends {
        assert_eq!(files(backend, "log-").len(), 10);
        assert_eq!(files(backend, "snap-").len(), 1);
    }
    (world, states)
}

fn segment(backend: &MemoryBackend, number: usize) -> String {
    files(backend, "log-").swap_remove(number)
}

fn bytes_of(backend: &MemoryBackend, name: &str) -> bytes::Bytes {
    let held = backend.contents().into_iter().find(|held| held.key == name);
    held.expect("it is there").bytes
}

async fn write(backend: &MemoryBackend, name: &str, bytes: bytes::Bytes) {
    let (_, file) = Place::parse(&site(), name).expect("one of ours");
    let (place, _) = Place::parse(&site(), name).expect("one of ours");
    let key: BackendKey = place.key(file).expect("a valid name");
    let size = bytes.len() as u64;
    let body: PutStream = Box::pin(futures_util::stream::iter([Ok(bytes)]));
    backend.delete(&key).await.expect("gone");
    backend.put(&key, size, body).await.expect("stored");
}

/// What comes of it.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    /// Only so many segments can be reached; the rest lies beyond a gap.
    GapAfter(usize),
    /// The tail is lost, and nothing tells that it was ever there.
    TailAt(usize),
    Unusable,
}

#[tokio::test(start_paused = true)]
async fn what_is_spoilt_is_had_elsewhere_or_named_and_never_applied() {
    type Spoil = fn(&[MemoryBackend]);
    fn lose(backend: &MemoryBackend, number: usize) {
        assert!(backend.lose(&segment(backend, number)));
    }
    fn rot(backend: &MemoryBackend, number: usize) {
        assert!(backend.rot(&segment(backend, number), 77));
    }
    fn rot_file(backend: &MemoryBackend, kind: &str) {
        assert!(backend.rot(&files(backend, kind)[0], 30));
    }
    // What is spoilt, what comes of it, and whether damage is named; `None`: the other backend's
    // files may have been enough, and nobody looked.
    let cases: [(&str, Spoil, End, Option<bool>); 14] = [
        ("nothing", |_| {}, End::Whole, Some(false)),
        (
            "missing on one",
            |b| lose(&b[0], 4),
            End::Whole,
            Some(false),
        ),
        ("corrupt on one", |b| rot(&b[0], 4), End::Whole, None),
        (
            "different ones missing",
            |b| (lose(&b[0], 2), lose(&b[1], 7)).0,
            End::Whole,
            Some(false),
        ),
        (
            "missing on both",
            |b| (lose(&b[0], 4), lose(&b[1], 4)).0,
            End::GapAfter(4),
            Some(false),
        ),
        (
            "corrupt on both",
            |b| (rot(&b[0], 4), rot(&b[1], 4)).0,
            End::GapAfter(4),
            Some(true),
        ),
        (
            "missing and corrupt",
            |b| (lose(&b[0], 4), rot(&b[1], 4)).0,
            End::GapAfter(4),
            Some(true),
        ),
        (
            "the first missing",
            |b| (lose(&b[0], 0), lose(&b[1], 0)).0,
            End::GapAfter(0),
            Some(false),
        ),
        (
            "the tail missing",
            |b| (lose(&b[0], 9), lose(&b[1], 9)).0,
            End::TailAt(9),
            Some(false),
        ),
        (
            "the tail corrupt",
            |b| (rot(&b[0], 9), rot(&b[1], 9)).0,
            End::GapAfter(9),
            Some(true),
        ),
        (
            "a part on one",
            |b| rot_file(&b[0], "part-"),
            End::Whole,
            None,
        ),
        (
            "a manifest on one",
            |b| rot_file(&b[0], "snap-"),
            End::Whole,
            None,
        ),
        (
            "a part on both",
            |b| b.iter().for_each(|b| rot_file(b, "part-")),
            End::Unusable,
            Some(true),
        ),
        (
            "all manifests missing",
            |b| {
                b.iter()
                    .for_each(|b| assert!(b.lose(&files(b, "snap-")[0])))
            },
            End::Unusable,
            Some(false),
        ),
    ];
    for (what, spoil, end, is_named) in cases {
        let (world, states) = shipped_world().await;
        spoil(&world.backends);
        let found = world.collect().await;
        if end == End::Unusable {
            assert!(
                matches!(found, Err(RestoreError::Unusable(_))),
                "{what}: {found:?}"
            );
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (segments, has_gap) = match end {
            End::GapAfter(segments) => (segments, true),
            End::TailAt(segments) => (segments, false),
            End::Whole | End::Unusable => (10, false),
        };
        assert_eq!(found.gap.is_some(), has_gap, "{what}: {found:?}");
        if let Some(gap) = &found.gap {
            assert_eq!(gap.first, found.reached.number + 1, "{what}");
            assert!(gap.beyond >= gap.first, "{what}");
        }
        let named = !found.damaged.is_empty();
        assert!(
            is_named.is_none_or(|is_named| named == is_named),
            "{what}: {found:?}"
        );
        let rows = world.rows(&found);
        let expected = segments.checked_sub(1).map(|last| &states[last]);
        assert!(expected.is_none_or(|expected| rows == *expected), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_under_anothers_name_is_never_applied() {
    for key in [None, Some(key('d'))] {
        let mut world = World::new(1, 2);
        world.key = key;
        world.settings.snapshot_log_bytes_min = 1 << 20;
        let index = world.open();
        let shipping = world.ship(&index);
        shipped(&shipping).await;
        for _ in 0..6 {
            change(&index, &world.entropy, 3).await;
            shipped(&shipping).await;
        }
        shipping.stop().await;
        let backend = &world.backends[0];
        let names = (segment(backend, 2), segment(backend, 3));
        let bytes = (bytes_of(backend, &names.0), bytes_of(backend, &names.1));
        write(backend, &names.0, bytes.1.clone()).await;
        write(backend, &names.1, bytes.0.clone()).await;
        let found = world.collect().await.expect("the beginning is whole");
        assert!(found.gap.is_some() && found.damaged.len() == 1, "{found:?}");
        // Torn: the first half.
        write(backend, &names.0, bytes.0.slice(..bytes.0.len() / 2)).await;
        write(backend, &names.1, bytes.1.clone()).await;
        let found = world.collect().await.expect("the beginning is whole");
        assert!(found.gap.is_some() && found.damaged.len() == 1, "{found:?}");
        write(backend, &names.0, bytes.0).await;
        world.must_be_restored(&index, "put right").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_said_and_an_older_copy_not_taken_instead() {
    let mut world = World::new(2, 3);
    let index = world.open();
    let shipping = world.ship(&index);
    shipped(&shipping).await;
    shipping.stop().await;
    drop(index);
    world.key = Some(key('a'));
    let index = world.open();
    let shipping = world.ship(&index);
    change(&index, &world.entropy, 5).await;
    shipped(&shipping).await;
    shipping.stop().await;
    world.key = None;
    let refused = world.collect().await.expect_err("the newest is sealed");
    let name = key('a').name().to_string();
    assert!(refused.to_string().contains(&name), "{refused}");
    world.key = Some(key('b'));
    let refused = world.collect().await.expect_err("another key");
    assert!(refused.to_string().contains(&name), "{refused}");
    assert!(!refused.to_string().contains(&"a".repeat(64)));
    // What was plain before is not taken for the truth either: anybody could have written it.
    world.key = Some(key('a'));
    let targets = world.targets();
    let found = survey(&site(), &targets, world.key.as_ref()).await;
    let plain = found.candidates.iter().find(|c| c.reached.is_err());
    let reason = plain
        .and_then(|c| c.reached.clone().err())
        .expect("not sealed")
        .to_string();
    assert!(reason.contains("not sealed"), "{reason}");
    world.must_be_restored(&index, "the sealed one").await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_answer_is_named_and_the_other_is_enough() {
    let (world, states) = shipped_world().await;
    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    world.backends[0].set_plan(Some(Arc::new(down)));
    let found = survey(&site(), &world.targets(), None).await;
    assert_eq!(found.unreachable.len(), 1);
    assert_eq!(found.unreachable[0].0.as_str(), "b0");
    let collected = world.collect().await.expect("one is enough");
    assert!(Some(&world.rows(&collected)) == states.last());
    world.backends[1].set_plan(Some(Arc::new(down)));
    let refused = world.collect().await;
    assert!(
        matches!(refused, Err(RestoreError::Nothing(_))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_index_that_the_markers_name_is_chosen_before_a_newer_one() {
    let mut world = World::new(2, 4);
    let mut epochs = Vec::new();
    for _ in 0..2 {
        world.store = Default::default();
        let index = world.open();
        epochs.push(index.identity().epoch);
        let shipping = world.ship(&index);
        change(&index, &world.entropy, 5).await;
        shipped(&shipping).await;
        shipping.stop().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let (older, newer) = (epochs[0].clone(), epochs[1].clone());
    let cases: [(&[String], &String); 5] = [
        (&[], &newer),
        (&["gone".to_owned()], &newer),
        (std::slice::from_ref(&older), &older),
        (std::slice::from_ref(&newer), &newer),
        (&[older.clone(), newer.clone()], &newer),
    ];
    let found = survey(&site(), &world.targets(), None).await;
    for (named, expected) in cases {
        let chosen = found.choose(&site(), None, named).expect("both are whole");
        assert_eq!(&chosen.place.epoch, expected, "{named:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_here_goes_again() {
    let (world, _) = shipped_world().await;
    let names = || {
        let entries = std::fs::read_dir(world.folder.path()).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names.filter(|name| name != "insurance").count()
    };
    let collected = world.collect().await.expect("whole");
    assert_eq!(names(), 2);
    drop(collected);
    assert_eq!(names(), 0);
}
