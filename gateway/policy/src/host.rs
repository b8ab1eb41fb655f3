//! The registry: which revision decides for which binding, and what happens
//! when it cannot.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::api::{DecidedBy, NativeCause, Origin, PlacementDecision, PlacementInput, StaticFacts};
use crate::engine::Runtime;
use crate::error::{ActivateError, Fault, LoadError, Refused};
use crate::limits::Limits;
use crate::metrics::{Counters, MetricsSnapshot};
use crate::native;
use crate::revision::{Description, Outcome, Revision, RevisionId};

/// Who decides when the active revision gives no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// The revision that was active before, then the native default.
    #[default]
    PreviousThenNative,
    /// The native default.
    Native,
    /// Nobody: the request is refused.
    Refuse,
}

/// One binding as it stands.
#[derive(Clone, Debug)]
pub struct BindingStatus {
    /// The revision that decides.
    pub active: Option<RevisionId>,
    /// Who it says it is.
    pub description: Option<Description>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
    /// The revision before it.
    pub previous: Option<RevisionId>,
    /// Revisions that are loaded and wait to be activated.
    pub waiting: Vec<RevisionId>,
    /// Who decides when it cannot.
    pub on_fault: OnFault,
}

/// The policies of a gateway. Shared by all its threads.
pub struct PolicyHost {
    runtime: Arc<Runtime>,
    bindings: ArcSwap<HashMap<String, Arc<Binding>>>,
    /// Held while `bindings` changes.
    binding_changes: Mutex<()>,
    unbound: AtomicU64,
}

struct Binding {
    name: String,
    current: ArcSwap<Current>,
    /// Loaded, not yet active; also held while `current` changes.
    waiting: Mutex<VecDeque<Arc<Revision>>>,
    counters: Arc<Counters>,
}

#[derive(Clone, Default)]
struct Current {
    active: Option<Arc<Revision>>,
    previous: Option<Arc<Revision>>,
    on_fault: OnFault,
}

impl PolicyHost {
    /// Starts the engine. Fails if the machine cannot run it under these
    /// limits.
    pub fn new(limits: Limits) -> Result<Self, LoadError> {
        let runtime = Runtime::new(limits)
            .map_err(|error| LoadError::Invalid(format!("engine: {error:#}")))?;
        Ok(Self {
            runtime: Arc::new(runtime),
            bindings: ArcSwap::default(),
            binding_changes: Mutex::new(()),
            unbound: AtomicU64::new(0),
        })
    }

    /// Makes a binding, or sets what an existing one does on faults. Without
    /// an active revision the native default decides for it.
    pub fn bind(&self, name: &str, on_fault: OnFault) {
        let binding = self.binding_or_new(name);
        let _changing = binding.waiting.lock();
        let current = Current {
            on_fault,
            ..Current::clone(&binding.current.load())
        };
        binding.current.store(Arc::new(current));
    }

    /// Removes a binding with its revisions and counters. Calls in flight end
    /// as they would have. False if there is none.
    pub fn unbind(&self, name: &str) -> bool {
        let _changing = self.binding_changes.lock();
        let mut bindings = HashMap::clone(&self.bindings.load());
        let found = bindings.remove(name).is_some();
        self.bindings.store(Arc::new(bindings));
        found
    }

    /// Compiles, checks and configures a component for the binding `name`,
    /// which is made if there is none. The revision then waits for
    /// [`PolicyHost::activate`]; the oldest that waits longer than
    /// [`Limits::revisions_waiting_max`] others goes. On an error everything
    /// stays as it was.
    ///
    /// If the revision is loaded already, only its facts are renewed: nothing
    /// is compiled.
    ///
    /// Takes tens of milliseconds of CPU for a compiled policy and seconds for
    /// an interpreter: async callers use `spawn_blocking`.
    pub fn load(
        &self,
        name: &str,
        component: &[u8],
        settings: &str,
        facts: &Arc<StaticFacts>,
    ) -> Result<RevisionId, LoadError> {
        let existing = self.bindings.load().get(name).cloned();
        let counters = existing
            .as_ref()
            .map_or_else(Arc::default, |b| Arc::clone(&b.counters));
        let id = RevisionId::of(component, settings);
        let revision = match existing.as_ref().and_then(|binding| binding.find(id)) {
            Some(same) if same.facts == *facts => same,
            Some(same) => Arc::new(same.with_facts(Arc::clone(facts))?),
            None => {
                let runtime = Arc::clone(&self.runtime);
                let facts = Arc::clone(facts);
                Arc::new(Revision::load(
                    runtime,
                    name,
                    component,
                    settings,
                    facts,
                    counters.clone(),
                )?)
            }
        };
        let binding = existing.unwrap_or_else(|| self.binding_or_insert(name, counters));
        binding.wait(revision, self.runtime.limits.revisions_waiting_max);
        Ok(id)
    }

    /// [`PolicyHost::load`] from a file, of which no more is read than the
    /// size limit and a byte.
    pub fn load_file(
        &self,
        name: &str,
        path: &Path,
        settings: &str,
        facts: &Arc<StaticFacts>,
    ) -> Result<RevisionId, LoadError> {
        let failed = |error| LoadError::Read {
            path: path.display().to_string(),
            error,
        };
        let limit = self.runtime.limits.component_bytes_max as u64;
        let mut component = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(limit + 1)
            .read_to_end(&mut component)
            .map_err(failed)?;
        self.load(name, &component, settings, facts)
    }

    /// Lets a loaded revision decide from now on. Decisions in flight end on
    /// the one they began with; the one that was active becomes the previous.
    ///
    /// Makes the instances that requests will need first: async callers use
    /// `spawn_blocking`.
    pub fn activate(&self, name: &str, id: RevisionId) -> Result<(), ActivateError> {
        let binding = self.binding(name)?;
        let mut waiting = binding.waiting.lock();
        let current = Arc::clone(&binding.current.load());
        let waits = waiting.iter().position(|revision| revision.id == id);
        let revision = match waits.and_then(|at| waiting.remove(at)) {
            Some(revision) => revision,
            None if current
                .active
                .as_ref()
                .is_some_and(|active| active.id == id) =>
            {
                return Ok(());
            }
            None => {
                let previous = current
                    .previous
                    .clone()
                    .filter(|previous| previous.id == id);
                let missing = || ActivateError::NoRevision {
                    binding: name.to_owned(),
                    revision: id,
                };
                previous.ok_or_else(missing)?
            }
        };
        binding.swap(&current, revision);
        Ok(())
    }

    /// Lets the previous revision decide again.
    pub fn rollback(&self, name: &str) -> Result<RevisionId, ActivateError> {
        let binding = self.binding(name)?;
        let _changing = binding.waiting.lock();
        let current = Arc::clone(&binding.current.load());
        let Some(previous) = current.previous.clone() else {
            return Err(ActivateError::NoPrevious(name.to_owned()));
        };
        let id = previous.id;
        binding.swap(&current, previous);
        Ok(id)
    }

    /// The revision that decides for a binding.
    #[must_use]
    pub fn active(&self, name: &str) -> Option<RevisionId> {
        let bindings = self.bindings.load();
        let current = bindings.get(name)?.current.load();
        current.active.as_ref().map(|revision| revision.id)
    }

    /// All bindings as they stand.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, BindingStatus> {
        let bindings = self.bindings.load();
        bindings
            .iter()
            .map(|(name, binding)| (name.clone(), binding.status()))
            .collect()
    }

    /// All counters as they stand.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        let mut snapshot = MetricsSnapshot {
            unbound: self.unbound.load(Relaxed),
            ..MetricsSnapshot::default()
        };
        for (name, binding) in self.bindings.load().iter() {
            let BindingStatus {
                active,
                quarantined,
                previous,
                waiting,
                ..
            } = binding.status();
            let loaded =
                waiting.len() + usize::from(active.is_some()) + usize::from(previous.is_some());
            snapshot.revisions_loaded += loaded as u64;
            let mut metrics = binding.counters.snapshot();
            (metrics.active, metrics.quarantined) = (active, quarantined);
            snapshot.bindings.insert(name.clone(), metrics);
        }
        snapshot
    }

    /// Decides where a new version goes. Synchronous, never waits for another
    /// decision, and answers within the limits of one call for each revision
    /// it has to ask (two at most) plus the native default. An error only if
    /// the binding is set to refuse.
    pub fn decide(
        &self,
        name: &str,
        input: &PlacementInput<'_>,
    ) -> Result<PlacementDecision, Refused> {
        let bindings = self.bindings.load();
        let Some(binding) = bindings.get(name) else {
            self.unbound.fetch_add(1, Relaxed);
            return Ok(native_decision(input, NativeCause::Unbound, None));
        };
        let started = Instant::now();
        let decision = binding.decide(input);
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        binding.counters.decisions.fetch_add(1, Relaxed);
        binding.counters.decision_nanos.fetch_add(nanos, Relaxed);
        decision
    }

    fn binding(&self, name: &str) -> Result<Arc<Binding>, ActivateError> {
        let bindings = self.bindings.load();
        bindings
            .get(name)
            .cloned()
            .ok_or_else(|| ActivateError::NoBinding(name.to_owned()))
    }

    fn binding_or_new(&self, name: &str) -> Arc<Binding> {
        let existing = self.bindings.load().get(name).cloned();
        existing.unwrap_or_else(|| self.binding_or_insert(name, Arc::default()))
    }

    fn binding_or_insert(&self, name: &str, counters: Arc<Counters>) -> Arc<Binding> {
        let _changing = self.binding_changes.lock();
        let mut bindings = HashMap::clone(&self.bindings.load());
        let binding = bindings.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Binding {
                name: name.to_owned(),
                current: ArcSwap::default(),
                waiting: Mutex::default(),
                counters,
            })
        });
        let binding = Arc::clone(binding);
        self.bindings.store(Arc::new(bindings));
        binding
    }
}

impl Binding {
    fn decide(&self, input: &PlacementInput<'_>) -> Result<PlacementDecision, Refused> {
        let current = self.current.load();
        let Some(active) = &current.active else {
            return self.without_answer(&current, input, NativeCause::Unbound, None);
        };
        let (cause, fault) = match self.ask(active, input) {
            Ok(answer) => return Ok(decision(answer, active, None)),
            Err(failure) => failure,
        };
        if current.on_fault == OnFault::PreviousThenNative
            && let Some(previous) = &current.previous
            && let Ok(answer) = self.ask(previous, input)
        {
            self.counters.fallbacks_previous.fetch_add(1, Relaxed);
            return Ok(decision(answer, previous, fault));
        }
        self.without_answer(&current, input, cause, fault)
    }

    fn ask(
        &self,
        revision: &Revision,
        input: &PlacementInput<'_>,
    ) -> Result<Answer, (NativeCause, Option<Fault>)> {
        match revision.decide(input) {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Fault(fault) => Err((NativeCause::Fault, Some(fault))),
            Outcome::Stale => {
                self.counters.stale_facts.fetch_add(1, Relaxed);
                Err((NativeCause::StaleFacts, None))
            }
            Outcome::Quarantined => {
                self.counters.quarantine_skips.fetch_add(1, Relaxed);
                Err((NativeCause::Quarantine, None))
            }
        }
    }

    fn without_answer(
        &self,
        current: &Current,
        input: &PlacementInput<'_>,
        cause: NativeCause,
        fault: Option<Fault>,
    ) -> Result<PlacementDecision, Refused> {
        if current.on_fault == OnFault::Refuse {
            self.counters.refused.fetch_add(1, Relaxed);
            let why = match (&fault, cause) {
                (Some(fault), _) => fault.to_string(),
                (None, NativeCause::Unbound) => "no revision is active".to_owned(),
                (None, NativeCause::StaleFacts) => "configured for other backends".to_owned(),
                (None, _) => "in quarantine".to_owned(),
            };
            return Err(Refused {
                binding: self.name.clone(),
                why,
            });
        }
        self.counters.fallbacks_native.fetch_add(1, Relaxed);
        Ok(native_decision(input, cause, fault))
    }

    /// The newest loaded revision with this id.
    fn find(&self, id: RevisionId) -> Option<Arc<Revision>> {
        let waiting = self.waiting.lock();
        let current = self.current.load();
        let mut all = waiting
            .iter()
            .rev()
            .chain(&current.active)
            .chain(&current.previous);
        all.find(|revision| revision.id == id).cloned()
    }

    fn wait(&self, revision: Arc<Revision>, waiting_max: usize) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| other.id != revision.id);
        waiting.push_back(revision);
        while waiting.len() > waiting_max.max(1) {
            waiting.pop_front();
        }
    }

    /// Makes `revision` the active one. The caller holds the lock on
    /// `waiting`.
    fn swap(&self, current: &Current, revision: Arc<Revision>) {
        revision.warm();
        // The same revision with other facts has the same one before it.
        let replaced = current
            .active
            .clone()
            .filter(|active| active.id != revision.id);
        let previous = replaced.or_else(|| current.previous.clone());
        let previous = previous.filter(|previous| previous.id != revision.id);
        // It can only step in if it knows the same backends.
        let previous = previous.and_then(|previous| {
            if previous.facts == revision.facts {
                return Some(previous);
            }
            previous
                .with_facts(Arc::clone(&revision.facts))
                .ok()
                .map(Arc::new)
        });
        let on_fault = current.on_fault;
        self.current.store(Arc::new(Current {
            active: Some(revision),
            previous,
            on_fault,
        }));
    }

    fn status(&self) -> BindingStatus {
        let waiting = self.waiting.lock();
        let current = self.current.load();
        let active = current.active.as_ref();
        BindingStatus {
            active: active.map(|revision| revision.id),
            description: active.map(|revision| revision.description.clone()),
            quarantined: active.is_some_and(|revision| revision.quarantine.is_closed()),
            previous: current.previous.as_ref().map(|revision| revision.id),
            waiting: waiting.iter().map(|revision| revision.id).collect(),
            on_fault: current.on_fault,
        }
    }
}

fn decision(answer: Answer, by: &Revision, fault: Option<Fault>) -> PlacementDecision {
    let Answer {
        candidates,
        copies,
        ack,
        reason,
    } = answer;
    PlacementDecision {
        candidates,
        copies,
        ack,
        reason,
        origin: Origin {
            decided_by: DecidedBy::Revision(by.id),
            revision: Arc::clone(&by.label),
            fault,
        },
    }
}

fn native_decision(
    input: &PlacementInput<'_>,
    cause: NativeCause,
    fault: Option<Fault>,
) -> PlacementDecision {
    let copies = input.request.copies.max(1);
    PlacementDecision {
        candidates: native::spread(input),
        copies,
        ack: input.request.ack.clamp(1, copies),
        reason: match cause {
            NativeCause::Unbound => "native spread: no policy is bound",
            NativeCause::StaleFacts => "native spread: the policy knows other backends",
            NativeCause::Fault => "native spread: the policy failed",
            NativeCause::Quarantine => "native spread: the policy is in quarantine",
        }
        .to_owned(),
        origin: Origin {
            decided_by: DecidedBy::Native(cause),
            revision: "native".into(),
            fault,
        },
    }
}
