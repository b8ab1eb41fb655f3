//! Walks the copies of one backend.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::id::BackendId;
use weir_types::index::{IndexError, Mutation};
use weir_types::record::{
    BLOCK_BYTES, BlobRecord, BlobState, CopyPosition, CopyRecord, CopyState, ScrubPass, ScrubRecord,
};

use super::pace::Pace;
use super::progress::{self, AGAIN_MAX};
use super::{Ordered, ScrubOrder};
use crate::backends::BackendHandle;
use crate::gateway::Gateway;
use crate::object::read::verify::{Fault, Verification};
use crate::observe::{OperationClass, Scrubbed};

/// Copies whose names are read together.
const PAGE: usize = 32;

/// The longest piece that is read with one request, and at most what a second allows.
const PIECE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How far a walk came is written down this often; nothing is lost when it is not, but some
/// copies are verified twice.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// How often it is asked whether a backend can be reached again.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// For so long, a piece waits for a moment without calls of clients at its backend; looked for
/// so often.
const YIELD_MAX: Duration = Duration::from_secs(5);
const YIELD_STEP: Duration = Duration::from_millis(20);

/// The first and the longest time before copies that could not be reached are tried again.
const AGAIN_PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// The longest sleep: the wall clock may leap meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// After the index could not be read or written.
const INDEX_PAUSE: Duration = Duration::from_secs(60);

/// Looks at one copy after the other, and changes nothing.
pub(super) struct Walker {
    gateway: Arc<Gateway>,
    handle: Arc<BackendHandle>,
    pace: Pace,
    piece_bytes_max: u64,
    /// The next copies after the cursor.
    page: VecDeque<CopyPosition>,
    again: Again,
}

/// When copies that could not be reached are tried again.
struct Again {
    at: Instant,
    pause: Duration,
    /// Copies that are left of the present round.
    left: usize,
    /// Whether one of the round was reached.
    reached: bool,
}

/// What a look found.
enum Finding {
    /// A pass is due.
    Due,
    /// No copy comes after the cursor.
    Walked,
    /// Nothing is left to look at in this pass.
    Over,
    /// There is no such copy, or it is suspect already.
    Passed(CopyPosition),
    /// All of it is right.
    Right(CopyPosition, u64),
    /// It is not.
    Wrong(CopyPosition, u64, BackendError),
    /// It could not be reached.
    Skipped(CopyPosition, BackendError),
}

/// Keeps how far the walk has come.
struct Notebook {
    gateway: Arc<Gateway>,
    backend: BackendId,
    record: ScrubRecord,
    /// When to write down what is not.
    note_at: Option<Instant>,
}

/// Walks until `stop` changes.
pub(super) async fn run(
    mut walker: Walker,
    mut orders: mpsc::Receiver<Ordered>,
    mut stop: watch::Receiver<bool>,
) {
    let gateway = Arc::clone(&walker.gateway);
    let backend = walker.handle.id().clone();
    let record = tokio::select! {
        biased;
        _ = stop.changed() => return,
        record = walker.noted() => record,
    };
    gateway.scrub.show(&backend, &record);
    let mut notebook = Notebook {
        gateway,
        backend,
        record,
        note_at: None,
    };
    loop {
        let found = {
            let seen = notebook.record.clone();
            let mut look = pin!(walker.look(&seen));
            loop {
                tokio::select! {
                    biased;
                    _ = stop.changed() => {
                        if notebook.note_at.is_some() {
                            notebook.note().await;
                        }
                        return;
                    }
                    Some(ordered) = orders.recv() => {
                        if notebook.obey(ordered).await {
                            break None;
                        }
                    }
                    () = due(notebook.note_at) => notebook.note().await,
                    found = &mut look => break Some(found),
                }
            }
        };
        let taken = match found {
            None => continue,
            Some(Ok(found)) => {
                walker.leave_behind(&found);
                notebook.take(found).await
            }
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = taken {
            tracing::error!(%error, "scrub: the index cannot be read or written; it will try again");
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = sleep(INDEX_PAUSE) => {}
            }
        }
    }
}

/// Waits for a time; without one for ever.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Walker {
    pub(super) fn new(gateway: Arc<Gateway>, handle: Arc<BackendHandle>) -> Self {
        let settings = &gateway.settings;
        let bytes = settings.scrub_bytes_per_second_max;
        Self {
            pace: Pace::new(bytes, settings.scrub_requests_per_second_max),
            piece_bytes_max: bytes.clamp(BLOCK_BYTES, PIECE_BYTES_MAX),
            page: VecDeque::new(),
            again: Again {
                at: Instant::now(),
                pause: AGAIN_PAUSE.0,
                left: 0,
                reached: false,
            },
            gateway,
            handle,
        }
    }

    /// What an earlier process noted.
    async fn noted(&self) -> ScrubRecord {
        loop {
            match self.gateway.index.scrub(self.handle.id()).await {
                Ok(noted) => return noted.unwrap_or_default(),
                Err(error) => tracing::error!(%error, "how far the scrub came cannot be read"),
            }
            sleep(INDEX_PAUSE).await;
        }
    }

    /// Waits for what is next, and looks at it. May be dropped at any time: then it is looked
    /// at again.
    async fn look(&mut self, record: &ScrubRecord) -> Result<Finding, IndexError> {
        if record.held {
            return std::future::pending().await;
        }
        let Some(pass) = &record.pass else {
            self.rest(record).await;
            return Ok(Finding::Due);
        };
        loop {
            if !pass.again.is_empty() && Instant::now() >= self.again.at {
                if self.again.left == 0 {
                    self.again.left = pass.again.len();
                }
                return self.judge(pass.again[0]).await;
            }
            if !pass.walked && pass.again.len() < AGAIN_MAX {
                return match self.next_after(pass.cursor).await? {
                    Some(position) => self.judge(position).await,
                    None => Ok(Finding::Walked),
                };
            }
            if pass.again.is_empty() || self.is_out_of_time(pass) {
                return Ok(Finding::Over);
            }
            let pause = self.again.at - Instant::now();
            sleep(pause.min(SLEEP_MAX)).await;
        }
    }

    /// Waits until the next pass is due.
    async fn rest(&self, record: &ScrubRecord) {
        let interval = self.gateway.settings.scrub_interval;
        while let Some(due) = progress::due_at(record, interval) {
            let now = self.gateway.now();
            if due <= now {
                return;
            }
            sleep(due.since(now).min(SLEEP_MAX)).await;
        }
    }

    /// Whether all that is left of a pass cannot be reached, and the next one is due.
    fn is_out_of_time(&self, pass: &ScrubPass) -> bool {
        let due = pass.began_at.plus(self.gateway.settings.scrub_interval);
        pass.walked && due <= self.gateway.now()
    }

    async fn next_after(
        &mut self,
        cursor: Option<CopyPosition>,
    ) -> Result<Option<CopyPosition>, IndexError> {
        self.page.retain(|next| Some(*next) > cursor);
        if self.page.is_empty() {
            let index = &self.gateway.index;
            let page = index.copies_on(self.handle.id(), cursor, PAGE).await?;
            let positions = page.into_iter().map(|(blob, copy)| (blob, copy.attempt));
            self.page = positions.collect();
        }
        Ok(self.page.front().copied())
    }

    /// Reads a copy to its end.
    async fn judge(&mut self, position: CopyPosition) -> Result<Finding, IndexError> {
        let id = self.handle.id().clone();
        let mut slot = self.turn().await;
        while slot.is_none() {
            self.gateway.scrub.block(&id, true);
            sleep(ASK_EVERY).await;
            slot = self.turn().await;
        }
        self.gateway.scrub.block(&id, false);
        // After all waiting: the blob's clean-up comes later than the lease that is taken now.
        let Some((blob, copy)) = self.known(position).await? else {
            return Ok(Finding::Passed(position));
        };
        let mut verification = Verification::begin(&self.gateway, &blob, &copy);
        loop {
            if let Some(bytes) = verification.next_bytes(self.piece_bytes_max) {
                self.pace.spend(bytes);
            } else {
                return Ok(Finding::Right(position, blob.size));
            }
            match verification.next(self.piece_bytes_max).await {
                Ok(()) => {}
                // Removed meanwhile, it is nobody's fault.
                Err(Fault::Wrong(_)) if self.known(position).await?.is_none() => {
                    return Ok(Finding::Passed(position));
                }
                Err(Fault::Wrong(error)) => return Ok(Finding::Wrong(position, blob.size, error)),
                Err(Fault::Unreachable(error)) => return Ok(Finding::Skipped(position, error)),
                Err(Fault::Unknown(error)) => return Err(IndexError::Storage(error.to_string())),
            }
            if verification.next_bytes(self.piece_bytes_max).is_some() {
                drop(slot.take());
                slot = self.turn().await;
                if slot.is_none() {
                    let shut = "its breaker has opened";
                    let error = BackendError::new(BackendErrorKind::Unavailable, shut);
                    return Ok(Finding::Skipped(position, error));
                }
            }
        }
    }

    /// Waits until the budget, clients and other work let the next piece be read; `None` when
    /// its backend cannot be reached.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.pace.ready().await;
        let until = Instant::now() + YIELD_MAX;
        while self.clients_wait() && Instant::now() < until {
            sleep(YIELD_STEP).await;
        }
        if !self.handle.would_admit(OperationClass::Read) {
            return None;
        }
        let slots = Arc::clone(self.handle.background_slots());
        let slot = slots.acquire_owned().await.ok();
        // Last: whoever is let through a breaker that is half open must use it.
        slot.filter(|_| self.handle.admits(OperationClass::Read))
    }

    /// Whether calls wait for an answer of the backend that are not the background's.
    fn clients_wait(&self) -> bool {
        let slots = self.gateway.settings.background_per_backend_max;
        let taken = slots.saturating_sub(self.handle.background_slots().available_permits());
        usize::try_from(self.handle.calls_in_flight()).unwrap_or(usize::MAX) > taken
    }

    /// A good copy of a live blob.
    async fn known(
        &self,
        (id, attempt): CopyPosition,
    ) -> Result<Option<(BlobRecord, CopyRecord)>, IndexError> {
        let blob = self.gateway.index.blob(id).await?;
        let Some(blob) = blob.filter(|blob| blob.state == BlobState::Live) else {
            return Ok(None);
        };
        let is_it = |copy: &&CopyRecord| {
            let same = copy.backend == *self.handle.id() && copy.attempt == attempt;
            same && copy.state == CopyState::Good
        };
        let copy = blob.copies.iter().find(is_it).cloned();
        Ok(copy.map(|copy| (blob, copy)))
    }

    /// Settles, before a finding is taken down, when copies that could not be reached come again.
    fn leave_behind(&mut self, found: &Finding) {
        let skipped = matches!(found, Finding::Skipped(..));
        let now = Instant::now();
        let again = &mut self.again;
        match found {
            Finding::Due => {
                self.page.clear();
                again.pause = AGAIN_PAUSE.0;
            }
            Finding::Walked | Finding::Over => {}
            _ if again.left > 0 => {
                again.left -= 1;
                again.reached |= !skipped;
                if again.left == 0 {
                    let reached = std::mem::take(&mut again.reached);
                    again.pause = if reached {
                        AGAIN_PAUSE.0
                    } else {
                        again.pause * 2
                    };
                    again.pause = again.pause.min(AGAIN_PAUSE.1);
                    again.at = now + again.pause;
                }
            }
            _ if skipped && again.at <= now => again.at = now + again.pause,
            _ => {}
        }
    }
}

impl Notebook {
    /// Takes a finding down. What is wrong is marked, and repaired from then on, in the
    /// transaction that notes that the walk has passed it.
    async fn take(&mut self, found: Finding) -> Result<(), IndexError> {
        let now = self.gateway.now();
        let observer = &self.gateway.observer;
        let mut record = self.record.clone();
        match (found, &mut record.pass) {
            (Finding::Due, _) => {
                tracing::info!(backend = %self.backend, "scrub: a pass begins");
                progress::begin(&mut record, now);
            }
            (Finding::Over, _) => {
                let pass = record.pass.as_ref();
                let counts = pass.map(|pass| pass.counts).unwrap_or_default();
                let left_out = pass.map_or(0, |pass| pass.again.len());
                tracing::info!(backend = %self.backend, copies = counts.copies, bytes = counts.bytes, suspects = counts.suspects, left_out, "scrub: a pass has ended");
                progress::end(&mut record, now);
            }
            (_, None) => return Ok(()),
            (Finding::Walked, Some(pass)) => pass.walked = true,
            (Finding::Passed(position), Some(pass)) => progress::passed(pass, position),
            (Finding::Right(position, bytes), Some(pass)) => {
                observer.scrubbed(&self.backend, Scrubbed::Right, bytes);
                progress::judged(pass, position, bytes, true);
            }
            (Finding::Skipped(position, error), Some(pass)) => {
                tracing::warn!(blob = %position.0, backend = %self.backend, %error, "scrub: a copy could not be reached");
                observer.scrubbed(&self.backend, Scrubbed::Skipped, 0);
                progress::skipped(pass, position);
            }
            (Finding::Wrong(position, bytes, error), Some(pass)) => {
                tracing::warn!(blob = %position.0, backend = %self.backend, %error, "scrub: a copy is missing or wrong");
                progress::judged(pass, position, bytes, false);
                let mark = Mutation::MarkCopy {
                    blob: position.0,
                    backend: self.backend.clone(),
                    attempt: position.1,
                    state: CopyState::Suspect,
                    now,
                };
                self.write(vec![mark], record).await?;
                let observer = &self.gateway.observer;
                observer.scrubbed(&self.backend, Scrubbed::Suspect, bytes);
                return Ok(());
            }
        }
        if record.pass.is_none() || self.record.pass.is_none() {
            return self.write(Vec::new(), record).await;
        }
        self.gateway.scrub.show(&self.backend, &record);
        self.record = record;
        self.note_at.get_or_insert(Instant::now() + NOTE_EVERY);
        Ok(())
    }

    /// Follows an order; tells whether that changed what is to be looked at.
    async fn obey(&mut self, (order, answer): Ordered) -> bool {
        let mut record = self.record.clone();
        record.held = order == ScrubOrder::Stop;
        if order == ScrubOrder::Start && record.pass.is_none() {
            progress::begin(&mut record, self.gateway.now());
        }
        if record == self.record {
            // Whoever asked may have gone.
            let _gone = answer.send(Ok(()));
            return false;
        }
        tracing::info!(backend = %self.backend, ?order, "scrub: ordered");
        let written = self.write(Vec::new(), record).await;
        let changed = written.is_ok();
        let _gone = answer.send(written);
        changed
    }

    /// Writes down how far the walk has come.
    async fn note(&mut self) {
        let record = self.record.clone();
        if let Err(error) = self.write(Vec::new(), record).await {
            tracing::error!(%error, "scrub: how far it came cannot be written; it will try again");
            self.note_at = Some(Instant::now() + INDEX_PAUSE);
        }
    }

    /// Writes `record` down together with `effects`. What cannot be written has not happened:
    /// it is looked at again.
    async fn write(
        &mut self,
        mut effects: Vec<Mutation>,
        record: ScrubRecord,
    ) -> Result<(), IndexError> {
        effects.push(Mutation::NoteScrub {
            backend: self.backend.clone(),
            scrub: Box::new(record.clone()),
        });
        self.gateway.index.apply(Mutation::All(effects)).await?;
        self.gateway.scrub.show(&self.backend, &record);
        self.record = record;
        self.note_at = None;
        Ok(())
    }
}
