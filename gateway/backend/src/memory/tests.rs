use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use weir_types::backend::{Backend, BackendErrorKind};
use weir_types::body::PutStream;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendKey, BlobId, SiteId};

use super::{Fault, MemoryBackend, NthCalls, SeededFaults};
use crate::conformance;
use crate::metered::{Metered, Operation};

fn key(blob: u128) -> BackendKey {
    BackendKey::of(&SiteId::parse("a").expect("a site"), BlobId(blob), 0)
}

fn body() -> PutStream {
    futures_util::stream::once(async { Ok(Bytes::from_static(b"0123456789")) }).boxed()
}

fn with_fault(fault: Fault) -> MemoryBackend {
    let backend = MemoryBackend::new();
    backend.set_plan(Some(Arc::new(NthCalls(BTreeMap::from([(1, fault)])))));
    backend
}

async fn read(backend: &MemoryBackend, key: &BackendKey) -> (Vec<u8>, bool) {
    let mut fetched = backend.get(key, None).await.expect("get");
    let mut out = Vec::new();
    let mut failed = false;
    while let Some(chunk) = fetched.body.next().await {
        match chunk {
            Ok(chunk) => out.extend_from_slice(&chunk),
            Err(_) => failed = true,
        }
    }
    (out, failed)
}

#[tokio::test]
async fn conforms() {
    conformance::check(&MemoryBackend::new(), 3).await;
}

#[tokio::test]
async fn conforms_when_metered_and_the_meter_agrees() {
    let memory = MemoryBackend::new();
    let metered = Metered::new(Arc::new(memory.clone()));
    conformance::check(&metered, 4).await;
    let snapshot = metered.snapshot();
    assert_eq!(
        (snapshot.bytes_in, snapshot.bytes_out),
        memory.bytes_in_out()
    );
    assert!(snapshot.bytes_in > 1 << 20 && snapshot.failed_reads == 0);
    assert!(snapshot.requests_of(Operation::Put) > 10);
    let ended = |outcome: &str| {
        snapshot
            .requests
            .iter()
            .any(|r| r.outcome.label() == outcome)
    };
    assert!(ended("ok") && ended("not_found") && ended("source") && !ended("unavailable"));
}

#[tokio::test(start_paused = true)]
async fn faults_on_a_put() {
    let unavailable = BackendErrorKind::Unavailable;
    // Fault → the answer's kind (`None`: no answer within an hour) and whether bytes lie there
    // at once, and after a thaw.
    for (fault, answer, held, held_later) in [
        (
            Fault::Fail(BackendErrorKind::Throttled),
            Some(Err(BackendErrorKind::Throttled)),
            0,
            0,
        ),
        (Fault::FailAfter(unavailable), Some(Err(unavailable)), 1, 1),
        (Fault::Hang, None, 0, 0),
        (Fault::Late, None, 0, 1),
        (Fault::Slow(Duration::from_secs(60)), Some(Ok(())), 1, 1),
        (Fault::Truncate { after: 3 }, Some(Err(unavailable)), 0, 0),
        (Fault::Corrupt { offset: 3 }, Some(Ok(())), 1, 1),
    ] {
        let backend = with_fault(fault);
        let key = key(1);
        let put = backend.put(&key, 10, body());
        let result = tokio::time::timeout(Duration::from_secs(3600), put)
            .await
            .ok();
        let kind = result.map(|result| result.map(drop).map_err(|e| e.kind));
        assert_eq!(kind, answer, "{fault:?}");
        assert_eq!(backend.contents().len(), held, "{fault:?}");
        backend.thaw();
        assert_eq!(backend.contents().len(), held_later, "{fault:?} after thaw");
        if matches!(fault, Fault::Corrupt { .. }) {
            assert_eq!(&backend.contents()[0].bytes[..], b"012\xCC456789");
        }
    }
}

#[tokio::test]
async fn faults_on_a_get() {
    let backend = MemoryBackend::new();
    let key = key(1);
    backend.put(&key, 10, body()).await.expect("put");
    for (fault, bytes, failed) in [
        (Fault::Corrupt { offset: 9 }, &b"012345678\xC6"[..], false),
        (Fault::Truncate { after: 4 }, b"0123", true),
        (Fault::Truncate { after: 0 }, b"", true),
    ] {
        backend.set_plan(Some(Arc::new(move |_: &super::Call<'_>| Some(fault))));
        assert_eq!(
            read(&backend, &key).await,
            (bytes.to_vec(), failed),
            "{fault:?}"
        );
    }
    backend.set_plan(None);
    assert!(backend.rot(key.as_str(), 0));
    assert_eq!(read(&backend, &key).await.0[0], b'0' ^ 0xFF);
    assert!(backend.lose(key.as_str()));
    assert_eq!(backend.head(&key).await, Ok(None));
}

#[tokio::test]
async fn a_full_backend_says_so() {
    let backend = MemoryBackend::new();
    backend.set_bytes_max(Some(15));
    backend
        .put(&key(1), 10, body())
        .await
        .expect("the first fits");
    let error = backend
        .put(&key(2), 10, body())
        .await
        .expect_err("the second does not");
    assert_eq!(error.kind, BackendErrorKind::Full);
    backend.delete(&key(1)).await.expect("delete");
    backend
        .put(&key(3), 10, body())
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn seeded_faults_repeat() {
    async fn run() -> Vec<bool> {
        let backend = MemoryBackend::new();
        backend.set_plan(Some(Arc::new(SeededFaults {
            per_mille: 300,
            faults: vec![Fault::Fail(BackendErrorKind::Unavailable)],
            dice: SeededEntropy::new(42),
        })));
        let mut results = Vec::new();
        for blob in 0..100 {
            results.push(backend.put(&key(blob), 10, body()).await.is_ok());
        }
        results
    }
    let first = run().await;
    assert_eq!(first, run().await);
    let failed = first.iter().filter(|ok| !**ok).count();
    assert!((10..60).contains(&failed), "{failed} of 100 failed");
}
