//! Recorded decisions run against a component: [`replay()`] asks whether it decides the same,
//! [`simulate()`] what would be different.
//!
//! A component is given what was recorded: the facts, the limits in force, each question with
//! the state of every backend. Fuel is the limit and time is not, so that a slow machine
//! decides as a quick one does; quarantine is off, because each decision stands for itself.

mod command;
mod objects;
mod replay;
mod simulate;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_policy::{
    Answer, BindingSettings, DecidedBy, DecisionKind, Description, FaultKind, HostOptions, Input,
    Limits, NativeCause, OnFault, Origin, OverflowAnswer, OwnedInput, PlacementAnswer, PolicyHost,
    Refused, ReplicationAnswer, RevisionId, RoutingAnswer,
};

use crate::error::Failure;
use crate::recording::Recording;

pub use command::{ReplayArgs, SimulateArgs, run_replay, run_simulate};
pub use replay::{Replay, replay};
pub use simulate::{Simulation, simulate};

const BINDING: &str = "simulation";
/// Backstop for a machine that stalls; a decision that burns all of its fuel takes milliseconds.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Largest component: what a gateway takes is its own matter.
const COMPONENT_BYTES_MAX: usize = 256 << 20;

/// A component, ready to be asked what was recorded.
pub struct Subject {
    host: PolicyHost,
    id: RevisionId,
    description: Description,
    facts_generation: u64,
}

/// What a component makes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answer(Answer),
    /// None: a trap, a limit, a wrong answer.
    Fault(FaultKind),
    /// It does not decide this.
    NotDecided,
}

impl Subject {
    /// Loads a component as the recording's gateway would have. Without `settings` it gets
    /// those that the recorded revision had.
    pub fn load(
        component: &Path,
        settings: Option<&str>,
        recording: &Recording,
    ) -> Result<Self, Failure> {
        let read = std::fs::read(component);
        let bytes = read.map_err(|e| Failure::new(format!("{}: {e}", component.display())))?;
        let header = &recording.header;
        let limits = Limits {
            call_fuel_max: header.limits.call_fuel_max,
            call_fuel_per_backend_max: header.limits.call_fuel_per_backend_max,
            memory_bytes_max: header.limits.memory_bytes_max,
            call_time_max: CALL_TIME_MAX,
            configure_time_max: CALL_TIME_MAX,
            component_bytes_max: COMPONENT_BYTES_MAX,
            determinism_check_every: 0,
            quarantine_keys_min: usize::MAX,
            ..Limits::default()
        };
        let host = PolicyHost::with_options(HostOptions {
            limits,
            ..HostOptions::default()
        });
        let host = host.map_err(Failure::of)?;
        let native = BindingSettings {
            on_fault: OnFault::Native,
            ..BindingSettings::default()
        };
        host.bind(BINDING, native);
        let settings = settings.unwrap_or_else(|| recording.settings_in_force());
        let facts = Arc::new(header.facts.clone());
        let loaded = host.load(BINDING, &bytes, None, settings, &facts);
        let id = loaded.map_err(|e| Failure::new(format!("{}: {e}", component.display())))?;
        host.activate(BINDING, id).map_err(Failure::of)?;
        let description = host.description(BINDING, id).unwrap_or_default();
        Ok(Self {
            host,
            id,
            description,
            facts_generation: header.facts.generation,
        })
    }

    /// Name and version that it gives itself.
    pub fn name(&self) -> String {
        format!("{} {}", self.description.name, self.description.version)
    }

    /// The id of the component with its settings.
    pub fn revision(&self) -> String {
        self.id.to_string()
    }

    fn decides(&self, kind: DecisionKind) -> bool {
        self.description.decides.contains(kind)
    }

    /// Asks.
    fn ask(&self, input: &OwnedInput) -> Outcome {
        let mut input = input.clone();
        input.set_facts_generation(self.facts_generation);
        // The native default answers what the component does not: nothing is refused.
        match input.borrow(|input| self.decide(&input)) {
            Ok((answer, origin)) => match (origin.fault, origin.decided_by) {
                (Some(fault), _) => Outcome::Fault(fault.kind),
                (None, DecidedBy::Native(NativeCause::NotDecided)) => Outcome::NotDecided,
                (None, _) => Outcome::Answer(answer),
            },
            Err(_) => Outcome::NotDecided,
        }
    }

    fn decide(&self, input: &Input<'_>) -> Result<(Answer, Origin), Refused> {
        match input {
            Input::Placement(input) => self.host.place(BINDING, input).map(|d| {
                let answer = PlacementAnswer {
                    candidates: d.candidates,
                    copies: d.copies,
                    ack: d.ack,
                    reason: d.reason,
                };
                (Answer::Placement(answer), d.origin)
            }),
            Input::Overflow(input) => self.host.overflow(BINDING, input).map(|d| {
                let answer = OverflowAnswer {
                    verdict: d.verdict,
                    reason: d.reason,
                };
                (Answer::Overflow(answer), d.origin)
            }),
            Input::Replication(input) => self.host.replicate(BINDING, input).map(|d| {
                let answer = ReplicationAnswer {
                    add: d.add,
                    drop: d.drop,
                    reason: d.reason,
                };
                (Answer::Replication(answer), d.origin)
            }),
            Input::ReadRouting(input) => self.host.route(BINDING, input).map(|d| {
                let answer = RoutingAnswer {
                    order: d.order,
                    hedge_after_us: d.hedge_after_us,
                };
                (Answer::ReadRouting(answer), d.origin)
            }),
        }
    }
}

#[cfg(test)]
mod tests;
