//! What happens when the preferred backends are full.

use wasmtime::Result;

use super::{Backends, Decision, because, check_candidates};
use crate::api::{
    Answer, DecisionKind, Eviction, Input, NativeCause, OverflowAnswer, OverflowInput, Subject,
    Verdict,
};
use crate::error::{Fault, FaultKind};
use crate::limits::Limits;
use crate::wire::{Guest, Needs, Store};

pub(crate) enum Overflow {}

impl Decision for Overflow {
    const KIND: DecisionKind = DecisionKind::Overflow;

    type Input<'a> = OverflowInput<'a>;
    type Answer = OverflowAnswer;

    fn subject<'a>(input: &Self::Input<'a>) -> Subject<'a> {
        input
            .request
            .subject(input.facts_generation, input.backends)
    }

    fn wrap_input<'a>(input: &Self::Input<'a>) -> Input<'a> {
        Input::Overflow(*input)
    }

    fn wrap_answer(answer: OverflowAnswer) -> Answer {
        Answer::Overflow(answer)
    }

    fn ask(
        guest: &Guest,
        store: &mut Store,
        input: &OverflowInput<'_>,
        needs: Needs,
    ) -> Result<OverflowAnswer> {
        guest.overflow(store, input, needs)
    }

    fn check(
        answer: &OverflowAnswer,
        input: &OverflowInput<'_>,
        _: &Limits,
    ) -> std::result::Result<(), Fault> {
        let count = input.backends.len();
        match &answer.verdict {
            Verdict::Spill(candidates) => check_candidates(candidates, count, "candidate"),
            Verdict::Refuse => Ok(()),
            Verdict::MakeRoom {
                evictions,
                meanwhile,
            } => {
                if evictions.is_empty() {
                    let message = "the answer has no eviction";
                    return Err(Fault::new(FaultKind::NoCandidates, message));
                }
                evictions
                    .iter()
                    .try_for_each(|eviction| check_eviction(eviction, count))?;
                Backends::none(count).take_all(meanwhile, "meanwhile")
            }
        }
    }

    fn reason(answer: &mut OverflowAnswer) -> Option<&mut String> {
        Some(&mut answer.reason)
    }

    /// Refuses: without a policy nobody said where else objects may go.
    fn native(_: &OverflowInput<'_>, cause: NativeCause) -> OverflowAnswer {
        OverflowAnswer {
            verdict: Verdict::Refuse,
            reason: format!("native refusal: {}", because(cause)),
        }
    }
}

fn check_eviction(eviction: &Eviction, count: usize) -> std::result::Result<(), Fault> {
    let Eviction {
        source, targets, ..
    } = eviction;
    Backends::none(count).take(*source, "source")?;
    check_candidates(targets, count, "target")?;
    if targets.contains(source) {
        let message = format!("backend {source} is source and target of an eviction");
        return Err(Fault::new(FaultKind::Contradiction, message));
    }
    Ok(())
}
