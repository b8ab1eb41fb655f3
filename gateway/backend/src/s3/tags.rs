//! What an endpoint's ETags say about the bytes it stored.
//!
//! S3 promises nothing about ETags, but of an object stored in one request without KMS or
//! customer keys they are the MD5 at AWS and at most who speak its protocol. Whether that is so
//! is found out and never assumed: by the owner marker, whose bytes are known, for objects, and
//! by an upload of its own, once, for parts, whose tags are something else at some endpoints
//! where those of objects are not. From then on every such tag is an MD5 that the bytes sent
//! must have. Where one is not, the endpoint has spoilt bytes or changed its ways: bytes that
//! are known are stored and removed again to find out which.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Method;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use weir_types::backend::{Backend as _, BackendError};
use weir_types::id::PartNumber;

use super::S3Backend;
use super::client::Answer;

/// Where tags are tried. Nothing stays there.
const PROBE_KEY: &str = "w1-probe";
const PROBE: &[u8] = b"What is the tag of these bytes?";
/// Uploads that earlier processes left at it; there is hardly ever one.
const LEFT_MAX: usize = 10;

/// A part waits for so long at most until it is known what its tag is.
const TRY_MAX: Duration = Duration::from_secs(10);
/// When it could not be found out, parts go unchecked for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// What the tags of objects are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Belief {
    /// Not known.
    #[default]
    Nothing,
    /// One was seen to be the MD5. It cannot be by chance.
    Md5,
    /// Something else, though they were MD5s once: tags of then prove nothing.
    NoMore,
}

/// What is known of an endpoint's tags.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// Those of objects.
    objects: Mutex<Belief>,
    /// One of them was not: it has to be found out anew.
    disputed: AtomicBool,
    /// Whether those of parts are, once it is known.
    parts: Mutex<Option<bool>>,
    /// When parts were tried last.
    parts_tried_at: Mutex<Option<Instant>>,
    /// When objects were.
    objects_tried_at: Mutex<Option<Instant>>,
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
        let mut objects = self.objects.lock();
        if *objects == Belief::Nothing && claimed == Some(Md5::digest(bytes).into()) {
            *objects = Belief::Md5;
        }
    }

    /// The MD5 that the answer to a put tells.
    pub(super) fn of_object(&self, answer: &Answer) -> Option<[u8; 16]> {
        self.believed().then(|| claimed(answer)).flatten()
    }

    /// The same for a part.
    pub(super) fn of_part(&self, answer: &Answer) -> Option<[u8; 16]> {
        (*self.parts.lock() == Some(true))
            .then(|| claimed(answer))
            .flatten()
    }

    /// A tag was not the MD5 of the bytes that were sent.
    pub(super) fn disputed(&self) {
        self.disputed.store(true, Ordering::Relaxed);
    }

    fn believed(&self) -> bool {
        *self.objects.lock() == Belief::Md5
    }

    /// Tags of objects are something else now, and those of parts are not known.
    fn doubt(&self) {
        *self.objects.lock() = Belief::NoMore;
        *self.parts.lock() = None;
    }
}

/// Whether it is time to try, and if so, notes that it is done now.
fn is_due(tried_at: &Mutex<Option<Instant>>) -> bool {
    let mut tried_at = tried_at.lock();
    let is_due = tried_at.is_none_or(|at| at.elapsed() >= TRY_AGAIN_AFTER);
    if is_due {
        *tried_at = Some(Instant::now());
    }
    is_due
}

impl S3Backend {
    /// Finds out whether the tags of objects still are what they were taken for, if one was
    /// disputed. One write waits for it; those that come meanwhile are still judged by their
    /// tags. After a failure a later write tries again.
    pub(super) async fn try_disputed_tags(&self) {
        let tags = &self.tags;
        if !tags.disputed.load(Ordering::Relaxed) || !is_due(&tags.objects_tried_at) {
            return;
        }
        match timeout(TRY_MAX, self.probe_object()).await {
            Ok(Ok(are_md5)) => {
                tags.disputed.store(false, Ordering::Relaxed);
                *tags.objects_tried_at.lock() = None;
                if !are_md5 {
                    tracing::warn!(
                        "the endpoint's ETags are no MD5s any more; they are not held against bytes"
                    );
                    tags.doubt();
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "what the tags of objects are is not known"),
            Err(_elapsed) => tracing::debug!("what the tags of objects are was not found in time"),
        }
    }

    /// Finds out, once, what the tags of parts are. One part waits for it; those that come
    /// meanwhile go unchecked. A failure is not remembered for long: a later part tries again.
    pub(super) async fn try_tags_of_parts(&self) {
        let tags = &self.tags;
        let is_open = tags.believed() && tags.parts.lock().is_none();
        if !is_open || !is_due(&tags.parts_tried_at) {
            return;
        }
        match timeout(TRY_MAX, self.probe_part()).await {
            Ok(Ok(are_md5)) => *tags.parts.lock() = Some(are_md5),
            Ok(Err(error)) => tracing::debug!(%error, "what the tags of parts are is not known"),
            Err(_elapsed) => tracing::debug!("what the tags of parts are was not found in time"),
        }
    }

    async fn probe_object(&self) -> Result<bool, BackendError> {
        let body = futures_util::stream::once(async { Ok(Bytes::from_static(PROBE)) }).boxed();
        let answer = self.store(PROBE_KEY, PROBE.len() as u64, body).await?;
        let is_md5 = claimed(&answer) == Some(Md5::digest(PROBE).into());
        answer.discard();
        let request = self.object_request("delete probe", Method::DELETE, PROBE_KEY);
        self.remove("delete probe", request).await?;
        Ok(is_md5)
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
