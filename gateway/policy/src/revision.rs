//! One loaded build of a policy with its settings and facts, and the
//! instances of it.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use parking_lot::Mutex;

use crate::answer::{Answer, printable};
use crate::api::{PlacementInput, StaticFacts};
use crate::engine::{Compiled, Runtime};
use crate::error::{ConfigError, Fault, FaultKind, LoadError};
use crate::guest::GuestShared;
use crate::instance::Instance;
use crate::metrics::Counters;
use crate::quarantine::{Admission, Quarantine};
use crate::recording::Recordings;

/// Longest name or version of a policy.
const NAME_BYTES_MAX: usize = 64;
/// Longest text of a description or of a mistake in settings.
const TEXT_BYTES_MAX: usize = 512;
/// Longest settings schema that is kept.
const SCHEMA_BYTES_MAX: usize = 16 << 10;
/// Most mistakes in settings that are passed on.
const MISTAKES_MAX: usize = 64;

/// Names a component together with its settings: SHA-256 over the SHA-256 of
/// each. Equal ids decide equally on equal facts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionId([u8; 32]);

impl RevisionId {
    /// The id of this component with these settings.
    #[must_use]
    pub fn of(component: &[u8], settings: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&sha256(component));
        context.update(&sha256(settings.as_bytes()));
        Self(bytes_of(&context.finish()))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevisionId({self})")
    }
}

impl FromStr for RevisionId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id)?;
        Ok(Self(id))
    }
}

/// Who a policy says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// A JSON Schema for the settings; empty when there are none.
    pub settings_schema: String,
}

pub(crate) struct Revision {
    pub(crate) id: RevisionId,
    pub(crate) facts: Arc<StaticFacts>,
    pub(crate) description: Description,
    /// `name@digest`.
    pub(crate) label: Arc<str>,
    pub(crate) quarantine: Quarantine,
    settings: String,
    runtime: Arc<Runtime>,
    compiled: Arc<Compiled>,
    shared: Arc<GuestShared>,
    recordings: Recordings,
    /// Instances that wait for a call. A thread takes the one at its own
    /// place, so threads do not meet; all go when the revision goes.
    idle: Box<[Mutex<Option<Instance>>]>,
}

/// What came of asking a revision.
pub(crate) enum Outcome {
    Answer(Answer),
    /// It was configured with facts of another generation.
    Stale,
    /// It is in quarantine.
    Quarantined,
    Fault(Fault),
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
        let limits = &runtime.limits;
        let failed = |function| move |fault| LoadError::Fault { function, fault };
        let instance = Instance::new(&runtime, &compiled.pre, &shared);
        let mut instance = instance.map_err(|fault| match fault.kind {
            FaultKind::Malformed => LoadError::Type(fault.message),
            _ => failed("instantiation")(fault),
        })?;
        let description = instance.describe(limits).map_err(failed("describe"))?;
        // What `describe` did must not show in decisions.
        let mut instance =
            Instance::new(&runtime, &compiled.pre, &shared).map_err(failed("instantiation"))?;
        instance
            .configure(settings, &facts, limits)
            .map_err(failed("configure"))?
            .map_err(|errors| {
                LoadError::Configure(errors.into_iter().take(MISTAKES_MAX).map(tidy).collect())
            })?;
        let places = limits.instances_per_revision.max(1);
        let idle: Box<[_]> = std::iter::once(Some(instance))
            .chain(std::iter::repeat_with(|| None))
            .take(places)
            .map(Mutex::new)
            .collect();
        let description = Description {
            name: printable(&description.name, NAME_BYTES_MAX),
            version: printable(&description.version, NAME_BYTES_MAX),
            summary: printable(&description.summary, TEXT_BYTES_MAX),
            settings_schema: printable(&description.settings_schema, SCHEMA_BYTES_MAX),
        };
        Ok(Self {
            id,
            facts,
            label: format!("{}@{id}", description.name).into(),
            description,
            quarantine: Quarantine::default(),
            settings: settings.to_owned(),
            runtime,
            compiled,
            shared,
            recordings: Recordings::default(),
            idle,
        })
    }

    /// Makes the instances that requests would otherwise have to make.
    pub(crate) fn warm(&self) {
        for place in &self.idle {
            let mut place = place.lock();
            if place.is_none() {
                // A fault here shows, and counts, when a request meets it.
                *place = self.fresh().ok();
            }
        }
    }

    /// Asks for a decision.
    pub(crate) fn decide(&self, input: &PlacementInput<'_>) -> Outcome {
        if input.facts_generation != self.facts.generation
            || input.backends.len() != self.facts.backends.len()
        {
            return Outcome::Stale;
        }
        let now_ms = input.request.now_ms;
        match self.quarantine.admit(now_ms) {
            Admission::Open => {}
            Admission::Closed => return Outcome::Quarantined,
            Admission::Probe => {
                let good = self.probe(input);
                self.quarantine.probed(now_ms, good, &self.runtime.limits);
                if !good {
                    return Outcome::Quarantined;
                }
            }
        }
        match self.place(input) {
            Ok(answer) => {
                self.quarantine.succeeded();
                self.recordings.offer(input);
                Outcome::Answer(answer)
            }
            Err(fault) => {
                self.failed(input, &fault);
                Outcome::Fault(fault)
            }
        }
    }

    fn failed(&self, input: &PlacementInput<'_>, fault: &Fault) {
        let GuestShared {
            binding,
            revision,
            counters,
            ..
        } = &*self.shared;
        counters.fault(fault.kind);
        if fault.kind == FaultKind::Deadline {
            // Fuel stops a guest that works too long. This one was put aside
            // by the machine, which says nothing about it.
            return;
        }
        let key = hash(&(input.request.bucket, input.request.key));
        let principal = hash(&input.request.principal);
        let now_ms = input.request.now_ms;
        if self
            .quarantine
            .failed(now_ms, key, principal, &self.runtime.limits)
        {
            counters.quarantines.fetch_add(1, Relaxed);
            tracing::warn!(binding, %revision, %fault, "policy in quarantine");
        }
    }

    /// One call on an instance of this thread's, and now and then the same on
    /// a fresh one. Where they differ the fresh one is right: its answer is
    /// the one that a replay gives.
    fn place(&self, input: &PlacementInput<'_>) -> Result<Answer, Fault> {
        let limits = &self.runtime.limits;
        let counters = &self.shared.counters;
        let call = counters.calls.fetch_add(1, Relaxed);
        let (place, mut instance) = self.take()?;
        let outcome = instance.place(input, limits);
        if outcome.is_err() || instance.calls >= limits.calls_per_instance_max {
            counters.instances_recycled.fetch_add(1, Relaxed);
        } else if let Some(place) = place {
            *self.idle[place].lock() = Some(instance);
        }
        let every = u64::from(limits.determinism_check_every);
        if every == 0 || !call.is_multiple_of(every) {
            return outcome;
        }
        counters.determinism_checks.fetch_add(1, Relaxed);
        let again = self.fresh()?.place(input, limits);
        if again != outcome {
            counters.determinism_mismatches.fetch_add(1, Relaxed);
            let GuestShared {
                binding, revision, ..
            } = &*self.shared;
            tracing::warn!(binding, %revision, "a policy decided otherwise on a fresh instance");
        }
        again
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

    fn fresh(&self) -> Result<Instance, Fault> {
        let limits = &self.runtime.limits;
        let failed = |why: String| Fault::new(FaultKind::Instantiate, why);
        let mut instance = Instance::new(&self.runtime, &self.compiled.pre, &self.shared)
            .map_err(|fault| failed(fault.to_string()))?;
        instance
            .configure(&self.settings, &self.facts, limits)
            .map_err(|fault| failed(format!("configure: {fault}")))?
            .map_err(|_| failed("refused the settings that another accepted".to_owned()))?;
        Ok(instance)
    }

    /// Whether the revision works again: on inputs that once succeeded, or on
    /// this one if there are none.
    fn probe(&self, input: &PlacementInput<'_>) -> bool {
        let limits = &self.runtime.limits;
        self.recordings.all_or(input, |input| {
            self.shared.counters.probes.fetch_add(1, Relaxed);
            self.shared.counters.calls.fetch_add(1, Relaxed);
            self.fresh()
                .and_then(|mut instance| instance.place(input, limits))
                .is_ok()
        })
    }
}

fn check_settings(settings: &str, bytes_max: usize) -> Result<(), LoadError> {
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

fn tidy(error: ConfigError) -> ConfigError {
    ConfigError {
        path: printable(&error.path, TEXT_BYTES_MAX),
        message: printable(&error.message, TEXT_BYTES_MAX),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    bytes_of(&digest(&SHA256, bytes))
}

fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
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
