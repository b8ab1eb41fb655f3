//! Recordings of decisions: bounded files of JSON lines, for replay and simulation.
//!
//! A decision is copied on the thread that asked for it and handed to a thread of its own
//! through a queue that never waits: what does not fit is dropped and counted. Each file begins
//! with what a replay needs: the facts that the policies were told, and the limits in force.

mod read;
mod row;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use weir_policy::{Answer, Input, Origin, OwnedInput, RevisionId, StaticFacts, Tap};
use weir_types::clock::Clock;

use crate::config::Config;
use crate::config::model::RecordingConfig;
pub use read::{Recording, latest_inputs};
pub use row::{Decision, Header, Limits, Row};
use write::Writer;

/// Decisions between the threads that decide and the one that writes.
const QUEUE_MAX: usize = 1024;

/// Sees decisions and writes those that are wanted.
pub struct Recorder {
    folder: PathBuf,
    bindings: HashMap<String, Binding>,
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

/// A policy whose decisions are recorded.
struct Binding {
    name: Arc<str>,
    share_permille: u64,
    seen: AtomicU64,
    counts: Arc<Counts>,
}

/// What became of decisions that were to be recorded.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// What became of a policy's decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Written to a file.
    pub written: u64,
    /// Not written, because the disk was too slow or full.
    pub dropped: u64,
}

pub(crate) enum Message {
    /// A revision was loaded, with these settings.
    Revision {
        policy: Arc<str>,
        id: RevisionId,
        settings: String,
    },
    /// A decision was made.
    Decision {
        policy: Arc<str>,
        decision: Box<Decision>,
    },
}

impl Recorder {
    /// Starts the thread, when any policy is recorded.
    pub fn open(
        config: &Config,
        policies: &Path,
        facts: &Arc<StaticFacts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let folder = policies.join("recordings");
        let wanted = config
            .policies
            .iter()
            .filter(|(_, policy)| policy.recording.share_permille > 0);
        let configs: HashMap<Arc<str>, RecordingConfig> = wanted
            .map(|(name, policy)| (Arc::from(name.as_str()), policy.recording.clone()))
            .collect();
        let bindings: HashMap<_, _> = configs
            .iter()
            .map(|(name, recording)| (name.to_string(), Binding::of(name, recording)))
            .collect();
        let mut recorder = Self {
            folder: folder.clone(),
            bindings,
            queue: None,
            thread: None,
        };
        if !recorder.is_wanted() {
            return recorder;
        }
        let counts = recorder.bindings.values();
        let counts = counts.map(|b| (Arc::clone(&b.name), Arc::clone(&b.counts)));
        let limits = Limits::of(&config.policy_host);
        let facts = Arc::clone(facts);
        let writer = Writer::new(folder, configs, counts.collect(), (facts, limits), clock);
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("policy-recording".into());
        match thread.spawn(move || writer.run(&messages)) {
            Ok(thread) => (recorder.queue, recorder.thread) = (Some(queue), Some(thread)),
            Err(error) => tracing::error!(%error, "policy decisions are not recorded"),
        }
        recorder
    }

    /// Whether any policy is recorded.
    pub fn is_wanted(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// How many of a thousand decisions of a policy are recorded.
    pub fn share_permille(&self, policy: &str) -> u16 {
        let binding = self.bindings.get(policy);
        binding.map_or(0, |binding| {
            u16::try_from(binding.share_permille).unwrap_or(1000)
        })
    }

    /// Where the recordings of a policy lie.
    pub fn folder(&self, policy: &str) -> PathBuf {
        self.folder.join(policy)
    }

    /// Notes the settings of a revision, which a replay needs.
    pub fn loaded(&self, policy: &str, id: RevisionId, settings: &str) {
        let Some(binding) = self.bindings.get(policy) else {
            return;
        };
        if let Some(queue) = &self.queue {
            let policy = Arc::clone(&binding.name);
            let settings = settings.to_owned();
            // Off the request path: this one may wait. It ends when the thread has ended.
            let _ended = queue.send(Message::Revision {
                policy,
                id,
                settings,
            });
        }
    }

    /// What became of the decisions of each recorded policy.
    pub fn counts(&self) -> Vec<(String, Recorded)> {
        self.bindings
            .iter()
            .map(|(name, binding)| {
                let recorded = Recorded {
                    written: binding.counts.written.load(Relaxed),
                    dropped: binding.counts.dropped.load(Relaxed),
                };
                (name.clone(), recorded)
            })
            .collect()
    }
}

impl Binding {
    fn of(name: &Arc<str>, recording: &RecordingConfig) -> Self {
        Self {
            name: Arc::clone(name),
            share_permille: u64::from(recording.share_permille),
            seen: AtomicU64::new(0),
            counts: Arc::default(),
        }
    }
}

impl Tap for Recorder {
    fn wants(&self, binding: &str) -> bool {
        let Some(binding) = self.bindings.get(binding) else {
            return false;
        };
        // Spread evenly: the n-th is taken when the share of the first n has grown by one.
        let n = binding.seen.fetch_add(1, Relaxed) % 1000;
        let taken = |n: u64| n * binding.share_permille / 1000;
        taken(n + 1) > taken(n)
    }

    fn decided(&self, binding: &str, input: &Input<'_>, answer: &Answer, origin: &Origin) {
        let (Some(binding), Some(queue)) = (self.bindings.get(binding), &self.queue) else {
            return;
        };
        let decision = Decision::of(OwnedInput::from(input), answer.clone(), origin);
        let message = Message::Decision {
            policy: Arc::clone(&binding.name),
            decision: Box::new(decision),
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(message)
        {
            binding.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Recorder {
    /// Writes what is in the queue.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the recording of policy decisions ended abnormally");
        }
    }
}

#[cfg(test)]
mod tests;
