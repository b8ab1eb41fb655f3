//! A start: every policy back to where it was.

use weir_policy::{ActivateError, OnFault};

use super::audit::{OK, Step, Who};
use super::fetch::fingerprint;
use super::lifecycle::{Stage, followed, id_of};
use super::state::{Follows, Held, Staged};
use super::{Entry, Policies, PolicyError};

/// Lines of the trail that are looked through for steps that were not carried out: a crash
/// leaves one of each policy at most, and refusals between.
const LOST_MAX: usize = 1000;

impl Policies {
    /// Brings every policy back. What cannot be brought back is a problem on the status page.
    pub(super) fn restore(&self) {
        if let Err(error) = self.resolve_lost() {
            self.problems
                .set("policies", format!("audit trail: {error}"));
        }
        for (name, entry) in &self.entries {
            let mut entry = entry.lock();
            self.restore_one(name, &mut entry);
            if let Err(error) = self.apply_stages(name, &self.state(name)) {
                let what = format!("policy {name}, shadow and canary");
                self.problems.set(&what, error.to_string());
            }
        }
    }

    /// Steps that are in the trail and not in the state were never answered for.
    fn resolve_lost(&self) -> std::io::Result<()> {
        let (carried_out, lines) = {
            let trail = self.trail.lock();
            (trail.state.audit_seq, trail.audit.last(None, LOST_MAX)?)
        };
        let is_lost = |step: Step| !matches!(step, Step::Refuse | Step::Check | Step::Resolve);
        let lost: Vec<_> = lines
            .into_iter()
            .filter(|line| line.seq > carried_out && line.result == OK && is_lost(line.step))
            .collect();
        for line in &lost {
            self.resolve(line)?;
        }
        let trail = &mut *self.trail.lock();
        if !lost.is_empty() {
            trail.state.audit_seq = trail.audit.seq();
            trail.state.write(&trail.state_file)?;
        }
        Ok(())
    }

    fn restore_one(&self, name: &str, entry: &mut Entry) {
        let state = self.state(name);
        // Where it does not step in, it must not decide when the active one is not there.
        let steps_in = entry.on_fault == OnFault::PreviousThenNative;
        if let Some(previous) = state.previous.as_ref().filter(|_| steps_in) {
            // It becomes the previous one when the active one takes its place.
            let back = self.renew(name, entry, previous);
            if let Err(error) = back.and_then(|held| self.decide(name, &held)) {
                tracing::warn!(policy = name, %error, "the previous revision is not there");
            }
        }
        for (stage, staged) in [
            (Stage::Shadow, &state.shadow),
            (Stage::Canary, &state.canary),
        ] {
            if let Some(staged) = staged {
                self.restore_stage(name, entry, stage, staged);
            }
        }
        let problem = format!("policy {name}");
        let is_followed = match followed(entry, &state) {
            Some(source) => {
                entry.seen = fingerprint(&source);
                self.follow(Who::Configuration, name, entry, source)
            }
            None => false,
        };
        if is_followed {
            return;
        }
        // What decided last decides on; why it is not what is followed was told.
        let Some(active) = &state.active else {
            return;
        };
        let back = self.renew(name, entry, active).and_then(|held| {
            if held == *active {
                return self.decide(name, &held);
            }
            // The settings of the configuration have changed.
            let follows = state.follows.clone();
            self.activate(Who::Configuration, name, entry, held, follows)
                .map(drop)
        });
        match back {
            Ok(()) if state.follows == Follows::Revision => self.problems.clear(&problem),
            Ok(()) => {}
            Err(error) => {
                self.problems.set(&problem, error.to_string());
                self.without_active(name, entry, active, &error);
            }
        }
    }

    /// Leaves the decisions to what steps in for a revision that is not there.
    fn without_active(&self, name: &str, entry: &Entry, active: &Held, error: &PolicyError) {
        let other = self
            .host
            .status()
            .remove(name)
            .and_then(|status| status.active);
        let instead = match (entry.on_fault, other) {
            (OnFault::PreviousThenNative, Some(_)) => "the revision before decides",
            (OnFault::Refuse, _) => "requests are refused",
            (OnFault::PreviousThenNative | OnFault::Native, _) => "the native default decides",
        };
        if other.is_some() && entry.on_fault != OnFault::PreviousThenNative {
            self.host.unbind(name);
            self.host.bind(name, entry.binding());
        }
        let result = format!("cannot be loaded: {error}; {instead}");
        let about = active.named(&entry.settings);
        if let Err(error) = self.tell(Who::Configuration, name, Step::Refuse, about, &result) {
            tracing::error!(policy = name, %error, "a refusal is missing in the audit trail");
        }
    }

    /// Loads a revision that was tried. One that is not what it was is not tried any more.
    fn restore_stage(&self, name: &str, entry: &Entry, stage: Stage, staged: &Staged) {
        let why = match self.renew(name, entry, &staged.held) {
            Ok(held) if held == staged.held => return,
            Ok(_) => "its settings are other ones now".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = format!("policy {name}, {}", stage.name());
        self.problems
            .set(&what, format!("{why}; it is not tried any more"));
        if let Err(error) = self.forget(Who::Configuration, name, entry, stage) {
            tracing::error!(policy = name, %error, "the stage was not ended on disk");
        }
    }

    /// Lets the host go by a revision that it has loaded.
    pub(super) fn decide(&self, name: &str, held: &Held) -> Result<(), PolicyError> {
        let Some(id) = id_of(held) else {
            return Err(PolicyError::Refused(format!(
                "{:?} is no revision",
                held.revision
            )));
        };
        let refused = |error: ActivateError| PolicyError::Refused(error.to_string());
        self.host.activate(name, id).map_err(refused)?;
        // The one before stays in memory only where it steps in: to go back to it, it is loaded
        // from the store.
        let status = self.host.status().remove(name);
        let before =
            status.filter(|status| status.settings.on_fault != OnFault::PreviousThenNative);
        match before.and_then(|status| status.previous) {
            Some(before) => self.host.forget(name, before).map_err(refused),
            None => Ok(()),
        }
    }
}
