use std::collections::HashMap;

use weir_types::index::{Index, Mutation};

use super::*;
use crate::apply::tests::laws::Generator;
use crate::backup::{BackupError, Replay, RestoreOptions, restore_and_replay};
use crate::store::MemoryStore;
use crate::testing::*;
use crate::{CommitMode, EmbeddedIndex, IndexOptions, MemoryIndex};

fn options(bytes_max: u64, tag: &str) -> IndexOptions {
    IndexOptions {
        commit: CommitMode::Inline,
        log: Some(LogOptions {
            bytes_max,
            tag: tag.to_owned(),
        }),
        ..IndexOptions::default()
    }
}

fn over(store: &MemoryStore, options: IndexOptions) -> MemoryIndex {
    MemoryIndex::over(store.clone(), site(), options).expect("it opens")
}

fn logged() -> MemoryIndex {
    over(&MemoryStore::default(), options(u64::MAX, ""))
}

fn tail<S: Store>(index: &StoreIndex<S>) -> LogTail {
    let tail = *index.log_tail().borrow();
    tail.expect("there is a log")
}

/// Every row but the log's own.
fn state<S: Store>(index: &StoreIndex<S>) -> Dump {
    let mut rows = dump(index);
    rows.retain(|(table, key, _)| !entry::is_own(*table, key));
    rows
}

fn entries<S: Store>(index: &StoreIndex<S>, after: u64) -> Vec<LogEntry> {
    let stream = tail(index).stream;
    match index.log_after(stream, after, usize::MAX) {
        Ok(LogRead::Entries(entries)) => entries,
        other => panic!("after {after}: {other:?}"),
    }
}

/// What lies on disk of a backup, and where in the log it stands.
struct Kept {
    folder: tempfile::TempDir,
    position: LogPosition,
}

fn keep<S: Store>(index: &StoreIndex<S>) -> Kept {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, position) = index
        .backup_at(&folder.path().join("backup"), &mut |_| {})
        .expect("there is room");
    Kept {
        folder,
        position: position.expect("there is a log"),
    }
}

impl Kept {
    /// An index of the backup with `entries` applied; under another epoch when `successor` says.
    fn replay(
        &self,
        entries: Vec<LogEntry>,
        successor: Option<&str>,
    ) -> Result<EmbeddedIndex, BackupError> {
        let target = self.folder.path().join("restored");
        let _earlier = std::fs::remove_file(&target);
        let options = RestoreOptions {
            successor: successor.map(str::to_owned),
            ..RestoreOptions::default()
        };
        let replay = Replay {
            from: self.position,
            entries: &mut entries.into_iter().map(Ok),
        };
        restore_and_replay(
            &self.folder.path().join("backup"),
            Some(replay),
            &target,
            &options,
            &mut |_| {},
        )?;
        let options = IndexOptions {
            commit: CommitMode::Inline,
            ..IndexOptions::default()
        };
        Ok(EmbeddedIndex::open(&target, site(), options).expect("it opens"))
    }
}

#[test]
fn a_backup_with_the_log_is_the_index_at_every_number() {
    for seed in 0..3 {
        announce(seed);
        let index = logged();
        let mut generator = Generator::new(&index, seed);
        let (mut states, mut backups) = (HashMap::new(), Vec::new());
        for step in 0..500 {
            if step % 170 == 0 {
                backups.push(keep(&index));
            }
            let _refused = run(&index, generator.next());
            states.insert(tail(&index).last, state(&index));
        }
        let last = tail(&index).last;
        assert!(last > 150, "seed {seed}: only {last} commits");
        audit(&index, "logged");
        for kept in backups {
            let from = kept.position.number;
            let all = entries(&index, from);
            let numbers: Vec<u64> = all.iter().map(|entry| entry.number).collect();
            assert_eq!(numbers, (from + 1..=last).collect::<Vec<_>>());
            // In memory to every number, on disk to some.
            let mut rows: HashMap<_, _> = match from {
                1 => state(&logged_like(&index)),
                from => states[&from].clone(),
            }
            .into_iter()
            .map(|(table, key, value)| ((table, key), value))
            .collect();
            for entry in &all {
                let mut changes = crate::store::Changes::default();
                decode(&entry.changes, &mut changes).expect("it was just written");
                for (table, key, value) in changes.iter() {
                    match value {
                        Some(value) => rows.insert((table, key.to_vec()), value.to_vec()),
                        None => rows.remove(&(table, key.to_vec())),
                    };
                }
                let mut found: Dump = rows
                    .iter()
                    .map(|((table, key), value)| (*table, key.clone(), value.clone()))
                    .collect();
                found.sort();
                assert!(
                    found == states[&entry.number],
                    "seed {seed}: {from} to {} differs",
                    entry.number
                );
                if entry.number % 97 == 0 || entry.number == last {
                    let until = usize::try_from(entry.number - from).expect("few");
                    let restored = kept.replay(all[..until].to_vec(), None).expect("whole");
                    assert!(state(&restored) == states[&entry.number], "on disk");
                    audit(&restored, "restored");
                }
            }
        }
    }
}

/// An index of the same identity in which nothing happened.
fn logged_like(index: &MemoryIndex) -> MemoryIndex {
    let fresh = logged();
    let identity = index.read(|reader| reader.get(Table::Meta, rows::IDENTITY));
    let mut changes = crate::store::Changes::default();
    let identity = identity.expect("readable").expect("there");
    changes.set(Table::Meta, rows::IDENTITY.to_vec(), Some(identity));
    fresh
        .store()
        .commit(&changes)
        .expect("memory does not fail");
    fresh
}

#[test]
fn commits_in_groups_are_logged_as_they_are_made_durable() {
    let file = FragileFile::default();
    let grouped = IndexOptions {
        commit: CommitMode::Grouped,
        ..options(u64::MAX, "")
    };
    let open = |file: &FragileFile| {
        EmbeddedIndex::open_on(Box::new(file.clone()), site(), grouped.clone()).expect("it opens")
    };
    let index = open(&file);
    let kept = keep(&index);
    must(&index, create_bucket());
    for number in 1..200 {
        for mutation in put(&format!("k{}", number % 7), number) {
            must(&index, mutation);
        }
    }
    let (before, stream) = (state(&index), tail(&index).stream);
    let found = file.after_crash();
    let after = open(&found);
    assert!(state(&after) == before);
    assert_eq!(tail(&after).stream, stream, "it goes on where it was");
    must(&after, delete("k1"));
    let restored = kept.replay(entries(&after, kept.position.number), None);
    assert!(state(&restored.expect("whole")) == state(&after));
}

#[test]
fn what_does_not_follow_is_refused() {
    let index = logged();
    let kept = keep(&index);
    must(&index, create_bucket());
    for number in 1..6 {
        for mutation in put("k", number) {
            must(&index, mutation);
        }
    }
    let all = entries(&index, kept.position.number);
    kept.replay(all.clone(), None).expect("whole");
    type Spoil = fn(&mut Vec<LogEntry>);
    let cases: [(&str, Spoil); 6] = [
        ("missing", |all| drop(all.remove(3))),
        ("the first missing", |all| drop(all.remove(0))),
        ("doubled", |all| all.insert(3, all[2].clone())),
        ("out of order", |all| all.swap(3, 4)),
        ("changed", |all| {
            *all[2].changes.last_mut().expect("bytes") ^= 1
        }),
        ("another number", |all| all[3].number += 1),
    ];
    for (what, spoil) in cases {
        let mut spoilt = all.clone();
        spoil(&mut spoilt);
        let refused = kept.replay(spoilt, None);
        assert!(
            matches!(refused, Err(BackupError::Log(_))),
            "{what}: {refused:?}"
        );
        let left = std::fs::read_dir(kept.folder.path()).expect("readable");
        let names: Vec<_> = left
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert!(!names.contains(&"restored".into()), "{what}: {names:?}");
    }
}

#[test]
fn the_log_stays_within_its_bound_and_shows_what_it_lost() {
    let index = over(&MemoryStore::default(), options(20_000, ""));
    must(&index, create_bucket());
    let begun = tail(&index);
    for number in 1..400 {
        for mutation in put("k", number) {
            must(&index, mutation);
        }
        let now = tail(&index);
        assert!(now.bytes <= 20_000, "{now:?}");
        let held: u64 = dump(&index)
            .iter()
            .filter(|row| row.0 == Table::Log)
            .map(|row| row.2.len() as u64)
            .sum();
        assert_eq!(held, now.bytes);
    }
    let now = tail(&index);
    assert!(now.lost > 0 && now.first == now.lost + 1, "{now:?}");
    let after = |number| {
        index
            .log_after(now.stream, number, usize::MAX)
            .expect("readable")
    };
    assert_eq!(after(begun.last), LogRead::Gap);
    assert_eq!(after(now.first - 2), LogRead::Gap);
    assert!(matches!(after(now.first - 1), LogRead::Entries(held) if !held.is_empty()));
    assert_eq!(after(now.last), LogRead::Entries(vec![]));
    assert_eq!(after(now.last + 1), LogRead::Gap, "it was never there");
    // A backup goes over the gap.
    let kept = keep(&index);
    must(&index, delete("k"));
    let restored = kept.replay(entries(&index, kept.position.number), None);
    assert!(state(&restored.expect("whole")) == state(&index));
    audit(&index, "a log with a bound");
}

#[test]
fn reads_are_bounded_and_trims_keep_the_newest() {
    let index = logged();
    must(&index, create_bucket());
    for number in 1..50 {
        for mutation in put("k", number) {
            must(&index, mutation);
        }
    }
    let all = tail(&index);
    let LogRead::Entries(some) = index.log_after(all.stream, 0, 1).expect("readable") else {
        panic!("a gap");
    };
    // The first entry of a stream changes nothing and so does not count.
    assert_eq!(some.len(), 2);
    wait(index.trim_log(all.stream, 40)).expect("trimmed");
    assert_eq!((tail(&index).first, tail(&index).last), (41, all.last));
    wait(index.trim_log(StreamId([7; 16]), u64::MAX)).expect("nothing to do");
    assert_eq!(
        tail(&index).first,
        41,
        "another stream's numbers mean nothing"
    );
    wait(index.trim_log(all.stream, u64::MAX)).expect("trimmed");
    assert_eq!(
        (tail(&index).first, tail(&index).last),
        (all.last, all.last)
    );
    let before = tail(&index);
    wait(index.trim_log(all.stream, u64::MAX)).expect("nothing left to do");
    assert_eq!(tail(&index), before, "a trim is no change");
    must(&index, delete("k"));
    assert_eq!(tail(&index).last, all.last + 1);
    audit(&index, "trimmed");
}

#[test]
fn a_new_stream_begins_when_the_old_one_says_nothing_any_more() {
    let store = MemoryStore::default();
    let first = over(&store, options(u64::MAX, "key-1"));
    must(&first, create_bucket());
    let (stream, kept) = (tail(&first).stream, keep(&first));
    drop(first);
    let again = over(&store, options(u64::MAX, "key-1"));
    assert_eq!(tail(&again).stream, stream, "a restart is none");
    drop(again);

    let other_tag = over(&store, options(u64::MAX, "key-2"));
    let second = tail(&other_tag);
    assert_ne!(second.stream, stream, "another tag");
    assert_eq!((second.first, second.last), (1, 1));
    assert_eq!(other_tag.log_after(stream, 1, 9), Ok(LogRead::Gap));
    wait(other_tag.restart_log(stream)).expect("not its stream");
    assert_eq!(tail(&other_tag).stream, second.stream);
    must(&other_tag, Mutation::All(put("k", 1)));
    wait(other_tag.restart_log(second.stream)).expect("asked for");
    let third = tail(&other_tag);
    assert_ne!(third.stream, second.stream);
    assert_eq!((third.first, third.last), (1, 1));
    drop(other_tag);

    // Without a log in between, nobody knows what changed.
    let unlogged = MemoryIndex::over(store.clone(), site(), IndexOptions::default());
    let unlogged = unlogged.expect("it opens");
    assert!(unlogged.log_tail().borrow().is_none());
    assert!(
        dump(&unlogged)
            .iter()
            .all(|row| !entry::is_own(row.0, &row.1))
    );
    drop(unlogged);
    let back = over(&store, options(u64::MAX, "key-2"));
    assert_ne!(tail(&back).stream, third.stream);

    // What is made of a backup goes another way.
    drop(kept.replay(vec![], None).expect("whole"));
    let path = kept.folder.path().join("restored");
    let restored = EmbeddedIndex::open(&path, site(), options(u64::MAX, "key-1"));
    assert_ne!(tail(&restored.expect("it opens")).stream, stream);
}

#[test]
fn a_successor_knows_whom_it_succeeds() {
    let index = logged();
    let kept = keep(&index);
    let first = index.identity().epoch;
    assert_eq!(index.predecessors(), Ok(vec![]));
    let second = kept.replay(vec![], Some("e2")).expect("whole");
    assert_eq!(second.identity().epoch, "e2");
    assert_eq!(second.predecessors(), Ok(vec![first.clone()]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let backup = folder.path().join("backup");
    second.backup(&backup, &mut |_| {}).expect("there is room");
    let third = |options: RestoreOptions, name: &str| {
        let target = folder.path().join(name);
        crate::backup::restore(&backup, &target, &options, &mut |_| {}).expect("whole");
        EmbeddedIndex::open(&target, site(), IndexOptions::default()).expect("it opens")
    };
    let successor = RestoreOptions {
        successor: Some("e3".into()),
        ..RestoreOptions::default()
    };
    let epochs = third(successor, "third").predecessors();
    assert_eq!(epochs, Ok(vec![first, "e2".into()]));
    let stranger = RestoreOptions {
        new_epoch: true,
        ..RestoreOptions::default()
    };
    assert_eq!(third(stranger, "stranger").predecessors(), Ok(vec![]));
}

#[test]
fn an_index_of_an_older_format_begins_a_new_stream() {
    let store = MemoryStore::default();
    let first = over(&store, options(u64::MAX, ""));
    must(&first, create_bucket());
    let stream = tail(&first).stream;
    drop(first);
    let mut older = crate::store::Changes::default();
    let format = 3_u32.to_be_bytes().to_vec();
    older.set(Table::Meta, rows::FORMAT.to_vec(), Some(format));
    store.commit(&older).expect("memory does not fail");
    // The step to this format is no commit of the log's.
    let index = over(&store, options(u64::MAX, ""));
    assert_ne!(tail(&index).stream, stream);
    audit(&index, "brought to this format");
}
