//! What would be different if a component decided.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use weir_policy::{Answer, CopyFacts, CopyState, DecisionKind, OwnedInput, StaticFacts};

use super::objects::{self, Costs, Key, Object, Objects, places, replicated, spilled, states_of};
use super::replay::{Example, recorded};
use super::{Outcome, Subject};
use crate::in_words::{self, counted};
use crate::recording::{Decision, Recording};

/// Decisions between two lines of progress.
pub(super) const PROGRESS_EVERY: usize = 100_000;

/// What a simulation found.
#[derive(Debug, Clone, Serialize)]
pub struct Simulation {
    /// The recorded policy.
    pub policy: String,
    /// Name and version of the component.
    pub component: String,
    /// Id of the component with its settings.
    pub revision: String,
    /// How many of a thousand decisions were recorded.
    pub share_permille: u16,
    /// By question: decisions, those that come out otherwise, those without an answer.
    pub decisions: Vec<Decisions>,
    /// Versions written.
    pub objects: u64,
    /// Those that would lie on other backends.
    pub elsewhere: u64,
    /// Their bytes, counted once for each.
    pub elsewhere_bytes: u64,
    /// Copies that would lie elsewhere.
    pub moves: Vec<Move>,
    /// What everything recorded costs.
    pub costs: Vec<Cost>,
    /// How full each backend is.
    pub fill: Vec<Fill>,
    /// Some of the differences.
    pub examples: Vec<Example>,
}

/// The decisions of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Decisions {
    /// `placement`, …
    pub decision: &'static str,
    /// Asked of the component.
    pub asked: u64,
    /// Decided otherwise than was recorded, reasons aside.
    pub otherwise: u64,
    /// Without an answer: a trap, a limit, a wrong answer.
    pub faults: u64,
    /// Not asked, because the component does not decide this; as recorded then.
    pub not_decided: u64,
}

/// Copies that would lie on another backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Where they were recorded; `None`: there was no such copy.
    pub from: Option<String>,
    /// Where they would lie; `None`: nowhere.
    pub to: Option<String>,
    /// Number of copies.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A kind of cost, in the operator's currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// What for.
    pub what: &'static str,
    /// As recorded.
    pub recorded: f64,
    /// As simulated.
    pub simulated: f64,
}

/// How full a backend is at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// Which.
    pub backend: String,
    /// Its limit.
    pub limit_bytes: Option<u64>,
    /// As recorded.
    pub recorded_bytes: u64,
    /// As simulated.
    pub simulated_bytes: u64,
}

/// A simulation under way.
struct Run<'a> {
    recording: &'a Recording,
    subject: &'a Subject,
    objects: Objects,
    reads: (Costs, Costs),
    decisions: BTreeMap<DecisionKind, Decisions>,
    examples: Vec<Example>,
    examples_max: usize,
}

/// Runs everything that was recorded against the component. Later questions are asked with the
/// backends as full as the component's earlier decisions would have made them.
pub fn simulate(
    recording: &Recording,
    subject: &Subject,
    examples_max: usize,
    progress: &dyn Fn(String),
) -> Simulation {
    let facts = &recording.header.facts;
    let mut run = Run {
        recording,
        subject,
        objects: Objects::new(facts.backends.len()),
        reads: Default::default(),
        decisions: BTreeMap::new(),
        examples: Vec::new(),
        examples_max,
    };
    for (n, decision) in recording.decisions.iter().enumerate() {
        if n > 0 && n.is_multiple_of(PROGRESS_EVERY) {
            progress(format!("{n} of {} decisions", recording.decisions.len()));
        }
        run.decide(decision);
    }
    run.report()
}

impl Run<'_> {
    fn decide(&mut self, decision: &Decision) {
        let before = recorded(decision);
        let mut input = decision.input.clone();
        self.objects.shifted(states_of(&mut input));
        self.put_simulated_copies(&mut input);
        let kind = input.kind();
        let after = if self.subject.decides(kind) {
            self.subject.ask(&input)
        } else {
            Outcome::NotDecided
        };
        self.note(decision, before, &after);
        // What the component does not decide, or fails to, happens as was recorded.
        let answer = match &after {
            Outcome::Answer(answer) => answer,
            Outcome::Fault(_) | Outcome::NotDecided => &decision.answer,
        };
        self.effect(decision, &input, answer);
    }

    fn note(&mut self, decision: &Decision, before: Option<Outcome>, after: &Outcome) {
        let kind = decision.input.kind();
        let counts = self.decisions.entry(kind).or_insert(Decisions {
            decision: kind.name(),
            asked: 0,
            otherwise: 0,
            faults: 0,
            not_decided: 0,
        });
        let otherwise = match after {
            Outcome::NotDecided => {
                counts.not_decided += 1;
                return;
            }
            Outcome::Answer(answer) => !decision.answer.agrees_with(answer),
            Outcome::Fault(_) => {
                counts.faults += 1;
                true
            }
        };
        counts.asked += 1;
        counts.otherwise += u64::from(otherwise);
        if otherwise && self.examples.len() < self.examples_max {
            let before = before.unwrap_or_else(|| Outcome::Answer(decision.answer.clone()));
            let example = Example::of(decision, &before, after, self.recording);
            self.examples.push(example);
        }
    }

    /// A question about copies is asked with the copies as they would be.
    fn put_simulated_copies(&self, input: &mut OwnedInput) {
        let OwnedInput::Replication(question) = input else {
            return;
        };
        let object = &mut question.object;
        let key = (object.bucket.clone(), object.key.clone());
        let Some(first) = self
            .objects
            .get(&key)
            .and_then(|o| o.after.first().copied())
        else {
            return;
        };
        if !object.copies.iter().any(|copy| copy.backend == first) {
            object.copies = vec![CopyFacts {
                backend: first,
                state: CopyState::Good,
                written_at_ms: object.now_ms,
            }];
        }
    }

    fn effect(&mut self, decision: &Decision, simulated: &OwnedInput, after: &Answer) {
        match (&decision.input, simulated, after) {
            (
                OwnedInput::Placement(input),
                OwnedInput::Placement(now),
                Answer::Placement(after),
            ) => {
                let Answer::Placement(before) = &decision.answer else {
                    return;
                };
                let request = &input.request;
                let bytes = request.size_bytes.unwrap_or(0);
                let object = Object {
                    bytes,
                    before: places(&before.candidates, before.copies, bytes, &input.backends),
                    after: places(&after.candidates, after.copies, bytes, &now.backends),
                };
                self.objects.put(key(&request.bucket, &request.key), object);
            }
            (OwnedInput::Overflow(input), OwnedInput::Overflow(now), Answer::Overflow(after)) => {
                let Answer::Overflow(before) = &decision.answer else {
                    return;
                };
                let request = &input.request;
                let bytes = request.size_bytes.unwrap_or(0);
                let key = key(&request.bucket, &request.key);
                self.objects.change(&key, |object| {
                    object.bytes = bytes;
                    object.before =
                        spilled(&before.verdict, request.copies, bytes, &input.backends);
                    // What has a place in the simulation does not spill there.
                    if object.after.is_empty() {
                        object.after =
                            spilled(&after.verdict, request.copies, bytes, &now.backends);
                    }
                });
            }
            (OwnedInput::Replication(input), OwnedInput::Replication(now), after) => {
                let backends = |copies: &[CopyFacts]| -> Vec<u32> {
                    copies.iter().map(|copy| copy.backend).collect()
                };
                let (base, base_now) =
                    (backends(&input.object.copies), backends(&now.object.copies));
                let key = key(&input.object.bucket, &input.object.key);
                let bytes = input.object.size_bytes;
                self.objects.change(&key, |object| {
                    object.bytes = bytes;
                    object.before = replicated(&base, &decision.answer);
                    object.after = replicated(&base_now, after);
                });
            }
            (OwnedInput::ReadRouting(input), _, Answer::ReadRouting(after)) => {
                let Answer::ReadRouting(before) = &decision.answer else {
                    return;
                };
                let facts = &self.recording.header.facts;
                let bytes = input.read.length_bytes;
                for (costs, order) in [
                    (&mut self.reads.0, &before.order),
                    (&mut self.reads.1, &after.order),
                ] {
                    if let Some(&first) = order.first() {
                        costs.add(objects::reading(bytes, first, facts));
                    }
                }
            }
            _ => {}
        }
    }

    fn report(self) -> Simulation {
        let facts = &self.recording.header.facts;
        let mut moves: BTreeMap<(Option<u32>, Option<u32>), (u64, u64)> = BTreeMap::new();
        let (mut count, mut elsewhere, mut elsewhere_bytes) = (0, 0, 0_u64);
        let (mut before, mut after) = (Costs::default(), Costs::default());
        for object in self.objects.all() {
            count += 1;
            before.add(objects::keeping(object.bytes, &object.before, facts));
            after.add(objects::keeping(object.bytes, &object.after, facts));
            let moved = moved(&object.before, &object.after);
            if moved.is_empty() {
                continue;
            }
            elsewhere += 1;
            elsewhere_bytes = elsewhere_bytes.saturating_add(object.bytes);
            for way in moved {
                let (copies, bytes) = moves.entry(way).or_default();
                *copies += 1;
                *bytes = bytes.saturating_add(object.bytes);
            }
        }
        let name = |place: Option<u32>| place.map(|place| in_words::name(place, facts));
        let one = |((from, to), (copies, bytes)): ((Option<u32>, Option<u32>), (u64, u64))| Move {
            from: name(from),
            to: name(to),
            copies,
            bytes,
        };
        let cost = |what, before: u128, after: u128| Cost {
            what,
            recorded: units(before),
            simulated: units(after),
        };
        let (reads_before, reads_after) = self.reads;
        Simulation {
            policy: self.recording.header.policy.clone(),
            component: self.subject.name(),
            revision: self.subject.revision(),
            share_permille: self.recording.header.share_permille,
            fill: fill(self.recording, &self.objects),
            decisions: self.decisions.into_values().collect(),
            objects: count,
            elsewhere,
            elsewhere_bytes,
            moves: moves.into_iter().map(one).collect(),
            costs: vec![
                cost(
                    "storage in a month",
                    before.storage_month,
                    after.storage_month,
                ),
                cost(
                    "requests to write and copy",
                    before.requests,
                    after.requests,
                ),
                cost("egress to copy", before.egress, after.egress),
                cost(
                    "requests to read",
                    reads_before.requests,
                    reads_after.requests,
                ),
                cost("egress to read", reads_before.egress, reads_after.egress),
            ],
            examples: self.examples,
        }
    }
}

fn key(bucket: &str, key: &str) -> Key {
    (bucket.to_owned(), key.to_owned())
}

/// Which copies lie elsewhere: what went paired with what came, the rest with nothing.
fn moved(before: &[u32], after: &[u32]) -> Vec<(Option<u32>, Option<u32>)> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
    let mut went = before.iter().filter(|place| !new.contains(place));
    let mut came = after.iter().filter(|place| !old.contains(place));
    let mut moved = Vec::new();
    loop {
        match (went.next().copied(), came.next().copied()) {
            (None, None) => return moved,
            way => moved.push(way),
        }
    }
}

fn fill(recording: &Recording, objects: &Objects) -> Vec<Fill> {
    let facts: &StaticFacts = &recording.header.facts;
    let last = recording.decisions.last().map(|decision| {
        let mut input = decision.input.clone();
        std::mem::take(states_of(&mut input))
    });
    let last = last.unwrap_or_default();
    let one = |(n, backend): (usize, &weir_policy::BackendFacts)| {
        let used = last.get(n).map_or(0, |state| state.used_bytes);
        Fill {
            backend: backend.id.clone(),
            limit_bytes: backend.limits.bytes,
            recorded_bytes: used,
            simulated_bytes: objects::shifted(used, objects.shift()[n]),
        }
    };
    facts.backends.iter().enumerate().map(one).collect()
}

/// Millionths of a millionth as whole units.
#[expect(clippy::cast_precision_loss, reason = "shown to a person")]
fn units(cost: u128) -> f64 {
    cost as f64 / 1e12
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, if {} decided", self.policy, self.component)?;
        if self.share_permille < 1000 {
            let share = self.share_permille;
            writeln!(
                f,
                "(recorded: {share} of 1000 decisions; all figures are of these)"
            )?;
        }
        writeln!(f, "\ndecisions")?;
        for decisions in &self.decisions {
            let Decisions {
                decision,
                asked,
                otherwise,
                faults,
                not_decided,
            } = decisions;
            write!(f, "  {decision}: {otherwise} of {asked} otherwise")?;
            if *faults > 0 {
                write!(f, ", {faults} without an answer")?;
            }
            if *not_decided > 0 {
                write!(f, ", {not_decided} that it does not decide: as recorded")?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nobjects\n  {} of {} would lie elsewhere, {} bytes",
            self.elsewhere, self.objects, self.elsewhere_bytes
        )?;
        for Move {
            from,
            to,
            copies,
            bytes,
        } in &self.moves
        {
            let copies = counted(*copies, "copy", "copies");
            let place = |place: &Option<String>| place.clone().unwrap_or_else(|| "nowhere".into());
            writeln!(
                f,
                "  {} → {}: {copies}, {bytes} bytes",
                place(from),
                place(to)
            )?;
        }
        writeln!(f, "\ncosts")?;
        for Cost {
            what,
            recorded,
            simulated,
        } in &self.costs
        {
            let difference = simulated - recorded;
            writeln!(
                f,
                "  {what}: {recorded:.6} → {simulated:.6} ({difference:+.6})"
            )?;
        }
        writeln!(f, "\nbackends at the end")?;
        for fill in &self.fill {
            writeln!(f, "{fill}")?;
        }
        if self.examples.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nfor example")?;
        for example in &self.examples {
            write!(f, "{example}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            backend,
            limit_bytes,
            recorded_bytes,
            simulated_bytes,
        } = self;
        write!(f, "  {backend}: {recorded_bytes} → {simulated_bytes} bytes")?;
        let Some(limit) = limit_bytes else {
            return write!(f, ", no limit");
        };
        let percent = |bytes: u64| u128::from(bytes) * 100 / u128::from(*limit).max(1);
        write!(
            f,
            " of {limit} ({}% → {}%)",
            percent(*recorded_bytes),
            percent(*simulated_bytes)
        )?;
        if simulated_bytes > limit {
            write!(f, ", OVER ITS LIMIT")?;
        }
        Ok(())
    }
}
