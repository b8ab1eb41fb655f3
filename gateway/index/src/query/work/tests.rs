use weir_types::clock::Timestamp;
use weir_types::id::{BlobId, IntentId, UploadId};
use weir_types::index::{Index, Mutation};
use weir_types::record::Work;

use crate::MemoryIndex;
use crate::testing::{must, site, wait};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// What happens to the first entry after it was put there at 10, to be done at 100.
type Story = &'static [(u64, Option<&'static str>)];

fn check(work: &Work, story: Story, want: u64) {
    let index = MemoryIndex::new(site());
    must(
        &index,
        Mutation::Enqueue {
            work: work.clone(),
            now: at(10),
            not_before: at(100),
        },
    );
    let due = wait(index.due(at(100), 1)).expect("the index can be read");
    for &(not_before, error) in story {
        must(
            &index,
            Mutation::DeferWork {
                id: due[0].id,
                not_before: at(not_before),
                error: error.map(str::to_owned),
            },
        );
    }
    let stats = wait(index.outbox_stats()).expect("the index can be read");
    assert_eq!(stats.oldest, Some(at(want)), "{work:?} after {story:?}");
}

#[test]
fn age_counts_from_when_work_was_due() {
    let blob = BlobId(1);
    let discard = Work::Discard {
        intent: IntentId(1),
    };
    let complete = Work::Complete {
        upload: UploadId(1),
    };
    let replicate = Work::Replicate { blob, bytes: 1 };
    for work in [&discard, &complete, &replicate, &Work::Clean { blob }] {
        check(work, &[], 100);
        check(work, &[(200, Some("down")), (300, Some("down"))], 100);
    }
    // A last look is not late before its time, and late since then.
    check(&discard, &[(5000, None)], 5000);
    check(&discard, &[(5000, None), (6000, Some("down"))], 5000);
    // A copy that is owed waits for nothing that would excuse it.
    check(&replicate, &[(5000, None)], 100);
    check(&complete, &[(5000, None)], 100);
}

#[test]
fn late_work_is_seen_behind_work_that_waits() {
    let index = MemoryIndex::new(site());
    for (intent, not_before) in [(1, 9000), (2, 8000), (3, 100), (4, 200)] {
        let intent = IntentId(intent);
        must(
            &index,
            Mutation::Enqueue {
                work: Work::Discard { intent },
                now: at(10),
                not_before: at(not_before),
            },
        );
    }
    let stats = wait(index.outbox_stats()).expect("the index can be read");
    assert_eq!(stats.oldest, Some(at(100)));
    assert_eq!(stats.oldest_replicate, None);
}
