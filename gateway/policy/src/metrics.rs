//! Counters of a binding, and the snapshot that others read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::error::FaultKind;
use crate::revision::RevisionId;

/// The live counters of one binding. They outlive its revisions.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) decisions: AtomicU64,
    pub(crate) decision_nanos: AtomicU64,
    pub(crate) calls: AtomicU64,
    faults: [AtomicU64; FaultKind::ALL.len()],
    pub(crate) fallbacks_previous: AtomicU64,
    pub(crate) fallbacks_native: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) stale_facts: AtomicU64,
    pub(crate) instances_created: AtomicU64,
    pub(crate) instances_recycled: AtomicU64,
    pub(crate) instances_live: AtomicU64,
    pub(crate) determinism_checks: AtomicU64,
    pub(crate) determinism_mismatches: AtomicU64,
    pub(crate) quarantines: AtomicU64,
    pub(crate) quarantine_skips: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) log_lines: AtomicU64,
    pub(crate) log_dropped: AtomicU64,
    guest: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    pub(crate) fn fault(&self, kind: FaultKind) {
        self.faults[kind as usize].fetch_add(1, Relaxed);
    }

    /// Adds to a counter that a guest names, unless that would make more than
    /// `names_max` of them.
    pub(crate) fn count_for_guest(&self, name: String, delta: u64, names_max: usize) {
        let mut counters = self.guest.lock();
        let room = counters.len() < names_max;
        if let Some(value) = counters.get_mut(&name) {
            *value = value.saturating_add(delta);
        } else if room {
            counters.insert(name, delta);
        }
    }

    pub(crate) fn snapshot(&self) -> BindingMetrics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        BindingMetrics {
            decisions: read(&self.decisions),
            decision_nanos: read(&self.decision_nanos),
            calls: read(&self.calls),
            faults: FaultKind::ALL.map(|kind| (kind, read(&self.faults[kind as usize]))),
            fallbacks_previous: read(&self.fallbacks_previous),
            fallbacks_native: read(&self.fallbacks_native),
            refused: read(&self.refused),
            stale_facts: read(&self.stale_facts),
            instances_created: read(&self.instances_created),
            instances_recycled: read(&self.instances_recycled),
            instances_live: read(&self.instances_live),
            determinism_checks: read(&self.determinism_checks),
            determinism_mismatches: read(&self.determinism_mismatches),
            quarantines: read(&self.quarantines),
            quarantine_skips: read(&self.quarantine_skips),
            probes: read(&self.probes),
            log_lines: read(&self.log_lines),
            log_dropped: read(&self.log_dropped),
            guest: self.guest.lock().clone(),
            active: None,
            quarantined: false,
        }
    }
}

/// All counters at one moment. Each only grows while the process lives,
/// but for those that say they count what exists now.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    /// By name of the binding.
    pub bindings: BTreeMap<String, BindingMetrics>,
    /// Decisions for a name that is no binding; the native default made them.
    pub unbound: u64,
    /// Revisions that exist now, over all bindings.
    pub revisions_loaded: u64,
}

/// The counters of one binding.
#[derive(Clone, Debug)]
pub struct BindingMetrics {
    /// Decisions asked for.
    pub decisions: u64,
    /// Time they took, fallbacks included, in nanoseconds.
    pub decision_nanos: u64,
    /// Calls of `place`, checks and probes included.
    pub calls: u64,
    /// Faults by kind.
    pub faults: [(FaultKind, u64); FaultKind::ALL.len()],
    /// Decisions that the previous revision made.
    pub fallbacks_previous: u64,
    /// Decisions that the native default made.
    pub fallbacks_native: u64,
    /// Decisions that nobody made.
    pub refused: u64,
    /// Inputs of another generation of facts.
    pub stale_facts: u64,
    /// Instances made.
    pub instances_created: u64,
    /// Instances replaced, after faults or at the end of their calls.
    pub instances_recycled: u64,
    /// Instances that exist now. The one number here that also falls.
    pub instances_live: u64,
    /// Calls repeated on a fresh instance.
    pub determinism_checks: u64,
    /// How many of those disagreed.
    pub determinism_mismatches: u64,
    /// Times that a revision went into quarantine.
    pub quarantines: u64,
    /// Decisions for which a revision was not asked because of that.
    pub quarantine_skips: u64,
    /// Calls made to see whether a revision works again.
    pub probes: u64,
    /// Log lines written.
    pub log_lines: u64,
    /// Log lines dropped.
    pub log_dropped: u64,
    /// The policy's own counters.
    pub guest: BTreeMap<String, u64>,
    /// The active revision.
    pub active: Option<RevisionId>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
}

impl BindingMetrics {
    /// Faults of one kind.
    #[must_use]
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize].1
    }

    /// Faults of all kinds.
    #[must_use]
    pub fn faults_total(&self) -> u64 {
        self.faults.iter().map(|(_, count)| count).sum()
    }
}
