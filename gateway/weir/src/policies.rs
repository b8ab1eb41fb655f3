//! The policies of a gateway: where each component comes from, and swapping them.
//!
//! A policy's component comes from the configuration (built in, or a file that is watched)
//! until an operator uploads or chooses another; that choice stands in the data folder and
//! survives a restart, until the operator goes back to what is configured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use weir_policy::{Limits, OnFault, PolicyHost, RevisionId, StaticFacts, builtin};

use crate::config::Config;
use crate::config::check::{BUILTIN_POLICIES, Component};
use crate::config::model::PolicyConfig;
use crate::first_run::write_private;
use crate::placer;
use crate::problems::Problems;
use crate::watch::Fingerprint;

/// Where a policy's component comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A component that comes with Weir.
    Builtin(String),
    /// A file, watched for changes.
    File(PathBuf),
    /// Uploaded by an operator; kept in the data folder.
    Uploaded,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice {
    /// A component that comes with Weir.
    Builtin(String),
    /// A file on the gateway's machine.
    File(PathBuf),
    /// What the configuration says.
    Configured(bool),
}

/// Why a policy was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No such policy is configured.
    #[error("there is no policy {0:?}; known: {1}")]
    Unknown(String, String),
    /// The component was refused.
    #[error("{0}")]
    Refused(String),
    /// The choice could not be stored.
    #[error("the data folder: {0}")]
    Disk(#[from] std::io::Error),
}

/// All policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    facts: Arc<StaticFacts>,
    folder: PathBuf,
    entries: BTreeMap<String, Mutex<Entry>>,
    problems: Arc<Problems>,
}

#[derive(Debug)]
struct Entry {
    settings: String,
    configured: Source,
    source: Source,
    seen: Option<Fingerprint>,
}

/// A policy as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// Where its component comes from.
    pub source: Source,
    /// Whether that is what the configuration says.
    pub as_configured: bool,
    /// Name and version the component gives itself.
    pub component: Option<String>,
    /// The revision that decides; `None`: the native default does.
    pub active: Option<String>,
    /// The revision before it.
    pub previous: Option<String>,
    /// Whether it failed so often that it is not asked.
    pub quarantined: bool,
    /// Who decides when it fails.
    pub on_fault: &'static str,
}

impl Policies {
    /// Makes the host and loads every policy. One that cannot be loaded is a problem on the
    /// status page and leaves the decisions to the native default. Takes tens of milliseconds
    /// of CPU for each: async callers use `spawn_blocking`.
    pub fn open(config: &Config, problems: Arc<Problems>) -> Result<Self, PolicyError> {
        let host = PolicyHost::new(Limits::default());
        let host = Arc::new(host.map_err(|error| PolicyError::Refused(error.to_string()))?);
        let mut configs: BTreeMap<String, PolicyConfig> = config.policies.clone();
        for name in BUILTIN_POLICIES {
            configs.entry((*name).to_owned()).or_default();
        }
        let folder = config.data_dir.join("policies");
        let mut entries = BTreeMap::new();
        for (name, policy) in configs {
            host.bind(&name, on_fault(&policy.on_fault));
            let configured = match policy.component(&name) {
                Component::Builtin(builtin) => Source::Builtin(builtin),
                Component::File(file) => Source::File(file),
            };
            let settings = serde_json::to_string(&policy.settings)
                .map_err(|error| PolicyError::Refused(error.to_string()))?;
            let source = match read_choice(&folder, &name) {
                Ok(choice) => choice.unwrap_or_else(|| configured.clone()),
                Err(why) => {
                    problems.set(&format!("choice of policy {name}"), why);
                    configured.clone()
                }
            };
            entries.insert(
                name,
                Mutex::new(Entry {
                    settings,
                    configured,
                    source,
                    seen: None,
                }),
            );
        }
        let facts = Arc::new(placer::facts(config));
        let policies = Self {
            host,
            facts,
            folder,
            entries,
            problems,
        };
        for (name, entry) in &policies.entries {
            let mut entry = entry.lock();
            let source = entry.source.clone();
            policies.try_source(name, &mut entry, source);
        }
        Ok(policies)
    }

    /// The host, which decides.
    pub fn host(&self) -> &Arc<PolicyHost> {
        &self.host
    }

    /// Checks that a policy's component loads with its settings, without a gateway.
    pub fn check(config: &Config) -> Result<Vec<(String, String)>, PolicyError> {
        let scratch = Config {
            data_dir: PathBuf::new(),
            ..config.clone()
        };
        let problems = Arc::new(Problems::default());
        drop(Self::open(&scratch, Arc::clone(&problems))?);
        let named = problems.all().into_iter();
        Ok(named
            .filter_map(|(what, why)| Some((what.strip_prefix("policy ")?.to_owned(), why)))
            .collect())
    }

    /// All policies as they stand.
    pub fn status(&self) -> Vec<PolicyStatus> {
        let bindings = self.host.status();
        let status = |(name, entry): (&String, &Mutex<Entry>)| {
            let entry = entry.lock();
            let binding = bindings.get(name);
            let id = |id: RevisionId| short(&id);
            PolicyStatus {
                name: name.clone(),
                source: entry.source.clone(),
                as_configured: entry.source == entry.configured,
                component: binding
                    .and_then(|b| b.description.as_ref())
                    .map(|d| format!("{} {}", d.name, d.version)),
                active: binding.and_then(|b| b.active).map(id),
                previous: binding.and_then(|b| b.previous).map(id),
                quarantined: binding.is_some_and(|b| b.quarantined),
                on_fault: match binding.map(|b| b.on_fault) {
                    Some(OnFault::Refuse) => "refuse",
                    _ => "fallback",
                },
            }
        };
        self.entries.iter().map(status).collect()
    }

    /// Loads an uploaded component and lets it decide; the upload is kept. On an error what
    /// decided before decides on. Blocks for as long as compiling takes.
    pub fn upload(&self, name: &str, component: &Bytes) -> Result<String, PolicyError> {
        let mut entry = self.entry(name)?.lock();
        let id = self.load_bytes(name, &entry.settings, component)?;
        // Kept before it decides: a disk that is full leaves everything as it was.
        std::fs::create_dir_all(&self.folder)?;
        write_private(&self.component_file(name), component)?;
        self.keep(name, &mut entry, Source::Uploaded)?;
        self.host.activate(name, id).map_err(refused)?;
        Ok(short(&id))
    }

    /// Lets another component decide. On an error what decided before decides on. Blocks.
    pub fn choose(&self, name: &str, choice: Choice) -> Result<String, PolicyError> {
        let mut entry = self.entry(name)?.lock();
        let source = match choice {
            Choice::Builtin(builtin) => Source::Builtin(builtin),
            Choice::File(file) => Source::File(file),
            Choice::Configured(_) => entry.configured.clone(),
        };
        // Noted first: a file that changes while it is read is looked at again.
        let seen = fingerprint(&source);
        let id = self.load(name, &entry.settings, &source)?;
        self.keep(name, &mut entry, source)?;
        entry.seen = seen;
        self.host.activate(name, id).map_err(refused)?;
        Ok(short(&id))
    }

    /// Loads the files that have changed since they were looked at last. Blocks.
    pub fn reload_changed(&self) {
        for (name, entry) in &self.entries {
            let mut entry = entry.lock();
            if matches!(entry.source, Source::File(_)) && fingerprint(&entry.source) != entry.seen {
                let source = entry.source.clone();
                self.try_source(name, &mut entry, source);
            }
        }
    }

    fn try_source(&self, name: &str, entry: &mut Entry, source: Source) {
        let what = format!("policy {name}");
        // Noted first: a file that changes while it is read is looked at again.
        entry.seen = fingerprint(&source);
        let loaded = self.load(name, &entry.settings, &source);
        let active = loaded.and_then(|id| {
            self.host.activate(name, id).map_err(refused)?;
            Ok(id)
        });
        match active {
            Ok(id) => {
                tracing::info!(policy = name, revision = short(&id), "policy active");
                self.problems.clear(&what);
            }
            Err(error) => self.problems.set(&what, error.to_string()),
        }
    }

    /// Compiles, checks and configures; what decides stays.
    fn load(&self, name: &str, settings: &str, source: &Source) -> Result<RevisionId, PolicyError> {
        let file = match source {
            Source::Builtin(builtin) => {
                let component = builtin::component(builtin).ok_or_else(|| {
                    let known = BUILTIN_POLICIES.join(", ");
                    PolicyError::Refused(format!(
                        "no component {builtin:?} comes with Weir; known: {known}"
                    ))
                })?;
                return self.load_bytes(name, settings, component);
            }
            Source::File(file) => file.clone(),
            Source::Uploaded => self.component_file(name),
        };
        self.host
            .load_file(name, &file, settings, &self.facts)
            .map_err(refused)
    }

    fn load_bytes(
        &self,
        name: &str,
        settings: &str,
        component: &[u8],
    ) -> Result<RevisionId, PolicyError> {
        self.host
            .load(name, component, settings, &self.facts)
            .map_err(refused)
    }

    /// Remembers an operator's choice; going back to the configuration forgets it.
    fn keep(&self, name: &str, entry: &mut Entry, source: Source) -> Result<(), PolicyError> {
        let path = choice_file(&self.folder, name);
        if source == entry.configured {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        } else {
            std::fs::create_dir_all(&self.folder)?;
            let text =
                serde_json::to_vec(&source).map_err(|e| PolicyError::Refused(e.to_string()))?;
            write_private(&path, &text)?;
        }
        entry.source = source;
        self.problems.clear(&format!("policy {name}"));
        self.problems.clear(&format!("choice of policy {name}"));
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<&Mutex<Entry>, PolicyError> {
        self.entries.get(name).ok_or_else(|| {
            let known: Vec<_> = self.entries.keys().map(String::as_str).collect();
            PolicyError::Unknown(name.to_owned(), known.join(", "))
        })
    }

    fn component_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.wasm"))
    }
}

fn refused(error: impl std::fmt::Display) -> PolicyError {
    PolicyError::Refused(error.to_string())
}

fn on_fault(word: &str) -> OnFault {
    if word == "refuse" {
        OnFault::Refuse
    } else {
        OnFault::PreviousThenNative
    }
}

/// Enough of an id to tell revisions apart.
fn short(id: &RevisionId) -> String {
    id.to_string().chars().take(12).collect()
}

fn choice_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

/// What an operator chose before; `None` for what is configured.
fn read_choice(folder: &Path, name: &str) -> Result<Option<Source>, String> {
    let path = choice_file(folder, name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let choice = serde_json::from_slice(&text);
    choice
        .map(Some)
        .map_err(|error| format!("{} is damaged; choose again: {error}", path.display()))
}

fn fingerprint(source: &Source) -> Option<Fingerprint> {
    match source {
        Source::File(file) => Some(Fingerprint::of([file.as_path()])),
        Source::Builtin(_) | Source::Uploaded => None,
    }
}
