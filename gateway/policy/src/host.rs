//! The registry: which binding decides what.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::{
    DecisionKind, NativeCause, Origin, OverflowDecision, OverflowInput, PlacementDecision,
    PlacementInput, ReplicationDecision, ReplicationInput, RoutingDecision, RoutingInput,
    StaticFacts,
};
use crate::binding::{self, Binding, BindingSettings, BindingStatus, Share};
use crate::builtin;
use crate::decision::{Decision, Overflow, Placement, Replication, Routing};
use crate::engine::Runtime;
use crate::error::{ActivateError, LoadError, Refused, StartError};
use crate::limits::Limits;
use crate::metrics::{Counters, MetricsSnapshot};
use crate::revision::{Description, Revision, RevisionId};
use crate::shadow::{Differences, Shadows};
use crate::signature::{self, PublicKey, SIGNATURE_FILE_BYTES_MAX};
use crate::tap::Tap;

/// How a host is made.
#[derive(Clone, Default)]
pub struct HostOptions {
    /// The limits.
    pub limits: Limits,
    /// Where compiled components are kept, so that the next start need not compile them. Must
    /// be a private folder: what lies there is run.
    pub cache_dir: Option<PathBuf>,
    /// With keys here, a component is taken only with a signature by one of them.
    pub trusted_keys: Vec<PublicKey>,
    /// Who looks on.
    pub tap: Option<Arc<dyn Tap>>,
}

/// The policies of a gateway. Shared by all its threads.
pub struct PolicyHost {
    runtime: Arc<Runtime>,
    trusted_keys: Vec<PublicKey>,
    tap: Option<Arc<dyn Tap>>,
    shadows: Shadows,
    bindings: ArcSwap<HashMap<String, Arc<Binding>>>,
    /// Held while `bindings` changes.
    binding_changes: Mutex<()>,
    unbound: AtomicU64,
}

impl PolicyHost {
    /// Starts the engine. Fails if the machine cannot run it under these
    /// limits.
    pub fn new(limits: Limits) -> Result<Self, StartError> {
        Self::with_options(HostOptions {
            limits,
            ..HostOptions::default()
        })
    }

    /// Starts the engine. Fails if the machine cannot run it under these limits, or the folder
    /// of the compile cache is not private.
    pub fn with_options(options: HostOptions) -> Result<Self, StartError> {
        let HostOptions {
            limits,
            cache_dir,
            trusted_keys,
            tap,
        } = options;
        let shadows = Shadows::start(limits.shadow_queue_max)
            .map_err(|error| StartError::Engine(error.to_string()))?;
        Ok(Self {
            runtime: Arc::new(Runtime::new(limits, cache_dir.as_deref())?),
            trusted_keys,
            tap,
            shadows,
            bindings: ArcSwap::default(),
            binding_changes: Mutex::new(()),
            unbound: AtomicU64::new(0),
        })
    }

    /// Makes a binding, or sets how an existing one asks. Without
    /// an active revision the native default decides for it.
    pub fn bind(&self, name: &str, settings: BindingSettings) {
        self.binding_or_new(name).set(settings);
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

    /// Verifies, compiles, checks and configures a component for the binding `name`,
    /// which is made if there is none. The revision then waits for
    /// [`PolicyHost::activate`]; the oldest that waits longer than
    /// [`Limits::revisions_waiting_max`] others goes. On an error everything
    /// stays as it was.
    ///
    /// `signature` is the content of the component's signature file; it is looked at only where
    /// keys are configured, and for a component that is built in not even then.
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
        signature: Option<&[u8]>,
        settings: &str,
        facts: &Arc<StaticFacts>,
    ) -> Result<RevisionId, LoadError> {
        if !builtin::contains(component) {
            signature::require(component, signature, &self.trusted_keys)?;
        }
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
    /// size limit and a byte. Its signature is in the file of the same name with `.sig` at its
    /// end, which is read only where keys are configured.
    pub fn load_file(
        &self,
        name: &str,
        path: &Path,
        settings: &str,
        facts: &Arc<StaticFacts>,
    ) -> Result<RevisionId, LoadError> {
        let component = read_file(path, self.runtime.limits.component_bytes_max)?;
        let signature = if self.trusted_keys.is_empty() {
            None
        } else {
            let mut name = OsString::from(path);
            name.push(".sig");
            match read_file(Path::new(&name), SIGNATURE_FILE_BYTES_MAX) {
                Ok(signature) => Some(signature),
                Err(LoadError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                    None
                }
                Err(error) => return Err(error),
            }
        };
        self.load(name, &component, signature.as_deref(), settings, facts)
    }

    /// Lets a loaded revision decide from now on. Decisions in flight end on
    /// the one they began with; the one that was active becomes the previous. If it was the
    /// canary or the shadow, it is so no longer.
    ///
    /// Makes the instances that requests will need first: async callers use
    /// `spawn_blocking`.
    pub fn activate(&self, name: &str, id: RevisionId) -> Result<(), ActivateError> {
        self.binding(name)?.activate(id)
    }

    /// Lets the previous revision decide again.
    pub fn rollback(&self, name: &str) -> Result<RevisionId, ActivateError> {
        self.binding(name)?.rollback()
    }

    /// Lets a loaded revision decide for a share of the keys, from 0 to 1000 of a thousand, or
    /// ends that. The same keys in every process; a share that grows keeps its keys. Where the
    /// canary fails, the active revision decides.
    pub fn canary(
        &self,
        name: &str,
        canary: Option<(RevisionId, u16)>,
    ) -> Result<(), ActivateError> {
        self.binding(name)?.canary(canary.map(share))
    }

    /// Lets a loaded revision decide beside the active one, on a share of the live questions,
    /// from 0 to 1000 of a thousand, or ends that. What it decides is compared and has no
    /// effect. The differences are kept until another revision becomes the shadow.
    pub fn shadow(
        &self,
        name: &str,
        shadow: Option<(RevisionId, u16)>,
    ) -> Result<(), ActivateError> {
        let kept_max = self.runtime.limits.differences_kept_max;
        self.binding(name)?.shadow(shadow.map(share), kept_max)
    }

    /// What the shadow of a binding, or its last one, would have decided otherwise.
    #[must_use]
    pub fn differences(&self, name: &str) -> Differences {
        let bindings = self.bindings.load();
        let log = bindings.get(name).map(|binding| binding.differences());
        log.map_or_else(Differences::default, |log| log.read())
    }

    /// Lets go of a revision that waits, or of the previous one.
    pub fn forget(&self, name: &str, id: RevisionId) -> Result<(), ActivateError> {
        self.binding(name)?.forget(id)
    }

    /// The revision that decides for a binding.
    #[must_use]
    pub fn active(&self, name: &str) -> Option<RevisionId> {
        self.bindings.load().get(name)?.active()
    }

    /// Whether the active revision of a binding answers this question. Cheap.
    #[must_use]
    pub fn decides(&self, name: &str, kind: DecisionKind) -> bool {
        let bindings = self.bindings.load();
        bindings
            .get(name)
            .is_some_and(|binding| binding.decides(kind))
    }

    /// Whether a revision of a binding wants to see user metadata: otherwise callers need not
    /// gather it. Cheap.
    #[must_use]
    pub fn needs_user_metadata(&self, name: &str) -> bool {
        let bindings = self.bindings.load();
        bindings
            .get(name)
            .is_some_and(|binding| binding.needs_user_metadata())
    }

    /// Who a loaded revision says it is.
    #[must_use]
    pub fn description(&self, name: &str, id: RevisionId) -> Option<Description> {
        let revision = self.bindings.load().get(name)?.find(id)?;
        Some(revision.description.clone())
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
        let (compile_cache_hits, compile_cache_misses) = self.runtime.cache_use();
        let mut snapshot = MetricsSnapshot {
            unbound: self.unbound.load(Relaxed),
            compile_cache_hits,
            compile_cache_misses,
            ..MetricsSnapshot::default()
        };
        for (name, binding) in self.bindings.load().iter() {
            let (metrics, loaded) = binding.metrics();
            snapshot.revisions_loaded += loaded;
            snapshot.bindings.insert(name.clone(), metrics);
        }
        snapshot
    }

    /// Decides where a new version goes. Synchronous, never waits for another
    /// decision, and answers within the limits of one call for each revision
    /// it has to ask (the canary, the active and the previous one) plus the native default,
    /// [`crate::native::spread`]. An error only if the binding is set to refuse.
    pub fn place(
        &self,
        name: &str,
        input: &PlacementInput<'_>,
    ) -> Result<PlacementDecision, Refused> {
        let (answer, origin) = self.decide::<Placement>(name, input)?;
        Ok(answer.by(origin))
    }

    /// Decides what happens when the backends that placement prefers are full, as
    /// [`PolicyHost::place`] does. The native default refuses the write.
    pub fn overflow(
        &self,
        name: &str,
        input: &OverflowInput<'_>,
    ) -> Result<OverflowDecision, Refused> {
        let (answer, origin) = self.decide::<Overflow>(name, input)?;
        Ok(answer.by(origin))
    }

    /// Decides which copies an object should have now, as [`PolicyHost::place`] does. The
    /// native default adds what is missing, from the candidates, and drops nothing.
    pub fn replicate(
        &self,
        name: &str,
        input: &ReplicationInput<'_>,
    ) -> Result<ReplicationDecision, Refused> {
        let (answer, origin) = self.decide::<Replication>(name, input)?;
        Ok(answer.by(origin))
    }

    /// Decides in which order copies are read, as [`PolicyHost::place`] does. The native default
    /// takes them as given, and decides even where the binding is set to refuse: a read that a
    /// healthy copy can serve is served.
    pub fn route(&self, name: &str, input: &RoutingInput<'_>) -> Result<RoutingDecision, Refused> {
        let (answer, origin) = self.decide::<Routing>(name, input)?;
        Ok(answer.by(origin))
    }

    fn decide<D: Decision>(
        &self,
        name: &str,
        input: &D::Input<'_>,
    ) -> Result<(D::Answer, Origin), Refused> {
        let bindings = self.bindings.load();
        let Some(binding) = bindings.get(name) else {
            self.unbound.fetch_add(1, Relaxed);
            return Ok(binding::native::<D>(input, NativeCause::Unbound, None));
        };
        let started = Instant::now();
        let decided = binding.decide::<D>(input, &self.shadows);
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let counters = binding.counters.of(D::KIND);
        counters.decisions.fetch_add(1, Relaxed);
        counters.nanos.fetch_add(nanos, Relaxed);
        if let (Some(tap), Ok((answer, origin))) = (&self.tap, &decided)
            && tap.wants(name)
        {
            let answer = D::wrap_answer(answer.clone());
            tap.decided(name, &D::wrap_input(input), &answer, origin);
        }
        decided
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
        let binding = bindings
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Binding::new(name, counters)));
        let binding = Arc::clone(binding);
        self.bindings.store(Arc::new(bindings));
        binding
    }
}

fn share((revision, permille): (RevisionId, u16)) -> Share {
    Share { revision, permille }
}

/// A file's bytes, of which no more than the limit and one are read.
fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |error| LoadError::Read {
        path: path.display().to_string(),
        error,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
