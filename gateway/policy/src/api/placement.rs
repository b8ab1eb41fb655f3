//! Where a new version goes.

use serde::{Deserialize, Serialize};

use super::{BackendState, Origin, RequestFacts};

/// Where does a new version go?
#[derive(Clone, Copy, Debug)]
pub struct PlacementInput<'a> {
    /// [`super::StaticFacts::generation`] of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The request.
    pub request: RequestFacts<'a>,
    /// One entry for each of [`super::StaticFacts::backends`], in that order.
    pub backends: &'a [BackendState],
}

/// An answer of the right shape: at least one candidate, each a known index
/// and there once, `1 <= ack <= copies`. Nothing more is promised: quota,
/// health and permission are the caller's to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementDecision {
    /// Indices of backends, best first.
    pub candidates: Vec<u32>,
    /// Copies wanted; may be more than there are candidates.
    pub copies: u32,
    /// Copies durable before the client gets its 200.
    pub ack: u32,
    /// Why: one short line without control characters.
    pub reason: String,
    /// Who decided.
    pub origin: Origin,
}

/// [`PlacementDecision`] without its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementAnswer {
    /// Indices of backends, best first.
    pub candidates: Vec<u32>,
    /// Copies wanted.
    pub copies: u32,
    /// Copies durable before the client gets its 200.
    pub ack: u32,
    /// Why.
    pub reason: String,
}

impl PlacementAnswer {
    pub(crate) fn by(self, origin: Origin) -> PlacementDecision {
        let Self {
            candidates,
            copies,
            ack,
            reason,
        } = self;
        PlacementDecision {
            candidates,
            copies,
            ack,
            reason,
            origin,
        }
    }
}
