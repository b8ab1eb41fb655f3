//! Uploads in parts. A part is a file in the upload's folder; Complete adds a manifest and
//! renames the folder to where the object lies, which makes the object visible whole and
//! shuts out parts that arrive late. No byte of a part is ever moved.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, BackendUpload, Stored};
use weir_types::body::PutStream;
use weir_types::codec::Record as _;
use weir_types::id::{BackendKey, PartNumber};

use super::layer::FileLayer;
use super::layout::{self, FsUpload};
use super::manifest::{Manifest, TAG_BYTES};
use super::read::{confirm_root, read_manifest};
use super::temp::{Finish, TempFile};
use super::{FsBackend, site};
use crate::io_error::io_error;

/// Locks on uploads, by their ids: a part, a Complete and an abort of one upload exclude one
/// another while they change names. Held on blocking threads only, so a dropped future
/// cannot let go of one half-way.
pub(super) struct UploadLocks(Vec<Mutex<()>>);

const LOCKS: usize = 256;

impl Default for UploadLocks {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::new(())).collect())
    }
}

impl UploadLocks {
    pub(super) fn of(&self, upload: FsUpload) -> &Mutex<()> {
        let index = usize::from(upload.0.to_le_bytes()[0]);
        &self.0[index % LOCKS]
    }
}

/// Whoever waits for a part to be stored; says so when it waits no longer. Jobs run on when
/// their futures are dropped, and one that is late must not replace what came after it.
#[derive(Default)]
struct Caller(Arc<AtomicBool>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn unknown(upload: &str) -> BackendError {
    BackendError::new(
        BackendErrorKind::NotFound,
        format!("fs: no upload {upload:.32}"),
    )
}

fn parse(upload: &str) -> Result<FsUpload, BackendError> {
    FsUpload::parse(upload).ok_or_else(|| unknown(upload))
}

impl FsBackend {
    pub(super) async fn start_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        let upload = FsUpload::mint(&*self.entropy);
        let folder = upload.folder(key);
        let layer = Arc::clone(&self.layer);
        self.jobs
            .run(move || {
                layer
                    .make_folder(&folder)
                    .map_err(|e| io_error("make upload", &e))?;
                layer
                    .sync_folder(layout::UPLOADS, site::UPLOAD_FOLDER)
                    .map_err(|e| io_error("fsync uploads", &e))
            })
            .await?;
        Ok(upload.id())
    }

    pub(super) async fn store_part(
        &self,
        key: &BackendKey,
        upload: &str,
        number: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let id = parse(upload)?;
        let folder = id.folder(key);
        let tag = self.entropy.u128().to_be_bytes();
        let (layer, locks) = (Arc::clone(&self.layer), Arc::clone(&self.locks));
        let missing = unknown(upload);
        let caller = Caller::default();
        let gone = Arc::clone(&caller.0);
        let place = move |temp: TempFile| {
            let _alone = locks.of(id).lock();
            // The same part may have been sent again, and stored, since.
            if gone.load(Ordering::SeqCst) {
                let message = "fs: the part was given up";
                return Err(BackendError::new(BackendErrorKind::Unavailable, message));
            }
            let path = format!("{folder}/{}", layout::part_name(number));
            match temp.rename(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    return confirm_root(&*layer).and(Err(missing));
                }
                Err(e) => return Err(io_error("rename part", &e)),
            }
            layer
                .sync_folder(&folder, site::PART_NAME)
                .map_err(|e| io_error("fsync upload", &e))
        };
        let trailer = Bytes::copy_from_slice(&tag);
        self.store(
            size,
            body,
            Finish {
                trailer,
                sync_site: site::PART_BYTES,
                place,
            },
        )
        .await?;
        Ok(Stored::new(size, hex::encode(tag)))
    }

    pub(super) async fn complete(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        let id = parse(upload)?;
        let job = Complete {
            layer: Arc::clone(&self.layer),
            folder: id.folder(key),
            target: layout::parts_folder(key),
            tmp: layout::new_tmp(&*self.entropy),
            parts: parts.to_vec(),
            upload: id,
        };
        let (backend, key, locks) = (self.shared(), key.clone(), Arc::clone(&self.locks));
        self.jobs
            .run(move || {
                let _alone = locks.of(id).lock();
                backend.make_folders(layout::parent(key.as_str()))?;
                job.run()
            })
            .await
    }

    pub(super) async fn abort(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        let Some(id) = FsUpload::parse(upload) else {
            return Ok(());
        };
        let folder = id.folder(key);
        let trash = layout::new_tmp(&*self.entropy);
        let (layer, locks) = (Arc::clone(&self.layer), Arc::clone(&self.locks));
        self.jobs
            .run(move || {
                let moved = {
                    let _alone = locks.of(id).lock();
                    layer.rename(&folder, &trash)
                };
                match &moved {
                    Ok(()) => {}
                    Err(e) if e.kind() == ErrorKind::NotFound => confirm_root(&*layer)?,
                    Err(e) => return Err(io_error("abort", e)),
                }
                // Also when it was gone already: an earlier abort may have been cut off here.
                layer
                    .sync_folder(layout::UPLOADS, site::ABORT)
                    .map_err(|e| io_error("fsync uploads", &e))?;
                if moved.is_ok() {
                    remove_folder_of_files(&*layer, &trash);
                }
                Ok(())
            })
            .await
    }

    pub(super) async fn uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        let (layer, prefix) = (Arc::clone(&self.layer), prefix.to_owned());
        self.jobs
            .run(move || {
                let names = layer
                    .read_folder(layout::UPLOADS)
                    .map_err(|e| io_error("read uploads", &e))?;
                let mut found: Vec<BackendUpload> = names
                    .iter()
                    .filter_map(|entry| FsUpload::from_folder(&entry.name))
                    .filter(|(key, _)| key.starts_with(&prefix))
                    .map(|(key, upload)| BackendUpload {
                        key,
                        upload: upload.id(),
                    })
                    .collect();
                found.sort_unstable_by(|a, b| (&a.key, &a.upload).cmp(&(&b.key, &b.upload)));
                found.truncate(limit);
                Ok(found)
            })
            .await
    }
}

/// Removes a folder that nothing refers to any more. What stays after a failure is removed at
/// the next start.
pub(super) fn remove_folder_of_files(layer: &dyn FileLayer, folder: &str) {
    let remove = || -> std::io::Result<()> {
        for entry in layer.read_folder(folder)? {
            layer.unlink(&format!("{folder}/{}", entry.name))?;
        }
        layer.remove_folder(folder)
    };
    if let Err(e) = remove() {
        tracing::warn!(folder, error = %e, "a removed folder's files stay until the next start");
    }
}

/// A Complete, with everything it needs on its thread.
struct Complete {
    layer: Arc<dyn FileLayer>,
    upload: FsUpload,
    /// Of the upload.
    folder: String,
    /// Of the object.
    target: String,
    tmp: String,
    parts: Vec<BackendPart>,
}

impl Complete {
    fn run(self) -> Result<Stored, BackendError> {
        let layer = &*self.layer;
        let names = match layer.read_folder(&self.folder) {
            Ok(names) => names,
            Err(e) if e.kind() == ErrorKind::NotFound => return self.completed_before(),
            Err(e) => return Err(io_error("read upload", &e)),
        };
        for part in &self.parts {
            self.check_part(part)?;
        }
        let manifest = self.manifest()?;
        let size = manifest
            .size()
            .ok_or_else(|| rejected("the parts are too large"))?;
        self.write_manifest(&manifest)?;

        let named: HashSet<String> = self
            .parts
            .iter()
            .map(|p| layout::part_name(p.number))
            .collect();
        for entry in names {
            if entry.name != layout::MANIFEST && !named.contains(&entry.name) {
                layer
                    .unlink(&format!("{}/{}", self.folder, entry.name))
                    .map_err(|e| io_error("remove unnamed part", &e))?;
            }
        }
        layer
            .sync_folder(&self.folder, site::MANIFEST_NAME)
            .map_err(|e| io_error("fsync upload", &e))?;

        layer
            .rename(&self.folder, &self.target)
            .map_err(|e| io_error("complete", &e))?;
        self.sync_target()?;
        Ok(Stored::new(size, ""))
    }

    /// The upload is gone: because this very upload became the object, or for good.
    fn completed_before(&self) -> Result<Stored, BackendError> {
        match read_manifest(&*self.layer, &self.target)? {
            Some(manifest) if manifest.upload == self.upload.0 => {
                // The earlier Complete may have been cut off before its rename was durable.
                self.sync_target()?;
                let size = manifest.size().unwrap_or(0);
                Ok(Stored::new(size, ""))
            }
            _ => confirm_root(&*self.layer).and(Err(unknown(&self.upload.id()))),
        }
    }

    fn sync_target(&self) -> Result<(), BackendError> {
        self.layer
            .sync_folder(layout::parent(&self.target), site::COMPLETE)
            .map_err(|e| io_error("fsync shard", &e))
    }

    /// That the part is there, is as long as was said, and was not replaced since.
    fn check_part(&self, part: &BackendPart) -> Result<(), BackendError> {
        let path = format!("{}/{}", self.folder, layout::part_name(part.number));
        let file = match self.layer.open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(rejected(format!("part {} is not there", part.number)));
            }
            Err(e) => return Err(io_error("open part", &e)),
        };
        let size = file.len().map_err(|e| io_error("stat part", &e))?;
        let mut tag = [0; TAG_BYTES];
        let read = file
            .read_at(&mut tag, part.size)
            .map_err(|e| io_error("read part", &e))?;
        let is_same = part.size.checked_add(TAG_BYTES as u64) == Some(size)
            && read == TAG_BYTES
            && hex::encode(tag) == part.etag;
        if is_same {
            Ok(())
        } else {
            Err(rejected(format!("part {} is another", part.number)))
        }
    }

    fn manifest(&self) -> Result<Manifest, BackendError> {
        let rising = self
            .parts
            .windows(2)
            .all(|pair| pair[0].number < pair[1].number);
        if self.parts.is_empty() || !rising {
            return Err(rejected(
                "parts must be named in ascending order, at least one",
            ));
        }
        let parts = self.parts.iter().map(|p| (p.number, p.size)).collect();
        Ok(Manifest {
            upload: self.upload.0,
            parts,
        })
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), BackendError> {
        let mut temp = TempFile::create(Arc::clone(&self.layer), self.tmp.clone())?;
        temp.append(&[manifest.encode().into()])?;
        temp.sync(site::MANIFEST_BYTES)?;
        temp.rename(&format!("{}/{}", self.folder, layout::MANIFEST))
            .map_err(|e| io_error("rename manifest", &e))
    }
}

fn rejected(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::Rejected, format!("fs: {message}"))
}
