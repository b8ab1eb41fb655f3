//! A revision that decides beside the active one, and what comes of it: nothing but a list of
//! differences. It decides on a thread of its own, behind everything else that wants the CPU;
//! when that falls behind, decisions are not compared, and no request notices.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Input, Origin, OwnedInput};
use crate::error::Fault;
use crate::metrics::ShadowMetrics;
use crate::revision::{Revision, RevisionId};

/// How far behind other threads it stands (`nice`, from 0 to 19).
const NICENESS: i32 = 10;

/// What was seen of a shadow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Differences {
    /// The shadow; `None` if the binding had none yet.
    pub revision: Option<RevisionId>,
    /// How often it differed.
    #[serde(flatten)]
    pub counts: ShadowMetrics,
    /// The latest differences, the oldest first.
    pub latest: Vec<Difference>,
}

/// One decision that the shadow would have made otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The question.
    pub input: OwnedInput,
    /// Who decided: `name@digest`, or `native`.
    pub decided_by: String,
    /// What was decided.
    pub decided: Answer,
    /// What the shadow would have decided.
    pub shadow: Option<Answer>,
    /// Why it would have decided nothing.
    pub fault: Option<Fault>,
}

/// The differences of one shadow, while it decides and after.
#[derive(Debug, Default)]
pub(crate) struct DifferenceLog {
    revision: Option<RevisionId>,
    kept_max: usize,
    /// Decisions that were made while there was this shadow.
    pub(crate) decisions: AtomicU64,
    queued: AtomicU64,
    compared: AtomicU64,
    differing: AtomicU64,
    faults: AtomicU64,
    dropped: AtomicU64,
    stale: AtomicU64,
    latest: Mutex<VecDeque<Difference>>,
}

impl DifferenceLog {
    pub(crate) fn new(revision: RevisionId, kept_max: usize) -> Self {
        Self {
            revision: Some(revision),
            kept_max,
            ..Self::default()
        }
    }

    pub(crate) fn counts(&self) -> ShadowMetrics {
        // Those that are done are read first, so that none is missing from both.
        let (compared, stale) = (self.compared.load(Relaxed), self.stale.load(Relaxed));
        ShadowMetrics {
            compared,
            differing: self.differing.load(Relaxed),
            faults: self.faults.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            waiting: self.queued.load(Relaxed).saturating_sub(compared + stale),
        }
    }

    pub(crate) fn read(&self) -> Differences {
        Differences {
            revision: self.revision,
            counts: self.counts(),
            latest: self.latest.lock().iter().cloned().collect(),
        }
    }

    pub(crate) fn is_of(&self, revision: RevisionId) -> bool {
        self.revision == Some(revision)
    }

    fn compare(&self, job: Job) {
        let Job {
            revision,
            input,
            decided_by,
            decided,
            ..
        } = job;
        let outcome = input.borrow(|input| revision.shadow(&input));
        let (shadow, fault) = match outcome {
            None => {
                self.stale.fetch_add(1, Relaxed);
                return;
            }
            Some(Ok(answer)) => (Some(answer), None),
            Some(Err(fault)) => (None, Some(fault)),
        };
        if fault.is_some() {
            self.faults.fetch_add(1, Relaxed);
        }
        if !shadow
            .as_ref()
            .is_some_and(|answer| answer.agrees_with(&decided))
        {
            self.differing.fetch_add(1, Relaxed);
            let mut latest = self.latest.lock();
            if latest.len() >= self.kept_max {
                latest.pop_front();
            }
            latest.push_back(Difference {
                input,
                decided_by: decided_by.to_string(),
                decided,
                shadow,
                fault,
            });
        }
        self.compared.fetch_add(1, Relaxed);
    }
}

struct Job {
    revision: Arc<Revision>,
    log: Arc<DifferenceLog>,
    input: OwnedInput,
    decided_by: Arc<str>,
    decided: Answer,
}

/// Hands decisions to the thread, which ends when this goes.
pub(crate) struct Shadows {
    queue: SyncSender<Job>,
}

impl Shadows {
    pub(crate) fn start(queue_max: usize) -> Result<Self, std::io::Error> {
        let (queue, jobs) = sync_channel::<Job>(queue_max);
        thread::Builder::new()
            .name("policy-shadow".to_owned())
            .spawn(move || {
                // On Linux this is the thread's own. Refused, it is as urgent as others.
                let _ = rustix::process::nice(NICENESS);
                for job in jobs {
                    let log = Arc::clone(&job.log);
                    log.compare(job);
                }
            })?;
        Ok(Self { queue })
    }

    /// Has a decision compared with the shadow's, unless too many wait already.
    pub(crate) fn offer(
        &self,
        revision: &Arc<Revision>,
        log: &Arc<DifferenceLog>,
        input: &Input<'_>,
        decided: Answer,
        origin: &Origin,
    ) {
        // Before the thread can count it as done.
        log.queued.fetch_add(1, Relaxed);
        let job = Job {
            revision: Arc::clone(revision),
            log: Arc::clone(log),
            input: OwnedInput::from(input),
            decided_by: Arc::clone(&origin.revision),
            decided,
        };
        if self.queue.try_send(job).is_err() {
            log.queued.fetch_sub(1, Relaxed);
            log.dropped.fetch_add(1, Relaxed);
        }
    }
}
