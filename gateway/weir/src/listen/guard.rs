//! A connection that ends when nothing happens on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use weir_core::front::{BodyError, ReplyBody};

use super::Limits;

/// What happens on a connection: shared by its socket and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    requests: AtomicUsize,
    /// When the last request ended, or the connection began, and which of the two.
    quiet: Mutex<Quiet>,
}

#[derive(Debug, Clone, Copy)]
struct Quiet {
    since: Instant,
    before_first: bool,
}

impl Default for Activity {
    fn default() -> Self {
        let quiet = Quiet {
            since: Instant::now(),
            before_first: true,
        };
        Self {
            requests: AtomicUsize::new(0),
            quiet: Mutex::new(quiet),
        }
    }
}

impl Activity {
    /// When the connection will have been without a request for too long; `None` while it
    /// has one.
    fn ends_at(&self, first: Duration, later: Duration) -> Option<Instant> {
        if self.requests.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let Quiet {
            since,
            before_first,
        } = *self.quiet.lock();
        Some(since + if before_first { first } else { later })
    }
}

/// A request in progress, from its header section to the last byte of its answer.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(activity))
    }

    /// The body, which ends the request when it has been sent or is dropped.
    pub(super) fn until_sent(self, body: ReplyBody) -> ReplyBody {
        BusyBody { body, _busy: self }.boxed_unsync()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.quiet.lock() = Quiet {
            since: Instant::now(),
            before_first: false,
        };
        self.0.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

struct BusyBody {
    body: ReplyBody,
    _busy: Busy,
}

impl Body for BusyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose reads fail once the connection has been without a request for too long (a
/// header section that is not whole counts as without): the header timeout before the first
/// request, the idle timeout after one. Its writes fail once the peer has taken nothing for
/// the stall timeout.
pub(super) struct GuardedIo<S> {
    inner: S,
    activity: Arc<Activity>,
    header_timeout: Duration,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    stall_timeout: Duration,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> GuardedIo<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>, limits: &Limits) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + limits.header_timeout));
        Self {
            inner,
            activity,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            idle,
            stall_timeout: limits.response_stall_timeout,
            stall: None,
        }
    }

    /// Ready when the connection has been idle for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let next = match self
                .activity
                .ends_at(self.header_timeout, self.idle_timeout)
            {
                Some(at) if at <= now => return Poll::Ready(()),
                Some(at) => at,
                None => now + self.idle_timeout,
            };
            self.idle.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// Passes a write's result on; one that pends for too long becomes an error.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let deadline = self.stall_timeout;
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + deadline)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer takes nothing",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Asked before the bytes, so that a trickle of them does not keep it open.
        if self.poll_idle(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "idle for too long",
            )));
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch_write(cx, shut)
    }
}
