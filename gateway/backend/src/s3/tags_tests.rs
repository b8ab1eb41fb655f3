use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use weir_types::backend::{Backend as _, BackendErrorKind, Stored};
use weir_types::body::PutStream;
use weir_types::clock::SystemClock;
use weir_types::id::{BackendKey, BlobId, PartNumber, SiteId};

use super::S3Backend;
use super::double::{Double, Manners, Tag};
use crate::S3Config;

async fn backend(double: &Double) -> S3Backend {
    let secret = "secret".to_owned().into();
    let config = S3Config::at(double.listen().await, "bucket", "id", secret);
    S3Backend::new(&config, Arc::new(SystemClock)).expect("a backend")
}

fn body(bytes: &'static [u8]) -> PutStream {
    futures_util::stream::once(async move { Ok(Bytes::from_static(bytes)) }).boxed()
}

fn key() -> BackendKey {
    BackendKey::of(&SiteId::parse("a").expect("a site"), BlobId(1), 0)
}

/// Larger than any owner marker of these tests, and than what is sent at once.
static LARGE: [u8; 100_000] = [7; 100_000];

async fn put(backend: &S3Backend, bytes: &'static [u8]) -> Stored {
    let key = key();
    let put = backend.put(&key, bytes.len() as u64, body(bytes));
    put.await.expect("put")
}

async fn put_part(backend: &S3Backend, bytes: &'static [u8]) -> Stored {
    let (key, size) = (key(), bytes.len() as u64);
    let put = backend.put_part(&key, "u", PartNumber::FIRST, size, body(bytes));
    put.await.expect("put part")
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Whether the MD5 of objects and of parts is told once the owner marker was met.
async fn check(manners: Manners, wanted: (bool, bool)) {
    let double = Double::new(manners.clone());
    let first = backend(&double).await;
    assert_eq!(put(&first, b"early").await.md5, None, "nothing is known");
    first.write_owner(b"me").await.expect("write owner");
    // Another process finds the marker there.
    let later = backend(&double).await;
    later.read_owner().await.expect("read owner");
    for backend in [first, later] {
        for bytes in [&b"small"[..], &LARGE] {
            let told = (
                put(&backend, bytes).await.md5,
                put_part(&backend, bytes).await.md5,
            );
            let hash = md5(bytes);
            let wanted = (wanted.0.then_some(hash), wanted.1.then_some(hash));
            assert_eq!(told, wanted, "{manners:?}");
        }
    }
}

#[tokio::test]
async fn tags_are_believed_to_be_what_they_were_seen_to_be() {
    let plain = Manners::default();
    check(plain.clone(), (true, true)).await;
    let odd_parts = Manners {
        parts: Tag::Other,
        ..plain.clone()
    };
    check(odd_parts, (true, false)).await;
    let odd_objects = Manners {
        objects: Tag::Other,
        ..plain.clone()
    };
    check(odd_objects, (false, false)).await;
    for (encryption, is_md5) in [
        ("AES256", true),
        ("aws:kms", false),
        ("aws:kms:dsse", false),
    ] {
        let encrypted = Manners {
            encryption: Some(encryption),
            ..plain.clone()
        };
        check(encrypted, (is_md5, is_md5)).await;
    }
}

#[tokio::test]
async fn parts_are_tried_once_and_leave_nothing() {
    let double = Double::new(Manners::default());
    let backend = backend(&double).await;
    put_part(&backend, b"x").await;
    assert_eq!(double.requests_with("w1-probe"), 0, "nothing is known yet");
    backend.write_owner(b"me").await.expect("write owner");
    for _ in 0..3 {
        put_part(&backend, b"x").await;
    }
    let of_probe = [
        "POST /bucket/w1-probe?",
        "PUT /bucket/w1-probe?",
        "DELETE /bucket/w1-probe?",
    ];
    assert_eq!(of_probe.map(|text| double.requests_with(text)), [1, 1, 1]);
}

#[tokio::test]
async fn an_endpoint_that_stores_other_bytes_gives_itself_away() {
    let spoils = Manners {
        spoils_over: Some(1000),
        ..Manners::default()
    };
    let backend = backend(&Double::new(spoils)).await;
    backend.write_owner(b"me").await.expect("write owner");
    let (size, hash) = (LARGE.len() as u64, md5(&LARGE));
    for stored in [
        put(&backend, &LARGE).await,
        put_part(&backend, &LARGE).await,
    ] {
        let judged = stored.require(size, Some(&hash)).map_err(|e| e.kind);
        assert_eq!(judged, Err(BackendErrorKind::Corrupt));
    }
    let stored = put(&backend, b"small").await;
    assert_eq!(stored.require(5, Some(&md5(b"small"))), Ok(()));
}

/// An endpoint that changes its ways is found out by the first write after a dispute; one that
/// spoils bytes goes on being judged by its tags.
#[tokio::test]
async fn a_disputed_tag_is_tried_on_bytes_that_are_known() {
    for (changed, wanted) in [
        (
            Manners {
                objects: Tag::Other,
                parts: Tag::Other,
                ..Manners::default()
            },
            None,
        ),
        (Manners::default(), Some(md5(b"small"))),
    ] {
        let double = Double::new(Manners::default());
        let backend = backend(&double).await;
        backend.write_owner(b"me").await.expect("write owner");
        assert_eq!(put_part(&backend, b"small").await.md5, Some(md5(b"small")));
        double.change(changed.clone());
        backend.disputed();
        for _ in 0..2 {
            assert_eq!(put(&backend, b"small").await.md5, wanted, "{changed:?}");
            assert_eq!(put_part(&backend, b"small").await.md5, wanted);
            // The marker's own tag is as old as the marker, and proves nothing.
            backend.read_owner().await.expect("read owner");
        }
        let of_probe = |method, part| {
            let all = double.requests_with(&format!("{method} /bucket/w1-probe?"));
            all - double.requests_with(&format!("{method} /bucket/w1-probe?{part}"))
        };
        let tried = (
            of_probe("PUT", "partNumber"),
            of_probe("DELETE", "uploadId"),
        );
        assert_eq!(tried, (1, 1), "and nothing stays there");
    }
}
