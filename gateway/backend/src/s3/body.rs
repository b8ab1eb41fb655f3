//! Bodies of requests, and a watch on how they move.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use weir_types::ErrorCode;
use weir_types::backend::BackendError;
use weir_types::body::PutStream;

use super::expect::Passage;

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The source's: it has no bytes ready. Not the endpoint's fault, so no limit here.
    Source,
    /// The endpoint's: it has had bytes offered since then and does not take them.
    Sending(Instant),
    /// The endpoint's: it has everything since then and does not answer.
    Sent(Instant),
}

/// Where a request stands.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Mutex<Phase>,
    failure: Mutex<Option<BackendError>>,
    is_abandoned: AtomicBool,
    /// Whoever sends the body.
    sender: AtomicWaker,
}

/// Abandons a request when it is dropped: whoever waited for the answer has it or has gone.
/// What is left of the body is not sent, and the connection, which still owes it, ends.
#[derive(Debug)]
pub(super) struct Abandons(pub(super) Arc<Progress>);

impl Drop for Abandons {
    fn drop(&mut self) {
        if !self.0.is_sent() {
            self.0.is_abandoned.store(true, Ordering::Release);
            self.0.sender.wake();
        }
    }
}

impl Progress {
    /// A request whose body is not read yet, or that has none.
    pub(super) fn new(has_body: bool) -> Arc<Self> {
        let now = Instant::now();
        let phase = if has_body {
            Phase::Sending(now)
        } else {
            Phase::Sent(now)
        };
        Arc::new(Self {
            phase: Mutex::new(phase),
            failure: Mutex::new(None),
            is_abandoned: AtomicBool::new(false),
            sender: AtomicWaker::new(),
        })
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Whether the endpoint was given everything.
    pub(super) fn is_sent(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Sent(_))
    }

    /// Why the body broke off at its source, if it did.
    pub(super) fn take_failure(&self) -> Option<BackendError> {
        self.failure.lock().take()
    }

    /// Ends when the endpoint stood still for too long: `idle` while it should take bytes,
    /// `first_byte` while it should answer. Says which.
    pub(super) async fn stalled(&self, idle: Duration, first_byte: Duration) -> &'static str {
        loop {
            let phase = *self.phase.lock();
            let (deadline, what) = match phase {
                Phase::Source => (Instant::now() + idle, ""),
                Phase::Sending(since) => (since + idle, "the endpoint took no bytes in time"),
                Phase::Sent(since) => (since + first_byte, "the endpoint did not answer in time"),
            };
            if !what.is_empty() && deadline <= Instant::now() {
                return what;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// The body of a request.
pub(super) enum OutBody {
    /// Nothing, or bytes that are there.
    Full(Bytes),
    /// Bytes that come.
    Stream(SourceBody),
}

/// A body from its source. One chunk is always held back until the next one or the end has
/// come: a source that finds at its end that all was wrong (a signature, a checksum) can
/// then still cut the request short, and nothing is stored.
///
/// A body that fails is broken off only when at least one byte of it is on its way, padding if
/// need be: SeaweedFS 4.48 takes a body that was cut off at its very start for an empty one,
/// and stores that.
pub(super) struct SourceBody {
    source: PutStream,
    held: Option<Bytes>,
    /// Bytes that the source still owes.
    owed: u64,
    /// Bytes that are still to be sent.
    unsent: u64,
    ended: bool,
    /// Whether the endpoint has had a byte.
    begun: bool,
    breaking: Breaking,
    /// What it has to pass first, if anything.
    passage: Option<Passage>,
    progress: Arc<Progress>,
}

/// How far a body that failed is on its way to break off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaking {
    /// It has not failed.
    Not,
    /// It has, and what was handed over may still have to be written out.
    Soon,
    /// It breaks off now.
    Now,
}

/// What a look at a body gives.
type Polled = Poll<Option<Result<Frame<Bytes>, BrokenOff>>>;

/// A body broke off: its source failed, which stands in [`Progress`], or nobody waits any more.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for BrokenOff {}

impl SourceBody {
    /// Exactly `size` bytes of `source`, once they are through `passage`.
    pub(super) fn new(
        source: PutStream,
        size: u64,
        passage: Option<Passage>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            source,
            held: None,
            owed: size,
            unsent: size,
            ended: false,
            begun: false,
            breaking: Breaking::Not,
            passage,
            progress,
        }
    }

    fn fail(&mut self, error: BackendError, cx: &Context<'_>) -> Polled {
        *self.progress.failure.lock() = Some(error);
        self.ended = true;
        self.breaking = Breaking::Soon;
        // The body must stay one byte short of what was announced, at the least.
        if self.begun || self.unsent < 2 {
            return self.break_off(cx);
        }
        Poll::Ready(Some(Ok(self.send(Bytes::from_static(b"\0")))))
    }

    /// Breaks off once what was handed over was written out, which is when we are asked again.
    fn break_off(&mut self, cx: &Context<'_>) -> Polled {
        if self.breaking == Breaking::Soon {
            self.breaking = Breaking::Now;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(BrokenOff)))
    }

    fn send(&mut self, chunk: Bytes) -> Frame<Bytes> {
        self.unsent -= chunk.len() as u64;
        self.begun = true;
        let now = Instant::now();
        self.progress.set(if self.unsent == 0 {
            Phase::Sent(now)
        } else {
            Phase::Sending(now)
        });
        Frame::data(chunk)
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.breaking != Breaking::Not {
            return self.break_off(cx);
        }
        self.progress.sender.register(cx.waker());
        if self.progress.is_abandoned.load(Ordering::Acquire) {
            self.ended = true;
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if let Some(passage) = &mut self.passage {
            std::task::ready!(passage.poll(cx));
            self.passage = None;
            self.progress.set(Phase::Source);
        }
        while !self.ended {
            match self.source.as_mut().poll_next(cx) {
                Poll::Pending => {
                    self.progress.set(Phase::Source);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(e))) => {
                    return self.fail(BackendError::source(e), cx);
                }
                Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => {}
                Poll::Ready(Some(Ok(chunk))) => {
                    let Some(owed) = self.owed.checked_sub(chunk.len() as u64) else {
                        return self.fail(wrong_length(), cx);
                    };
                    self.owed = owed;
                    if let Some(before) = self.held.replace(chunk) {
                        return Poll::Ready(Some(Ok(self.send(before))));
                    }
                }
                Poll::Ready(None) if self.owed > 0 => {
                    return self.fail(wrong_length(), cx);
                }
                Poll::Ready(None) => self.ended = true,
            }
        }
        let last = self.held.take();
        Poll::Ready(last.map(|chunk| Ok(self.send(chunk))))
    }
}

/// The source gave more or fewer bytes than it announced.
pub(super) fn wrong_length() -> BackendError {
    BackendError::source(ErrorCode::IncompleteBody.into())
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body) => body.next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(body) => {
                body.ended && body.held.is_none() && body.breaking == Breaking::Not
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Full(bytes) => bytes.len() as u64,
            Self::Stream(body) => body.unsent,
        })
    }
}
