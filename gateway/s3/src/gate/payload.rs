//! What `x-amz-content-sha256` says about the body, and the body as a stream accordingly.

mod chunked;
mod plain;
mod source;
mod trailer;

use weir_types::checksum::ChecksumAlgorithm;
use weir_types::{Error, ErrorCode};

pub(crate) use chunked::{ChunkSigner, chunked};
pub(crate) use plain::plain;
pub(crate) use source::Source;

/// How a body is sent (AWS, "Authenticating requests: signature calculations").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Not covered by the signature.
    Unsigned,
    /// As a whole, with this SHA-256.
    Sha256([u8; 32]),
    /// In aws-chunks.
    Chunked {
        /// Each chunk, and the trailer, carries a signature.
        signed: bool,
        /// A trailer follows the last chunk.
        trailer: bool,
    },
}

impl Payload {
    /// Reads the value; those of SigV4A are not implemented.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Chunked {
                signed: true,
                trailer: false,
            },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Self::Chunked {
                signed: true,
                trailer: true,
            },
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Chunked {
                signed: false,
                trailer: true,
            },
            _ if text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") => {
                return Err(Error::new(
                    ErrorCode::NotImplemented,
                    "SigV4A signatures are not implemented.",
                ));
            }
            _ => {
                let mut sha256 = [0; 32];
                hex::decode_to_slice(text, &mut sha256).map_err(|_| {
                    Error::new(
                        ErrorCode::InvalidArgument,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value \
                         or a SHA-256 in hex.",
                    )
                    .with("ArgumentName", "x-amz-content-sha256")
                    .with("ArgumentValue", text)
                })?;
                Self::Sha256(sha256)
            }
        })
    }
}

/// What a trailer must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrailerRule {
    /// There is none.
    None,
    /// Exactly this checksum.
    Checksum(ChecksumAlgorithm),
}
