//! A backend in memory that fails when told to: for models, simulation and tests.
//!
//! What it holds and what it does follow from the calls and the plan alone.

mod calls;
mod faults;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use weir_types::backend::{
    Backend, BackendEntry, BackendError, BackendPage, BackendPart, BackendUpload, Fetched, Stored,
};
use weir_types::body::PutStream;
use weir_types::id::{BackendKey, PartNumber};

use crate::metered::Operation;
pub use faults::{Call, Fault, FaultPlan, NthCalls, SeededFaults};
use state::{Effect, Item, State, Upload};

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
    /// [`Full`](weir_types::backend::BackendErrorKind::Full).
    pub fn set_bytes_max(&self, bytes_max: Option<u64>) {
        self.0.lock().bytes_max = bytes_max;
    }

    /// From now on puts are answered with the MD5 of what was stored, or not.
    pub fn set_tells_md5(&self, tells_md5: bool) {
        self.0.lock().tells_md5 = tells_md5;
    }

    /// How often the MD5 that it told was disputed.
    pub fn disputes(&self) -> u64 {
        self.0.lock().disputes
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

    async fn confirmed(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn disputed(&self) {
        self.0.lock().disputes += 1;
    }
}
