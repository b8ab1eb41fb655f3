//! What deciders answer. Nothing in it is trusted.

use std::time::Duration;

/// Where a new version should go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Who answered: `name@digest`, or `native`.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// Positions of backends, best first.
    pub candidates: Vec<usize>,
    /// Copies wanted.
    pub copies: u8,
    /// Copies durable before the client gets its 200.
    pub ack: u8,
}

/// What should happen to a version for which there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverflowProposal {
    /// Who answered.
    pub revision: String,
    /// Why: kept with the object, or told to the client that is refused.
    pub reason: String,
    /// What should happen.
    pub verdict: Verdict,
}

/// What should happen to a version for which there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to these backends instead, best first.
    Spill(Vec<usize>),
    /// It is refused.
    Refuse,
    /// Other objects should move away.
    MakeRoom {
        /// Moves that are wanted.
        evictions: usize,
        /// Where it goes until then, best first; when there is nothing the client is told to
        /// come back later.
        meanwhile: Vec<usize>,
    },
}

/// A copy that should be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    /// Position of the backend.
    pub backend: usize,
    /// 0 is done first.
    pub priority: u8,
    /// Not earlier than this, in milliseconds since the Unix epoch; 0: now.
    pub not_before_ms: u64,
}

/// Which copies an object should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiesProposal {
    /// Who answered.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// Copies that should be made, in order.
    pub add: Vec<Addition>,
    /// Positions of backends whose copies should go, worst first.
    pub drop: Vec<usize>,
}

/// In which order copies should be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Positions of backends, the first one first.
    pub order: Vec<usize>,
    /// When the next copy should be tried beside the first; `None`: never.
    pub hedge_after: Option<Duration>,
}
