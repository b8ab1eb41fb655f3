//! Blobs and their copies.

use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, BlobId, IntentId};
use weir_types::index::{IndexError, Refusal};
use weir_types::record::{BlobRecord, BlobState, CopyRecord, CopyState, Intent, Work};

use super::{intent, outbox, refuse};
use crate::keys;
use crate::rows;
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn add(
    txn: &mut Txn<'_>,
    blob: BlobId,
    copy: CopyRecord,
    id: IntentId,
) -> Result<(), IndexError> {
    let mut record = match find(txn, blob)? {
        Some(record) if record.state == BlobState::Live => record,
        _ => return refuse(Refusal::BlobGone),
    };
    let intent = intent::require_open(txn, id)?;
    if !covers(&intent, blob, &copy) {
        return refuse(Refusal::IntentGone);
    }
    intent::drop(txn, id)?;
    insert_row(txn, &record, &copy)?;
    record.next_attempt = record.next_attempt.max(copy.attempt.saturating_add(1));
    record.copies.push(copy);
    put(txn, &record);
    Ok(())
}

pub(super) fn mark(
    txn: &mut Txn<'_>,
    blob: BlobId,
    backend: &BackendId,
    attempt: u32,
    state: CopyState,
    now: Timestamp,
) -> Result<(), IndexError> {
    let Some(mut record) = find(txn, blob)? else {
        return Ok(());
    };
    let Some(at) = position(&record, backend, attempt) else {
        return Ok(());
    };
    if record.copies[at].state == state {
        return Ok(());
    }
    record.copies[at].state = state;
    put(txn, &record);
    if state == CopyState::Suspect && record.state == BlobState::Live {
        outbox::enqueue(txn, Work::Repair { blob }, now, now);
    }
    Ok(())
}

pub(super) fn remove(
    txn: &mut Txn<'_>,
    blob: BlobId,
    backend: &BackendId,
    attempt: u32,
    now: Timestamp,
    discard_at: Timestamp,
) -> Result<(), IndexError> {
    let mut record = match find(txn, blob)? {
        // A dead blob's copies go with it.
        Some(record) if record.state == BlobState::Live => record,
        _ => return Ok(()),
    };
    let Some(at) = position(&record, backend, attempt) else {
        return Ok(());
    };
    let copy = record.copies.remove(at);
    if !record
        .copies
        .iter()
        .any(|other| other.state == CopyState::Good)
    {
        return refuse(Refusal::LastCopy);
    }
    put(txn, &record);
    take_away(txn, &record, &copy, now, discard_at)
}

pub(super) fn retire(txn: &mut Txn<'_>, blob: BlobId, now: Timestamp) -> Result<(), IndexError> {
    let Some(record) = find(txn, blob)? else {
        return Ok(());
    };
    if record.state == BlobState::Live {
        return refuse(Refusal::BlobLive);
    }
    for copy in &record.copies {
        take_away(txn, &record, copy, now, now)?;
    }
    txn.delete_under(Table::Segments, &keys::blob(blob))?;
    txn.delete(Table::Blobs, keys::blob(blob));
    Ok(())
}

/// Whether the bytes of `copy` are those that `intent` announced.
pub(super) fn covers(intent: &Intent, blob: BlobId, copy: &CopyRecord) -> bool {
    intent.blob == blob
        && intent.backend == copy.backend
        && intent.key == copy.key
        && intent.attempt == copy.attempt
}

/// Writes a new blob with one version pointing to it, its copies in the table by backend and
/// in the ledger, and enqueues the copies that it still lacks.
pub(super) fn create(
    txn: &mut Txn<'_>,
    blob: &BlobRecord,
    now: Timestamp,
) -> Result<(), IndexError> {
    for copy in &blob.copies {
        insert_row(txn, blob, copy)?;
    }
    put(txn, blob);
    if blob.copies.len() < usize::from(blob.placement.copies_wanted) {
        let work = Work::Replicate {
            blob: blob.blob,
            bytes: blob.size,
        };
        outbox::enqueue(txn, work, now, now);
    }
    Ok(())
}

/// One more version points to a live blob.
pub(super) fn share(txn: &mut Txn<'_>, blob: BlobId) -> Result<(), IndexError> {
    let mut record = match find(txn, blob)? {
        Some(record) if record.state == BlobState::Live => record,
        _ => return refuse(Refusal::BlobGone),
    };
    record.refs = record
        .refs
        .checked_add(1)
        .ok_or_else(|| rows::damaged("a blob has no refs left"))?;
    put(txn, &record);
    Ok(())
}

/// One version less points to a blob; the last one leaves it dead, to be cleaned up from
/// `clean_at` on.
pub(super) fn unshare(
    txn: &mut Txn<'_>,
    blob: BlobId,
    now: Timestamp,
    clean_at: Timestamp,
) -> Result<(), IndexError> {
    let mut record = rows::require(find(txn, blob)?, "a version's blob is missing")?;
    record.refs = record
        .refs
        .checked_sub(1)
        .ok_or_else(|| rows::damaged("a blob's refs fall below 0"))?;
    if record.refs == 0 {
        record.state = BlobState::Dead(now);
        outbox::enqueue(txn, Work::Clean { blob }, now, clean_at);
    }
    put(txn, &record);
    Ok(())
}

pub(super) fn find(txn: &Txn<'_>, blob: BlobId) -> Result<Option<BlobRecord>, IndexError> {
    txn.read(Table::Blobs, &keys::blob(blob))
}

fn put(txn: &mut Txn<'_>, record: &BlobRecord) {
    txn.put(Table::Blobs, keys::blob(record.blob), record);
}

fn position(record: &BlobRecord, backend: &BackendId, attempt: u32) -> Option<usize> {
    record
        .copies
        .iter()
        .position(|copy| copy.backend == *backend && copy.attempt == attempt)
}

fn insert_row(txn: &mut Txn<'_>, blob: &BlobRecord, copy: &CopyRecord) -> Result<(), IndexError> {
    txn.put_key(
        Table::Copies,
        keys::copy(&copy.backend, blob.blob, copy.attempt),
    );
    intent::charge(txn, &copy.backend, blob.size)
}

fn take_away(
    txn: &mut Txn<'_>,
    blob: &BlobRecord,
    copy: &CopyRecord,
    now: Timestamp,
    discard_at: Timestamp,
) -> Result<(), IndexError> {
    txn.delete(
        Table::Copies,
        keys::copy(&copy.backend, blob.blob, copy.attempt),
    );
    intent::refund(txn, &copy.backend, blob.size)?;
    intent::condemn_copy(txn, blob, copy, now, discard_at)
}
