use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use weir_backend::Operation;
use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_index::MemoryIndex;
use weir_types::backend::{Backend, BackendErrorKind};
use weir_types::body::{ExpectedDigests, Frame, IncomingBody};
use weir_types::clock::SystemClock;
use weir_types::crash::CrashPoints;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendId, BlobId, SiteId};
use weir_types::record::{BLOCK_BYTES, BlobRecord, CopyRecord, Placement};

use crate::authorize::AllowAll;
use crate::backends::{BackendFacts, Backends};
use crate::decide::LeastUsed;
use crate::object::write::{Written, new_blob};
use crate::observe::{Observer, OperationClass, Silent, Trace};
use crate::{Gateway, Parts, Settings};

fn id(number: usize) -> BackendId {
    BackendId::parse(&format!("b{number}")).expect("a valid id")
}

/// A gateway over backends in memory.
fn gateway(backends: &[&MemoryBackend]) -> Arc<Gateway> {
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let settings = Settings::default();
    let configured = backends.iter().enumerate().map(|(number, backend)| {
        let facts = BackendFacts {
            id: id(number),
            read_only: false,
            bytes_max: None,
        };
        (facts, Arc::new((*backend).clone()) as Arc<dyn Backend>)
    });
    Gateway::new(Parts {
        index: Arc::new(MemoryIndex::new(SiteId::parse("here").expect("a site"))),
        backends: Backends::new(configured.collect(), &observer, &settings),
        placer: Arc::new(LeastUsed),
        grants: Arc::new(AllowAll),
        observer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SeededEntropy::new(1)),
        crash: CrashPoints::none(),
        settings,
    })
}

/// A blob with one copy, on the first backend.
async fn blob(gateway: &Arc<Gateway>, bytes: &[u8]) -> BlobRecord {
    let body = IncomingBody {
        size: bytes.len() as u64,
        expected: ExpectedDigests::default(),
        frames: stream::iter([Ok(Frame::Data(Bytes::copy_from_slice(bytes)))]).boxed(),
    };
    let placement = Placement {
        candidates: vec![id(0)],
        copies_wanted: 1,
        ..Placement::default()
    };
    let trace = Trace::default();
    let written = gateway.write_first_copy(BlobId(1), &placement, body, &trace);
    let Written {
        guard,
        copy,
        digested,
    } = written.await.expect("is written");
    guard.committed();
    *new_blob(BlobId(1), placement, copy, digested).0
}

async fn read(gateway: &Arc<Gateway>, blob: &BlobRecord) -> weir_types::Result<Vec<u8>> {
    let opened = gateway.read_blob(blob.clone(), 0..blob.size, Arc::default());
    let chunks: Vec<Bytes> = opened.await?.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn a_read_goes_on_as_long_as_it_gets_on() {
    const BLOCKS: u64 = 9;
    let backend = MemoryBackend::new();
    let gateway = gateway(&[&backend]);
    let bytes: Vec<u8> = (0..BLOCKS * BLOCK_BYTES).map(|n| (n / 999) as u8).collect();
    let blob = blob(&gateway, &bytes).await;
    // Bytes that pass before a connection breaks, and how the read ends.
    for (after, whole) in [(BLOCK_BYTES + 5, true), (BLOCK_BYTES - 5, false)] {
        let plan = move |call: &Call<'_>| {
            (call.operation == Operation::Get).then_some(Fault::Truncate { after })
        };
        backend.set_plan(Some(Arc::new(plan)));
        let found = read(&gateway, &blob).await;
        assert_eq!(found.is_ok(), whole, "broken after {after} bytes");
        assert!(found.is_err() || found.as_deref() == Ok(&bytes[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_back_is_found_though_another_serves_every_read() {
    let (lame, sound) = (MemoryBackend::new(), MemoryBackend::new());
    let gateway = gateway(&[&lame, &sound]);
    let mut blob = blob(&gateway, b"bytes").await;
    let copy = CopyRecord {
        backend: id(1),
        ..blob.copies[0].clone()
    };
    let body = stream::iter([Ok(Bytes::from_static(b"bytes"))]).boxed();
    sound.put(&copy.key, 5, body).await.expect("is put");
    blob.copies.push(copy);

    let down = |_: &Call<'_>| Some(Fault::Fail(BackendErrorKind::Unavailable));
    lame.set_plan(Some(Arc::new(down)));
    let handle = gateway.backends.get(&id(0)).expect("is configured");
    for _ in 0..gateway.settings.breaker_failures_max {
        read(&gateway, &blob).await.expect("the other copy serves");
    }
    assert!(!handle.is_healthy(OperationClass::Read));
    lame.set_plan(None);
    for _ in 0..3 {
        tokio::time::sleep(gateway.settings.breaker_open.1).await;
        read(&gateway, &blob).await.expect("is read");
    }
    assert!(handle.is_healthy(OperationClass::Read));
}
