//! What an endpoint's ETags say about the bytes it stored.
//!
//! S3 promises nothing about ETags, but of an object stored in one request without KMS or
//! customer keys they are the MD5 at AWS and at most who speak its protocol. Whether that is so
//! is found out and never assumed: by the owner marker, whose bytes are known, for objects, and
//! by an upload of its own, once, for parts, whose tags are something else at some endpoints
//! where those of objects are not. From then on every such tag is an MD5 that the bytes sent
//! must have.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use weir_types::backend::{Backend as _, BackendError};
use weir_types::id::PartNumber;

use super::S3Backend;
use super::client::Answer;

/// What the upload that tries the tags of parts is for. Nothing ever comes to lie there.
const PROBE_KEY: &str = "w1-probe";
const PROBE: &[u8] = b"What is the tag of this part?";
/// Uploads that earlier processes left at it; there is hardly ever one.
const LEFT_MAX: usize = 10;

/// A part waits for so long at most until it is known what its tag is.
const TRY_MAX: Duration = Duration::from_secs(10);
/// When it could not be found out, parts go unchecked for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// What is known of an endpoint's tags.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// Those of objects have been seen to be their MD5. They cannot be by chance, so this is
    /// never taken back.
    objects: AtomicBool,
    /// Whether those of parts are, once it is known.
    parts: OnceLock<bool>,
    /// When it was tried last.
    parts_tried_at: Mutex<Option<Instant>>,
}

/// The MD5 that an ETag is, if it looks like one: of bytes encrypted with keys that are not
/// the endpoint's own it is something else of the same form (AWS, "Checking object integrity").
pub(super) fn claimed(answer: &Answer) -> Option<[u8; 16]> {
    let says = |name| answer.headers.get(name).and_then(|v| v.to_str().ok());
    let is_kms = says("x-amz-server-side-encryption").is_some_and(|how| how != "AES256");
    let is_customer = says("x-amz-server-side-encryption-customer-algorithm").is_some();
    if is_kms || is_customer {
        return None;
    }
    let mut md5 = [0; 16];
    hex::decode_to_slice(answer.etag(), &mut md5).ok()?;
    Some(md5)
}

impl Tags {
    /// Learns from an answer about the object that holds `bytes`.
    pub(super) fn learn(&self, claimed: Option<[u8; 16]>, bytes: &[u8]) {
        if claimed == Some(Md5::digest(bytes).into()) {
            self.objects.store(true, Ordering::Relaxed);
        }
    }

    /// The MD5 that the answer to a put tells.
    pub(super) fn of_object(&self, answer: &Answer) -> Option<[u8; 16]> {
        self.objects
            .load(Ordering::Relaxed)
            .then(|| claimed(answer))
            .flatten()
    }

    /// The same for a part.
    pub(super) fn of_part(&self, answer: &Answer) -> Option<[u8; 16]> {
        (self.parts.get() == Some(&true))
            .then(|| claimed(answer))
            .flatten()
    }
}

impl S3Backend {
    /// Finds out, once, what the tags of parts are. One part waits for it; those that come
    /// meanwhile go unchecked. A failure is not remembered for long: a later part tries again.
    pub(super) async fn try_tags_of_parts(&self) {
        let is_due = |last: &Option<Instant>| last.is_none_or(|at| at.elapsed() >= TRY_AGAIN_AFTER);
        if !self.tags.objects.load(Ordering::Relaxed) || self.tags.parts.get().is_some() {
            return;
        }
        {
            let mut tried_at = self.tags.parts_tried_at.lock();
            if !is_due(&tried_at) {
                return;
            }
            *tried_at = Some(Instant::now());
        }
        match timeout(TRY_MAX, self.probe_part()).await {
            // Another has found out the same meanwhile.
            Ok(Ok(are_md5)) => drop(self.tags.parts.set(are_md5)),
            Ok(Err(error)) => tracing::debug!(%error, "what the tags of parts are is not known"),
            Err(_elapsed) => tracing::debug!("what the tags of parts are was not found in time"),
        }
    }

    async fn probe_part(&self) -> Result<bool, BackendError> {
        let left = self.list_uploads(PROBE_KEY, LEFT_MAX).await?;
        for left in left.iter().filter(|left| left.key == PROBE_KEY) {
            self.abort(&left.key, &left.upload).await?;
        }
        let upload = self.start_upload(PROBE_KEY).await?;
        let body = futures_util::stream::once(async { Ok(Bytes::from_static(PROBE)) }).boxed();
        let size = PROBE.len() as u64;
        let answer = self.send_part(PROBE_KEY, &upload, PartNumber::FIRST, size, body);
        let answer = answer.await;
        if let Err(error) = self.abort(PROBE_KEY, &upload).await {
            tracing::warn!(%error, "an upload at {PROBE_KEY} stays until the next start");
        }
        let answer = answer?;
        let is_md5 = claimed(&answer) == Some(Md5::digest(PROBE).into());
        answer.discard();
        Ok(is_md5)
    }
}
