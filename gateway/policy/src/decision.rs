//! The four questions: one trait, and a file for each with how it is asked, what its answer must
//! look like, and who answers when no policy can.

mod overflow;
mod placement;
mod replication;
mod routing;

use std::fmt::Debug;

use wasmtime::Result;

use crate::api::{Answer, DecisionKind, Input, NativeCause, Subject};
use crate::error::{Fault, FaultKind};
use crate::limits::Limits;
use crate::wire::{Guest, Needs, Store};

pub(crate) use overflow::Overflow;
pub(crate) use placement::Placement;
pub(crate) use replication::Replication;
pub(crate) use routing::Routing;

/// One of the questions, with all that is particular to it.
pub(crate) trait Decision {
    const KIND: DecisionKind;
    /// Answered natively even where a binding is set to refuse.
    const ALWAYS_ANSWERED: bool = false;

    type Input<'a>: Copy;
    type Answer: Clone + PartialEq + Debug;

    fn subject<'a>(input: &Self::Input<'a>) -> Subject<'a>;

    fn wrap_input<'a>(input: &Self::Input<'a>) -> Input<'a>;

    fn wrap_answer(answer: Self::Answer) -> Answer;

    /// Calls the guest, which exports this decision. What it answers is not checked yet.
    fn ask(
        guest: &Guest,
        store: &mut Store,
        input: &Self::Input<'_>,
        needs: Needs,
    ) -> Result<Self::Answer>;

    /// Whether the answer has the shape that the API promises. Constraints are not looked at.
    fn check(
        answer: &Self::Answer,
        input: &Self::Input<'_>,
        limits: &Limits,
    ) -> std::result::Result<(), Fault>;

    /// The text in it that people will read.
    fn reason(answer: &mut Self::Answer) -> Option<&mut String>;

    /// The answer when no policy gives one. Cannot fail.
    fn native(input: &Self::Input<'_>, cause: NativeCause) -> Self::Answer;
}

/// [`Decision::subject`] of whichever question it is.
pub(crate) fn subject<'a>(input: &Input<'a>) -> Subject<'a> {
    match input {
        Input::Placement(input) => Placement::subject(input),
        Input::Overflow(input) => Overflow::subject(input),
        Input::Replication(input) => Replication::subject(input),
        Input::ReadRouting(input) => Routing::subject(input),
    }
}

/// Why a native default decided, in words.
fn because(cause: NativeCause) -> &'static str {
    match cause {
        NativeCause::Unbound => "no policy is bound",
        NativeCause::NotDecided => "the policy does not decide this",
        NativeCause::StaleFacts => "the policy knows other backends",
        NativeCause::Fault => "the policy failed",
        NativeCause::Quarantine => "the policy is in quarantine",
    }
}

/// A set of backends, from which an answer may take each once.
struct Backends {
    count: usize,
    /// The first 64, without allocation.
    low: u64,
    high: Vec<bool>,
}

impl Backends {
    /// None of `count` backends.
    fn none(count: usize) -> Self {
        Self {
            count,
            low: 0,
            high: vec![false; count.saturating_sub(64)],
        }
    }

    /// Takes a backend that was not taken yet; `what` says in which role.
    fn take(&mut self, index: u32, what: &str) -> std::result::Result<(), Fault> {
        if index as usize >= self.count {
            let message = format!("{what} {index} of {} backends", self.count);
            return Err(Fault::new(FaultKind::UnknownBackend, message));
        }
        if self.contains(index) {
            let message = format!("{what} {index} is there twice");
            return Err(Fault::new(FaultKind::DuplicateBackend, message));
        }
        self.insert(index);
        Ok(())
    }

    fn take_all(&mut self, indices: &[u32], what: &str) -> std::result::Result<(), Fault> {
        indices.iter().try_for_each(|index| self.take(*index, what))
    }

    fn contains(&self, index: u32) -> bool {
        if index < 64 {
            self.low & (1 << index) != 0
        } else {
            self.high.get(index as usize - 64) == Some(&true)
        }
    }

    fn insert(&mut self, index: u32) {
        if index < 64 {
            self.low |= 1 << index;
        } else if let Some(taken) = self.high.get_mut(index as usize - 64) {
            *taken = true;
        }
    }
}

/// At least one of `indices`, each a known backend and there once.
fn check_candidates(
    indices: &[u32],
    backends: usize,
    what: &str,
) -> std::result::Result<(), Fault> {
    if indices.is_empty() {
        return Err(Fault::new(
            FaultKind::NoCandidates,
            format!("the answer has no {what}"),
        ));
    }
    Backends::none(backends).take_all(indices, what)
}

#[cfg(test)]
mod tests;
