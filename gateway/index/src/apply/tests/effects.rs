//! What each mutation leaves behind.

use weir_types::id::{BlobId, IntentId, OutboxId, PartNumber, Seq};
use weir_types::index::{Applied, DuePosition, Index, Mutation};
use weir_types::record::{
    BlobRecord, BlobState, CopyState, Intent, IntentState, LedgerRecord, OutboxEntry,
    SegmentRecord, UploadState, VersionRecord, Work,
};

use crate::MemoryIndex;
use crate::testing::*;

fn given(mutations: Vec<Vec<Mutation>>) -> MemoryIndex {
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    for mutation in mutations.into_iter().flatten() {
        must(&index, mutation);
        audit(&index, "given");
    }
    index
}

fn blob(index: &MemoryIndex, number: u32) -> Option<BlobRecord> {
    wait(index.blob(blob_id(number))).expect("the index can be read")
}

fn current(index: &MemoryIndex, text: &str) -> Option<VersionRecord> {
    let found = wait(index.lookup(&bucket_name(), &key(text))).expect("the index can be read");
    assert_eq!(found.version.is_some(), found.blob.is_some());
    found.version.map(|version| *version)
}

fn ledger(index: &MemoryIndex, number: u32) -> LedgerRecord {
    let all = wait(index.ledger()).expect("the index can be read");
    let found = all.into_iter().find(|(name, _)| *name == backend(number));
    found.map(|(_, ledger)| ledger).unwrap_or_default()
}

fn account(used_bytes: u64, used_objects: u64, reserved_bytes: u64) -> LedgerRecord {
    LedgerRecord {
        used_bytes,
        used_objects,
        reserved_bytes,
    }
}

/// All work, in the order it comes due: what, and when.
fn work(index: &MemoryIndex) -> Vec<(Work, u64)> {
    entries(index)
        .into_iter()
        .map(|entry| (entry.work, entry.not_before.as_millis()))
        .collect()
}

fn entries(index: &MemoryIndex) -> Vec<OutboxEntry> {
    wait(index.due(at(u64::MAX), usize::MAX)).expect("the index can be read")
}

fn replicate(number: u32) -> Work {
    Work::Replicate {
        blob: blob_id(number),
        bytes: 100,
    }
}

fn stands(index: &MemoryIndex, number: u32) -> Option<Intent> {
    wait(index.intent(intent_id(number))).expect("the index can be read")
}

fn seq_of(applied: Applied) -> Seq {
    match applied {
        Applied::Committed { version, .. } => version.seq,
        Applied::Deleted { seq: Some(seq) } => seq,
        other => panic!("{other:?} has no sequence"),
    }
}

#[test]
fn a_put_reserves_then_uses_and_asks_for_its_second_copy() {
    let index = given(vec![vec![begin(1, 100)]]);
    assert_eq!(ledger(&index, 1), account(0, 0, 100));
    let Applied::Committed {
        version,
        superseded,
    } = must(&index, commit("a", 1, 100))
    else {
        panic!("a commit answers with its version")
    };
    assert!(!superseded);
    assert_eq!(current(&index, "a"), Some(*version));
    assert_eq!(ledger(&index, 1), account(100, 1, 0));
    assert_eq!(stands(&index, 1), None);
    assert_eq!(work(&index), vec![(replicate(1), 10)]);
    let copies = wait(index.copies_on(&backend(1), None, 10)).expect("the index can be read");
    assert_eq!(copies, vec![(blob_id(1), copy_of(&intent(1, 100)))]);
    assert_eq!(
        blob(&index, 1).map(|blob| (blob.refs, blob.next_attempt)),
        Some((1, 1))
    );
}

#[test]
fn a_put_that_has_its_copies_asks_for_none() {
    let index = given(vec![vec![begin(1, 100)]]);
    must(
        &index,
        Mutation::CommitVersion(Box::new(commit_of("a", &intent(1, 100), 1))),
    );
    assert_eq!(work(&index), vec![]);
}

#[test]
fn an_overwrite_kills_the_old_blob_and_cleans_it_up_later() {
    let index = given(vec![put("a", 1), put("a", 2)]);
    assert_eq!(
        blob(&index, 1).map(|blob| blob.state),
        Some(BlobState::Dead(at(10)))
    );
    assert_eq!(ledger(&index, 1), account(200, 2, 0));
    let clean = (Work::Clean { blob: blob_id(1) }, 1010);
    assert_eq!(
        work(&index),
        vec![(replicate(1), 10), (replicate(2), 10), clean]
    );

    must(
        &index,
        Mutation::RetireBlob {
            blob: blob_id(1),
            now: at(1010),
        },
    );
    audit(&index, "retired");
    assert_eq!(blob(&index, 1), None);
    assert_eq!(ledger(&index, 1), account(100, 1, 100));
    let intents = wait(index.intents(None, 10)).expect("the index can be read");
    let [discard] = intents.as_slice() else {
        panic!("one intent: {intents:?}")
    };
    assert_eq!(
        discard.state,
        IntentState::Condemned {
            last_look_at: at(1010)
        }
    );
    assert_eq!(discard.key, intent(1, 100).key);
    assert!(work(&index).contains(&(
        Work::Discard {
            intent: discard.intent
        },
        1010
    )));
    must(
        &index,
        Mutation::DropIntents {
            intents: vec![discard.intent],
        },
    );
    assert_eq!(ledger(&index, 1), account(100, 1, 0));
    assert_eq!(
        must(
            &index,
            Mutation::RetireBlob {
                blob: blob_id(1),
                now: at(1)
            }
        ),
        Applied::Done
    );
    audit(&index, "discarded");
}

#[test]
fn a_blob_lives_as_long_as_a_version_points_to_it() {
    let index = given(vec![put("a", 1)]);
    let shared = Mutation::CommitVersion(Box::new(share("b", 2, 1)));
    must(&index, shared);
    assert_eq!(blob(&index, 1).map(|blob| blob.refs), Some(2));
    must(&index, delete("a"));
    assert_eq!(
        blob(&index, 1).map(|blob| (blob.refs, blob.state)),
        Some((1, BlobState::Live))
    );
    must(&index, delete("b"));
    assert_eq!(
        blob(&index, 1).map(|blob| blob.state),
        Some(BlobState::Dead(at(20)))
    );
    audit(&index, "dead");
}

#[test]
fn copying_a_key_onto_itself_keeps_the_blob() {
    let index = given(vec![put("a", 1)]);
    let Applied::Committed {
        version,
        superseded,
    } = must(&index, Mutation::CommitVersion(Box::new(share("a", 2, 1))))
    else {
        panic!("a commit answers with its version")
    };
    assert!(superseded);
    assert_eq!(version.blob, blob_id(1));
    assert_eq!(
        current(&index, "a").map(|version| version.etag),
        Some(etag(2))
    );
    assert_eq!(
        blob(&index, 1).map(|blob| (blob.refs, blob.state)),
        Some((1, BlobState::Live))
    );
    assert_eq!(work(&index), vec![(replicate(1), 10)]);
    audit(&index, "copied");
}

#[test]
fn a_delete_leaves_a_tombstone_that_goes_with_the_next_version_or_with_time() {
    let index = given(vec![put("a", 1), put("b", 2)]);
    let tombstone = |text| wait(index.tombstone(LIFE, &key(text))).expect("the index can be read");
    let seq = seq_of(must(&index, delete("a")));
    assert_eq!(current(&index, "a"), None);
    assert_eq!(tombstone("a").map(|tombstone| tombstone.seq), Some(seq));
    must(&index, delete("b"));
    put("a", 3).into_iter().for_each(|mutation| {
        must(&index, mutation);
    });
    assert_eq!(tombstone("a"), None);
    audit(&index, "written again");

    must(
        &index,
        Mutation::Expire {
            before: at(20),
            limit: 10,
        },
    );
    assert!(tombstone("b").is_some());
    must(
        &index,
        Mutation::Expire {
            before: at(21),
            limit: 10,
        },
    );
    assert!(tombstone("b").is_none());
    audit(&index, "expired");
}

#[test]
fn expiry_is_bounded_and_takes_the_oldest_first() {
    let mut mutations = Vec::new();
    for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
        mutations.push(put(text, number));
        mutations.push(vec![delete(text)]);
    }
    let index = given(mutations);
    let expire = |limit| Mutation::Expire {
        before: at(1000),
        limit,
    };
    let more = |more| Applied::Expired { more };
    assert_eq!(must(&index, expire(2)), more(true));
    let left = ["a", "b", "c"].map(|text| {
        wait(index.tombstone(LIFE, &key(text)))
            .expect("the index can be read")
            .is_some()
    });
    assert_eq!(left, [false, false, true]);
    assert_eq!(must(&index, expire(2)), more(false));
    assert_eq!(wait(index.tombstone(LIFE, &key("c"))), Ok(None));
    audit(&index, "expired");
}

#[test]
fn sequences_and_clock_rise_even_when_the_wall_clock_runs_back() {
    let index = given(vec![put("a", 1)]);
    let first = current(&index, "a").expect("it was put");
    must(&index, begin(2, 100));
    let mut late = commit_of("a", &intent(2, 100), 2);
    late.now = at(3);
    must(&index, Mutation::CommitVersion(Box::new(late)));
    let second = current(&index, "a").expect("it was put");
    assert!(
        second.seq > first.seq && second.hlc > first.hlc,
        "{first:?} {second:?}"
    );
    assert_eq!(second.hlc.wall_ms, first.hlc.wall_ms);
}

#[test]
fn condemned_intents_are_discarded_once() {
    let index = given(vec![vec![begin(1, 100), begin(2, 7)]]);
    let condemn = Mutation::Condemn {
        intents: vec![intent_id(1), intent_id(77)],
        last_look_at: at(900),
        now: at(50),
    };
    must(&index, condemn.clone());
    must(&index, condemn);
    let condemned = stands(&index, 1).expect("it stands until its bytes are gone");
    assert_eq!(
        condemned.state,
        IntentState::Condemned {
            last_look_at: at(900)
        }
    );
    assert_eq!(
        work(&index),
        vec![(
            Work::Discard {
                intent: intent_id(1)
            },
            50
        )]
    );
    assert_eq!(ledger(&index, 1), account(0, 0, 107));
    must(
        &index,
        Mutation::DropIntents {
            intents: vec![intent_id(1), intent_id(77)],
        },
    );
    assert_eq!(ledger(&index, 1), account(0, 0, 7));
    audit(&index, "dropped");
}

#[test]
fn a_further_copy_is_begun_added_suspected_and_removed() {
    let index = given(vec![put("a", 1)]);
    let begun = must(
        &index,
        Mutation::BeginReplica {
            intent: intent_id(9),
            blob: blob_id(1),
            backend: backend(2),
            now: at(50),
        },
    );
    let Applied::Intent(intent) = begun else {
        panic!("a begun copy answers with its intent")
    };
    assert_eq!((intent.attempt, intent.reserved_bytes), (1, 100));
    assert_eq!(ledger(&index, 2), account(0, 0, 100));
    must(
        &index,
        Mutation::SetBackendUpload {
            intent: intent_id(9),
            backend_upload: "remote".into(),
        },
    );
    assert_eq!(
        stands(&index, 9).and_then(|found| found.backend_upload),
        Some("remote".into())
    );
    let copy = copy_of(&intent);
    must(
        &index,
        Mutation::AddCopy {
            blob: blob_id(1),
            copy,
            intent: intent_id(9),
        },
    );
    assert_eq!(ledger(&index, 2), account(100, 1, 0));
    assert_eq!(stands(&index, 9), None);
    audit(&index, "added");

    let mark = |state| Mutation::MarkCopy {
        blob: blob_id(1),
        backend: backend(2),
        attempt: 1,
        state,
        now: at(60),
    };
    must(&index, mark(CopyState::Suspect));
    must(&index, mark(CopyState::Suspect));
    let repair = (Work::Repair { blob: blob_id(1) }, 60);
    assert_eq!(work(&index), vec![(replicate(1), 10), repair]);

    let remove = Mutation::RemoveCopy {
        blob: blob_id(1),
        backend: backend(2),
        attempt: 1,
        now: at(70),
        discard_at: at(170),
    };
    must(&index, remove.clone());
    assert_eq!(must(&index, remove), Applied::Done);
    assert_eq!(must(&index, mark(CopyState::Good)), Applied::Done);
    let left = blob(&index, 1).expect("it lives");
    assert_eq!(left.copies.len(), 1);
    assert_eq!(left.next_attempt, 2);
    assert_eq!(ledger(&index, 2), account(0, 0, 100));
    assert!(matches!(
        work(&index).last(),
        Some((Work::Discard { .. }, 170))
    ));
    audit(&index, "removed");
}

#[test]
fn crcs_are_read_across_the_edges_of_their_rows() {
    let many: Vec<u32> =
        (0..u32::try_from(2 * SegmentRecord::BLOCKS_MAX + 5).expect("small")).collect();
    let index = given(vec![vec![begin(1, 100)], create_upload("up", 2)]);
    let mut commit = commit_of("a", &intent(1, 100), 2);
    if let weir_types::index::CommitContent::New { blob, crcs, .. } = &mut commit.content {
        blob.inline_crcs = None;
        *crcs = many.clone();
    }
    must(&index, Mutation::CommitVersion(Box::new(commit)));
    must(&index, put_part(2, 7, 10, 1, many.clone()));
    audit(&index, "many blocks");
    for (blob, segment) in [(1, 1), (2, 7)] {
        for (first, count) in [
            (0, 3),
            (4094, 4),
            (4096, 1),
            (8190, 100),
            (9000, 1),
            (0, 0),
            (0, 9000),
        ] {
            let found = wait(index.crcs(blob_id(blob), part_number(segment), first, count));
            let from = usize::try_from(first).expect("small").min(many.len());
            let until = (from + count).min(many.len());
            assert_eq!(
                found,
                Ok(many[from..until].to_vec()),
                "{blob} {first} {count}"
            );
        }
    }
    let other = wait(index.crcs(blob_id(1), part_number(2), 0, 9));
    assert_eq!(other, Ok(vec![]));

    must(&index, put_part(2, 7, 10, 2, vec![42]));
    let replaced = wait(index.crcs(blob_id(2), part_number(7), 0, 9000));
    assert_eq!(replaced, Ok(vec![42]), "a replaced part leaves no CRCs");
}

#[test]
fn inline_crcs_are_read_like_others() {
    let index = given(vec![put("a", 9)]);
    let read = |first, count| wait(index.crcs(blob_id(9), PartNumber::FIRST, first, count));
    assert_eq!(read(0, 5), Ok(vec![9]));
    assert_eq!(read(1, 5), Ok(vec![]));
    assert_eq!(read(u64::MAX, 5), Ok(vec![]));
}

#[test]
fn parts_settle_what_their_upload_reserves() {
    let index = given(vec![create_upload("a", 1)]);
    for (mutation, reserved) in [
        (put_part(1, 1, 10, 1, vec![1]), 10),
        (put_part(1, 2, 30, 2, vec![2]), 40),
        (put_part(1, 1, 5, 3, vec![3]), 35),
        (
            Mutation::DropPart {
                upload: upload_id(1),
                number: part_number(2),
            },
            5,
        ),
        (
            Mutation::DropPart {
                upload: upload_id(1),
                number: part_number(2),
            },
            5,
        ),
    ] {
        must(&index, mutation);
        audit(&index, "parts");
        assert_eq!(ledger(&index, 1), account(0, 0, reserved));
    }
    let page = wait(index.parts(upload_id(1), 0, 10)).expect("the index can be read");
    assert_eq!(page.parts.len(), 1);
    assert_eq!(page.parts[0].etag, etag(3));
}

#[test]
fn a_complete_turns_chosen_parts_into_segments_and_forgets_the_rest() {
    let index = given(vec![create_upload("a", 1)]);
    for (number, size) in [(2, 20), (5, 50), (7, 70)] {
        must(
            &index,
            put_part(1, number, size, 1, vec![u32::from(number)]),
        );
    }
    let complete = || begin_complete(1, &[(2, 1), (7, 1)]);
    let Applied::Completing {
        upload,
        first: true,
    } = must(&index, complete())
    else {
        panic!("completing, and the first to be accepted")
    };
    assert!(matches!(upload.state, UploadState::Completing { .. }));
    let depth_before = entries(&index).len();
    let again = Applied::Completing {
        upload,
        first: false,
    };
    assert_eq!(must(&index, complete()), again);
    assert_eq!(
        entries(&index).len(),
        depth_before,
        "accepted again, enqueued once"
    );
    assert_eq!(
        work(&index),
        vec![(
            Work::Complete {
                upload: upload_id(1)
            },
            3000
        )]
    );
    audit(&index, "completing");

    let committed = must(
        &index,
        Mutation::CommitVersion(Box::new(commit_upload("a", 1))),
    );
    let Applied::Committed { version, .. } = committed else {
        panic!("committed")
    };
    audit(&index, "completed");
    let record = blob(&index, 1).expect("it was committed");
    assert_eq!(record.size, 90);
    assert_eq!(
        record.segments,
        vec![(part_number(2), 20), (part_number(7), 70)]
    );
    assert_eq!(ledger(&index, 1), account(90, 1, 0));
    for (number, crcs) in [(2, vec![2]), (5, vec![]), (7, vec![7])] {
        assert_eq!(
            wait(index.crcs(blob_id(1), part_number(number), 0, 9)),
            Ok(crcs),
            "{number}"
        );
    }
    assert_eq!(wait(index.upload(upload_id(1))), Ok(None));
    let remembered = Some((LIFE, key("a"), *version));
    assert_eq!(wait(index.completed(upload_id(1))), Ok(remembered));
    let bytes = 90;
    assert!(work(&index).contains(&(
        Work::Replicate {
            blob: blob_id(1),
            bytes
        },
        40
    )));

    must(
        &index,
        Mutation::Expire {
            before: at(41),
            limit: 10,
        },
    );
    assert_eq!(wait(index.completed(upload_id(1))), Ok(None));
    audit(&index, "forgotten");
}

#[test]
fn an_abort_removes_the_upload_and_condemns_its_bytes() {
    for completing in [false, true] {
        let index = given(vec![
            create_upload("a", 1),
            vec![put_part(1, 1, 10, 1, vec![5])],
        ]);
        if completing {
            must(&index, begin_complete(1, &[(1, 1)]));
        }
        must(
            &index,
            Mutation::AbortUpload {
                upload: upload_id(1),
                only_open: false,
                now: at(50),
            },
        );
        audit(&index, "aborting");
        assert!(work(&index).contains(&(
            Work::Abort {
                upload: upload_id(1)
            },
            50
        )));
        let finish = Mutation::FinishAbort {
            upload: upload_id(1),
            last_look_at: at(900),
            now: at(60),
        };
        must(&index, finish.clone());
        assert_eq!(must(&index, finish), Applied::Done);
        audit(&index, "aborted");
        assert_eq!(wait(index.upload(upload_id(1))), Ok(None));
        assert_eq!(
            wait(index.crcs(blob_id(1), part_number(1), 0, 9)),
            Ok(vec![])
        );
        let condemned = stands(&index, 1).expect("its bytes may still be there");
        assert_eq!(
            condemned.state,
            IntentState::Condemned {
                last_look_at: at(900)
            }
        );
        assert_eq!(ledger(&index, 1), account(0, 0, 10));
        assert!(work(&index).contains(&(
            Work::Discard {
                intent: intent_id(1)
            },
            60
        )));
    }
}

#[test]
fn deleting_a_bucket_aborts_its_open_uploads_and_the_next_life_is_another() {
    let index = given(vec![create_upload("a", 1), create_upload("b", 2)]);
    must(
        &index,
        Mutation::DeleteBucket {
            name: bucket_name(),
            now: at(50),
        },
    );
    audit(&index, "deleted");
    let aborts = [1, 2].map(|number| {
        (
            Work::Abort {
                upload: upload_id(number),
            },
            50,
        )
    });
    assert_eq!(work(&index), aborts);
    let Applied::Bucket(again) = must(&index, create_bucket()) else {
        panic!("a bucket")
    };
    assert!(again.incarnation > LIFE);
}

#[test]
fn work_is_put_off_counted_and_finished() {
    let index = given(vec![put("a", 1), put("b", 2)]);
    let [first, second]: [OutboxEntry; 2] = entries(&index).try_into().expect("two entries");
    let defer = |id, ms, error: Option<&str>| Mutation::DeferWork {
        id,
        not_before: at(ms),
        error: error.map(str::to_owned),
    };
    must(&index, defer(first.id, 500, Some("unreachable")));
    must(&index, defer(first.id, 400, None));
    audit(&index, "deferred");
    let found = wait(index.work(first.id))
        .expect("the index can be read")
        .expect("it stands");
    assert_eq!(
        (found.attempts, found.last_error),
        (1, Some("unreachable".into()))
    );
    assert_eq!(work(&index), vec![(replicate(2), 10), (replicate(1), 400)]);
    assert_eq!(wait(index.due(at(399), 9)).expect("readable").len(), 1);
    assert_eq!(wait(index.due(at(400), 9)).expect("readable").len(), 2);
    assert_eq!(wait(index.due(at(400), 1)).expect("readable").len(), 1);
    let all = wait(index.due(at(400), 9)).expect("readable");
    let after = |at: usize| DuePosition::of(&all[at]).next();
    let rest = |from, now| wait(index.due_from(from, now, 9)).expect("readable");
    assert_eq!(rest(after(0), at(400)), all[1..]);
    assert_eq!(rest(DuePosition::of(&all[1]), at(400)), all[1..]);
    assert_eq!(rest(after(1), at(400)), []);
    assert_eq!(rest(DuePosition::at(at(400)), at(399)), []);
    assert_eq!(wait(index.next_due(at(10))), Ok(Some(at(400))));
    assert_eq!(wait(index.next_due(at(400))), Ok(None));
    assert_eq!(wait(index.next_due(at(u64::MAX))), Ok(None));

    for id in [first.id, second.id, second.id, OutboxId(u64::MAX)] {
        must(&index, Mutation::FinishWork { id });
        must(&index, defer(id, 1, None));
    }
    audit(&index, "finished");
    assert_eq!(wait(index.outbox_stats()), Ok(Default::default()));
}

#[test]
fn the_outbox_tells_its_depth_and_age() {
    let index = given(vec![put("a", 1)]);
    for (work, ms) in [
        (
            Work::Discard {
                intent: IntentId(5),
            },
            3,
        ),
        (
            Work::Discard {
                intent: IntentId(6),
            },
            4,
        ),
        (Work::Repair { blob: BlobId(5) }, 7),
    ] {
        must(
            &index,
            Mutation::Enqueue {
                work,
                now: at(ms),
                not_before: at(1000),
            },
        );
    }
    let stats = wait(index.outbox_stats()).expect("the index can be read");
    assert_eq!(stats.depth, [1, 0, 2, 0, 0, 1]);
    assert_eq!(stats.oldest, Some(at(10)));
    assert_eq!(stats.oldest_replicate, Some(at(10)));
    audit(&index, "enqueued");
}

#[test]
fn all_of_many_are_applied_in_order_and_answered_one_by_one() {
    let index = MemoryIndex::new(site());
    let all = [vec![create_bucket()], put("a", 1), vec![delete("a")]].concat();
    let Applied::All(applied) = must(&index, Mutation::All(all)) else {
        panic!("all")
    };
    assert!(matches!(
        applied.as_slice(),
        [
            Applied::Bucket(_),
            Applied::Done,
            Applied::Committed { .. },
            Applied::Deleted { seq: Some(_) }
        ]
    ));
    audit(&index, "all");
}

#[test]
fn a_complete_takes_its_place_when_it_is_accepted() {
    let before = |number: u32| put("a", number);
    // What stood there before, what is done between the acceptance and the commit, and which
    // blob the key shows in the end.
    type Case = (
        &'static str,
        Vec<Vec<Mutation>>,
        Vec<Vec<Mutation>>,
        Option<u32>,
    );
    let cases: Vec<Case> = vec![
        ("nothing", vec![], vec![], Some(1)),
        ("an older version", vec![before(2)], vec![], Some(1)),
        (
            "deleted before",
            vec![before(2), vec![delete("a")]],
            vec![],
            Some(1),
        ),
        ("another key is written", vec![], vec![put("b", 3)], Some(1)),
        (
            "another key is deleted",
            vec![put("b", 3)],
            vec![vec![delete("b")]],
            Some(1),
        ),
        ("written", vec![], vec![put("a", 3)], Some(3)),
        ("overwritten", vec![before(2)], vec![put("a", 3)], Some(3)),
        ("deleted", vec![before(2)], vec![vec![delete("a")]], None),
        (
            "deleted though nothing was there",
            vec![],
            vec![vec![delete("a")]],
            None,
        ),
        (
            "deleted twice",
            vec![before(2), vec![delete("a")]],
            vec![vec![delete("a"), delete("a")]],
            None,
        ),
        (
            "written and deleted",
            vec![],
            vec![put("a", 3), vec![delete("a")]],
            None,
        ),
        (
            "deleted and written",
            vec![before(2)],
            vec![vec![delete("a")], put("a", 3)],
            Some(3),
        ),
    ];
    for (name, first, meanwhile, shown) in cases {
        let mut history = first;
        history.push(create_upload("a", 1));
        history.push(vec![
            put_part(1, 1, 10, 1, vec![5]),
            begin_complete(1, &[(1, 1)]),
        ]);
        let index = given(history);
        let completing = || wait(index.completing_uploads(9)).expect("readable");
        assert_eq!(completing(), [upload_id(1)], "{name}");
        meanwhile
            .into_iter()
            .flatten()
            .for_each(|m| drop(must(&index, m)));
        // However long the commit takes: a delete is not forgotten before.
        let forget = Mutation::Expire {
            before: at(9_999),
            limit: 1,
        };
        must(&index, forget);
        must(
            &index,
            Mutation::CommitVersion(Box::new(commit_upload("a", 1))),
        );
        audit(&index, name);
        let found = wait(index.lookup(&bucket_name(), &key("a"))).expect("readable");
        let found = found.version.map(|version| version.blob);
        assert_eq!(found, shown.map(blob_id), "{name}");
        let is_kept = blob(&index, 1).is_some_and(|blob| blob.refs == 1);
        assert_eq!(is_kept, shown == Some(1), "{name}");
        let cleaned = work(&index)
            .iter()
            .any(|(work, _)| *work == Work::Clean { blob: blob_id(1) });
        assert_eq!(cleaned, !is_kept, "{name}");
        assert!(
            wait(index.completed(upload_id(1)))
                .expect("readable")
                .is_some()
        );
        assert_eq!(completing(), [], "{name}");
    }
}
