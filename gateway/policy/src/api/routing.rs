//! In which order an object's copies are tried for a read.

use serde::{Deserialize, Serialize};

use super::{BackendState, Origin};

/// The read that is being decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadFacts<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Key.
    pub key: &'a str,
    /// Of the whole object.
    pub size_bytes: u64,
    /// Of what is read of it.
    pub length_bytes: u64,
    /// `x-amz-storage-class`.
    pub storage_class: Option<&'a str>,
    /// Who asks.
    pub principal: &'a str,
    /// The site at which the client's request arrived.
    pub site: &'a str,
    /// Indices of the backends that hold a good copy, in the order in which the caller would
    /// try them; two at least.
    pub copies: &'a [u32],
    /// The caller's clock, milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Fresh random bits.
    pub entropy: u64,
}

/// In which order are the copies tried?
#[derive(Clone, Copy, Debug)]
pub struct RoutingInput<'a> {
    /// [`super::StaticFacts::generation`] of the facts that `backends` follows.
    pub facts_generation: u64,
    /// The read.
    pub read: ReadFacts<'a>,
    /// One entry for each of [`super::StaticFacts::backends`], in that order.
    pub backends: &'a [BackendState],
}

/// An answer of the right shape: some or all of [`ReadFacts::copies`], none twice, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingDecision {
    /// Indices of backends, the first one first.
    pub order: Vec<u32>,
    /// When to try the next copy beside the first if that has not answered, microseconds after
    /// it was asked; `None`: never.
    pub hedge_after_us: Option<u32>,
    /// Who decided.
    pub origin: Origin,
}

/// [`RoutingDecision`] without its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingAnswer {
    /// Indices of backends, the first one first.
    pub order: Vec<u32>,
    /// When to try the next copy beside the first, microseconds after it was asked.
    pub hedge_after_us: Option<u32>,
}

impl RoutingAnswer {
    pub(crate) fn by(self, origin: Origin) -> RoutingDecision {
        let Self {
            order,
            hedge_after_us,
        } = self;
        RoutingDecision {
            order,
            hedge_after_us,
            origin,
        }
    }
}
