//! In which order a blob's copies are tried.

use std::collections::VecDeque;

use weir_types::record::{CopyRecord, CopyState};

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
    /// Good copies on healthy backends first, the quickest first; then good copies behind an
    /// open breaker, because a slow answer beats none; suspect copies last.
    pub(super) fn among(gateway: &Gateway, copies: &[CopyRecord]) -> Self {
        let mut order: Vec<_> = copies.to_vec();
        if order.len() > 1 {
            // A single copy is asked in any case.
            for copy in copies {
                if let Some(handle) = gateway.backends.get(&copy.backend) {
                    handle.probe_reads();
                }
            }
            order.sort_by_cached_key(|copy| {
                let handle = gateway.backends.get(&copy.backend);
                let healthy = handle.is_some_and(|b| b.is_healthy(OperationClass::Read));
                let latency = handle.and_then(|b| b.latency()).unwrap_or_default();
                (copy.state == CopyState::Suspect, !healthy, latency)
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
