use std::fmt::Debug;

use weir_types::codec::DecodeError;
use weir_types::id::{BackendId, BlobId, Incarnation, Seq};
use weir_types::index::{Index, Mutation};
use weir_types::record::{
    BlobRecord, BucketRecord, FullPass, Intent, LedgerRecord, OutboxEntry, PartRecord, ScrubCounts,
    ScrubPass, ScrubRecord, SegmentRecord, Tombstone, UploadRecord,
};

use super::*;
use crate::MemoryIndex;
use crate::testing::*;

/// The laws of [`Record`]: what was written is read again, what is newer is refused, what is
/// cut short is damaged.
fn check<T: Record + PartialEq + Debug>(record: &T) {
    let bytes = record.encode();
    assert_eq!(T::decode(&bytes).as_ref(), Ok(record));

    let mut newer = bytes.clone();
    newer[0] = T::VERSION + 1;
    let refused = DecodeError::TooNew {
        record: T::NAME,
        found: T::VERSION + 1,
        newest: T::VERSION,
    };
    assert_eq!(T::decode(&newer), Err(refused));

    for cut in 0..bytes.len() {
        let cut = T::decode(&bytes[..cut]);
        assert!(matches!(cut, Err(DecodeError::Damaged { .. })), "{cut:?}");
    }
}

/// Decodes and checks every row of `table`; there must be some.
fn check_rows<T: Record + PartialEq + Debug>(index: &MemoryIndex, table: Table) {
    let rows: Vec<T> = index
        .read(|reader| page(reader, table, &[], None, usize::MAX))
        .expect("memory does not fail");
    assert!(!rows.is_empty(), "{table:?} holds nothing to check");
    rows.iter().for_each(check);
}

#[test]
fn every_kind_of_record_keeps_the_laws_of_its_codec() {
    let index = MemoryIndex::new(site());
    let busy = [
        vec![create_bucket()],
        put("a", 1),
        put("b", 2),
        vec![delete("b"), begin(3, 7)],
        create_upload("c", 4),
        vec![put_part(4, 1, 9, 1, vec![1, u32::MAX])],
        create_upload("d", 5),
        vec![put_part(5, 1, 9, 1, vec![1]), begin_complete(5, &[(1, 1)])],
        vec![Mutation::CommitVersion(Box::new(commit_upload("d", 5)))],
        create_upload("e", 6),
        vec![put_part(6, 1, 9, 1, vec![1]), begin_complete(6, &[(1, 1)])],
    ];
    for mutation in busy.into_iter().flatten() {
        must(&index, mutation);
    }
    check_rows::<BucketRecord>(&index, Table::Buckets);
    check_rows::<VersionRecord>(&index, Table::Current);
    check_rows::<Tombstone>(&index, Table::Tombstones);
    check_rows::<BlobRecord>(&index, Table::Blobs);
    check_rows::<SegmentRecord>(&index, Table::Segments);
    check_rows::<Intent>(&index, Table::Intents);
    check_rows::<OutboxEntry>(&index, Table::Outbox);
    check_rows::<UploadRecord>(&index, Table::Uploads);
    check_rows::<PartRecord>(&index, Table::Parts);
    check_rows::<CompletedRecord>(&index, Table::Completed);
    check_rows::<LedgerRecord>(&index, Table::Ledger);
    check(&Identity {
        site: site(),
        epoch: "e".into(),
    });
    check(&Counters {
        seq: 1,
        hlc: Hlc::default(),
        outbox: 300,
        depth: [1, 2, 3, 4, 5, 6],
    });
}

#[test]
fn a_page_ends_where_its_prefix_does() {
    let index = MemoryIndex::new(site());
    let rows: Vec<VersionRecord> = index
        .read(|reader| {
            page(
                reader,
                Table::Current,
                &keys::incarnation(Incarnation(5)),
                None,
                9,
            )
        })
        .expect("memory does not fail");
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<Seq>>(), []);
}

#[test]
fn the_verification_of_each_backend_is_noted_for_itself() {
    let counts = ScrubCounts {
        copies: 4,
        bytes: 70,
        suspects: 1,
        skipped: 2,
    };
    let at = Timestamp::from_millis;
    let scrub = |blob| ScrubRecord {
        pass: Some(ScrubPass {
            began_at: at(5),
            cursor: Some((BlobId(blob), 3)),
            walked: true,
            again: vec![(BlobId(1), 1), (BlobId(2), 9)],
            counts,
        }),
        began_at: Some(at(5)),
        last_full: Some(FullPass {
            began_at: at(1),
            ended_at: at(2),
            counts,
        }),
        held: true,
    };
    check(&scrub(7));
    let index = MemoryIndex::new(site());
    let [one, other] = ["disk-a", "disk-ab"].map(|id| BackendId::parse(id).expect("a valid id"));
    assert_eq!(wait(index.scrub(&one)), Ok(None));
    for (backend, blob) in [(&one, 7), (&other, 8), (&one, 9)] {
        let note = Mutation::NoteScrub {
            backend: backend.clone(),
            scrub: Box::new(scrub(blob)),
        };
        must(&index, note);
    }
    assert_eq!(wait(index.scrub(&one)), Ok(Some(scrub(9))));
    assert_eq!(wait(index.scrub(&other)), Ok(Some(scrub(8))));
}
