use weir_types::index::{Index, IndexIdentity, Mutation};

use super::*;
use crate::testing::*;
use crate::{EmbeddedIndex, IndexOptions, MemoryIndex};

/// An index with some rows and enough bytes for several blocks.
fn busy() -> MemoryIndex {
    let index = MemoryIndex::new(site());
    must(&index, create_bucket());
    for number in 1..=3000 {
        put(&format!("key-{number}"), number)
            .into_iter()
            .for_each(|mutation| {
                must(&index, mutation);
            });
    }
    create_upload("up", 5000).into_iter().for_each(|mutation| {
        must(&index, mutation);
    });
    must(&index, put_part(5000, 1, 1, 1, (0..4096).collect()));
    index
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.into_string().expect("text"))
            .collect();
        names.sort();
        names
    }
}

fn restored(folder: &Folder, new_epoch: bool) -> Result<IndexIdentity, BackupError> {
    let options = RestoreOptions {
        new_epoch,
        ..RestoreOptions::default()
    };
    restore(
        &folder.path("backup"),
        &folder.path("index"),
        &options,
        &mut |_| {},
    )
    .map(|(identity, _)| identity)
}

fn open(folder: &Folder) -> EmbeddedIndex {
    EmbeddedIndex::open(&folder.path("index"), site(), IndexOptions::default()).expect("it opens")
}

#[test]
fn a_restored_backup_is_the_index_it_was_taken_of() {
    let (index, folder) = (busy(), Folder::new());
    let mut told = Vec::new();
    let written = index
        .backup(&folder.path("backup"), &mut |progress| told.push(progress))
        .expect("there is room");
    assert!(told.len() > 2, "several blocks: {told:?}");
    assert!(told.is_sorted_by_key(|progress| (progress.rows, progress.bytes)));
    assert_eq!(told.last(), Some(&written));
    assert_eq!(written.rows, dump(&index).len() as u64);
    let bytes = std::fs::metadata(folder.path("backup"))
        .expect("it is there")
        .len();
    assert_eq!(written.bytes, bytes);

    let checked = verify(&folder.path("backup"), &mut |_| {}).expect("it is whole");
    assert_eq!(checked, (index.identity(), written));
    assert_eq!(
        restored(&folder, false).expect("it is whole"),
        index.identity()
    );
    let found = open(&folder);
    assert!(dump(&found) == dump(&index));
    audit(&found, "restored");
    drop(found);
    assert_eq!(folder.names(), ["backup", "index", "index.lock"]);
}

#[test]
fn a_backup_shows_one_state_although_the_index_goes_on() {
    let folder = Folder::new();
    let index = EmbeddedIndex::open(&folder.path("live"), site(), IndexOptions::default());
    let index = index.expect("a new index");
    must(&index, create_bucket());
    must(
        &index,
        Mutation::All(
            (1..=3000)
                .flat_map(|n| put(&format!("key-{n}"), n))
                .collect(),
        ),
    );
    let before = dump(&index);
    let mut number = 10_000;
    index
        .backup(&folder.path("backup"), &mut |_| {
            number += 1;
            put("meanwhile", number).into_iter().for_each(|mutation| {
                must(&index, mutation);
            });
        })
        .expect("there is room");
    assert!(number > 10_001, "the index went on");
    restored(&folder, false).expect("it is whole");
    assert!(dump(&open(&folder)) == before);
    assert!(dump(&index) != before);
}

#[test]
fn a_new_epoch_is_given_only_when_told_to() {
    let (index, folder) = (busy(), Folder::new());
    index
        .backup(&folder.path("backup"), &mut |_| {})
        .expect("there is room");
    let identity = restored(&folder, true).expect("it is whole");
    assert_eq!(identity.site, index.identity().site);
    assert_ne!(identity.epoch, index.identity().epoch);
    assert_eq!(open(&folder).identity(), identity);
}

#[test]
fn nothing_is_overwritten() {
    let (index, folder) = (busy(), Folder::new());
    std::fs::write(folder.path("backup"), b"an older one").expect("written");
    let refused = index
        .backup(&folder.path("backup"), &mut |_| {})
        .expect_err("it exists");
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
    assert_eq!(
        std::fs::read(folder.path("backup")).expect("there"),
        b"an older one"
    );
    std::fs::remove_file(folder.path("backup")).expect("removed");

    index
        .backup(&folder.path("backup"), &mut |_| {})
        .expect("there is room");
    must(&open(&folder), create_bucket());
    let refused = restored(&folder, false).expect_err("there is an index");
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
    let live = open(&folder);
    let refused = restored(&folder, false).expect_err("it is at work");
    assert!(
        matches!(refused, BackupError::Open(OpenError::InUse { .. })),
        "{refused}"
    );
    drop(live);
}

#[test]
fn a_backup_that_was_cut_damaged_or_put_together_wrongly_is_refused_and_leaves_no_index() {
    let (index, folder) = (busy(), Folder::new());
    index
        .backup(&folder.path("backup"), &mut |_| {})
        .expect("there is room");
    let whole = std::fs::read(folder.path("backup")).expect("it is there");
    let first_block = 12 + 16 + u32::from_le_bytes(whole[12..16].try_into().expect("4")) as usize;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let too_new = [&whole[..8], &2_u32.to_le_bytes(), &whole[12..]].concat();
    for (name, bytes, told) in [
        ("empty", Vec::new(), "cut short"),
        (
            "something else",
            b"SQLite format 3\0".to_vec(),
            "not a backup",
        ),
        ("newer", too_new, "format 2"),
        (
            "without its last block",
            whole[..whole.len() - 16].to_vec(),
            "cut short",
        ),
        (
            "cut in a block",
            whole[..whole.len() / 2].to_vec(),
            "cut short",
        ),
        ("a flipped length", flipped(15), "impossible length"),
        ("a flipped row count", flipped(17), "checksum"),
        ("a flipped checksum", flipped(24), "checksum"),
        ("a flipped row", flipped(whole.len() / 2), "checksum"),
        ("a flipped end", flipped(whole.len() - 1), "checksum"),
        (
            "a missing block",
            [&whole[..12], &whole[first_block..]].concat(),
            "out of place",
        ),
        (
            "more after the end",
            [&whole[..], b"x"].concat(),
            "bytes follow",
        ),
    ] {
        std::fs::write(folder.path("backup"), bytes).expect("written");
        let refused = restored(&folder, false).expect_err(name).to_string();
        assert!(refused.contains(told), "{name}: {refused}");
        assert_eq!(folder.names(), ["backup", "index.lock"], "{name}");
    }
}

#[test]
fn a_backup_without_an_identity_is_refused() {
    let folder = Folder::new();
    let file = create(&folder.path("backup")).expect("created");
    let out = format::Writer::new(file).expect("written");
    out.finish().expect("written");
    let refused = restored(&folder, false)
        .expect_err("of no index")
        .to_string();
    assert!(refused.contains("which index"), "{refused}");
}
