use std::os::unix::fs::PermissionsExt as _;

use weir_types::id::SiteId;

use super::*;
use crate::{EmbeddedIndex, IndexOptions};

fn mode(path: &Path) -> u32 {
    let meta = std::fs::metadata(path).expect("it exists");
    meta.permissions().mode() & 0o7777
}

fn open(path: &Path) {
    let site = SiteId::parse("here").expect("a valid id");
    drop(EmbeddedIndex::open(path, site, IndexOptions::default()).expect("opened"));
}

#[test]
fn what_an_older_start_left_open_to_others_is_its_owners_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a/b/index.redb");
    let lock = beside(&path, "lock");
    open(&path);
    let folders = [dir.path().join("a"), dir.path().join("a/b")];
    for folder in &folders {
        assert_eq!(mode(folder), 0o700, "made so: {}", folder.display());
    }
    for (at, before, want) in [
        (&path, 0o644, 0o600),
        (&path, 0o660, 0o600),
        (&lock, 0o644, 0o600),
        (&folders[1], 0o755, 0o700),
        // Everybody's, like /tmp.
        (&folders[1], 0o1777, 0o1777),
    ] {
        std::fs::set_permissions(at, Permissions::from_mode(before)).expect("set");
        open(&path);
        assert_eq!(mode(at), want, "{} was {before:o}", at.display());
    }
}
