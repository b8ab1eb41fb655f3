//! Making versions current, and removing them.

use weir_types::clock::Timestamp;
use weir_types::etag::ETag;
use weir_types::id::{BucketName, Incarnation, IntentId, ObjectKey, PartNumber, Seq};
use weir_types::index::{
    Applied, CommitContent, CommitVersion, IndexError, Refusal, WriteConditions,
};
use weir_types::record::{BlobOrigin, BlobRecord, BlobState, Tombstone, VersionRecord};

use super::{bucket, copy, intent, part, refuse, upload};
use crate::keys;
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn commit(txn: &mut Txn<'_>, commit: CommitVersion) -> Result<Applied, IndexError> {
    let CommitVersion {
        bucket,
        incarnation,
        key,
        conditions,
        draft,
        content,
        now,
        clean_at,
    } = commit;
    bucket::require(txn, &bucket, incarnation)?;
    if let CommitContent::Upload { upload, .. } = &content {
        // A repeated Complete must hear that the upload is finished, not that its own
        // version stands in the way of its condition.
        upload::require_completing(txn, *upload, incarnation, &key)?;
    }
    let before = current(txn, incarnation, &key)?;
    check(&conditions, before.as_ref())?;
    if !matches!(content, CommitContent::Upload { .. }) {
        require_settled(txn, incarnation, &key, &conditions)?;
    }

    let mut accepted = None;
    let mut version = match content {
        CommitContent::New {
            blob,
            crcs,
            intents,
        } => {
            let id = blob.blob;
            let origin = BlobOrigin {
                bucket,
                incarnation,
                key: key.clone(),
            };
            create_blob(txn, *blob, origin, &crcs, &intents, now)?;
            VersionRecord { blob: id, ..draft }
        }
        CommitContent::Shared { blob } => {
            // Before the version it replaces lets go: copying a key onto itself must not
            // kill the blob.
            copy::share(txn, blob)?;
            VersionRecord { blob, ..draft }
        }
        CommitContent::Upload { upload, copies } => {
            let version = upload::become_blob(txn, upload, copies, now)?;
            accepted = Some((upload, version.seq));
            version
        }
    };
    // A Complete takes its place among the writes when it is accepted.
    let place = accepted.map_or(Seq::default(), |(_, seq)| seq);
    if place == Seq::default() {
        version.seq = txn.next_seq();
    }
    version.hlc = txn.next_hlc(now);
    version.site = txn.site().clone();
    if let Some((upload, seq)) = accepted {
        upload::remember(txn, upload, incarnation, &key, &version, now);
        // What was acknowledged since then stays, however late the upload is finished.
        if is_changed_since(txn, incarnation, &key, seq, before.as_ref())? {
            copy::unshare(txn, version.blob, now, clean_at)?;
            return Ok(Applied::Committed {
                version: Box::new(version),
                superseded: false,
            });
        }
    }

    txn.put(
        Table::Current,
        keys::object(incarnation, key.as_str()),
        &version,
    );
    forget_tombstone(txn, incarnation, key.as_str())?;
    if let Some(before) = &before {
        copy::unshare(txn, before.blob, now, clean_at)?;
    }
    Ok(Applied::Committed {
        version: Box::new(version),
        superseded: before.is_some(),
    })
}

pub(super) fn delete_current(
    txn: &mut Txn<'_>,
    name: &BucketName,
    key: &ObjectKey,
    if_match: Option<ETag>,
    now: Timestamp,
    clean_at: Timestamp,
) -> Result<Applied, IndexError> {
    let Some(bucket) = bucket::find(txn, name)? else {
        return refuse(Refusal::NoSuchBucket);
    };
    let before = current(txn, bucket.incarnation, key)?;
    let conditions = WriteConditions {
        if_match,
        if_none_match: false,
    };
    check(&conditions, before.as_ref())?;
    require_settled(txn, bucket.incarnation, key, &conditions)?;
    let Some(before) = before else {
        // A Complete that was accepted before must not bring the key back after.
        if upload::is_completing(txn, &keys::object(bucket.incarnation, key.as_str()))? {
            bury(txn, bucket.incarnation, key.as_str(), now)?;
        }
        return Ok(Applied::Deleted { seq: None });
    };
    let tombstone = bury(txn, bucket.incarnation, key.as_str(), now)?;
    txn.delete(
        Table::Current,
        keys::object(bucket.incarnation, key.as_str()),
    );
    copy::unshare(txn, before.blob, now, clean_at)?;
    Ok(Applied::Deleted {
        seq: Some(tombstone.seq),
    })
}

/// Checks the conditions of a write against the version that is current.
pub(super) fn check(
    conditions: &WriteConditions,
    current: Option<&VersionRecord>,
) -> Result<(), IndexError> {
    let tag = current.map(|version| &version.etag);
    conditions.check(tag).map_err(IndexError::Refused)
}

/// Refuses a condition on a key for which a Complete was accepted and not committed: that takes
/// its place before this write, and what it leaves there is not known yet.
fn require_settled(
    txn: &Txn<'_>,
    bucket: Incarnation,
    key: &ObjectKey,
    conditions: &WriteConditions,
) -> Result<(), IndexError> {
    let conditional = *conditions != WriteConditions::default();
    if conditional && upload::is_completing(txn, &keys::object(bucket, key.as_str()))? {
        return refuse(Refusal::Conflict);
    }
    Ok(())
}

pub(super) fn current(
    txn: &Txn<'_>,
    bucket: Incarnation,
    key: &ObjectKey,
) -> Result<Option<VersionRecord>, IndexError> {
    txn.read(Table::Current, &keys::object(bucket, key.as_str()))
}

/// Writes a blob that was put whole and takes its intents' place.
fn create_blob(
    txn: &mut Txn<'_>,
    mut blob: BlobRecord,
    origin: BlobOrigin,
    crcs: &[u32],
    intents: &[IntentId],
    now: Timestamp,
) -> Result<(), IndexError> {
    if copy::find(txn, blob.blob)?.is_some() {
        return refuse(Refusal::BlobLive);
    }
    consume_intents(txn, &blob, intents)?;
    let attempts = blob
        .copies
        .iter()
        .map(|copy| copy.attempt.saturating_add(1));
    blob.next_attempt = attempts.fold(blob.next_attempt, u32::max);
    blob.refs = 1;
    blob.origin = Some(origin);
    blob.state = BlobState::Live;
    part::put_crcs(txn, blob.blob, PartNumber::FIRST, crcs);
    copy::create(txn, &blob, now)
}

/// Drops the intents under which a new blob's copies were written. Each copy must be one that
/// an open intent announced.
pub(super) fn consume_intents(
    txn: &mut Txn<'_>,
    blob: &BlobRecord,
    intents: &[IntentId],
) -> Result<(), IndexError> {
    let mut open = Vec::with_capacity(intents.len());
    for id in intents {
        open.push(intent::require_open(txn, *id)?);
    }
    let announced = blob.copies.iter().all(|copy| {
        open.iter()
            .any(|intent| copy::covers(intent, blob.blob, copy))
    });
    if !announced || blob.copies.len() != open.len() {
        return refuse(Refusal::IntentGone);
    }
    intents.iter().try_for_each(|id| intent::drop(txn, *id))
}

/// Whether a key was written or deleted after `seq`; never for an acceptance that an older
/// gateway noted without its place.
fn is_changed_since(
    txn: &Txn<'_>,
    bucket: Incarnation,
    key: &ObjectKey,
    seq: Seq,
    current: Option<&VersionRecord>,
) -> Result<bool, IndexError> {
    if seq == Seq::default() {
        return Ok(false);
    }
    if let Some(current) = current {
        return Ok(current.seq > seq);
    }
    let row = keys::object(bucket, key.as_str());
    let tombstone = txn.read::<Tombstone>(Table::Tombstones, &row)?;
    Ok(tombstone.is_some_and(|tombstone| tombstone.seq > seq))
}

/// Writes a tombstone.
fn bury(
    txn: &mut Txn<'_>,
    bucket: Incarnation,
    key: &str,
    now: Timestamp,
) -> Result<Tombstone, IndexError> {
    forget_tombstone(txn, bucket, key)?;
    let tombstone = Tombstone {
        seq: txn.next_seq(),
        hlc: txn.next_hlc(now),
        site: txn.site().clone(),
    };
    let age = keys::tombstone_age(tombstone.hlc.wall_ms, bucket, key);
    txn.put(Table::Tombstones, keys::object(bucket, key), &tombstone);
    txn.put_key(Table::TombstoneAges, age);
    Ok(tombstone)
}

/// A key that has a current version is not deleted.
fn forget_tombstone(txn: &mut Txn<'_>, bucket: Incarnation, key: &str) -> Result<(), IndexError> {
    let row = keys::object(bucket, key);
    if let Some(tombstone) = txn.read::<Tombstone>(Table::Tombstones, &row)? {
        let age = keys::tombstone_age(tombstone.hlc.wall_ms, bucket, key);
        txn.delete(Table::TombstoneAges, age);
        txn.delete(Table::Tombstones, row);
    }
    Ok(())
}
