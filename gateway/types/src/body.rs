//! Bodies as streams. Nothing here holds more than a few chunks in memory.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::backend::BackendError;
use crate::checksum::{Checksum, ChecksumAlgorithm};
use crate::error::Error;

/// A request body after the gate has decoded its framing.
///
/// The last item may be [`Frame::Trailers`]. A stream that ends with `Ok` was complete:
/// length, chunk signatures and `x-amz-content-sha256` have been verified by then.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Frame, Error>> + Send>>;

/// Bytes on their way to a backend. An `Err` item means that the source failed; the backend
/// must then make sure that nothing is stored.
pub type PutStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Bytes on their way from a backend.
pub type GetStream = Pin<Box<dyn Stream<Item = Result<Bytes, BackendError>> + Send>>;

/// Bytes on their way to a client. An `Err` item ends the connection: the status has long
/// been sent.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A piece of a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Payload.
    Data(Bytes),
    /// Checksums from the trailer; at most one, last.
    Trailers(Vec<Checksum>),
}

/// The body of a PutObject or UploadPart: how long it is, what it must hash to, its bytes.
pub struct IncomingBody {
    /// Length of the payload in bytes, known before the first byte.
    pub size: u64,
    /// What the client said the payload hashes to.
    pub expected: ExpectedDigests,
    /// The payload.
    pub frames: FrameStream,
}

impl std::fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingBody")
            .field("size", &self.size)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// Digests that a client gave or announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedDigests {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-checksum-…`, from a header or to come in the trailer.
    pub checksum: Option<ExpectedChecksum>,
}

/// Where the expected checksum stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedChecksum {
    /// In a header: the value is known.
    Given(Checksum),
    /// Announced by `x-amz-trailer`: the value comes with [`Frame::Trailers`].
    InTrailer(ChecksumAlgorithm),
    /// Only the algorithm is named (`x-amz-sdk-checksum-algorithm` on its own):
    /// compute and store it.
    Compute(ChecksumAlgorithm),
}

impl ExpectedChecksum {
    /// The algorithm to compute.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        match self {
            Self::Given(checksum) => checksum.algorithm,
            Self::InTrailer(algorithm) | Self::Compute(algorithm) => *algorithm,
        }
    }
}
