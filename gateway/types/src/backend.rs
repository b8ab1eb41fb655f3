//! The seam to where bytes lie: one bucket at one provider, or one directory.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;

use crate::body::{GetStream, PutStream};
use crate::id::{BackendKey, PartNumber};

/// A place that stores immutable bytes under keys that are never written twice.
///
/// Every method may be cancelled by dropping its future; what then happened at the backend
/// is unknown, and the caller's intent covers it. Timeouts are the implementation's own:
/// connect, first byte, and idle between bytes, never a cap on a whole body.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// `"fs"`, `"s3"`, `"memory"`: for status pages and metrics.
    fn kind(&self) -> &'static str;

    /// Stores `size` bytes under `key`, durably: when this returns, they survive power loss
    /// as far as the backend can promise it. A body that fails or is cut leaves nothing.
    ///
    /// A large body is not polled before the backend knows, as far as it can, that it will
    /// take it: until then the caller can offer the same body elsewhere.
    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError>;

    /// Opens `range` (`None`: everything). A zero-length object is read with `None`.
    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError>;

    /// Size and tag of what lies under `key`; `None` when there is nothing.
    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError>;

    /// Removes `key`; succeeds when there is nothing to remove.
    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError>;

    /// Up to `limit` keys that start with `prefix` and come after `after`, in byte order.
    /// The owner marker and other keys not made by [`BackendKey`] may be among them.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError>;

    /// Starts a multipart upload under `key`; the answer is the backend's own upload id.
    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError>;

    /// Stores one part of `size` bytes; replaces an earlier part of the same number.
    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError>;

    /// Makes the upload's `parts` the object under `key`, moving no bytes. Parts not named
    /// are dropped. [`BackendErrorKind::NotFound`] when the upload is not known (any more).
    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError>;

    /// Drops the upload and its parts; succeeds when it is not known.
    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError>;

    /// Unfinished uploads under keys that start with `prefix`, at most `limit`.
    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError>;

    /// Reads the owner marker (see [`OWNER_KEY`]); `None` when the backend has none.
    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError>;

    /// Writes the owner marker. The one key that is ever overwritten.
    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError>;

    /// Told once, when the marker was seen to be this index's and before anything else is
    /// written: from here on, what earlier processes left unfinished may be removed.
    async fn confirmed(&self) -> Result<(), BackendError>;

    /// Told that [`Stored::md5`] was not that of the bytes which were sent. Either other bytes
    /// lie there, which the caller discards, or it is no MD5 any more: a backend that took a
    /// tag for one does so no longer before it has seen it to be one again.
    fn disputed(&self);
}

/// Key of the object that names the site and index epoch a backend belongs to.
pub const OWNER_KEY: &str = "w1-owner";

/// What a backend says about stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Length in bytes.
    pub size: u64,
    /// The backend's own entity tag, without quotes; empty when it gives none.
    pub etag: String,
    /// MD5 of what came to lie there, as the backend itself computed it: told by [`Backend::put`]
    /// and [`Backend::put_part`] where that is known to be what the backend says. Bytes that
    /// hash to something else were not stored as they were sent.
    pub md5: Option<[u8; 16]>,
}

impl Stored {
    /// `size` bytes under a tag that says nothing about them.
    pub fn new(size: u64, etag: impl Into<String>) -> Self {
        Self {
            size,
            etag: etag.into(),
            md5: None,
        }
    }

    /// Whether these are `size` bytes and, as far as the backend tells it, those with this MD5.
    pub fn require(&self, size: u64, md5: Option<&[u8; 16]>) -> Result<(), BackendError> {
        let wrong = |message| Err(BackendError::new(BackendErrorKind::Corrupt, message));
        if self.size != size {
            return wrong(format!("{} bytes of {size} were stored", self.size));
        }
        match (&self.md5, md5) {
            (Some(told), Some(sent)) if told != sent => {
                wrong("other bytes were stored than were sent".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// An opened read.
pub struct Fetched {
    /// Length of the whole object in bytes.
    pub size: u64,
    /// The backend's own entity tag, without quotes; empty when it gives none.
    pub etag: String,
    /// Exactly the bytes of the range that was asked for; a stream that ends early yields
    /// an error, never a silent end.
    pub body: GetStream,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("size", &self.size)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// A part named in [`Backend::complete_upload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendPart {
    /// Its number.
    pub number: PartNumber,
    /// Its length in bytes.
    pub size: u64,
    /// The backend's own tag for it, as [`Backend::put_part`] returned it.
    pub etag: String,
}

/// An object in a backend's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendEntry {
    /// The key as the backend has it.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
}

/// A page of a backend's listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendPage {
    /// Entries in byte order of their keys.
    pub entries: Vec<BackendEntry>,
    /// Whether more follow after the last entry.
    pub more: bool,
}

/// An unfinished upload in a backend's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendUpload {
    /// The key it was started for.
    pub key: String,
    /// The backend's own upload id.
    pub upload: String,
}

/// What a failure at a backend means for what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendErrorKind {
    /// The key or upload is not there: an answer, not a failure.
    NotFound,
    /// A precondition failed or the request was refused as wrong (other 4xx): an answer.
    Rejected,
    /// The credentials do not (any longer) work.
    Denied,
    /// The backend asked for fewer requests (503 SlowDown, 429).
    Throttled,
    /// There is no room left (quota, ENOSPC).
    Full,
    /// There is no room for this body: an answer. A smaller one may fit.
    DoesNotFit,
    /// Not reached, timed out, cut off, or a 5xx.
    Unavailable,
    /// It answered, but with something other than what was stored or promised.
    Corrupt,
    /// The body given to a put failed at its source: not the backend's fault.
    Source,
}

/// A failure at a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendError {
    /// What it means.
    pub kind: BackendErrorKind,
    /// For a person: operation, status, what the backend said. Holds no secret.
    pub message: String,
    /// How long the backend asked to be left alone.
    pub retry_after: Option<Duration>,
    /// The client-facing error of the source, for [`BackendErrorKind::Source`].
    pub source: Option<Box<crate::error::Error>>,
}

impl BackendError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    /// The body's source failed with `error`.
    pub fn source(error: crate::error::Error) -> Self {
        Self {
            kind: BackendErrorKind::Source,
            message: error.to_string(),
            retry_after: None,
            source: Some(Box::new(error)),
        }
    }

    /// Whether this says something about the backend's health. 404, 412, a failed client
    /// body and the like are answers.
    pub fn is_failure(&self) -> bool {
        !matches!(
            self.kind,
            BackendErrorKind::NotFound
                | BackendErrorKind::Rejected
                | BackendErrorKind::DoesNotFit
                | BackendErrorKind::Source
        )
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl std::error::Error for BackendError {}
