//! Each check of each mutation: what it refuses, and that a refusal changes nothing.

use weir_types::id::Incarnation;
use weir_types::index::{
    CommitContent, CommitVersion, IndexError, Mutation, Refusal, WriteConditions,
};
use weir_types::record::{CopyState, IntentState};

use crate::MemoryIndex;
use crate::testing::*;

struct Case {
    name: &'static str,
    given: Vec<Mutation>,
    when: Mutation,
    refusal: Refusal,
}

fn check(case: Case) {
    let Case {
        name,
        given,
        when,
        refusal,
    } = case;
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    for mutation in given {
        must(&index, mutation);
    }
    let before = dump(&index);
    let refused = Err(IndexError::Refused(refusal));
    assert_eq!(run(&index, when.clone()), refused, "{name}");
    assert!(
        dump(&index) == before,
        "{name}: a refusal changed something"
    );

    let with_others = Mutation::All(vec![begin(900, 1), when, begin(901, 1)]);
    assert_eq!(run(&index, with_others), refused, "{name}, among others");
    assert!(
        dump(&index) == before,
        "{name}: a refusal left what came before it"
    );
    audit(&index, name);
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, given: Vec<Vec<Mutation>>, when, refusal| {
        cases.push(Case {
            name,
            given: given.into_iter().flatten().collect(),
            when,
            refusal,
        });
    };
    let one = Mutation::CommitVersion;
    let condemn = |number| Mutation::Condemn {
        intents: vec![intent_id(number)],
        last_look_at: at(500),
        now: at(50),
    };
    let elsewhere = || weir_types::id::BucketName::parse("elsewhere").expect("valid");

    case(
        "bucket twice",
        vec![],
        create_bucket(),
        Refusal::BucketExists,
    );
    case(
        "delete no bucket",
        vec![],
        Mutation::DeleteBucket {
            name: elsewhere(),
            now: at(9),
        },
        Refusal::NoSuchBucket,
    );
    case(
        "delete full bucket",
        vec![put("a", 1)],
        Mutation::DeleteBucket {
            name: bucket_name(),
            now: at(9),
        },
        Refusal::BucketNotEmpty,
    );

    let many = Mutation::UPLOADS_PER_BUCKET_DELETE_MAX + 1;
    let many = u32::try_from(many).expect("few enough to be tested");
    case(
        "delete a bucket with more uploads than one transaction takes",
        (1..=many).map(|of| create_upload("a", of)).collect(),
        Mutation::DeleteBucket {
            name: bucket_name(),
            now: at(9),
        },
        Refusal::TooManyUploads,
    );

    let replica = Mutation::BeginReplica {
        intent: intent_id(9),
        blob: blob_id(1),
        backend: backend(2),
        now: at(50),
    };
    case(
        "replica of nothing",
        vec![],
        replica.clone(),
        Refusal::BlobGone,
    );
    case(
        "replica of a dead blob",
        vec![put("a", 1), vec![delete("a")]],
        replica,
        Refusal::BlobGone,
    );
    let note = Mutation::SetBackendUpload {
        intent: intent_id(1),
        backend_upload: "remote".into(),
    };
    case(
        "note on no intent",
        vec![],
        note.clone(),
        Refusal::IntentGone,
    );
    case(
        "note on a condemned intent",
        vec![vec![begin(1, 1), condemn(1)]],
        note,
        Refusal::IntentGone,
    );

    let plain = || commit_of("a", &intent(1, 100), 2);
    let begun = || vec![begin(1, 100)];
    case(
        "commit into no bucket",
        vec![begun()],
        one(Box::new(CommitVersion {
            bucket: elsewhere(),
            ..plain()
        })),
        Refusal::NoSuchBucket,
    );
    case(
        "commit into another life of the bucket",
        vec![begun()],
        one(Box::new(CommitVersion {
            incarnation: Incarnation(99),
            ..plain()
        })),
        Refusal::NoSuchBucket,
    );
    case(
        "commit without an intent",
        vec![],
        one(Box::new(plain())),
        Refusal::IntentGone,
    );
    case(
        "commit under a condemned intent",
        vec![begun(), vec![condemn(1)]],
        one(Box::new(plain())),
        Refusal::IntentGone,
    );
    case(
        "commit under another blob's intent",
        vec![begun(), vec![begin(2, 100)]],
        one(Box::new(with_intents(plain(), &[2]))),
        Refusal::IntentGone,
    );
    case(
        "commit with an intent for no copy",
        vec![begun(), vec![begin(2, 100)]],
        one(Box::new(with_intents(plain(), &[1, 2]))),
        Refusal::IntentGone,
    );
    case(
        "commit of a copy without an intent",
        vec![begun()],
        one(Box::new(with_intents(plain(), &[]))),
        Refusal::IntentGone,
    );
    case(
        "commit of a blob that exists",
        vec![put("a", 1), begun()],
        one(Box::new(plain())),
        Refusal::BlobLive,
    );
    case(
        "share nothing",
        vec![],
        one(Box::new(share("b", 2, 1))),
        Refusal::BlobGone,
    );
    case(
        "share a dead blob",
        vec![put("a", 1), vec![delete("a")]],
        one(Box::new(share("b", 2, 1))),
        Refusal::BlobGone,
    );
    case(
        "share a blob with its own dead version",
        vec![put("a", 1), put("a", 2)],
        one(Box::new(share("a", 3, 1))),
        Refusal::BlobGone,
    );
    case(
        "delete in no bucket",
        vec![],
        Mutation::DeleteCurrent {
            bucket: elsewhere(),
            key: key("a"),
            if_match: None,
            now: at(9),
            clean_at: at(9),
        },
        Refusal::NoSuchBucket,
    );

    let second = second_copy();
    let add = Mutation::AddCopy {
        blob: blob_id(1),
        copy: second.1.clone(),
        intent: intent_id(9),
    };
    case("copy of nothing", vec![], add.clone(), Refusal::BlobGone);
    case(
        "copy without an intent",
        vec![put("a", 1)],
        add.clone(),
        Refusal::IntentGone,
    );
    case(
        "copy under a condemned intent",
        vec![put("a", 1), vec![second.0.clone(), condemn(9)]],
        add.clone(),
        Refusal::IntentGone,
    );
    case(
        "copy under another key's intent",
        vec![put("a", 1), vec![begin(9, 100)]],
        add.clone(),
        Refusal::IntentGone,
    );
    case(
        "copy of a blob that died meanwhile",
        vec![put("a", 1), vec![second.0.clone(), delete("a")]],
        add.clone(),
        Refusal::BlobGone,
    );
    let remove = Mutation::RemoveCopy {
        blob: blob_id(1),
        backend: backend(1),
        attempt: 0,
        now: at(60),
        discard_at: at(160),
    };
    case(
        "remove the only copy",
        vec![put("a", 1)],
        remove.clone(),
        Refusal::LastCopy,
    );
    case(
        "remove the only good copy",
        vec![
            put("a", 1),
            vec![second.0, add, mark(2, 1, CopyState::Suspect)],
        ],
        remove,
        Refusal::LastCopy,
    );
    case(
        "retire a live blob",
        vec![put("a", 1)],
        Mutation::RetireBlob {
            blob: blob_id(1),
            now: at(60),
        },
        Refusal::BlobLive,
    );

    let make = Mutation::CreateUpload {
        upload: Box::new(upload("a", 1)),
    };
    case(
        "upload without an intent",
        vec![],
        make.clone(),
        Refusal::IntentGone,
    );
    case(
        "upload under a condemned intent",
        vec![vec![begin(1, 0), condemn(1)]],
        make,
        Refusal::IntentGone,
    );
    let mut stray = upload("a", 1);
    stray.incarnation = Incarnation(99);
    case(
        "upload into another life of the bucket",
        vec![vec![begin(1, 0)]],
        Mutation::CreateUpload {
            upload: Box::new(stray),
        },
        Refusal::NoSuchBucket,
    );

    let part = || put_part(1, 1, 10, 1, vec![7]);
    let abort = || Mutation::AbortUpload {
        upload: upload_id(1),
        only_open: false,
        now: at(70),
    };
    let drop_part = || Mutation::DropPart {
        upload: upload_id(1),
        number: part_number(1),
    };
    let complete = || begin_complete(1, &[(1, 1)]);
    let open = || [create_upload("a", 1), vec![part()]].concat();
    let completing = || [open(), vec![complete()]].concat();
    let aborting = || [open(), vec![abort()]].concat();
    let commit = || one(Box::new(commit_upload("a", 1)));
    for (name, when) in [
        ("part of no upload", part()),
        ("drop a part of no upload", drop_part()),
        ("complete no upload", complete()),
        ("abort no upload", abort()),
        ("commit no upload", commit()),
    ] {
        case(name, vec![], when, Refusal::NoSuchUpload);
    }
    for (name, when) in [
        ("part of an aborting upload", part()),
        ("drop a part of an aborting upload", drop_part()),
        ("complete an aborting upload", complete()),
        ("abort an aborting upload", abort()),
        ("commit an aborting upload", commit()),
    ] {
        case(name, vec![aborting()], when, Refusal::NoSuchUpload);
    }
    for (name, when) in [
        ("part of a completing upload", part()),
        ("drop a part of a completing upload", drop_part()),
        (
            "complete with other parts",
            begin_complete(1, &[(1, 1), (2, 1)]),
        ),
        (
            "commit under another key",
            one(Box::new(commit_upload("b", 1))),
        ),
        (
            "finish the abort of a completing upload",
            Mutation::FinishAbort {
                upload: upload_id(1),
                last_look_at: at(9),
                now: at(9),
            },
        ),
    ] {
        case(name, vec![completing()], when, Refusal::NoSuchUpload);
    }
    let abort_if_open = Mutation::AbortUpload {
        upload: upload_id(1),
        only_open: true,
        now: at(70),
    };
    case(
        "abort a completing upload as if it were open",
        vec![completing()],
        abort_if_open,
        Refusal::NoSuchUpload,
    );
    let conditions = WriteConditions {
        if_none_match: true,
        ..WriteConditions::default()
    };
    let under_condition = |commit: CommitVersion| {
        one(Box::new(CommitVersion {
            conditions: conditions.clone(),
            ..commit
        }))
    };
    let with_bytes = || [completing(), vec![begin(3, 100)]].concat();
    case(
        "put under a condition beside a completing upload",
        vec![with_bytes()],
        under_condition(commit_of("a", &intent(3, 100), 2)),
        Refusal::Conflict,
    );
    case(
        "copy under a condition beside a completing upload",
        vec![completing(), put("b", 3)],
        under_condition(share("a", 3, 3)),
        Refusal::Conflict,
    );
    let current = [put("a", 3), completing()].concat();
    let mut delete_if = delete("a");
    if let Mutation::DeleteCurrent { if_match, .. } = &mut delete_if {
        *if_match = Some(etag(3));
    }
    case(
        "delete under a condition beside a completing upload",
        vec![current],
        delete_if,
        Refusal::Conflict,
    );
    case(
        "commit an open upload",
        vec![open()],
        commit(),
        Refusal::NoSuchUpload,
    );
    case(
        "commit twice",
        vec![completing(), vec![commit()]],
        commit(),
        Refusal::NoSuchUpload,
    );
    case(
        "commit an upload whose intent is gone",
        vec![completing(), vec![condemn(1)]],
        commit(),
        Refusal::IntentGone,
    );
    for (name, parts) in [
        ("complete with a missing part", &[(1, 1), (2, 1)][..]),
        ("complete with another tag", &[(1, 2)]),
        ("complete with nothing", &[]),
        ("complete with a part twice", &[(1, 1), (1, 1)]),
    ] {
        case(
            name,
            vec![open()],
            begin_complete(1, parts),
            Refusal::InvalidPart,
        );
    }
    case(
        "complete again with another tag",
        vec![completing()],
        begin_complete(1, &[(1, 2)]),
        Refusal::InvalidPart,
    );
    let gone = Mutation::DeleteBucket {
        name: bucket_name(),
        now: at(75),
    };
    case(
        "commit into a bucket deleted meanwhile",
        vec![completing(), vec![gone, create_bucket()]],
        commit(),
        Refusal::NoSuchBucket,
    );
    cases
}

fn with_intents(mut commit: CommitVersion, numbers: &[u32]) -> CommitVersion {
    if let CommitContent::New { intents, .. } = &mut commit.content {
        *intents = numbers.iter().map(|number| intent_id(*number)).collect();
    }
    commit
}

/// Begins a second copy of blob 1 on backend 2 under intent 9, and the copy itself.
fn second_copy() -> (Mutation, weir_types::record::CopyRecord) {
    let begin = Mutation::BeginReplica {
        intent: intent_id(9),
        blob: blob_id(1),
        backend: backend(2),
        now: at(50),
    };
    let mut announced = intent(1, 100);
    announced.backend = backend(2);
    announced.attempt = 1;
    announced.key = weir_types::id::BackendKey::of(&site(), blob_id(1), 1);
    announced.state = IntentState::Open;
    (begin, copy_of(&announced))
}

fn mark(on: u32, attempt: u32, state: CopyState) -> Mutation {
    Mutation::MarkCopy {
        blob: blob_id(1),
        backend: backend(on),
        attempt,
        state,
        now: at(55),
    }
}

#[test]
fn what_must_hold_is_checked_and_a_refusal_changes_nothing() {
    for case in cases() {
        check(case);
    }
}
