//! The step `check`: what a revision is and does, before it decides anything.

use std::fmt;

use serde::Serialize;
use weir_policy::examine::{CallReport, Outcome, Report};
use weir_policy::{
    BackendState, CopyFacts, CopyState, Excluded, Obstacle, OwnedInput, OwnedObject, OwnedOverflow,
    OwnedPlacement, OwnedRead, OwnedReplication, OwnedRequest, OwnedRouting, StaticFacts, examine,
};

use super::audit::{OK, Step, Who};
use super::{Policies, PolicyError};
use crate::in_words::counted;
use crate::recording;

/// Recorded decisions that a check runs.
const INPUTS_MAX: usize = 200;
/// Calls without an answer that are shown.
const SHOWN_MAX: usize = 10;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The policy.
    pub policy: String,
    /// Whether it was put to decisions that were recorded, or to made-up ones.
    pub recorded: bool,
    /// Whether it would be taken, agrees with itself, and answers everything.
    pub good: bool,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Everything.
    pub report: Report,
}

impl Policies {
    /// Examines a revision on what was recorded last, or on made-up questions when nothing was.
    /// Changes nothing. Blocks.
    pub fn check(&self, name: &str, revision: Option<&str>) -> Result<Checked, PolicyError> {
        let (held, settings) = {
            let entry = self.entry(name)?.lock();
            let state = self.state(name);
            let found = state.find(revision.unwrap_or("latest"));
            let held = found.map_err(PolicyError::Asked)?.clone();
            let settings = held.settings.as_ref().unwrap_or(&entry.settings).clone();
            (held, settings)
        };
        let component = self.store.get(&held.component)?.component;
        let recorded = recording::latest_inputs(&self.recorder.folder(name), INPUTS_MAX);
        let is_recorded = !recorded.is_empty();
        let inputs = if is_recorded {
            recorded
        } else {
            made_up(&self.facts)
        };
        let limits = self.limits.clone();
        let report = examine(&component, &settings, Some(&self.facts), &inputs, limits);
        let report = report.map_err(|error| PolicyError::Refused(error.to_string()))?;
        let problems = problems(&report);
        let result = if problems.is_empty() {
            OK.to_owned()
        } else {
            problems.join("; ")
        };
        self.tell(
            Who::AdminToken,
            name,
            Step::Check,
            held.named(&settings),
            &result,
        )?;
        Ok(Checked {
            policy: name.to_owned(),
            recorded: is_recorded,
            good: problems.is_empty(),
            problems,
            report,
        })
    }
}

fn problems(report: &Report) -> Vec<String> {
    let mut problems: Vec<String> = report.refused.iter().cloned().collect();
    let disagree = report
        .calls
        .iter()
        .filter(|call| call.disagreement.is_some());
    let disagree = disagree.count() as u64;
    if disagree > 0 {
        let calls = counted(disagree, "call", "calls");
        problems.push(format!(
            "{calls} gave another answer on a reused instance: it keeps hidden state"
        ));
    }
    let faults: Vec<_> = report.calls.iter().filter_map(fault).collect();
    for fault in faults.iter().take(SHOWN_MAX) {
        problems.push(fault.clone());
    }
    if let Some(more) = faults.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        problems.push(format!("and {more} more without an answer"));
    }
    problems
}

fn fault(call: &CallReport) -> Option<String> {
    match &call.outcome {
        Some(Outcome::Fault(fault)) => Some(format!("{}: {fault}", call.decision)),
        _ => None,
    }
}

/// A few questions about these backends: nothing stored, much stored, unknown and great sizes.
fn made_up(facts: &StaticFacts) -> Vec<OwnedInput> {
    let count = u32::try_from(facts.backends.len()).unwrap_or(u32::MAX);
    let generation = facts.generation;
    let backends = |used_bytes: u64| {
        let state = |limit_bytes: Option<u64>| BackendState {
            used_bytes: limit_bytes.map_or(used_bytes, |limit| used_bytes.min(limit)),
            limit_bytes,
            writable: true,
            latency_us: 1000,
            ..BackendState::default()
        };
        let states = facts
            .backends
            .iter()
            .map(|backend| state(backend.limits.bytes));
        states.collect::<Vec<_>>()
    };
    let request = |size_bytes: Option<u64>| OwnedRequest {
        bucket: "bucket".into(),
        key: "folder/key".into(),
        size_bytes,
        principal: "principal".into(),
        site: facts.site.id.clone(),
        copies: 2.min(count),
        ack: 1,
        now_ms: 1_767_225_600_000,
        entropy: 0x9e37_79b9_7f4a_7c15,
        ..OwnedRequest::default()
    };
    let first: Vec<u32> = (0..count.min(2)).collect();
    let mut inputs = Vec::new();
    for size_bytes in [None, Some(0), Some(4096), Some(5 << 40)] {
        for used_bytes in [0, 1 << 50] {
            inputs.push(OwnedInput::Placement(OwnedPlacement {
                facts_generation: generation,
                request: request(size_bytes),
                backends: backends(used_bytes),
            }));
        }
        inputs.push(OwnedInput::Overflow(OwnedOverflow {
            facts_generation: generation,
            request: request(size_bytes),
            excluded: vec![Excluded {
                backend: 0,
                obstacle: Obstacle::Bytes,
                resets_at_ms: None,
            }],
            backends: backends(1 << 50),
        }));
    }
    inputs.push(OwnedInput::Replication(OwnedReplication {
        facts_generation: generation,
        object: OwnedObject {
            bucket: "bucket".into(),
            key: "folder/key".into(),
            size_bytes: 4096,
            copies_wanted: 2.min(count),
            candidates: first.clone(),
            copies: vec![CopyFacts {
                backend: 0,
                state: CopyState::Good,
                written_at_ms: 1_767_225_600_000,
            }],
            now_ms: 1_767_225_600_000,
            ..OwnedObject::default()
        },
        backends: backends(0),
    }));
    if count >= 2 {
        inputs.push(OwnedInput::ReadRouting(OwnedRouting {
            facts_generation: generation,
            read: OwnedRead {
                bucket: "bucket".into(),
                key: "folder/key".into(),
                size_bytes: 4096,
                length_bytes: 4096,
                principal: "principal".into(),
                site: facts.site.id.clone(),
                copies: first,
                now_ms: 1_767_225_600_000,
                ..OwnedRead::default()
            },
            backends: backends(0),
        }));
    }
    inputs
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let description = report.description.as_ref();
        let name = description.map(|d| format!("{} {}", d.name, d.version));
        let name = name.as_deref().unwrap_or("-");
        writeln!(
            f,
            "{}: {name}, {} bytes, sha256:{}",
            self.policy, report.bytes, report.digest
        )?;
        let api = report.api_version.as_deref().unwrap_or("-");
        writeln!(f, "  weir:policy {api}, decides {}", report.decides)?;
        writeln!(f, "  imports {}", report.imports.join(", "))?;
        let questions = if self.recorded { "recorded" } else { "made-up" };
        let asked: Vec<&CallReport> = report
            .calls
            .iter()
            .filter(|call| call.outcome.is_some())
            .collect();
        let most =
            |of: fn(&CallReport) -> u64| asked.iter().map(|call| of(call)).max().unwrap_or(0);
        writeln!(
            f,
            "  {} of {} {questions} questions asked; at most {} units of fuel, {} ns, {} bytes of memory",
            asked.len(),
            report.calls.len(),
            most(|call| call.fuel),
            most(|call| call.nanos),
            most(|call| call.memory_bytes as u64),
        )?;
        for problem in &self.problems {
            writeln!(f, "  WRONG: {}", problem.escape_debug())?;
        }
        writeln!(f, "{}", if self.good { "good" } else { "not good" })
    }
}
