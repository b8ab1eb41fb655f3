use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::task::{Context, Waker};

use weir_types::index::{Index, Mutation, Refusal};
use weir_types::record::Work;

use super::*;
use crate::store::{Changes, CommitError, MemoryStore, Store};
use crate::testing::*;
use crate::{EmbeddedIndex, FreeSpace, MemoryIndex, StoreIndex};

/// A store that counts commits, can be held up, and can panic.
#[derive(Clone, Default)]
struct GatedStore {
    inner: MemoryStore,
    gate: Arc<Mutex<()>>,
    commits: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
}

impl Store for GatedStore {
    type Snapshot<'s> = <MemoryStore as Store>::Snapshot<'s>;

    fn snapshot(&self) -> Result<Self::Snapshot<'_>, IndexError> {
        self.inner.snapshot()
    }

    fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        let _open = self.gate.lock();
        assert!(!self.panics.load(Ordering::SeqCst), "told to panic");
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(changes)
    }
}

fn gated() -> (GatedStore, StoreIndex<GatedStore>) {
    let store = GatedStore::default();
    let index = StoreIndex::over(store.clone(), site(), IndexOptions::default());
    (store, index.expect("memory opens"))
}

/// Hands a mutation over and goes away.
fn hand_over<S: Store>(index: &StoreIndex<S>, mutation: Mutation) {
    let mut future = pin!(index.apply(mutation));
    let polled = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "the writer is held up");
}

#[test]
fn what_waits_is_committed_together() {
    let (store, index) = gated();
    let index = Arc::new(index);
    let before = store.commits.load(Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("it starts");
    let held = store.gate.lock();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=100 {
        let index = Arc::clone(&index);
        tasks.spawn_on(
            async move { index.apply(begin(number, 1)).await },
            runtime.handle(),
        );
    }
    runtime.block_on(tokio::task::yield_now());
    drop(held);
    let answers = runtime.block_on(tasks.join_all());
    assert!(answers.iter().all(Result::is_ok));
    // The first may have been taken alone; the rest waited for it.
    let commits = store.commits.load(Ordering::SeqCst) - before;
    assert!(
        commits <= 2,
        "{commits} commits for 100 mutations that waited"
    );
    assert_eq!(
        wait(index.intents(None, 1000)).expect("readable").len(),
        100
    );
}

#[test]
fn batch_mates_see_each_other_and_a_refused_one_harms_none() {
    let (store, index) = gated();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("it starts");
    let index = Arc::new(index);
    let held = store.gate.lock();
    hand_over(&index, begin(900, 1));
    let mut tasks = tokio::task::JoinSet::new();
    let batch = [vec![create_bucket(), create_bucket()], put("a", 1)].concat();
    for (at, mutation) in batch.into_iter().enumerate() {
        let index = Arc::clone(&index);
        tasks.spawn_on(
            async move { (at, index.apply(mutation).await) },
            runtime.handle(),
        );
    }
    runtime.block_on(tokio::task::yield_now());
    drop(held);
    let mut answers = runtime.block_on(tasks.join_all());
    answers.sort_by_key(|(at, _)| *at);
    let accepted: Vec<bool> = answers.iter().map(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(accepted, [true, false, true, true]);
    assert_eq!(
        answers[1].1,
        Err(IndexError::Refused(Refusal::BucketExists))
    );
    audit(&index, "after the batch");
}

#[test]
fn what_was_handed_over_is_committed_though_its_caller_and_the_index_are_gone() {
    let (store, index) = gated();
    let held = store.gate.lock();
    hand_over(&index, create_bucket());
    hand_over(&index, begin(1, 1));
    let dropped = std::thread::spawn(move || drop(index));
    drop(held);
    dropped.join().expect("dropping waits for the writer");
    let found = StoreIndex::over(store, site(), IndexOptions::default()).expect("memory opens");
    assert!(
        wait(found.bucket(&bucket_name()))
            .expect("readable")
            .is_some()
    );
    assert!(
        wait(found.intent(intent_id(1)))
            .expect("readable")
            .is_some()
    );
}

/// Options whose fatal action notes what it is told.
fn noting(commit: CommitMode) -> (IndexOptions, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let fatal: FatalAction = Arc::new(move |reason| note.lock().push(reason.to_owned()));
    (
        IndexOptions {
            commit,
            fatal,
            ..IndexOptions::default()
        },
        told,
    )
}

#[test]
fn a_commit_that_fails_ends_everything_and_acknowledges_nothing() {
    for mode in [CommitMode::Grouped, CommitMode::Inline] {
        let file = FragileFile::default();
        let (options, told) = noting(mode);
        let index = EmbeddedIndex::open_on(Box::new(file.clone()), site(), options).expect("opens");
        must(&index, create_bucket());
        file.fail();
        let stopped = Err(stopped());
        assert_eq!(run(&index, begin(1, 1)), stopped, "{mode:?}");
        assert_eq!(run(&index, begin(2, 1)), stopped, "{mode:?}");
        let told = told.lock();
        let [reason] = told.as_slice() else {
            panic!("{mode:?}: told {told:?}")
        };
        assert!(reason.contains("the disk is gone"), "{reason}");

        let after = EmbeddedIndex::open_on(
            Box::new(file.after_crash()),
            site(),
            IndexOptions::default(),
        );
        let after = after.expect("what was durable opens");
        assert!(
            wait(after.bucket(&bucket_name()))
                .expect("readable")
                .is_some(),
            "{mode:?}"
        );
        assert_eq!(wait(after.intents(None, 9)), Ok(vec![]), "{mode:?}");
    }
}

#[test]
fn a_writer_that_panics_ends_everything() {
    let store = GatedStore::default();
    let (options, told) = noting(CommitMode::Grouped);
    let index = StoreIndex::over(store.clone(), site(), options).expect("memory opens");
    store.panics.store(true, Ordering::SeqCst);
    assert_eq!(run(&index, begin(1, 1)), Err(stopped()));
    drop(index);
    assert_eq!(*told.lock(), ["the index's writer panicked"]);
}

#[test]
fn the_signal_rises_with_commits_that_leave_work() {
    let index = MemoryIndex::new(site());
    let mut signal = index.outbox_signal();
    let mut rose = |mutation| {
        let _ = run(&index, mutation);
        let rose = signal.has_changed().expect("the index is there");
        signal.mark_unchanged();
        rose
    };
    assert!(!rose(create_bucket()));
    assert!(!rose(begin(1, 100)));
    assert!(rose(commit("a", 1, 100)));
    assert!(!rose(commit("a", 1, 100)), "refused");
    assert!(!rose(delete("no such key")));
    assert!(rose(delete("a")));
    let refused = Mutation::All(vec![
        Mutation::Enqueue {
            work: Work::Clean { blob: blob_id(1) },
            now: at(1),
            not_before: at(1),
        },
        begin(2, 1),
        commit("b", 3, 1),
    ]);
    assert!(!rose(refused), "refused as a whole");
}

/// Room that a test sets.
struct Room(AtomicU64);

impl FreeSpace for Room {
    fn free_bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn without_room_only_what_frees_or_finishes_goes_on_until_there_is_room_again() {
    let room = Arc::new(Room(AtomicU64::new(u64::MAX)));
    let options = IndexOptions {
        commit: CommitMode::Inline,
        free_bytes_min: 1000,
        free_space: Some(Arc::clone(&room) as Arc<dyn FreeSpace>),
        ..IndexOptions::default()
    };
    let index = MemoryIndex::over(MemoryStore::default(), site(), options).expect("memory opens");
    let given = [
        vec![create_bucket()],
        put("a", 1),
        put("b", 2),
        vec![begin(3, 100), begin(4, 100)],
        create_upload("up", 5),
        vec![put_part(5, 1, 1, 1, vec![1])],
        create_upload("done", 6),
        vec![put_part(6, 1, 1, 1, vec![1]), begin_complete(6, &[(1, 1)])],
    ];
    for mutation in given.into_iter().flatten() {
        must(&index, mutation);
    }
    room.0.store(999, Ordering::SeqCst);
    assert!(index.is_read_only());
    let before = dump(&index);
    let elsewhere = weir_types::id::BucketName::parse("elsewhere").expect("valid");
    let full = |mutation: Mutation| {
        let told = format!("{mutation:?}");
        assert_eq!(run(&index, mutation), Err(IndexError::Full), "{told}");
        assert!(dump(&index) == before, "{told}");
    };
    full(Mutation::CreateBucket {
        name: elsewhere,
        owner: None,
        location: None,
        now: at(1),
    });
    full(begin(9, 1));
    full(Mutation::BeginReplica {
        intent: intent_id(9),
        blob: blob_id(1),
        backend: backend(2),
        now: at(1),
    });
    full(Mutation::CommitVersion(Box::new(share("c", 9, 1))));
    full(Mutation::CreateUpload {
        upload: Box::new(upload("c", 3)),
    });
    full(put_part(5, 2, 1, 1, vec![1]));
    full(begin_complete(5, &[(1, 1)]));
    full(Mutation::Enqueue {
        work: Work::Repair { blob: blob_id(1) },
        now: at(1),
        not_before: at(1),
    });
    full(Mutation::All(vec![delete("a"), begin(9, 1)]));

    must(&index, commit("c", 3, 100));
    must(
        &index,
        Mutation::CommitVersion(Box::new(commit_upload("done", 6))),
    );
    must(&index, delete("a"));
    must(
        &index,
        Mutation::RetireBlob {
            blob: blob_id(1),
            now: at(2000),
        },
    );
    must(
        &index,
        Mutation::Condemn {
            intents: vec![intent_id(4)],
            last_look_at: at(9),
            now: at(9),
        },
    );
    must(
        &index,
        Mutation::AbortUpload {
            upload: upload_id(5),
            only_open: false,
            now: at(9),
        },
    );
    must(
        &index,
        Mutation::Expire {
            before: at(9000),
            limit: 9,
        },
    );
    audit(&index, "nearly full");

    room.0.store(1000, Ordering::SeqCst);
    assert!(!index.is_read_only());
    must(&index, begin(9, 1));
}
