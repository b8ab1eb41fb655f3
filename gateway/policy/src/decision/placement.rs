//! Where a new version goes.

use wasmtime::Result;

use super::{Decision, because, check_candidates};
use crate::api::{
    Answer, DecisionKind, Input, NativeCause, PlacementAnswer, PlacementInput, Subject,
};
use crate::error::{Fault, FaultKind};
use crate::limits::Limits;
use crate::native;
use crate::wire::{Guest, Needs, Store};

pub(crate) enum Placement {}

impl Decision for Placement {
    const KIND: DecisionKind = DecisionKind::Placement;

    type Input<'a> = PlacementInput<'a>;
    type Answer = PlacementAnswer;

    fn subject<'a>(input: &Self::Input<'a>) -> Subject<'a> {
        input
            .request
            .subject(input.facts_generation, input.backends)
    }

    fn wrap_input<'a>(input: &Self::Input<'a>) -> Input<'a> {
        Input::Placement(*input)
    }

    fn wrap_answer(answer: PlacementAnswer) -> Answer {
        Answer::Placement(answer)
    }

    fn ask(
        guest: &Guest,
        store: &mut Store,
        input: &PlacementInput<'_>,
        needs: Needs,
    ) -> Result<PlacementAnswer> {
        guest.place(store, input, needs)
    }

    fn check(
        answer: &PlacementAnswer,
        input: &PlacementInput<'_>,
        limits: &Limits,
    ) -> std::result::Result<(), Fault> {
        check_candidates(&answer.candidates, input.backends.len(), "candidate")?;
        let PlacementAnswer { copies, ack, .. } = answer;
        let copies_max = limits.copies_max;
        if !(1..=copies_max).contains(copies) || !(1..=*copies).contains(ack) {
            let message =
                format!("copies {copies}, ack {ack}; wanted 1 <= ack <= copies <= {copies_max}");
            return Err(Fault::new(FaultKind::CopiesRange, message));
        }
        Ok(())
    }

    fn reason(answer: &mut PlacementAnswer) -> Option<&mut String> {
        Some(&mut answer.reason)
    }

    /// [`native::spread`], with the copies that the configuration asks for.
    fn native(input: &PlacementInput<'_>, cause: NativeCause) -> PlacementAnswer {
        let copies = input.request.copies.max(1);
        PlacementAnswer {
            candidates: native::spread(input),
            copies,
            ack: input.request.ack.clamp(1, copies),
            reason: format!("native spread: {}", because(cause)),
        }
    }
}
