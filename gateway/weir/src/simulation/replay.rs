//! Whether a component decides as was recorded.

use std::fmt;

use serde::Serialize;

use super::{Outcome, Subject};
use crate::in_words::{self, counted};
use crate::recording::{Decision, Recording};

/// Differences that are shown.
const SHOWN_MAX: usize = 10;

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    /// The recorded policy.
    pub policy: String,
    /// Name and version of the component.
    pub component: String,
    /// Id of the component with its settings.
    pub revision: String,
    /// Decisions that were asked again.
    pub compared: u64,
    /// Those with the same answer, reason included, or the same failure.
    pub same: u64,
    /// Those with another.
    pub different: u64,
    /// Decisions that were not asked again: the native default made them without asking.
    pub native: u64,
    /// Decisions of other revisions, where the recording has some of this one.
    pub other_revisions: u64,
    /// Some of the differences.
    pub examples: Vec<Example>,
}

/// A decision that came out differently.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// `placement`, …
    pub decision: &'static str,
    /// Bucket and key.
    pub subject: String,
    /// Bytes written or read.
    pub bytes: u64,
    /// What was recorded.
    pub recorded: String,
    /// What the component says.
    pub now: String,
}

impl Example {
    pub(super) fn of(
        decision: &Decision,
        recorded: &Outcome,
        now: &Outcome,
        r: &Recording,
    ) -> Self {
        let (subject, bytes) = in_words::subject(&decision.input);
        let words = |outcome: &Outcome| match outcome {
            Outcome::Answer(answer) => in_words::answer(answer, &r.header.facts),
            Outcome::Fault(kind) => format!("no answer: {}", kind.name()),
            Outcome::NotDecided => "does not decide this".to_owned(),
        };
        Self {
            decision: decision.input.kind().name(),
            subject,
            bytes,
            recorded: words(recorded),
            now: words(now),
        }
    }
}

impl Replay {
    /// Whether something was compared, and all of it was the same.
    pub fn is_same(&self) -> bool {
        self.compared > 0 && self.different == 0
    }
}

/// What was recorded of a decision; `None` when no component was asked.
pub(super) fn recorded(decision: &Decision) -> Option<Outcome> {
    match (decision.fault, decision.native) {
        (Some(kind), _) => Some(Outcome::Fault(kind)),
        (None, None) => Some(Outcome::Answer(decision.answer.clone())),
        (None, Some(_)) => None,
    }
}

/// Asks the component everything that was recorded.
pub fn replay(recording: &Recording, subject: &Subject, progress: &dyn Fn(String)) -> Replay {
    let mut replay = Replay {
        policy: recording.header.policy.clone(),
        component: subject.name(),
        revision: subject.revision(),
        compared: 0,
        same: 0,
        different: 0,
        native: 0,
        other_revisions: 0,
        examples: Vec::new(),
    };
    // Where this very revision decided, only what it decided can be expected to be the same.
    let is_own = |decision: &Decision| decision.is_by(&replay.revision);
    let has_own = recording.decisions.iter().any(is_own);
    let of_others = |decision: &Decision| {
        has_own && decision.revision_digits().is_some() && !decision.is_by(&subject.revision())
    };
    for (n, decision) in recording.decisions.iter().enumerate() {
        if n > 0 && n.is_multiple_of(super::simulate::PROGRESS_EVERY) {
            progress(format!("{n} of {} decisions", recording.decisions.len()));
        }
        let Some(recorded) = recorded(decision) else {
            replay.native += 1;
            continue;
        };
        if of_others(decision) {
            replay.other_revisions += 1;
            continue;
        }
        replay.compared += 1;
        let now = subject.ask(&decision.input);
        if now == recorded {
            replay.same += 1;
            continue;
        }
        replay.different += 1;
        if replay.examples.len() < SHOWN_MAX {
            let example = Example::of(decision, &recorded, &now, recording);
            replay.examples.push(example);
        }
    }
    replay
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decisions = counted(self.compared, "decision", "decisions");
        writeln!(
            f,
            "{} against {}: {decisions} asked again",
            self.policy, self.component
        )?;
        for (count, what) in [
            (self.native, "made by the native default without asking"),
            (self.other_revisions, "made by other revisions"),
        ] {
            if count > 0 {
                writeln!(f, "  left out: {count} {what}")?;
            }
        }
        for example in &self.examples {
            write!(f, "{example}")?;
        }
        if self.is_same() {
            writeln!(f, "identical")
        } else if self.compared == 0 {
            writeln!(f, "nothing was compared")
        } else {
            writeln!(f, "{} of {decisions} differ", self.different)
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            decision,
            subject,
            bytes,
            recorded,
            now,
        } = self;
        writeln!(f, "  {decision} {subject} ({bytes} bytes)")?;
        writeln!(f, "    - {recorded}")?;
        writeln!(f, "    + {now}")
    }
}
