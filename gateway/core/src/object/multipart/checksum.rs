//! Checksums of parts and of what they make (AWS, "Checking object integrity in Amazon S3").

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use weir_types::body::ExpectedChecksum;
use weir_types::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, ObjectChecksum};
use weir_types::error::ErrorCode;
use weir_types::etag::ETag;
use weir_types::{Error, Result};

use crate::ingest::ChecksumDigest;

/// An upload's algorithm and type.
pub(super) type Chosen = Option<(ChecksumAlgorithm, ChecksumKind)>;

/// Which checksum a part is taken in with: the upload's algorithm, whose value the client must
/// give for composites and may give otherwise. For an upload that was created without an
/// algorithm, whatever the client gives is verified and kept with the part (SDKs add a checksum
/// to every part by themselves), and the object gets none.
pub(super) fn expected_of_part(
    chosen: Chosen,
    given: Option<ExpectedChecksum>,
) -> Result<Option<ExpectedChecksum>> {
    match (chosen, given) {
        (None, None | Some(ExpectedChecksum::Compute(_))) => Ok(None),
        (None, Some(given)) => Ok(Some(given)),
        (Some((wanted, _)), Some(given)) if given.algorithm() == wanted => Ok(Some(given)),
        (Some((wanted, ChecksumKind::FullObject)), None) => {
            Ok(Some(ExpectedChecksum::Compute(wanted)))
        }
        (wanted, given) => Err(mismatch(
            wanted.map(|(a, _)| a),
            given.map(|given| given.algorithm()),
        )),
    }
}

/// InvalidRequest that names both algorithms.
pub(super) fn mismatch(
    wanted: Option<ChecksumAlgorithm>,
    given: Option<ChecksumAlgorithm>,
) -> Error {
    let name = |algorithm: Option<ChecksumAlgorithm>| {
        algorithm.map_or("null".to_owned(), |a| a.name().to_ascii_lowercase())
    };
    Error::new(
        ErrorCode::InvalidRequest,
        format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(wanted),
            name(given)
        ),
    )
}

/// The tag of the object that parts with these tags make; `None` when one is not an MD5.
pub(super) fn etag_of<'a>(parts: impl ExactSizeIterator<Item = &'a ETag>) -> Option<ETag> {
    let count = parts.len();
    let mut all = Md5::new();
    for part in parts {
        all.update(part.as_md5()?);
    }
    Some(ETag::from_multipart(all.finalize().into(), count))
}

/// The checksum of the object that parts with these checksums and lengths make. Every part has
/// a checksum of `algorithm`.
pub(super) fn checksum_of(
    (algorithm, kind): (ChecksumAlgorithm, ChecksumKind),
    parts: &[(&Checksum, u64)],
) -> ObjectChecksum {
    let combined = crc_of(algorithm).filter(|_| kind == ChecksumKind::FullObject);
    match combined {
        Some(crc) => ObjectChecksum {
            checksum: combine(algorithm, crc, parts),
            kind: ChecksumKind::FullObject,
            parts: None,
        },
        None => {
            let mut digest = ChecksumDigest::new(algorithm);
            for (part, _) in parts {
                digest.update(&part.value);
            }
            ObjectChecksum {
                checksum: digest.finish(),
                kind: ChecksumKind::Composite,
                parts: u16::try_from(parts.len()).ok(),
            }
        }
    }
}

/// The CRC of bytes one after another, from the CRCs of each.
fn combine(
    algorithm: ChecksumAlgorithm,
    crc: CrcAlgorithm,
    parts: &[(&Checksum, u64)],
) -> Checksum {
    let number = |c: &Checksum| {
        c.value
            .iter()
            .fold(0, |n, byte| (n << 8) | u64::from(*byte))
    };
    let mut pairs = parts
        .iter()
        .map(|(checksum, bytes)| (number(checksum), *bytes));
    let (first, _) = pairs.next().unwrap_or_default();
    let all = pairs.fold(first, |so_far, (next, bytes)| {
        crc_fast::checksum_combine(crc, so_far, next, bytes)
    });
    let all = all.to_be_bytes();
    Checksum {
        algorithm,
        value: all[all.len() - algorithm.value_bytes()..].to_vec(),
    }
}

const fn crc_of(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

#[cfg(test)]
mod tests;
