//! Parts of uploads, and the CRCs of segments.

use weir_types::id::{BlobId, PartNumber, UploadId};
use weir_types::index::IndexError;
use weir_types::record::{PartRecord, SegmentRecord, UploadRecord};

use super::{intent, upload};
use crate::keys;
use crate::store::Table;
use crate::txn::Txn;

pub(super) fn put(
    txn: &mut Txn<'_>,
    id: UploadId,
    part: &PartRecord,
    crcs: &[u32],
) -> Result<(), IndexError> {
    let upload = upload::require_open(txn, id)?;
    let row = keys::part(id, part.number.get());
    let before = txn
        .read::<PartRecord>(Table::Parts, &row)?
        .map_or(0, |part| part.size);
    settle(txn, &upload, before, part.size)?;
    txn.delete_under(Table::Segments, &keys::segment(upload.blob, part.number))?;
    put_crcs(txn, upload.blob, part.number, crcs);
    txn.put(Table::Parts, row, part);
    Ok(())
}

pub(super) fn drop(txn: &mut Txn<'_>, id: UploadId, number: PartNumber) -> Result<(), IndexError> {
    let upload = upload::require_open(txn, id)?;
    let row = keys::part(id, number.get());
    let Some(before) = txn.read::<PartRecord>(Table::Parts, &row)? else {
        return Ok(());
    };
    settle(txn, &upload, before.size, 0)?;
    txn.delete_under(Table::Segments, &keys::segment(upload.blob, number))?;
    txn.delete(Table::Parts, row);
    Ok(())
}

/// Writes the CRCs of one segment, so many per row that a row stays small.
pub(super) fn put_crcs(txn: &mut Txn<'_>, blob: BlobId, part: PartNumber, crcs: &[u32]) {
    for (chunk, crcs) in (0..).zip(crcs.chunks(SegmentRecord::BLOCKS_MAX)) {
        let row = SegmentRecord {
            crcs: crcs.to_vec(),
        };
        txn.put(
            Table::Segments,
            keys::segment_chunk(blob, part, chunk),
            &row,
        );
    }
}

/// The legs reserve what their parts take: a part of `before` bytes becomes one of `after`.
/// An intent that was given up meanwhile reserves what it did.
fn settle(
    txn: &mut Txn<'_>,
    upload: &UploadRecord,
    before: u64,
    after: u64,
) -> Result<(), IndexError> {
    for leg in &upload.legs {
        if let Some(mut intent) = intent::find(txn, leg.intent)? {
            let others = intent.reserved_bytes.saturating_sub(before);
            intent.reserved_bytes = others.saturating_add(after);
            intent::put(txn, &intent)?;
        }
    }
    Ok(())
}
