//! The index file: locked for one process, made whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::open::OpenError;
use crate::store::RedbStore;

/// Holds an index for this process until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

/// Takes the lock beside the index file, which guards its creation and its restoration too.
pub(crate) fn lock(path: &Path) -> Result<FileLock, OpenError> {
    let lock = beside(path, "lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock)
        .map_err(|error| failed(path, error))?;
    keep_private(&file, &lock);
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(path, error)),
    }
}

/// Opens the engine's file, or makes it. The caller holds the lock.
///
/// A new file is made under another name and renamed once it is complete, so that a crash in
/// between leaves either no index or an empty one, never half of one.
pub(crate) fn open_store(path: &Path, cache_bytes: usize) -> Result<RedbStore, OpenError> {
    if !path.try_exists().map_err(|error| failed(path, error))? {
        let draft = beside(path, "new");
        remove_if_there(&draft).map_err(|error| failed(path, error))?;
        drop(open_redb(&draft, cache_bytes)?);
        publish(&draft, path).map_err(|error| failed(path, error))?;
    }
    open_redb(path, cache_bytes)
}

/// Opens `path` as it is, or makes it. Keys and metadata are nobody's business but its owner's.
pub(crate) fn open_redb(path: &Path, cache_bytes: usize) -> Result<RedbStore, OpenError> {
    let made = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    let file = made.map_err(|error| failed(path, error))?;
    keep_private(&file, path);
    drop(file);
    RedbStore::open_file(path, cache_bytes).map_err(|error| match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse {
            path: path.to_owned(),
        },
        error => failed(path, error),
    })
}

/// Takes from group and others what an older version, or a copy by hand, left them. A folder
/// that many may write to, such as `/tmp`, is not the index's own and stays as it is.
fn keep_private(file: &File, path: &Path) {
    let kept = file.metadata().and_then(|meta| match meta.mode() {
        mode if mode & SHARED_FOLDER != 0 || mode & NOT_OWNER == 0 => Ok(()),
        mode => file.set_permissions(Permissions::from_mode(mode & OWNER)),
    });
    if let Err(error) = kept {
        tracing::warn!(path = %path.display(), %error, "others than its owner may read this");
    }
}

/// [`keep_private`] for the folder of `path`.
pub(crate) fn keep_folder_private(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    keep_private(&File::open(folder)?, folder);
    Ok(())
}

const SHARED_FOLDER: u32 = 0o1000;
const OWNER: u32 = 0o700;
const NOT_OWNER: u32 = 0o077;

/// Makes the folder of `path`, for its owner alone, durably.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    make_folder(folder)?;
    match DirBuilder::new().mode(OWNER).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(folder_of(folder))
}

/// Gives a finished file its name, durably: both its bytes and its name are on disk when this
/// returns.
pub(crate) fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    std::fs::rename(draft, path)?;
    sync_folder(folder_of(path))
}

/// `path` with a further extension.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// An error that names the index.
pub(crate) fn failed(path: &Path, error: impl ToString) -> OpenError {
    OpenError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
