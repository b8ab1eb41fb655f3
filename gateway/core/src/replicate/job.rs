//! One piece of work.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, BlobId, IntentId, UploadId};
use weir_types::index::{Applied, IndexError, Mutation};
use weir_types::record::{OutboxEntry, Work};

use super::held::Wait;
use super::pause;
use crate::backends::BackendHandle;
use crate::gateway::Gateway;
use crate::observe::{OperationClass, WorkOutcome};

/// Work on the same subject never runs twice at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    Blob(BlobId),
    Intent(IntentId),
    Upload(UploadId),
}

impl Subject {
    pub(super) const fn of(work: &Work) -> Self {
        match work {
            Work::Replicate { blob, .. } | Work::Clean { blob } | Work::Repair { blob } => {
                Self::Blob(*blob)
            }
            Work::Discard { intent } => Self::Intent(*intent),
            Work::Abort { upload } | Work::Complete { upload } => Self::Upload(*upload),
        }
    }
}

/// Why work is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// It cannot be done yet, and nothing is wrong.
    Until(Timestamp),
    /// It waits for something that is not its fault and tells nobody when it is over, such as
    /// a reader.
    Waiting,
    /// All background slots of this backend are taken.
    Busy(BackendId),
    /// Behind open breakers lie all these backends, of which it needs one.
    Shut(Vec<(BackendId, OperationClass)>),
    /// It failed, and says how.
    Failed(String),
}

/// How a step of work ended. `Ok` of a whole job means that its entry is out of the outbox.
pub(super) type Run<T = ()> = Result<T, Halt>;

impl From<IndexError> for Halt {
    fn from(error: IndexError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What became of an entry.
#[derive(Debug)]
pub(super) enum End {
    /// It is out of the outbox, or stands in it for a later time.
    Over,
    /// It waits, and stands in the outbox as it did: waiting is not worth a write.
    Held(Wait),
    /// The index could not be told to put it off.
    Lost,
}

/// One entry of the outbox, being worked on.
pub(super) struct Job {
    pub(super) gateway: Arc<Gateway>,
    pub(super) entry: OutboxEntry,
}

impl Job {
    /// Does the work, or puts it off, or tells what it waits for. Cancelling is safe at any
    /// point: the entry stays.
    pub(super) async fn run(&self) -> End {
        let started = Instant::now();
        let result = Box::pin(self.work()).await;
        let outcome = match &result {
            Ok(()) => WorkOutcome::Done,
            Err(Halt::Busy(backend)) => return End::Held(Wait::Slot(backend.clone())),
            Err(Halt::Shut(doors)) => return End::Held(Wait::breakers(doors.clone())),
            Err(Halt::Failed(_)) => WorkOutcome::Failed,
            Err(Halt::Until(_) | Halt::Waiting) => WorkOutcome::Deferred,
        };
        self.gateway
            .observer
            .work(kind(&self.entry.work), outcome, started.elapsed());
        match result {
            Ok(()) => End::Over,
            Err(halt) => self.put_off(halt).await,
        }
    }

    async fn work(&self) -> Run {
        match &self.entry.work {
            Work::Replicate { blob, .. } => self.replicate(*blob).await,
            Work::Repair { blob } => self.repair(*blob).await,
            Work::Clean { blob } => self.clean(*blob).await,
            Work::Discard { intent } => self.discard(*intent).await,
            Work::Abort { upload } => self.abort(*upload).await,
            Work::Complete { upload } => self.complete(*upload).await,
        }
    }

    /// Notes in the outbox when to try again, and why.
    pub(super) async fn put_off(&self, halt: Halt) -> End {
        let Self { gateway, entry } = self;
        let (settings, entropy) = (&gateway.settings, &*gateway.entropy);
        let now = gateway.now();
        let (not_before, error) = match halt {
            Halt::Until(time) => (time, None),
            Halt::Waiting | Halt::Busy(_) | Halt::Shut(_) => {
                let waited = now.since(entry.created_at);
                (
                    now.plus(pause::while_waiting(settings, entropy, waited)),
                    None,
                )
            }
            Halt::Failed(error) => {
                tracing::warn!(work = ?entry.work, attempts = entry.attempts, %error, "background work failed");
                (
                    now.plus(pause::after_failure(settings, entropy, entry.attempts)),
                    Some(error),
                )
            }
        };
        let defer = Mutation::DeferWork {
            id: entry.id,
            not_before,
            error,
        };
        match gateway.index.apply(defer).await {
            Ok(_) => End::Over,
            Err(error) => {
                // Still due: at worst it does the same again.
                tracing::error!(%error, "work could not be put off");
                End::Lost
            }
        }
    }

    /// Applies `effects` and takes the entry out of the outbox, together.
    pub(super) async fn finish(&self, mut effects: Vec<Mutation>) -> Result<Applied, IndexError> {
        effects.push(self.finished());
        self.gateway.index.apply(Mutation::All(effects)).await
    }

    /// Takes the entry out of the outbox.
    pub(super) fn finished(&self) -> Mutation {
        Mutation::FinishWork { id: self.entry.id }
    }

    /// A backend that the work needs.
    pub(super) fn backend(&self, id: &BackendId) -> Run<&Arc<BackendHandle>> {
        let handle = self.gateway.backends.get(id);
        handle.ok_or_else(|| Halt::Failed(format!("the backend {id} is not configured")))
    }

    /// A backend that the work needs now: a slot of it, and the word of its breaker.
    pub(super) fn enter(
        &self,
        id: &BackendId,
        class: OperationClass,
    ) -> Run<(&Arc<BackendHandle>, OwnedSemaphorePermit)> {
        let handle = self.backend(id)?;
        let slot = slot(handle)?;
        if handle.admits(class) {
            Ok((handle, slot))
        } else {
            Err(Halt::Shut(vec![(id.clone(), class)]))
        }
    }
}

/// One of a backend's slots for the background.
pub(super) fn slot(handle: &BackendHandle) -> Run<OwnedSemaphorePermit> {
    let slots = Arc::clone(handle.background_slots());
    slots
        .try_acquire_owned()
        .map_err(|_taken| Halt::Busy(handle.id().clone()))
}

/// The label of a kind of work in metrics.
const fn kind(work: &Work) -> &'static str {
    match work {
        Work::Replicate { .. } => "replicate",
        Work::Repair { .. } => "repair",
        Work::Clean { .. } => "clean",
        Work::Discard { .. } => "discard",
        Work::Abort { .. } => "abort",
        Work::Complete { .. } => "complete",
    }
}
