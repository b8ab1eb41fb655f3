//! Looks at a component before anything depends on it: what it is, whether the host would take
//! it, and what its calls give and cost. For authors and for CI; a gateway never needs it.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::api::{Answer, BackendFacts, DecisionKind, Decisions, Input, OwnedInput, StaticFacts};
use crate::decision;
use crate::engine::{Compiled, Runtime};
use crate::error::{ConfigError, Fault, LoadError, StartError};
use crate::guest::GuestShared;
use crate::instance::{Instance, Purpose};
use crate::limits::Limits;
use crate::metrics::Counters;
use crate::revision::{self, Description, RevisionId, sha256};
use crate::wire::Needs;

/// Times that every input is put to a reused instance by [`examine`], each time in another order.
const ROUNDS: usize = 4;

/// What [`examine`] found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// SHA-256 of the component, in hexadecimal digits.
    pub digest: String,
    /// Its size.
    pub bytes: usize,
    /// Why the host would not take it with these settings; `None` if it would.
    pub refused: Option<String>,
    /// The mistakes that it found in its settings, each as well in `refused`.
    pub config_errors: Vec<ConfigError>,
    /// What it imports; empty if it does not compile, as are those that follow.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The version of the WIT package that it was built against.
    pub api_version: Option<String>,
    /// What it decides.
    pub decides: Decisions,
    /// Time that it took to compile, in milliseconds.
    pub compile_ms: u64,
    /// Who it says it is.
    pub description: Option<Description>,
    /// Fuel that `configure` burnt.
    pub configure_fuel: u64,
    /// Memory of an instance that is configured.
    pub memory_bytes: usize,
    /// What came of each input, in their order.
    pub calls: Vec<CallReport>,
}

/// What came of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// What it asks.
    pub decision: DecisionKind,
    /// Why it was not asked: the component does not decide this, or the input is of other facts.
    pub skipped: Option<String>,
    /// What a fresh instance answers.
    pub outcome: Option<Outcome>,
    /// What a reused instance answered instead, whatever it was asked before; `None` if it
    /// always agreed.
    pub disagreement: Option<Outcome>,
    /// Fuel that the fresh instance burnt.
    pub fuel: u64,
    /// Time of a call to a reused instance, in nanoseconds: the median.
    pub nanos: u64,
    /// Memory of the fresh instance after the call.
    pub memory_bytes: usize,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// An answer of the right shape.
    Answer(Answer),
    /// None.
    Fault(Fault),
}

impl Report {
    /// Whether the host would take it and no call disagreed with another. Calls that give no
    /// answer do so each time, so they count as good here: look at the outcomes.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.refused.is_none() && self.calls.iter().all(|call| call.disagreement.is_none())
    }
}

impl From<Result<Answer, Fault>> for Outcome {
    fn from(result: Result<Answer, Fault>) -> Self {
        match result {
            Ok(answer) => Self::Answer(answer),
            Err(fault) => Self::Fault(fault),
        }
    }
}

/// Examines a component under the limits that a host would have. Each of `inputs` is put to a
/// fresh instance, whose answer is the right one, and several times, in changing order, to one
/// that has seen all the others.
///
/// Without facts, plain backends are made up, as many as the first input has. The generation
/// that an input names is not looked at.
///
/// An error only if the engine does not start; whatever is wrong with the component is in the
/// report. Takes as long as compiling does, and the calls.
pub fn examine(
    component: &[u8],
    settings: &str,
    facts: Option<&StaticFacts>,
    inputs: &[OwnedInput],
    limits: Limits,
) -> Result<Report, StartError> {
    let runtime = Runtime::new(limits, None)?;
    let mut report = Report {
        digest: hex::encode(sha256(component)),
        bytes: component.len(),
        ..Report::default()
    };
    if let Err(error) = fill(&mut report, &runtime, component, settings, facts, inputs) {
        report.refused = Some(error.to_string());
        if let LoadError::Configure(errors) = error {
            report.config_errors = errors;
        }
    }
    Ok(report)
}

/// What one input costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCost {
    /// What it asks.
    pub decision: DecisionKind,
    /// Time of a call to a reused instance, in nanoseconds, in ascending order.
    pub reused_nanos: Vec<u64>,
    /// Time to make and configure an instance, and of the call, in nanoseconds, in ascending
    /// order.
    pub fresh_nanos: Vec<u64>,
    /// Fuel that a fresh instance burns in the call.
    pub fuel: u64,
    /// Memory of an instance after it, the most that was seen.
    pub memory_bytes: usize,
}

/// Measures what calls cost, `rounds` times each; the inputs take turns, so that a change of the
/// machine's speed meets all of them. Inputs that the component does not decide, or that are of
/// other facts, are left out. Facts are as for [`examine`].
pub fn measure(
    component: &[u8],
    settings: &str,
    facts: Option<&StaticFacts>,
    inputs: &[OwnedInput],
    limits: Limits,
    rounds: usize,
) -> Result<Vec<CallCost>, MeasureError> {
    let runtime = Runtime::new(limits, None)?;
    let compiled = runtime.compile(component)?;
    let facts = facts.map_or_else(|| plain_facts(inputs), StaticFacts::clone);
    let subject = Examined::new(&runtime, &compiled, settings, &facts)?;
    let mut costs: Vec<(&OwnedInput, CallCost)> = inputs
        .iter()
        .filter(|input| subject.skips(input).is_none())
        .map(|input| {
            let cost = CallCost {
                decision: input.kind(),
                reused_nanos: Vec::with_capacity(rounds),
                fresh_nanos: Vec::with_capacity(rounds),
                fuel: 0,
                memory_bytes: 0,
            };
            (input, cost)
        })
        .collect();
    let mut reused = subject.fresh()?;
    for _ in 0..rounds {
        for (input, cost) in &mut costs {
            let call = subject.call(&mut reused, input);
            cost.reused_nanos.push(call.nanos);
            if matches!(call.outcome, Outcome::Fault(_)) {
                reused = subject.fresh()?;
            }
            let started = Instant::now();
            let mut fresh = subject.fresh()?;
            let call = subject.call(&mut fresh, input);
            cost.fresh_nanos.push(nanos_since(started));
            cost.fuel = call.fuel;
            cost.memory_bytes = cost.memory_bytes.max(call.memory_bytes);
        }
    }
    let sorted = |(_, mut cost): (_, CallCost)| {
        cost.reused_nanos.sort_unstable();
        cost.fresh_nanos.sort_unstable();
        cost
    };
    Ok(costs.into_iter().map(sorted).collect())
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The engine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The host would not take the component.
    #[error(transparent)]
    Load(#[from] LoadError),
}

fn fill(
    report: &mut Report,
    runtime: &Runtime,
    component: &[u8],
    settings: &str,
    facts: Option<&StaticFacts>,
    inputs: &[OwnedInput],
) -> Result<(), LoadError> {
    let started = Instant::now();
    let compiled = runtime.compile(component)?;
    report.compile_ms = nanos_since(started) / 1_000_000;
    report.imports.clone_from(&compiled.imports);
    report.exports.clone_from(&compiled.exports);
    let version = compiled.shape.version.text();
    report.api_version = Some(version.to_owned());
    report.decides = compiled.shape.decides;
    let described = revision::describe(runtime, &compiled, &nobodys())?;
    report.description = Some(Description::of(described, version));
    let facts = facts.map_or_else(|| plain_facts(inputs), StaticFacts::clone);
    let subject = Examined::new(runtime, &compiled, settings, &facts)?;
    let configured = subject.fresh()?;
    let limits = &runtime.limits;
    report.configure_fuel = limits.configure_fuel_max - configured.fuel_left();
    report.memory_bytes = configured.memory_bytes();
    report.calls = calls(&subject, inputs)?;
    Ok(())
}

fn calls(subject: &Examined<'_>, inputs: &[OwnedInput]) -> Result<Vec<CallReport>, LoadError> {
    let mut reports = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut report = CallReport {
            decision: input.kind(),
            skipped: subject.skips(input),
            outcome: None,
            disagreement: None,
            fuel: 0,
            nanos: 0,
            memory_bytes: 0,
        };
        if report.skipped.is_none() {
            let call = subject.call(&mut subject.fresh()?, input);
            report.outcome = Some(call.outcome);
            report.fuel = call.fuel;
            report.memory_bytes = call.memory_bytes;
        }
        reports.push(report);
    }
    let mut order: Vec<_> = (0..inputs.len())
        .filter(|at| reports[*at].skipped.is_none())
        .collect();
    let mut nanos = vec![Vec::new(); inputs.len()];
    let mut reused = subject.fresh()?;
    for round in 0..ROUNDS {
        shuffle(&mut order, round as u64);
        for &at in &order {
            // Twice in a row, because a cache of the last answer is the simplest hidden state.
            for _ in 0..2 {
                let call = subject.call(&mut reused, &inputs[at]);
                nanos[at].push(call.nanos);
                if matches!(call.outcome, Outcome::Fault(_)) {
                    reused = subject.fresh()?;
                }
                let report = &mut reports[at];
                if report.disagreement.is_none() && report.outcome.as_ref() != Some(&call.outcome) {
                    report.disagreement = Some(call.outcome);
                }
            }
        }
    }
    for (report, mut nanos) in reports.iter_mut().zip(nanos) {
        nanos.sort_unstable();
        report.nanos = nanos.get(nanos.len() / 2).copied().unwrap_or(0);
    }
    Ok(reports)
}

/// A component that is compiled and takes its settings.
struct Examined<'a> {
    runtime: &'a Runtime,
    compiled: &'a Compiled,
    shared: Arc<GuestShared>,
    needs: Needs,
    settings: &'a str,
    facts: &'a StaticFacts,
}

struct Call {
    outcome: Outcome,
    fuel: u64,
    nanos: u64,
    memory_bytes: usize,
}

impl<'a> Examined<'a> {
    fn new(
        runtime: &'a Runtime,
        compiled: &'a Compiled,
        settings: &'a str,
        facts: &'a StaticFacts,
    ) -> Result<Self, LoadError> {
        revision::check_settings(settings, runtime.limits.settings_bytes_max)?;
        let shared = nobodys();
        Ok(Self {
            needs: revision::describe(runtime, compiled, &shared)?.needs,
            runtime,
            compiled,
            shared,
            settings,
            facts,
        })
    }

    fn fresh(&self) -> Result<Instance, LoadError> {
        let Self {
            runtime,
            compiled,
            shared,
            needs,
            settings,
            facts,
        } = self;
        revision::configure(runtime, compiled, shared, *needs, settings, facts)
    }

    fn skips(&self, input: &OwnedInput) -> Option<String> {
        if !self.compiled.shape.decides.contains(input.kind()) {
            return Some(format!("the component does not decide {}", input.kind()));
        }
        let (found, known) = (backends(input), self.facts.backends.len());
        (found != known).then(|| format!("{found} backends, and the facts have {known}"))
    }

    fn call(&self, instance: &mut Instance, input: &OwnedInput) -> Call {
        let limits = &self.runtime.limits;
        input.borrow(|input: Input<'_>| {
            let started = Instant::now();
            let outcome = instance.answer(&input, limits, Purpose::Compare);
            Call {
                nanos: nanos_since(started),
                outcome: outcome.into(),
                fuel: limits.call_fuel(decision::subject(&input).backends.len())
                    - instance.fuel_left(),
                memory_bytes: instance.memory_bytes(),
            }
        })
    }
}

fn backends(input: &OwnedInput) -> usize {
    match input {
        OwnedInput::Placement(input) => input.backends.len(),
        OwnedInput::Overflow(input) => input.backends.len(),
        OwnedInput::Replication(input) => input.backends.len(),
        OwnedInput::ReadRouting(input) => input.backends.len(),
    }
}

fn plain_facts(inputs: &[OwnedInput]) -> StaticFacts {
    let backend = |n| BackendFacts {
        id: format!("b{n}"),
        ..BackendFacts::default()
    };
    StaticFacts {
        backends: (0..inputs.first().map_or(0, backends))
            .map(backend)
            .collect(),
        ..StaticFacts::default()
    }
}

/// For instances of no binding.
fn nobodys() -> Arc<GuestShared> {
    let counters = Arc::new(Counters::default());
    Arc::new(GuestShared::new("", RevisionId::default(), counters))
}

/// Another order for each round, the same in every run.
fn shuffle(order: &mut [usize], round: u64) {
    let mut state = round;
    for last in (1..order.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = (state >> 33) as usize % (last + 1);
        order.swap(last, other);
    }
}

fn nanos_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
