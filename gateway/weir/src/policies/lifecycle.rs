//! The steps: load, check, shadow, canary, activate, rollback.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use weir_policy::RevisionId;

use super::audit::{Named, OK, Record, Step, Who};
use super::fetch::{Fetched, fetch, fingerprint};
use super::state::{Follows, Held, PolicyState, Source, Staged, short};
use super::{Choice, Entry, Policies, PolicyError};

/// Longest answer to a refusal that the trail keeps.
const RESULT_CHARS_MAX: usize = 1000;

/// A component that an operator sends.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The component.
    pub component: Bytes,
    /// Its signature, as a `.sig` file holds it.
    pub signature: Option<Vec<u8>>,
    /// Settings, instead of those of the configuration.
    pub settings: Option<String>,
    /// Whether it decides at once.
    pub activate: bool,
}

/// What a step is answered with.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The policy.
    pub policy: String,
    /// The step.
    pub step: Step,
    /// The revision, enough of its id to tell it from others; `None`: none any more.
    pub revision: Option<String>,
    /// Name and version of its component.
    pub component: Option<String>,
    /// Of how many of a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_permille: Option<u16>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, step) = (&self.policy, self.step);
        let Some(revision) = &self.revision else {
            return writeln!(f, "{policy}: {} ended", step.name());
        };
        let component = self.component.as_deref().unwrap_or("-");
        write!(f, "{policy}: revision {revision} ({component}) ")?;
        let share = self.share_permille.unwrap_or(0);
        match step {
            Step::Activate => writeln!(f, "decides"),
            Step::Rollback => writeln!(f, "decides again"),
            Step::Shadow => writeln!(f, "is tried on {share} of 1000 decisions"),
            Step::Canary => writeln!(f, "decides for {share} of 1000 keys"),
            _ => writeln!(f, "waits"),
        }
    }
}

/// A step, on its way into the trail.
struct Line<'a> {
    who: Who,
    policy: &'a str,
    step: Step,
    from: Option<Named>,
    to: Option<Named>,
    share_permille: Option<u16>,
}

/// Where a revision is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Beside the active one, without effect.
    Shadow,
    /// For a share of the keys.
    Canary,
}

impl Stage {
    /// In one word.
    pub const fn name(self) -> &'static str {
        self.step().name()
    }

    const fn step(self) -> Step {
        match self {
            Self::Shadow => Step::Shadow,
            Self::Canary => Step::Canary,
        }
    }

    fn of(self, state: &mut PolicyState) -> &mut Option<Staged> {
        match self {
            Self::Shadow => &mut state.shadow,
            Self::Canary => &mut state.canary,
        }
    }
}

impl Policies {
    /// Loads a component that an operator sends, and lets it decide if that is wanted. On an
    /// error what decided before decides on. Blocks for as long as compiling takes.
    pub fn upload(&self, name: &str, upload: &Upload) -> Result<Change, PolicyError> {
        let entry = self.entry(name)?.lock();
        self.refusable(Who::AdminToken, name, || {
            let fetched = Fetched {
                component: upload.component.to_vec(),
                signature: upload.signature.clone(),
            };
            let settings = upload.settings.clone();
            let held = self.take(name, &entry, &fetched, settings, Source::Uploaded)?;
            if upload.activate {
                return self.activate(Who::AdminToken, name, &entry, held, Follows::Revision);
            }
            self.keep_waiting(name, &entry, held)
        })
    }

    /// Loads a component from a source on the gateway's machine; it decides nothing yet.
    pub fn load(&self, name: &str, choice: &Choice) -> Result<Change, PolicyError> {
        let entry = self.entry(name)?.lock();
        self.refusable(Who::AdminToken, name, || {
            let (source, settings) = self.wanted(&entry, choice)?;
            let fetched = fetch(&source, self.component_bytes_max())?;
            let held = self.take(name, &entry, &fetched, settings, source)?;
            self.keep_waiting(name, &entry, held)
        })
    }

    /// Lets a revision that is there, or the component of another source, decide. On an error
    /// what decided before decides on. Blocks.
    pub fn choose(&self, name: &str, choice: &Choice) -> Result<Change, PolicyError> {
        let mut entry = self.entry(name)?.lock();
        self.refusable(Who::AdminToken, name, || {
            if let Some(revision) = &choice.revision {
                if choice.is_source() || choice.settings.is_some() {
                    let right = "a revision has its component and its settings already";
                    return Err(PolicyError::Asked(right.into()));
                }
                let held = self.find(name, &entry, revision)?;
                return self.activate(Who::AdminToken, name, &entry, held, Follows::Revision);
            }
            let (source, settings) = self.wanted(&entry, choice)?;
            let follows = if choice.configured && settings.is_none() {
                Follows::Configured
            } else {
                Follows::Source(source.clone())
            };
            // Noted first: a file that changes while it is read is looked at again.
            let seen = fingerprint(&source);
            let fetched = fetch(&source, self.component_bytes_max())?;
            let held = self.take(name, &entry, &fetched, settings, source)?;
            let changed = self.activate(Who::AdminToken, name, &entry, held, follows)?;
            entry.seen = seen;
            Ok(changed)
        })
    }

    /// Tries a revision on a share, or ends that.
    pub fn stage(
        &self,
        name: &str,
        stage: Stage,
        wanted: Option<(&str, u16)>,
    ) -> Result<Change, PolicyError> {
        let entry = self.entry(name)?.lock();
        self.refusable(Who::AdminToken, name, || {
            let staged = wanted.map(|(revision, share_permille)| {
                if share_permille > 1000 {
                    let why = format!("{share_permille} of 1000 is more than all");
                    return Err(PolicyError::Asked(why));
                }
                let held = self.find(name, &entry, revision)?;
                Ok(Staged {
                    held,
                    share_permille,
                })
            });
            let staged = staged.transpose()?;
            let before = stage.of(&mut self.state(name)).take();
            let line = Line {
                who: Who::AdminToken,
                policy: name,
                step: stage.step(),
                from: before.map(|staged| staged.held.named(&entry.settings)),
                to: staged
                    .as_ref()
                    .map(|staged| staged.held.named(&entry.settings)),
                share_permille: staged.as_ref().map(|staged| staged.share_permille),
            };
            let changed = line.change(staged.as_ref().map(|staged| &staged.held));
            self.carry_out(&line, |state| *stage.of(state) = staged)?;
            Ok(changed)
        })
    }

    /// Lets the revision before decide again. It stays until somebody chooses another one,
    /// whatever becomes of the followed files.
    pub fn rollback(&self, name: &str) -> Result<Change, PolicyError> {
        let entry = self.entry(name)?.lock();
        self.refusable(Who::AdminToken, name, || {
            let state = self.state(name);
            let previous = state.previous.as_ref().ok_or_else(|| {
                PolicyError::Asked("there is no revision before the one that decides".into())
            })?;
            let held = self.renew(name, &entry, previous)?;
            let line = Line {
                step: Step::Rollback,
                ..Line::activating(Who::AdminToken, name, &entry, &state, &held)
            };
            let changed = line.change(Some(&held));
            self.carry_out(&line, |state| state.activate(held, Follows::Revision))?;
            self.problems.clear(&format!("policy {name}"));
            Ok(changed)
        })
    }

    /// Loads the followed files that have changed since they were looked at last. Blocks.
    pub fn reload_changed(&self) {
        for (name, entry) in &self.entries {
            let mut entry = entry.lock();
            let state = self.state(name);
            let Some(source) = followed(&entry, &state) else {
                continue;
            };
            let now = fingerprint(&source);
            if now.is_some() && now != entry.seen {
                entry.seen = now;
                self.follow(Who::FileWatcher, name, &mut entry, source);
            }
        }
    }

    /// Lets what a source holds decide; an error is a problem on the status page, and what
    /// decided before decides on.
    pub(super) fn follow(&self, who: Who, name: &str, entry: &mut Entry, source: Source) -> bool {
        let state = self.state(name);
        // Settings that an operator chose stay with the source that was chosen with them.
        let settings = match &state.follows {
            Follows::Source(_) => state.active.as_ref().and_then(|held| held.settings.clone()),
            Follows::Configured | Follows::Revision => None,
        };
        let problem = format!("policy {name}");
        let followed = self.refusable(who, name, || {
            let fetched = fetch(&source, self.component_bytes_max())?;
            let held = self.take(name, entry, &fetched, settings, source)?;
            if state.active.as_ref() == Some(&held) {
                // No step: at a start the host has not heard of it yet.
                self.decide(name, &held)?;
                return Ok(held);
            }
            let follows = state.follows.clone();
            self.activate(who, name, entry, held.clone(), follows)?;
            Ok(held)
        });
        match followed {
            Ok(held) => {
                tracing::info!(
                    policy = name,
                    revision = short(&held.revision),
                    "policy active"
                );
                self.problems.clear(&problem);
                true
            }
            Err(error) => {
                self.problems.set(&problem, error.to_string());
                false
            }
        }
    }

    /// What was asked for, when it is one source.
    fn wanted(
        &self,
        entry: &Entry,
        choice: &Choice,
    ) -> Result<(Source, Option<String>), PolicyError> {
        let settings = choice.settings.as_ref();
        let settings = settings.map(serde_json::to_string).transpose();
        let settings = settings.map_err(|error| PolicyError::Asked(error.to_string()))?;
        let sources = [
            choice.builtin.clone().map(Source::Builtin),
            choice.file.clone().map(Source::File),
            choice.oci.clone().map(Source::Oci),
            choice.configured.then(|| entry.configured.clone()),
        ];
        let mut given = sources.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(source), None) => Ok((source, settings)),
            _ => Err(PolicyError::Asked(
                "give one of builtin, file, oci, configured and revision".into(),
            )),
        }
    }

    /// A revision that is there, ready to decide.
    fn find(&self, name: &str, entry: &Entry, text: &str) -> Result<Held, PolicyError> {
        let state = self.state(name);
        let held = state.find(text).map_err(PolicyError::Asked)?;
        self.renew(name, entry, held)
    }

    /// Loads a revision out of the store. Its id is another one when the configuration's
    /// settings have changed since.
    pub(super) fn renew(
        &self,
        name: &str,
        entry: &Entry,
        held: &Held,
    ) -> Result<Held, PolicyError> {
        let stored = self.store.get(&held.component)?;
        let fetched = Fetched {
            component: stored.component,
            signature: stored.signature,
        };
        self.take(
            name,
            entry,
            &fetched,
            held.settings.clone(),
            held.source.clone(),
        )
    }

    /// Compiles, checks and configures a component, and keeps it; it decides nothing yet.
    fn take(
        &self,
        name: &str,
        entry: &Entry,
        fetched: &Fetched,
        settings: Option<String>,
        source: Source,
    ) -> Result<Held, PolicyError> {
        let Fetched {
            component,
            signature,
        } = fetched;
        let text = settings.as_deref().unwrap_or(&entry.settings);
        let loaded = self
            .host
            .load(name, component, signature.as_deref(), text, &self.facts);
        let id = loaded.map_err(|error| PolicyError::Refused(error.to_string()))?;
        self.recorder.loaded(name, id, text);
        // A disk that is full leaves everything as it was.
        let digest = self.store.put(component, signature.as_deref())?;
        let description = self.host.description(name, id);
        let describes = description.map(|d| format!("{} {}", d.name, d.version));
        Ok(Held {
            revision: id.to_string(),
            component: digest,
            settings,
            source,
            describes: describes.unwrap_or_default(),
        })
    }

    fn keep_waiting(&self, name: &str, entry: &Entry, held: Held) -> Result<Change, PolicyError> {
        let line = Line {
            who: Who::AdminToken,
            policy: name,
            step: Step::Load,
            from: None,
            to: Some(held.named(&entry.settings)),
            share_permille: None,
        };
        let changed = line.change(Some(&held));
        self.carry_out(&line, |state| state.wait(held))?;
        Ok(changed)
    }

    pub(super) fn activate(
        &self,
        who: Who,
        name: &str,
        entry: &Entry,
        held: Held,
        follows: Follows,
    ) -> Result<Change, PolicyError> {
        let line = Line::activating(who, name, entry, &self.state(name), &held);
        let changed = line.change(Some(&held));
        self.carry_out(&line, |state| state.activate(held, follows))?;
        self.problems.clear(&format!("policy {name}"));
        Ok(changed)
    }

    /// Takes a step: into the trail, into the state, into effect. The caller holds the
    /// policy's lock, and has loaded every revision that the new state names.
    fn carry_out(
        &self,
        line: &Line<'_>,
        change: impl FnOnce(&mut PolicyState),
    ) -> Result<(), PolicyError> {
        let effect = |next: &PolicyState| self.apply(line.policy, next);
        self.note(line, change, effect)
    }

    /// Ends a stage in trail and state, at a start: the host has not heard of it yet.
    pub(super) fn forget(
        &self,
        who: Who,
        name: &str,
        entry: &Entry,
        stage: Stage,
    ) -> Result<(), PolicyError> {
        let from = stage.of(&mut self.state(name)).take();
        let line = Line {
            who,
            policy: name,
            step: stage.step(),
            from: from.map(|staged| staged.held.named(&entry.settings)),
            to: None,
            share_permille: None,
        };
        self.note(&line, |state| *stage.of(state) = None, |_| Ok(()))
    }

    fn note(
        &self,
        line: &Line<'_>,
        change: impl FnOnce(&mut PolicyState),
        effect: impl Fn(&PolicyState) -> Result<(), PolicyError>,
    ) -> Result<(), PolicyError> {
        let trail = &mut *self.trail.lock();
        let before = trail.state.clone();
        let mut next = before.clone();
        let policy = next.policies.entry(line.policy.to_owned()).or_default();
        change(policy);
        let policy = policy.clone();
        next.audit_seq = trail.audit.append(self.record(line, OK))?;
        let done = next
            .write(&trail.state_file)
            .map_err(PolicyError::from)
            .and_then(|()| effect(&policy));
        if let Err(error) = done {
            let why = format!("not carried out: {error}");
            let told = trail.audit.append(self.record(line, &why));
            let undone = before.write(&trail.state_file);
            if let Err(error) = told.and(undone) {
                tracing::error!(%error, policy = line.policy, "the step was not taken back on disk");
            }
            // Half of it may have had its effect.
            let back = before.policies.get(line.policy).map(effect).transpose();
            if let Err(error) = back {
                tracing::error!(%error, policy = line.policy, "the step was not taken back");
            }
            return Err(error);
        }
        trail.state = next;
        let step = line.step.name();
        let revision = line.to.as_ref().map(|to| short(&to.revision));
        tracing::info!(
            policy = line.policy,
            step,
            revision,
            who = line.who.name(),
            "policy step"
        );
        if !trail.is_damaged_kept()
            && let Err(error) = self.store.prune(&trail.state.used())
        {
            tracing::warn!(%error, "components that nobody uses were not removed");
        }
        Ok(())
    }

    /// Lets the host go by a state whose revisions it has loaded.
    fn apply(&self, name: &str, state: &PolicyState) -> Result<(), PolicyError> {
        if let Some(active) = &state.active {
            self.decide(name, active)?;
        }
        self.apply_stages(name, state)
    }

    /// The same for the revisions that are tried.
    pub(super) fn apply_stages(&self, name: &str, state: &PolicyState) -> Result<(), PolicyError> {
        let refused = |error: weir_policy::ActivateError| PolicyError::Refused(error.to_string());
        let staged = |staged: &Option<Staged>| {
            let staged = staged.as_ref()?;
            Some((id_of(&staged.held)?, staged.share_permille))
        };
        let (shadow, canary) = (staged(&state.shadow), staged(&state.canary));
        self.host.shadow(name, shadow).map_err(refused)?;
        self.host.canary(name, canary).map_err(refused)
    }

    /// Runs a step; a refusal is told in the trail.
    fn refusable<T>(
        &self,
        who: Who,
        name: &str,
        step: impl FnOnce() -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        step().inspect_err(|error| {
            let line = Line {
                who,
                policy: name,
                step: Step::Refuse,
                from: None,
                to: None,
                share_permille: None,
            };
            let why: String = error.to_string().chars().take(RESULT_CHARS_MAX).collect();
            let told = self.trail.lock().audit.append(self.record(&line, &why));
            if let Err(error) = told {
                tracing::error!(%error, policy = name, "a refusal is missing in the audit trail");
            }
        })
    }

    fn record(&self, line: &Line<'_>, result: &str) -> Record {
        Record {
            seq: 0,
            at: self.clock.now().to_string(),
            who: line.who,
            policy: line.policy.to_owned(),
            step: line.step,
            from: line.from.clone(),
            to: line.to.clone(),
            share_permille: line.share_permille,
            result: result.to_owned(),
        }
    }

    /// A line about a revision that changes nothing.
    pub(super) fn tell(
        &self,
        who: Who,
        name: &str,
        step: Step,
        about: Named,
        result: &str,
    ) -> Result<(), PolicyError> {
        let line = Line {
            who,
            policy: name,
            step,
            from: None,
            to: Some(about),
            share_permille: None,
        };
        self.trail.lock().audit.append(self.record(&line, result))?;
        Ok(())
    }

    /// Tells in the trail that a step was recorded and not carried out.
    pub(super) fn resolve(&self, lost: &Record) -> std::io::Result<u64> {
        let line = Line {
            who: Who::Configuration,
            policy: &lost.policy,
            step: Step::Resolve,
            from: lost.from.clone(),
            to: lost.to.clone(),
            share_permille: lost.share_permille,
        };
        let why = format!(
            "step {} ({}) was not carried out",
            lost.seq,
            lost.step.name()
        );
        self.trail.lock().audit.append(self.record(&line, &why))
    }
}

impl Choice {
    fn is_source(&self) -> bool {
        self.builtin.is_some() || self.file.is_some() || self.oci.is_some() || self.configured
    }
}

impl<'a> Line<'a> {
    fn activating(
        who: Who,
        policy: &'a str,
        entry: &Entry,
        state: &PolicyState,
        held: &Held,
    ) -> Self {
        Self {
            who,
            policy,
            step: Step::Activate,
            from: state
                .active
                .as_ref()
                .map(|held| held.named(&entry.settings)),
            to: Some(held.named(&entry.settings)),
            share_permille: None,
        }
    }

    fn change(&self, held: Option<&Held>) -> Change {
        Change {
            policy: self.policy.to_owned(),
            step: self.step,
            revision: held.map(|held| short(&held.revision).to_owned()),
            component: held.map(|held| held.describes.clone()),
            share_permille: self.share_permille,
        }
    }
}

/// The source that a policy goes by; `None` when it stays with a revision.
pub(super) fn followed(entry: &Entry, state: &PolicyState) -> Option<Source> {
    match &state.follows {
        Follows::Configured => Some(entry.configured.clone()),
        Follows::Source(source) => Some(source.clone()),
        Follows::Revision => None,
    }
}

/// The host's name of a revision.
pub(super) fn id_of(held: &Held) -> Option<RevisionId> {
    held.revision.parse().ok()
}
