//! In which order a blob's copies are tried.

use std::collections::VecDeque;
use std::time::Duration;

use weir_types::id::BackendId;
use weir_types::record::{BlobRecord, CopyRecord, CopyState};

use crate::gateway::Gateway;
use crate::observe::OperationClass;

/// How often one read asks the same copy without getting on: once more after a connection
/// broke.
const TRIES_PER_COPY: usize = 2;

/// The copies that are still worth asking, the next one first.
pub(super) struct Choice {
    /// Each with how often it was asked since the read last got on. They take turns.
    left: VecDeque<(CopyRecord, usize)>,
}

impl Choice {
    /// Good copies on healthy backends first, those of `route` in its order, then the quickest
    /// first; then good copies behind an open breaker, because a slow answer beats none; suspect
    /// copies last.
    pub(super) fn among(gateway: &Gateway, copies: &[CopyRecord], route: &[BackendId]) -> Self {
        let mut order: Vec<_> = copies.to_vec();
        if order.len() > 1 {
            // A single copy is asked in any case.
            for copy in copies {
                if let Some(handle) = gateway.backends.get(&copy.backend) {
                    handle.probe_reads();
                }
            }
            order.sort_by_cached_key(|copy| {
                let (is_suspect, is_sick, latency) = standing(gateway, copy);
                let routed = route.iter().position(|id| *id == copy.backend);
                let place = routed.unwrap_or(route.len());
                (is_suspect, is_sick, place, latency)
            });
        }
        Self {
            left: order.into_iter().map(|copy| (copy, 0)).collect(),
        }
    }

    /// The next copy to ask; `None` when all have failed. Whoever was asked last is asked
    /// again only after all others.
    pub(super) fn next(&mut self) -> Option<CopyRecord> {
        let (copy, tries) = self
            .left
            .pop_front_if(|(_, tries)| *tries < TRIES_PER_COPY)?;
        self.left.push_back((copy.clone(), tries + 1));
        Some(copy)
    }

    /// Whoever was asked last did nothing wrong: it is asked next.
    pub(super) fn resume(&mut self) {
        if let Some((copy, _)) = self.left.pop_back() {
            self.left.push_front((copy, 0));
        }
    }

    /// A block arrived: a long read may outlive many connections, so what failed before it
    /// counts no longer. Tries stay bounded, by those between two blocks.
    pub(super) fn got_on(&mut self) {
        for (_, tries) in &mut self.left {
            *tries = 0;
        }
    }

    /// Never asks this copy again.
    pub(super) fn drop_copy(&mut self, copy: &CopyRecord) {
        self.left
            .retain(|(c, _)| (&c.backend, c.attempt) != (&copy.backend, copy.attempt));
    }
}

/// What speaks against a copy, the gravest first.
fn standing(gateway: &Gateway, copy: &CopyRecord) -> (bool, bool, Duration) {
    let handle = gateway.backends.get(&copy.backend);
    let healthy = handle.is_some_and(|b| b.is_healthy(OperationClass::Read));
    let latency = handle.and_then(|b| b.latency()).unwrap_or_default();
    (copy.state == CopyState::Suspect, !healthy, latency)
}

/// Positions of the configured backends that hold a good copy of a blob, each once, in the
/// order in which they would be tried.
pub(super) fn positions(gateway: &Gateway, blob: &BlobRecord) -> Vec<usize> {
    let good = blob.copies.iter().filter(|c| c.state == CopyState::Good);
    let mut good: Vec<&CopyRecord> = good.collect();
    good.sort_by_cached_key(|copy| standing(gateway, copy));
    let mut positions = Vec::with_capacity(good.len());
    for copy in good {
        if let Some(position) = gateway.backends.position(&copy.backend)
            && !positions.contains(&position)
        {
            positions.push(position);
        }
    }
    positions
}
