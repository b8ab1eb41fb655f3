//! Group commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use weir_types::entropy::Entropy;
use weir_types::id::SiteId;
use weir_types::index::{Applied, IndexError, Mutation};

use crate::apply;
use crate::log::{LogState, LogTail, StreamId};
use crate::options::{CommitMode, FatalAction, IndexOptions};
use crate::space::SpaceGuard;
use crate::store::Store;
use crate::txn::Txn;

type Answer = Result<Applied, IndexError>;
type Waiting = (Order, oneshot::Sender<Answer>);

/// What is to be done in one transaction with what waits beside it.
pub(crate) enum Order {
    /// A change of the index.
    Apply(Mutation),
    /// Entries of the log up to this one are needed no more.
    Trim(StreamId, u64),
    /// The log begins anew, if this is its stream.
    Restart(StreamId),
}

/// Turns batches of mutations into transactions, one at a time.
pub(crate) struct Committer<S> {
    store: Arc<S>,
    site: SiteId,
    space: Arc<SpaceGuard>,
    fatal: FatalAction,
    outbox_signal: watch::Sender<u64>,
    /// Nobody waits for this lock: one thread at a time commits.
    log: Mutex<Option<LogState>>,
    log_tail: watch::Sender<Option<LogTail>>,
    entropy: Arc<dyn Entropy>,
    stopped: AtomicBool,
}

impl<S: Store> Committer<S> {
    pub(crate) fn new(
        store: Arc<S>,
        site: SiteId,
        space: Arc<SpaceGuard>,
        log: Option<LogState>,
        options: &IndexOptions,
    ) -> Self {
        let tail = log.as_ref().map(LogState::tail);
        Self {
            store,
            site,
            space,
            fatal: Arc::clone(&options.fatal),
            outbox_signal: watch::Sender::new(0),
            log: Mutex::new(log),
            log_tail: watch::Sender::new(tail),
            entropy: Arc::clone(&options.entropy),
            stopped: AtomicBool::new(false),
        }
    }

    pub(crate) fn outbox_signal(&self) -> watch::Receiver<u64> {
        self.outbox_signal.subscribe()
    }

    pub(crate) fn log_tail(&self) -> watch::Receiver<Option<LogTail>> {
        self.log_tail.subscribe()
    }

    /// Applies a batch in order and commits it; one answer per order. Nothing may be
    /// answered before this returns: a refusal, too, may rest on a batch mate's change.
    fn run(&self, batch: Vec<Order>) -> Vec<Answer> {
        let count = batch.len();
        if self.stopped.load(Ordering::Acquire) {
            return vec![Err(stopped()); count];
        }
        match self.transact(batch) {
            Ok(answers) => answers,
            Err(error) => vec![Err(error); count],
        }
    }

    fn transact(&self, batch: Vec<Order>) -> Result<Vec<Answer>, IndexError> {
        let is_low = self.space.is_low();
        let mut answers = Vec::with_capacity(batch.len());
        let mut of_the_log = Vec::new();
        let (mut changes, enqueued) = {
            let snapshot = self.store.snapshot()?;
            let mut txn = Txn::new(&snapshot, &self.site)?;
            for order in batch {
                let Order::Apply(mutation) = order else {
                    of_the_log.push(order);
                    answers.push(Ok(Applied::Done));
                    continue;
                };
                answers.push(if is_low && apply::takes_space(&mutation) {
                    Err(IndexError::Full)
                } else {
                    txn.attempt(|txn| apply::apply(txn, mutation))
                });
            }
            txn.finish()
        };
        let mut log = self.log.lock();
        if let Some(log) = &mut *log {
            for order in of_the_log {
                match order {
                    Order::Apply(_) => {}
                    Order::Trim(stream, through) => log.trim(stream, through, &mut changes),
                    Order::Restart(stream) => log.restart(stream, &*self.entropy, &mut changes),
                }
            }
            log.append(&mut changes);
        }
        if changes.is_empty() {
            return Ok(answers);
        }
        if let Err(error) = self.store.commit(&changes) {
            self.stopped.store(true, Ordering::Release);
            (self.fatal)(&format!("a commit failed: {error}"));
            return Err(stopped());
        }
        if let Some(log) = &*log {
            self.log_tail.send_replace(Some(log.tail()));
        }
        if enqueued {
            self.outbox_signal.send_modify(|count| *count += 1);
        }
        Ok(answers)
    }
}

fn stopped() -> IndexError {
    IndexError::Storage("the index has stopped after a failed commit".into())
}

/// The way from callers to the committer.
pub(crate) enum Queue<S> {
    /// To a writer thread.
    Grouped {
        sender: Option<mpsc::Sender<Waiting>>,
        writer: Option<JoinHandle<()>>,
    },
    /// On the caller's thread, one after the other.
    Inline(Mutex<Arc<Committer<S>>>),
}

impl<S: Store> Queue<S> {
    /// Starts what `options` ask for.
    pub(crate) fn start(
        committer: Arc<Committer<S>>,
        options: &IndexOptions,
    ) -> std::io::Result<Self> {
        match options.commit {
            CommitMode::Inline => Ok(Self::Inline(Mutex::new(committer))),
            CommitMode::Grouped => {
                let (sender, receiver) = mpsc::channel(options.queue_mutations_max.max(1));
                let batch_max = options.batch_mutations_max.max(1);
                let writer = std::thread::Builder::new()
                    .name("weir-index".into())
                    .spawn(move || write(&committer, receiver, batch_max))?;
                Ok(Self::Grouped {
                    sender: Some(sender),
                    writer: Some(writer),
                })
            }
        }
    }

    /// Hands a mutation over and waits for its answer.
    pub(crate) async fn apply(&self, mutation: Mutation) -> Answer {
        self.order(Order::Apply(mutation)).await
    }

    /// See [`crate::StoreIndex::trim_log`].
    pub(crate) async fn trim_log(&self, stream: StreamId, through: u64) -> Result<(), IndexError> {
        self.order(Order::Trim(stream, through)).await.map(drop)
    }

    /// See [`crate::StoreIndex::restart_log`].
    pub(crate) async fn restart_log(&self, stream: StreamId) -> Result<(), IndexError> {
        self.order(Order::Restart(stream)).await.map(drop)
    }

    async fn order(&self, order: Order) -> Answer {
        match self {
            Self::Inline(committer) => {
                let answers = committer.lock().run(vec![order]);
                answers.into_iter().next().unwrap_or_else(|| Err(stopped()))
            }
            Self::Grouped { sender, .. } => {
                let sender = sender.as_ref().ok_or_else(stopped)?;
                let (answer, answered) = oneshot::channel();
                sender.send((order, answer)).await.map_err(|_| stopped())?;
                answered.await.map_err(|_| stopped())?
            }
        }
    }
}

impl<S> Drop for Queue<S> {
    /// Waits until what was handed over is committed, so that the engine is closed, and its
    /// file free for another, when the index is gone.
    fn drop(&mut self) {
        if let Self::Grouped { sender, writer } = self {
            drop(sender.take());
            if let Some(writer) = writer.take()
                && writer.join().is_err()
            {
                tracing::error!("the index's writer panicked");
            }
        }
    }
}

/// The writer: takes what is waiting, commits it together, answers.
fn write<S: Store>(committer: &Committer<S>, mut queue: mpsc::Receiver<Waiting>, batch_max: usize) {
    let _guard = EndOnPanic(&committer.fatal);
    let mut waiting = Vec::with_capacity(batch_max);
    while queue.blocking_recv_many(&mut waiting, batch_max) > 0 {
        let (batch, callers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        for (caller, answer) in callers.into_iter().zip(committer.run(batch)) {
            // The caller may have gone; the mutation stands all the same.
            let _ = caller.send(answer);
        }
    }
}

/// A writer that panics can acknowledge nothing any more; the process ends with it.
struct EndOnPanic<'f>(&'f FatalAction);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)("the index's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
