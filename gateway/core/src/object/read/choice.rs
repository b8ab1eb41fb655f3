//! In which order a blob's copies are tried.

use std::collections::VecDeque;

use weir_types::record::{CopyRecord, CopyState};

use crate::gateway::Gateway;
use crate::observe::OperationClass;

/// How often one read asks the same copy: once more after a connection broke.
const TRIES_PER_COPY: usize = 2;

/// The copies that are still worth asking, best first.
pub(super) struct Choice {
    left: VecDeque<CopyRecord>,
}

impl Choice {
    /// Good copies on healthy backends first, the quickest first; then good copies behind an
    /// open breaker, because a slow answer beats none; suspect copies last.
    pub(super) fn among(gateway: &Gateway, copies: &[CopyRecord]) -> Self {
        let mut order: Vec<_> = copies.to_vec();
        if order.len() > 1 {
            order.sort_by_cached_key(|copy| {
                let handle = gateway.backends.get(&copy.backend);
                let healthy = handle.is_some_and(|b| b.is_healthy(OperationClass::Read));
                let latency = handle.and_then(|b| b.latency()).unwrap_or_default();
                (copy.state == CopyState::Suspect, !healthy, latency)
            });
        }
        let rounds = order.len() * TRIES_PER_COPY;
        Self {
            left: order.into_iter().cycle().take(rounds).collect(),
        }
    }

    /// The next copy to ask; `None` when all have failed.
    pub(super) fn next(&mut self) -> Option<CopyRecord> {
        self.left.pop_front()
    }

    /// Never asks this copy again.
    pub(super) fn drop_copy(&mut self, copy: &CopyRecord) {
        self.left
            .retain(|c| (&c.backend, c.attempt) != (&copy.backend, copy.attempt));
    }
}
