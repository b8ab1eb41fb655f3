//! Multipart uploads.

use weir_types::clock::Timestamp;
use weir_types::etag::ETag;
use weir_types::id::{Incarnation, IntentId, ObjectKey, PartNumber, UploadId};
use weir_types::index::{Applied, IndexError, Refusal, WriteConditions};
use weir_types::record::{
    BlobOrigin, BlobRecord, BlobState, CopyRecord, PartRecord, UploadRecord, UploadState,
    VersionRecord, Work,
};

use super::{bucket, copy, intent, outbox, refuse, version};
use crate::keys;
use crate::rows::{self, CompletedRecord};
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn create(txn: &mut Txn<'_>, upload: &UploadRecord) -> Result<(), IndexError> {
    bucket::require(txn, &upload.bucket, upload.incarnation)?;
    for leg in &upload.legs {
        intent::require_open(txn, leg.intent)?;
    }
    let id = upload.upload_id;
    txn.put_key(Table::UploadKeys, by_key(upload));
    txn.put_key(Table::UploadAges, keys::upload_age(upload.created_at, id));
    put(txn, upload);
    Ok(())
}

pub(super) fn begin_complete(
    txn: &mut Txn<'_>,
    id: UploadId,
    parts: &[(PartNumber, ETag)],
    mut draft: Box<VersionRecord>,
    conditions: &WriteConditions,
    now: Timestamp,
    resume_at: Timestamp,
) -> Result<Applied, IndexError> {
    let Some(mut upload) = find(txn, id)? else {
        return refuse(Refusal::NoSuchUpload);
    };
    let numbers: Vec<PartNumber> = parts.iter().map(|(number, _)| *number).collect();
    match &upload.state {
        UploadState::Open => {}
        UploadState::Completing { parts: chosen, .. } if *chosen == numbers => {
            require_parts(txn, id, parts)?;
            let upload = Box::new(upload);
            return Ok(Applied::Completing {
                upload,
                first: false,
            });
        }
        UploadState::Completing { .. } | UploadState::Aborting => {
            return refuse(Refusal::NoSuchUpload);
        }
    }
    bucket::require(txn, &upload.bucket, upload.incarnation)?;
    require_parts(txn, id, parts)?;
    let current = version::current(txn, upload.incarnation, &upload.key)?;
    version::check(conditions, current.as_ref())?;

    close(txn, &upload);
    txn.put_key(Table::Completing, by_key(&upload));
    draft.seq = txn.next_seq();
    upload.state = UploadState::Completing {
        parts: numbers,
        draft,
        conditions: conditions.clone(),
    };
    put(txn, &upload);
    outbox::enqueue(txn, Work::Complete { upload: id }, now, resume_at);
    let upload = Box::new(upload);
    Ok(Applied::Completing {
        upload,
        first: true,
    })
}

pub(super) fn abort(
    txn: &mut Txn<'_>,
    id: UploadId,
    only_open: bool,
    now: Timestamp,
) -> Result<(), IndexError> {
    let Some(mut upload) = find(txn, id)? else {
        return refuse(Refusal::NoSuchUpload);
    };
    match upload.state {
        UploadState::Open => close(txn, &upload),
        UploadState::Completing { .. } if !only_open => {
            txn.delete(Table::Completing, by_key(&upload));
        }
        UploadState::Completing { .. } | UploadState::Aborting => {
            return refuse(Refusal::NoSuchUpload);
        }
    }
    upload.state = UploadState::Aborting;
    put(txn, &upload);
    outbox::enqueue(txn, Work::Abort { upload: id }, now, now);
    Ok(())
}

pub(super) fn finish_abort(
    txn: &mut Txn<'_>,
    id: UploadId,
    last_look_at: Timestamp,
    now: Timestamp,
) -> Result<(), IndexError> {
    let Some(upload) = find(txn, id)? else {
        return Ok(());
    };
    if upload.state != UploadState::Aborting {
        return refuse(Refusal::NoSuchUpload);
    }
    for leg in &upload.legs {
        intent::condemn(txn, leg.intent, last_look_at, now)?;
    }
    txn.delete_under(Table::Parts, &keys::upload(id))?;
    txn.delete_under(Table::Segments, &keys::blob(upload.blob))?;
    txn.delete(Table::Uploads, keys::upload(id));
    Ok(())
}

/// Turns a completing upload into a live blob: the chosen parts are its segments. The upload,
/// all its parts and its intents go, and so do the CRCs of parts that were not chosen.
/// Gives the version that was drawn up.
pub(super) fn become_blob(
    txn: &mut Txn<'_>,
    id: UploadId,
    copies: Vec<CopyRecord>,
    now: Timestamp,
) -> Result<VersionRecord, IndexError> {
    let Some(upload) = find(txn, id)? else {
        return refuse(Refusal::NoSuchUpload);
    };
    txn.delete(Table::Completing, by_key(&upload));
    let UploadRecord {
        bucket,
        incarnation,
        key,
        blob,
        placement,
        legs,
        state:
            UploadState::Completing {
                parts: chosen,
                draft,
                ..
            },
        ..
    } = upload
    else {
        return refuse(Refusal::NoSuchUpload);
    };
    if copy::find(txn, blob)?.is_some() {
        return refuse(Refusal::BlobLive);
    }
    let mut segments = Vec::with_capacity(chosen.len());
    for row in rows::keys_under(txn, Table::Parts, &keys::upload(id))? {
        let part: PartRecord = rows::require(
            txn.read(Table::Parts, &row)?,
            "a part vanished in its transaction",
        )?;
        if chosen.binary_search(&part.number).is_ok() {
            segments.push((part.number, part.size));
        } else {
            txn.delete_under(Table::Segments, &keys::segment(blob, part.number))?;
        }
        txn.delete(Table::Parts, row);
    }
    if segments.len() != chosen.len() {
        return Err(rows::damaged("a chosen part is missing"));
    }
    let attempts = copies.iter().map(|copy| copy.attempt.saturating_add(1));
    let record = BlobRecord {
        blob,
        size: segments.iter().map(|(_, bytes)| bytes).sum(),
        refs: 1,
        state: BlobState::Live,
        next_attempt: attempts.max().unwrap_or(0),
        copies,
        placement,
        segments,
        inline_crcs: None,
        md5: None,
        origin: Some(BlobOrigin {
            bucket,
            incarnation,
            key,
        }),
    };
    let intents: Vec<IntentId> = legs.iter().map(|leg| leg.intent).collect();
    version::consume_intents(txn, &record, &intents)?;
    copy::create(txn, &record, now)?;
    txn.delete(Table::Uploads, keys::upload(id));
    Ok(VersionRecord { blob, ..*draft })
}

/// Remembers what an upload became, so that a repeated Complete can be answered.
pub(super) fn remember(
    txn: &mut Txn<'_>,
    id: UploadId,
    bucket: Incarnation,
    key: &ObjectKey,
    version: &VersionRecord,
    now: Timestamp,
) {
    let record = CompletedRecord {
        bucket,
        key: key.clone(),
        version: version.clone(),
        completed_at: now,
    };
    txn.put(Table::Completed, keys::upload(id), &record);
    txn.put_key(Table::CompletedAges, keys::upload_age(now, id));
}

/// The upload, if it takes parts.
pub(super) fn require_open(txn: &Txn<'_>, id: UploadId) -> Result<UploadRecord, IndexError> {
    match find(txn, id)? {
        Some(upload) if upload.state == UploadState::Open => Ok(upload),
        _ => refuse(Refusal::NoSuchUpload),
    }
}

/// Refuses unless the upload is completing, and for this key of this bucket.
pub(super) fn require_completing(
    txn: &Txn<'_>,
    id: UploadId,
    bucket: Incarnation,
    key: &ObjectKey,
) -> Result<(), IndexError> {
    match find(txn, id)? {
        Some(upload)
            if matches!(upload.state, UploadState::Completing { .. })
                && upload.incarnation == bucket
                && upload.key == *key =>
        {
            Ok(())
        }
        _ => refuse(Refusal::NoSuchUpload),
    }
}

/// Each part stands with the tag that the caller saw, and they rise, so that none is twice.
fn require_parts(
    txn: &Txn<'_>,
    id: UploadId,
    parts: &[(PartNumber, ETag)],
) -> Result<(), IndexError> {
    if parts.is_empty() || !parts.is_sorted_by(|(a, _), (b, _)| a < b) {
        return refuse(Refusal::InvalidPart);
    }
    for (number, etag) in parts {
        let part = txn.read::<PartRecord>(Table::Parts, &keys::part(id, number.get()))?;
        if part.is_none_or(|part| part.etag != *etag) {
            return refuse(Refusal::InvalidPart);
        }
    }
    Ok(())
}

/// An upload that no longer takes parts leaves the tables of open ones.
fn close(txn: &mut Txn<'_>, upload: &UploadRecord) {
    let id = upload.upload_id;
    txn.delete(Table::UploadKeys, by_key(upload));
    txn.delete(Table::UploadAges, keys::upload_age(upload.created_at, id));
}

/// Whether a Complete that was accepted for the key of this [`keys::object`] is still to be
/// committed.
pub(super) fn is_completing(txn: &Txn<'_>, object: &[u8]) -> Result<bool, IndexError> {
    let of_key = keys::uploads_of(object);
    let mut found = false;
    rows::scan_prefix(txn, Table::Completing, &of_key, &of_key, &mut |_, _| {
        found = true;
        Ok(false)
    })?;
    Ok(found)
}

fn by_key(upload: &UploadRecord) -> Vec<u8> {
    keys::upload_key(upload.incarnation, upload.key.as_str(), upload.upload_id)
}

fn find(txn: &Txn<'_>, id: UploadId) -> Result<Option<UploadRecord>, IndexError> {
    txn.read(Table::Uploads, &keys::upload(id))
}

fn put(txn: &mut Txn<'_>, upload: &UploadRecord) {
    txn.put(Table::Uploads, keys::upload(upload.upload_id), upload);
}
