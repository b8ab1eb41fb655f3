//! The gateway's access pattern: what a PUT, a GET and a listing ask of the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use weir_index::StoreIndex;
use weir_index::store::Store;
use weir_types::clock::{Hlc, Timestamp};
use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::etag::ETag;
use weir_types::id::{
    BackendId, BackendKey, BlobId, BucketName, Incarnation, IntentId, ObjectKey, Seq, SiteId,
    VersionId,
};
use weir_types::index::{
    CommitContent, CommitVersion, Index, ListQuery, Mutation, WriteConditions,
};
use weir_types::record::{
    BlobRecord, BlobState, ContentHeaders, CopyRecord, CopyState, Intent, IntentPurpose,
    IntentState, Placement, VersionRecord,
};

/// Keys per folder: a listing with a delimiter skips this many per common prefix.
pub(crate) const KEYS_PER_FOLDER: u64 = 200;

/// Objects per transaction while the index is filled.
const FILL_BATCH: u64 = 500;

const BUCKET_LIFE: Incarnation = Incarnation(1);

pub(crate) fn site() -> SiteId {
    SiteId::parse("bench").expect("a valid site")
}

fn bucket() -> BucketName {
    BucketName::parse("bucket").expect("a valid bucket")
}

/// The keys that the index is filled with.
fn key(number: u64) -> ObjectKey {
    let folder = number / KEYS_PER_FOLDER;
    let text = format!("photos/of-the-year/{folder:06}/IMG_{number:09}.jpeg");
    ObjectKey::parse(&text).expect("a valid key")
}

/// The two mutations of a PUT: the intent before the first byte, the commit after the last.
fn put(key: ObjectKey, now: u64, entropy: &SeededEntropy) -> (Mutation, Mutation) {
    let now = Timestamp::from_millis(now);
    let blob = BlobId::mint(now, entropy);
    let backend = BackendId::parse("disk-1").expect("a valid backend");
    let intent = Intent {
        intent: IntentId::mint(entropy),
        backend: backend.clone(),
        key: BackendKey::of(&site(), blob, 0),
        blob,
        attempt: 0,
        purpose: IntentPurpose::Put,
        created_at: now,
        backend_upload: None,
        reserved_bytes: 50_000,
        state: IntentState::Open,
    };
    let etag = ETag::from_md5(entropy.u128().to_le_bytes());
    let placement = Placement {
        revision: "pack@0123456789abcdef".into(),
        reason: "fills disk-1 first".into(),
        candidates: vec![
            backend.clone(),
            BackendId::parse("disk-2").expect("a valid backend"),
        ],
        copies_wanted: 2,
        storage_policy: Some("default".into()),
        home: Vec::new(),
    };
    let record = BlobRecord {
        blob,
        size: 50_000,
        refs: 0,
        state: BlobState::Live,
        copies: vec![CopyRecord {
            backend,
            key: intent.key.clone(),
            attempt: 0,
            etag: etag.as_str().to_owned(),
            created_at: now,
            state: CopyState::Good,
        }],
        next_attempt: 1,
        placement: placement.clone(),
        segments: Vec::new(),
        inline_crcs: Some(vec![0xDEAD_BEEF]),
        md5: etag.as_md5(),
        origin: None,
    };
    let draft = VersionRecord {
        version_id: VersionId::mint(entropy),
        seq: Seq(0),
        hlc: Hlc::default(),
        site: site(),
        blob,
        size: 50_000,
        etag,
        last_modified: now,
        headers: ContentHeaders {
            content_type: Some("image/jpeg".into()),
            ..ContentHeaders::default()
        },
        user_metadata: vec![("mtime".into(), "1700000000.123456789".into())],
        tags: Vec::new(),
        storage_class: None,
        checksum: None,
        parts: None,
        placement,
    };
    let commit = CommitVersion {
        bucket: bucket(),
        incarnation: BUCKET_LIFE,
        key,
        conditions: WriteConditions::default(),
        draft,
        content: CommitContent::New {
            blob: Box::new(record),
            crcs: Vec::new(),
            intents: vec![intent.intent],
        },
        now,
        clean_at: now.plus(Duration::from_secs(3600)),
    };
    (
        Mutation::Begin {
            intents: vec![intent],
        },
        Mutation::CommitVersion(Box::new(commit)),
    )
}

/// Puts `objects` objects with large transactions.
pub(crate) fn fill<S: Store>(runtime: &Runtime, index: &StoreIndex<S>, objects: u64) {
    let entropy = SeededEntropy::new(1);
    let make = Mutation::CreateBucket {
        name: bucket(),
        owner: None,
        location: None,
        now: Timestamp::from_millis(1),
    };
    runtime.block_on(index.apply(make)).expect("a new bucket");
    let mut next = 0;
    while next < objects {
        let mut batch = Vec::new();
        for number in next..objects.min(next + FILL_BATCH) {
            let (begin, commit) = put(key(number), 1000 + number, &entropy);
            batch.extend([begin, commit]);
        }
        runtime
            .block_on(index.apply(Mutation::All(batch)))
            .expect("an accepted batch");
        next += FILL_BATCH;
    }
}

/// Keys of PUTs go on from here, so that rounds never overwrite.
static NEXT_PUT: AtomicU64 = AtomicU64::new(0);

/// PUTs per second of so many writers, each of which waits for its acknowledgements.
pub(crate) fn puts<S: Store>(
    runtime: &Runtime,
    index: &Arc<StoreIndex<S>>,
    writers: u64,
    span: Duration,
) -> f64 {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let index = Arc::clone(index);
        tasks.spawn_on(
            async move {
                let mut done = 0_u64;
                while started.elapsed() < span {
                    let number = NEXT_PUT.fetch_add(1, Ordering::Relaxed);
                    let entropy = SeededEntropy::new(number.wrapping_mul(0x9E37_79B9) ^ 0xF00D);
                    let text = format!("new/{:08x}/{number}", entropy.u64() >> 32);
                    let key = ObjectKey::parse(&text).expect("a valid key");
                    let (begin, commit) = put(key, 2_000_000_000 + number, &entropy);
                    index.apply(begin).await.expect("accepted");
                    index.apply(commit).await.expect("accepted");
                    done += 1;
                }
                done
            },
            runtime.handle(),
        );
    }
    let done: u64 = runtime.block_on(tasks.join_all()).into_iter().sum();
    done as f64 / started.elapsed().as_secs_f64()
}

/// Microseconds per lookup of a random key: bucket, version and blob.
pub(crate) fn lookups<S: Store>(
    runtime: &Runtime,
    index: &StoreIndex<S>,
    objects: u64,
    seed: u64,
) -> f64 {
    const COUNT: u32 = 20_000;
    let entropy = SeededEntropy::new(seed);
    let keys: Vec<ObjectKey> = (0..COUNT).map(|_| key(entropy.u64() % objects)).collect();
    let bucket = bucket();
    let started = Instant::now();
    runtime.block_on(async {
        for key in &keys {
            let found = index.lookup(&bucket, key).await.expect("readable");
            assert!(found.blob.is_some(), "{key} was put");
        }
    });
    started.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT)
}

/// Microseconds per entry of a first page, with the keys in folders folded or not.
pub(crate) fn listing<S: Store>(runtime: &Runtime, index: &StoreIndex<S>, folded: bool) -> f64 {
    const PAGES: usize = 10;
    let query = ListQuery {
        bucket: BUCKET_LIFE,
        prefix: "photos/of-the-year/".into(),
        delimiter: folded.then(|| "/".into()),
        after: None,
        limit: 1000,
    };
    let started = Instant::now();
    let mut entries = 0;
    for _ in 0..PAGES {
        let page = runtime
            .block_on(index.list(query.clone()))
            .expect("readable");
        entries += page.entries.len();
    }
    started.elapsed().as_secs_f64() * 1e6 / entries as f64
}
