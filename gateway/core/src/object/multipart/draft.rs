//! What an upload becomes: checks everything that a Complete says, and draws the version up.

use std::collections::HashMap;

use weir_types::checksum::{ChecksumAlgorithm, ChecksumKind, ObjectChecksum};
use weir_types::clock::Hlc;
use weir_types::error::ErrorCode;
use weir_types::id::{PartNumber, Seq, SiteId};
use weir_types::operation::{CompleteMultipartUpload, CompletePart};
use weir_types::record::{PartRecord, UploadRecord, VersionRecord};
use weir_types::{Error, Result};

use super::checksum::{checksum_of, etag_of, mismatch};
use crate::settings::Settings;

/// Refuses a list of parts that is empty or does not rise.
pub(super) fn check_order(parts: &[CompletePart]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::new(
            ErrorCode::MalformedXML,
            "You must specify at least one part.",
        ));
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(ErrorCode::InvalidPartOrder.into());
    }
    Ok(())
}

/// The version that the named parts make. `known` are the upload's parts.
pub(super) fn draw_up(
    upload: &UploadRecord,
    complete: &CompleteMultipartUpload,
    known: &HashMap<PartNumber, PartRecord>,
    settings: &Settings,
    site: &SiteId,
) -> Result<VersionRecord> {
    let named = complete.parts.iter().map(|part| find(upload, part, known));
    let parts = named.collect::<Result<Vec<&PartRecord>>>()?;
    check_sizes(&parts, settings)?;
    let size = parts.iter().map(|part| part.size).sum();
    if complete.size.is_some_and(|said| said != size) {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            format!(
                "The provided 'x-amz-mp-object-size' header value does not match what was computed: {size}"
            ),
        ));
    }
    let etag = etag_of(parts.iter().map(|part| &part.etag));
    Ok(VersionRecord {
        version_id: upload.version_id,
        seq: Seq::default(),
        hlc: Hlc::default(),
        site: site.clone(),
        blob: upload.blob,
        size,
        etag: etag.ok_or(ErrorCode::InternalError)?,
        last_modified: upload.created_at,
        headers: upload.headers.clone(),
        user_metadata: upload.user_metadata.clone(),
        tags: upload.tags.clone(),
        storage_class: upload.storage_class.clone(),
        checksum: object_checksum(upload, complete, &parts)?,
        parts: u16::try_from(parts.len()).ok(),
        placement: upload.placement.clone(),
    })
}

/// The stored part that the client means.
fn find<'a>(
    upload: &UploadRecord,
    named: &CompletePart,
    known: &'a HashMap<PartNumber, PartRecord>,
) -> Result<&'a PartRecord> {
    let invalid = || {
        Error::from(ErrorCode::InvalidPart)
            .with("UploadId", upload.upload_id.to_string())
            .with("PartNumber", named.number.to_string())
            .with("ETag", named.etag.as_str())
    };
    let part = known
        .get(&named.number)
        .filter(|part| part.etag == named.etag);
    let part = part.ok_or_else(invalid)?;
    match (&named.checksum, upload.checksum) {
        (Some(said), _) if part.checksum.as_ref() != Some(said) => Err(invalid()),
        (None, Some((algorithm, ChecksumKind::Composite))) => Err(Error::new(
            ErrorCode::InvalidRequest,
            format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {} in the request.",
                algorithm.name().to_ascii_lowercase(),
                named.number
            ),
        )),
        _ => Ok(part),
    }
}

fn check_sizes(parts: &[&PartRecord], settings: &Settings) -> Result<()> {
    let but_last = parts.split_last().map_or(&[][..], |(_, others)| others);
    if let Some(small) = but_last
        .iter()
        .find(|part| part.size < settings.part_bytes_min)
    {
        return Err(Error::from(ErrorCode::EntityTooSmall)
            .with("ProposedSize", small.size.to_string())
            .with("MinSizeAllowed", settings.part_bytes_min.to_string())
            .with("PartNumber", small.number.to_string())
            .with("ETag", small.etag.as_str()));
    }
    let total = parts
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(part.size));
    if total > settings.object_bytes_max {
        return Err(Error::from(ErrorCode::EntityTooLarge)
            .with("ProposedSize", total.to_string())
            .with("MaxSizeAllowed", settings.object_bytes_max.to_string()));
    }
    Ok(())
}

fn object_checksum(
    upload: &UploadRecord,
    complete: &CompleteMultipartUpload,
    parts: &[&PartRecord],
) -> Result<Option<ObjectChecksum>> {
    let said = complete.checksum.as_ref();
    let Some((algorithm, kind)) = upload.checksum else {
        // Without an algorithm at the start there are no sums of parts to make one of.
        return said.map_or(Ok(None), |(given, _)| Err(mismatch(None, Some(*given))));
    };
    if complete.checksum_kind.is_some_and(|said| said != kind) {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            format!(
                "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
                kind.name()
            ),
        ));
    }
    if let Some((given, _)) = said.filter(|(given, _)| *given != algorithm) {
        return Err(mismatch(Some(algorithm), Some(*given)));
    }
    let sums = parts
        .iter()
        .map(|part| Some((part.checksum.as_ref()?, part.size)));
    let sums: Vec<_> = sums.collect::<Option<_>>().ok_or(ErrorCode::InvalidPart)?;
    let checksum = checksum_of((algorithm, kind), &sums);
    if let Some((_, said)) = said {
        check_said(algorithm, said, &checksum)?;
    }
    Ok(Some(checksum))
}

/// Compares with what the client said the whole hashes to; a composite may be given with or
/// without its `-N`.
fn check_said(algorithm: ChecksumAlgorithm, said: &str, found: &ObjectChecksum) -> Result<()> {
    let said = said.trim();
    if said == found.to_string() || said == found.checksum.to_string() {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::BadDigest,
        format!(
            "The {} you specified did not match the calculated checksum.",
            algorithm.name().to_ascii_lowercase()
        ),
    ))
}
