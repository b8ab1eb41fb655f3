//! Intents, and what they reserve.

use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, BackendKey, BlobId, IntentId};
use weir_types::index::{IndexError, Refusal};
use weir_types::record::{
    BlobRecord, BlobState, CopyRecord, Intent, IntentPurpose, IntentState, LedgerRecord, Work,
};

use super::{outbox, refuse};
use crate::keys;
use crate::rows;
use crate::store::Table;
use crate::txn::Txn;

/// Writes an intent, new or changed, and keeps the ledger's reservation in step.
pub(super) fn put(txn: &mut Txn<'_>, intent: &Intent) -> Result<(), IndexError> {
    if let Some(before) = find(txn, intent.intent)? {
        release(txn, &before)?;
    }
    ledger(txn, &intent.backend, |ledger| {
        ledger.reserved_bytes = ledger.reserved_bytes.checked_add(intent.reserved_bytes)?;
        Some(())
    })?;
    txn.put(Table::Intents, keys::intent(intent.intent), intent);
    Ok(())
}

pub(super) fn begin_replica(
    txn: &mut Txn<'_>,
    id: IntentId,
    blob: BlobId,
    backend: BackendId,
    now: Timestamp,
) -> Result<Intent, IndexError> {
    let mut record = match txn.read::<BlobRecord>(Table::Blobs, &keys::blob(blob))? {
        Some(record) if record.state == BlobState::Live => record,
        _ => return refuse(Refusal::BlobGone),
    };
    let attempt = record.next_attempt;
    record.next_attempt = attempt
        .checked_add(1)
        .ok_or_else(|| rows::damaged("a blob has no attempts left"))?;
    txn.put(Table::Blobs, keys::blob(blob), &record);
    let intent = Intent {
        intent: id,
        backend,
        key: BackendKey::of(txn.site(), blob, attempt),
        blob,
        attempt,
        purpose: IntentPurpose::Replica,
        created_at: now,
        backend_upload: None,
        reserved_bytes: record.size,
        state: IntentState::Open,
    };
    put(txn, &intent)?;
    Ok(intent)
}

pub(super) fn set_backend_upload(
    txn: &mut Txn<'_>,
    id: IntentId,
    backend_upload: String,
) -> Result<(), IndexError> {
    let mut intent = require_open(txn, id)?;
    intent.backend_upload = Some(backend_upload);
    txn.put(Table::Intents, keys::intent(id), &intent);
    Ok(())
}

/// Gives up an open intent; one that is gone or condemned already is passed over.
pub(super) fn condemn(
    txn: &mut Txn<'_>,
    id: IntentId,
    last_look_at: Timestamp,
    now: Timestamp,
) -> Result<(), IndexError> {
    match find(txn, id)? {
        Some(mut intent) if intent.state == IntentState::Open => {
            intent.state = IntentState::Condemned { last_look_at };
            txn.put(Table::Intents, keys::intent(id), &intent);
            outbox::enqueue(txn, Work::Discard { intent: id }, now, now);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Removes an intent and what it reserves; one that is gone is passed over.
pub(super) fn drop(txn: &mut Txn<'_>, id: IntentId) -> Result<(), IndexError> {
    match find(txn, id)? {
        Some(intent) => {
            release(txn, &intent)?;
            txn.delete(Table::Intents, keys::intent(id));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Turns a copy's bytes, no longer accounted as a copy, into a condemned intent that reserves
/// them until they are known to be gone.
///
/// Its id follows from blob and attempt, which name bytes uniquely, so that a replayed
/// mutation makes the same intent.
pub(super) fn condemn_copy(
    txn: &mut Txn<'_>,
    blob: &BlobRecord,
    copy: &CopyRecord,
    now: Timestamp,
    discard_at: Timestamp,
) -> Result<(), IndexError> {
    let id = discard_id(blob.blob, copy.attempt);
    let intent = Intent {
        intent: id,
        backend: copy.backend.clone(),
        key: copy.key.clone(),
        blob: blob.blob,
        attempt: copy.attempt,
        purpose: IntentPurpose::Replica,
        created_at: now,
        backend_upload: None,
        reserved_bytes: blob.size,
        state: IntentState::Condemned {
            last_look_at: discard_at,
        },
    };
    put(txn, &intent)?;
    outbox::enqueue(txn, Work::Discard { intent: id }, now, discard_at);
    Ok(())
}

fn discard_id(blob: BlobId, attempt: u32) -> IntentId {
    // Multiplying by an odd number permutes the 128-bit numbers: distinct copies get distinct
    // ids, scattered among the random ones.
    const SCATTER: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    let unique = blob.0 ^ (u128::from(attempt) << 96);
    IntentId(unique.wrapping_mul(SCATTER) ^ SCATTER)
}

/// The intent, if it is there and still open.
pub(super) fn require_open(txn: &Txn<'_>, id: IntentId) -> Result<Intent, IndexError> {
    match find(txn, id)? {
        Some(intent) if intent.state == IntentState::Open => Ok(intent),
        _ => refuse(Refusal::IntentGone),
    }
}

pub(super) fn find(txn: &Txn<'_>, id: IntentId) -> Result<Option<Intent>, IndexError> {
    txn.read(Table::Intents, &keys::intent(id))
}

/// Accounts for a copy that was added.
pub(super) fn charge(txn: &mut Txn<'_>, backend: &BackendId, bytes: u64) -> Result<(), IndexError> {
    ledger(txn, backend, |ledger| {
        ledger.used_bytes = ledger.used_bytes.checked_add(bytes)?;
        ledger.used_objects = ledger.used_objects.checked_add(1)?;
        Some(())
    })
}

/// Accounts for a copy that was taken away.
pub(super) fn refund(txn: &mut Txn<'_>, backend: &BackendId, bytes: u64) -> Result<(), IndexError> {
    ledger(txn, backend, |ledger| {
        ledger.used_bytes = ledger.used_bytes.checked_sub(bytes)?;
        ledger.used_objects = ledger.used_objects.checked_sub(1)?;
        Some(())
    })
}

fn release(txn: &mut Txn<'_>, intent: &Intent) -> Result<(), IndexError> {
    ledger(txn, &intent.backend, |ledger| {
        ledger.reserved_bytes = ledger.reserved_bytes.checked_sub(intent.reserved_bytes)?;
        Some(())
    })
}

/// Changes a backend's account. A sum that leaves its range means that the law is broken:
/// nothing is changed then.
fn ledger(
    txn: &mut Txn<'_>,
    backend: &BackendId,
    change: impl FnOnce(&mut LedgerRecord) -> Option<()>,
) -> Result<(), IndexError> {
    let key = keys::backend(backend);
    let mut record: LedgerRecord = txn.read(Table::Ledger, &key)?.unwrap_or_default();
    change(&mut record).ok_or_else(|| rows::damaged("a ledger leaves its range"))?;
    if record == LedgerRecord::default() {
        txn.delete(Table::Ledger, key);
    } else {
        txn.put(Table::Ledger, key, &record);
    }
    Ok(())
}
