//! Versions, the blobs they point to, and the copies of blobs.

use serde::{Deserialize, Serialize};

use crate::checksum::ObjectChecksum;
use crate::clock::{Hlc, Timestamp};
use crate::codec::{DecodeError, Record};
use crate::etag::ETag;
use crate::id::{
    BackendId, BackendKey, BlobId, BucketName, Incarnation, ObjectKey, PartNumber, Seq, SiteId,
    VersionId,
};

use super::first::{FirstBlobRecord, FirstVersionRecord};

/// Length of a block in bytes: the unit of read verification and of failover.
pub const BLOCK_BYTES: u64 = 256 * 1024;

/// Blobs of one segment with at most this many blocks keep their CRCs inside the blob's row.
pub const INLINE_BLOCKS_MAX: usize = 16;

/// How many blocks `bytes` take; zero bytes take none.
pub const fn blocks_of(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES)
}

/// One immutable content of a key, with its headers and metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Opaque name, minted before the first byte.
    pub version_id: VersionId,
    /// Commit sequence: orders versions of this site. Assigned by the index.
    pub seq: Seq,
    /// Orders versions of all sites, together with `site`. Assigned by the index.
    pub hlc: Hlc,
    /// The site that committed it.
    pub site: SiteId,
    /// The bytes.
    pub blob: BlobId,
    /// Length in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// What clients see as Last-Modified: when the bytes were put, or the upload was created.
    pub last_modified: Timestamp,
    /// Standard headers to return.
    pub headers: ContentHeaders,
    /// `x-amz-meta-…`, names in lowercase without the prefix.
    pub user_metadata: Vec<(String, String)>,
    /// Object tags.
    pub tags: Vec<(String, String)>,
    /// `x-amz-storage-class`, when not STANDARD.
    pub storage_class: Option<String>,
    /// Additional checksum.
    pub checksum: Option<ObjectChecksum>,
    /// Number of parts, for multipart objects.
    pub parts: Option<u16>,
    /// Who decided where it lies, and why.
    pub placement: Placement,
}

impl Record for VersionRecord {
    const NAME: &'static str = "version";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_first::<FirstVersionRecord>(version, body)
    }
}

/// Headers that are kept as the client sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHeaders {
    /// Content-Type.
    pub content_type: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Content-Encoding, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Expires.
    pub expires: Option<String>,
    /// x-amz-website-redirect-location.
    pub website_redirect: Option<String>,
}

/// Who placed a version, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The policy revision: `name@digest`, or `native` for the built-in fallback.
    pub revision: String,
    /// What the policy gave as its reason.
    pub reason: String,
    /// Candidates in order of preference, after the host's hard constraints.
    pub candidates: Vec<BackendId>,
    /// Copies wanted.
    pub copies_wanted: u8,
    /// The storage policy that applied, whose constraints hold for every copy; `None` in
    /// records from before there were storage policies.
    pub storage_policy: Option<String>,
    /// What placement preferred and had no room, best first, when the object spilled over to
    /// other backends; else empty.
    pub home: Vec<BackendId>,
}

/// Immutable bytes that one or more versions point to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Its id.
    pub blob: BlobId,
    /// Length in bytes.
    pub size: u64,
    /// How many versions point here.
    pub refs: u32,
    /// Live, or waiting to be cleaned up.
    pub state: BlobState,
    /// The copies that are known. At least one while the blob is live.
    pub copies: Vec<CopyRecord>,
    /// The attempt number that the next copy will use. Assigned by the index; never reused.
    pub next_attempt: u32,
    /// Copies wanted, and where they may lie.
    pub placement: Placement,
    /// Lengths of the segments in order, with the part number each was uploaded as. Empty
    /// for a blob that was put whole: it is one segment, [`PartNumber::FIRST`].
    pub segments: Vec<(PartNumber, u64)>,
    /// CRC32C of each block, when the blob is one segment of at most
    /// [`INLINE_BLOCKS_MAX`] blocks; otherwise they stand in [`SegmentRecord`]s.
    pub inline_crcs: Option<Vec<u32>>,
    /// Checksum over the stored bytes that every further copy is verified against.
    pub md5: Option<[u8; 16]>,
    /// Where it was first committed; set by the index. `None` for blobs from before that was
    /// noted.
    pub origin: Option<BlobOrigin>,
}

impl Record for BlobRecord {
    const NAME: &'static str = "blob";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_first::<FirstBlobRecord>(version, body)
    }
}

/// The key under which a blob was first committed. Other versions may point to the blob when
/// that key holds something else, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobOrigin {
    /// The bucket, by name and life.
    pub bucket: BucketName,
    /// See [`Incarnation`].
    pub incarnation: Incarnation,
    /// The key.
    pub key: ObjectKey,
}

/// Whether a blob is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobState {
    /// Some version points to it.
    Live,
    /// No version points to it since this time; its copies are being removed.
    Dead(Timestamp),
}

/// A blob's bytes on one backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// Where.
    pub backend: BackendId,
    /// Under which key.
    pub key: BackendKey,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// The backend's own entity tag at the time of writing.
    pub etag: String,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Good, or set aside.
    pub state: CopyState,
}

/// What is known about a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CopyState {
    /// Verified when written; nothing known against it.
    Good,
    /// Looked wrong or missing to a reader: read last, replaced first, and removed only once
    /// another good copy exists.
    Suspect,
}

/// CRC32C of the blocks of one segment: blocks `chunk * 4096` to at most 4,096 further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// One CRC32C per block.
    pub crcs: Vec<u32>,
}

impl SegmentRecord {
    /// Blocks per record: 1 GiB of data.
    pub const BLOCKS_MAX: usize = 4096;
}

impl Record for SegmentRecord {
    const NAME: &'static str = "segment";
    const VERSION: u8 = 1;
}

/// Left by a delete, so that nothing comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Commit sequence of the delete.
    pub seq: Seq,
    /// Orders it against writes of other sites.
    pub hlc: Hlc,
    /// The site that deleted.
    pub site: SiteId,
}

impl Record for Tombstone {
    const NAME: &'static str = "tombstone";
    const VERSION: u8 = 1;
}
