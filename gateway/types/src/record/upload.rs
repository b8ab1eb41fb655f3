//! Multipart uploads and their parts.

use serde::{Deserialize, Serialize};

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::clock::Timestamp;
use crate::codec::{DecodeError, Record};
use crate::etag::ETag;
use crate::id::{
    BackendId, BackendKey, BlobId, BucketName, Incarnation, IntentId, ObjectKey, PartNumber,
    Principal, UploadId, VersionId,
};
use crate::index::WriteConditions;

use super::first::FirstUploadRecord;
use super::object::{ContentHeaders, Placement, VersionRecord};

/// A client's multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// Its id.
    pub upload_id: UploadId,
    /// The bucket, by name and life.
    pub bucket: BucketName,
    /// See [`Incarnation`].
    pub incarnation: Incarnation,
    /// The key that it will become.
    pub key: ObjectKey,
    /// Who started it.
    pub initiator: Principal,
    /// When it was started.
    pub created_at: Timestamp,
    /// The version it will become.
    pub version_id: VersionId,
    /// The blob it will become.
    pub blob: BlobId,
    /// Headers to store.
    pub headers: ContentHeaders,
    /// User metadata to store.
    pub user_metadata: Vec<(String, String)>,
    /// Tags to store.
    pub tags: Vec<(String, String)>,
    /// Storage class to store.
    pub storage_class: Option<String>,
    /// Checksum algorithm and type, when the client chose one.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// Who decided where it lies, and why.
    pub placement: Placement,
    /// The uploads at backends that run beside it; one for now.
    pub legs: Vec<UploadLeg>,
    /// How far it is.
    pub state: UploadState,
}

impl Record for UploadRecord {
    const NAME: &'static str = "upload";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_first::<FirstUploadRecord>(version, body)
    }
}

/// The upload at one backend under a client's upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadLeg {
    /// Where.
    pub backend: BackendId,
    /// The key being uploaded.
    pub key: BackendKey,
    /// Its attempt number.
    pub attempt: u32,
    /// The backend's own upload id.
    pub backend_upload: String,
    /// The intent that covers its bytes.
    pub intent: IntentId,
}

/// Progress of an upload. It never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadState {
    /// Takes parts.
    Open,
    /// A Complete was accepted and will be finished, by a retry or after a crash: the parts
    /// are chosen and the version is drawn up.
    Completing {
        /// Chosen parts in order.
        parts: Vec<PartNumber>,
        /// The version that the commit will make visible. Its `seq` is the place of the
        /// acceptance among the writes: should its key be written or deleted after that and
        /// before the commit, the commit leaves the key as it is.
        draft: Box<VersionRecord>,
        /// What the client's conditions were: they must still hold at the commit, also when
        /// the background makes it.
        conditions: WriteConditions,
    },
    /// Being removed.
    Aborting,
}

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its number.
    pub number: PartNumber,
    /// Length in bytes.
    pub size: u64,
    /// What the client was answered: the MD5 of the bytes.
    pub etag: ETag,
    /// When.
    pub last_modified: Timestamp,
    /// The checksum that the upload's algorithm asks for.
    pub checksum: Option<Checksum>,
    /// The backends' own tags, in the order of [`UploadRecord::legs`].
    pub backend_etags: Vec<String>,
}

impl Record for PartRecord {
    const NAME: &'static str = "part";
    const VERSION: u8 = 1;
}
