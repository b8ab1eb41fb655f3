//! The objects that are moved, and what is done with them.

use std::sync::LazyLock;

use bytes::Bytes;
use clap::ValueEnum;
use md5::{Digest, Md5};

/// Largest object.
const PATTERN_BYTES: usize = 64 * 1024;
/// How many objects the GETs take turns with.
pub(crate) const GET_KEYS: usize = 64;
/// The bucket of every object.
pub(crate) const BUCKET: &str = "bench";

/// Bytes that do not repeat; every object is a beginning of them.
pub(crate) static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words
        .take(PATTERN_BYTES / 8)
        .flatten()
        .collect::<Vec<u8>>()
        .into()
});

/// The entity tag that S3 gives to `content`, with its quotes.
pub(crate) fn etag(content: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(content)))
}

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    #[value(name = "get-1k")]
    Get1K,
    #[value(name = "put-1k")]
    Put1K,
    #[value(name = "get-64k")]
    Get64K,
    #[value(name = "put-64k")]
    Put64K,
}

impl Scenario {
    pub(crate) const ALL: [Self; 4] = [Self::Get1K, Self::Put1K, Self::Get64K, Self::Put64K];

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Get1K => "GET 1 KiB",
            Self::Put1K => "PUT 1 KiB",
            Self::Get64K => "GET 64 KiB",
            Self::Put64K => "PUT 64 KiB",
        }
    }

    pub(crate) const fn is_put(self) -> bool {
        matches!(self, Self::Put1K | Self::Put64K)
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Get1K | Self::Put1K => 1024,
            Self::Get64K | Self::Put64K => PATTERN_BYTES,
        }
    }

    /// What the object holds.
    pub(crate) fn content(self) -> Bytes {
        PATTERN.slice(..self.bytes())
    }

    /// The request path of object `number` of the GETs.
    pub(crate) fn get_path(self, number: usize) -> String {
        format!("/{BUCKET}/get-{}/{number:08}", self.bytes())
    }

    /// The request path of object `number` of the PUTs in run `run`; never the same twice.
    pub(crate) fn put_path(self, run: usize, number: usize) -> String {
        format!("/{BUCKET}/put-{}/{run:04}/{number:08}", self.bytes())
    }

    /// How many requests a run makes when it makes `base` GETs of 1 KiB.
    pub(crate) const fn requests(self, base: usize) -> usize {
        let count = match self {
            Self::Get1K => base,
            Self::Put1K => base / 2,
            Self::Get64K | Self::Put64K => base / 4,
        };
        if count == 0 { 1 } else { count }
    }
}
