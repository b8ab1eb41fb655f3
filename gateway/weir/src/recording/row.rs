//! The lines of a recording.

use serde::{Deserialize, Serialize};
use weir_policy::{Answer, DecidedBy, FaultKind, NativeCause, Origin, OwnedInput, StaticFacts};

use crate::config::model::PolicyHostConfig;

/// The form of the files that this version writes.
pub(super) const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "kebab-case")]
pub enum Row {
    /// The first line of each file.
    Header(Box<Header>),
    /// Settings of a revision, before its first decision in the file.
    Revision {
        /// Its id.
        id: String,
        /// A JSON document.
        settings: String,
    },
    /// A decision.
    Decision(Box<Decision>),
}

/// What a replay needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The form of the file.
    pub format: u32,
    /// The policy.
    pub policy: String,
    /// When the file was begun, RFC 3339 in UTC.
    pub started_at: String,
    /// How many of a thousand decisions are recorded.
    pub share_permille: u16,
    /// Limits that decide which calls fail.
    pub limits: Limits,
    /// What the policy was told once.
    pub facts: StaticFacts,
}

/// Limits that decide which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Fuel of one decision.
    pub call_fuel_max: u64,
    /// Fuel of one decision for each backend in addition; there was none before it was recorded.
    #[serde(default)]
    pub call_fuel_per_backend_max: u64,
    /// Memory of one instance.
    pub memory_bytes_max: usize,
}

impl Limits {
    /// Those of a configuration.
    pub fn of(config: &PolicyHostConfig) -> Self {
        Self {
            call_fuel_max: config.call_fuel_max,
            call_fuel_per_backend_max: config.call_fuel_per_backend_max,
            memory_bytes_max: config.memory_bytes_max,
        }
    }
}

/// A decision as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Who decided: `name@digest`, or `native`.
    pub revision: String,
    /// Why the native default did, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeCause>,
    /// What the revision that was asked first did wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultKind>,
    /// The question.
    pub input: OwnedInput,
    /// The answer.
    pub answer: Answer,
}

impl Decision {
    pub(super) fn of(input: OwnedInput, answer: Answer, origin: &Origin) -> Self {
        Self {
            revision: origin.revision.to_string(),
            native: match origin.decided_by {
                DecidedBy::Revision(_) => None,
                DecidedBy::Native(cause) => Some(cause),
            },
            fault: origin.fault.as_ref().map(|fault| fault.kind),
            input,
            answer,
        }
    }

    /// Whether this revision decided.
    pub fn is_by(&self, revision: &str) -> bool {
        let digits = self.revision_digits();
        digits.is_some_and(|digits| revision.starts_with(digits))
    }

    /// Digits of the revision that decided; `None` for the native default.
    pub fn revision_digits(&self) -> Option<&str> {
        self.revision.rsplit_once('@').map(|(_, digits)| digits)
    }
}
