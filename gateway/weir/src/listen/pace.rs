//! A request body that must arrive at some rate.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use weir_core::front::BodyError;

/// A body that fails once it has kept us waiting for longer than the grace time and has come
/// at less than the least rate, averaged over the time spent waiting for it. Time in which
/// nobody asked for bytes does not count: a slow backend is not the client's fault. (A body
/// that stops altogether is the front's to notice.)
#[derive(Debug)]
pub struct PacedBody<B> {
    inner: B,
    bytes_per_second_min: u64,
    grace: Duration,
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    ended: Arc<AtomicBool>,
}

/// Tells whether a body was read to its end.
#[derive(Debug, Clone)]
pub struct Ended(Arc<AtomicBool>);

impl Ended {
    /// Whether nothing of the body is left to be read.
    pub fn is_true(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl<B: Body> PacedBody<B> {
    /// `inner`, held to `bytes_per_second_min` after `grace` of waiting.
    pub fn new(inner: B, bytes_per_second_min: u64, grace: Duration) -> Self {
        let (bytes, waited, waiting_since) = (0, Duration::ZERO, None);
        let ended = Arc::new(AtomicBool::new(inner.is_end_stream()));
        Self {
            ended,
            inner,
            bytes_per_second_min,
            grace,
            bytes,
            waited,
            waiting_since,
        }
    }

    /// Tells, also when this body has gone, whether it was read to its end.
    pub fn ended(&self) -> Ended {
        Ended(Arc::clone(&self.ended))
    }

    fn is_too_slow(&self) -> bool {
        let due = u128::from(self.bytes_per_second_min) * self.waited.as_millis() / 1000;
        self.waited > self.grace && u128::from(self.bytes) < due
    }
}

impl<B> Body for PacedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            self.waiting_since.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        match frame {
            None => {
                self.ended.store(true, Ordering::SeqCst);
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if self.inner.is_end_stream() {
                    self.ended.store(true, Ordering::SeqCst);
                }
                if self.is_too_slow() {
                    return Poll::Ready(Some(Err("the body arrives too slowly".into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
