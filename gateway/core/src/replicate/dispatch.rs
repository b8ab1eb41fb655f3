//! Starts work when it is due: small before large, never two pieces on one subject, never
//! more at once than allowed, and so that what waits for one backend holds up nothing else.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, OutboxId};
use weir_types::index::IndexError;
use weir_types::record::{OutboxEntry, Work};

use super::job::{Halt, Job, Subject};
use crate::gateway::Gateway;

/// Due entries that are looked at together.
const WINDOW: usize = 1024;

/// The outbox is looked through at most this often while known work is left to start.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The outbox is looked through at least this often, whatever the clock does.
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

/// Entries put off at once when a full window cannot be started.
const MADE_WAY: usize = 256;

/// Runs until `stop` changes; then drops what is in progress.
pub(super) async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut signal = gateway.index.outbox_signal();
    let mut dispatcher = Dispatcher::new(gateway);
    loop {
        // Before the outbox is read: what is written from here on wakes the wait below.
        dispatcher.stale |= signal.has_changed().unwrap_or(false);
        signal.mark_unchanged();
        let wake = dispatcher.step().await;
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(ended) = dispatcher.tasks.join_next() => {
                dispatcher.ended(ended.ok());
                while let Some(ended) = dispatcher.tasks.try_join_next() {
                    dispatcher.ended(ended.ok());
                }
            }
            changed = signal.changed(), if dispatcher.has_room() && !dispatcher.stale => {
                if changed.is_err() {
                    break;
                }
                dispatcher.stale = true;
            }
            () = sleep_until(wake) => dispatcher.stale = true,
        }
    }
    dispatcher.tasks.shutdown().await;
}

/// What is told when a job has ended: its entry, and the backend that had no slot for it.
type Ended = (OutboxId, Option<BackendId>);

struct Dispatcher {
    gateway: Arc<Gateway>,
    tasks: JoinSet<Ended>,
    running: HashMap<OutboxId, Subject>,
    subjects: HashSet<Subject>,
    /// Due entries that are not started, best first.
    ready: Vec<OutboxEntry>,
    /// Entries that found all slots of a backend taken.
    blocked: HashMap<OutboxId, BackendId>,
    /// The outbox may hold due entries that are not in `ready`.
    stale: bool,
    /// The last look found more than fits into the window.
    more: bool,
    looked_at: Option<Instant>,
}

impl Dispatcher {
    fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            subjects: HashSet::new(),
            ready: Vec::new(),
            blocked: HashMap::new(),
            stale: true,
            more: false,
            looked_at: None,
        }
    }

    fn has_room(&self) -> bool {
        self.tasks.len() < self.gateway.settings.background_tasks_max
    }

    fn ended(&mut self, ended: Option<Ended>) {
        // A job's task catches panics and is never aborted, so it always tells.
        let Some((id, busy)) = ended else { return };
        if let Some(subject) = self.running.remove(&id) {
            self.subjects.remove(&subject);
        }
        // What it left behind may be due at once.
        self.stale = true;
        if let Some(backend) = busy {
            self.blocked.insert(id, backend);
        }
    }

    /// Starts what can be started, and says when to look again.
    async fn step(&mut self) -> Instant {
        match self.start_due().await {
            Ok(wake) => wake,
            Err(error) => {
                tracing::error!(%error, "the outbox could not be read");
                Instant::now() + self.gateway.settings.retry_pause.1
            }
        }
    }

    async fn start_due(&mut self) -> Result<Instant, IndexError> {
        let now = Instant::now();
        self.start_ready();
        while self.has_room() {
            let next_look = self.looked_at.map_or(now, |at| at + LOOK_EVERY);
            let exhausted = self.ready.is_empty();
            if self.stale && (exhausted || next_look <= now) {
                self.look().await?;
            } else if self.stale {
                return Ok(next_look);
            } else if self.more {
                // The window is full of what waits: let others come into view.
                self.make_way().await;
                self.look().await?;
            } else {
                return self.next_wake(now).await;
            }
            self.start_ready();
        }
        // The end of a job wakes.
        Ok(now + LOOK_AT_LEAST)
    }

    async fn next_wake(&self, now: Instant) -> Result<Instant, IndexError> {
        let wall = self.gateway.now();
        let due = self.gateway.index.next_due(wall).await?;
        let pause = due
            .map_or(LOOK_AT_LEAST, |due| due.since(wall))
            .min(LOOK_AT_LEAST);
        Ok(now + pause.max(Duration::from_millis(1)))
    }

    /// Reads what is due.
    async fn look(&mut self) -> Result<(), IndexError> {
        let now = self.gateway.now();
        let window = WINDOW + self.running.len();
        let mut due = self.gateway.index.due(now, window).await?;
        self.more = due.len() == window;
        due.retain(|entry| !self.running.contains_key(&entry.id));
        due.sort_by_key(|entry| weight(entry, now));
        let seen: HashSet<OutboxId> = due.iter().map(|entry| entry.id).collect();
        self.blocked.retain(|id, _| seen.contains(id));
        self.ready = due;
        self.stale = false;
        self.looked_at = Some(Instant::now());
        Ok(())
    }

    fn start_ready(&mut self) {
        if !self.has_room() {
            return;
        }
        for entry in std::mem::take(&mut self.ready) {
            if self.has_room() && self.can_start(&entry) {
                self.start(entry);
            } else {
                self.ready.push(entry);
            }
        }
    }

    fn can_start(&self, entry: &OutboxEntry) -> bool {
        if self.subjects.contains(&Subject::of(&entry.work)) {
            return false;
        }
        let backend = self.blocked.get(&entry.id);
        let handle = backend.and_then(|id| self.gateway.backends.get(id));
        handle.is_none_or(|handle| handle.background_slots().available_permits() > 0)
    }

    fn start(&mut self, entry: OutboxEntry) {
        let id = entry.id;
        let subject = Subject::of(&entry.work);
        self.blocked.remove(&id);
        self.subjects.insert(subject);
        self.running.insert(id, subject);
        let gateway = Arc::clone(&self.gateway);
        self.tasks.spawn(async move {
            let job = Job {
                gateway: Arc::clone(&gateway),
                entry: entry.clone(),
            };
            match AssertUnwindSafe(Box::pin(job.run())).catch_unwind().await {
                Ok(busy) => (id, busy),
                Err(_panic) => {
                    let job = Job { gateway, entry };
                    job.put_off(Halt::Failed("the work panicked".into())).await;
                    (id, None)
                }
            }
        });
    }

    /// Puts off entries of a full window that cannot be started now.
    async fn make_way(&mut self) {
        let keep = self.ready.len().saturating_sub(MADE_WAY);
        for entry in self.ready.split_off(keep) {
            let job = Job {
                gateway: Arc::clone(&self.gateway),
                entry,
            };
            job.put_off(Halt::Waiting).await;
        }
    }
}

/// Orders what is due: small before large, but each second of waiting counts against size, so
/// that a stream of small work does not starve large.
fn weight(entry: &OutboxEntry, now: Timestamp) -> u64 {
    let bytes = match &entry.work {
        Work::Replicate { bytes, .. } => *bytes,
        _ => 0,
    };
    bytes / (1 + now.since(entry.created_at).as_secs())
}
