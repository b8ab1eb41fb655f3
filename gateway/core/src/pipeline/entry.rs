//! The record of one request, from its first byte to its answer's last.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use weir_types::Error;
use weir_types::Result;
use weir_types::id::Principal;
use weir_types::operation::{Operation, Outcome};

use crate::front::{BodyError, ReplyBody};
use crate::gateway::Gateway;
use crate::observe::{AccessRecord, Observer, Trace, TraceNotes};

/// Query parameters whose values must never reach a log.
const SECRET_PARAMETERS: [&str; 5] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-credential",
    "signature",
    "awsaccesskeyid",
];

/// An entry of the access log in the making.
pub(super) struct Entry {
    observer: Arc<dyn Observer>,
    started: Instant,
    trace: Arc<Trace>,
    record: AccessRecord,
    /// Length of the answer's body, when it is known beforehand.
    announced: Option<u64>,
}

impl Entry {
    /// A request arrived.
    pub(super) fn open<B>(gateway: &Gateway, request: &Request<B>) -> Self {
        let id = format!("{:016X}", gateway.entropy.u64());
        Self::new(Arc::clone(&gateway.observer), id, request)
    }

    fn new<B>(observer: Arc<dyn Observer>, request_id: String, request: &Request<B>) -> Self {
        Self {
            observer,
            started: Instant::now(),
            trace: Arc::default(),
            record: AccessRecord {
                request_id,
                method: request.method().to_string(),
                target: loggable_target(request),
                operation: "",
                principal: None,
                status: 0,
                error: None,
                bytes_in: 0,
                bytes_out: 0,
                complete: false,
                head_after: std::time::Duration::ZERO,
                took: std::time::Duration::ZERO,
                trace: TraceNotes::default(),
            },
            announced: None,
        }
    }

    /// The id that the client is told.
    pub(super) fn request_id(&self) -> &str {
        &self.record.request_id
    }

    /// Where the request's steps leave notes.
    pub(super) fn trace(&self) -> Arc<Trace> {
        Arc::clone(&self.trace)
    }

    /// The sender is known.
    pub(super) fn authenticated(&mut self, principal: &Principal) {
        self.record.principal = Some(principal.clone());
    }

    /// It is known what is asked for.
    pub(super) fn decoded(&mut self, operation: &Operation) {
        self.record.operation = operation.name();
        self.record.bytes_in = match operation {
            Operation::PutObject(put) => put.body.size,
            Operation::UploadPart(part) => part.body.size,
            _ => 0,
        };
        if let Some((_, Some(bucket), key)) = operation.needs().into_iter().next_back() {
            let key = shown(key.unwrap_or_default());
            self.trace.resource(format!("{bucket}/{key}"));
        }
    }

    /// The operation succeeded or failed.
    pub(super) fn executed(&mut self, outcome: &Result<Outcome>) {
        if let Err(error) = outcome {
            self.failed(error);
        }
    }

    /// The request was refused or failed.
    pub(super) fn failed(&mut self, error: &Error) {
        self.record.error = Some(error.code.code());
    }

    /// The answer's head is ready. The record is handed over when its body has been sent, or
    /// dropped because the client went away.
    pub(super) fn close(mut self, response: Response<ReplyBody>) -> Response<ReplyBody> {
        self.record.status = response.status().as_u16();
        self.record.head_after = self.started.elapsed();
        // A connection that has sent Content-Length bytes asks the body for no more.
        response.map(|body| {
            self.announced = body.size_hint().exact();
            Recorded { body, entry: self }.boxed_unsync()
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.record.took = self.started.elapsed();
        self.record.complete |= self.announced == Some(self.record.bytes_out);
        self.record.trace = self.trace.notes();
        self.record.error = self.record.error.or(self.record.trace.failed_late);
        self.observer.request(&self.record);
    }
}

/// A body that counts what leaves.
struct Recorded {
    body: ReplyBody,
    entry: Entry,
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.entry.record.bytes_out += bytes;
                if self.body.is_end_stream() {
                    self.entry.record.complete = true;
                }
            }
            Some(Err(_)) => {}
            None => self.entry.record.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Path and query without anything secret.
fn loggable_target<B>(request: &Request<B>) -> String {
    let path = shown(request.uri().path());
    let Some(query) = request.uri().query() else {
        return path.into_owned();
    };
    let mut target = path.into_owned();
    for (nth, parameter) in query.split('&').enumerate() {
        target.push(if nth == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                target.push_str(name);
                target.push_str("=-");
            }
            _ => target.push_str(&shown(parameter)),
        }
    }
    target
}

/// Text from a client, fit for a log: what is not plain ASCII is escaped.
fn shown(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b == b' ' || (b.is_ascii_graphic() && !b"\"'\\".contains(&b));
    if text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.escape_debug().to_string())
    }
}

/// A name that is percent-encoded might be any; honest ones need no encoding.
fn is_secret(name: &str) -> bool {
    let named = |secret: &&str| name.eq_ignore_ascii_case(secret);
    name.contains('%') || SECRET_PARAMETERS.iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the last record.
    #[derive(Default)]
    struct Last(parking_lot::Mutex<Option<AccessRecord>>);

    impl Observer for Last {
        fn request(&self, record: &AccessRecord) {
            *self.0.lock() = Some(record.clone());
        }
        fn backend_call(&self, _: &crate::observe::BackendCall<'_>) {}
        fn work(&self, _: &'static str, _: crate::observe::WorkOutcome, _: std::time::Duration) {}
        fn breaker(
            &self,
            _: &weir_types::id::BackendId,
            _: crate::observe::OperationClass,
            _: bool,
        ) {
        }
    }

    #[tokio::test]
    async fn an_answer_is_complete_when_all_of_it_was_taken() {
        use http_body_util::Full;
        // Length of the body, frames taken, whether that is all of it.
        for (length, frames, complete) in [(0, 0, true), (5, 1, true), (5, 0, false)] {
            let last = Arc::new(Last::default());
            let request = Request::builder().uri("/b/k").body(()).expect("a request");
            let entry = Entry::new(
                Arc::clone(&last) as Arc<dyn Observer>,
                "id".into(),
                &request,
            );
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            let body = body.map_err(|never| match never {}).boxed_unsync();
            let mut response = entry.close(Response::new(body));
            for _ in 0..frames {
                response
                    .body_mut()
                    .frame()
                    .await
                    .expect("a frame")
                    .expect("bytes");
            }
            drop(response);
            let record = last.0.lock().take().expect("recorded when dropped");
            assert_eq!(
                record.complete, complete,
                "{frames} frames of {length} bytes"
            );
        }
    }

    #[tokio::test]
    async fn a_failure_behind_an_answer_that_has_begun_is_recorded() {
        let last = Arc::new(Last::default());
        let request = Request::builder().uri("/b/k").body(()).expect("a request");
        let entry = Entry::new(
            Arc::clone(&last) as Arc<dyn Observer>,
            "id".into(),
            &request,
        );
        entry.trace().failed_late("InternalError");
        drop(entry);
        let record = last.0.lock().take().expect("recorded when dropped");
        assert_eq!(record.error, Some("InternalError"));
    }

    #[test]
    fn targets_are_logged_without_secrets() {
        let cases = [
            ("/b/k", "/b/k"),
            ("/b/k%0A", "/b/k%0A"),
            ("/b/k?versionId=null", "/b/k?versionId=null"),
            (
                "/b?X-Amz-Credential=AK%2F2026&X-Amz-Date=1&X-Amz-Signature=abc",
                "/b?X-Amz-Credential=-&X-Amz-Date=1&X-Amz-Signature=-",
            ),
            (
                "/b?X-Amz-Signatur%65=abc&a=%41",
                "/b?X-Amz-Signatur%65=-&a=%41",
            ),
            (
                "/b?x-amz-security-token=tok&list-type=2",
                "/b?x-amz-security-token=-&list-type=2",
            ),
            (
                "/b?AWSAccessKeyId=AK&Signature=s&Expires=1",
                "/b?AWSAccessKeyId=-&Signature=-&Expires=1",
            ),
        ];
        for (target, want) in cases {
            let request = Request::builder().uri(target).body(()).expect("a request");
            assert_eq!(loggable_target(&request), want);
        }
    }
}
