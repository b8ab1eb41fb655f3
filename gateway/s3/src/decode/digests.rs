//! Digests that a client gives or announces: Content-MD5, `x-amz-checksum-…`,
//! `x-amz-trailer` (AWS, "Checking object integrity in Amazon S3").

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use weir_types::body::{ExpectedChecksum, ExpectedDigests};
use weir_types::checksum::{Checksum, ChecksumAlgorithm};
use weir_types::{Error, ErrorCode};

use super::{header_not_implemented, invalid_argument};
use crate::gate::payload::{Payload, TrailerRule};
use crate::gate::single;

/// What the body must hash to, and what its trailer must hold.
pub(super) fn of_body(
    headers: &HeaderMap,
    payload: Payload,
) -> Result<(ExpectedDigests, TrailerRule), Error> {
    let announced = announced(headers, payload)?;
    let given = given(headers)?;
    let named = named(headers)?;
    let checksum = match (given, announced) {
        (Some(_), Some(_)) => return Err(two_checksums()),
        (Some(given), None) => Some(ExpectedChecksum::Given(given)),
        (None, Some(algorithm)) => Some(ExpectedChecksum::InTrailer(algorithm)),
        (None, None) => named.map(ExpectedChecksum::Compute),
    };
    if let (Some(named), Some(checksum)) = (named, &checksum)
        && checksum.algorithm() != named
    {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        ));
    }
    let rule = announced.map_or(TrailerRule::None, TrailerRule::Checksum);
    Ok((
        ExpectedDigests {
            md5: md5(headers)?,
            checksum,
        },
        rule,
    ))
}

/// As [`of_body`] where `x-amz-checksum-…` is not about the body: CompleteMultipartUpload.
pub(super) fn of_body_without_checksum(
    headers: &HeaderMap,
    payload: Payload,
) -> Result<(ExpectedDigests, TrailerRule), Error> {
    let announced = announced(headers, payload)?;
    let checksum = announced.map(ExpectedChecksum::InTrailer);
    let rule = announced.map_or(TrailerRule::None, TrailerRule::Checksum);
    Ok((
        ExpectedDigests {
            md5: md5(headers)?,
            checksum,
        },
        rule,
    ))
}

fn md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Error> {
    let Some(text) = single(headers, "content-md5")? else {
        return Ok(None);
    };
    let bytes = STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|b| b.try_into().ok());
    bytes.map(Some).ok_or(ErrorCode::InvalidDigest.into())
}

/// The one `x-amz-checksum-…` header with a value.
fn given(headers: &HeaderMap) -> Result<Option<Checksum>, Error> {
    let Some((algorithm, text)) = given_text(headers)? else {
        return Ok(None);
    };
    Checksum::parse(algorithm, &text).map(Some).ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidRequest,
            format!("Value for {} header is invalid.", algorithm.header()),
        )
    })
}

/// As it stands in the header: a composite has `-N` behind it.
pub(super) fn given_text(
    headers: &HeaderMap,
) -> Result<Option<(ChecksumAlgorithm, String)>, Error> {
    let mut found = None;
    for algorithm in ChecksumAlgorithm::ALL {
        let Some(text) = single(headers, algorithm.header())? else {
            continue;
        };
        if found.replace((algorithm, text.trim().to_owned())).is_some() {
            return Err(two_checksums());
        }
    }
    Ok(found)
}

fn two_checksums() -> Error {
    Error::new(
        ErrorCode::InvalidRequest,
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

/// The algorithm named without a value.
pub(super) fn named(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Error> {
    for name in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
        let Some(text) = single(headers, name)? else {
            continue;
        };
        return ChecksumAlgorithm::parse(text.trim())
            .map(Some)
            .ok_or_else(|| {
                Error::new(
                    ErrorCode::InvalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of the \
                 valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
                )
            });
    }
    Ok(None)
}

/// `x-amz-trailer`: it and a payload with a trailer go together.
fn announced(headers: &HeaderMap, payload: Payload) -> Result<Option<ChecksumAlgorithm>, Error> {
    let has_trailer = matches!(payload, Payload::Chunked { trailer: true, .. });
    match (single(headers, "x-amz-trailer")?, has_trailer) {
        (None, false) => Ok(None),
        (None, true) => Err(Error::new(
            ErrorCode::MalformedTrailerError,
            "A payload with a trailer needs x-amz-trailer.",
        )),
        (Some(name), false) => Err(invalid_argument(
            "x-amz-trailer",
            name,
            "x-amz-trailer needs a payload with a trailer.",
        )),
        (Some(name), true) => {
            let name = name.trim().to_ascii_lowercase();
            match ChecksumAlgorithm::from_header(&name) {
                Some(algorithm) => Ok(Some(algorithm)),
                None if name
                    .split(',')
                    .filter(|n| n.contains("x-amz-checksum-"))
                    .count()
                    > 1 =>
                {
                    Err(two_checksums())
                }
                None => Err(header_not_implemented("x-amz-trailer")),
            }
        }
    }
}

/// Checks bytes that are held whole.
pub(super) fn verify(
    bytes: &[u8],
    expected: &ExpectedDigests,
    trailers: &[Checksum],
) -> Result<(), Error> {
    if expected
        .md5
        .is_some_and(|md5| <[u8; 16]>::from(Md5::digest(bytes)) != md5)
    {
        return Err(ErrorCode::BadDigest.into());
    }
    let checksum = match &expected.checksum {
        Some(ExpectedChecksum::Given(checksum)) => Some(checksum),
        Some(ExpectedChecksum::InTrailer(algorithm)) => Some(
            trailers
                .iter()
                .find(|c| c.algorithm == *algorithm)
                .ok_or_else(|| Error::from(ErrorCode::MalformedTrailerError))?,
        ),
        Some(ExpectedChecksum::Compute(_)) | None => None,
    };
    match checksum {
        Some(checksum) if compute(checksum.algorithm, bytes) != checksum.value => Err(Error::new(
            ErrorCode::BadDigest,
            format!(
                "The {} you specified did not match the calculated checksum.",
                checksum.algorithm.name()
            ),
        )),
        _ => Ok(()),
    }
}

fn compute(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => crc_fast::crc32_iso_hdlc(bytes).to_be_bytes().to_vec(),
        ChecksumAlgorithm::Crc32c => crc_fast::crc32_iscsi(bytes).to_be_bytes().to_vec(),
        ChecksumAlgorithm::Crc64Nvme => crc_fast::crc64_nvme(bytes).to_be_bytes().to_vec(),
        ChecksumAlgorithm::Sha1 => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
            .as_ref()
            .to_vec(),
        ChecksumAlgorithm::Sha256 => digest::digest(&digest::SHA256, bytes).as_ref().to_vec(),
    }
}
