//! What lies on the backends, seen by walking them and never by asking the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// Behind the bytes of each part lies a tag of this length.
const PART_TAG_BYTES: u64 = 16;
const PARTS_SUFFIX: &str = ".parts";
const MANIFEST: &str = "manifest";

/// Everything on one directory backend.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Stored objects: blob id, and where.
    pub(crate) objects: Vec<(String, Stored)>,
    /// Files of unfinished work: temporary files and parts of uploads.
    pub(crate) unfinished: Vec<PathBuf>,
}

/// One stored object.
#[derive(Debug)]
pub(crate) enum Stored {
    /// A file that is the object's bytes.
    Whole(PathBuf),
    /// Files of parts, in order.
    Parts(Vec<PathBuf>),
}

impl Stored {
    /// The object's bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Whole(path) => read(path),
            Self::Parts(paths) => {
                let mut all = Vec::new();
                for path in paths {
                    let mut part = read(path)?;
                    let length = part.len() as u64 - PART_TAG_BYTES.min(part.len() as u64);
                    part.truncate(usize::try_from(length).unwrap_or(usize::MAX));
                    all.append(&mut part);
                }
                Ok(all)
            }
        }
    }
}

/// Walks the folder of a directory backend.
pub(crate) fn walk(folder: &Path) -> Result<Directory> {
    let mut found = Directory::default();
    for unfinished in ["tmp", "uploads"] {
        files(&folder.join(unfinished), &mut found.unfinished)?;
    }
    let mut all = Vec::new();
    files(&folder.join("w1"), &mut all)?;
    let mut parts: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in all {
        let parent = path.parent().unwrap_or(folder).to_owned();
        if parent.to_string_lossy().ends_with(PARTS_SUFFIX) {
            let of = parts.entry(parent).or_default();
            if !path.ends_with(MANIFEST) {
                of.push(path);
            }
        } else {
            found.objects.push((blob_of(&path), Stored::Whole(path)));
        }
    }
    for (object, mut files) in parts {
        files.sort();
        found.objects.push((blob_of(&object), Stored::Parts(files)));
    }
    Ok(found)
}

/// On how many backends each blob lies, and on which twice.
pub(crate) fn copies<'a>(
    backends: impl IntoIterator<Item = (&'a str, Vec<String>)>,
) -> Result<BTreeMap<String, BTreeSet<&'a str>>> {
    let mut copies: BTreeMap<String, BTreeSet<&'a str>> = BTreeMap::new();
    for (backend, blobs) in backends {
        for blob in blobs {
            if !copies.entry(blob.clone()).or_default().insert(backend) {
                return Err(format!("{backend} holds blob {blob} twice"));
            }
        }
    }
    Ok(copies)
}

/// The blob in the last step of a backend key, `<blob>.<attempt>`.
pub(crate) fn blob_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(format!("cannot read {}: {e}", folder.display())),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into)?
        } else {
            into.push(path)
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}
