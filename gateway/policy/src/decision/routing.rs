//! In which order an object's copies are tried.

use wasmtime::Result;

use super::{Decision, check_candidates};
use crate::api::{Answer, DecisionKind, Input, NativeCause, RoutingAnswer, RoutingInput, Subject};
use crate::error::{Fault, FaultKind};
use crate::limits::Limits;
use crate::wire::{Guest, Needs, Store};

pub(crate) enum Routing {}

impl Decision for Routing {
    const KIND: DecisionKind = DecisionKind::ReadRouting;
    /// A read that a healthy copy could serve is never refused.
    const ALWAYS_ANSWERED: bool = true;

    type Input<'a> = RoutingInput<'a>;
    type Answer = RoutingAnswer;

    fn subject<'a>(input: &Self::Input<'a>) -> Subject<'a> {
        Subject {
            facts_generation: input.facts_generation,
            backends: input.backends,
            bucket: input.read.bucket,
            key: input.read.key,
            principal: input.read.principal,
            now_ms: input.read.now_ms,
        }
    }

    fn wrap_input<'a>(input: &Self::Input<'a>) -> Input<'a> {
        Input::ReadRouting(*input)
    }

    fn wrap_answer(answer: RoutingAnswer) -> Answer {
        Answer::ReadRouting(answer)
    }

    fn ask(
        guest: &Guest,
        store: &mut Store,
        input: &RoutingInput<'_>,
        _: Needs,
    ) -> Result<RoutingAnswer> {
        guest.route(store, input)
    }

    fn check(
        answer: &RoutingAnswer,
        input: &RoutingInput<'_>,
        _: &Limits,
    ) -> std::result::Result<(), Fault> {
        check_candidates(&answer.order, input.backends.len(), "copy")?;
        for backend in &answer.order {
            if !input.read.copies.contains(backend) {
                let message = format!("reads from backend {backend}, which holds no copy");
                return Err(Fault::new(FaultKind::NoCopy, message));
            }
        }
        Ok(())
    }

    fn reason(_: &mut RoutingAnswer) -> Option<&mut String> {
        None
    }

    /// The order as given, and no hedge.
    fn native(input: &RoutingInput<'_>, _: NativeCause) -> RoutingAnswer {
        RoutingAnswer {
            order: input.read.copies.to_vec(),
            hedge_after_us: None,
        }
    }
}
