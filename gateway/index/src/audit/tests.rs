use weir_types::index::Mutation;

use super::*;
use crate::store::{Changes, MemoryStore, Store};
use crate::testing::{self, *};
use crate::{CommitMode, IndexOptions, MemoryIndex};

/// An index with something in every table but the history.
fn busy() -> (MemoryStore, MemoryIndex) {
    let store = MemoryStore::default();
    let options = IndexOptions {
        commit: CommitMode::Inline,
        ..IndexOptions::default()
    };
    let index = MemoryIndex::over(store.clone(), site(), options).expect("memory opens");
    let mutations = [
        vec![create_bucket()],
        put("a", 1),
        put("b", 2),
        vec![delete("b"), begin(3, 7)],
        create_upload("c", 4),
        vec![put_part(4, 1, 9, 1, vec![1])],
        create_upload("d", 5),
        vec![put_part(5, 1, 9, 1, vec![1]), begin_complete(5, &[(1, 1)])],
        vec![Mutation::CommitVersion(Box::new(commit_upload("d", 5)))],
        create_upload("e", 6),
        vec![put_part(6, 1, 9, 1, vec![1]), begin_complete(6, &[(1, 1)])],
    ];
    for mutation in mutations.into_iter().flatten() {
        must(&index, mutation);
    }
    testing::audit(&index, "before anything is broken");
    (store, index)
}

/// Removing the first row of `table` breaks a law, and the audit says so.
fn check_missing(table: Table, problem: &str) {
    let (store, index) = busy();
    let row = dump(&index).into_iter().find(|(of, _, _)| *of == table);
    let (_, key, _) = row.unwrap_or_else(|| panic!("{table:?} is empty"));
    let mut changes = Changes::default();
    changes.set(table, key, None);
    store.commit(&changes).expect("memory does not fail");
    check_told(&index, table, problem);
}

fn check_told(index: &MemoryIndex, table: Table, problem: &str) {
    let found = index.audit().expect("memory does not fail");
    let told = found.problems.iter().any(|found| found.contains(problem));
    assert!(told, "{table:?}: {:?}", found.problems);
    assert_eq!(found.problems_count, found.problems.len() as u64);
}

#[test]
fn a_missing_row_is_noticed_in_every_table() {
    for (table, problem) in [
        (Table::Buckets, "lies in no bucket"),
        (Table::Current, "counts 1 versions, 0 point to it"),
        (Table::Tombstones, "0 records have 1 rows in tombstone ages"),
        (Table::TombstoneAges, "a tombstone is never forgotten"),
        (Table::Blobs, "point to blob"),
        (Table::Copies, "is not in the table of b1"),
        (Table::Intents, "its sums are"),
        (Table::Outbox, "the outbox counts"),
        (Table::OutboxDue, "never comes due"),
        (Table::Uploads, "belongs to no upload"),
        (Table::UploadKeys, "is open and not listed"),
        (Table::UploadAges, "is open and not listed"),
        (Table::Completing, "is completing and not listed"),
        (Table::Completed, "0 records have 1 rows in completed ages"),
        (
            Table::CompletedAges,
            "a completed upload is never forgotten",
        ),
        (Table::Ledger, "its sums are"),
    ] {
        check_missing(table, problem);
    }
}

#[test]
fn rows_that_nothing_owns_are_noticed() {
    let stray = blob_id(77);
    let tombstone = {
        let (_, index) = busy();
        let row = dump(&index)
            .into_iter()
            .find(|(table, _, _)| *table == Table::Tombstones);
        row.expect("there is one").2
    };
    for (table, key, value, problem) in [
        (
            Table::Segments,
            keys::segment(stray, part_number(1)),
            vec![],
            "belong to nothing",
        ),
        (
            Table::Copies,
            keys::copy(&backend(1), stray, 0),
            vec![],
            "rows by backend",
        ),
        (
            Table::Tombstones,
            keys::object(LIFE, "a"),
            tombstone,
            "has a tombstone",
        ),
    ] {
        let (store, index) = busy();
        let mut changes = Changes::default();
        changes.set(table, key, Some(value));
        store.commit(&changes).expect("memory does not fail");
        check_told(&index, table, problem);
    }
}

#[test]
fn a_damaged_row_is_an_error_that_names_its_type() {
    let (store, index) = busy();
    let mut changes = Changes::default();
    changes.set(Table::Blobs, keys::blob(blob_id(1)), Some(vec![1, 2]));
    store.commit(&changes).expect("memory does not fail");
    let Err(IndexError::Storage(told)) = index.audit() else {
        panic!("it is damaged")
    };
    assert!(told.contains("record of type blob is damaged"), "{told}");
}
