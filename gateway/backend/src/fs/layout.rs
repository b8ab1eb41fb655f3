//! Where things lie in a backend's directory. The only maker of paths.
//!
//! ```text
//! w1-owner                                  the owner marker
//! w1-index/<site>/<epoch>/…                 copies of an index: files as they are
//! w1/<site>/<shard>/<blob>.<attempt>        an object that was put whole: its bytes
//! w1/<site>/<shard>/<blob>.<attempt>.parts/ an object put in parts:
//!     manifest                                  sizes of its parts in order
//!     00001, 00002, …                           each part's bytes, then its 16-byte tag
//! uploads/<key with _ for />~<upload>/      an unfinished upload: its parts
//! tmp/<random>                              being written, or being removed
//! ```
//!
//! Nothing but a [`BackendKey`], a parsed [`FsUpload`] or random hex ever becomes part of a
//! path.

use weir_types::entropy::Entropy;
use weir_types::id::{BackendKey, PartNumber};

/// Folder of files being written and of folders being removed.
pub(super) const TMP: &str = "tmp";
/// Folder of unfinished uploads.
pub(super) const UPLOADS: &str = "uploads";
/// Top folder of objects.
pub(super) const OBJECTS: &str = "w1";
/// Top folder of copies of indexes.
pub(super) const INDEX: &str = "w1-index";
/// Name of the manifest in a folder of parts.
pub(super) const MANIFEST: &str = "manifest";
/// What a folder of parts has after the object's name.
pub(super) const PARTS_SUFFIX: &str = ".parts";

/// The folder of parts of the object `key`.
pub(super) fn parts_folder(key: &BackendKey) -> String {
    format!("{key}{PARTS_SUFFIX}")
}

/// The folder that holds `path`; `""` for what lies at the top.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Name of part `number` in its folder.
pub(super) fn part_name(number: PartNumber) -> String {
    format!("{:05}", number.get())
}

/// A new path in [`TMP`].
pub(super) fn new_tmp(entropy: &dyn Entropy) -> String {
    format!("{TMP}/{:032x}", entropy.u128())
}

/// An upload id of this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FsUpload(pub(super) u128);

impl FsUpload {
    /// Mints one.
    pub(super) fn mint(entropy: &dyn Entropy) -> Self {
        Self(entropy.u128())
    }

    /// Parses what [`FsUpload::id`] gave.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(plain))
            .then(|| u128::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }

    /// The id as callers keep it.
    pub(super) fn id(self) -> String {
        format!("{:032x}", self.0)
    }

    /// The folder of this upload under `key`. Another key gives another folder, so an id is
    /// good for its own key only.
    pub(super) fn folder(self, key: &BackendKey) -> String {
        format!("{UPLOADS}/{}~{}", key.as_str().replace('/', "_"), self.id())
    }

    /// Reads the name of a folder in [`UPLOADS`]: key and id.
    pub(super) fn from_folder(name: &str) -> Option<(String, Self)> {
        let (key, upload) = name.split_once('~')?;
        Some((key.replace('_', "/"), Self::parse(upload)?))
    }
}
