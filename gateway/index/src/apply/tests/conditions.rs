//! Conditions of writes and deletes (AWS, "Conditional writes" and "Conditional deletes").

use weir_types::etag::ETag;
use weir_types::index::{Applied, CommitVersion, IndexError, Mutation, Refusal, WriteConditions};

use crate::MemoryIndex;
use crate::testing::*;

/// Whether key `a` stands (with tag 1), the condition, and the refusal.
type Row = (bool, Option<&'static str>, bool, Option<Refusal>);

const ROWS: &[Row] = &[
    (false, None, false, None),
    (true, None, false, None),
    (false, Some("1"), false, Some(Refusal::NoSuchKey)),
    (true, Some("1"), false, None),
    (true, Some("2"), false, Some(Refusal::PreconditionFailed)),
    (false, Some("*"), false, Some(Refusal::NoSuchKey)),
    (true, Some("*"), false, Some(Refusal::PreconditionFailed)),
    (false, None, true, None),
    (true, None, true, Some(Refusal::PreconditionFailed)),
];

fn tag(text: &str) -> ETag {
    text.parse().map_or_else(|_| ETag::from_client(text), etag)
}

fn given(exists: bool) -> MemoryIndex {
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    if exists {
        put("a", 1).into_iter().for_each(|mutation| {
            must(&index, mutation);
        });
    }
    index
}

fn check(index: &MemoryIndex, row: &Row, what: &str, mutation: Mutation) {
    let before = dump(index);
    match (run(index, mutation), row.3) {
        (Ok(_), None) => {}
        (Err(IndexError::Refused(found)), Some(expected)) => {
            assert_eq!(found, expected, "{what} {row:?}");
            assert!(
                dump(index) == before,
                "{what} {row:?}: a refusal changed something"
            );
        }
        (found, _) => panic!("{what} {row:?}: {found:?}"),
    }
    audit(index, what);
}

#[test]
fn conditions_hold_for_every_kind_of_write() {
    for row in ROWS {
        let conditions = WriteConditions {
            if_match: row.1.map(tag),
            if_none_match: row.2,
        };

        let index = given(row.0);
        must(&index, begin(2, 100));
        let new = commit_of("a", &intent(2, 100), 2);
        let new = CommitVersion {
            conditions: conditions.clone(),
            ..new
        };
        check(&index, row, "new", Mutation::CommitVersion(Box::new(new)));

        let index = given(row.0);
        put("source", 3).into_iter().for_each(|mutation| {
            must(&index, mutation);
        });
        let shared = CommitVersion {
            conditions: conditions.clone(),
            ..share("a", 4, 3)
        };
        check(
            &index,
            row,
            "shared",
            Mutation::CommitVersion(Box::new(shared)),
        );

        let index = given(row.0);
        let upload = [create_upload("a", 5), vec![put_part(5, 1, 10, 1, vec![7])]].concat();
        upload.into_iter().for_each(|mutation| {
            must(&index, mutation);
        });
        let mut begin = begin_complete(5, &[(1, 1)]);
        if let Mutation::BeginComplete { conditions: on, .. } = &mut begin {
            *on = conditions.clone();
        }
        check(&index, row, "begin complete", begin);
        run(&index, begin_complete(5, &[(1, 1)])).expect("accepted, or accepted again");
        let complete = CommitVersion {
            conditions,
            ..commit_upload("a", 5)
        };
        check(
            &index,
            row,
            "complete",
            Mutation::CommitVersion(Box::new(complete)),
        );
    }
}

#[test]
fn conditions_hold_for_deletes() {
    for row in ROWS.iter().filter(|row| !row.2) {
        let index = given(row.0);
        let mut mutation = delete("a");
        if let Mutation::DeleteCurrent { if_match, .. } = &mut mutation {
            *if_match = row.1.map(tag);
        }
        check(&index, row, "delete", mutation);
    }
    let index = given(false);
    assert_eq!(must(&index, delete("a")), Applied::Deleted { seq: None });
}
