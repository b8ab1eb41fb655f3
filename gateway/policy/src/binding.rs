//! One binding: the revisions that decide for it, and who decides when one cannot.

mod status;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::api::{DecidedBy, DecisionKind, Decisions, NativeCause, Origin, Subject};
use crate::decision::Decision;
use crate::error::{ActivateError, Fault, Refused};
use crate::metrics::{BindingMetrics, Counters};
use crate::revision::{Asked, Revision, RevisionId};
use crate::shadow::{DifferenceLog, Shadows};
use crate::share::{self, PERMILLE};

pub use status::{BindingSettings, BindingStatus, OnFault, Share};

pub(crate) struct Binding {
    name: String,
    current: ArcSwap<Current>,
    /// Loaded, not yet active; also held while `current` changes.
    waiting: Mutex<VecDeque<Arc<Revision>>>,
    pub(crate) counters: Arc<Counters>,
}

#[derive(Clone, Default)]
struct Current {
    active: Option<Arc<Revision>>,
    previous: Option<Arc<Revision>>,
    canary: Option<Part>,
    shadow: Option<Part>,
    /// Of the shadow, or of the last one.
    differences: Arc<DifferenceLog>,
    settings: BindingSettings,
}

#[derive(Clone)]
struct Part {
    revision: Arc<Revision>,
    permille: u16,
}

impl Part {
    fn share(&self) -> Share {
        Share {
            revision: self.revision.id,
            permille: self.permille,
        }
    }
}

/// Why a revision that was asked did not decide.
type Failure = (NativeCause, Option<Fault>);

impl Binding {
    pub(crate) fn new(name: &str, counters: Arc<Counters>) -> Self {
        Self {
            name: name.to_owned(),
            current: ArcSwap::default(),
            waiting: Mutex::default(),
            counters,
        }
    }

    /// Decides, and has the decision compared if there is a shadow.
    pub(crate) fn decide<D: Decision>(
        &self,
        input: &D::Input<'_>,
        shadows: &Shadows,
    ) -> Result<(D::Answer, Origin), Refused> {
        let current = self.current.load();
        let (answer, origin) = self.decide_with::<D>(&current, input)?;
        if let Some(shadow) = &current.shadow
            && shadow.revision.decides(D::KIND)
        {
            let log = &current.differences;
            let turn = log.decisions.fetch_add(1, Relaxed);
            if share::holds_turn(turn, shadow.permille) {
                let input = D::wrap_input(input);
                let decided = D::wrap_answer(answer.clone());
                shadows.offer(&shadow.revision, log, &input, decided, &origin);
            }
        }
        Ok((answer, origin))
    }

    fn decide_with<D: Decision>(
        &self,
        current: &Current,
        input: &D::Input<'_>,
    ) -> Result<(D::Answer, Origin), Refused> {
        let mut first_fault = None;
        if let Some(canary) = current.canary_for(D::KIND, &D::subject(input)) {
            match self.ask::<D>(current, canary, input) {
                Ok(answer) => {
                    self.counters.of(D::KIND).by_canary.fetch_add(1, Relaxed);
                    return Ok((answer, by(canary, None)));
                }
                Err((_, fault)) => first_fault = fault,
            }
        }
        let Some(active) = &current.active else {
            return self.without_answer::<D>(current, input, NativeCause::Unbound, first_fault);
        };
        if !active.decides(D::KIND) {
            return Ok(self.native::<D>(input, NativeCause::NotDecided, first_fault));
        }
        let (cause, fault) = match self.ask::<D>(current, active, input) {
            Ok(answer) => return Ok((answer, by(active, first_fault))),
            Err(failure) => failure,
        };
        let fault = first_fault.or(fault);
        if current.settings.on_fault == OnFault::PreviousThenNative
            && let Some(previous) = &current.previous
            && previous.decides(D::KIND)
            && let Ok(answer) = self.ask::<D>(current, previous, input)
        {
            let counters = self.counters.of(D::KIND);
            counters.fallbacks_previous.fetch_add(1, Relaxed);
            return Ok((answer, by(previous, fault)));
        }
        self.without_answer::<D>(current, input, cause, fault)
    }

    fn ask<D: Decision>(
        &self,
        current: &Current,
        revision: &Revision,
        input: &D::Input<'_>,
    ) -> Result<D::Answer, Failure> {
        match revision.decide::<D>(input, current.settings.isolation) {
            Asked::Answer(answer) => Ok(answer),
            Asked::Fault(fault) => Err((NativeCause::Fault, Some(fault))),
            Asked::Stale => {
                self.counters.stale_facts.fetch_add(1, Relaxed);
                Err((NativeCause::StaleFacts, None))
            }
            Asked::Quarantined => {
                self.counters.quarantine_skips.fetch_add(1, Relaxed);
                Err((NativeCause::Quarantine, None))
            }
        }
    }

    fn without_answer<D: Decision>(
        &self,
        current: &Current,
        input: &D::Input<'_>,
        cause: NativeCause,
        fault: Option<Fault>,
    ) -> Result<(D::Answer, Origin), Refused> {
        if current.settings.on_fault != OnFault::Refuse || D::ALWAYS_ANSWERED {
            return Ok(self.native::<D>(input, cause, fault));
        }
        self.counters.of(D::KIND).refused.fetch_add(1, Relaxed);
        let why = match (&fault, cause) {
            (Some(fault), _) => fault.to_string(),
            (None, NativeCause::Unbound) => "no revision is active".to_owned(),
            (None, NativeCause::StaleFacts) => "configured for other backends".to_owned(),
            (None, _) => "in quarantine".to_owned(),
        };
        Err(Refused {
            binding: self.name.clone(),
            why,
        })
    }

    fn native<D: Decision>(
        &self,
        input: &D::Input<'_>,
        cause: NativeCause,
        fault: Option<Fault>,
    ) -> (D::Answer, Origin) {
        let counters = self.counters.of(D::KIND);
        counters.fallbacks_native.fetch_add(1, Relaxed);
        native::<D>(input, cause, fault)
    }

    /// Whether the active revision answers this question.
    pub(crate) fn decides(&self, kind: DecisionKind) -> bool {
        let current = self.current.load();
        let active = current.active.as_ref();
        active.is_some_and(|revision| revision.decides(kind))
    }

    /// Whether a revision that may be asked wants to see user metadata.
    pub(crate) fn needs_user_metadata(&self) -> bool {
        let current = self.current.load();
        let mut asked = current.all();
        asked.any(|revision| revision.description.needs_user_metadata)
    }

    pub(crate) fn set(&self, settings: BindingSettings) {
        let _changing = self.waiting.lock();
        self.change(|current| current.settings = settings);
    }

    /// The newest loaded revision with this id.
    pub(crate) fn find(&self, id: RevisionId) -> Option<Arc<Revision>> {
        find(&self.waiting.lock(), &self.current.load(), id)
    }

    pub(crate) fn wait(&self, revision: Arc<Revision>, waiting_max: usize) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| other.id != revision.id);
        waiting.push_back(revision);
        while waiting.len() > waiting_max.max(1) {
            waiting.pop_front();
        }
    }

    pub(crate) fn activate(&self, id: RevisionId) -> Result<(), ActivateError> {
        // Before the lock, which status and metrics take too.
        if let Some(revision) = self.find(id)
            && !self.current.load().is_active(&revision)
        {
            revision.warm();
        }
        let mut waiting = self.waiting.lock();
        let current = Arc::clone(&self.current.load());
        let waits = waiting.iter().position(|revision| revision.id == id);
        let revision = match waits.and_then(|at| waiting.remove(at)) {
            Some(revision) => revision,
            None => find(&waiting, &current, id).ok_or_else(|| self.not_loaded(id))?,
        };
        if !current.is_active(&revision) {
            self.swap(&current, revision);
        }
        Ok(())
    }

    pub(crate) fn rollback(&self) -> Result<RevisionId, ActivateError> {
        if let Some(previous) = &self.current.load_full().previous {
            previous.warm();
        }
        let _changing = self.waiting.lock();
        let current = Arc::clone(&self.current.load());
        let previous = current.previous.clone();
        let previous = previous.ok_or_else(|| ActivateError::NoPrevious(self.name.clone()))?;
        let id = previous.id;
        self.swap(&current, previous);
        Ok(id)
    }

    pub(crate) fn canary(&self, share: Option<Share>) -> Result<(), ActivateError> {
        self.warm_part(share, |current| current.canary.as_ref());
        let waiting = self.waiting.lock();
        let part = self.part(&waiting, share)?;
        self.change(|current| current.canary = part);
        Ok(())
    }

    pub(crate) fn shadow(
        &self,
        share: Option<Share>,
        kept_max: usize,
    ) -> Result<(), ActivateError> {
        self.warm_part(share, |current| current.shadow.as_ref());
        let waiting = self.waiting.lock();
        let part = self.part(&waiting, share)?;
        self.change(|current| {
            if let Some(part) = &part
                && !current.differences.is_of(part.revision.id)
            {
                current.differences = Arc::new(DifferenceLog::new(part.revision.id, kept_max));
            }
            current.shadow = part;
        });
        Ok(())
    }

    /// Lets go of a revision that does not decide: one that waits, or the previous one.
    pub(crate) fn forget(&self, id: RevisionId) -> Result<(), ActivateError> {
        let mut waiting = self.waiting.lock();
        let had = waiting.len();
        waiting.retain(|revision| revision.id != id);
        let mut found = waiting.len() < had;
        self.change(|current| {
            let previous = current.previous.take_if(|previous| previous.id == id);
            found |= previous.is_some();
        });
        if found {
            Ok(())
        } else {
            Err(self.not_loaded(id))
        }
    }

    fn part(
        &self,
        waiting: &VecDeque<Arc<Revision>>,
        share: Option<Share>,
    ) -> Result<Option<Part>, ActivateError> {
        let Some(Share { revision, permille }) = share else {
            return Ok(None);
        };
        if permille > PERMILLE {
            return Err(ActivateError::Share(permille));
        }
        let found = find(waiting, &self.current.load(), revision);
        let revision = found.ok_or_else(|| self.not_loaded(revision))?;
        Ok(Some(Part { revision, permille }))
    }

    /// Warms a revision that is to be tried, unless it is tried on the same share already.
    fn warm_part(&self, share: Option<Share>, tried: impl Fn(&Current) -> Option<&Part>) {
        let Some(share) = share.filter(|share| share.permille <= PERMILLE) else {
            return;
        };
        let Some(revision) = self.find(share.revision) else {
            return;
        };
        let is_same = tried(&self.current.load()).is_some_and(|part| {
            Arc::ptr_eq(&part.revision, &revision) && part.permille == share.permille
        });
        if !is_same {
            revision.warm();
        }
    }

    fn not_loaded(&self, revision: RevisionId) -> ActivateError {
        ActivateError::NoRevision {
            binding: self.name.clone(),
            revision,
        }
    }

    /// The caller holds the lock on `waiting`.
    fn change(&self, change: impl FnOnce(&mut Current)) {
        let mut current = Current::clone(&self.current.load());
        change(&mut current);
        self.current.store(Arc::new(current));
    }

    /// Makes `revision` the active one. The caller holds the lock on
    /// `waiting`.
    fn swap(&self, current: &Current, revision: Arc<Revision>) {
        // The same revision with other facts has the same one before it.
        let replaced = current
            .active
            .clone()
            .filter(|active| active.id != revision.id);
        let previous = replaced.or_else(|| current.previous.clone());
        let previous = previous.filter(|previous| previous.id != revision.id);
        // The others can only take part if they know the same backends, and the one that is
        // active now no longer as a part of the decisions.
        let part = |part: &Option<Part>| {
            let part = part
                .as_ref()
                .filter(|part| part.revision.id != revision.id)?;
            Some(Part {
                revision: renewed(&part.revision, &revision)?,
                permille: part.permille,
            })
        };
        self.current.store(Arc::new(Current {
            previous: previous.and_then(|previous| renewed(&previous, &revision)),
            canary: part(&current.canary),
            shadow: part(&current.shadow),
            active: Some(revision),
            differences: Arc::clone(&current.differences),
            settings: current.settings,
        }));
    }

    pub(crate) fn differences(&self) -> Arc<DifferenceLog> {
        Arc::clone(&self.current.load().differences)
    }

    pub(crate) fn active(&self) -> Option<RevisionId> {
        let current = self.current.load();
        current.active.as_ref().map(|revision| revision.id)
    }

    pub(crate) fn status(&self) -> BindingStatus {
        let waiting = self.waiting.lock();
        let current = self.current.load();
        let active = current.active.as_ref();
        BindingStatus {
            active: active.map(|revision| revision.id),
            description: active.map(|revision| revision.description.clone()),
            quarantined: active.map_or_else(Decisions::default, |active| active.quarantined()),
            previous: current.previous.as_ref().map(|revision| revision.id),
            canary: current.canary.as_ref().map(Part::share),
            shadow: current.shadow.as_ref().map(Part::share),
            waiting: waiting
                .iter()
                .map(|revision| (revision.id, revision.description.clone()))
                .collect(),
            settings: current.settings,
        }
    }

    /// The counters, and how many revisions are loaded.
    pub(crate) fn metrics(&self) -> (BindingMetrics, u64) {
        let waiting = self.waiting.lock();
        let current = self.current.load();
        let mut loaded: Vec<_> = waiting
            .iter()
            .chain(current.all())
            .map(Arc::as_ptr)
            .collect();
        loaded.sort_unstable();
        loaded.dedup();
        let mut metrics = self.counters.snapshot();
        if let Some(active) = &current.active {
            metrics.active = Some(active.id);
            metrics.quarantined = active.quarantined();
        }
        metrics.shadow = current.differences.counts();
        (metrics, loaded.len() as u64)
    }
}

impl Current {
    /// The canary, if it decides this.
    fn canary_for(&self, kind: DecisionKind, subject: &Subject<'_>) -> Option<&Arc<Revision>> {
        let canary = self.canary.as_ref()?;
        let decides = canary.revision.decides(kind) && share::holds_key(subject, canary.permille);
        decides.then_some(&canary.revision)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Revision>> {
        let parts = [&self.canary, &self.shadow];
        let parts = parts.into_iter().flatten().map(|part| &part.revision);
        self.active.iter().chain(&self.previous).chain(parts)
    }

    fn is_active(&self, revision: &Arc<Revision>) -> bool {
        let active = self.active.as_ref();
        active.is_some_and(|active| Arc::ptr_eq(active, revision))
    }
}

fn find(
    waiting: &VecDeque<Arc<Revision>>,
    current: &Current,
    id: RevisionId,
) -> Option<Arc<Revision>> {
    let mut all = waiting.iter().rev().chain(current.all());
    all.find(|revision| revision.id == id).cloned()
}

/// `revision` with the facts that `other` has; `None` if it refuses them.
fn renewed(revision: &Arc<Revision>, other: &Revision) -> Option<Arc<Revision>> {
    if revision.facts == other.facts {
        return Some(Arc::clone(revision));
    }
    let facts = Arc::clone(&other.facts);
    revision.with_facts(facts).ok().map(Arc::new)
}

fn by(revision: &Revision, fault: Option<Fault>) -> Origin {
    Origin {
        decided_by: DecidedBy::Revision(revision.id),
        revision: Arc::clone(&revision.label),
        fault,
    }
}

/// What is decided without a policy.
pub(crate) fn native<D: Decision>(
    input: &D::Input<'_>,
    cause: NativeCause,
    fault: Option<Fault>,
) -> (D::Answer, Origin) {
    let origin = Origin {
        decided_by: DecidedBy::Native(cause),
        revision: "native".into(),
        fault,
    };
    (D::native(input, cause), origin)
}
