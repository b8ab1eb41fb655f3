//! What an operation gave, free of any protocol's spelling.

use crate::body::ReplyStream;
use crate::checksum::{Checksum, ObjectChecksum};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::etag::ETag;
use crate::id::{BucketName, ObjectKey, UploadId, VersionId};
use crate::index::{ListPage, PartsPage, UploadsPage};
use crate::record::{UploadRecord, VersionRecord};

/// The success of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// ListBuckets.
    Buckets(Vec<BucketInfo>),
    /// CreateBucket.
    BucketCreated,
    /// HeadBucket and GetBucketLocation.
    Bucket(BucketInfo),
    /// DeleteBucket.
    BucketDeleted,
    /// ListObjects.
    Listing(ListPage),
    /// PutObject.
    Put(PutResult),
    /// GetObject.
    Read(ObjectRead),
    /// HeadObject.
    Head(ObjectInfo),
    /// DeleteObject: also when there was nothing to delete.
    Deleted,
    /// DeleteObjects: one per key, in the order they were named.
    DeletedKeys(Vec<DeletedKey>),
    /// CopyObject.
    Copied(CopiedObject),
    /// CreateMultipartUpload.
    UploadCreated(Box<UploadRecord>),
    /// UploadPart.
    PartPut(UploadPartResult),
    /// UploadPartCopy.
    PartCopied(UploadPartResult),
    /// CompleteMultipartUpload.
    Completed(CompletedObject),
    /// AbortMultipartUpload.
    UploadAborted,
    /// ListParts.
    Parts(PartsListing),
    /// ListMultipartUploads.
    Uploads(UploadsPage),
}

/// A bucket as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its LocationConstraint.
    pub location: Option<String>,
}

/// PutObject's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutResult {
    /// Entity tag.
    pub etag: ETag,
    /// The version's opaque name.
    pub version_id: VersionId,
    /// The checksum that was stored.
    pub checksum: Option<ObjectChecksum>,
    /// Length in bytes.
    pub size: u64,
}

/// An object's headers, and which of its bytes are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The version.
    pub version: Box<VersionRecord>,
    /// The bytes that were asked for.
    pub span: ReadSpan,
}

/// Which bytes of an object a read answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadSpan {
    /// All: status 200.
    Whole,
    /// From offset, so many: status 206 with Content-Range.
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
}

impl ReadSpan {
    /// Offset and length within an object of `size` bytes.
    pub const fn resolve(self, size: u64) -> (u64, u64) {
        match self {
            Self::Whole => (0, size),
            Self::Range { offset, length } => (offset, length),
        }
    }
}

/// GetObject's answer.
pub struct ObjectRead {
    /// Headers.
    pub info: ObjectInfo,
    /// Exactly the bytes of [`ObjectInfo::span`], each whole block verified.
    pub body: ReplyStream,
}

impl std::fmt::Debug for ObjectRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectRead")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// What became of one key of DeleteObjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedKey {
    /// The key.
    pub key: ObjectKey,
    /// Why it was not deleted.
    pub error: Option<Error>,
}

/// CopyObject's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedObject {
    /// Entity tag of the copy.
    pub etag: ETag,
    /// Last-Modified of the copy.
    pub last_modified: Timestamp,
    /// Checksum of the copy.
    pub checksum: Option<ObjectChecksum>,
    /// The copy's opaque name.
    pub version_id: VersionId,
}

/// UploadPart's and UploadPartCopy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPartResult {
    /// Entity tag of the part.
    pub etag: ETag,
    /// When it was stored.
    pub last_modified: Timestamp,
    /// Checksum of the part.
    pub checksum: Option<Checksum>,
}

/// CompleteMultipartUpload's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Entity tag of the object.
    pub etag: ETag,
    /// Checksum of the object.
    pub checksum: Option<ObjectChecksum>,
    /// The version's opaque name.
    pub version_id: VersionId,
}

/// ListParts' answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsListing {
    /// The upload.
    pub upload: Box<UploadRecord>,
    /// Its parts.
    pub page: PartsPage,
}

impl Outcome {
    /// The upload's id, for logs.
    pub fn upload_id(&self) -> Option<UploadId> {
        match self {
            Self::UploadCreated(upload) => Some(upload.upload_id),
            Self::Parts(listing) => Some(listing.upload.upload_id),
            _ => None,
        }
    }
}
