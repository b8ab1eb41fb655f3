//! A client that speaks in operations.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use weir_core::Gateway;
use weir_core::object::Asker;
use weir_core::observe::Trace;
use weir_types::body::{ExpectedDigests, Frame, FrameStream, IncomingBody};
use weir_types::checksum::{ChecksumAlgorithm, ChecksumKind};
use weir_types::etag::ETag;
use weir_types::id::{BucketName, ObjectKey, PartNumber, Principal, UploadId};
use weir_types::index::{ListEntry, ListPage, ListQuery, WriteConditions};
use weir_types::operation::{
    CompleteMultipartUpload, CompletePart, CompletedObject, CopiedObject, CopyObject, CopySource,
    CreateMultipartUpload, DeleteObject, Directive, ListObjects, ObjectInfo, Operation, Outcome,
    PutObject, PutResult, RangeSpec, ReadConditions, ReadObject, UploadPart, UploadPartCopy,
    UploadPartResult, UploadRef,
};
use weir_types::record::{ContentHeaders, UploadRecord};
use weir_types::{Error, ErrorCode, Result};

use super::world::bucket;

/// Bytes as a body comes off a connection: in several frames.
pub(crate) fn frames(bytes: &[u8]) -> FrameStream {
    let chunks: Vec<_> = bytes
        .chunks(40_000)
        .map(|chunk| Ok(Frame::Data(Bytes::copy_from_slice(chunk))))
        .collect();
    stream::iter(chunks).boxed()
}

/// A body about which the client says nothing but its length.
pub(crate) fn body(bytes: &[u8]) -> IncomingBody {
    IncomingBody {
        size: bytes.len() as u64,
        expected: ExpectedDigests::default(),
        frames: frames(bytes),
    }
}

/// A client of one bucket.
#[derive(Clone)]
pub(crate) struct Client {
    gateway: Arc<Gateway>,
    principal: Principal,
    pub(crate) bucket: BucketName,
}

macro_rules! expect_outcome {
    ($outcome:expr, $pattern:pat => $value:expr) => {
        match $outcome {
            $pattern => Ok($value),
            other => panic!("an outcome of another operation: {other:?}"),
        }
    };
}

impl Client {
    pub(crate) fn of(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            principal: Principal::parse("TESTER").expect("a valid principal"),
            bucket: bucket(),
        }
    }

    pub(crate) async fn run(&self, operation: Operation) -> Result<Outcome> {
        let trace = Arc::new(Trace::default());
        let asker = Asker {
            principal: &self.principal,
            trace: &trace,
        };
        Box::pin(self.gateway.execute(operation, asker)).await
    }

    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) -> Result<PutResult> {
        self.put_if(key, bytes, WriteConditions::default()).await
    }

    pub(crate) async fn put_if(
        &self,
        key: &str,
        bytes: &[u8],
        conditions: WriteConditions,
    ) -> Result<PutResult> {
        let put = self.putting(key, None, body(bytes));
        self.put_as(PutObject { conditions, ..put }).await
    }

    /// A put of that storage class that says nothing else.
    pub(crate) fn putting(
        &self,
        key: &str,
        storage_class: Option<&str>,
        body: IncomingBody,
    ) -> PutObject {
        PutObject {
            bucket: self.bucket.clone(),
            key: object_key(key),
            headers: ContentHeaders::default(),
            user_metadata: Vec::new(),
            tags: Vec::new(),
            storage_class: storage_class.map(Into::into),
            conditions: WriteConditions::default(),
            body,
        }
    }

    pub(crate) async fn put_as(&self, put: PutObject) -> Result<PutResult> {
        expect_outcome!(self.run(Operation::PutObject(Box::new(put))).await?, Outcome::Put(put) => put)
    }

    /// The object's bytes and headers; `None` when there is no such key.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<(Vec<u8>, ObjectInfo)>> {
        self.get_part(key, None, None).await
    }

    pub(crate) async fn get_part(
        &self,
        key: &str,
        range: Option<RangeSpec>,
        part: Option<u16>,
    ) -> Result<Option<(Vec<u8>, ObjectInfo)>> {
        let read = ReadObject {
            bucket: self.bucket.clone(),
            key: object_key(key),
            range,
            part: part.map(number),
            conditions: ReadConditions::default(),
        };
        let mut read = match self.run(Operation::GetObject(Box::new(read))).await {
            Ok(Outcome::Read(read)) => read,
            Ok(other) => panic!("an outcome of another operation: {other:?}"),
            Err(error) if error.code == ErrorCode::NoSuchKey => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = read.body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(Some((bytes, read.info)))
    }

    pub(crate) async fn delete(&self, key: &str, if_match: Option<ETag>) -> Result<()> {
        let delete = DeleteObject {
            bucket: self.bucket.clone(),
            key: object_key(key),
            if_match,
        };
        expect_outcome!(self.run(Operation::DeleteObject(delete)).await?, Outcome::Deleted => ())
    }

    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<CopiedObject> {
        self.copy_as(from, to, None).await
    }

    /// A copy into that storage class.
    pub(crate) async fn copy_as(
        &self,
        from: &str,
        to: &str,
        storage_class: Option<&str>,
    ) -> Result<CopiedObject> {
        let copy = CopyObject {
            bucket: self.bucket.clone(),
            key: object_key(to),
            source: self.source(from),
            metadata: Directive::Replace((ContentHeaders::default(), Vec::new())),
            tagging: Directive::Copy,
            storage_class: storage_class.map(|class| Some(class.into())),
            checksum: None,
            conditions: WriteConditions::default(),
        };
        expect_outcome!(self.run(Operation::CopyObject(Box::new(copy))).await?, Outcome::Copied(copied) => copied)
    }

    pub(crate) fn source(&self, key: &str) -> CopySource {
        CopySource {
            bucket: self.bucket.clone(),
            key: object_key(key),
            conditions: ReadConditions::default(),
        }
    }

    pub(crate) async fn create_upload(
        &self,
        key: &str,
        checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    ) -> Result<UploadRecord> {
        self.create_upload_as(key, checksum, None).await
    }

    /// The same of that storage class.
    pub(crate) async fn create_upload_as(
        &self,
        key: &str,
        checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
        storage_class: Option<&str>,
    ) -> Result<UploadRecord> {
        let create = CreateMultipartUpload {
            bucket: self.bucket.clone(),
            key: object_key(key),
            headers: ContentHeaders::default(),
            user_metadata: vec![("kind".into(), "multipart".into())],
            tags: Vec::new(),
            storage_class: storage_class.map(Into::into),
            checksum,
        };
        let create = Operation::CreateMultipartUpload(Box::new(create));
        expect_outcome!(self.run(create).await?, Outcome::UploadCreated(upload) => *upload)
    }

    pub(crate) fn upload(&self, key: &str, upload: UploadId) -> UploadRef {
        UploadRef {
            bucket: self.bucket.clone(),
            key: object_key(key),
            upload,
        }
    }

    pub(crate) async fn part(
        &self,
        key: &str,
        upload: UploadId,
        part: u16,
        bytes: &[u8],
    ) -> Result<UploadPartResult> {
        self.part_of(key, upload, part, body(bytes)).await
    }

    pub(crate) async fn part_of(
        &self,
        key: &str,
        upload: UploadId,
        part: u16,
        body: IncomingBody,
    ) -> Result<UploadPartResult> {
        let part = UploadPart {
            upload: self.upload(key, upload),
            number: number(part),
            body,
        };
        expect_outcome!(self.run(Operation::UploadPart(Box::new(part))).await?, Outcome::PartPut(part) => part)
    }

    pub(crate) async fn part_copy(
        &self,
        key: &str,
        upload: UploadId,
        part: u16,
        source: CopySource,
        range: Option<(u64, u64)>,
    ) -> Result<UploadPartResult> {
        let part = UploadPartCopy {
            upload: self.upload(key, upload),
            number: number(part),
            source,
            range,
        };
        expect_outcome!(self.run(Operation::UploadPartCopy(Box::new(part))).await?, Outcome::PartCopied(part) => part)
    }

    /// A Complete that says nothing but which parts.
    pub(crate) fn completion(
        &self,
        key: &str,
        upload: UploadId,
        parts: &[(u16, ETag)],
    ) -> CompleteMultipartUpload {
        let part = |(n, etag): &(u16, ETag)| CompletePart {
            number: number(*n),
            etag: etag.clone(),
            checksum: None,
        };
        CompleteMultipartUpload {
            upload: self.upload(key, upload),
            parts: parts.iter().map(part).collect(),
            checksum: None,
            checksum_kind: None,
            size: None,
            conditions: WriteConditions::default(),
        }
    }

    pub(crate) async fn complete(
        &self,
        complete: CompleteMultipartUpload,
    ) -> Result<CompletedObject> {
        let complete = Operation::CompleteMultipartUpload(Box::new(complete));
        expect_outcome!(self.run(complete).await?, Outcome::Completed(object) => object)
    }

    pub(crate) async fn abort(&self, key: &str, upload: UploadId) -> Result<()> {
        let abort = Operation::AbortMultipartUpload(self.upload(key, upload));
        expect_outcome!(self.run(abort).await?, Outcome::UploadAborted => ())
    }

    /// One page of a listing.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<String>,
        limit: usize,
    ) -> Result<ListPage> {
        let query = ListQuery {
            bucket: weir_types::id::Incarnation::default(),
            prefix: prefix.into(),
            delimiter: delimiter.map(Into::into),
            after,
            limit,
        };
        let list = ListObjects {
            bucket: self.bucket.clone(),
            query,
        };
        expect_outcome!(self.run(Operation::ListObjects(list)).await?, Outcome::Listing(page) => page)
    }

    /// Every entry, in pages of `limit`: keys with their tags and lengths, prefixes alone.
    pub(crate) async fn list_all(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Option<(ETag, u64)>)>> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.list(prefix, delimiter, after.clone(), limit).await?;
            for entry in page.entries {
                all.push(match entry {
                    ListEntry::Object(key, v) => (key.to_string(), Some((v.etag, v.size))),
                    ListEntry::Prefix(prefix) => (prefix, None),
                });
            }
            let last = all.last().map(|(text, _)| text.clone());
            assert!(
                !page.more || last > after,
                "the listing does not move on from {after:?}"
            );
            after = last;
            if !page.more {
                return Ok(all);
            }
        }
    }
}

pub(crate) fn object_key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a valid key")
}

fn number(number: u16) -> PartNumber {
    PartNumber::new(number).expect("a valid part number")
}

/// The code of an operation that must have failed.
pub(crate) fn code_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    match result {
        Err(Error { code, .. }) => code,
        Ok(value) => panic!("should have failed, but gave {value:?}"),
    }
}
