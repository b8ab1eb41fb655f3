use weir_types::index::{Applied, Index, Mutation};
use weir_types::record::{Placement, UploadState};

use super::*;
use crate::backup::{RestoreOptions, restore};
use crate::store::MemoryStore;
use crate::testing::*;
use crate::{EmbeddedIndex, IndexOptions, MemoryIndex};

fn embedded(path: &std::path::Path) -> Result<EmbeddedIndex, OpenError> {
    EmbeddedIndex::open(path, site(), IndexOptions::default())
}

fn over(store: MemoryStore, of: &str) -> Result<MemoryIndex, OpenError> {
    let site = SiteId::parse(of).expect("a valid site");
    MemoryIndex::over(store, site, IndexOptions::default())
}

#[test]
fn an_index_is_made_with_its_folder_and_found_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("some/where/index");
    let first = embedded(&path).expect("a new index");
    let identity = first.identity();
    must(&first, create_bucket());
    put("a", 1).into_iter().for_each(|mutation| {
        must(&first, mutation);
    });
    let before = dump(&first);
    drop(first);

    let second = embedded(&path).expect("the same index");
    assert_eq!(second.identity(), identity);
    assert!(dump(&second) == before);
    put("a", 2).into_iter().for_each(|mutation| {
        must(&second, mutation);
    });
    let found = wait(second.lookup(&bucket_name(), &key("a"))).expect("readable");
    assert_eq!(found.version.map(|version| version.seq.0), Some(3));
    audit(&second, "reopened");
}

#[test]
fn two_new_indexes_have_different_epochs() {
    assert_ne!(
        MemoryIndex::new(site()).identity(),
        MemoryIndex::new(site()).identity()
    );
}

#[test]
fn a_second_opener_is_told_which_index_is_in_use() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("index");
    let first = embedded(&path).expect("a new index");
    let refused = embedded(&path).expect_err("it is in use");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(
        refused.to_string().contains(path.to_str().expect("text")),
        "{refused}"
    );
    drop(first);
    embedded(&path).expect("it is free again");
}

#[test]
fn a_creation_that_was_cut_short_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("index");
    std::fs::write(folder.path().join("index.new"), b"half of something").expect("written");
    must(&embedded(&path).expect("a new index"), create_bucket());
}

#[test]
fn a_file_that_is_no_index_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("index");
    std::fs::write(&path, b"my only copy of the thesis").expect("written");
    let refused = embedded(&path).expect_err("not an index");
    assert!(matches!(refused, OpenError::File { .. }), "{refused}");
    assert_eq!(
        std::fs::read(&path).expect("still there"),
        b"my only copy of the thesis"
    );
}

#[test]
fn another_site_and_a_newer_format_are_refused() {
    let store = MemoryStore::default();
    drop(over(store.clone(), "here").expect("a new index"));
    let refused = over(store.clone(), "there").expect_err("another site's");
    assert!(matches!(refused, OpenError::OtherSite { .. }), "{refused}");

    let mut changes = Changes::default();
    let newer = (FORMAT_VERSION + 1).to_be_bytes().to_vec();
    changes.set(Table::Meta, rows::FORMAT.to_vec(), Some(newer));
    // A newer format may spell everything else differently.
    changes.set(Table::Meta, rows::IDENTITY.to_vec(), Some(vec![99]));
    store.commit(&changes).expect("memory does not fail");
    let refused = over(store, "here").expect_err("too new");
    let OpenError::TooNew { found, newest } = refused else {
        panic!("{refused}")
    };
    assert_eq!((found, newest), (FORMAT_VERSION + 1, FORMAT_VERSION));
}

#[test]
fn a_format_without_an_identity_is_damage_not_a_new_index() {
    for lost in [rows::FORMAT, rows::IDENTITY] {
        let store = MemoryStore::default();
        drop(over(store.clone(), "here").expect("a new index"));
        let mut changes = Changes::default();
        changes.set(Table::Meta, lost.to_vec(), None);
        store.commit(&changes).expect("memory does not fail");
        let refused = over(store, "here").expect_err("damaged");
        assert!(matches!(refused, OpenError::Damaged(_)), "{refused}");
    }
}

#[test]
fn a_clone_of_a_memory_store_is_what_a_restart_finds() {
    let store = MemoryStore::default();
    let first = over(store.clone(), "here").expect("a new index");
    let Applied::Bucket(bucket) = must(&first, create_bucket()) else {
        panic!("a bucket")
    };
    drop(first);
    let second = over(store, "here").expect("the same index");
    assert_eq!(wait(second.bucket(&bucket.name)), Ok(Some(bucket)));
}

#[test]
fn an_older_index_is_brought_to_this_format() {
    let store = MemoryStore::default();
    let index = over(store.clone(), "here").expect("a new index");
    let identity = index.identity();
    let completing = [
        vec![create_bucket()],
        create_upload("a", 1),
        create_upload("b", 2),
        vec![put_part(1, 1, 9, 1, vec![1]), begin_complete(1, &[(1, 1)])],
    ];
    for mutation in completing.into_iter().flatten() {
        must(&index, mutation);
    }
    let now = dump(&index);
    drop(index);
    let mut older = Changes::default();
    let format = 1_u32.to_be_bytes().to_vec();
    older.set(Table::Meta, rows::FORMAT.to_vec(), Some(format));
    for (table, key, _) in now.iter().filter(|row| row.0 == Table::Completing) {
        older.set(*table, key.clone(), None);
    }
    store.commit(&older).expect("memory does not fail");

    let index = over(store, "here").expect("an older index opens");
    assert_eq!(index.identity(), identity);
    assert!(dump(&index) == now);
    audit(&index, "brought to this format");
}

/// What the binary of format 2 wrote: an object and a metadata-only copy of it, a tombstone, and
/// an open, a completing and a completed upload.
const FORMAT_2: &[u8] = include_bytes!("fixtures/format-2.backup");

#[test]
fn an_index_of_format_2_is_read_and_written_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (backup, path) = (folder.path().join("backup"), folder.path().join("index"));
    std::fs::write(&backup, FORMAT_2).expect("written");
    restore(&backup, &path, &RestoreOptions::default(), &mut |_| {}).expect("restored");
    let index = embedded(&path).expect("it opens");
    let format = index.read(|reader| reader.get(Table::Meta, rows::FORMAT));
    assert_eq!(format, Ok(Some(FORMAT_VERSION.to_be_bytes().to_vec())));

    let first = Placement {
        revision: "spread@0123".into(),
        reason: "least used of two".into(),
        storage_policy: None,
        ..placement(2)
    };
    for (text, tags) in [
        ("put", vec![("colour".into(), "red".into())]),
        ("shared", vec![]),
    ] {
        let found = wait(index.lookup(&bucket_name(), &key(text))).expect("readable");
        let (version, blob) = (found.version.expect("there"), found.blob.expect("there"));
        assert_eq!(
            (version.blob, blob.refs, &version.tags),
            (blob.blob, 2, &tags)
        );
        assert_eq!(
            (blob.placement, blob.md5, blob.origin),
            (first.clone(), Some([7; 16]), None)
        );
        assert_eq!(version.placement.storage_policy, None);
    }
    let buried = wait(index.tombstone(LIFE, &key("deleted"))).expect("readable");
    assert!(buried.is_some(), "a delete is remembered");
    let completed = wait(index.completed(upload_id(5))).expect("readable");
    assert!(completed.is_some_and(|(_, of, version)| of == key("completed") && version.size == 0));
    audit(&index, "of format 2");

    // What was begun then is finished now, in the present form.
    let open = wait(index.upload(upload_id(3)))
        .expect("readable")
        .expect("there");
    assert_eq!(
        (&open.state, open.placement.home),
        (&UploadState::Open, vec![])
    );
    must(&index, begin_complete(3, &[(1, 1)]));
    must(
        &index,
        Mutation::CommitVersion(Box::new(commit_upload("open", 3))),
    );
    must(
        &index,
        Mutation::CommitVersion(Box::new(commit_upload("completing", 4))),
    );
    must(&index, delete("shared"));
    for text in ["open", "completing"] {
        let found = wait(index.lookup(&bucket_name(), &key(text))).expect("readable");
        let origin = found.blob.expect("there").origin.expect("noted now");
        assert_eq!((origin.bucket, origin.incarnation), (bucket_name(), LIFE));
        assert_eq!(origin.key, key(text));
    }
    audit(&index, "written on");
}
