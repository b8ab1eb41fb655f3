//! Version 1 of the records that hold a placement, as they still lie on disks.

use serde::Deserialize;

use crate::checksum::{ChecksumAlgorithm, ChecksumKind, ObjectChecksum};
use crate::clock::{Hlc, Timestamp};
use crate::etag::ETag;
use crate::id::{
    BackendId, BlobId, BucketName, Incarnation, ObjectKey, PartNumber, Principal, Seq, SiteId,
    UploadId, VersionId,
};
use crate::index::WriteConditions;

use super::object::{BlobRecord, BlobState, ContentHeaders, CopyRecord, Placement, VersionRecord};
use super::upload::{UploadLeg, UploadRecord, UploadState};

#[derive(Deserialize)]
struct FirstPlacement {
    revision: String,
    reason: String,
    candidates: Vec<BackendId>,
    copies_wanted: u8,
}

impl From<FirstPlacement> for Placement {
    fn from(first: FirstPlacement) -> Self {
        Self {
            revision: first.revision,
            reason: first.reason,
            candidates: first.candidates,
            copies_wanted: first.copies_wanted,
            storage_policy: None,
            home: Vec::new(),
        }
    }
}

/// Version 1 of [`VersionRecord`]: other records of that time hold it.
#[derive(Deserialize)]
pub struct FirstVersionRecord {
    version_id: VersionId,
    seq: Seq,
    hlc: Hlc,
    site: SiteId,
    blob: BlobId,
    size: u64,
    etag: ETag,
    last_modified: Timestamp,
    headers: ContentHeaders,
    user_metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    storage_class: Option<String>,
    checksum: Option<ObjectChecksum>,
    parts: Option<u16>,
    placement: FirstPlacement,
}

impl From<FirstVersionRecord> for VersionRecord {
    fn from(first: FirstVersionRecord) -> Self {
        Self {
            version_id: first.version_id,
            seq: first.seq,
            hlc: first.hlc,
            site: first.site,
            blob: first.blob,
            size: first.size,
            etag: first.etag,
            last_modified: first.last_modified,
            headers: first.headers,
            user_metadata: first.user_metadata,
            tags: first.tags,
            storage_class: first.storage_class,
            checksum: first.checksum,
            parts: first.parts,
            placement: first.placement.into(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct FirstBlobRecord {
    blob: BlobId,
    size: u64,
    refs: u32,
    state: BlobState,
    copies: Vec<CopyRecord>,
    next_attempt: u32,
    placement: FirstPlacement,
    segments: Vec<(PartNumber, u64)>,
    inline_crcs: Option<Vec<u32>>,
    md5: Option<[u8; 16]>,
}

impl From<FirstBlobRecord> for BlobRecord {
    fn from(first: FirstBlobRecord) -> Self {
        Self {
            blob: first.blob,
            size: first.size,
            refs: first.refs,
            state: first.state,
            copies: first.copies,
            next_attempt: first.next_attempt,
            placement: first.placement.into(),
            segments: first.segments,
            inline_crcs: first.inline_crcs,
            md5: first.md5,
            origin: None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct FirstUploadRecord {
    upload_id: UploadId,
    bucket: BucketName,
    incarnation: Incarnation,
    key: ObjectKey,
    initiator: Principal,
    created_at: Timestamp,
    version_id: VersionId,
    blob: BlobId,
    headers: ContentHeaders,
    user_metadata: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    storage_class: Option<String>,
    checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    placement: FirstPlacement,
    legs: Vec<UploadLeg>,
    state: FirstUploadState,
}

impl From<FirstUploadRecord> for UploadRecord {
    fn from(first: FirstUploadRecord) -> Self {
        Self {
            upload_id: first.upload_id,
            bucket: first.bucket,
            incarnation: first.incarnation,
            key: first.key,
            initiator: first.initiator,
            created_at: first.created_at,
            version_id: first.version_id,
            blob: first.blob,
            headers: first.headers,
            user_metadata: first.user_metadata,
            tags: first.tags,
            storage_class: first.storage_class,
            checksum: first.checksum,
            placement: first.placement.into(),
            legs: first.legs,
            state: first.state.into(),
        }
    }
}

#[derive(Deserialize)]
enum FirstUploadState {
    Open,
    Completing {
        parts: Vec<PartNumber>,
        draft: Box<FirstVersionRecord>,
        conditions: WriteConditions,
    },
    Aborting,
}

impl From<FirstUploadState> for UploadState {
    fn from(first: FirstUploadState) -> Self {
        match first {
            FirstUploadState::Open => Self::Open,
            FirstUploadState::Completing {
                parts,
                draft,
                conditions,
            } => Self::Completing {
                parts,
                draft: Box::new((*draft).into()),
                conditions,
            },
            FirstUploadState::Aborting => Self::Aborting,
        }
    }
}
