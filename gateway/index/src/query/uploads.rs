//! Listing open uploads.

use weir_types::clock::Timestamp;
use weir_types::id::UploadId;
use weir_types::index::{IndexError, UploadsPage, UploadsQuery};
use weir_types::record::UploadRecord;

use super::list::{Fold, beyond};
use crate::keys;
use crate::rows;
use crate::store::{Reader, Step, Table};

/// See [`weir_types::index::Index::uploads`]. A page with `limit` 0 is empty and the last.
pub(crate) fn uploads(
    reader: &dyn Reader,
    query: &UploadsQuery,
) -> Result<UploadsPage, IndexError> {
    let mut page = UploadsPage::default();
    let fold = Fold::new(&query.prefix, query.delimiter.as_deref());
    let Some(start) = start(&fold, query) else {
        return Ok(page);
    };
    if query.limit == 0 {
        return Ok(page);
    }
    let bucket = keys::incarnation(query.bucket);
    let from = [bucket.as_slice(), &start].concat();
    let mut last = None;
    reader.scan(Table::UploadKeys, &from, &mut |row, _| {
        let Some(tail) = row.strip_prefix(bucket.as_slice()) else {
            return Ok(Step::Stop);
        };
        let (key, id) = keys::parse_upload_key(tail)
            .ok_or_else(|| rows::damaged("an upload's key cannot be read"))?;
        if !key.starts_with(&query.prefix) {
            return Ok(Step::Stop);
        }
        if page.uploads.len() + page.prefixes.len() >= query.limit {
            page.next = last.take();
            return Ok(Step::Stop);
        }
        if let Some(common) = fold.common_prefix(key) {
            page.prefixes.push(common.to_owned());
            last = Some((common.to_owned(), None));
            return Ok(beyond(&bucket, common));
        }
        let upload: Option<UploadRecord> = rows::read(reader, Table::Uploads, &keys::upload(id))?;
        page.uploads
            .push(rows::require(upload, "a listed upload is missing")?);
        last = Some((key.to_owned(), Some(id)));
        Ok(Step::Next)
    })?;
    Ok(page)
}

/// Where the rows begin that `query.after` leaves.
fn start(fold: &Fold<'_>, query: &UploadsQuery) -> Option<Vec<u8>> {
    let Some((key, id)) = &query.after else {
        return fold.start_after(None);
    };
    if fold.common_prefix(key).is_some() || key < &query.prefix {
        return fold.start_after(Some(key));
    }
    // A key's rows go on with NUL and the upload's id; longer keys go on with something greater.
    let mut row = key.as_bytes().to_vec();
    match id {
        None => row.push(1),
        Some(id) => {
            row.push(0);
            row.extend(keys::just_after(keys::upload(*id)));
        }
    }
    Some(row)
}

/// See [`weir_types::index::Index::completing_uploads`].
pub(crate) fn completing_uploads(
    reader: &dyn Reader,
    limit: usize,
) -> Result<Vec<UploadId>, IndexError> {
    let mut found = Vec::new();
    reader.scan(Table::Completing, &[], &mut |row, _| {
        if found.len() >= limit {
            return Ok(Step::Stop);
        }
        let id = row
            .last_chunk::<16>()
            .ok_or_else(|| rows::damaged("a completing upload's key cannot be read"))?;
        found.push(UploadId(u128::from_be_bytes(*id)));
        Ok(Step::Next)
    })?;
    Ok(found)
}

/// See [`weir_types::index::Index::stale_uploads`].
pub(crate) fn stale_uploads(
    reader: &dyn Reader,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<UploadId>, IndexError> {
    let mut found = Vec::new();
    reader.scan(Table::UploadAges, &[], &mut |row, _| {
        let (created_at, id) = keys::parse_upload_age(row)
            .ok_or_else(|| rows::damaged("an upload's age cannot be read"))?;
        if created_at >= before || found.len() >= limit {
            return Ok(Step::Stop);
        }
        found.push(id);
        Ok(Step::Next)
    })?;
    Ok(found)
}
