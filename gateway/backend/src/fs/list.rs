//! Listing in byte order of keys, across folders, reading only folders that can matter.

use std::io::ErrorKind;

use weir_types::backend::{BackendEntry, BackendError, BackendPage, OWNER_KEY};

use super::layer::FileLayer;
use super::layout::{self, PARTS_SUFFIX};
use super::read::{confirm_root, read_manifest};
use crate::io_error::io_error;

/// Folders within folders: ours are three deep; strangers' may not lead us further.
const DEPTH_MAX: usize = 8;

/// One page.
pub(super) fn list(
    layer: &dyn FileLayer,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<BackendPage, BackendError> {
    confirm_root(layer)?;
    let mut walk = Walk {
        layer,
        prefix,
        after,
        limit,
        page: BackendPage::default(),
    };
    let top = vec![
        Child {
            sort: OWNER_KEY.to_owned(),
            kind: Kind::File,
        },
        Child {
            sort: format!("{}/", layout::INDEX),
            kind: Kind::Folder,
        },
        Child {
            sort: format!("{}/", layout::OBJECTS),
            kind: Kind::Folder,
        },
    ];
    walk.children("", top, 0)?;
    Ok(walk.page)
}

#[derive(Clone, Copy)]
enum Kind {
    Folder,
    File,
    Parts,
}

/// A name in a folder, as it continues a key: a folder's ends in `/`, for that is what its
/// keys continue with, and it decides the order (`a-b/` comes before `a/`).
struct Child {
    sort: String,
    kind: Kind,
}

struct Walk<'a> {
    layer: &'a dyn FileLayer,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    page: BackendPage,
}

impl Walk<'_> {
    /// Whether a key that starts with `start` can belong to the page.
    fn may_hold(&self, start: &str) -> bool {
        let fits = start.starts_with(self.prefix) || self.prefix.starts_with(start);
        fits && self
            .after
            .is_none_or(|after| after < start || after.starts_with(start))
    }

    fn takes(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| after < key)
    }

    fn folder(&mut self, path: &str, depth: usize) -> Result<(), BackendError> {
        let names = match self.layer.read_folder(path) {
            Ok(names) => names,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io_error("read folder", &e)),
        };
        let children = names
            .into_iter()
            .map(
                |entry| match (entry.is_folder, entry.name.strip_suffix(PARTS_SUFFIX)) {
                    (true, Some(key)) => Child {
                        sort: key.to_owned(),
                        kind: Kind::Parts,
                    },
                    (true, None) => Child {
                        sort: format!("{}/", entry.name),
                        kind: Kind::Folder,
                    },
                    (false, _) => Child {
                        sort: entry.name,
                        kind: Kind::File,
                    },
                },
            )
            .collect();
        self.children(&format!("{path}/"), children, depth)
    }

    fn children(
        &mut self,
        start: &str,
        mut children: Vec<Child>,
        depth: usize,
    ) -> Result<(), BackendError> {
        children.sort_unstable_by(|a, b| a.sort.cmp(&b.sort));
        for child in children {
            let key = format!("{start}{}", child.sort);
            match child.kind {
                Kind::Folder if depth < DEPTH_MAX && self.may_hold(&key) => {
                    self.folder(key.trim_end_matches('/'), depth + 1)?;
                }
                Kind::File | Kind::Parts if self.takes(&key) => self.entry(key, child.kind)?,
                _ => {}
            }
            if self.page.more {
                break;
            }
        }
        Ok(())
    }

    fn entry(&mut self, key: String, kind: Kind) -> Result<(), BackendError> {
        let size = match kind {
            Kind::Parts => self.size_of_parts(&key),
            Kind::File | Kind::Folder => match self.layer.len(&key) {
                Ok(size) => size,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(io_error("stat", &e)),
            },
        };
        if self.page.entries.len() < self.limit {
            self.page.entries.push(BackendEntry { key, size });
        } else {
            self.page.more = true;
        }
        Ok(())
    }

    /// What the manifest says; 0 where it cannot be read: the key must still be listed, so
    /// that it can be repaired or removed.
    fn size_of_parts(&self, key: &str) -> u64 {
        match read_manifest(self.layer, &format!("{key}{PARTS_SUFFIX}")) {
            Ok(Some(manifest)) => manifest.size().unwrap_or(0),
            Ok(None) | Err(_) => 0,
        }
    }
}
