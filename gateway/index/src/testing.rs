//! What the tests of this crate share: fixtures, dumps, and a file that can lose power.

use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;
use weir_types::clock::{Hlc, Timestamp};
use weir_types::etag::ETag;
use weir_types::id::{
    BackendId, BackendKey, BlobId, BucketName, Incarnation, IntentId, ObjectKey, PartNumber,
    Principal, Seq, SiteId, UploadId, VersionId,
};
use weir_types::index::{
    Applied, CommitContent, CommitVersion, Index, IndexError, Mutation, WriteConditions,
};
use weir_types::record::{
    BlobRecord, BlobState, ContentHeaders, CopyRecord, CopyState, Intent, IntentPurpose,
    IntentState, PartRecord, Placement, UploadLeg, UploadRecord, UploadState, VersionRecord,
};

use crate::StoreIndex;
use crate::store::{Reader, Step, Store, Table};

/// Every row of an index.
pub(crate) type Dump = Vec<(Table, Vec<u8>, Vec<u8>)>;

pub(crate) fn dump_of(reader: &dyn Reader) -> Dump {
    let mut rows = Vec::new();
    for table in Table::ALL {
        reader
            .scan(*table, &[], &mut |key, value| {
                rows.push((*table, key.to_vec(), value.to_vec()));
                Ok(Step::Next)
            })
            .expect("tables can be read");
    }
    rows
}

pub(crate) fn dump<S: Store>(index: &StoreIndex<S>) -> Dump {
    index
        .read(|reader| Ok(dump_of(reader)))
        .expect("the index can be read")
}

/// Waits for a future of the index.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers starts")
        .block_on(future)
}

pub(crate) fn run<S: Store>(
    index: &StoreIndex<S>,
    mutation: Mutation,
) -> Result<Applied, IndexError> {
    wait(index.apply(mutation))
}

/// Runs what must succeed.
pub(crate) fn must<S: Store>(index: &StoreIndex<S>, mutation: Mutation) -> Applied {
    let told = format!("{mutation:?}");
    run(index, mutation).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Fails unless all laws hold.
pub(crate) fn audit<S: Store>(index: &StoreIndex<S>, context: &str) {
    let audit = index.audit().expect("the index can be read");
    assert!(
        audit.problems.is_empty(),
        "{context}: {:#?}",
        audit.problems
    );
}

/// Names the seed of a random run; shown when the test fails.
#[expect(
    clippy::print_stdout,
    reason = "a test that fails shows what it printed"
)]
pub(crate) fn announce(seed: u64) {
    println!("seed {seed}");
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn site() -> SiteId {
    SiteId::parse("here").expect("a valid site")
}

pub(crate) fn bucket_name() -> BucketName {
    BucketName::parse("bucket").expect("a valid bucket")
}

/// The life of the first bucket of a new index.
pub(crate) const LIFE: Incarnation = Incarnation(1);

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

pub(crate) fn backend(number: u32) -> BackendId {
    BackendId::parse(&format!("b{number}")).expect("a valid backend")
}

pub(crate) fn part_number(number: u16) -> PartNumber {
    PartNumber::new(number).expect("a valid part number")
}

/// The tag of everything made under number `number`.
pub(crate) fn etag(number: u32) -> ETag {
    ETag::from_md5([u8::try_from(number % 251).expect("below 251"); 16])
}

pub(crate) fn blob_id(number: u32) -> BlobId {
    BlobId(u128::from(number))
}

pub(crate) fn intent_id(number: u32) -> IntentId {
    IntentId(u128::from(number))
}

pub(crate) fn upload_id(number: u32) -> UploadId {
    UploadId(u128::from(number))
}

pub(crate) fn create_bucket() -> Mutation {
    Mutation::CreateBucket {
        name: bucket_name(),
        owner: None,
        location: None,
        now: at(1),
    }
}

/// An open intent of that number for attempt 0 at the blob of the same number, on backend 1.
pub(crate) fn intent(number: u32, bytes: u64) -> Intent {
    Intent {
        intent: intent_id(number),
        backend: backend(1),
        key: BackendKey::of(&site(), blob_id(number), 0),
        blob: blob_id(number),
        attempt: 0,
        purpose: IntentPurpose::Put,
        created_at: at(5),
        backend_upload: None,
        reserved_bytes: bytes,
        state: IntentState::Open,
    }
}

pub(crate) fn begin(number: u32, bytes: u64) -> Mutation {
    Mutation::Begin {
        intents: vec![intent(number, bytes)],
    }
}

/// The copy that `intent` announces.
pub(crate) fn copy_of(intent: &Intent) -> CopyRecord {
    CopyRecord {
        backend: intent.backend.clone(),
        key: intent.key.clone(),
        attempt: intent.attempt,
        etag: "stored".into(),
        created_at: at(6),
        state: CopyState::Good,
    }
}

pub(crate) fn placement(copies_wanted: u8) -> Placement {
    Placement {
        revision: "native".into(),
        reason: String::new(),
        candidates: vec![backend(1), backend(2)],
        copies_wanted,
        storage_policy: Some("default".into()),
        home: Vec::new(),
    }
}

pub(crate) fn draft(number: u32, size: u64) -> VersionRecord {
    VersionRecord {
        version_id: VersionId(u128::from(number)),
        seq: Seq(0),
        hlc: Hlc::default(),
        site: site(),
        blob: blob_id(number),
        size,
        etag: etag(number),
        last_modified: at(6),
        headers: ContentHeaders::default(),
        user_metadata: vec![("number".into(), number.to_string())],
        tags: Vec::new(),
        storage_class: None,
        checksum: None,
        parts: None,
        placement: placement(2),
    }
}

/// A commit of a new blob under one intent; without conditions.
pub(crate) fn commit_of(text: &str, intent: &Intent, copies_wanted: u8) -> CommitVersion {
    let size = intent.reserved_bytes;
    let number = u32::try_from(intent.blob.0 & 0xFFFF_FFFF).expect("masked");
    let blob = BlobRecord {
        blob: intent.blob,
        size,
        refs: 0,
        state: BlobState::Live,
        copies: vec![copy_of(intent)],
        next_attempt: 0,
        placement: placement(copies_wanted),
        segments: Vec::new(),
        inline_crcs: Some(vec![number]),
        md5: None,
        origin: None,
    };
    CommitVersion {
        bucket: bucket_name(),
        incarnation: LIFE,
        key: key(text),
        conditions: WriteConditions::default(),
        draft: draft(number, size),
        content: CommitContent::New {
            blob: Box::new(blob),
            crcs: Vec::new(),
            intents: vec![intent.intent],
        },
        now: at(10),
        clean_at: at(1010),
    }
}

pub(crate) fn commit(text: &str, number: u32, bytes: u64) -> Mutation {
    Mutation::CommitVersion(Box::new(commit_of(text, &intent(number, bytes), 2)))
}

/// All that puts an object: bytes of 100, two copies wanted.
pub(crate) fn put(text: &str, number: u32) -> Vec<Mutation> {
    vec![begin(number, 100), commit(text, number, 100)]
}

pub(crate) fn share(text: &str, number: u32, blob: u32) -> CommitVersion {
    CommitVersion {
        content: CommitContent::Shared {
            blob: blob_id(blob),
        },
        draft: draft(number, 100),
        ..commit_of(text, &intent(number, 100), 2)
    }
}

pub(crate) fn delete(text: &str) -> Mutation {
    Mutation::DeleteCurrent {
        bucket: bucket_name(),
        key: key(text),
        if_match: None,
        now: at(20),
        clean_at: at(1020),
    }
}

/// An open upload of that number, its leg under the intent of the same number.
pub(crate) fn upload(text: &str, number: u32) -> UploadRecord {
    let under = intent(number, 0);
    UploadRecord {
        upload_id: upload_id(number),
        bucket: bucket_name(),
        incarnation: LIFE,
        key: key(text),
        initiator: Principal::parse("someone").expect("a valid principal"),
        created_at: at(u64::from(number)),
        version_id: VersionId(u128::from(number)),
        blob: blob_id(number),
        headers: ContentHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: None,
        checksum: None,
        placement: placement(2),
        legs: vec![UploadLeg {
            backend: under.backend,
            key: under.key,
            attempt: under.attempt,
            backend_upload: "remote".into(),
            intent: under.intent,
        }],
        state: UploadState::Open,
    }
}

pub(crate) fn create_upload(text: &str, number: u32) -> Vec<Mutation> {
    let mut under = intent(number, 0);
    under.purpose = IntentPurpose::Upload(upload_id(number));
    vec![
        Mutation::Begin {
            intents: vec![under],
        },
        Mutation::CreateUpload {
            upload: Box::new(upload(text, number)),
        },
    ]
}

/// Part `number` of an upload, with as many CRCs as given; its tag is that of `tag`.
pub(crate) fn put_part(of: u32, number: u16, size: u64, tag: u32, crcs: Vec<u32>) -> Mutation {
    let part = PartRecord {
        number: part_number(number),
        size,
        etag: etag(tag),
        last_modified: at(7),
        checksum: None,
        backend_etags: vec!["part".into()],
    };
    Mutation::PutPart {
        upload: upload_id(of),
        part,
        crcs,
    }
}

pub(crate) fn begin_complete(of: u32, parts: &[(u16, u32)]) -> Mutation {
    Mutation::BeginComplete {
        upload: upload_id(of),
        parts: parts
            .iter()
            .map(|(number, tag)| (part_number(*number), etag(*tag)))
            .collect(),
        draft: Box::new(draft(of, 0)),
        conditions: WriteConditions::default(),
        now: at(30),
        resume_at: at(3000),
    }
}

pub(crate) fn commit_upload(text: &str, of: u32) -> CommitVersion {
    CommitVersion {
        content: CommitContent::Upload {
            upload: upload_id(of),
            copies: vec![copy_of(&intent(of, 0))],
        },
        now: at(40),
        ..commit_of(text, &intent(of, 0), 2)
    }
}

/// A file in memory that keeps, over a crash, only what was synced; it can also fail.
/// Clones are the same file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FragileFile(Arc<Mutex<FileState>>);

#[derive(Debug, Default)]
struct FileState {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    fails: bool,
}

impl FragileFile {
    /// The file as it is found after the power came back.
    pub(crate) fn after_crash(&self) -> Self {
        let synced = self.0.lock().synced.clone();
        Self(Arc::new(Mutex::new(FileState {
            bytes: synced.clone(),
            synced,
            fails: false,
        })))
    }

    /// From now on nothing can be made durable.
    pub(crate) fn fail(&self) {
        self.0.lock().fails = true;
    }
}

impl StorageBackend for FragileFile {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let offset = usize::try_from(offset).map_err(std::io::Error::other)?;
        let state = self.0.lock();
        let found = state.bytes.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        let len = usize::try_from(len).map_err(std::io::Error::other)?;
        self.0.lock().bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut state = self.0.lock();
        if state.fails {
            return Err(std::io::Error::other("the disk is gone"));
        }
        state.synced = state.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let offset = usize::try_from(offset).map_err(std::io::Error::other)?;
        self.0.lock().bytes[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}
