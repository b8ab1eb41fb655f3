//! Which copies an object should have now.

use wasmtime::Result;

use super::{Backends, Decision, because};
use crate::api::{
    Addition, Answer, CopyFacts, CopyState, DecisionKind, Input, NativeCause, ReplicationAnswer,
    ReplicationInput, Subject,
};
use crate::error::{Fault, FaultKind};
use crate::limits::Limits;
use crate::wire::{Guest, Needs, Store};

pub(crate) enum Replication {}

impl Decision for Replication {
    const KIND: DecisionKind = DecisionKind::Replication;

    type Input<'a> = ReplicationInput<'a>;
    type Answer = ReplicationAnswer;

    fn subject<'a>(input: &Self::Input<'a>) -> Subject<'a> {
        Subject {
            facts_generation: input.facts_generation,
            backends: input.backends,
            bucket: input.object.bucket,
            key: input.object.key,
            principal: input.object.bucket,
            now_ms: input.object.now_ms,
        }
    }

    fn wrap_input<'a>(input: &Self::Input<'a>) -> Input<'a> {
        Input::Replication(*input)
    }

    fn wrap_answer(answer: ReplicationAnswer) -> Answer {
        Answer::Replication(answer)
    }

    fn ask(
        guest: &Guest,
        store: &mut Store,
        input: &ReplicationInput<'_>,
        needs: Needs,
    ) -> Result<ReplicationAnswer> {
        guest.replicate(store, input, needs)
    }

    fn check(
        answer: &ReplicationAnswer,
        input: &ReplicationInput<'_>,
        _: &Limits,
    ) -> std::result::Result<(), Fault> {
        let copies = input.object.copies;
        let mut added = Backends::none(input.backends.len());
        for Addition { backend, .. } in &answer.add {
            added.take(*backend, "addition")?;
            let good = |copy: &_| is_good_at(copy, *backend);
            if copies.iter().any(good) {
                let message = format!("adds to backend {backend}, which holds a good copy");
                return Err(Fault::new(FaultKind::HasCopy, message));
            }
        }
        let mut dropped = Backends::none(input.backends.len());
        for backend in &answer.drop {
            dropped.take(*backend, "drop")?;
            if !copies.iter().any(|copy| copy.backend == *backend) {
                let message = format!("drops from backend {backend}, which holds no copy");
                return Err(Fault::new(FaultKind::NoCopy, message));
            }
            if added.contains(*backend) {
                let message = format!("adds to and drops from backend {backend}");
                return Err(Fault::new(FaultKind::Contradiction, message));
            }
        }
        Ok(())
    }

    fn reason(answer: &mut ReplicationAnswer) -> Option<&mut String> {
        Some(&mut answer.reason)
    }

    /// As many of the candidates as are missing, those that can be written to first; nothing is
    /// dropped.
    fn native(input: &ReplicationInput<'_>, cause: NativeCause) -> ReplicationAnswer {
        let object = &input.object;
        let has = |backend| object.copies.iter().any(|copy| is_good_at(copy, backend));
        let good = |copy: &&_| is_good(copy);
        let missing = (object.copies_wanted as usize)
            .saturating_sub(object.copies.iter().filter(good).count());
        let writable = |backend: &u32| {
            let state = input.backends.get(*backend as usize);
            state.is_some_and(|state| state.writable)
        };
        let mut free: Vec<u32> = Vec::new();
        for backend in object.candidates {
            if !has(*backend) && !free.contains(backend) {
                free.push(*backend);
            }
        }
        free.sort_by_key(|backend| !writable(backend));
        let addition = |backend| Addition {
            backend,
            priority: 0,
            not_before_ms: 0,
        };
        ReplicationAnswer {
            add: free.into_iter().take(missing).map(addition).collect(),
            drop: Vec::new(),
            reason: format!("native copies: {}", because(cause)),
        }
    }
}

fn is_good(copy: &CopyFacts) -> bool {
    copy.state == CopyState::Good
}

fn is_good_at(copy: &CopyFacts, backend: u32) -> bool {
    copy.backend == backend && is_good(copy)
}
