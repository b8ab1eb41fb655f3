//! Buckets.

use weir_types::clock::Timestamp;
use weir_types::id::{BucketName, Incarnation, Principal, UploadId};
use weir_types::index::{IndexError, Mutation, Refusal};
use weir_types::record::BucketRecord;

use super::{refuse, upload};
use crate::keys;
use crate::rows;
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn create(
    txn: &mut Txn<'_>,
    name: BucketName,
    owner: Option<Principal>,
    location: Option<String>,
    now: Timestamp,
) -> Result<BucketRecord, IndexError> {
    if find(txn, &name)?.is_some() {
        return refuse(Refusal::BucketExists);
    }
    let incarnation = Incarnation(txn.next_seq().0);
    let bucket = BucketRecord {
        name,
        incarnation,
        created_at: now,
        owner,
        location,
    };
    txn.put(Table::Buckets, bucket.name.as_str().into(), &bucket);
    Ok(bucket)
}

pub(super) fn delete(
    txn: &mut Txn<'_>,
    name: &BucketName,
    now: Timestamp,
) -> Result<(), IndexError> {
    let Some(bucket) = find(txn, name)? else {
        return refuse(Refusal::NoSuchBucket);
    };
    let within = keys::incarnation(bucket.incarnation);
    let mut empty = true;
    rows::scan_prefix(txn, Table::Current, &within, &within, &mut |_, _| {
        empty = false;
        Ok(false)
    })?;
    if !empty {
        return refuse(Refusal::BucketNotEmpty);
    }
    for id in open_uploads(txn, &within)? {
        upload::abort(txn, id, true, now)?;
    }
    txn.delete(Table::Buckets, name.as_str().into());
    Ok(())
}

/// The open uploads of a bucket that is to be deleted.
fn open_uploads(txn: &Txn<'_>, within: &[u8]) -> Result<Vec<UploadId>, IndexError> {
    let mut found = Vec::new();
    rows::scan_prefix(txn, Table::UploadKeys, within, within, &mut |tail, _| {
        let (_, id) = keys::parse_upload_key(tail)
            .ok_or_else(|| rows::damaged("an upload's key cannot be read"))?;
        found.push(id);
        Ok(found.len() <= Mutation::UPLOADS_PER_BUCKET_DELETE_MAX)
    })?;
    if found.len() > Mutation::UPLOADS_PER_BUCKET_DELETE_MAX {
        return refuse(Refusal::TooManyUploads);
    }
    Ok(found)
}

/// The bucket, by its name alone.
pub(super) fn find(txn: &Txn<'_>, name: &BucketName) -> Result<Option<BucketRecord>, IndexError> {
    txn.read(Table::Buckets, name.as_str().as_bytes())
}

/// Refuses unless the bucket stands in this very life.
pub(super) fn require(
    txn: &Txn<'_>,
    name: &BucketName,
    incarnation: Incarnation,
) -> Result<(), IndexError> {
    match find(txn, name)? {
        Some(bucket) if bucket.incarnation == incarnation => Ok(()),
        _ => refuse(Refusal::NoSuchBucket),
    }
}
