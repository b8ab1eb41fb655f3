//! One loaded build of a policy with its settings and facts, and the
//! instances of it.

mod description;
mod id;

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use serde::{Deserialize, Serialize};

use crate::api::{Answer, DecisionKind, Decisions, Input, StaticFacts, Subject};
use crate::decision::{self, Decision};
use crate::engine::{Compiled, Runtime};
use crate::error::{Fault, FaultKind, LoadError};
use crate::guest::GuestShared;
use crate::instance::{Instance, Purpose};
use crate::metrics::Counters;
use crate::quarantine::{Admission, Quarantine};
use crate::recording::Recordings;
use crate::wire::{Described, Needs};

pub use description::Description;
pub use id::RevisionId;
pub(crate) use id::sha256;

pub(crate) struct Revision {
    pub(crate) id: RevisionId,
    pub(crate) facts: Arc<StaticFacts>,
    pub(crate) description: Description,
    /// `name@digest`.
    pub(crate) label: Arc<str>,
    quarantines: [Quarantine; DecisionKind::ALL.len()],
    recordings: [Recordings; DecisionKind::ALL.len()],
    settings: String,
    needs: Needs,
    runtime: Arc<Runtime>,
    compiled: Arc<Compiled>,
    shared: Arc<GuestShared>,
    /// Instances that wait for a call. A thread takes the one at its own
    /// place, so threads do not meet; all go when the revision goes.
    idle: Box<[Mutex<Option<Instance>>]>,
    _counted: Counted,
}

/// Counts a revision while it exists.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.revisions_live.fetch_add(1, Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.revisions_live.fetch_sub(1, Relaxed);
    }
}

/// What came of asking a revision.
pub(crate) enum Asked<A> {
    Answer(A),
    /// It was configured with facts of another generation.
    Stale,
    /// It is in quarantine.
    Quarantined,
    Fault(Fault),
}

/// Whether instances decide more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Yes, up to [`crate::Limits::calls_per_instance_max`] times.
    #[default]
    Reused,
    /// Every call gets an instance of its own: what a policy sees in one call can not show in
    /// another. Costs tens of microseconds a call, and more with interpreters.
    PerCall,
}

impl Revision {
    /// Compiles and configures a component: milliseconds for a compiled
    /// language, seconds for an interpreter.
    pub(crate) fn load(
        runtime: Arc<Runtime>,
        binding: &str,
        component: &[u8],
        settings: &str,
        facts: Arc<StaticFacts>,
        counters: Arc<Counters>,
    ) -> Result<Self, LoadError> {
        check_settings(settings, runtime.limits.settings_bytes_max)?;
        let compiled = runtime.compile(component)?;
        let id = RevisionId::of(component, settings);
        let shared = Arc::new(GuestShared::new(binding, id, counters));
        Self::configured(runtime, compiled, id, settings, facts, shared)
    }

    /// The same component and settings with other facts.
    pub(crate) fn with_facts(&self, facts: Arc<StaticFacts>) -> Result<Self, LoadError> {
        let GuestShared {
            binding, counters, ..
        } = &*self.shared;
        let shared = Arc::new(GuestShared::new(binding, self.id, Arc::clone(counters)));
        let runtime = Arc::clone(&self.runtime);
        Self::configured(
            runtime,
            Arc::clone(&self.compiled),
            self.id,
            &self.settings,
            facts,
            shared,
        )
    }

    fn configured(
        runtime: Arc<Runtime>,
        compiled: Arc<Compiled>,
        id: RevisionId,
        settings: &str,
        facts: Arc<StaticFacts>,
        shared: Arc<GuestShared>,
    ) -> Result<Self, LoadError> {
        let described = describe(&runtime, &compiled, &shared)?;
        let needs = described.needs;
        let description = Description::of(described, compiled.shape.version.text());
        // What `describe` did must not show in decisions.
        let instance = configure(&runtime, &compiled, &shared, needs, settings, &facts)?;
        let places = runtime.limits.instances_per_revision.max(1);
        let idle: Box<[_]> = std::iter::once(Some(instance))
            .chain(std::iter::repeat_with(|| None))
            .take(places)
            .map(Mutex::new)
            .collect();
        Ok(Self {
            id,
            facts,
            label: format!("{}@{id}", description.name).into(),
            description,
            quarantines: Default::default(),
            recordings: Default::default(),
            settings: settings.to_owned(),
            needs,
            runtime,
            compiled,
            _counted: Counted::new(&shared.counters),
            shared,
            idle,
        })
    }

    /// Whether it answers this question.
    pub(crate) fn decides(&self, kind: DecisionKind) -> bool {
        self.description.decides.contains(kind)
    }

    /// The decisions for which it is not asked now.
    pub(crate) fn quarantined(&self) -> Decisions {
        let closed = |kind: &DecisionKind| self.quarantines[*kind as usize].is_closed();
        DecisionKind::ALL.into_iter().filter(closed).collect()
    }

    /// Makes the instances that requests would otherwise have to make.
    pub(crate) fn warm(&self) {
        for place in &self.idle {
            if place.try_lock().is_none_or(|place| place.is_some()) {
                continue;
            }
            // A fault here shows, and counts, when a request meets it.
            let Ok(instance) = self.fresh() else {
                return;
            };
            keep(place, instance);
        }
    }

    /// Asks for a decision.
    pub(crate) fn decide<D: Decision>(
        &self,
        input: &D::Input<'_>,
        isolation: Isolation,
    ) -> Asked<D::Answer> {
        let subject = D::subject(input);
        if !self.knows(&subject) {
            return Asked::Stale;
        }
        let quarantine = &self.quarantines[D::KIND as usize];
        let now_ms = subject.now_ms;
        match quarantine.admit(now_ms) {
            Admission::Open => {}
            Admission::Closed => return Asked::Quarantined,
            Admission::Probe => {
                let good = self.probe_kept(D::KIND);
                let good = good.unwrap_or_else(|| self.probe(&D::wrap_input(input)));
                quarantine.probed(now_ms, good, &self.runtime.limits);
                if !good {
                    return Asked::Quarantined;
                }
            }
        }
        match self.call::<D>(input, isolation) {
            Ok((answer, None)) => {
                quarantine.succeeded();
                self.recordings[D::KIND as usize].offer(|| D::wrap_input(input));
                Asked::Answer(answer)
            }
            Ok((answer, Some(rescued))) => {
                // Every such call pays for a new instance.
                self.suspect(D::KIND, &subject, &rescued);
                Asked::Answer(answer)
            }
            Err(fault) => {
                self.failed(D::KIND, &subject, &fault);
                Asked::Fault(fault)
            }
        }
    }

    /// What it would decide, without quarantine, counters and log; `None` if it knows other
    /// backends.
    pub(crate) fn shadow(&self, input: &Input<'_>) -> Option<Result<Answer, Fault>> {
        if !self.knows(&decision::subject(input)) {
            return None;
        }
        let limits = &self.runtime.limits;
        Some(self.take().and_then(|(place, mut instance)| {
            let outcome = instance.answer(input, limits, Purpose::Compare);
            self.put_back(place, instance, outcome.is_ok(), Isolation::Reused);
            outcome
        }))
    }

    fn knows(&self, subject: &Subject<'_>) -> bool {
        subject.facts_generation == self.facts.generation
            && subject.backends.len() == self.facts.backends.len()
    }

    fn failed(&self, kind: DecisionKind, subject: &Subject<'_>, fault: &Fault) {
        self.shared.counters.fault(kind, fault.kind);
        self.suspect(kind, subject, fault);
    }

    /// Notes a fault for the quarantine.
    fn suspect(&self, kind: DecisionKind, subject: &Subject<'_>, fault: &Fault) {
        let GuestShared {
            binding,
            revision,
            counters,
            ..
        } = &*self.shared;
        if fault.kind == FaultKind::Deadline {
            // Fuel stops a guest that works too long. This one was put aside
            // by the machine, which says nothing about it.
            return;
        }
        let key = hash(&(subject.bucket, subject.key));
        let principal = hash(&subject.principal);
        let quarantine = &self.quarantines[kind as usize];
        let works = || self.probe_kept(kind);
        let limits = &self.runtime.limits;
        if quarantine.failed(subject.now_ms, key, principal, limits, works) {
            counters.quarantines.fetch_add(1, Relaxed);
            tracing::warn!(binding, %revision, decision = kind.name(), %fault, "policy in quarantine");
        }
    }

    /// One call on an instance of this thread's, and now and then the same on a fresh one: at a
    /// share of the calls, and where an instance that decided before failed. Where they differ
    /// the fresh one is right: its answer is the one that a replay gives. So a policy that
    /// leaks memory now and then gets a new instance, and no decision is lost. With the answer
    /// comes the fault that it was rescued from.
    fn call<D: Decision>(
        &self,
        input: &D::Input<'_>,
        isolation: Isolation,
    ) -> Result<(D::Answer, Option<Fault>), Fault> {
        let limits = &self.runtime.limits;
        let counters = &self.shared.counters;
        let call = counters.calls.fetch_add(1, Relaxed);
        let (place, mut instance) = self.take()?;
        let outcome = instance.decide::<D>(input, limits, Purpose::Decide);
        let reused = instance.calls > 1;
        self.put_back(place, instance, outcome.is_ok(), isolation);
        let every = u64::from(limits.determinism_check_every);
        let sampled = every != 0 && call.is_multiple_of(every);
        let doubtful = outcome
            .as_ref()
            .is_err_and(|fault| reused && fault.kind != FaultKind::Deadline);
        if !sampled && !doubtful {
            return Ok((outcome?, None));
        }
        counters.determinism_checks.fetch_add(1, Relaxed);
        let again = self.fresh()?.decide::<D>(input, limits, Purpose::Compare);
        if again != outcome {
            counters.determinism_mismatches.fetch_add(1, Relaxed);
            let GuestShared {
                binding, revision, ..
            } = &*self.shared;
            let decision = D::KIND.name();
            tracing::warn!(binding, %revision, decision, "a policy decided otherwise on a fresh instance");
        }
        Ok((again?, outcome.err()))
    }

    /// An idle instance and the place to put it back to, or a fresh one.
    /// Never waits: who finds a place locked looks at the next.
    fn take(&self) -> Result<(Option<usize>, Instance), Fault> {
        let start = thread_number() % self.idle.len();
        let mut free = None;
        for step in 0..self.idle.len().min(4) {
            let at = (start + step) % self.idle.len();
            let Some(mut place) = self.idle[at].try_lock() else {
                continue;
            };
            free.get_or_insert(at);
            if let Some(instance) = place.take() {
                return Ok((Some(at), instance));
            }
        }
        Ok((free, self.fresh()?))
    }

    /// Keeps an instance for the next call, or lets it go.
    fn put_back(&self, place: Option<usize>, instance: Instance, good: bool, isolation: Isolation) {
        let worn = instance.calls >= self.runtime.limits.calls_per_instance_max;
        if !good || worn || isolation == Isolation::PerCall {
            let counters = &self.shared.counters;
            counters.instances_recycled.fetch_add(1, Relaxed);
        } else if let Some(place) = place {
            keep(&self.idle[place], instance);
        }
    }

    fn fresh(&self) -> Result<Instance, Fault> {
        let limits = &self.runtime.limits;
        let failed = |why: String| Fault::new(FaultKind::Instantiate, why);
        // What it says when it is configured was logged when it was loaded.
        let quiet = Purpose::Compare;
        let mut instance = Instance::new(
            &self.runtime,
            &self.compiled.pre,
            &self.shared,
            self.needs,
            quiet,
        )
        .map_err(|fault| failed(fault.to_string()))?;
        instance
            .configure(&self.settings, &self.facts, limits, quiet)
            .map_err(|fault| failed(format!("configure: {fault}")))?
            .map_err(|_| failed("refused the settings that another accepted".to_owned()))?;
        Ok(instance)
    }

    /// Whether the revision works on inputs that once succeeded; `None` if there are none.
    fn probe_kept(&self, kind: DecisionKind) -> Option<bool> {
        self.recordings[kind as usize].all(|input| self.probe(input))
    }

    /// Whether a fresh instance answers this.
    fn probe(&self, input: &Input<'_>) -> bool {
        let limits = &self.runtime.limits;
        self.shared.counters.probes.fetch_add(1, Relaxed);
        self.shared.counters.calls.fetch_add(1, Relaxed);
        self.fresh()
            .and_then(|mut instance| instance.answer(input, limits, Purpose::Compare))
            .is_ok()
    }
}

/// What a component says about itself, if that is true.
pub(crate) fn describe(
    runtime: &Runtime,
    compiled: &Compiled,
    shared: &Arc<GuestShared>,
) -> Result<Described, LoadError> {
    let purpose = Purpose::Decide;
    let instance = Instance::new(runtime, &compiled.pre, shared, Needs::default(), purpose);
    let mut instance = instance.map_err(|fault| match fault.kind {
        FaultKind::Malformed => LoadError::Type {
            version: compiled.shape.version.text(),
            why: fault.message,
        },
        _ => failed("instantiation")(fault),
    })?;
    let described = instance
        .describe(&runtime.limits)
        .map_err(failed("describe"))?;
    if described.decides != compiled.shape.decides {
        return Err(LoadError::Decides {
            says: described.decides,
            exports: compiled.shape.decides,
        });
    }
    Ok(described)
}

/// An instance that took its settings and facts.
pub(crate) fn configure(
    runtime: &Runtime,
    compiled: &Compiled,
    shared: &Arc<GuestShared>,
    needs: Needs,
    settings: &str,
    facts: &StaticFacts,
) -> Result<Instance, LoadError> {
    let purpose = Purpose::Decide;
    let mut instance = Instance::new(runtime, &compiled.pre, shared, needs, purpose)
        .map_err(failed("instantiation"))?;
    instance
        .configure(settings, facts, &runtime.limits, purpose)
        .map_err(failed("configure"))?
        .map_err(|errors| LoadError::Configure(description::mistakes(errors)))?;
    Ok(instance)
}

fn failed(function: &'static str) -> impl Fn(Fault) -> LoadError {
    move |fault| LoadError::Fault { function, fault }
}

pub(crate) fn check_settings(settings: &str, bytes_max: usize) -> Result<(), LoadError> {
    if settings.len() > bytes_max {
        let message = format!(
            "{} bytes, more than the limit of {bytes_max}",
            settings.len()
        );
        return Err(LoadError::Settings(message));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(settings) {
        Ok(_) => Ok(()),
        Err(error) => Err(LoadError::Settings(format!("not JSON: {error}"))),
    }
}

/// Never waits: an instance that finds no place goes.
fn keep(place: &Mutex<Option<Instance>>, instance: Instance) {
    if let Some(mut place) = place.try_lock()
        && place.is_none()
    {
        *place = Some(instance);
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A number of this thread's own, from 0.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let fresh = NEXT.fetch_add(1, Relaxed);
            number.set(Some(fresh));
            fresh
        })
    })
}
