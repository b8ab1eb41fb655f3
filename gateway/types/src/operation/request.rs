//! Operations as a client asks for them.

use crate::body::IncomingBody;
use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::clock::Timestamp;
use crate::etag::ETag;
use crate::id::{BucketName, ObjectKey, PartNumber, UploadId};
use crate::index::{ListQuery, WriteConditions};
use crate::record::ContentHeaders;

/// An authenticated request, decoded.
#[derive(Debug)]
pub enum Operation {
    /// All buckets that the caller may see.
    ListBuckets,
    /// Make a bucket.
    CreateBucket {
        /// Its name.
        bucket: BucketName,
        /// LocationConstraint.
        location: Option<String>,
    },
    /// Is there such a bucket?
    HeadBucket {
        /// Its name.
        bucket: BucketName,
    },
    /// Remove an empty bucket.
    DeleteBucket {
        /// Its name.
        bucket: BucketName,
    },
    /// The bucket's LocationConstraint.
    GetBucketLocation {
        /// Its name.
        bucket: BucketName,
    },
    /// A page of current versions.
    ListObjects(ListObjects),
    /// Store an object.
    PutObject(Box<PutObject>),
    /// Read an object.
    GetObject(Box<ReadObject>),
    /// Read an object's headers.
    HeadObject(Box<ReadObject>),
    /// Remove an object.
    DeleteObject(DeleteObject),
    /// Remove up to 1,000 objects.
    DeleteObjects(DeleteObjects),
    /// Copy an object.
    CopyObject(Box<CopyObject>),
    /// Start a multipart upload.
    CreateMultipartUpload(Box<CreateMultipartUpload>),
    /// Store a part.
    UploadPart(Box<UploadPart>),
    /// Store a part from an object's bytes.
    UploadPartCopy(Box<UploadPartCopy>),
    /// Turn parts into an object.
    CompleteMultipartUpload(Box<CompleteMultipartUpload>),
    /// Drop an upload.
    AbortMultipartUpload(UploadRef),
    /// A page of an upload's parts.
    ListParts(ListParts),
    /// A page of a bucket's uploads.
    ListMultipartUploads(ListMultipartUploads),
}

/// What a grant allows. Coarser than operations, as credentials are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read objects and their headers.
    Read,
    /// Write objects, multipart uploads included.
    Write,
    /// Delete objects.
    Delete,
    /// List buckets, objects, uploads and parts.
    List,
    /// Make and remove buckets.
    Admin,
}

/// A listing as a client asks for it. The bucket's life is looked up by the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: BucketName,
    /// Prefix, delimiter, start and limit ([`ListQuery::bucket`] is filled in by the core).
    pub query: ListQuery,
}

/// Store an object.
#[derive(Debug)]
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Headers to keep.
    pub headers: ContentHeaders,
    /// `x-amz-meta-…`.
    pub user_metadata: Vec<(String, String)>,
    /// `x-amz-tagging`.
    pub tags: Vec<(String, String)>,
    /// `x-amz-storage-class`, when not STANDARD.
    pub storage_class: Option<String>,
    /// `If-Match`, `If-None-Match`.
    pub conditions: WriteConditions,
    /// The bytes.
    pub body: IncomingBody,
}

/// GetObject and HeadObject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// `Range`, when it is a single valid byte range; others are ignored as RFC 9110 allows.
    pub range: Option<RangeSpec>,
    /// `partNumber`.
    pub part: Option<PartNumber>,
    /// Read conditions.
    pub conditions: ReadConditions,
}

/// A byte range as asked for (RFC 9110, section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// From the first number on, to the second, inclusive.
    FromTo(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

/// `If-Match` and friends on reads (RFC 9110, section 13). The precedence is the core's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`: `*`, or one of these.
    pub if_match: Option<Vec<ETag>>,
    /// `If-None-Match`: `*`, or none of these.
    pub if_none_match: Option<Vec<ETag>>,
    /// `If-Modified-Since`, whole seconds.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`, whole seconds.
    pub if_unmodified_since: Option<Timestamp>,
}

/// Remove an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Only if the current version has this tag.
    pub if_match: Option<ETag>,
}

/// Remove up to 1,000 objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteObjects {
    /// The bucket.
    pub bucket: BucketName,
    /// The keys, with the tag each must have, as the client sent them.
    pub keys: Vec<(ObjectKey, Option<ETag>)>,
    /// Report only failures.
    pub quiet: bool,
}

/// What to take for headers, or for tags, of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive<T> {
    /// The source's.
    Copy,
    /// These.
    Replace(T),
}

/// Where a copy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// `x-amz-copy-source-if-…`.
    pub conditions: ReadConditions,
}

/// Copy an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyObject {
    /// The bucket to copy to.
    pub bucket: BucketName,
    /// The key to copy to.
    pub key: ObjectKey,
    /// What to copy.
    pub source: CopySource,
    /// `x-amz-metadata-directive`, with the new headers and user metadata.
    pub metadata: Directive<(ContentHeaders, Vec<(String, String)>)>,
    /// `x-amz-tagging-directive`, with the new tags.
    pub tagging: Directive<Vec<(String, String)>>,
    /// `x-amz-storage-class`, when given; `Some(None)` is STANDARD.
    pub storage_class: Option<Option<String>>,
    /// `x-amz-checksum-algorithm`: recompute with this one.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Conditions on what stands at the destination.
    pub conditions: WriteConditions,
}

/// Start a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateMultipartUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Headers to keep.
    pub headers: ContentHeaders,
    /// `x-amz-meta-…`.
    pub user_metadata: Vec<(String, String)>,
    /// `x-amz-tagging`.
    pub tags: Vec<(String, String)>,
    /// `x-amz-storage-class`, when not STANDARD.
    pub storage_class: Option<String>,
    /// `x-amz-checksum-algorithm` and `-type`.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// Names an upload as clients do: an id that belongs to another key or bucket is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRef {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The id.
    pub upload: UploadId,
}

/// Store a part.
#[derive(Debug)]
pub struct UploadPart {
    /// The upload.
    pub upload: UploadRef,
    /// The part's number.
    pub number: PartNumber,
    /// The bytes.
    pub body: IncomingBody,
}

/// Store a part from an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPartCopy {
    /// The upload.
    pub upload: UploadRef,
    /// The part's number.
    pub number: PartNumber,
    /// What to copy.
    pub source: CopySource,
    /// `x-amz-copy-source-range`: first and last byte, inclusive.
    pub range: Option<(u64, u64)>,
}

/// A part named in Complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePart {
    /// Its number.
    pub number: PartNumber,
    /// The tag the client was given.
    pub etag: ETag,
    /// The checksum the client expects.
    pub checksum: Option<Checksum>,
}

/// Turn parts into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteMultipartUpload {
    /// The upload.
    pub upload: UploadRef,
    /// Parts in the order the client named them.
    pub parts: Vec<CompletePart>,
    /// `x-amz-checksum-…` of the whole object, as text: a composite has a `-N` behind it.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// `x-amz-checksum-type`.
    pub checksum_kind: Option<ChecksumKind>,
    /// `x-amz-mp-object-size`.
    pub size: Option<u64>,
    /// `If-Match`, `If-None-Match`.
    pub conditions: WriteConditions,
}

/// A page of an upload's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListParts {
    /// The upload.
    pub upload: UploadRef,
    /// `part-number-marker`.
    pub after: u16,
    /// `max-parts`.
    pub limit: usize,
}

/// A page of a bucket's uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMultipartUploads {
    /// The bucket.
    pub bucket: BucketName,
    /// `prefix`.
    pub prefix: String,
    /// `delimiter`.
    pub delimiter: Option<String>,
    /// `key-marker` and `upload-id-marker`.
    pub after: Option<(String, Option<UploadId>)>,
    /// `max-uploads`.
    pub limit: usize,
}

impl Operation {
    /// The operation's name in the S3 API: for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::CreateBucket { .. } => "CreateBucket",
            Self::HeadBucket { .. } => "HeadBucket",
            Self::DeleteBucket { .. } => "DeleteBucket",
            Self::GetBucketLocation { .. } => "GetBucketLocation",
            Self::ListObjects(_) => "ListObjects",
            Self::PutObject(_) => "PutObject",
            Self::GetObject(_) => "GetObject",
            Self::HeadObject(_) => "HeadObject",
            Self::DeleteObject(_) => "DeleteObject",
            Self::DeleteObjects(_) => "DeleteObjects",
            Self::CopyObject(_) => "CopyObject",
            Self::CreateMultipartUpload(_) => "CreateMultipartUpload",
            Self::UploadPart(_) => "UploadPart",
            Self::UploadPartCopy(_) => "UploadPartCopy",
            Self::CompleteMultipartUpload(_) => "CompleteMultipartUpload",
            Self::AbortMultipartUpload(_) => "AbortMultipartUpload",
            Self::ListParts(_) => "ListParts",
            Self::ListMultipartUploads(_) => "ListMultipartUploads",
        }
    }

    /// Everything that the caller must be allowed to do, with bucket and, where a grant can
    /// be limited to a prefix, the key (or the prefix that is listed).
    pub fn needs(&self) -> Vec<(Action, Option<&BucketName>, Option<&str>)> {
        use Action::{Admin, Delete, List, Read, Write};
        match self {
            Self::ListBuckets => vec![(List, None, None)],
            Self::CreateBucket { bucket, .. } | Self::DeleteBucket { bucket } => {
                vec![(Admin, Some(bucket), None)]
            }
            Self::HeadBucket { bucket } | Self::GetBucketLocation { bucket } => {
                vec![(List, Some(bucket), None)]
            }
            Self::ListObjects(list) => {
                vec![(List, Some(&list.bucket), Some(&list.query.prefix))]
            }
            Self::ListMultipartUploads(list) => {
                vec![(List, Some(&list.bucket), Some(&list.prefix))]
            }
            Self::PutObject(put) => vec![(Write, Some(&put.bucket), Some(put.key.as_str()))],
            Self::GetObject(read) | Self::HeadObject(read) => {
                vec![(Read, Some(&read.bucket), Some(read.key.as_str()))]
            }
            Self::DeleteObject(delete) => {
                vec![(Delete, Some(&delete.bucket), Some(delete.key.as_str()))]
            }
            // Each key is answered for itself: the core asks again per key.
            Self::DeleteObjects(_) => Vec::new(),
            Self::CopyObject(copy) => vec![
                (
                    Read,
                    Some(&copy.source.bucket),
                    Some(copy.source.key.as_str()),
                ),
                (Write, Some(&copy.bucket), Some(copy.key.as_str())),
            ],
            Self::CreateMultipartUpload(create) => {
                vec![(Write, Some(&create.bucket), Some(create.key.as_str()))]
            }
            Self::UploadPart(part) => upload_needs(Write, &part.upload),
            Self::UploadPartCopy(part) => {
                let mut needs = upload_needs(Write, &part.upload);
                needs.push((
                    Read,
                    Some(&part.source.bucket),
                    Some(part.source.key.as_str()),
                ));
                needs
            }
            Self::CompleteMultipartUpload(complete) => upload_needs(Write, &complete.upload),
            Self::AbortMultipartUpload(upload) => upload_needs(Write, upload),
            Self::ListParts(list) => upload_needs(List, &list.upload),
        }
    }
}

fn upload_needs(
    action: Action,
    upload: &UploadRef,
) -> Vec<(Action, Option<&BucketName>, Option<&str>)> {
    vec![(action, Some(&upload.bucket), Some(upload.key.as_str()))]
}
