//! The background gives a copy up that trickles.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};
use weir_backend::memory::MemoryBackend;
use weir_index::MemoryIndex;
use weir_types::backend::{
    Backend, BackendError, BackendPage, BackendPart, BackendUpload, Fetched, Stored,
};
use weir_types::body::PutStream;
use weir_types::clock::SystemClock;
use weir_types::crash::CrashPoints;
use weir_types::entropy::SeededEntropy;
use weir_types::id::{BackendId, BackendKey, BlobId, PartNumber, SiteId};
use weir_types::record::{BlobRecord, BlobState, CopyRecord, CopyState, Placement};

use super::BLOCK_MAX;
use crate::authorize::AllowAll;
use crate::backends::{BackendFacts, Backends};
use crate::decide::LeastUsed;
use crate::ingest::{crc32c, finish_crc32c};
use crate::observe::{Observer, Silent};
use crate::{Gateway, Parts, Settings};

/// Gives one byte a second.
struct Trickle(MemoryBackend);

type Answer<T> = Result<T, BackendError>;

#[async_trait]
impl Backend for Trickle {
    fn kind(&self) -> &'static str {
        "trickle"
    }

    async fn put(&self, key: &BackendKey, size: u64, body: PutStream) -> Answer<Stored> {
        self.0.put(key, size, body).await
    }

    async fn get(&self, key: &BackendKey, range: Option<Range<u64>>) -> Answer<Fetched> {
        let fetched = self.0.get(key, range).await?;
        let bytes: Vec<Bytes> = fetched.body.try_collect().await?;
        let bytes = stream::iter(Bytes::from(bytes.concat())).then(|byte| async move {
            sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from(vec![byte]))
        });
        Ok(Fetched {
            size: fetched.size,
            etag: fetched.etag,
            body: bytes.boxed(),
        })
    }

    async fn head(&self, key: &BackendKey) -> Answer<Option<Stored>> {
        self.0.head(key).await
    }

    async fn delete(&self, key: &BackendKey) -> Answer<()> {
        self.0.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Answer<BackendPage> {
        self.0.list(prefix, after, limit).await
    }

    async fn create_upload(&self, key: &BackendKey) -> Answer<String> {
        self.0.create_upload(key).await
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Answer<Stored> {
        self.0.put_part(key, upload, part, size, body).await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Answer<Stored> {
        self.0.complete_upload(key, upload, parts).await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Answer<()> {
        self.0.abort_upload(key, upload).await
    }

    async fn list_uploads(&self, prefix: &str, limit: usize) -> Answer<Vec<BackendUpload>> {
        self.0.list_uploads(prefix, limit).await
    }

    async fn read_owner(&self) -> Answer<Option<Vec<u8>>> {
        self.0.read_owner().await
    }

    async fn write_owner(&self, marker: &[u8]) -> Answer<()> {
        self.0.write_owner(marker).await
    }

    async fn confirmed(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn disputed(&self) {}
}

/// A gateway over these backends, and a blob of `bytes` with a copy on each, in this order.
async fn given(backends: Vec<Arc<dyn Backend>>, bytes: &[u8]) -> (Arc<Gateway>, BlobRecord) {
    let site = SiteId::parse("here").expect("a site");
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let settings = Settings::default();
    let (mut copies, mut configured) = (Vec::new(), Vec::new());
    for (number, backend) in (0..).zip(backends) {
        let id = BackendId::parse(&format!("b{number}")).expect("a valid id");
        let key = BackendKey::of(&site, BlobId(1), number);
        let body = stream::iter([Ok(Bytes::copy_from_slice(bytes))]).boxed();
        let stored = backend.put(&key, bytes.len() as u64, body).await;
        copies.push(CopyRecord {
            backend: id.clone(),
            key,
            attempt: number,
            etag: stored.expect("is put").etag,
            created_at: Default::default(),
            state: CopyState::Good,
        });
        configured.push((BackendFacts::new(id), backend));
    }
    let mut crc = crc32c();
    crc.update(bytes);
    let blob = BlobRecord {
        blob: BlobId(1),
        size: bytes.len() as u64,
        refs: 1,
        state: BlobState::Live,
        next_attempt: 9,
        copies,
        placement: Placement::default(),
        segments: Vec::new(),
        inline_crcs: Some(vec![finish_crc32c(&crc)]),
        md5: None,
        origin: None,
    };
    let gateway = Gateway::new(Parts {
        index: Arc::new(MemoryIndex::new(site)),
        backends: Backends::new(configured, &observer, &settings),
        decider: Arc::new(LeastUsed::default()),
        grants: Arc::new(AllowAll),
        observer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SeededEntropy::new(1)),
        crash: CrashPoints::none(),
        settings,
    });
    (gateway, blob)
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_trickles_is_given_up_for_another() {
    let bytes = vec![7; 10_000];
    let trickle = || Arc::new(Trickle(MemoryBackend::new())) as Arc<dyn Backend>;
    let sound = || Arc::new(MemoryBackend::new()) as Arc<dyn Backend>;
    for (backends, works) in [
        (vec![trickle(), sound()], true),
        (vec![trickle(), trickle()], false),
    ] {
        let (gateway, blob) = given(backends, &bytes).await;
        let started = Instant::now();
        let found = match gateway.read_blob_briskly(blob, 0..10_000).await {
            Ok(body) => body.try_collect::<Vec<Bytes>>().await,
            Err(error) => Err(error),
        };
        assert_eq!(
            found.map(|found| found.concat()).ok(),
            works.then(|| bytes.clone())
        );
        let took = started.elapsed();
        assert!(took <= BLOCK_MAX * 4, "given up after {took:?}");
    }
}
