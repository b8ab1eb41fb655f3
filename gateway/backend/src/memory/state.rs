//! What the backend holds, and the changes that can be made to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, Stored};
use weir_types::id::PartNumber;

use super::faults::FaultPlan;

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) bytes: Bytes,
    pub(super) etag: String,
}

impl Item {
    pub(super) fn stored(&self) -> Stored {
        Stored::new(self.bytes.len() as u64, &*self.etag)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) parts: BTreeMap<PartNumber, Item>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, Item>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) owner: Option<Vec<u8>>,
    /// Effects of calls that froze.
    pub(super) frozen: Vec<Effect>,
    pub(super) plan: Option<Arc<dyn FaultPlan>>,
    pub(super) bytes_max: Option<u64>,
    pub(super) tells_md5: bool,
    /// How often what it told was disputed.
    pub(super) disputes: u64,
    pub(super) calls: u64,
    tags: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// A change, drawn up and not yet made.
pub(super) enum Effect {
    Put {
        key: String,
        bytes: Bytes,
    },
    Delete {
        key: String,
    },
    CreateUpload {
        key: String,
        upload: String,
    },
    PutPart {
        key: String,
        upload: String,
        part: PartNumber,
        bytes: Bytes,
    },
    Complete {
        key: String,
        upload: String,
        parts: Vec<BackendPart>,
    },
    Abort {
        key: String,
        upload: String,
    },
    Owner(Vec<u8>),
}

pub(super) fn error(kind: BackendErrorKind, message: impl Into<String>) -> BackendError {
    BackendError::new(kind, format!("memory: {}", message.into()))
}

impl State {
    pub(super) fn tag(&mut self) -> String {
        self.tags += 1;
        format!("m{}", self.tags)
    }

    fn bytes(&self) -> u64 {
        let parts = self.uploads.values().flat_map(|u| u.parts.values());
        self.objects
            .values()
            .chain(parts)
            .map(|item| item.bytes.len() as u64)
            .sum()
    }

    fn item(&mut self, bytes: Bytes) -> Result<Item, BackendError> {
        if self
            .bytes_max
            .is_some_and(|max| self.bytes() + bytes.len() as u64 > max)
        {
            return Err(error(BackendErrorKind::Full, "full"));
        }
        Ok(Item {
            bytes,
            etag: self.tag(),
        })
    }

    /// What the answer to a put says.
    fn told(&self, item: &Item) -> Stored {
        Stored {
            md5: self.tells_md5.then(|| Md5::digest(&item.bytes).into()),
            ..item.stored()
        }
    }

    fn upload(&mut self, key: &str, upload: &str) -> Result<&mut Upload, BackendError> {
        self.uploads
            .get_mut(upload)
            .filter(|found| found.key == key)
            .ok_or_else(|| error(BackendErrorKind::NotFound, format!("no upload {upload}")))
    }

    pub(super) fn apply(&mut self, effect: Effect) -> Result<Stored, BackendError> {
        let nothing = Stored::new(0, "");
        match effect {
            Effect::Put { key, bytes } => {
                let item = self.item(bytes)?;
                let stored = self.told(&item);
                self.objects.insert(key, item);
                Ok(stored)
            }
            Effect::Delete { key } => {
                self.objects.remove(&key);
                Ok(nothing)
            }
            Effect::CreateUpload { key, upload } => {
                self.uploads.insert(
                    upload,
                    Upload {
                        key,
                        parts: BTreeMap::new(),
                    },
                );
                Ok(nothing)
            }
            Effect::PutPart {
                key,
                upload,
                part,
                bytes,
            } => {
                self.upload(&key, &upload)?;
                let item = self.item(bytes)?;
                let stored = self.told(&item);
                self.upload(&key, &upload)?.parts.insert(part, item);
                Ok(stored)
            }
            Effect::Complete { key, upload, parts } => self.complete(key, &upload, &parts),
            Effect::Abort { key, upload } => {
                if self.upload(&key, &upload).is_ok() {
                    self.uploads.remove(&upload);
                }
                Ok(nothing)
            }
            Effect::Owner(marker) => {
                self.owner = Some(marker);
                Ok(nothing)
            }
        }
    }

    fn complete(
        &mut self,
        key: String,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        let held = self.upload(&key, upload)?;
        let rising = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
        if parts.is_empty() || !rising {
            return Err(error(BackendErrorKind::Rejected, "InvalidPartOrder"));
        }
        let mut whole = Vec::new();
        for part in parts {
            let item = held
                .parts
                .get(&part.number)
                .filter(|item| item.etag == part.etag && item.bytes.len() as u64 == part.size);
            let item = item.ok_or_else(|| error(BackendErrorKind::Rejected, "InvalidPart"))?;
            whole.extend_from_slice(&item.bytes);
        }
        self.uploads.remove(upload);
        let item = Item {
            bytes: whole.into(),
            etag: self.tag(),
        };
        let stored = item.stored();
        self.objects.insert(key, item);
        Ok(stored)
    }
}
