//! The policies of a gateway: where each component comes from, which revisions decide, are
//! tried and wait, and every step between.
//!
//! A step is taken in this order: the component is durable in the [`store`], the host has
//! compiled and configured it, the [`audit`] trail tells of the step, the [`state`] has it, the
//! host goes by it. A crash between any two leaves a state that the next start resolves: what
//! the state file says is what decides.

pub mod audit;
mod check;
mod differences;
mod examine;
mod fetch;
mod lifecycle;
pub mod oci;
mod restore;
mod show;
pub mod state;
pub mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use weir_policy::signature::PublicKey;
use weir_policy::{
    BindingSettings, HostOptions, Isolation, Limits, OnFault, PolicyHost, StaticFacts, Tap,
};
use weir_types::clock::Clock;

use crate::config::Config;
use crate::config::check::{BUILTIN_POLICIES, Component};
use crate::config::model::{PolicyConfig, PolicyHostConfig};
use crate::decider;
use crate::first_run::make_data_dir;
use crate::problems::Problems;
use crate::recording::Recorder;
use crate::watch::Fingerprint;
use audit::{Audit, Record, Step, Who};
use state::{State, StateError};
use store::Store;

pub use differences::{ShownDifferences, Trail as AuditTrail};
pub use examine::Checked;
pub use fetch::signature_file;
pub use lifecycle::{Change, Stage, Upload};
pub use show::{PolicyDetail, PolicyStatus};
pub use state::Source;

/// Folder of everything about policies, in the data folder.
pub const FOLDER: &str = "policies";

/// What an operator asks for: exactly one of the sources, or a revision that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// A component that comes with Weir.
    pub builtin: Option<String>,
    /// A file on the gateway's machine.
    pub file: Option<PathBuf>,
    /// A folder with an OCI image layout on the gateway's machine.
    pub oci: Option<PathBuf>,
    /// What the configuration says.
    pub configured: bool,
    /// A revision that was loaded: its place or the first digits of its id.
    pub revision: Option<String>,
    /// Settings, instead of those of the configuration.
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Why a policy was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No such policy is configured.
    #[error("there is no policy {0:?}; known: {1}")]
    Unknown(String, String),
    /// The request itself is wrong.
    #[error("{0}")]
    Asked(String),
    /// The component or the step was refused.
    #[error("{0}")]
    Refused(String),
    /// The step could not be made durable.
    #[error("the data folder: {0}")]
    Disk(#[from] std::io::Error),
}

/// All policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    facts: Arc<StaticFacts>,
    /// Held for each policy while a step of it is taken.
    entries: BTreeMap<String, Mutex<Entry>>,
    /// Held while a step becomes durable and takes effect.
    trail: Mutex<Trail>,
    store: Store,
    recorder: Arc<Recorder>,
    problems: Arc<Problems>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

/// What the configuration says about a policy.
struct Entry {
    settings: String,
    configured: Source,
    on_fault: OnFault,
    isolation: Isolation,
    /// How the followed files looked before they were read.
    seen: Option<Fingerprint>,
}

struct Trail {
    state: State,
    state_file: PathBuf,
    audit: Audit,
}

impl Policies {
    /// Makes the host and brings every policy back to where it was. One that cannot be loaded
    /// is a problem on the status page and leaves the decisions to the native default. Takes
    /// tens of milliseconds of CPU for each: async callers use `spawn_blocking`.
    pub fn open(
        config: &Config,
        problems: Arc<Problems>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PolicyError> {
        let folder = config.data_dir.join(FOLDER);
        make_data_dir(&folder)?;
        let facts = Arc::new(decider::facts(config));
        let recorder = Arc::new(Recorder::open(config, &folder, &facts, Arc::clone(&clock)));
        let tap: Arc<dyn Tap> = Arc::<Recorder>::clone(&recorder);
        let options = HostOptions {
            tap: recorder.is_wanted().then_some(tap),
            ..host_options(&config.policy_host, Some(&folder))?
        };
        let host = PolicyHost::with_options(options);
        let host = Arc::new(host.map_err(|error| PolicyError::Refused(error.to_string()))?);
        let mut entries = BTreeMap::new();
        for (name, policy) in all(config) {
            let entry = Entry::of(&name, &policy)?;
            host.bind(&name, entry.binding());
            entries.insert(name, Mutex::new(entry));
        }
        let own = &config.policy_host;
        let policies = Self {
            host,
            facts,
            entries,
            trail: Mutex::new(Trail::open(&folder, own, &problems, &*clock)?),
            store: Store::open(folder.join("components"), own.components_kept_max)?,
            recorder,
            problems,
            clock,
            limits: limits(own),
        };
        policies.restore();
        Ok(policies)
    }

    /// The host, which decides.
    pub fn host(&self) -> &Arc<PolicyHost> {
        &self.host
    }

    /// What records decisions.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// The last lines of the audit trail, oldest first.
    pub fn audit(&self, policy: Option<&str>, max: usize) -> std::io::Result<AuditTrail> {
        let records = self.trail.lock().audit.last(policy, max)?;
        Ok(differences::Trail(records))
    }

    fn entry(&self, name: &str) -> Result<&Mutex<Entry>, PolicyError> {
        self.entries.get(name).ok_or_else(|| {
            let known: Vec<_> = self.entries.keys().map(String::as_str).collect();
            PolicyError::Unknown(name.to_owned(), known.join(", "))
        })
    }

    fn component_bytes_max(&self) -> u64 {
        self.limits.component_bytes_max as u64
    }

    fn state(&self, name: &str) -> state::PolicyState {
        let trail = self.trail.lock();
        trail.state.policies.get(name).cloned().unwrap_or_default()
    }
}

impl Entry {
    fn of(name: &str, policy: &PolicyConfig) -> Result<Self, PolicyError> {
        Ok(Self {
            settings: settings_text(policy)?,
            configured: configured(name, policy),
            on_fault: on_fault(&policy.on_fault),
            isolation: isolation(&policy.isolation),
            seen: None,
        })
    }

    fn binding(&self) -> BindingSettings {
        BindingSettings {
            on_fault: self.on_fault,
            isolation: self.isolation,
        }
    }
}

impl Trail {
    fn open(
        folder: &Path,
        config: &PolicyHostConfig,
        problems: &Problems,
        clock: &dyn Clock,
    ) -> Result<Self, PolicyError> {
        let state_file = folder.join("state.json");
        let mut lost = (!state_file.exists()).then(|| "state.json is missing".to_owned());
        let mut state = match State::read(&state_file) {
            Ok(state) => state,
            // Kept for whoever wants to look; the configuration decides from here.
            Err(error @ StateError::Damaged(..)) => {
                std::fs::rename(&state_file, folder.join(DAMAGED))?;
                problems.set("policies", format!("{error}; the configuration decides"));
                lost = Some(error.to_string());
                State::default()
            }
            Err(error) => return Err(PolicyError::Refused(error.to_string())),
        };
        let mut audit = Audit::open(
            folder.join("audit.jsonl"),
            config.audit_file_bytes_max,
            config.audit_files_max,
        )?;
        if let Some(lost) = lost {
            // What the trail tells of was carried out, and is forgotten: nothing to resolve.
            if audit.seq() > 0 {
                audit.append(Record {
                    seq: 0,
                    at: clock.now().to_string(),
                    who: Who::Configuration,
                    policy: "*".to_owned(),
                    step: Step::Resolve,
                    from: None,
                    to: None,
                    share_permille: None,
                    result: format!("the state was lost: {lost}; the configuration decides"),
                })?;
            }
            state.audit_seq = audit.seq();
            // From the first start on there is one, so that a loss shows, and is told once.
            state.write(&state_file)?;
        }
        Ok(Self {
            state,
            state_file,
            audit,
        })
    }

    /// Whether a damaged state is kept, which may name components that this one does not.
    fn is_damaged_kept(&self) -> bool {
        self.state_file.with_file_name(DAMAGED).exists()
    }
}

/// What a state that cannot be read is kept as.
const DAMAGED: &str = "state.json.damaged";

/// Every policy: those with a table, those that come with Weir and are named somewhere, and
/// the two that were always there.
fn all(config: &Config) -> BTreeMap<String, PolicyConfig> {
    let mut all = config.policies.clone();
    let named = check::bound(config).into_iter().map(|bound| bound.policy);
    for name in named.chain(ALWAYS_THERE) {
        if BUILTIN_POLICIES.contains(&name) {
            all.entry(name.to_owned()).or_default();
        }
    }
    all
}

/// Policies that an operator can turn to without any configuration.
const ALWAYS_THERE: [&str; 2] = ["pack", "spread"];

/// What the host is started with; without a folder it keeps nothing.
pub fn host_options(
    config: &PolicyHostConfig,
    folder: Option<&Path>,
) -> Result<HostOptions, PolicyError> {
    let keys = config.trusted_keys.iter().map(|key| key.parse());
    let keys: Result<Vec<PublicKey>, _> = keys.collect();
    let own = config.compile_cache_dir.clone();
    let cache_dir = own.or_else(|| Some(folder?.join("compiled")));
    Ok(HostOptions {
        limits: limits(config),
        cache_dir: cache_dir.filter(|_| config.compile_cache && folder.is_some()),
        trusted_keys: keys.map_err(|error| PolicyError::Refused(error.to_string()))?,
        ..HostOptions::default()
    })
}

/// The host's limits as configured.
fn limits(config: &PolicyHostConfig) -> Limits {
    Limits {
        component_bytes_max: config.component_bytes_max,
        call_fuel_max: config.call_fuel_max,
        call_fuel_per_backend_max: config.call_fuel_per_backend_max,
        call_time_max: Duration::from_millis(config.call_time_ms_max),
        memory_bytes_max: config.memory_bytes_max,
        calls_per_instance_max: config.calls_per_instance_max,
        determinism_check_every: config.determinism_check_every,
        ..Limits::default()
    }
}

fn configured(name: &str, policy: &PolicyConfig) -> Source {
    match policy.component(name) {
        Component::Builtin(builtin) => Source::Builtin(builtin),
        Component::File(file) => Source::File(file),
        Component::Oci(layout) => Source::Oci(layout),
    }
}

fn settings_text(policy: &PolicyConfig) -> Result<String, PolicyError> {
    serde_json::to_string(&policy.settings).map_err(|e| PolicyError::Refused(e.to_string()))
}

fn on_fault(word: &str) -> OnFault {
    match word {
        "refuse" => OnFault::Refuse,
        "native" => OnFault::Native,
        _ => OnFault::PreviousThenNative,
    }
}

fn isolation(word: &str) -> Isolation {
    match word {
        "per-call" => Isolation::PerCall,
        _ => Isolation::Reused,
    }
}
