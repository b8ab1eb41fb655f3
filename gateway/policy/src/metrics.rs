//! Counters of a binding, and the snapshot that others read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::api::{DecisionKind, Decisions};
use crate::error::FaultKind;
use crate::revision::RevisionId;

/// The live counters of one binding. They outlive its revisions.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    by_decision: [DecisionCounters; DecisionKind::ALL.len()],
    pub(crate) calls: AtomicU64,
    faults: [AtomicU64; FaultKind::ALL.len()],
    pub(crate) stale_facts: AtomicU64,
    pub(crate) instances_created: AtomicU64,
    pub(crate) instances_recycled: AtomicU64,
    pub(crate) instances_live: AtomicU64,
    pub(crate) revisions_live: AtomicU64,
    pub(crate) determinism_checks: AtomicU64,
    pub(crate) determinism_mismatches: AtomicU64,
    pub(crate) quarantines: AtomicU64,
    pub(crate) quarantine_skips: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) log_lines: AtomicU64,
    pub(crate) log_dropped: AtomicU64,
    guest: Mutex<BTreeMap<String, u64>>,
}

/// The part of [`Counters`] that is kept for each question.
#[derive(Debug, Default)]
pub(crate) struct DecisionCounters {
    pub(crate) decisions: AtomicU64,
    pub(crate) nanos: AtomicU64,
    faults: AtomicU64,
    pub(crate) by_canary: AtomicU64,
    pub(crate) fallbacks_previous: AtomicU64,
    pub(crate) fallbacks_native: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Counters {
    pub(crate) fn of(&self, decision: DecisionKind) -> &DecisionCounters {
        &self.by_decision[decision as usize]
    }

    pub(crate) fn fault(&self, decision: DecisionKind, kind: FaultKind) {
        self.of(decision).faults.fetch_add(1, Relaxed);
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
        let by_decision = DecisionKind::ALL.map(|kind| {
            let counters = self.of(kind);
            let metrics = DecisionMetrics {
                decisions: read(&counters.decisions),
                nanos: read(&counters.nanos),
                faults: read(&counters.faults),
                by_canary: read(&counters.by_canary),
                fallbacks_previous: read(&counters.fallbacks_previous),
                fallbacks_native: read(&counters.fallbacks_native),
                refused: read(&counters.refused),
            };
            (kind, metrics)
        });
        let sum = |of: fn(&DecisionMetrics) -> u64| by_decision.iter().map(|(_, m)| of(m)).sum();
        BindingMetrics {
            decisions: sum(|metrics| metrics.decisions),
            decision_nanos: sum(|metrics| metrics.nanos),
            by_decision,
            calls: read(&self.calls),
            faults: FaultKind::ALL.map(|kind| (kind, read(&self.faults[kind as usize]))),
            fallbacks_previous: sum(|metrics| metrics.fallbacks_previous),
            fallbacks_native: sum(|metrics| metrics.fallbacks_native),
            refused: sum(|metrics| metrics.refused),
            stale_facts: read(&self.stale_facts),
            instances_created: read(&self.instances_created),
            instances_recycled: read(&self.instances_recycled),
            instances_live: read(&self.instances_live),
            revisions_live: read(&self.revisions_live),
            determinism_checks: read(&self.determinism_checks),
            determinism_mismatches: read(&self.determinism_mismatches),
            quarantines: read(&self.quarantines),
            quarantine_skips: read(&self.quarantine_skips),
            probes: read(&self.probes),
            log_lines: read(&self.log_lines),
            log_dropped: read(&self.log_dropped),
            guest: self.guest.lock().clone(),
            active: None,
            quarantined: Decisions::default(),
            shadow: ShadowMetrics::default(),
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
    /// Components that need not be compiled, because they were kept; 0 without a cache.
    pub compile_cache_hits: u64,
    /// Components that were compiled and then kept; 0 without a cache.
    pub compile_cache_misses: u64,
}

/// The counters of one binding.
#[derive(Clone, Debug)]
pub struct BindingMetrics {
    /// Decisions asked for.
    pub decisions: u64,
    /// Time they took, fallbacks included, in nanoseconds.
    pub decision_nanos: u64,
    /// The numbers of each question.
    pub by_decision: [(DecisionKind, DecisionMetrics); DecisionKind::ALL.len()],
    /// Times that a policy was asked, probes included, repetitions and shadows not.
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
    /// Revisions that exist now: those that the binding holds, and those that a call still runs
    /// on.
    pub revisions_live: u64,
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
    /// The decisions for which it is in quarantine.
    pub quarantined: Decisions,
    /// What was seen of the shadow that decides beside it, or of the last one.
    pub shadow: ShadowMetrics,
}

/// The numbers of one question of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionMetrics {
    /// Decisions asked for.
    pub decisions: u64,
    /// Time they took, fallbacks included, in nanoseconds.
    pub nanos: u64,
    /// Faults.
    pub faults: u64,
    /// Decisions that the canary made.
    pub by_canary: u64,
    /// Decisions that the previous revision made.
    pub fallbacks_previous: u64,
    /// Decisions that the native default made.
    pub fallbacks_native: u64,
    /// Decisions that nobody made.
    pub refused: u64,
}

/// The numbers of a shadow. They begin anew with another shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowMetrics {
    /// Decisions that were compared.
    pub compared: u64,
    /// Those that differed, faults included.
    pub differing: u64,
    /// Those for which the shadow gave no answer.
    pub faults: u64,
    /// Decisions that were not compared because too many waited.
    pub dropped: u64,
    /// Decisions that wait to be compared.
    pub waiting: u64,
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
