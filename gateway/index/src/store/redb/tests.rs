use std::sync::atomic::AtomicU64;

use redb::backends::InMemoryBackend;

use super::*;

const CACHE_BYTES: usize = 1 << 20;

fn store() -> RedbStore {
    RedbStore::open_on(Box::new(InMemoryBackend::new()), CACHE_BYTES).expect("a store in memory")
}

fn put(store: &RedbStore, key: &[u8], value: &[u8]) {
    let mut changes = Changes::default();
    changes.set(Table::Meta, key.to_vec(), Some(value.to_vec()));
    store.commit(&changes).expect("a commit in memory");
}

fn get(store: &RedbStore, key: &[u8]) -> Option<Vec<u8>> {
    let snapshot = store.snapshot().expect("a snapshot");
    snapshot.get(Table::Meta, key).expect("a row")
}

#[test]
fn readers_share_a_state_until_the_next_commit_and_then_it_goes() {
    let store = store();
    put(&store, b"k", b"1");
    let first = store.snapshot().expect("a snapshot");
    let second = store.snapshot().expect("a snapshot");
    assert!(Arc::ptr_eq(&first.0, &second.0), "one transaction for both");
    drop(second);

    put(&store, b"k", b"2");
    assert_eq!(Arc::strong_count(&first.0), 1, "nobody but its reader");
    assert_eq!(
        first.get(Table::Meta, b"k").expect("a row"),
        Some(b"1".to_vec())
    );
    assert_eq!(get(&store, b"k"), Some(b"2".to_vec()));
}

#[test]
fn a_state_that_was_shared_too_late_is_not_taken() {
    let store = store();
    put(&store, b"k", b"1");
    // A reader that began before the commit, and comes to share its state after it.
    let late = store.snapshot().expect("a snapshot");
    put(&store, b"k", b"2");
    store.shared.store(Some(Arc::clone(&late.0)));

    assert_eq!(get(&store, b"k"), Some(b"2".to_vec()));
    assert_eq!(Arc::strong_count(&late.0), 1, "the next reader let it go");
}

#[test]
fn what_was_acknowledged_is_read() {
    const COMMITS: u64 = 400;
    let store = store();
    put(&store, b"n", &0_u64.to_be_bytes());
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let at_least = acknowledged.load(Ordering::SeqCst);
                    let row = get(&store, b"n").expect("the row stands from the start");
                    let read = u64::from_be_bytes(row.try_into().expect("eight bytes"));
                    assert!(read >= at_least, "{read} after {at_least}");
                    if at_least == COMMITS {
                        break;
                    }
                }
            });
        }
        for n in 1..=COMMITS {
            put(&store, b"n", &n.to_be_bytes());
            acknowledged.store(n, Ordering::SeqCst);
        }
    });
}

#[test]
fn pages_are_used_again_although_states_are_shared() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("index.redb");
    let store = RedbStore::open_file(&path, CACHE_BYTES).expect("a store");
    let value = vec![7; 64 << 10];
    let mut length = 0;
    for round in 0..300 {
        put(&store, b"k", &value);
        get(&store, b"k");
        if round == 20 {
            length = std::fs::metadata(&path).expect("the file").len();
        }
    }
    let grown = std::fs::metadata(&path).expect("the file").len();
    assert_eq!(grown, length, "overwriting one row grew the file");
}
