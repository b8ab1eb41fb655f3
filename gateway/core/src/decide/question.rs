//! What deciders are asked about.

use weir_types::id::{BucketName, ObjectKey, Principal};
use weir_types::record::CopyState;

/// What chooses a storage policy.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The bucket.
    pub bucket: &'a BucketName,
    /// LocationConstraint given when the bucket was created.
    pub location: Option<&'a str>,
    /// The key.
    pub key: &'a ObjectKey,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<&'a str>,
}

/// A new version that needs a place. How many copies it should get stands in the
/// [`super::StoragePolicy`].
#[derive(Debug, Clone)]
pub struct PlaceRequest<'a> {
    /// Name of the operation in the S3 API.
    pub operation: &'static str,
    /// The bucket.
    pub bucket: &'a BucketName,
    /// LocationConstraint given when the bucket was created.
    pub location: Option<&'a str>,
    /// The key.
    pub key: &'a ObjectKey,
    /// Length in bytes, when it is known.
    pub size_bytes: Option<u64>,
    /// Content-Type.
    pub content_type: Option<&'a str>,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<&'a str>,
    /// Tags.
    pub tags: &'a [(String, String)],
    /// `x-amz-meta-…`, names in lowercase without the prefix.
    pub user_metadata: &'a [(String, String)],
    /// Who asks.
    pub principal: &'a Principal,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Random bits: the only ones a policy gets.
    pub entropy: u64,
}

impl PlaceRequest<'_> {
    /// What chooses the storage policy.
    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope {
            bucket: self.bucket,
            location: self.location,
            key: self.key,
            storage_class: self.storage_class,
        }
    }
}

/// Which limit stands in the way of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Bytes stored.
    Bytes,
}

/// A backend that placement proposed and that has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excluded {
    /// Its position.
    pub backend: usize,
    /// What it lacks.
    pub obstacle: Obstacle,
}

/// Why it is asked which copies an object should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It was just committed.
    Committed,
    /// A copy is missing or looked wrong.
    Repair,
}

/// A copy of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCopy {
    /// Position of its backend.
    pub backend: usize,
    /// What is known about it.
    pub state: CopyState,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub written_at_ms: u64,
}

/// An object and its copies. An object whose first key holds other bytes now is known by that
/// key alone.
#[derive(Debug, Clone, Copy)]
pub struct ObjectState<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Content-Type.
    pub content_type: Option<&'a str>,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<&'a str>,
    /// Tags.
    pub tags: &'a [(String, String)],
    /// `x-amz-meta-…`, names in lowercase without the prefix.
    pub user_metadata: &'a [(String, String)],
    /// When it was committed, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Copies that its placement wants.
    pub copies_wanted: u8,
    /// Positions of the backends that its placement proposed, best first.
    pub candidates: &'a [usize],
    /// Its copies on backends that are configured.
    pub copies: &'a [HeldCopy],
    /// Why it is asked.
    pub occasion: Occasion,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Random bits.
    pub entropy: u64,
}

/// A read that has a choice.
#[derive(Debug, Clone, Copy)]
pub struct ReadState<'a> {
    /// Bucket.
    pub bucket: &'a BucketName,
    /// Key.
    pub key: &'a ObjectKey,
    /// Length of the whole object in bytes.
    pub size_bytes: u64,
    /// Bytes that are read of it.
    pub length_bytes: u64,
    /// Storage class, when not STANDARD.
    pub storage_class: Option<&'a str>,
    /// Who asks.
    pub principal: &'a Principal,
    /// Positions of the backends with a good copy in the order in which they would be tried;
    /// two at least.
    pub copies: &'a [usize],
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Random bits.
    pub entropy: u64,
}
