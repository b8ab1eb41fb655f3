use std::cell::Cell;

use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::index::{Index, ListEntry, ListPage, ListQuery, Mutation, UploadsQuery};

use super::*;
use crate::MemoryIndex;
use crate::store::{Step, View, Visit};
use crate::testing::*;

/// Counts the rows that a question reads.
struct Counting<'r> {
    reader: &'r dyn Reader,
    rows: Cell<usize>,
}

impl Reader for Counting<'_> {
    fn view(&self, table: Table, key: &[u8], view: &mut View<'_>) -> Result<(), IndexError> {
        self.rows.set(self.rows.get() + 1);
        self.reader.view(table, key, view)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), IndexError> {
        self.reader
            .scan(table, from, &mut |key, value| -> Result<Step, IndexError> {
                self.rows.set(self.rows.get() + 1);
                visit(key, value)
            })
    }
}

fn index_with(texts: &[String]) -> MemoryIndex {
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    for (number, text) in (1..).zip(texts) {
        put(text, number).into_iter().for_each(|mutation| {
            must(&index, mutation);
        });
    }
    index
}

fn all(prefix: &str, delimiter: Option<&str>) -> ListQuery {
    ListQuery {
        bucket: LIFE,
        prefix: prefix.into(),
        delimiter: delimiter.map(str::to_owned),
        after: None,
        limit: 1000,
    }
}

fn texts(page: &ListPage) -> Vec<String> {
    page.entries.iter().map(entry_text).collect()
}

fn entry_text(entry: &ListEntry) -> String {
    match entry {
        ListEntry::Object(key, _) => key.as_str().to_owned(),
        ListEntry::Prefix(prefix) => prefix.clone(),
    }
}

fn listed(index: &MemoryIndex, query: ListQuery) -> ListPage {
    wait(index.list(query)).expect("memory does not fail")
}

/// What a listing is, said plainly: fold every key, keep what is after, cut.
fn model(keys: &[String], query: &ListQuery) -> (Vec<String>, bool) {
    let mut entries: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix)) {
        let rest = &key[query.prefix.len()..];
        let folded = query.delimiter.as_ref().and_then(|delimiter| {
            rest.find(delimiter.as_str())
                .map(|at| key[..query.prefix.len() + at + delimiter.len()].to_owned())
        });
        entries.push(folded.unwrap_or_else(|| key.clone()));
    }
    entries.sort();
    entries.dedup();
    entries.retain(|entry| query.after.as_ref().is_none_or(|after| entry > after));
    let more = query.limit > 0 && entries.len() > query.limit;
    entries.truncate(query.limit);
    (entries, more)
}

fn random_text(entropy: &SeededEntropy, longest: u64) -> String {
    const LETTERS: [&str; 6] = ["a", "b", "/", "//", "é", "\u{1}"];
    let length = entropy.u64() % (longest + 1);
    (0..length)
        .map(|_| LETTERS[usize::try_from(entropy.u64() % 6).expect("small")])
        .collect()
}

#[test]
fn listings_agree_with_a_plain_model() {
    for seed in 0..60 {
        announce(seed);
        let entropy = SeededEntropy::new(seed);
        let mut keys: Vec<String> = (0..entropy.u64() % 30)
            .map(|_| random_text(&entropy, 5))
            .filter(|key| !key.is_empty())
            .collect();
        keys.sort();
        keys.dedup();
        let index = index_with(&keys);
        for _ in 0..60 {
            let delimiter = [None, Some("/"), Some("//"), Some("a"), Some("")]
                [usize::try_from(entropy.u64() % 5).expect("small")];
            let mut query = all(&random_text(&entropy, 2), delimiter);
            query.limit = usize::try_from(entropy.u64() % 6).expect("small");
            if entropy.u64().is_multiple_of(2) {
                query.after = Some(random_text(&entropy, 4));
            }
            let page = listed(&index, query.clone());
            if query.delimiter.as_deref() == Some("") {
                query.delimiter = None;
            }
            assert_eq!(
                (texts(&page), page.more),
                model(&keys, &query),
                "seed {seed} {query:?} {keys:?}"
            );
        }
    }
}

#[test]
fn following_pages_gives_the_whole_listing_once() {
    let keys: Vec<String> = ["a", "a/1", "a/2", "a//", "b/", "b/1", "c", "d/e/f", "é/x"]
        .map(String::from)
        .to_vec();
    let index = index_with(&keys);
    for delimiter in [None, Some("/")] {
        for limit in 1..5 {
            let mut found = Vec::new();
            let mut query = ListQuery {
                limit,
                ..all("", delimiter)
            };
            loop {
                let page = listed(&index, query.clone());
                found.extend(texts(&page));
                query.after = page.entries.last().map(entry_text);
                if !page.more {
                    break;
                }
            }
            assert_eq!(
                found,
                texts(&listed(&index, all("", delimiter))),
                "{delimiter:?} {limit}"
            );
        }
    }
}

#[test]
fn pages_stay_in_step_while_keys_come_and_go() {
    let keys: Vec<String> = (0..20).map(|number| format!("k{number:02}")).collect();
    let index = index_with(&keys);
    let first = listed(
        &index,
        ListQuery {
            limit: 5,
            ..all("", None)
        },
    );
    for mutation in [delete("k02"), delete("k04"), delete("k06")] {
        must(&index, mutation);
    }
    put("k03x", 50)
        .into_iter()
        .chain(put("k05x", 51))
        .for_each(|mutation| {
            must(&index, mutation);
        });
    let after = first.entries.last().map(entry_text);
    let rest = listed(
        &index,
        ListQuery {
            after,
            ..all("", None)
        },
    );
    let mut expected: Vec<String> = keys[5..].to_vec();
    expected.retain(|key| key != "k06");
    expected.insert(1, "k05x".into());
    assert_eq!(texts(&rest), expected);
}

#[test]
fn keys_beneath_a_common_prefix_are_skipped_not_read() {
    let mut keys = Vec::new();
    for folder in ["a", "b", "c"] {
        keys.extend((0..200).map(|number| format!("{folder}/{number:03}")));
    }
    let index = index_with(&keys);
    for (prefix, after, entries, rows_max) in [
        ("", None, 3, 3),
        ("", Some("a/"), 2, 2),
        ("", Some("a/077"), 2, 2),
        ("b/19", None, 10, 11),
        ("c/", Some("c/190"), 9, 9),
        ("d/", None, 0, 0),
    ] {
        let mut query = all(prefix, Some("/"));
        query.after = after.map(str::to_owned);
        let (page, rows) = index
            .read(|reader| {
                let counting = Counting {
                    reader,
                    rows: Cell::new(0),
                };
                Ok((list(&counting, &query)?, counting.rows.get()))
            })
            .expect("memory does not fail");
        assert_eq!(page.entries.len(), entries, "{query:?}");
        assert!(rows <= rows_max, "{query:?} read {rows} rows");
    }
}

#[test]
fn a_page_without_room_is_empty_and_the_last() {
    let index = index_with(&["a".into()]);
    assert_eq!(
        listed(
            &index,
            ListQuery {
                limit: 0,
                ..all("", None)
            }
        ),
        ListPage::default()
    );
}

#[test]
fn listings_of_another_bucket_are_empty() {
    let index = index_with(&["a".into()]);
    for life in [0, 2, u64::MAX] {
        let bucket = weir_types::id::Incarnation(life);
        assert_eq!(
            listed(
                &index,
                ListQuery {
                    bucket,
                    ..all("", None)
                }
            ),
            ListPage::default()
        );
    }
}

fn uploads_index() -> MemoryIndex {
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    for (number, text) in [
        (5, "a"),
        (3, "a"),
        (4, "a\u{1}"),
        (2, "b/1"),
        (6, "b/2"),
        (1, "c"),
    ] {
        create_upload(text, number)
            .into_iter()
            .for_each(|mutation| {
                must(&index, mutation);
            });
    }
    index
}

/// The whole listing, in pages of `limit`.
fn upload_pages(index: &MemoryIndex, query: UploadsQuery) -> Vec<String> {
    let mut query = query;
    let mut found = Vec::new();
    loop {
        let page = wait(index.uploads(query.clone())).expect("memory does not fail");
        assert!(page.uploads.len() + page.prefixes.len() <= query.limit);
        found.extend(page.prefixes);
        found.extend(
            page.uploads
                .iter()
                .map(|u| format!("{}#{}", u.key, u.upload_id.0)),
        );
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

#[test]
fn uploads_are_listed_by_key_and_id_in_pages_of_any_size() {
    let index = uploads_index();
    let query = |prefix: &str, delimiter: Option<&str>, after, limit| UploadsQuery {
        bucket: LIFE,
        prefix: prefix.into(),
        delimiter: delimiter.map(str::to_owned),
        after,
        limit,
    };
    for limit in 1..8 {
        for (prefix, delimiter, after, expected) in [
            (
                "",
                None,
                None,
                &["a#3", "a#5", "a\u{1}#4", "b/1#2", "b/2#6", "c#1"][..],
            ),
            (
                "",
                None,
                Some(("a", None)),
                &["a\u{1}#4", "b/1#2", "b/2#6", "c#1"],
            ),
            (
                "",
                None,
                Some(("a", Some(3))),
                &["a#5", "a\u{1}#4", "b/1#2", "b/2#6", "c#1"],
            ),
            (
                "",
                None,
                Some(("a", Some(5))),
                &["a\u{1}#4", "b/1#2", "b/2#6", "c#1"],
            ),
            ("b/", None, None, &["b/1#2", "b/2#6"]),
            ("b/", None, Some(("a", None)), &["b/1#2", "b/2#6"]),
            ("b", Some("/"), None, &["b/"]),
            ("", Some("/"), Some(("b/", None)), &["c#1"]),
            ("", Some("/"), Some(("b/1", Some(2))), &["c#1"]),
        ] {
            let after =
                after.map(|(key, id): (&str, Option<u32>)| (key.to_owned(), id.map(upload_id)));
            let found = upload_pages(&index, query(prefix, delimiter, after.clone(), limit));
            assert_eq!(found, expected, "{prefix} {delimiter:?} {after:?} {limit}");
        }
    }
    let empty = wait(index.uploads(query("", None, None, 0))).expect("memory does not fail");
    assert_eq!(empty, Default::default());
}

#[test]
fn uploads_are_open_until_they_complete_or_abort() {
    let index = uploads_index();
    must(&index, put_part(5, 1, 1, 1, vec![1]));
    must(&index, begin_complete(5, &[(1, 1)]));
    must(
        &index,
        Mutation::AbortUpload {
            upload: upload_id(2),
            only_open: false,
            now: at(9),
        },
    );
    let stale = |before, limit| wait(index.stale_uploads(at(before), limit)).expect("readable");
    assert_eq!(stale(100, 9), [1, 3, 4, 6].map(upload_id));
    assert_eq!(stale(100, 2), [1, 3].map(upload_id));
    assert_eq!(stale(4, 9), [1, 3].map(upload_id));
}

#[test]
fn pages_of_rows_go_on_after_the_last() {
    let index = index_with(&["a".into(), "b".into(), "c".into()]);
    for number in [7, 8, 9] {
        must(&index, begin(number, 1));
    }
    create_upload("up", 20).into_iter().for_each(|mutation| {
        must(&index, mutation);
    });
    for number in [1, 5, 9] {
        must(&index, put_part(20, number, 1, 1, vec![]));
    }
    let blobs = wait(index.blobs(Some(blob_id(1)), 1)).expect("readable");
    assert_eq!(
        blobs.iter().map(|blob| blob.blob).collect::<Vec<_>>(),
        [blob_id(2)]
    );
    let copies = wait(index.copies_on(&backend(1), Some((blob_id(1), 0)), 9)).expect("readable");
    assert_eq!(
        copies.iter().map(|(blob, _)| *blob).collect::<Vec<_>>(),
        [2, 3].map(blob_id)
    );
    assert_eq!(wait(index.copies_on(&backend(2), None, 9)), Ok(vec![]));
    let intents = wait(index.intents(Some(intent_id(7)), 9)).expect("readable");
    assert_eq!(
        intents.iter().map(|i| i.intent).collect::<Vec<_>>(),
        [8, 9, 20].map(intent_id)
    );
    let page = wait(index.parts(upload_id(20), 1, 1)).expect("readable");
    assert_eq!((page.parts[0].number, page.more), (part_number(5), true));
    let page = wait(index.parts(upload_id(20), 5, 1)).expect("readable");
    assert_eq!((page.parts[0].number, page.more), (part_number(9), false));
    for empty in [
        wait(index.blobs(None, 0)).map(|found| found.len()),
        wait(index.intents(None, 0)).map(|found| found.len()),
        wait(index.copies_on(&backend(1), None, 0)).map(|found| found.len()),
        wait(index.due(at(999), 0)).map(|found| found.len()),
        wait(index.parts(upload_id(20), 0, 0)).map(|found| found.parts.len()),
        wait(index.versions(LIFE, &key("a"), 0)).map(|found| found.len()),
        wait(index.stale_uploads(at(999), 0)).map(|found| found.len()),
    ] {
        assert_eq!(empty, Ok(0));
    }
}

#[test]
fn noncurrent_versions_follow_the_current_one() {
    use crate::store::{Changes, MemoryStore, Store};
    use weir_types::codec::Record;

    let store = MemoryStore::default();
    let mut changes = Changes::default();
    let row = |number| {
        [
            keys::history(LIFE, "a"),
            (!u64::from(number)).to_be_bytes().to_vec(),
        ]
        .concat()
    };
    for number in [3_u32, 5] {
        changes.set(Table::History, row(number), Some(draft(number, 1).encode()));
    }
    changes.set(
        Table::Current,
        keys::object(LIFE, "a"),
        Some(draft(9, 1).encode()),
    );
    changes.set(
        Table::History,
        [keys::history(LIFE, "a/"), vec![0; 8]].concat(),
        Some(draft(7, 1).encode()),
    );
    store.commit(&changes).expect("memory does not fail");
    let snapshot = store.snapshot().expect("memory does not fail");
    for (limit, expected) in [(1, &[9][..]), (2, &[9, 5]), (9, &[9, 5, 3])] {
        let found = versions(&snapshot, LIFE, &key("a"), limit).expect("readable");
        let found: Vec<u128> = found.iter().map(|version| version.version_id.0).collect();
        assert_eq!(found, expected);
    }
}
