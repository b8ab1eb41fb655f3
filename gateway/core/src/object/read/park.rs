//! Gives a backend its connection back while a client takes no bytes.
//!
//! An open read holds a connection, a slot and read-ahead at its backend. A client that stalls
//! (a paused video, a laptop that sleeps) would hold them for as long as it likes, and some
//! stores answer nobody else once enough readers stall. So a body whose bytes nobody takes is
//! dropped after a while; when its client goes on, the read is opened again at the block it
//! had come to.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::body::GetStream;

use crate::gateway::Gateway;

/// How often stalled reads are looked for within the time that one may stall.
const LOOKS: u32 = 4;

/// Entries the list of open reads may grow to before the first clean-up.
const ENTRIES_MIN: usize = 64;

/// Nobody has bytes to take: the backend is being waited for, or a poll is in progress.
const NOTHING_TO_TAKE: u64 = u64::MAX;

/// The open reads of a gateway that may be parked.
pub(crate) struct Parking {
    origin: Instant,
    open: Mutex<OpenReads>,
}

struct OpenReads {
    reads: Vec<Weak<Held>>,
    /// Reads that have ended are forgotten when the list has grown to this.
    clean_at: usize,
}

impl Parking {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            open: Mutex::new(OpenReads {
                reads: Vec::new(),
                clean_at: ENTRIES_MIN,
            }),
        }
    }

    /// Takes a body in care.
    pub(super) fn hold(&self, body: GetStream) -> Parkable {
        let held = Arc::new(Held {
            origin: self.origin,
            body: Mutex::new(Some(body)),
            reader: AtomicWaker::new(),
            untaken_since: AtomicU64::new(NOTHING_TO_TAKE),
        });
        held.has_bytes();
        let mut open = self.open.lock();
        if open.reads.len() >= open.clean_at {
            open.reads.retain(|read| read.strong_count() > 0);
            open.clean_at = (2 * open.reads.len()).max(ENTRIES_MIN);
        }
        open.reads.push(Arc::downgrade(&held));
        drop(open);
        Parkable::Held {
            arrival: Waker::from(Arc::clone(&held)),
            held,
        }
    }

    /// Parks every read whose bytes have waited for `most`; answers how many it parked.
    fn park_stalled(&self, most: Duration) -> usize {
        let Some(before) = millis(self.origin.elapsed()).checked_sub(millis(most)) else {
            return 0;
        };
        let open: Vec<_> = {
            let mut open = self.open.lock();
            open.reads.retain(|read| read.strong_count() > 0);
            open.reads.iter().filter_map(Weak::upgrade).collect()
        };
        open.iter().filter(|held| held.park(before)).count()
    }
}

/// Parks stalled reads until `stop` changes.
pub(crate) async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let most = gateway.settings.stalled_read_max;
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = sleep((most / LOOKS).max(Duration::from_millis(1))) => {}
        }
        let parked = gateway.parking.park_stalled(most);
        if parked > 0 {
            tracing::debug!(parked, "clients take no bytes: their reads are parked");
        }
    }
}

/// A backend's body that may be taken away.
pub(super) struct Held {
    origin: Instant,
    body: Mutex<Option<GetStream>>,
    reader: AtomicWaker,
    /// Milliseconds after `origin` since which bytes can be taken, or [`NOTHING_TO_TAKE`].
    untaken_since: AtomicU64,
}

impl Held {
    fn has_bytes(&self) {
        self.untaken_since
            .store(millis(self.origin.elapsed()), Ordering::SeqCst);
    }

    /// Drops the body if its bytes have waited since `before` or longer.
    fn park(&self, before: u64) -> bool {
        let stalled = || self.untaken_since.load(Ordering::SeqCst) <= before;
        if !stalled() {
            return false;
        }
        // A reader that polls holds the lock: then it is not stalled.
        let Some(mut body) = self.body.try_lock() else {
            return false;
        };
        // It may have polled since the first look.
        let taken = if stalled() { body.take() } else { None };
        drop(body);
        taken.is_some()
    }
}

/// The backend has bytes, or an end.
impl Wake for Held {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_bytes();
        self.reader.wake();
    }
}

/// A backend's body as a reader has it.
pub(super) enum Parkable {
    /// Stays until it is dropped: it is taken in before the client gets its first byte.
    Free(GetStream),
    /// In the care of a [`Parking`].
    Held {
        held: Arc<Held>,
        /// What the backend wakes; wakes the reader in turn.
        arrival: Waker,
    },
}

impl Parkable {
    /// Whether it was taken away: it gives no more bytes, which is nobody's fault.
    pub(super) fn is_parked(&self) -> bool {
        match self {
            Self::Free(_) => false,
            Self::Held { held, .. } => held.body.lock().is_none(),
        }
    }
}

impl Drop for Parkable {
    /// What the backend is to wake holds the body, and the body holds that: without this a
    /// reader that goes away while it waits would leave both behind.
    fn drop(&mut self) {
        if let Self::Held { held, .. } = self {
            let body = held.body.lock().take();
            drop(body);
        }
    }
}

impl Stream for Parkable {
    type Item = Result<Bytes, BackendError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (held, arrival) = match self.get_mut() {
            Self::Free(body) => return body.as_mut().poll_next(cx),
            Self::Held { held, arrival } => (held, arrival),
        };
        let mut body = held.body.lock();
        let Some(stream) = &mut *body else {
            let parked = BackendError::new(BackendErrorKind::Unavailable, "the read was parked");
            return Poll::Ready(Some(Err(parked)));
        };
        held.reader.register(cx.waker());
        // Before the poll: a wake-up from here on counts.
        held.untaken_since.store(NOTHING_TO_TAKE, Ordering::SeqCst);
        let polled = stream.as_mut().poll_next(&mut Context::from_waker(arrival));
        if polled.is_ready() {
            held.has_bytes();
        }
        polled
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{StreamExt, poll, stream};

    use super::*;

    /// As bodies of real connections do, it keeps what it is to wake.
    fn silent(slot: Arc<()>) -> GetStream {
        let mut kept: Vec<Waker> = Vec::new();
        stream::poll_fn(move |cx| {
            let _held = &slot;
            kept.push(cx.waker().clone());
            Poll::Pending
        })
        .boxed()
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_while_it_waits_frees_the_backend() {
        let slot = Arc::new(());
        let mut body = Parking::new().hold(silent(Arc::clone(&slot)));
        assert!(poll!(body.next()).is_pending());
        assert_eq!(Arc::strong_count(&slot), 2);
        drop(body);
        assert_eq!(
            Arc::strong_count(&slot),
            1,
            "the body is gone with its reader"
        );
    }
}
