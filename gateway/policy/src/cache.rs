//! The folder in which compiled components are kept between starts.
//!
//! What lies there is machine code that the gateway runs. So nobody else may be able to write
//! there: the folder belongs to the user that the gateway runs as and is closed to all others,
//! and nobody else could put another folder in its place.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// What lies in the folder beyond this is removed, the longest unused first.
const BYTES_MAX: u64 = 1 << 30;
const FILES_MAX: u64 = 4096;
const STICKY: u32 = 0o1000;

/// Why a folder cannot hold compiled components.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("compile cache {path}: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else than a folder has its name.
    #[error("compile cache {0}: not a folder, or a symbolic link")]
    NotAFolder(PathBuf),
    /// It belongs to somebody else.
    #[error("compile cache {path}: belongs to user {owner}, and the gateway runs as user {user}")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others can look or write into it.
    #[error("compile cache {path}: mode {mode:04o} lets others in; wanted 0700")]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others can put another folder in its place.
    #[error("compile cache {path}: others can replace it, because {parent} is theirs to change")]
    Parent {
        /// The folder.
        path: PathBuf,
        /// The folder above it that is open to others.
        parent: PathBuf,
    },
    /// The cache cannot work there.
    #[error("compile cache {path}: {why}")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Opens the cache in `path`, which is made if it is missing.
pub(crate) fn open(path: &Path) -> Result<Cache, CacheError> {
    let path = private(path)?;
    let mut config = CacheConfig::new();
    config
        .with_directory(&path)
        .with_file_count_soft_limit(FILES_MAX)
        .with_files_total_size_soft_limit(BYTES_MAX);
    Cache::new(config).map_err(|error| CacheError::Unusable {
        path,
        why: format!("{error:#}"),
    })
}

/// The folder's real path, if it is private.
fn private(path: &Path) -> Result<PathBuf, CacheError> {
    let failed = |error| CacheError::Io {
        path: path.to_owned(),
        error,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Not followed: a link can be pointed elsewhere by whoever made it.
    let found = fs::symlink_metadata(path).map_err(failed)?;
    let path = path.canonicalize().map_err(failed)?;
    let user = rustix::process::geteuid().as_raw();
    check_folder(&path, &found, user)?;
    for parent in path.ancestors().skip(1) {
        let above = fs::symlink_metadata(parent).map_err(failed)?;
        let others_write = above.mode() & 0o022 != 0 && above.mode() & STICKY == 0;
        let of_others = above.uid() != user && above.uid() != 0;
        if others_write || of_others {
            return Err(CacheError::Parent {
                path: path.clone(),
                parent: parent.to_owned(),
            });
        }
    }
    Ok(path)
}

fn check_folder(path: &Path, found: &Metadata, user: u32) -> Result<(), CacheError> {
    if !found.is_dir() {
        return Err(CacheError::NotAFolder(path.to_owned()));
    }
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner != user {
        let path = path.to_owned();
        return Err(CacheError::Owner { path, owner, user });
    }
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(CacheError::Mode { path, mode });
    }
    Ok(())
}
