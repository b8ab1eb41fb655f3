//! The trailer behind the last aws-chunk.
//!
//! SDKs end lines with CRLF and close with an empty line. minio-go, after AWS's own example,
//! ends a field with LF and sets an empty line before `x-amz-trailer-signature`. Both are read.

use weir_types::checksum::Checksum;
use weir_types::{Error, ErrorCode};

use super::TrailerRule;

/// A trailer, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    /// The checksum.
    pub(super) checksum: Checksum,
    /// The fields as they are signed: `name:value` and LF each.
    pub(super) signed_text: Vec<u8>,
    /// `x-amz-trailer-signature`.
    pub(super) signature: Option<Vec<u8>>,
}

/// Reads everything behind the line of the last chunk.
pub(super) fn parse(raw: &[u8], rule: TrailerRule) -> Result<Trailer, Error> {
    let TrailerRule::Checksum(algorithm) = rule else {
        return Err(malformed("A trailer was not announced."));
    };
    let text = std::str::from_utf8(raw).map_err(|_| malformed("The trailer is not text."))?;
    if !text.ends_with("\n\r\n") {
        return Err(malformed("The trailer does not end with an empty line."));
    }
    let mut checksum = None;
    let mut signed_text = Vec::new();
    let mut signature = None;
    for line in text.split('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)) {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or(malformed("A field of the trailer has no colon."))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if signature.is_some() {
            return Err(malformed("A field follows the trailer's signature."));
        }
        if name == "x-amz-trailer-signature" {
            signature = Some(value.as_bytes().to_vec());
        } else if name == algorithm.header() && checksum.is_none() {
            let given = Checksum::parse(algorithm, value)
                .ok_or(malformed("The trailer's checksum is not valid."))?;
            checksum = Some(given);
            signed_text.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        } else {
            return Err(malformed(
                "The trailer holds a field that was not announced.",
            ));
        }
    }
    let checksum = checksum.ok_or(malformed("The announced checksum is missing."))?;
    Ok(Trailer {
        checksum,
        signed_text,
        signature,
    })
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorCode::MalformedTrailerError, message)
}
