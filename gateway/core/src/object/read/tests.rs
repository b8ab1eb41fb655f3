use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
use weir_types::id::{BackendId, BlobId, BucketName, ObjectKey, Principal, SiteId};
use weir_types::index::{Mutation, WriteConditions};
use weir_types::operation::PutObject;
use weir_types::record::{BLOCK_BYTES, BlobRecord, ContentHeaders, CopyRecord, Placement};

use crate::authorize::AllowAll;
use crate::backends::{BackendFacts, Backends};
use crate::decide::{LeastUsed, PlaceRequest};
use crate::object::Asker;
use crate::object::write::{Written, new_blob};
use crate::observe::{Observer, OperationClass, Silent, Trace};
use crate::{Gateway, Parts, Settings};

fn id(number: usize) -> BackendId {
    BackendId::parse(&format!("b{number}")).expect("a valid id")
}

/// A gateway over backends in memory.
fn gateway(backends: &[&MemoryBackend]) -> Arc<Gateway> {
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let settings = Settings {
        // Reads are counted, and scrub reads too.
        scrub_bytes_per_second_max: 0,
        ..Settings::default()
    };
    let configured = backends.iter().enumerate().map(|(number, backend)| {
        let facts = BackendFacts::new(id(number));
        (facts, Arc::new((*backend).clone()) as Arc<dyn Backend>)
    });
    Gateway::new(Parts {
        index: Arc::new(MemoryIndex::new(SiteId::parse("here").expect("a site"))),
        backends: Backends::new(configured.collect(), &observer, &settings),
        decider: Arc::new(LeastUsed::default()),
        grants: Arc::new(AllowAll),
        observer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SeededEntropy::new(1)),
        crash: CrashPoints::none(),
        settings,
    })
}

fn body(bytes: &[u8]) -> IncomingBody {
    IncomingBody {
        size: bytes.len() as u64,
        expected: ExpectedDigests::default(),
        frames: stream::iter([Ok(Frame::Data(Bytes::copy_from_slice(bytes)))]).boxed(),
    }
}

/// A blob with one copy, on the first backend.
async fn blob(gateway: &Arc<Gateway>, bytes: &[u8]) -> BlobRecord {
    let placement = Placement {
        candidates: vec![id(0)],
        copies_wanted: 1,
        ..Placement::default()
    };
    let trace = Trace::default();
    let request = PlaceRequest {
        operation: "PutObject",
        bucket: &BucketName::parse("bucket").expect("a name"),
        location: None,
        key: &ObjectKey::parse("key").expect("a key"),
        size_bytes: Some(bytes.len() as u64),
        content_type: None,
        storage_class: None,
        tags: &[],
        user_metadata: &[],
        principal: &Principal::parse("somebody").expect("a name"),
        now_ms: 0,
        entropy: 0,
    };
    let mut decided = gateway.decide(request, &trace).await.expect("decides");
    decided.placement = placement.clone();
    let written = gateway.write_first_copy(BlobId(1), &mut decided, body(bytes), &trace);
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

/// Opens a read of all of `blob`, takes `first` chunks and then nothing for `pause`.
async fn stalled(
    gateway: &Arc<Gateway>,
    blob: &BlobRecord,
    first: usize,
    pause: Duration,
) -> Vec<u8> {
    let opened = gateway.read_blob(blob.clone(), 0..blob.size, Arc::default());
    let mut body = opened.await.expect("is opened");
    let mut taken = Vec::new();
    for _ in 0..first {
        taken.extend(
            body.try_next()
                .await
                .expect("is read")
                .expect("has a chunk"),
        );
    }
    tokio::time::sleep(pause).await;
    let rest: Vec<Bytes> = body.try_collect().await.expect("is read on");
    [taken, rest.concat()].concat()
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_client_stalls_gives_its_backend_back() {
    const BLOCKS: u64 = 5;
    let most = Settings::default().stalled_read_max;
    // Whole blocks, how long the client stalls, and how often its bytes are asked for.
    for (blocks, pause, gets) in [
        (BLOCKS, most / 2, 1),
        (BLOCKS, most * 2, 2),
        (BLOCKS, most * 50, 2),
        (1, most * 2, 1),
    ] {
        let backend = MemoryBackend::new();
        let gateway = gateway(&[&backend]);
        let bytes: Vec<u8> = (0..blocks * BLOCK_BYTES).map(|n| (n / 999) as u8).collect();
        let blob = put(&gateway, &bytes).await;
        let background = crate::replicate::run(&gateway);
        let gets_seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&gets_seen);
        let plan = move |call: &Call<'_>| {
            count.fetch_add(
                usize::from(call.operation == Operation::Get),
                Ordering::SeqCst,
            );
            None
        };
        backend.set_plan(Some(Arc::new(plan)));
        let found = stalled(&gateway, &blob, 1, pause).await;
        assert!(found == bytes, "{blocks} blocks, {pause:?}: other bytes");
        assert_eq!(
            gets_seen.load(Ordering::SeqCst),
            gets,
            "{blocks} blocks, {pause:?}"
        );
        let handle = gateway.backends.get(&id(0)).expect("is configured");
        assert!(handle.is_healthy(OperationClass::Read));
        background.stop().await;
    }
}

/// An object that was put as a client puts it; answers its blob's record.
async fn put(gateway: &Arc<Gateway>, bytes: &[u8]) -> BlobRecord {
    let bucket = BucketName::parse("bucket").expect("a name");
    let key = ObjectKey::parse("key").expect("a key");
    let create = Mutation::CreateBucket {
        name: bucket.clone(),
        owner: None,
        location: None,
        now: gateway.now(),
    };
    gateway.apply(create).await.expect("is made");
    let put = PutObject {
        bucket: bucket.clone(),
        key: key.clone(),
        headers: ContentHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: None,
        conditions: WriteConditions::default(),
        body: body(bytes),
    };
    let asker = Asker {
        principal: &Principal::parse("somebody").expect("a name"),
        trace: &Arc::default(),
    };
    gateway.put_object(put, asker).await.expect("is put");
    let found = gateway.index.lookup(&bucket, &key).await.expect("is read");
    *found.blob.expect("has a blob")
}

#[tokio::test]
async fn a_long_read_finds_copies_that_were_made_after_it_began() {
    let (gone, good) = (MemoryBackend::new(), MemoryBackend::new());
    let gateway = gateway(&[&good, &gone]);
    let bytes: Vec<u8> = (0..3 * BLOCK_BYTES).map(|n| (n / 999) as u8).collect();
    let now = put(&gateway, &bytes).await;
    assert_eq!(now.copies[0].backend, id(0));
    // What a reader knew before repair replaced the only copy.
    let mut before = now.clone();
    before.copies[0].backend = id(1);
    assert!(read(&gateway, &before).await.as_deref() == Ok(&bytes[..]));
    assert!(good.lose(now.copies[0].key.as_str()));
    let error = read(&gateway, &before).await.expect_err("no copy is left");
    assert_eq!(error.code, weir_types::ErrorCode::ServiceUnavailable);
}
