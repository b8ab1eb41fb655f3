//! What happens when the preferred backends are full or over a usage limit.

use serde::{Deserialize, Serialize};

use super::{BackendState, Origin, RequestFacts};

/// Which limit stands in the way of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// Bytes stored.
    Bytes,
    /// Objects stored.
    Objects,
    /// Writing requests of the calendar month.
    MonthWrites,
    /// Bytes sent in the calendar month.
    MonthIngress,
}

/// A backend that placement proposed and the caller may not use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Index of the backend.
    pub backend: u32,
    /// Why.
    pub obstacle: Obstacle,
    /// When a monthly limit begins anew, milliseconds since 1970; `None` for the others.
    pub resets_at_ms: Option<u64>,
}

/// Nowhere that placement prefers is room: what now?
#[derive(Clone, Copy, Debug)]
pub struct OverflowInput<'a> {
    /// [`super::StaticFacts::generation`] of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The request.
    pub request: RequestFacts<'a>,
    /// What placement proposed in vain, best first; not empty.
    pub excluded: &'a [Excluded],
    /// One entry for each of [`super::StaticFacts::backends`], in that order.
    pub backends: &'a [BackendState],
}

/// Objects that could make room by moving elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// Index of the backend that they leave.
    pub source: u32,
    /// Indices of the backends that may take them, best first; at least one, without `source`.
    pub targets: Vec<u32>,
    /// Only keys that start with this.
    pub prefix: String,
    /// Only objects of this storage class; `None`: of any.
    pub storage_class: Option<String>,
    /// Only objects that were written at least so long ago.
    pub age_ms_min: u64,
    /// At most so many bytes.
    pub bytes_max: u64,
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Write to these instead, best first; at least one.
    Spill(Vec<u32>),
    /// Write nowhere, and tell the client the reason.
    Refuse,
    /// Move other objects away.
    MakeRoom {
        /// What may move; at least one.
        evictions: Vec<Eviction>,
        /// Where this object goes meanwhile, best first; may be empty.
        meanwhile: Vec<u32>,
    },
}

/// An answer of the right shape: every index is known, none twice in a list. Constraints and
/// room are the caller's to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverflowDecision {
    /// What is to happen.
    pub verdict: Verdict,
    /// Why: one short line without control characters.
    pub reason: String,
    /// Who decided.
    pub origin: Origin,
}

/// [`OverflowDecision`] without its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverflowAnswer {
    /// What is to happen.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

impl OverflowAnswer {
    pub(crate) fn by(self, origin: Origin) -> OverflowDecision {
        let Self { verdict, reason } = self;
        OverflowDecision {
            verdict,
            reason,
            origin,
        }
    }
}
