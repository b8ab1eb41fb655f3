//! The laws between tables, checked over a whole snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};

use weir_types::codec::Record;
use weir_types::id::{BackendId, BlobId, UploadId};
use weir_types::index::IndexError;
use weir_types::record::{
    BlobRecord, BlobState, BucketRecord, Intent, LedgerRecord, OutboxEntry, PartRecord, Tombstone,
    UploadRecord, UploadState, VersionRecord,
};

use crate::keys;
use crate::log::{self, LogEntry};
use crate::query;
use crate::rows::{self, CompletedRecord, Counters};
use crate::store::{Reader, Step, Table};

/// Problems named one by one; further ones are only counted.
const PROBLEMS_NAMED_MAX: usize = 100;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rows read.
    pub rows: u64,
    /// How many laws are broken where.
    pub problems_count: u64,
    /// The first hundred, each in a sentence.
    pub problems: Vec<String>,
}

impl Audit {
    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if holds {
            return;
        }
        self.problems_count += 1;
        if self.problems.len() < PROBLEMS_NAMED_MAX {
            self.problems.push(problem());
        }
    }
}

/// Reads every row and checks the laws.
pub(crate) fn audit(reader: &dyn Reader) -> Result<Audit, IndexError> {
    let mut audit = Audit::default();
    let refs = versions(reader, &mut audit)?;
    let ledger = blobs(reader, &mut audit, refs)?;
    accounts(reader, &mut audit, ledger)?;
    outbox(reader, &mut audit)?;
    let upload_blobs = uploads(reader, &mut audit)?;
    segments(reader, &mut audit, &upload_blobs)?;
    remembered(reader, &mut audit)?;
    log(reader, &mut audit)?;
    Ok(audit)
}

/// Entries of the log follow one another.
fn log(reader: &dyn Reader, audit: &mut Audit) -> Result<(), IndexError> {
    let mut before: Option<LogEntry> = None;
    reader.scan(Table::Log, &[], &mut |key, value| {
        audit.rows += 1;
        let entry = log::entry_of(key, value)?;
        let follows = before.as_ref().is_none_or(|before| {
            entry.number == before.number + 1 && entry.before == before.hash()
        });
        audit.expect(follows, || {
            format!("log entry {} does not follow the one before", entry.number)
        });
        before = Some(entry);
        Ok(Step::Next)
    })
}

/// Every version lies in a bucket and has no tombstone; gives the number of versions per blob.
fn versions(reader: &dyn Reader, audit: &mut Audit) -> Result<HashMap<BlobId, u32>, IndexError> {
    let mut buckets = HashSet::new();
    each::<BucketRecord>(reader, audit, Table::Buckets, |audit, key, bucket| {
        audit.expect(key == bucket.name.as_str().as_bytes(), || {
            format!("bucket {} stands under another name", bucket.name)
        });
        buckets.insert(bucket.incarnation.0);
        Ok(())
    })?;
    let mut refs = HashMap::new();
    for table in [Table::Current, Table::History] {
        each::<VersionRecord>(reader, audit, table, |audit, key, version| {
            let bucket = key
                .first_chunk::<8>()
                .map(|bytes| u64::from_be_bytes(*bytes));
            audit.expect(
                bucket.is_some_and(|bucket| buckets.contains(&bucket)),
                || format!("version {} lies in no bucket", version.version_id),
            );
            let buried = table == Table::Current && reader.get(Table::Tombstones, key)?.is_some();
            audit.expect(!buried, || {
                format!("version {} has a tombstone", version.version_id)
            });
            *refs.entry(version.blob).or_insert(0) += 1;
            Ok(())
        })?;
    }
    Ok(refs)
}

/// `refs` is the number of versions, a blob lives while it has any, and copies and the table
/// by backend name each other; gives the ledger that follows.
fn blobs(
    reader: &dyn Reader,
    audit: &mut Audit,
    mut refs: HashMap<BlobId, u32>,
) -> Result<BTreeMap<BackendId, LedgerRecord>, IndexError> {
    let mut ledger: BTreeMap<BackendId, LedgerRecord> = BTreeMap::new();
    let mut copies = 0_u64;
    each::<BlobRecord>(reader, audit, Table::Blobs, |audit, _, blob| {
        let id = blob.blob;
        let versions = refs.remove(&id).unwrap_or(0);
        audit.expect(blob.refs == versions, || {
            format!(
                "blob {id} counts {} versions, {versions} point to it",
                blob.refs
            )
        });
        let live = blob.state == BlobState::Live;
        audit.expect(live == (versions > 0), || {
            format!("blob {id} is {:?} with {versions} versions", blob.state)
        });
        audit.expect(!live || !blob.copies.is_empty(), || {
            format!("blob {id} has no copy")
        });
        for copy in &blob.copies {
            copies += 1;
            let row = keys::copy(&copy.backend, id, copy.attempt);
            audit.expect(reader.get(Table::Copies, &row)?.is_some(), || {
                format!("a copy of {id} is not in the table of {}", copy.backend)
            });
            audit.expect(copy.attempt < blob.next_attempt, || {
                format!("attempt {} at blob {id} may be used again", copy.attempt)
            });
            let account = ledger.entry(copy.backend.clone()).or_default();
            account.used_bytes = account.used_bytes.saturating_add(blob.size);
            account.used_objects += 1;
        }
        Ok(())
    })?;
    for (blob, versions) in refs {
        audit.expect(false, || {
            format!("{versions} versions point to blob {blob}, which is gone")
        });
    }
    let rows = count(reader, audit, Table::Copies)?;
    audit.expect(rows == copies, || {
        format!("{copies} copies have {rows} rows by backend")
    });
    Ok(ledger)
}

/// The ledger is the sum over copies and intents.
fn accounts(
    reader: &dyn Reader,
    audit: &mut Audit,
    mut sums: BTreeMap<BackendId, LedgerRecord>,
) -> Result<(), IndexError> {
    each::<Intent>(reader, audit, Table::Intents, |_, _, intent| {
        let account = sums.entry(intent.backend.clone()).or_default();
        account.reserved_bytes = account.reserved_bytes.saturating_add(intent.reserved_bytes);
        Ok(())
    })?;
    sums.retain(|_, account| *account != LedgerRecord::default());
    let ledger: BTreeMap<_, _> = query::ledger(reader)?.into_iter().collect();
    audit.rows += ledger.len() as u64;
    audit.expect(ledger == sums, || {
        format!("the ledger is {ledger:?}, its sums are {sums:?}")
    });
    Ok(())
}

/// Each entry stands once by id and once by time, and the depths are right.
fn outbox(reader: &dyn Reader, audit: &mut Audit) -> Result<(), IndexError> {
    let mut depth = [0; rows::WORK_KINDS];
    each::<OutboxEntry>(reader, audit, Table::Outbox, |audit, key, entry| {
        let id = entry.id;
        let kind = rows::work_kind(&entry.work);
        depth[usize::from(kind)] += 1;
        audit.expect(
            keys::outbox(id) == key && keys::outbox_kind(id) == kind,
            || format!("outbox entry {id} stands under another id"),
        );
        let due = keys::outbox_due(entry.not_before, id);
        audit.expect(reader.get(Table::OutboxDue, &due)?.is_some(), || {
            format!("outbox entry {id} never comes due")
        });
        Ok(())
    })?;
    let entries: u64 = depth.iter().sum();
    let due = count(reader, audit, Table::OutboxDue)?;
    audit.expect(due == entries, || {
        format!("{entries} outbox entries come due {due} times")
    });
    let counters: Counters = rows::read(reader, Table::Meta, rows::COUNTERS)?.unwrap_or_default();
    audit.expect(counters.depth == depth, || {
        format!("the outbox counts {:?} and holds {depth:?}", counters.depth)
    });
    Ok(())
}

/// Open uploads stand by key and by age, parts belong to uploads; gives the uploads' blobs.
fn uploads(reader: &dyn Reader, audit: &mut Audit) -> Result<HashSet<BlobId>, IndexError> {
    let mut known: HashSet<UploadId> = HashSet::new();
    let mut blobs = HashSet::new();
    let (mut open, mut completing) = (0, 0);
    each::<UploadRecord>(reader, audit, Table::Uploads, |audit, _, upload| {
        let id = upload.upload_id;
        known.insert(id);
        blobs.insert(upload.blob);
        let by_key = keys::upload_key(upload.incarnation, upload.key.as_str(), id);
        if matches!(upload.state, UploadState::Completing { .. }) {
            completing += 1;
            let listed = reader.get(Table::Completing, &by_key)?.is_some();
            audit.expect(listed, || {
                format!("upload {id} is completing and not listed")
            });
        }
        if upload.state == UploadState::Open {
            open += 1;
            let by_age = keys::upload_age(upload.created_at, id);
            let listed = reader.get(Table::UploadKeys, &by_key)?.is_some()
                && reader.get(Table::UploadAges, &by_age)?.is_some();
            audit.expect(listed, || format!("upload {id} is open and not listed"));
        }
        Ok(())
    })?;
    for (table, state, uploads) in [
        (Table::UploadKeys, "open", open),
        (Table::UploadAges, "open", open),
        (Table::Completing, "completing", completing),
    ] {
        let listed = count(reader, audit, table)?;
        audit.expect(listed == uploads, || {
            format!(
                "{uploads} uploads are {state}, {listed} are in {}",
                table.name()
            )
        });
    }
    each::<PartRecord>(reader, audit, Table::Parts, |audit, key, part| {
        let upload = key
            .first_chunk::<16>()
            .map(|id| UploadId(u128::from_be_bytes(*id)));
        audit.expect(upload.is_some_and(|upload| known.contains(&upload)), || {
            format!("part {} belongs to no upload", part.number)
        });
        Ok(())
    })?;
    Ok(blobs)
}

/// Segments belong to a blob, or to an upload that will become one.
fn segments(
    reader: &dyn Reader,
    audit: &mut Audit,
    upload_blobs: &HashSet<BlobId>,
) -> Result<(), IndexError> {
    let mut last = None;
    keys_of(reader, audit, Table::Segments, |audit, key| {
        let Some(bytes) = key.first_chunk::<16>() else {
            return Err(rows::damaged("a segment's key cannot be read"));
        };
        let blob = BlobId(u128::from_be_bytes(*bytes));
        if last.replace(blob) != Some(blob) {
            let owned = upload_blobs.contains(&blob) || reader.get(Table::Blobs, bytes)?.is_some();
            audit.expect(owned, || format!("segments of {blob} belong to nothing"));
        }
        Ok(())
    })
}

/// What is remembered for a while can be forgotten by age.
fn remembered(reader: &dyn Reader, audit: &mut Audit) -> Result<(), IndexError> {
    let mut tombstones = 0;
    each::<Tombstone>(reader, audit, Table::Tombstones, |audit, key, tombstone| {
        tombstones += 1;
        let age = [&tombstone.hlc.wall_ms.to_be_bytes()[..], key].concat();
        audit.expect(reader.get(Table::TombstoneAges, &age)?.is_some(), || {
            "a tombstone is never forgotten".into()
        });
        Ok(())
    })?;
    let mut completed = 0;
    each::<CompletedRecord>(reader, audit, Table::Completed, |audit, key, record| {
        completed += 1;
        let age = [&record.completed_at.as_millis().to_be_bytes()[..], key].concat();
        audit.expect(reader.get(Table::CompletedAges, &age)?.is_some(), || {
            "a completed upload is never forgotten".into()
        });
        Ok(())
    })?;
    for (table, expected) in [
        (Table::TombstoneAges, tombstones),
        (Table::CompletedAges, completed),
    ] {
        let ages = count(reader, audit, table)?;
        audit.expect(ages == expected, || {
            format!("{expected} records have {ages} rows in {}", table.name())
        });
    }
    Ok(())
}

fn each<T: Record>(
    reader: &dyn Reader,
    audit: &mut Audit,
    table: Table,
    mut visit: impl FnMut(&mut Audit, &[u8], T) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    reader.scan(table, &[], &mut |key, value| {
        audit.rows += 1;
        visit(audit, key, rows::decode(value)?)?;
        Ok(Step::Next)
    })
}

fn keys_of(
    reader: &dyn Reader,
    audit: &mut Audit,
    table: Table,
    mut visit: impl FnMut(&mut Audit, &[u8]) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    reader.scan(table, &[], &mut |key, _| {
        audit.rows += 1;
        visit(audit, key)?;
        Ok(Step::Next)
    })
}

fn count(reader: &dyn Reader, audit: &mut Audit, table: Table) -> Result<u64, IndexError> {
    let mut rows = 0;
    keys_of(reader, audit, table, |_, _| {
        rows += 1;
        Ok(())
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
