//! How row keys are spelled.
//!
//! Law: byte order of the encoded keys is the order of the tuples they stand for, and no two
//! tuples share an encoding, nor is one a prefix of another's first field. Numbers are big
//! endian; a text that is not the last field ends in NUL, which no key or backend id holds.

use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, BlobId, Incarnation, IntentId, OutboxId, PartNumber, UploadId};

/// All rows of one bucket's life.
pub(crate) fn incarnation(bucket: Incarnation) -> Vec<u8> {
    bucket.0.to_be_bytes().to_vec()
}

/// One key of a bucket, as in `current` and `tombstones`. `key` may be any part of a key.
pub(crate) fn object(bucket: Incarnation, key: &str) -> Vec<u8> {
    join(&[&bucket.0.to_be_bytes(), key.as_bytes()])
}

/// All noncurrent versions of one key; each row goes on with its sequence inverted, so that
/// the newest sorts first.
pub(crate) fn history(bucket: Incarnation, key: &str) -> Vec<u8> {
    join(&[&bucket.0.to_be_bytes(), key.as_bytes(), &[0]])
}

/// A tombstone by the time of its delete.
pub(crate) fn tombstone_age(wall_ms: u64, bucket: Incarnation, key: &str) -> Vec<u8> {
    join(&[
        &wall_ms.to_be_bytes(),
        &bucket.0.to_be_bytes(),
        key.as_bytes(),
    ])
}

/// A blob; also the prefix of its segments.
pub(crate) fn blob(blob: BlobId) -> Vec<u8> {
    blob.0.to_be_bytes().to_vec()
}

/// All chunks of one segment.
pub(crate) fn segment(blob: BlobId, part: PartNumber) -> Vec<u8> {
    join(&[&blob.0.to_be_bytes(), &part.get().to_be_bytes()])
}

/// One chunk of a segment.
pub(crate) fn segment_chunk(blob: BlobId, part: PartNumber, chunk: u32) -> Vec<u8> {
    join(&[&segment(blob, part), &chunk.to_be_bytes()])
}

/// All copies on a backend.
pub(crate) fn copies_on(backend: &BackendId) -> Vec<u8> {
    join(&[backend.as_str().as_bytes(), &[0]])
}

/// One copy on a backend.
pub(crate) fn copy(backend: &BackendId, blob: BlobId, attempt: u32) -> Vec<u8> {
    join(&[
        &copies_on(backend),
        &blob.0.to_be_bytes(),
        &attempt.to_be_bytes(),
    ])
}

/// Reads the end of what [`copy`] wrote.
pub(crate) fn parse_copy(tail: &[u8]) -> Option<(BlobId, u32)> {
    let (blob, attempt) = tail.split_first_chunk::<16>()?;
    let attempt = u32::from_be_bytes(attempt.try_into().ok()?);
    Some((BlobId(u128::from_be_bytes(*blob)), attempt))
}

/// An intent.
pub(crate) fn intent(intent: IntentId) -> Vec<u8> {
    intent.0.to_be_bytes().to_vec()
}

/// The kind of work of an outbox entry stands in the low bits of its id, so that an entry is
/// found by its id alone although the table is ordered by kind first.
const KIND_BITS: u32 = 3;

/// The id of the `count`th entry, with `kind` inside.
pub(crate) fn outbox_id(count: u64, kind: u8) -> OutboxId {
    OutboxId((count << KIND_BITS) | u64::from(kind))
}

/// The kind inside an id.
pub(crate) fn outbox_kind(id: OutboxId) -> u8 {
    (id.0 & ((1 << KIND_BITS) - 1)) as u8
}

/// An outbox entry.
pub(crate) fn outbox(id: OutboxId) -> Vec<u8> {
    join(&[&[outbox_kind(id)], &id.0.to_be_bytes()])
}

/// An outbox entry by its time.
pub(crate) fn outbox_due(not_before: Timestamp, id: OutboxId) -> Vec<u8> {
    join(&[&not_before.as_millis().to_be_bytes(), &id.0.to_be_bytes()])
}

/// Reads what [`outbox_due`] wrote.
pub(crate) fn parse_outbox_due(key: &[u8]) -> Option<(Timestamp, OutboxId)> {
    let (time, id) = split_time(key)?;
    Some((time, OutboxId(u64::from_be_bytes(id.try_into().ok()?))))
}

/// An upload; also the prefix of its parts.
pub(crate) fn upload(upload: UploadId) -> Vec<u8> {
    upload.0.to_be_bytes().to_vec()
}

/// An upload by its key.
pub(crate) fn upload_key(bucket: Incarnation, key: &str, upload: UploadId) -> Vec<u8> {
    let of_key = uploads_of(&object(bucket, key));
    join(&[&of_key, &upload.0.to_be_bytes()])
}

/// What all [`upload_key`]s of the key of an [`object`] begin with, and no others: keys have no
/// NUL.
pub(crate) fn uploads_of(object: &[u8]) -> Vec<u8> {
    join(&[object, &[0]])
}

/// Reads what follows the bucket in [`upload_key`].
pub(crate) fn parse_upload_key(tail: &[u8]) -> Option<(&str, UploadId)> {
    let (rest, id) = tail.split_last_chunk::<16>()?;
    let key = std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?;
    Some((key, UploadId(u128::from_be_bytes(*id))))
}

/// An upload by a time.
pub(crate) fn upload_age(time: Timestamp, upload: UploadId) -> Vec<u8> {
    join(&[&time.as_millis().to_be_bytes(), &upload.0.to_be_bytes()])
}

/// Reads what [`upload_age`] wrote.
pub(crate) fn parse_upload_age(key: &[u8]) -> Option<(Timestamp, UploadId)> {
    let (time, id) = split_time(key)?;
    Some((time, UploadId(u128::from_be_bytes(id.try_into().ok()?))))
}

/// A part.
pub(crate) fn part(upload: UploadId, number: u16) -> Vec<u8> {
    join(&[&upload.0.to_be_bytes(), &number.to_be_bytes()])
}

/// A backend.
pub(crate) fn backend(backend: &BackendId) -> Vec<u8> {
    backend.as_str().as_bytes().to_vec()
}

/// The row of `meta` on the verification of a backend's copies. No other row of `meta` has a NUL
/// in its key. (A binary that does not know such rows passes over them: the format is the same.)
pub(crate) fn scrub(backend: &BackendId) -> Vec<u8> {
    join(&[b"scrub", &[0], backend.as_str().as_bytes()])
}

/// The time that leads a key, and the rest.
pub(crate) fn split_time(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, rest) = key.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(u64::from_be_bytes(*time)), rest))
}

/// The least key that is greater than every key that starts with `prefix`; `None` when there
/// is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The least key that is greater than `key`.
pub(crate) fn just_after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn join(fields: &[&[u8]]) -> Vec<u8> {
    fields.concat()
}

#[cfg(test)]
mod tests;
