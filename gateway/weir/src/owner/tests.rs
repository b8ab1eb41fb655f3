use bytes::Bytes;
use weir_backend::memory::MemoryBackend;
use weir_types::backend::BackendErrorKind::{Denied, Unavailable};
use weir_types::id::{BlobId, SiteId};

use super::*;

fn identity(site: &str, epoch: &str) -> IndexIdentity {
    let site = SiteId::parse(site).expect("a valid site");
    IndexIdentity {
        site,
        epoch: epoch.to_owned(),
    }
}

fn owned(backend: &MemoryBackend, site: &str, epoch: &str) -> Owned {
    let id = BackendId::parse("disk-a").expect("a valid id");
    Owned::new(id, Arc::new(backend.clone()), &identity(site, epoch))
}

fn key() -> BackendKey {
    BackendKey::of(&SiteId::parse("s").expect("a valid site"), BlobId(7), 0)
}

fn body() -> PutStream {
    Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"x"))]))
}

#[tokio::test]
async fn a_fresh_backend_becomes_ours_and_stays_so() {
    let backend = MemoryBackend::new();
    let first = owned(&backend, "s", "e1");
    assert!(!first.is_confirmed());
    assert_eq!(first.ownership().await, Ownership::Ours);
    assert!(first.is_confirmed());
    first.put(&key(), 1, body()).await.expect("ours");
    // The same index after a restart.
    assert_eq!(
        owned(&backend, "s", "e1").ownership().await,
        Ownership::Ours
    );
}

#[tokio::test]
async fn another_index_may_read_and_change_nothing() {
    for (site, epoch) in [("s", "e2"), ("t", "e1")] {
        let backend = MemoryBackend::new();
        owned(&backend, "s", "e1")
            .put(&key(), 1, body())
            .await
            .expect("ours");
        let held = backend.contents();
        let other = owned(&backend, site, epoch);
        let Ownership::Foreign(message) = other.ownership().await else {
            panic!("not recognised as foreign");
        };
        for word in [
            "disk-a",
            "\"s\"",
            "\"e1\"",
            site,
            epoch,
            "weir backend adopt",
        ] {
            assert!(message.contains(word), "{message} lacks {word}");
        }
        assert!(other.head(&key()).await.expect("readable").is_some());
        let part = PartNumber::FIRST;
        for (what, error) in [
            ("put", other.put(&key(), 1, body()).await.err()),
            ("delete", other.delete(&key()).await.err()),
            ("create_upload", other.create_upload(&key()).await.err()),
            (
                "put_part",
                other.put_part(&key(), "u", part, 1, body()).await.err(),
            ),
            (
                "complete_upload",
                other.complete_upload(&key(), "u", &[]).await.err(),
            ),
            ("abort_upload", other.abort_upload(&key(), "u").await.err()),
        ] {
            assert_eq!(error.map(|e| e.kind), Some(Denied), "{what}");
        }
        assert_eq!(backend.contents(), held);
    }
}

#[tokio::test]
async fn one_that_cannot_be_asked_is_asked_before_the_first_change() {
    let backend = MemoryBackend::new();
    owned(&backend, "s", "e1")
        .put(&key(), 1, body())
        .await
        .expect("ours");
    backend.set_plan(Some(Arc::new(|_: &weir_backend::memory::Call<'_>| {
        Some(weir_backend::memory::Fault::Fail(Unavailable))
    })));
    let other = owned(&backend, "s", "e2");
    assert!(matches!(other.ownership().await, Ownership::Unknown(_)));
    assert_eq!(
        other.delete(&key()).await.err().map(|e| e.kind),
        Some(Unavailable)
    );
    // It answers again: only now it shows that it is somebody else's.
    backend.set_plan(None);
    assert_eq!(
        other.delete(&key()).await.err().map(|e| e.kind),
        Some(Denied)
    );
    assert!(
        backend
            .contents()
            .iter()
            .any(|held| held.key == key().as_str())
    );
}

#[tokio::test]
async fn a_marker_that_cannot_be_read_is_not_ours() {
    let backend = MemoryBackend::new();
    backend.write_owner(b"junk").await.expect("written");
    assert!(matches!(
        owned(&backend, "s", "e1").ownership().await,
        Ownership::Foreign(_)
    ));
}

#[tokio::test]
async fn an_adopted_backend_is_ours_and_no_longer_the_others() {
    for before in [
        br#"{"site":"s","epoch":"e1"}"#.as_slice(),
        br#"{"site":"t","epoch":"e2"}"#,
        b"junk",
    ] {
        let backend = MemoryBackend::new();
        backend.write_owner(before).await.expect("written");
        let us = owned(&backend, "s", "e2");
        assert!(matches!(us.holder().await, Ok(Holder::Another(_))));
        assert_eq!(
            us.put(&key(), 1, body()).await.err().map(|e| e.kind),
            Some(Denied)
        );

        assert_eq!(us.adopt().await.expect("answered"), Holder::Us);
        assert_eq!(us.holder().await.expect("answered"), Holder::Us);
        us.put(&key(), 1, body()).await.expect("ours");
        for (site, epoch) in [("s", "e1"), ("t", "e2")] {
            let other = owned(&backend, site, epoch);
            assert!(matches!(other.ownership().await, Ownership::Foreign(_)));
        }
    }
}

#[tokio::test]
async fn to_look_for_the_holder_claims_nothing() {
    let backend = MemoryBackend::new();
    let us = owned(&backend, "s", "e1");
    assert_eq!(us.holder().await.expect("answered"), Holder::Nobody);
    assert_eq!(backend.read_owner().await.expect("answered"), None);
}

#[tokio::test]
async fn a_successor_takes_over_what_its_predecessors_had_and_nothing_else() {
    for (marker, is_ours) in [
        (br#"{"site":"s","epoch":"e1"}"#.as_slice(), true),
        (br#"{"site":"s","epoch":"e2"}"#, true),
        (br#"{"site":"s","epoch":"e3"}"#, true),
        (br#"{"site":"s","epoch":"e4"}"#, false),
        (br#"{"site":"t","epoch":"e1"}"#, false),
        (b"junk", false),
    ] {
        let backend = MemoryBackend::new();
        backend.write_owner(marker).await.expect("written");
        let successor = owned(&backend, "s", "e3").succeeding(vec!["e1".into(), "e2".into()]);
        let ownership = successor.ownership().await;
        assert_eq!(ownership == Ownership::Ours, is_ours, "{ownership:?}");
        let stands = backend.read_owner().await.expect("answered");
        let kept = stands.as_deref() == Some(marker);
        assert_eq!(kept, !is_ours || marker.ends_with(br#""e3"}"#));
    }
}

#[tokio::test]
async fn an_index_that_was_succeeded_changes_nothing_once_it_has_looked() {
    let backend = MemoryBackend::new();
    let old = owned(&backend, "s", "e1");
    old.put(&key(), 1, body()).await.expect("ours");
    old.look_again().await.expect("answered");
    assert!(old.is_confirmed(), "nothing has happened");
    let successor = owned(&backend, "s", "e2").succeeding(vec!["e1".into()]);
    assert_eq!(successor.ownership().await, Ownership::Ours);
    old.look_again().await.expect("answered");
    assert!(!old.is_confirmed());
    for (what, error) in [
        ("put", old.put(&key(), 1, body()).await.err()),
        ("delete", old.delete(&key()).await.err()),
    ] {
        assert_eq!(error.map(|e| e.kind), Some(Denied), "{what}");
    }
    successor.delete(&key()).await.expect("ours");
    // One that cannot be asked stays what it was: there was no other answer.
    backend.set_plan(Some(Arc::new(|_: &weir_backend::memory::Call<'_>| {
        Some(weir_backend::memory::Fault::Fail(Unavailable))
    })));
    assert!(successor.look_again().await.is_err());
    assert!(successor.is_confirmed());
}
