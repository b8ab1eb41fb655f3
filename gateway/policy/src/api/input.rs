//! Any question, and any answer.

use serde::{Deserialize, Serialize};

use super::{
    BackendState, DecisionKind, OverflowAnswer, OverflowInput, PlacementAnswer, PlacementInput,
    ReplicationAnswer, ReplicationInput, RoutingAnswer, RoutingInput,
};

/// One of the questions. [`super::OwnedInput`] keeps one.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Where does a new version go?
    Placement(PlacementInput<'a>),
    /// Nowhere that placement prefers is room: what now?
    Overflow(OverflowInput<'a>),
    /// Which copies should this object have now?
    Replication(ReplicationInput<'a>),
    /// In which order are the copies tried?
    ReadRouting(RoutingInput<'a>),
}

/// What every question has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) facts_generation: u64,
    pub(crate) backends: &'a [BackendState],
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    /// Who asks; for questions that nobody asked, the bucket.
    pub(crate) principal: &'a str,
    pub(crate) now_ms: u64,
}

impl Input<'_> {
    /// Which question it is.
    #[must_use]
    pub const fn kind(&self) -> DecisionKind {
        match self {
            Self::Placement(_) => DecisionKind::Placement,
            Self::Overflow(_) => DecisionKind::Overflow,
            Self::Replication(_) => DecisionKind::Replication,
            Self::ReadRouting(_) => DecisionKind::ReadRouting,
        }
    }
}

/// An answer to one of the questions, of the shape that the matching decision promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Where a new version goes.
    Placement(PlacementAnswer),
    /// What happens when the preferred backends are full.
    Overflow(OverflowAnswer),
    /// Which copies the object should have.
    Replication(ReplicationAnswer),
    /// In which order the copies are tried.
    ReadRouting(RoutingAnswer),
}

impl Answer {
    /// Which question it answers.
    #[must_use]
    pub const fn kind(&self) -> DecisionKind {
        match self {
            Self::Placement(_) => DecisionKind::Placement,
            Self::Overflow(_) => DecisionKind::Overflow,
            Self::Replication(_) => DecisionKind::Replication,
            Self::ReadRouting(_) => DecisionKind::ReadRouting,
        }
    }

    /// Why, in words; empty where an answer has no reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Placement(answer) => &answer.reason,
            Self::Overflow(answer) => &answer.reason,
            Self::Replication(answer) => &answer.reason,
            Self::ReadRouting(_) => "",
        }
    }

    /// Whether both have the same effect: equal but for the reason.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Placement(a), Self::Placement(b)) => {
                (&a.candidates, a.copies, a.ack) == (&b.candidates, b.copies, b.ack)
            }
            (Self::Overflow(a), Self::Overflow(b)) => a.verdict == b.verdict,
            (Self::Replication(a), Self::Replication(b)) => (&a.add, &a.drop) == (&b.add, &b.drop),
            (Self::ReadRouting(a), Self::ReadRouting(b)) => a == b,
            _ => false,
        }
    }
}
