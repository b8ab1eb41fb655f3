//! A directory as a backend: durable, atomic, sharded.
//!
//! A put is: temporary file → fsync → rename to its place → fsync of the folder; folders are
//! made and made durable on the way. See `layout` for what lies where, and
//! [`SYNC_SITES`] for every fsync and what would be lost without it.
//!
//! Threads: all file work runs on at most [`crate::FsConfig::threads_max`] blocking threads;
//! an object of up to 256 KiB costs one hop, larger ones one per 256 KiB and one before: room
//! for all of it is set aside before any of its bytes is asked for, so that a full or busy
//! directory leaves the body to be stored elsewhere.

#[cfg(test)]
mod crash_tests;
mod jobs;
pub mod layer;
mod layout;
mod list;
mod manifest;
mod multipart;
mod read;
mod real;
mod temp;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use weir_types::backend::{
    Backend, BackendError, BackendErrorKind, BackendPage, BackendPart, BackendUpload, Fetched,
    OWNER_KEY, Stored,
};
use weir_types::body::PutStream;
use weir_types::entropy::Entropy;
use weir_types::id::{BackendKey, PartNumber};

use crate::FsConfig;
use crate::io_error::io_error;
use jobs::Jobs;
use layer::FileLayer;
use multipart::{UploadLocks, remove_folder_of_files};
pub use real::RealFs;
use temp::{Finish, TempFile};

/// The sites at which this backend makes something durable.
pub mod site {
    /// The folders of the layout, in the root.
    pub const LAYOUT: &str = "layout";
    /// A new folder on the way to an object, in its parent.
    pub const NEW_FOLDER: &str = "new-folder";
    /// The bytes of an object that is put whole.
    pub const PUT_BYTES: &str = "put-bytes";
    /// The name of an object that is put whole.
    pub const PUT_NAME: &str = "put-name";
    /// The disappearance of a deleted object's name.
    pub const DELETE: &str = "delete";
    /// A new upload's folder.
    pub const UPLOAD_FOLDER: &str = "upload-folder";
    /// The bytes of a part.
    pub const PART_BYTES: &str = "part-bytes";
    /// The name of a part.
    pub const PART_NAME: &str = "part-name";
    /// The bytes of a manifest.
    pub const MANIFEST_BYTES: &str = "manifest-bytes";
    /// The name of a manifest, and the disappearance of parts that it does not name.
    pub const MANIFEST_NAME: &str = "manifest-name";
    /// The folder of a completed upload, at its new place.
    pub const COMPLETE: &str = "complete";
    /// The disappearance of an aborted upload.
    pub const ABORT: &str = "abort";
    /// The bytes of the owner marker.
    pub const OWNER_BYTES: &str = "owner-bytes";
    /// The name of the owner marker.
    pub const OWNER_NAME: &str = "owner-name";
}

/// Every fsync of this backend. A test ignores each in turn and must then see data lost.
pub const SYNC_SITES: &[&str] = &[
    site::LAYOUT,
    site::NEW_FOLDER,
    site::PUT_BYTES,
    site::PUT_NAME,
    site::DELETE,
    site::UPLOAD_FOLDER,
    site::PART_BYTES,
    site::PART_NAME,
    site::MANIFEST_BYTES,
    site::MANIFEST_NAME,
    site::COMPLETE,
    site::ABORT,
    site::OWNER_BYTES,
    site::OWNER_NAME,
];

/// The largest owner marker.
const OWNER_BYTES_MAX: u64 = 64 << 10;

/// A directory as a backend.
pub struct FsBackend {
    layer: Arc<dyn FileLayer>,
    jobs: Jobs,
    entropy: Arc<dyn Entropy>,
    locks: Arc<UploadLocks>,
    /// Folders known to be there and durable.
    folders: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for FsBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FsBackend")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// What blocking jobs take along to make folders.
struct Shared {
    layer: Arc<dyn FileLayer>,
    folders: Arc<Mutex<HashSet<String>>>,
}

impl Shared {
    /// Makes `folder` and what is above it, durably. A folder met for the first time is made
    /// durable even when it is there already: the process that made it may have died before
    /// it did so.
    fn make_folders(&self, folder: &str) -> Result<(), BackendError> {
        if folder.is_empty() || self.folders.lock().contains(folder) {
            return Ok(());
        }
        let parent = layout::parent(folder);
        self.make_folders(parent)?;
        match self.layer.make_folder(folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(io_error("make folder", &e));
            }
            _ => {}
        }
        self.layer
            .sync_folder(parent, site::NEW_FOLDER)
            .map_err(|e| io_error("fsync parent folder", &e))?;
        self.folders.lock().insert(folder.to_owned());
        Ok(())
    }
}

impl FsBackend {
    /// Opens the directory that `config` names, making it where needed.
    ///
    /// Blocks. What earlier processes left in the folder of temporary files stays until
    /// [`Backend::confirmed`].
    pub fn open(config: &FsConfig, entropy: Arc<dyn Entropy>) -> Result<Self, BackendError> {
        let layer = RealFs::open(&config.path)
            .map_err(|e| io_error(&config.path.display().to_string(), &e))?;
        let jobs = Jobs::threads(
            config.threads_max,
            Duration::from_millis(config.thread_wait_max_ms),
            Duration::from_millis(config.operation_timeout_ms),
        );
        Self::on(Arc::new(layer), jobs, entropy)
    }

    /// A backend on a layer that never waits, such as a simulated disk: everything is done
    /// within the call, on the caller's thread.
    pub fn on_layer(
        layer: Arc<dyn FileLayer>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BackendError> {
        Self::on(layer, Jobs::inline(), entropy)
    }

    fn on(
        layer: Arc<dyn FileLayer>,
        jobs: Jobs,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BackendError> {
        for folder in [layout::TMP, layout::UPLOADS] {
            match layer.make_folder(folder) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                    return Err(io_error("make layout", &e));
                }
                _ => {}
            }
        }
        layer
            .sync_folder("", site::LAYOUT)
            .map_err(|e| io_error("fsync root", &e))?;
        Ok(Self {
            layer,
            jobs,
            entropy,
            locks: Arc::default(),
            folders: Arc::default(),
        })
    }

    fn shared(&self) -> Shared {
        Shared {
            layer: Arc::clone(&self.layer),
            folders: Arc::clone(&self.folders),
        }
    }
}

/// Removes what was being written or removed when an earlier process ended. None of it was
/// ever acknowledged, and the directory's lock says that nobody uses it.
fn sweep(layer: &dyn FileLayer) -> Result<(), BackendError> {
    let found = layer
        .read_folder(layout::TMP)
        .map_err(|e| io_error("read tmp", &e))?;
    for entry in found {
        let path = format!("{}/{}", layout::TMP, entry.name);
        if entry.is_folder {
            remove_folder_of_files(layer, &path);
        } else {
            layer
                .unlink(&path)
                .map_err(|e| io_error("remove temporary file", &e))?;
        }
    }
    Ok(())
}

/// Removes the object under `key`, whole or in parts, durably.
fn remove(layer: &dyn FileLayer, key: &BackendKey, trash: &str) -> Result<(), BackendError> {
    let mut is_trash = false;
    match layer.unlink(key.as_str()) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            // One rename takes manifest and parts away together.
            match layer.rename(&layout::parts_folder(key), trash) {
                Ok(()) => is_trash = true,
                Err(e) if e.kind() == ErrorKind::NotFound => read::confirm_root(layer)?,
                Err(e) => return Err(io_error("delete", &e)),
            }
        }
        Err(e) => return Err(io_error("delete", &e)),
    }
    // Also when there was nothing: an earlier delete may have been cut off here.
    match layer.sync_folder(layout::parent(key.as_str()), site::DELETE) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io_error("fsync shard", &e)),
        _ => {}
    }
    if is_trash {
        remove_folder_of_files(layer, trash);
    }
    Ok(())
}

#[async_trait]
impl Backend for FsBackend {
    fn kind(&self) -> &'static str {
        "fs"
    }

    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let (shared, key) = (self.shared(), key.clone());
        let place = move |temp: TempFile| {
            let shard = layout::parent(key.as_str());
            shared.make_folders(shard)?;
            temp.rename(key.as_str())
                .map_err(|e| io_error("rename", &e))?;
            shared
                .layer
                .sync_folder(shard, site::PUT_NAME)
                .map_err(|e| io_error("fsync shard", &e))
        };
        let finish = Finish {
            trailer: Bytes::new(),
            sync_site: site::PUT_BYTES,
            place,
        };
        self.store(size, body, finish).await?;
        Ok(Stored::new(size, ""))
    }

    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        self.read(key, range).await
    }

    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        let (layer, key) = (Arc::clone(&self.layer), key.clone());
        self.jobs
            .run(move || Ok(read::find(&*layer, &key)?.map(|found| found.stored())))
            .await
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError> {
        let (layer, key) = (Arc::clone(&self.layer), key.clone());
        let trash = layout::new_tmp(&*self.entropy);
        self.jobs.run(move || remove(&*layer, &key, &trash)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        let (layer, prefix) = (Arc::clone(&self.layer), prefix.to_owned());
        let after = after.map(str::to_owned);
        self.jobs
            .run(move || list::list(&*layer, &prefix, after.as_deref(), limit))
            .await
    }

    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        self.start_upload(key).await
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.store_part(key, upload, part, size, body).await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        self.complete(key, upload, parts).await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        self.abort(key, upload).await
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        self.uploads(prefix, limit).await
    }

    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let layer = Arc::clone(&self.layer);
        self.jobs
            .run(move || {
                let file = match layer.open(OWNER_KEY) {
                    Ok(file) => file,
                    Err(e) if e.kind() == ErrorKind::NotFound => {
                        return read::confirm_root(&*layer).map(|()| None);
                    }
                    Err(e) => return Err(io_error("open owner marker", &e)),
                };
                let size = file.len().map_err(|e| io_error("stat owner marker", &e))?;
                let mut bytes = vec![0; usize::try_from(size.min(OWNER_BYTES_MAX)).unwrap_or(0)];
                let read = file
                    .read_at(&mut bytes, 0)
                    .map_err(|e| io_error("read owner marker", &e))?;
                bytes.truncate(read);
                Ok(Some(bytes))
            })
            .await
    }

    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError> {
        if marker.len() as u64 > OWNER_BYTES_MAX {
            let message = "fs: the owner marker is too large";
            return Err(BackendError::new(BackendErrorKind::Rejected, message));
        }
        let layer = Arc::clone(&self.layer);
        let place = move |temp: TempFile| {
            temp.rename(OWNER_KEY)
                .map_err(|e| io_error("rename owner marker", &e))?;
            layer
                .sync_folder("", site::OWNER_NAME)
                .map_err(|e| io_error("fsync root", &e))
        };
        let size = marker.len() as u64;
        let marker = Bytes::copy_from_slice(marker);
        let body = futures_util::stream::once(async move { Ok(marker) }).boxed();
        let finish = Finish {
            trailer: Bytes::new(),
            sync_site: site::OWNER_BYTES,
            place,
        };
        self.store(size, body, finish).await
    }

    async fn confirmed(&self) -> Result<(), BackendError> {
        let layer = Arc::clone(&self.layer);
        self.jobs.run(move || sweep(&*layer)).await
    }

    /// It tells no MD5.
    fn disputed(&self) {}
}
