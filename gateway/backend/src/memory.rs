//! A backend in memory that fails when told to: for models, simulation and tests.
//!
//! What it holds and what it does follow from the calls and the plan alone.

mod faults;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use weir_types::ErrorCode;
use weir_types::backend::{
    Backend, BackendEntry, BackendError, BackendErrorKind, BackendPage, BackendPart, BackendUpload,
    Fetched, Stored,
};
use weir_types::body::{GetStream, PutStream};
use weir_types::id::{BackendKey, PartNumber};

use crate::metered::Operation;
pub use faults::{Call, Fault, FaultPlan, NthCalls, SeededFaults};

/// How large the chunks of a read are.
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug, Clone)]
struct Item {
    bytes: Bytes,
    etag: String,
}

impl Item {
    fn stored(&self) -> Stored {
        Stored::new(self.bytes.len() as u64, &*self.etag)
    }
}

#[derive(Debug, Clone)]
struct Upload {
    key: String,
    parts: BTreeMap<PartNumber, Item>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Item>,
    uploads: BTreeMap<String, Upload>,
    owner: Option<Vec<u8>>,
    /// Effects of calls that froze.
    frozen: Vec<Effect>,
    plan: Option<Arc<dyn FaultPlan>>,
    bytes_max: Option<u64>,
    tells_md5: bool,
    calls: u64,
    tags: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// A change, drawn up and not yet made.
enum Effect {
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

/// An object as the backend truly holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// An unfinished upload as the backend truly holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUpload {
    /// The key it was started for.
    pub key: String,
    /// Its id.
    pub upload: String,
    /// Parts with their lengths in bytes.
    pub parts: Vec<(PartNumber, u64)>,
}

/// A backend in memory. Clones share what is held.
#[derive(Clone, Default)]
pub struct MemoryBackend(Arc<Mutex<State>>);

impl std::fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock();
        f.debug_struct("MemoryBackend")
            .field("objects", &state.objects.len())
            .field("uploads", &state.uploads.len())
            .finish_non_exhaustive()
    }
}

fn error(kind: BackendErrorKind, message: impl Into<String>) -> BackendError {
    BackendError::new(kind, format!("memory: {}", message.into()))
}

impl State {
    fn tag(&mut self) -> String {
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

    fn apply(&mut self, effect: Effect) -> Result<Stored, BackendError> {
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

impl MemoryBackend {
    /// An empty backend without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `plan` decides about each call; `None`: no faults.
    pub fn set_plan(&self, plan: Option<Arc<dyn FaultPlan>>) {
        self.0.lock().plan = plan;
    }

    /// Bounds the bytes of objects and parts together; more is answered
    /// [`BackendErrorKind::Full`].
    pub fn set_bytes_max(&self, bytes_max: Option<u64>) {
        self.0.lock().bytes_max = bytes_max;
    }

    /// From now on puts are answered with the MD5 of what was stored, or not.
    pub fn set_tells_md5(&self, tells_md5: bool) {
        self.0.lock().tells_md5 = tells_md5;
    }

    /// Lets the effects of frozen calls ([`Fault::Late`]) happen now, in their order; their
    /// callers never hear of it. Returns how many there were.
    pub fn thaw(&self) -> usize {
        let mut state = self.0.lock();
        let frozen = std::mem::take(&mut state.frozen);
        let count = frozen.len();
        for effect in frozen {
            // A late effect that no longer fits is refused, and nobody is there to be told.
            let _refused_or_done = state.apply(effect);
        }
        count
    }

    /// Every object it truly holds, in order of keys; the owner marker is not among them.
    pub fn contents(&self) -> Vec<Held> {
        let state = self.0.lock();
        let held = |(key, item): (&String, &Item)| Held {
            key: key.clone(),
            bytes: item.bytes.clone(),
        };
        state.objects.iter().map(held).collect()
    }

    /// Every unfinished upload it truly holds.
    pub fn uploads(&self) -> Vec<HeldUpload> {
        let state = self.0.lock();
        let held = |(upload, found): (&String, &Upload)| HeldUpload {
            key: found.key.clone(),
            upload: upload.clone(),
            parts: found
                .parts
                .iter()
                .map(|(n, p)| (*n, p.bytes.len() as u64))
                .collect(),
        };
        state.uploads.iter().map(held).collect()
    }

    /// Bytes of bodies taken and given so far.
    pub fn bytes_in_out(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.bytes_in, state.bytes_out)
    }

    /// Loses an object, as a disk may; `false` when there is none.
    pub fn lose(&self, key: &str) -> bool {
        self.0.lock().objects.remove(key).is_some()
    }

    /// Flips the bits of one byte of a stored object, as a disk may; `false` when there is no
    /// such byte.
    pub fn rot(&self, key: &str, offset: usize) -> bool {
        let mut state = self.0.lock();
        let Some(item) = state.objects.get_mut(key) else {
            return false;
        };
        let mut bytes = item.bytes.to_vec();
        let Some(byte) = bytes.get_mut(offset) else {
            return false;
        };
        *byte ^= 0xFF;
        item.bytes = bytes.into();
        true
    }

    /// Counts a call and asks the plan.
    fn enter(&self, operation: Operation, key: &str) -> Option<Fault> {
        let mut state = self.0.lock();
        state.calls += 1;
        let number = state.calls;
        let plan = state.plan.clone();
        drop(state);
        plan?.fault(&Call {
            number,
            operation,
            key,
        })
    }

    /// A call that only reads: the faults that come before an answer.
    async fn ask(&self, operation: Operation, key: &str) -> Result<Option<Fault>, BackendError> {
        let fault = self.enter(operation, key);
        match fault {
            Some(Fault::Fail(kind) | Fault::FailAfter(kind)) => Err(error(kind, "injected")),
            Some(Fault::Hang | Fault::Late) => std::future::pending().await,
            Some(Fault::Slow(span)) => {
                tokio::time::sleep(span).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// Makes a change, as its fault lets it.
    async fn change(&self, fault: Option<Fault>, effect: Effect) -> Result<Stored, BackendError> {
        match fault {
            Some(Fault::Fail(kind)) => return Err(error(kind, "injected")),
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Late) => {
                self.0.lock().frozen.push(effect);
                return std::future::pending().await;
            }
            Some(Fault::Slow(span)) => tokio::time::sleep(span).await,
            _ => {}
        }
        let stored = self.0.lock().apply(effect)?;
        match fault {
            Some(Fault::FailAfter(kind)) => Err(error(kind, "injected, after it was done")),
            _ => Ok(stored),
        }
    }

    /// Takes a body, as its fault lets it.
    async fn take(
        &self,
        fault: Option<Fault>,
        size: u64,
        mut body: PutStream,
    ) -> Result<Bytes, BackendError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(BackendError::source)?;
            self.0.lock().bytes_in += chunk.len() as u64;
            bytes.extend_from_slice(&chunk);
            match fault {
                Some(Fault::Truncate { after }) if bytes.len() as u64 > after => {
                    return Err(error(BackendErrorKind::Unavailable, "injected: cut off"));
                }
                _ => {}
            }
        }
        if bytes.len() as u64 != size {
            return Err(BackendError::source(ErrorCode::IncompleteBody.into()));
        }
        if let Some(Fault::Corrupt { offset }) = fault {
            flip(&mut bytes, offset);
        }
        Ok(bytes.into())
    }

    fn fetch(
        &self,
        fault: Option<Fault>,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let state = self.0.lock();
        let item = state.objects.get(key.as_str()).cloned();
        drop(state);
        let item = item.ok_or_else(|| error(BackendErrorKind::NotFound, format!("no {key}")))?;
        let size = item.bytes.len() as u64;
        let range = range.unwrap_or(0..size);
        if range.end > size || (range.is_empty() && size > 0) {
            return Err(error(BackendErrorKind::Rejected, "InvalidRange"));
        }
        let wanted = usize::try_from(range.start).unwrap_or(usize::MAX)
            ..usize::try_from(range.end).unwrap_or(usize::MAX);
        let mut bytes = item.bytes.slice(wanted);
        let mut chunks = Vec::new();
        match fault {
            Some(Fault::Corrupt { offset }) => {
                let mut copy = bytes.to_vec();
                flip(&mut copy, offset);
                bytes = copy.into();
            }
            Some(Fault::Truncate { after }) => {
                bytes.truncate(usize::try_from(after).unwrap_or(usize::MAX));
                chunks.push(Err(error(
                    BackendErrorKind::Unavailable,
                    "injected: cut off",
                )));
            }
            _ => {}
        }
        let mut whole = Vec::new();
        while !bytes.is_empty() {
            whole.push(Ok(bytes.split_to(CHUNK_BYTES.min(bytes.len()))));
        }
        whole.extend(chunks);
        let shared = Arc::clone(&self.0);
        let body = futures_util::stream::iter(whole).inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                shared.lock().bytes_out += chunk.len() as u64;
            }
        });
        let body: GetStream = Box::pin(body);
        Ok(Fetched {
            size,
            etag: item.etag,
            body,
        })
    }
}

/// Flips the bits of a byte, the one at `offset` or as far in as there are bytes.
fn flip(bytes: &mut [u8], offset: u64) {
    if !bytes.is_empty() {
        let index = offset % bytes.len() as u64;
        bytes[usize::try_from(index).unwrap_or(0)] ^= 0xFF;
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let fault = self.enter(Operation::Put, key.as_str());
        let bytes = self.take(fault, size, body).await?;
        self.change(
            fault,
            Effect::Put {
                key: key.to_string(),
                bytes,
            },
        )
        .await
    }

    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let fault = self.ask(Operation::Get, key.as_str()).await?;
        self.fetch(fault, key, range)
    }

    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        self.ask(Operation::Head, key.as_str()).await?;
        Ok(self.0.lock().objects.get(key.as_str()).map(Item::stored))
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError> {
        let fault = self.enter(Operation::Delete, key.as_str());
        self.change(
            fault,
            Effect::Delete {
                key: key.to_string(),
            },
        )
        .await
        .map(drop)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        self.ask(Operation::List, prefix).await?;
        let state = self.0.lock();
        let mut found = state
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| after < key.as_str()))
            .map(|(key, item)| BackendEntry {
                key: key.clone(),
                size: item.bytes.len() as u64,
            });
        let entries: Vec<BackendEntry> = found.by_ref().take(limit).collect();
        Ok(BackendPage {
            entries,
            more: found.next().is_some(),
        })
    }

    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        let fault = self.enter(Operation::CreateUpload, key.as_str());
        let upload = format!("u-{}", self.0.lock().tag());
        let effect = Effect::CreateUpload {
            key: key.to_string(),
            upload: upload.clone(),
        };
        self.change(fault, effect).await.map(|_| upload)
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        let fault = self.enter(Operation::PutPart, key.as_str());
        let bytes = self.take(fault, size, body).await?;
        let (key, upload) = (key.to_string(), upload.to_owned());
        self.change(
            fault,
            Effect::PutPart {
                key,
                upload,
                part,
                bytes,
            },
        )
        .await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        let fault = self.enter(Operation::CompleteUpload, key.as_str());
        let (key, upload) = (key.to_string(), upload.to_owned());
        self.change(
            fault,
            Effect::Complete {
                key,
                upload,
                parts: parts.to_vec(),
            },
        )
        .await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        let fault = self.enter(Operation::AbortUpload, key.as_str());
        let (key, upload) = (key.to_string(), upload.to_owned());
        self.change(fault, Effect::Abort { key, upload })
            .await
            .map(drop)
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        self.ask(Operation::ListUploads, prefix).await?;
        let mut found: Vec<BackendUpload> = self
            .uploads()
            .into_iter()
            .filter(|held| held.key.starts_with(prefix))
            .map(|held| BackendUpload {
                key: held.key,
                upload: held.upload,
            })
            .collect();
        found.sort_unstable_by(|a, b| (&a.key, &a.upload).cmp(&(&b.key, &b.upload)));
        found.truncate(limit);
        Ok(found)
    }

    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError> {
        self.ask(Operation::ReadOwner, "").await?;
        Ok(self.0.lock().owner.clone())
    }

    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError> {
        let fault = self.enter(Operation::WriteOwner, "");
        self.change(fault, Effect::Owner(marker.to_vec()))
            .await
            .map(drop)
    }
}
