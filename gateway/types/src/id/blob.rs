//! Blobs and the keys under which their bytes lie on a backend.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{InvalidName, SiteId};
use crate::clock::Timestamp;
use crate::entropy::Entropy;

/// Names immutable bytes. The high 48 bits are the minting time in milliseconds,
/// the low 80 are random: rows of blobs written together lie together in the index,
/// and two blobs never share an id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobId(pub u128);

impl BlobId {
    /// Mints a new id at `now`.
    pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let time = u128::from(now.as_millis() & 0xFFFF_FFFF_FFFF) << 80;
        let random = entropy.u128() & ((1 << 80) - 1);
        Self(time | random)
    }

    /// Parses the 32 lowercase hex digits that [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        super::VersionId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Hex digits in the shard of a backend key: 4,096 shards keep a directory backend's
/// folders small with tens of millions of objects.
pub const SHARD_HEX_CHARS: usize = 3;

/// The key of one attempt to store one blob on one backend:
/// `w1/<site>/<shard>/<blob>.<attempt>`. No two attempts ever share a key, so a write that
/// finishes late can never be taken for, or be deleted as, another. User keys never
/// appear here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BackendKey(String);

impl BackendKey {
    /// The prefix of every key that Weir writes on behalf of `site`.
    pub fn site_prefix(site: &SiteId) -> String {
        format!("w1/{site}/")
    }

    /// The key for attempt number `attempt` at storing `blob`.
    pub fn of(site: &SiteId, blob: BlobId, attempt: u32) -> Self {
        let hex = blob.to_string();
        let shard = &hex[hex.len() - SHARD_HEX_CHARS..];
        Self(format!("w1/{site}/{shard}/{hex}.{attempt:08x}"))
    }

    /// Recognises a key of `site` as a backend's listing returns it;
    /// gives the blob and the attempt that it was made for.
    pub fn parse(site: &SiteId, text: &str) -> Option<(Self, BlobId, u32)> {
        let rest = text.strip_prefix("w1/")?.strip_prefix(site.as_str())?;
        let (_, name) = rest.strip_prefix('/')?.split_once('/')?;
        let (blob, attempt) = name.split_once('.')?;
        let blob = BlobId::parse(blob).ok()?;
        let attempt = u32::from_str_radix(attempt, 16).ok()?;
        let key = Self::of(site, blob, attempt);
        (key.0 == text).then_some((key, blob, attempt))
    }

    /// The prefix of every key under which an index of `site` keeps copies of itself. None of
    /// them is ever taken for the key of a blob.
    pub fn index_prefix(site: &SiteId) -> String {
        format!("w1-index/{site}/")
    }

    /// The key of a file of a copy of the index of `site` with that epoch:
    /// `w1-index/<site>/<epoch>/<name>`. Epoch and the elements of the name, divided by `/`,
    /// have only `a-z 0-9 . -` and do not begin with a dot.
    pub fn of_index(site: &SiteId, epoch: &str, name: &str) -> Result<Self, InvalidName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let fits = |element: &str| {
            !element.is_empty() && !element.starts_with('.') && element.bytes().all(plain)
        };
        if !fits(epoch) || !name.split('/').all(fits) {
            return Err(InvalidName(
                "only lowercase letters, digits, dots and hyphens",
            ));
        }
        Ok(Self(format!("w1-index/{site}/{epoch}/{name}")))
    }

    /// The key as text. Contains only `a-z 0-9 / . -`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
