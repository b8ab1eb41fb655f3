//! One request and its answer: slots, signing, timeouts, a second try on a dead connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::body::{GetStream, PutStream};
use weir_types::clock::Clock;

use super::answer::{Refusal, retry_after};
use super::body::{Abandons, OutBody, Progress, SourceBody, wrong_length};
use super::chunked;
use super::connect::{Pool, pool};
use super::endpoint::{Endpoint, canonical_query};
use super::expect::{Gate, Manners, Passage, Unread};
use super::sign::{Canonical, EMPTY_SHA256, Signer, sha256_hex};
use crate::config::{PayloadSigning, S3Config};

/// Bodies up to here are gathered before they are sent: one write, and a second try is safe.
const SMALL_BYTES: u64 = 64 << 10;
/// How long a large body waits to be wanted. What curl and Go's client wait.
const CONTINUE_WAIT_MAX: Duration = Duration::from_secs(1);
/// What is read of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// What is sent along.
pub(super) enum Payload {
    /// Nothing.
    None,
    /// A document of ours; signed.
    Document(Bytes),
    /// An object's or part's bytes.
    Body(u64, PutStream),
}

/// A request to the endpoint.
pub(super) struct Request<'a> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Encoded.
    pub(super) path: String,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Signed with the rest; lowercase names.
    pub(super) headers: Vec<(&'static str, String)>,
    /// `Range`, not signed.
    pub(super) range: Option<String>,
}

/// Speaks to one endpoint.
pub(super) struct Client {
    pool: Pool,
    endpoint: Endpoint,
    signer: Signer,
    clock: Arc<dyn Clock>,
    slots: Arc<Semaphore>,
    slot_wait_max: Duration,
    first_byte: Duration,
    idle: Duration,
    signs_bodies: bool,
    pub(super) manners: Arc<Manners>,
    /// How long a large body waits to be wanted.
    pub(super) continue_wait: Duration,
}

/// An answer whose body is still to be read. Holds its slot until then.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    slot: OwnedSemaphorePermit,
    idle: Duration,
    /// Ends a connection that still owes a body once this answer was read.
    _abandons: Option<Abandons>,
}

/// An error of the endpoint or of the way to it.
pub(super) fn unavailable(operation: &str, message: impl std::fmt::Display) -> BackendError {
    BackendError::new(
        BackendErrorKind::Unavailable,
        format!("s3: {operation}: {message}"),
    )
}

/// The whole chain of causes: hyper's own text says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// A body on its way out, ready to be signed.
enum Ready {
    Full { bytes: Bytes, is_document: bool },
    Stream(u64, PutStream),
}

impl Ready {
    /// Gathers small bodies; a body without bytes is read to its end before anything is sent.
    async fn from(payload: Payload) -> Result<Self, BackendError> {
        match payload {
            Payload::None => Ok(Self::Full {
                bytes: Bytes::new(),
                is_document: true,
            }),
            Payload::Document(bytes) => Ok(Self::Full {
                bytes,
                is_document: true,
            }),
            Payload::Body(size, mut body) if size <= SMALL_BYTES => {
                let mut bytes = BytesMut::new();
                while let Some(chunk) = body.next().await {
                    bytes.extend_from_slice(&chunk.map_err(BackendError::source)?);
                    if bytes.len() as u64 > size {
                        return Err(wrong_length());
                    }
                }
                if bytes.len() as u64 != size {
                    return Err(wrong_length());
                }
                Ok(Self::Full {
                    bytes: bytes.freeze(),
                    is_document: false,
                })
            }
            Payload::Body(size, body) => Ok(Self::Stream(size, body)),
        }
    }
}

impl Client {
    /// A client for `config`; the error is for the operator.
    pub(super) fn new(
        config: &S3Config,
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let signer = Signer::new(
            config.access_key_id.clone(),
            config.secret_access_key.clone(),
            config.session_token.clone(),
            config.region.clone(),
        );
        let signs_bodies =
            !endpoint.is_tls && config.http_payload_signing == PayloadSigning::Streaming;
        let idle = Duration::from_millis(config.idle_timeout_ms);
        Ok(Self {
            pool: pool(config)?,
            endpoint,
            signer,
            clock,
            slots: Arc::new(Semaphore::new(config.slots_max)),
            slot_wait_max: Duration::from_millis(config.slot_wait_max_ms),
            first_byte: Duration::from_millis(config.first_byte_timeout_ms),
            idle,
            signs_bodies,
            manners: Arc::default(),
            continue_wait: CONTINUE_WAIT_MAX.min(idle / 2),
        })
    }

    async fn slot(&self, operation: &str) -> Result<OwnedSemaphorePermit, BackendError> {
        let waiting = Arc::clone(&self.slots).acquire_owned();
        match tokio::time::timeout(self.slot_wait_max, waiting).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(unavailable(operation, "the backend is closed")),
            Err(_) => {
                let message = format!("s3: {operation}: all request slots are in use");
                Err(BackendError::new(BackendErrorKind::Throttled, message))
            }
        }
    }

    /// Sends a request and waits for the head of its answer, whatever its status.
    pub(super) async fn send(
        &self,
        request: Request<'_>,
        payload: Payload,
    ) -> Result<Answer, BackendError> {
        // A small body that comes slowly takes no slot while it does.
        let ready = Ready::from(payload).await?;
        let slot = self.slot(request.operation).await?;
        let (answer, abandons) = match ready {
            Ready::Stream(size, body) => self.send_stream(&request, size, body).await?,
            Ready::Full { bytes, is_document } => {
                let answer = self.send_full(&request, bytes, is_document).await?;
                (answer, None)
            }
        };
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            slot,
            idle: self.idle,
            _abandons: abandons,
        })
    }

    async fn send_stream(
        &self,
        request: &Request<'_>,
        size: u64,
        body: PutStream,
    ) -> Result<(http::Response<Incoming>, Option<Abandons>), BackendError> {
        let body = Unread::new(body);
        let mut may_repeat = true;
        loop {
            let gate = self.manners.asks().then(|| Gate::new(&self.manners));
            let progress = Progress::new(true);
            let abandons = Abandons(Arc::clone(&progress));
            let http = self.streamed(request, size, body.lend(), &progress, gate.clone())?;
            let answer = self.exchange(request.operation, http, &progress).await;
            if let Some(gate) = gate {
                gate.answered();
            }
            if let Some(failure) = progress.take_failure() {
                return Err(failure);
            }
            let repeats = std::mem::take(&mut may_repeat) && body.is_whole();
            match answer {
                Err(e) if e.is_dead_connection && repeats => {}
                Err(e) => return Err(e.error),
                Ok(answer) if answer.status() == StatusCode::EXPECTATION_FAILED && repeats => {
                    self.manners.refused();
                }
                Ok(answer) if answer.status().is_success() && !progress.is_sent() => {
                    let message = "answered before it had the whole body";
                    return Err(unavailable(request.operation, message));
                }
                Ok(answer) => return Ok((answer, Some(abandons))),
            }
        }
    }

    /// A request whose body comes while it is sent, past `gate` if there is one.
    fn streamed(
        &self,
        request: &Request<'_>,
        size: u64,
        body: PutStream,
        progress: &Arc<Progress>,
        gate: Option<Arc<Gate>>,
    ) -> Result<http::Request<OutBody>, BackendError> {
        let (mut parts, body, size) = if self.signs_bodies {
            let mut headers = request.headers.clone();
            headers.push(("content-encoding", "aws-chunked".to_owned()));
            headers.push(("x-amz-decoded-content-length", size.to_string()));
            let (parts, chunks) = self.head(request, headers, STREAMING)?;
            let body = chunked::encode(body, size, chunks);
            (parts, body, chunked::encoded_bytes(size))
        } else {
            let (parts, _) = self.head(request, request.headers.clone(), UNSIGNED)?;
            (parts, body, size)
        };
        if gate.is_some() {
            // Not signed: it is a matter between neighbours.
            let value = HeaderValue::from_static("100-continue");
            parts.headers.insert(header::EXPECT, value);
        }
        let passage = gate
            .clone()
            .map(|gate| Passage::new(gate, self.continue_wait));
        let body = SourceBody::new(body, size, passage, Arc::clone(progress));
        let mut http = with_body(parts, size, OutBody::Stream(body));
        if let Some(gate) = gate {
            hyper::ext::on_informational(&mut http, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        Ok(http)
    }

    async fn send_full(
        &self,
        request: &Request<'_>,
        bytes: Bytes,
        is_document: bool,
    ) -> Result<http::Response<Incoming>, BackendError> {
        let payload = match (bytes.is_empty(), is_document || self.signs_bodies) {
            (true, _) => EMPTY_SHA256.to_owned(),
            (false, true) => sha256_hex(&bytes),
            (false, false) => UNSIGNED.to_owned(),
        };
        // Puts may be repeated too: their keys are used once, and the bytes are the same.
        let mut may_repeat = request.method != Method::POST;
        loop {
            let (parts, _) = self.head(request, request.headers.clone(), &payload)?;
            let http = with_body(parts, bytes.len() as u64, OutBody::Full(bytes.clone()));
            let progress = Progress::new(false);
            match self.exchange(request.operation, http, &progress).await {
                Ok(answer) => return Ok(answer),
                Err(e) if e.is_dead_connection && may_repeat => may_repeat = false,
                Err(e) => return Err(e.error),
            }
        }
    }

    /// The signed head of a request.
    fn head(
        &self,
        request: &Request<'_>,
        mut headers: Vec<(&'static str, String)>,
        payload: &str,
    ) -> Result<(http::request::Parts, super::sign::ChunkSigner), BackendError> {
        let query = canonical_query(request.query);
        headers.push(("host", self.endpoint.host.clone()));
        let canonical = Canonical {
            method: request.method.as_str(),
            path: &request.path,
            query: &query,
            payload,
        };
        let signed = self.signer.sign(self.clock.now(), &canonical, &mut headers);
        let wrong = |e: &dyn std::fmt::Display| {
            let message = format!("s3: {}: {e}", request.operation);
            BackendError::new(BackendErrorKind::Rejected, message)
        };
        let uri = self
            .endpoint
            .uri(&request.path, &query)
            .map_err(|e| wrong(&e))?;
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = request.method.clone();
        parts.uri = uri;
        headers.push(("authorization", signed.authorization));
        headers.extend(request.range.clone().map(|range| ("range", range)));
        // Bytes must come back as they were stored, never compressed on the way.
        headers.push(("accept-encoding", "identity".to_owned()));
        for (name, value) in headers {
            let mut value = HeaderValue::try_from(value).map_err(|e| wrong(&e))?;
            value.set_sensitive(matches!(name, "authorization" | "x-amz-security-token"));
            parts.headers.insert(HeaderName::from_static(name), value);
        }
        Ok((parts, signed.chunks))
    }

    async fn exchange(
        &self,
        operation: &'static str,
        request: http::Request<OutBody>,
        progress: &Progress,
    ) -> Result<http::Response<Incoming>, Failed> {
        tokio::select! {
            biased;
            answer = self.pool.request(request) => answer.map_err(|e| Failed {
                is_dead_connection: !e.is_connect(),
                error: unavailable(operation, chain(&e)),
            }),
            what = progress.stalled(self.idle, self.first_byte) => Err(Failed {
                is_dead_connection: false,
                error: unavailable(operation, what),
            }),
        }
    }

    /// The error that a refusal means. Reads its body.
    pub(super) async fn refusal(
        &self,
        operation: &'static str,
        answer: Answer,
        size: u64,
    ) -> BackendError {
        let (status, headers) = (answer.status, answer.headers.clone());
        // A refusal that breaks off is a refusal all the same.
        let body = answer
            .document(operation, REFUSAL_BYTES_MAX)
            .await
            .unwrap_or_default();
        let retry_after = retry_after(&headers, self.clock.now());
        Refusal {
            operation,
            status,
            retry_after,
            body: &body,
            size,
        }
        .into_error()
    }
}

struct Failed {
    /// The connection broke before an answer: a pooled one may have been closed by the other
    /// side just then.
    is_dead_connection: bool,
    error: BackendError,
}

fn with_body(mut parts: http::request::Parts, size: u64, body: OutBody) -> http::Request<OutBody> {
    let sends_length = size > 0 || matches!(parts.method, Method::PUT | Method::POST);
    if sends_length {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    http::Request::from_parts(parts, body)
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The entity tag without its quotes; empty when there is none.
    pub(super) fn etag(&self) -> String {
        self.header(&header::ETAG)
            .unwrap_or_default()
            .trim_matches('"')
            .to_owned()
    }

    /// `Content-Length`.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.parse().ok()
    }

    /// The whole body as text, up to `bytes_max`.
    pub(super) async fn document(
        mut self,
        operation: &str,
        bytes_max: usize,
    ) -> Result<String, BackendError> {
        let mut whole = Vec::new();
        while let Some(data) = next_data(&mut self.body, self.idle, operation).await? {
            if whole.len() + data.len() > bytes_max {
                let message = format!("s3: {operation}: the answer is too long");
                return Err(BackendError::new(BackendErrorKind::Corrupt, message));
            }
            whole.extend_from_slice(&data);
        }
        Ok(String::from_utf8_lossy(&whole).into_owned())
    }

    /// The body as a stream of exactly `size` bytes; its slot is free when it ends.
    pub(super) fn stream(self, operation: &'static str, size: u64) -> GetStream {
        let state = (self, size);
        Box::pin(futures_util::stream::try_unfold(
            state,
            move |(mut answer, rest)| async move {
                if rest == 0 {
                    return Ok(None);
                }
                match next_data(&mut answer.body, answer.idle, operation).await? {
                    Some(data) => match rest.checked_sub(data.len() as u64) {
                        Some(rest) => Ok(Some((data, (answer, rest)))),
                        None => {
                            let message = format!("s3: {operation}: more bytes than announced");
                            Err(BackendError::new(BackendErrorKind::Corrupt, message))
                        }
                    },
                    None => Err(unavailable(operation, "the body ended early")),
                }
            },
        ))
    }

    /// Gives the slot back without reading the body.
    pub(super) fn discard(self) {
        drop(self.slot);
    }
}

/// The next bytes of a body, within the time limit.
async fn next_data(
    body: &mut Incoming,
    idle: Duration,
    operation: &str,
) -> Result<Option<Bytes>, BackendError> {
    loop {
        match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => return Err(unavailable(operation, "no bytes came in time")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(e))) => return Err(unavailable(operation, chain(&e))),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
