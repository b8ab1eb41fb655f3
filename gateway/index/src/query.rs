//! Reads, each from one snapshot.

mod list;
mod uploads;
mod work;

use weir_types::id::{BackendId, BlobId, BucketName, Incarnation, ObjectKey, PartNumber, UploadId};
use weir_types::index::{IndexError, Lookup, PartsPage};
use weir_types::record::{
    BlobRecord, BucketRecord, CopyRecord, LedgerRecord, PartRecord, SegmentRecord, VersionRecord,
};

pub(crate) use list::list;
pub(crate) use uploads::{completing_uploads, stale_uploads, uploads};
pub(crate) use work::{due_from, next_due, outbox_stats};

use crate::keys;
use crate::rows;
use crate::store::{Reader, Table};

/// See [`weir_types::index::Index::lookup`].
pub(crate) fn lookup(
    reader: &dyn Reader,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Lookup, IndexError> {
    let mut found = Lookup {
        bucket: None,
        version: None,
        blob: None,
    };
    found.bucket = rows::read::<BucketRecord>(reader, Table::Buckets, bucket.as_str().as_bytes())?;
    let Some(bucket) = &found.bucket else {
        return Ok(found);
    };
    let row = keys::object(bucket.incarnation, key.as_str());
    let Some(version) = rows::read::<VersionRecord>(reader, Table::Current, &row)? else {
        return Ok(found);
    };
    let blob = rows::read::<BlobRecord>(reader, Table::Blobs, &keys::blob(version.blob))?;
    found.blob = Some(Box::new(rows::require(
        blob,
        "a version's blob is missing",
    )?));
    found.version = Some(Box::new(version));
    Ok(found)
}

/// See [`weir_types::index::Index::versions`].
pub(crate) fn versions(
    reader: &dyn Reader,
    bucket: Incarnation,
    key: &ObjectKey,
    limit: usize,
) -> Result<Vec<VersionRecord>, IndexError> {
    let current = rows::read(reader, Table::Current, &keys::object(bucket, key.as_str()))?;
    let mut versions: Vec<VersionRecord> = current.into_iter().collect();
    let within = keys::history(bucket, key.as_str());
    let older = limit.saturating_sub(versions.len());
    versions.extend(rows::page::<VersionRecord>(
        reader,
        Table::History,
        &within,
        None,
        older,
    )?);
    versions.truncate(limit);
    Ok(versions)
}

/// See [`weir_types::index::Index::crcs`].
pub(crate) fn crcs(
    reader: &dyn Reader,
    blob: BlobId,
    segment: PartNumber,
    first: u64,
    count: usize,
) -> Result<Vec<u32>, IndexError> {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    if segment == PartNumber::FIRST
        && let Some(record) = rows::read::<BlobRecord>(reader, Table::Blobs, &keys::blob(blob))?
        && let Some(inline) = record.inline_crcs
    {
        return Ok(inline.into_iter().skip(first).take(count).collect());
    }
    let mut found = Vec::new();
    let Ok(chunk) = u32::try_from(first / SegmentRecord::BLOCKS_MAX) else {
        return Ok(found);
    };
    if count == 0 {
        return Ok(found);
    }
    let mut skip = first % SegmentRecord::BLOCKS_MAX;
    let within = keys::segment(blob, segment);
    let from = keys::segment_chunk(blob, segment, chunk);
    rows::scan_prefix(reader, Table::Segments, &within, &from, &mut |_, value| {
        let record: SegmentRecord = rows::decode(value)?;
        let wanted = count - found.len();
        found.extend(record.crcs.into_iter().skip(skip).take(wanted));
        skip = 0;
        Ok(found.len() < count)
    })?;
    Ok(found)
}

/// See [`weir_types::index::Index::copies_on`].
pub(crate) fn copies_on(
    reader: &dyn Reader,
    backend: &BackendId,
    after: Option<(BlobId, u32)>,
    limit: usize,
) -> Result<Vec<(BlobId, CopyRecord)>, IndexError> {
    let mut names = Vec::new();
    if limit == 0 {
        return Ok(Vec::new());
    }
    let within = keys::copies_on(backend);
    let after = after.map(|(blob, attempt)| keys::copy(backend, blob, attempt));
    let from = after.map(keys::just_after).unwrap_or_default();
    rows::scan_prefix(reader, Table::Copies, &within, &from, &mut |tail, _| {
        let name = keys::parse_copy(tail);
        names.push(name.ok_or_else(|| rows::damaged("a copy's key cannot be read"))?);
        Ok(names.len() < limit)
    })?;
    let mut copies = Vec::with_capacity(names.len());
    for (blob, attempt) in names {
        let record = rows::read::<BlobRecord>(reader, Table::Blobs, &keys::blob(blob))?;
        let known = record.into_iter().flat_map(|record| record.copies);
        let copy = known
            .into_iter()
            .find(|c| c.backend == *backend && c.attempt == attempt);
        copies.push((blob, rows::require(copy, "a copy's blob does not name it")?));
    }
    Ok(copies)
}

/// See [`weir_types::index::Index::parts`].
pub(crate) fn parts(
    reader: &dyn Reader,
    upload: UploadId,
    after: u16,
    limit: usize,
) -> Result<PartsPage, IndexError> {
    if limit == 0 {
        return Ok(PartsPage::default());
    }
    let within = keys::upload(upload);
    let after = Some(keys::part(upload, after));
    let one_more = limit.saturating_add(1);
    let mut parts: Vec<PartRecord> = rows::page(reader, Table::Parts, &within, after, one_more)?;
    let more = parts.len() > limit;
    parts.truncate(limit);
    Ok(PartsPage { parts, more })
}

/// See [`weir_types::index::Index::ledger`].
pub(crate) fn ledger(reader: &dyn Reader) -> Result<Vec<(BackendId, LedgerRecord)>, IndexError> {
    let mut found = Vec::new();
    rows::scan_prefix(reader, Table::Ledger, &[], &[], &mut |key, value| {
        let name = std::str::from_utf8(key)
            .ok()
            .and_then(|name| BackendId::parse(name).ok());
        let name = name.ok_or_else(|| rows::damaged("a ledger's backend cannot be read"))?;
        found.push((name, rows::decode(value)?));
        Ok(true)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests;
