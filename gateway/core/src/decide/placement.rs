//! Where a new version goes: the policy proposes, the core disposes.

use std::sync::Arc;

use weir_types::error::ErrorCode;
use weir_types::id::BackendId;
use weir_types::record::{BlobRecord, CopyState, Placement};
use weir_types::{Error, Result};

use super::{BackendState, Constraints, PlaceRequest, StoragePolicy};
use crate::backends::BackendHandle;
use crate::gateway::Gateway;
use crate::observe::{Clamped, Trace};

/// A decision, with what it takes to decide anew when there turns out to be no room.
pub(crate) struct Decided<'a> {
    /// What was decided.
    pub(crate) placement: Placement,
    pub(super) policy: Arc<StoragePolicy>,
    pub(super) request: PlaceRequest<'a>,
    pub(super) states: Vec<BackendState>,
}

impl Gateway {
    /// Asks the decider and keeps what the host's constraints allow. Whether there is room is
    /// another question ([`Gateway::require_room`]).
    ///
    /// Fails with ServiceUnavailable when nothing is left, which the client may retry.
    pub(crate) async fn decide<'a>(
        &self,
        request: PlaceRequest<'a>,
        trace: &Trace,
    ) -> Result<Decided<'a>> {
        let policy = self.decider.storage_policy(&request.scope());
        let states = self.backend_states().await?;
        let proposal = self.decider.place(&policy, &request, &states)?;
        trace.policy(&proposal.revision);
        let candidates = self.allowed(&policy, &proposal.candidates);
        if candidates.is_empty() {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "The placement policy found no backend for this object.",
            ));
        }
        if proposal.ack > 1 {
            self.observer.clamped(&policy.name, Clamped::Ack);
        }
        let placement = Placement {
            revision: proposal.revision,
            reason: proposal.reason,
            copies_wanted: self.copies_within(&policy, &candidates, proposal.copies),
            candidates,
            storage_policy: Some(policy.name.clone()),
            home: Vec::new(),
        };
        Ok(Decided {
            placement,
            policy,
            request,
            states,
        })
    }

    /// Of the backends at these positions those that may hold a copy and take one, each once.
    pub(super) fn allowed(&self, policy: &StoragePolicy, positions: &[usize]) -> Vec<BackendId> {
        let mut allowed: Vec<BackendId> = Vec::with_capacity(positions.len());
        for position in positions {
            let Some(handle) = self.backends.at(*position) else {
                continue;
            };
            let facts = handle.facts();
            if !policy.constraints.admit(facts) {
                self.observer.clamped(&policy.name, Clamped::Forbidden);
                continue;
            }
            if !facts.read_only && !allowed.contains(handle.id()) {
                allowed.push(handle.id().clone());
            }
        }
        allowed
    }

    /// So many of the `wanted` copies as these candidates can hold beside each other.
    pub(super) fn copies_within(
        &self,
        policy: &StoragePolicy,
        candidates: &[BackendId],
        wanted: u8,
    ) -> u8 {
        let most = self.apart(&policy.constraints, candidates.iter()).len();
        let most = u8::try_from(most).unwrap_or(u8::MAX);
        if wanted > most {
            self.observer.clamped(&policy.name, Clamped::Copies);
        }
        wanted.clamp(1, most.max(1))
    }

    /// The first of these backends and all others that can hold a good copy beside those
    /// before them. A backend that is not configured clashes with itself alone.
    pub(crate) fn apart<'a>(
        &self,
        constraints: &Constraints,
        backends: impl Iterator<Item = &'a BackendId>,
    ) -> Vec<&'a BackendId> {
        let mut apart: Vec<&BackendId> = Vec::new();
        for id in backends {
            if !apart.iter().any(|kept| self.clash(constraints, kept, id)) {
                apart.push(id);
            }
        }
        apart
    }

    /// Whether a good copy on one backend rules out one on the other.
    pub(crate) fn clash(
        &self,
        constraints: &Constraints,
        one: &BackendId,
        other: &BackendId,
    ) -> bool {
        match (self.backends.get(one), self.backends.get(other)) {
            (Some(one), Some(other)) => constraints.clash(one.facts(), other.facts()),
            _ => one == other,
        }
    }

    /// Whether the storage policy of a placement, as it is now, lets a backend hold a copy. To
    /// be asked right before bytes go there: a decision may be old, and the configuration new.
    pub(crate) fn may_hold(&self, placement: &Placement, backend: &BackendHandle) -> bool {
        let policy = self.decider.named(placement.storage_policy.as_deref());
        policy.is_some_and(|policy| policy.constraints.admit(backend.facts()))
    }

    /// Whether what is written under `policy` may point to the bytes of this blob as they lie:
    /// under the same storage policy, and where its constraints allow.
    pub(crate) fn may_share(&self, blob: &BlobRecord, policy: &StoragePolicy) -> bool {
        let under = self.decider.named(blob.placement.storage_policy.as_deref());
        if under.is_none_or(|under| under.name != policy.name) {
            return false;
        }
        let constraints = &policy.constraints;
        let admitted = |id: &BackendId| match self.backends.get(id) {
            Some(handle) => constraints.admit(handle.facts()),
            None => constraints.residency.is_none(),
        };
        let good = blob.copies.iter().filter(|c| c.state == CopyState::Good);
        let good: Vec<&BackendId> = good.map(|copy| &copy.backend).collect();
        blob.copies.iter().all(|copy| admitted(&copy.backend))
            && (!constraints.distinct_failure_domains
                || self.apart(constraints, good.iter().copied()).len() == good.len())
    }
}

/// What a client is told whose bytes have no place that they may go to.
pub(crate) fn forbidden() -> Error {
    Error::new(
        ErrorCode::ServiceUnavailable,
        "The storage policy of this object does not allow the backend that was chosen for it.",
    )
}
