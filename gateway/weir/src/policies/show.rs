//! How the policies stand, as data and as text.

use std::fmt;

use parking_lot::Mutex;
use serde::Serialize;
use weir_policy::{Isolation, OnFault};

use super::state::{Held, PolicyState, Source, Staged, short};
use super::{Entry, Policies, PolicyError};

/// A policy as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyStatus {
    /// Its name.
    pub name: String,
    /// Where the component that decides comes from.
    pub source: Source,
    /// Whether it goes by the configuration.
    pub as_configured: bool,
    /// Name and version the component gives itself.
    pub component: Option<String>,
    /// What it decides.
    pub decides: Vec<&'static str>,
    /// The revision that decides; `None`: the native default does.
    pub active: Option<String>,
    /// The revision before it.
    pub previous: Option<String>,
    /// The revision that decides for a share of the keys.
    pub canary: Option<StageStatus>,
    /// The revision that is tried beside it.
    pub shadow: Option<StageStatus>,
    /// Other revisions that were loaded, the latest first.
    pub waiting: Vec<String>,
    /// Decisions for which it failed so often that it is not asked.
    pub quarantined: Vec<&'static str>,
    /// Who decides when it fails.
    pub on_fault: &'static str,
    /// Whether instances decide more than once.
    pub isolation: &'static str,
    /// How many of a thousand decisions are recorded.
    pub recording_permille: u16,
}

/// A revision that decides for a share.
#[derive(Debug, Clone, Serialize)]
pub struct StageStatus {
    /// Which.
    pub revision: String,
    /// Name and version its component gives itself.
    pub component: String,
    /// Of how many of a thousand.
    pub share_permille: u16,
    /// `shadow` only: decisions that were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<u64>,
    /// `shadow` only: those in which it differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differing: Option<u64>,
}

/// Everything about a policy.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyDetail {
    /// How it stands.
    #[serde(flatten)]
    pub status: PolicyStatus,
    /// Its revisions, the one that decides first.
    pub revisions: Vec<RevisionDetail>,
}

/// A revision of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionDetail {
    /// Where it stands: `active`, `canary`, `shadow`, `previous`, `waiting`.
    pub place: &'static str,
    /// Its whole id.
    pub revision: String,
    /// SHA-256 of its component.
    pub component: String,
    /// Name and version the component gives itself.
    pub describes: String,
    /// Where the component came from.
    pub source: Source,
    /// Its settings, a JSON document.
    pub settings: String,
}

impl Policies {
    /// All policies as they stand.
    pub fn status(&self) -> Vec<PolicyStatus> {
        let one = |(name, entry): (&String, &Mutex<Entry>)| self.status_of(name, entry);
        self.entries.iter().map(one).collect()
    }

    /// Everything about one.
    pub fn detail(&self, name: &str) -> Result<PolicyDetail, PolicyError> {
        let entry = self.entry(name)?;
        let status = self.status_of(name, entry);
        let state = self.state(name);
        let entry = entry.lock();
        let revision = |(place, held): (&'static str, &Held)| RevisionDetail {
            place,
            revision: held.revision.clone(),
            component: held.component.to_string(),
            describes: held.describes.clone(),
            source: held.source.clone(),
            settings: held.settings.as_ref().unwrap_or(&entry.settings).clone(),
        };
        Ok(PolicyDetail {
            status,
            revisions: state.all().map(revision).collect(),
        })
    }

    /// Waits for no step that is being taken: compiling may take seconds.
    fn status_of(&self, name: &str, entry: &Mutex<Entry>) -> PolicyStatus {
        let state = self.state(name);
        let host = self.host.status().remove(name);
        let shadow = self.host.metrics().bindings.remove(name).map(|m| m.shadow);
        let shown = |text: &String| short(text).to_owned();
        let stage = |staged: &Staged| StageStatus {
            revision: shown(&staged.held.revision),
            component: staged.held.describes.clone(),
            share_permille: staged.share_permille,
            compared: None,
            differing: None,
        };
        let source = |entry: &Entry| entry.configured.clone();
        let active = state.active.as_ref();
        // What the host has is what decides: the state names what should.
        let active_id = host.as_ref().and_then(|host| host.active);
        let decides = host.as_ref().and_then(|host| host.description.as_ref());
        let (settings, quarantined) = match &host {
            Some(host) => (host.settings, host.quarantined),
            None => Default::default(),
        };
        PolicyStatus {
            name: name.to_owned(),
            source: active.map_or_else(|| source(&entry.lock()), |held| held.source.clone()),
            as_configured: state.follows == super::state::Follows::Configured,
            component: decides.map(|d| format!("{} {}", d.name, d.version)),
            decides: decides
                .map(|d| {
                    d.decides
                        .iter()
                        .map(weir_policy::DecisionKind::name)
                        .collect()
                })
                .unwrap_or_default(),
            active: active_id.map(|id| shown(&id.to_string())),
            previous: state.previous.as_ref().map(|held| shown(&held.revision)),
            canary: state.canary.as_ref().map(stage),
            shadow: state.shadow.as_ref().map(|staged| StageStatus {
                compared: shadow.map(|shadow| shadow.compared),
                differing: shadow.map(|shadow| shadow.differing),
                ..stage(staged)
            }),
            waiting: waiting(&state),
            quarantined: quarantined
                .iter()
                .map(weir_policy::DecisionKind::name)
                .collect(),
            on_fault: match settings.on_fault {
                OnFault::PreviousThenNative => "previous",
                OnFault::Native => "native",
                OnFault::Refuse => "refuse",
            },
            isolation: match settings.isolation {
                Isolation::Reused => "reused",
                Isolation::PerCall => "per-call",
            },
            recording_permille: self.recorder.share_permille(name),
        }
    }
}

fn waiting(state: &PolicyState) -> Vec<String> {
    let waiting = state.waiting.iter().rev();
    waiting
        .map(|held| short(&held.revision).to_owned())
        .collect()
}

impl fmt::Display for PolicyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self
            .active
            .as_deref()
            .unwrap_or("none, the native default decides");
        let component = self.component.as_deref().unwrap_or("-");
        let (name, source) = (&self.name, &self.source);
        write!(f, "{name}: {component}, revision {active} ({source})")?;
        if !self.as_configured {
            write!(f, ", chosen by an operator")?;
        }
        if let Some(canary) = &self.canary {
            let StageStatus {
                revision,
                component,
                share_permille,
                ..
            } = canary;
            write!(
                f,
                "; canary {revision} ({component}) for {share_permille} of 1000 keys"
            )?;
        }
        if let Some(shadow) = &self.shadow {
            let StageStatus {
                revision,
                component,
                share_permille,
                ..
            } = shadow;
            let (compared, differing) =
                (shadow.compared.unwrap_or(0), shadow.differing.unwrap_or(0));
            write!(
                f,
                "; shadow {revision} ({component}) on {share_permille} of 1000 decisions, {differing} of {compared} differ"
            )?;
        }
        if !self.waiting.is_empty() {
            write!(f, "; waiting: {}", self.waiting.join(", "))?;
        }
        if self.recording_permille > 0 {
            write!(
                f,
                "; {} of 1000 decisions recorded",
                self.recording_permille
            )?;
        }
        if !self.quarantined.is_empty() {
            write!(f, ", IN QUARANTINE for {}", self.quarantined.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for PolicyDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        if !self.status.decides.is_empty() {
            writeln!(f, "  decides {}", self.status.decides.join(", "))?;
        }
        let PolicyStatus {
            on_fault,
            isolation,
            ..
        } = &self.status;
        writeln!(f, "  on a fault: {on_fault}; instances: {isolation}")?;
        for revision in &self.revisions {
            writeln!(
                f,
                "  {}: {} {}",
                revision.place, revision.revision, revision.describes
            )?;
            writeln!(
                f,
                "    component sha256:{} ({})",
                revision.component, revision.source
            )?;
            writeln!(f, "    settings {}", revision.settings)?;
        }
        Ok(())
    }
}
