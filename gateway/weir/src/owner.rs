//! A backend belongs to one index: a marker there names the site and the index's epoch, and
//! nothing is written or deleted before the marker has been seen to be ours.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use weir_types::backend::{
    Backend, BackendError, BackendErrorKind, BackendPage, BackendPart, BackendUpload, Fetched,
    Stored,
};
use weir_types::body::PutStream;
use weir_types::id::{BackendId, BackendKey, PartNumber};
use weir_types::index::IndexIdentity;

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    site: String,
    epoch: String,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {:?}, index epoch {:?}", self.site, self.epoch)
    }
}

/// Which index a marker names, its site and its epoch; `None`: this version cannot read it.
pub fn named(marker: &[u8]) -> Option<(String, String)> {
    let marker: Marker = serde_json::from_slice(marker).ok()?;
    Some((marker.site, marker.epoch))
}

/// What is known about a backend's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// It is ours.
    Ours,
    /// It could not be asked yet; it will be before the first write or delete.
    Unknown(BackendError),
    /// It belongs to another index. The text says which, and what to do.
    Foreign(String),
}

/// Whose marker a backend has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// It has none.
    Nobody,
    /// Ours.
    Us,
    /// Another index's. The text says which.
    Another(String),
}

/// A backend that is not written to before its marker is known to be ours. Reads pass: they
/// cannot do harm.
pub struct Owned {
    id: BackendId,
    inner: Arc<dyn Backend>,
    marker: Marker,
    /// Epochs of this site's indexes whose place ours has taken.
    predecessors: Vec<String>,
    confirmed: AtomicBool,
    asking: Mutex<()>,
}

impl Owned {
    /// `inner` on behalf of the index with this identity.
    pub fn new(id: BackendId, inner: Arc<dyn Backend>, identity: &IndexIdentity) -> Self {
        let marker = Marker {
            site: identity.site.to_string(),
            epoch: identity.epoch.clone(),
        };
        let confirmed = AtomicBool::new(false);
        Self {
            id,
            inner,
            marker,
            predecessors: Vec::new(),
            confirmed,
            asking: Mutex::new(()),
        }
    }

    /// The same for an index that was restored to succeed others: a backend whose marker names
    /// one of these epochs is ours, and its marker is written anew.
    #[must_use]
    pub fn succeeding(self, predecessors: Vec<String>) -> Self {
        Self {
            predecessors,
            ..self
        }
    }

    /// Looks whether a backend that was ours still is. If not, nothing is written or deleted
    /// there any more, as from the start: an index that was restored elsewhere has taken over.
    pub async fn look_again(&self) -> Result<(), BackendError> {
        if !self.is_confirmed() {
            return Ok(());
        }
        if let Holder::Another(other) = self.holder().await? {
            self.confirmed.store(false, Ordering::Release);
            tracing::error!(backend = %self.id, %other, "another index has taken this backend over");
        }
        Ok(())
    }

    /// Whether the marker has been seen to be ours.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Acquire)
    }

    /// Reads the marker; writes ours where there is none.
    pub async fn ownership(&self) -> Ownership {
        if self.is_confirmed() {
            return Ownership::Ours;
        }
        let _one_at_a_time = self.asking.lock().await;
        if self.is_confirmed() {
            return Ownership::Ours;
        }
        match self.ask().await {
            Ok(Ok(())) => {
                self.confirmed.store(true, Ordering::Release);
                Ownership::Ours
            }
            Ok(Err(foreign)) => Ownership::Foreign(foreign),
            Err(error) => Ownership::Unknown(error),
        }
    }

    /// Whose marker the backend has now.
    pub async fn holder(&self) -> Result<Holder, BackendError> {
        let found = self.inner.read_owner().await?;
        Ok(found.map_or(Holder::Nobody, |found| self.whose(&found)))
    }

    /// Which index we are.
    pub fn us(&self) -> String {
        self.marker.to_string()
    }

    /// Replaces the marker, whosever it is, by ours. The other index, if it is at work, does
    /// not notice before its next start.
    pub async fn adopt(&self) -> Result<Holder, BackendError> {
        let _one_at_a_time = self.asking.lock().await;
        self.claim().await
    }

    async fn ask(&self) -> Result<Result<(), String>, BackendError> {
        let found = self.inner.read_owner().await?;
        let is_free = found.as_deref().is_none_or(|found| self.succeeds(found));
        let holder = match found {
            Some(found) if !is_free => self.whose(&found),
            _ => self.claim().await?,
        };
        Ok(match holder {
            Holder::Another(other) => Err(self.refusal(&other)),
            Holder::Us | Holder::Nobody => {
                self.inner.confirmed().await?;
                Ok(())
            }
        })
    }

    /// Writes our marker, and tells whose stands there then.
    async fn claim(&self) -> Result<Holder, BackendError> {
        let ours = serde_json::to_vec(&self.marker)
            .map_err(|error| BackendError::new(BackendErrorKind::Rejected, error.to_string()))?;
        self.inner.write_owner(&ours).await?;
        // Another gateway may have done the same at this moment: the last one stays.
        let stands = self.inner.read_owner().await?;
        let stands = stands.ok_or_else(|| {
            let message = "the owner marker is gone right after it was written";
            BackendError::new(BackendErrorKind::Unavailable, message)
        })?;
        Ok(self.whose(&stands))
    }

    fn succeeds(&self, found: &[u8]) -> bool {
        serde_json::from_slice::<Marker>(found).is_ok_and(|marker| {
            marker.site == self.marker.site && self.predecessors.contains(&marker.epoch)
        })
    }

    fn whose(&self, found: &[u8]) -> Holder {
        match serde_json::from_slice::<Marker>(found) {
            Ok(marker) if marker == self.marker => Holder::Us,
            Ok(marker) => Holder::Another(marker.to_string()),
            Err(_) => Holder::Another("something that this version cannot read".to_owned()),
        }
    }

    fn refusal(&self, other: &str) -> String {
        let id = &self.id;
        format!(
            "backend {id} belongs to {other}; this is {}. Nothing is written or deleted there. \
             Give backend {id} another place in the configuration, or start with the index it \
             belongs to. Only when that index is gone for good, or this one was restored from \
             its backup: `weir backend adopt {id}` says what lies there and makes it this \
             index's",
            self.marker
        )
    }

    async fn must_be_ours(&self) -> Result<(), BackendError> {
        match self.ownership().await {
            Ownership::Ours => Ok(()),
            Ownership::Unknown(error) => Err(error),
            Ownership::Foreign(message) => {
                tracing::error!(backend = %self.id, "{message}");
                Err(BackendError::new(BackendErrorKind::Denied, message))
            }
        }
    }
}

#[async_trait]
impl Backend for Owned {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(
        &self,
        key: &BackendKey,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.must_be_ours().await?;
        self.inner.put(key, size, body).await
    }

    async fn get(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &BackendKey) -> Result<Option<Stored>, BackendError> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &BackendKey) -> Result<(), BackendError> {
        self.must_be_ours().await?;
        self.inner.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BackendPage, BackendError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn create_upload(&self, key: &BackendKey) -> Result<String, BackendError> {
        self.must_be_ours().await?;
        self.inner.create_upload(key).await
    }

    async fn put_part(
        &self,
        key: &BackendKey,
        upload: &str,
        part: PartNumber,
        size: u64,
        body: PutStream,
    ) -> Result<Stored, BackendError> {
        self.must_be_ours().await?;
        self.inner.put_part(key, upload, part, size, body).await
    }

    async fn complete_upload(
        &self,
        key: &BackendKey,
        upload: &str,
        parts: &[BackendPart],
    ) -> Result<Stored, BackendError> {
        self.must_be_ours().await?;
        self.inner.complete_upload(key, upload, parts).await
    }

    async fn abort_upload(&self, key: &BackendKey, upload: &str) -> Result<(), BackendError> {
        self.must_be_ours().await?;
        self.inner.abort_upload(key, upload).await
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<BackendUpload>, BackendError> {
        self.inner.list_uploads(prefix, limit).await
    }

    async fn read_owner(&self) -> Result<Option<Vec<u8>>, BackendError> {
        self.inner.read_owner().await
    }

    async fn write_owner(&self, marker: &[u8]) -> Result<(), BackendError> {
        self.inner.write_owner(marker).await
    }

    async fn confirmed(&self) -> Result<(), BackendError> {
        self.inner.confirmed().await
    }

    fn disputed(&self) {
        self.inner.disputed();
    }
}

#[cfg(test)]
mod tests;
