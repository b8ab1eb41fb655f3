//! Components that were loaded, by the digest of their bytes.
//!
//! A component is durable here before any step names it, and is checked against its name
//! whenever it is read. Nobody but the owner of the process can read or write the folder.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::first_run::{make_data_dir, write_private};

/// SHA-256 of a component, in lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(digest(&SHA256, bytes)))
    }

    /// 64 lowercase hexadecimal digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 64 && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no SHA-256"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A component out of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The component.
    pub component: Vec<u8>,
    /// Its signature, when it came with one.
    pub signature: Option<Vec<u8>>,
}

/// The folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    kept_max: usize,
}

impl Store {
    /// Opens the folder, which is made when it is missing. Beside the components that are in
    /// use, `kept_max` are kept. What a crash left half written goes.
    pub fn open(folder: PathBuf, kept_max: usize) -> io::Result<Self> {
        make_data_dir(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".new") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder, kept_max })
    }

    /// Keeps a component; durable when this returns. One that is there already is not written
    /// again, but its signature may be a new one.
    pub fn put(&self, component: &[u8], signature: Option<&[u8]>) -> io::Result<Digest> {
        let digest = Digest::of(component);
        if let Some(signature) = signature {
            let file = self.signature_file(&digest);
            if fs::read(&file).ok().as_deref() != Some(signature) {
                write_private(&file, signature)?;
            }
        }
        let file = self.component_file(&digest);
        // One that was damaged since is written anew.
        if fs::read(&file).ok().as_deref() != Some(component) {
            write_private(&file, component)?;
        }
        Ok(digest)
    }

    /// A component with its signature. Fails when the bytes are not those of the name.
    pub fn get(&self, digest: &Digest) -> io::Result<Stored> {
        let file = self.component_file(digest);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let component = fs::read(&file).map_err(named)?;
        if Digest::of(&component) != *digest {
            return Err(named(io::Error::other("the file was changed")));
        }
        let signature = match fs::read(self.signature_file(digest)) {
            Ok(signature) => Some(signature),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(named(error)),
        };
        Ok(Stored {
            component,
            signature,
        })
    }

    /// Removes the oldest components that nobody uses, but for the newest `kept_max`.
    pub fn prune(&self, used: &BTreeSet<Digest>) -> io::Result<()> {
        let mut unused: Vec<(SystemTime, Digest)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_string_lossy();
            let digest = digest.strip_suffix(".wasm").and_then(Digest::parse);
            if let Some(digest) = digest.filter(|digest| !used.contains(digest)) {
                unused.push((entry.metadata()?.modified()?, digest));
            }
        }
        unused.sort();
        let gone = unused.len().saturating_sub(self.kept_max);
        for (_, digest) in &unused[..gone] {
            fs::remove_file(self.component_file(digest))?;
            match fs::remove_file(self.signature_file(digest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn component_file(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    fn signature_file(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.sig"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(folder: &std::path::Path, kept_max: usize) -> Store {
        Store::open(folder.join("components"), kept_max).expect("opened")
    }

    #[test]
    fn what_was_put_is_got_and_only_the_owner_sees_it() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let store = open(scratch.path(), 0);
        let digest = store.put(b"one", Some(b"by me")).expect("kept");
        assert_eq!(digest, Digest::of(b"one"));
        let got = store.get(&digest).expect("there");
        assert_eq!(
            (got.component, got.signature),
            (b"one".to_vec(), Some(b"by me".to_vec()))
        );
        for (path, mode) in [
            (scratch.path().join("components"), 0o700),
            (store.component_file(&digest), 0o600),
            (store.signature_file(&digest), 0o600),
        ] {
            let meta = fs::metadata(&path).expect("there");
            assert_eq!(
                meta.permissions().mode() & 0o777,
                mode,
                "{}",
                path.display()
            );
        }
        assert!(store.get(&Digest::of(b"two")).is_err(), "never put");
    }

    #[test]
    fn a_changed_file_is_noticed_and_mended() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let store = open(scratch.path(), 0);
        let digest = store.put(b"one", None).expect("kept");
        fs::write(store.component_file(&digest), b"onf").expect("changed");
        let error = store.get(&digest).expect_err("noticed").to_string();
        assert!(error.contains("was changed"), "{error}");
        store.put(b"one", None).expect("kept again");
        assert_eq!(store.get(&digest).expect("there").component, b"one");
    }

    #[test]
    fn what_is_in_use_stays_and_of_the_rest_the_newest() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let store = open(scratch.path(), 2);
        let put = |name: &str, age: u64| {
            let digest = store.put(name.as_bytes(), Some(b"s")).expect("kept");
            let file = fs::File::options()
                .append(true)
                .open(store.component_file(&digest));
            let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age);
            file.expect("there").set_modified(then).expect("set");
            digest
        };
        let all = [
            put("oldest", 5),
            put("used", 4),
            put("old", 3),
            put("new", 2),
            put("newest", 1),
        ];
        store
            .prune(&BTreeSet::from([all[1].clone()]))
            .expect("pruned");
        let there: Vec<_> = all.iter().map(|digest| store.get(digest).is_ok()).collect();
        assert_eq!(there, [false, true, false, true, true]);
        let files = fs::read_dir(scratch.path().join("components"))
            .expect("there")
            .count();
        assert_eq!(files, 6, "signatures went too");
    }

    #[test]
    fn what_a_crash_left_is_removed() {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let store = open(scratch.path(), 0);
        let digest = store.put(b"one", None).expect("kept");
        let half = store.folder.join("00.wasm.new");
        fs::write(&half, b"ha").expect("written");
        let store = open(scratch.path(), 0);
        assert!(!half.exists() && store.get(&digest).is_ok());
    }
}
