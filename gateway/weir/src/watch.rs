//! Noticing that files have changed, by looking.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a set of files looked like: changes whenever one of them does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<Look>>);

/// Inode, size and times of one file. A replaced file has another inode, a rewritten one
/// another time of change, which nobody can set back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Fingerprint {
    /// How the files look now; links are followed, as secret stores use them.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        let look = |file: &Path| {
            let meta = std::fs::metadata(file).ok()?;
            Some(Look {
                device: meta.dev(),
                inode: meta.ino(),
                size: meta.size(),
                changed: (meta.ctime(), meta.ctime_nsec()),
                modified: (meta.mtime(), meta.mtime_nsec()),
            })
        };
        Self(files.into_iter().map(look).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (a, b) = (scratch.path().join("a"), scratch.path().join("b"));
        let now = || Fingerprint::of([a.as_path(), b.as_path()]);
        let nothing = now();
        std::fs::write(&a, "1").expect("written");
        let one = now();
        assert_ne!(nothing, one, "a file appeared");
        assert_eq!(one, now(), "nothing happened");
        std::fs::write(&b, "1").expect("written");
        std::fs::rename(&b, &a).expect("replaced");
        assert_ne!(one, now(), "replaced by one of the same size");
        std::fs::write(&a, "22").expect("written");
        let longer = now();
        std::fs::remove_file(&a).expect("removed");
        assert_ne!(longer, now(), "a file went");
    }
}
