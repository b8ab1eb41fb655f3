//! Bodies that wait until the endpoint wants them (RFC 9110, 10.1.1).
//!
//! A large body goes with `Expect: 100-continue` and is not read from its source before the
//! endpoint said `100 Continue`. An endpoint that refuses (full, busy, denied) or a connection
//! that breaks thus leaves the body whole, and it can be sent again, or elsewhere. Whoever says
//! nothing gets the body after a short wait, and after a few such waits without it.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Sleep;
use weir_types::body::PutStream;

/// After so many waits in vain, one after the other, an endpoint is asked only now and then.
const IN_VAIN_MAX: u32 = 3;
/// Of so many requests one asks all the same: an endpoint may have been slow, not ignorant.
const ASK_AGAIN: u32 = 64;

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Manners {
    /// Waits in vain since the last `100 Continue`, and requests that were not made to wait.
    in_vain: AtomicU32,
}

impl Manners {
    /// Whether the next large body waits.
    pub(super) fn asks(&self) -> bool {
        if self.in_vain.load(Ordering::Relaxed) < IN_VAIN_MAX {
            return true;
        }
        let unasked = self.in_vain.fetch_add(1, Ordering::Relaxed);
        unasked.is_multiple_of(ASK_AGAIN)
    }

    /// It wants no such header (417, Expectation Failed).
    pub(super) fn refused(&self) {
        self.in_vain.fetch_max(IN_VAIN_MAX, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// For a word of the endpoint, or until the time is up.
    Waiting,
    /// The body goes.
    Open,
    /// The endpoint answered without it: it is never sent.
    Answered,
}

/// Stands between one request's head and its body.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    waker: AtomicWaker,
    manners: Arc<Manners>,
}

impl Gate {
    /// A closed gate.
    pub(super) fn new(manners: &Arc<Manners>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Waiting),
            waker: AtomicWaker::new(),
            manners: Arc::clone(manners),
        })
    }

    fn leave(&self, to: State) {
        let mut state = self.state.lock();
        if *state == State::Waiting {
            *state = to;
            drop(state);
            self.waker.wake();
        }
    }

    /// `100 Continue` came.
    pub(super) fn open(&self) {
        self.manners.in_vain.store(0, Ordering::Relaxed);
        self.leave(State::Open);
    }

    /// The endpoint answered.
    pub(super) fn answered(&self) {
        self.leave(State::Answered);
    }
}

/// A body's way through its gate.
pub(super) struct Passage {
    gate: Arc<Gate>,
    wait: Duration,
    /// Begins with the first look, when connecting is over.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Passage {
    /// Through `gate`, which opens by itself after `wait`.
    pub(super) fn new(gate: Arc<Gate>, wait: Duration) -> Self {
        Self {
            gate,
            wait,
            deadline: None,
        }
    }

    /// Ready once the body may go.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.gate.waker.register(cx.waker());
        let mut state = self.gate.state.lock();
        match *state {
            State::Open => Poll::Ready(()),
            State::Answered => Poll::Pending,
            State::Waiting => {
                let wait = self.wait;
                let deadline = self
                    .deadline
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
                std::task::ready!(deadline.as_mut().poll(cx));
                *state = State::Open;
                self.gate.manners.in_vain.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(())
            }
        }
    }
}

/// A body that can be lent to one request after another for as long as none has read of it.
pub(super) struct Unread(Arc<Mutex<Option<PutStream>>>);

impl Unread {
    /// Takes care of `body`.
    pub(super) fn new(body: PutStream) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// Whether nobody has asked for its first byte.
    pub(super) fn is_whole(&self) -> bool {
        self.0.lock().is_some()
    }

    /// The body, for one request.
    pub(super) fn lend(&self) -> PutStream {
        let shelf = Arc::clone(&self.0);
        let mut taken: Option<PutStream> = None;
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            if taken.is_none() {
                taken = shelf.lock().take();
            }
            match &mut taken {
                Some(body) => body.as_mut().poll_next(cx),
                None => Poll::Ready(None),
            }
        }))
    }
}
