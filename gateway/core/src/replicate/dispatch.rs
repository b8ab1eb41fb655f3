//! Starts work when it is due: small before large, never two pieces on one subject, never
//! more at once than allowed, and so that what waits for one backend holds up nothing else.
//!
//! New entries are found at the end of the outbox ([`super::arrivals`]). What cannot start is
//! held back in memory ([`super::held`]) until what it waits for is there.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use weir_types::clock::Timestamp;
use weir_types::id::OutboxId;
use weir_types::index::{DuePosition, IndexError};
use weir_types::record::OutboxEntry;

use super::arrivals::Arrivals;
use super::held::{Gates, Held, NEAR_MAX, Wait, weight};
use super::job::{End, Halt, Job, Subject};
use crate::gateway::Gateway;

/// Entries that are read together.
const PAGE: usize = 1024;

/// Entries that are due and known, and not looked past, before more are read.
const READY_MAX: usize = 4 * PAGE;

/// Between two full pages: what is due and cannot start costs no more reads than this.
const PAGE_EVERY: Duration = Duration::from_millis(20);

/// New entries are looked for at most this often while older ones lie there, held back or
/// ready to start.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often it is asked whether breakers have closed.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// New entries are looked for at least this often, whatever the clock does.
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

/// The whole outbox is looked through after this, so that an entry that was overlooked for
/// any reason is found.
const LOOK_THROUGH_EVERY: Duration = Duration::from_secs(60);

/// The same, for each page of it: looking through a long one is work.
const LOOK_THROUGH_PER_PAGE: Duration = Duration::from_millis(500);

/// Runs until `stop` changes; then drops what is in progress.
pub(super) async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    let mut signal = gateway.index.outbox_signal();
    gateway.raise_clock().await;
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

/// What is told when a task has ended.
struct Ended {
    entry: OutboxEntry,
    /// What it was about, if it was work.
    subject: Option<Subject>,
    end: End,
}

struct Dispatcher {
    gateway: Arc<Gateway>,
    tasks: JoinSet<Ended>,
    /// What work in progress is about.
    subjects: HashSet<Subject>,
    /// Due entries that are not started, best first.
    ready: VecDeque<OutboxEntry>,
    held: Held,
    /// All entries in memory: running, ready, or kept by a lot.
    known: HashSet<OutboxId>,
    arrivals: Arrivals,
    /// There may be new entries.
    stale: bool,
    looked_at: Option<Instant>,
    /// The time of the last look by the wall clock.
    read_until: Timestamp,
    next_page_at: Instant,
    look_through_at: Instant,
    /// Pages read of the outbox since it is being looked through.
    pages_through: u32,
}

impl Dispatcher {
    fn new(gateway: Arc<Gateway>) -> Self {
        let now = Instant::now();
        let wall = gateway.now();
        Self {
            arrivals: Arrivals::new(wall),
            gateway,
            tasks: JoinSet::new(),
            subjects: HashSet::new(),
            ready: VecDeque::new(),
            held: Held::default(),
            known: HashSet::new(),
            stale: true,
            looked_at: None,
            read_until: wall,
            next_page_at: now,
            look_through_at: now,
            pages_through: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.tasks.len() < self.gateway.settings.background_tasks_max
    }

    fn gates(&self) -> Gates<'_> {
        Gates {
            backends: &self.gateway.backends,
            subjects: &self.subjects,
        }
    }

    fn ended(&mut self, ended: Option<Ended>) {
        // A job's task catches panics and is never aborted, so it always tells.
        let Some(Ended {
            entry,
            subject,
            end,
        }) = ended
        else {
            return;
        };
        if let Some(subject) = subject {
            self.subjects.remove(&subject);
        }
        match end {
            End::Held(wait) => self.hold(wait, entry),
            End::Over => {
                self.known.remove(&entry.id);
                // What it left behind may be due at once.
                self.stale = true;
            }
            End::Lost => {
                self.known.remove(&entry.id);
                let again_at = Instant::now() + self.gateway.settings.retry_pause.1;
                self.look_through_at = self.look_through_at.min(again_at);
            }
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
        if Instant::now() >= self.look_through_at {
            self.look_through_at = Instant::now() + LOOK_THROUGH_EVERY;
            self.pages_through = 0;
            self.held.look_through();
        }
        let gates = Gates {
            backends: &self.gateway.backends,
            subjects: &self.subjects,
        };
        let released = self.held.release(&gates, self.gateway.now());
        for entry in &released {
            self.known.remove(&entry.id);
        }
        self.get_ready(released);
        if self.ready.len() < READY_MAX && self.may_look() {
            self.look().await?;
        }
        self.start_ready();
        while self.has_room() && self.read_on().await? {
            self.start_ready();
        }
        if self.has_room() {
            self.next_wake().await
        } else {
            // The end of a job wakes.
            Ok(Instant::now() + LOOK_AT_LEAST)
        }
    }

    /// Reads a page of what is due, if there is one that may be read now.
    async fn read_on(&mut self) -> Result<bool, IndexError> {
        if self.may_look() {
            self.look().await?;
            return Ok(true);
        }
        if Instant::now() < self.next_page_at {
            return Ok(false);
        }
        let Some((wait, from)) = self.held.next_page(&self.gates()) else {
            return Ok(false);
        };
        let limit = if wait == Wait::Look { PAGE } else { NEAR_MAX };
        let page = self
            .gateway
            .index
            .due_from(from, self.gateway.now(), limit)
            .await?;
        let last = page.last().filter(|_| page.len() == limit);
        self.held
            .read(&wait, last.map(|last| DuePosition::of(last).next()));
        self.took_page(page.len() == limit);
        if wait == Wait::Look {
            self.pages_through += 1;
            let pause = LOOK_THROUGH_EVERY.max(LOOK_THROUGH_PER_PAGE * self.pages_through);
            self.look_through_at = Instant::now() + pause;
        }
        self.get_ready(page);
        Ok(true)
    }

    fn may_look(&self) -> bool {
        // First, because it may be the present, which must not have passed when it is compared.
        let look_at = self.next_look_at();
        (self.stale || self.arrivals.has_more()) && Instant::now() >= look_at
    }

    fn next_look_at(&self) -> Instant {
        let Some(looked_at) = self.looked_at else {
            return Instant::now();
        };
        if self.arrivals.has_more() {
            self.next_page_at
        } else if self.arrivals.is_crowded() || !self.ready.is_empty() {
            looked_at + LOOK_EVERY
        } else {
            looked_at
        }
    }

    /// Reads what is new.
    async fn look(&mut self) -> Result<(), IndexError> {
        let now = self.gateway.now();
        let from = self.arrivals.next_page();
        let mut page = self.gateway.index.due_from(from, now, PAGE).await?;
        self.took_page(page.len() == PAGE);
        self.arrivals.take(&mut page, now, PAGE);
        self.get_ready(page);
        self.stale = false;
        self.read_until = now;
        self.looked_at = Some(Instant::now());
        Ok(())
    }

    fn took_page(&mut self, is_full: bool) {
        if is_full {
            self.next_page_at = Instant::now() + PAGE_EVERY;
        }
    }

    async fn next_wake(&self) -> Result<Instant, IndexError> {
        let now = Instant::now();
        let wall = self.gateway.now();
        // What came due since the last look was not read by it.
        let due = self.gateway.index.next_due(self.read_until).await?;
        let mut pause = match due {
            Some(due) if due <= wall => self.next_look_at() - now,
            Some(due) => due.since(wall),
            None => LOOK_AT_LEAST,
        };
        if self.stale || self.arrivals.has_more() {
            pause = pause.min(self.next_look_at() - now);
        }
        if !self.held.is_empty() {
            pause = pause.min(ASK_EVERY);
        }
        if self.held.has_pages(&self.gates()) {
            pause = pause.min(self.next_page_at - now);
        }
        let pause = pause.min(self.look_through_at - now).min(LOOK_AT_LEAST);
        Ok(now + pause.max(Duration::from_millis(1)))
    }

    /// Puts entries among those that can start, in their order; those that are known already
    /// are passed over.
    fn get_ready(&mut self, entries: Vec<OutboxEntry>) {
        if entries.is_empty() {
            return;
        }
        let now = self.gateway.now();
        let unknown = entries
            .into_iter()
            .filter(|entry| self.known.insert(entry.id));
        self.ready.extend(unknown);
        self.ready
            .make_contiguous()
            .sort_by_cached_key(|entry| weight(entry, now));
    }

    fn start_ready(&mut self) {
        while self.has_room()
            && let Some(entry) = self.ready.pop_front()
        {
            let subject = Subject::of(&entry.work);
            if self.subjects.insert(subject) {
                self.start(entry, subject);
            } else {
                self.hold(Wait::Subject(subject), entry);
            }
        }
    }

    fn start(&mut self, entry: OutboxEntry, subject: Subject) {
        let gateway = Arc::clone(&self.gateway);
        self.tasks.spawn(async move {
            let job = Job { gateway, entry };
            let work = AssertUnwindSafe(Box::pin(job.run())).catch_unwind();
            let end = match work.await {
                Ok(end) => end,
                Err(_panic) => {
                    let halt = Halt::Failed("the work panicked".into());
                    job.put_off(halt).await
                }
            };
            Ended {
                entry: job.entry,
                subject: Some(subject),
                end,
            }
        });
    }

    fn hold(&mut self, wait: Wait, entry: OutboxEntry) {
        match self.held.hold(wait, entry, self.gateway.now()) {
            Ok(None) => {}
            Ok(Some(dropped)) => {
                self.known.remove(&dropped.id);
                self.arrivals.remember(&dropped);
            }
            // Rare enough for a write: more kinds of waiting at once than are told apart.
            Err(entry) => {
                let gateway = Arc::clone(&self.gateway);
                self.tasks.spawn(async move {
                    let job = Job { gateway, entry };
                    let end = job.put_off(Halt::Waiting).await;
                    Ended {
                        entry: job.entry,
                        subject: None,
                        end,
                    }
                });
            }
        }
    }
}
