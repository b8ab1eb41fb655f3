//! Where a new version goes: the policy proposes, the core disposes.

use weir_types::error::ErrorCode;
use weir_types::id::BackendId;
use weir_types::record::Placement;
use weir_types::{Error, Result};

use super::PlaceRequest;
use crate::gateway::Gateway;
use crate::observe::Trace;

impl Gateway {
    /// Asks the decider and keeps what the host's constraints allow.
    ///
    /// Fails with ServiceUnavailable when nothing is left, which the client may retry.
    pub(crate) async fn decide(
        &self,
        request: PlaceRequest<'_>,
        trace: &Trace,
    ) -> Result<Placement> {
        let policy = self.decider.storage_policy(&request.scope());
        let states = self.backend_states().await?;
        let proposal = self.decider.place(&policy, &request, &states)?;
        trace.policy(&proposal.revision);
        let handles: Vec<_> = self.backends.iter().collect();
        let mut candidates: Vec<BackendId> = Vec::with_capacity(proposal.candidates.len());
        for position in proposal.candidates {
            let Some(handle) = handles.get(position) else {
                continue;
            };
            let facts = handle.facts();
            let allowed = !facts.read_only && policy.constraints.admit(facts);
            if allowed && !candidates.contains(handle.id()) {
                candidates.push(handle.id().clone());
            }
        }
        if candidates.is_empty() {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "The placement policy found no backend for this object.",
            ));
        }
        let most = u8::try_from(candidates.len()).unwrap_or(u8::MAX);
        Ok(Placement {
            revision: proposal.revision,
            reason: proposal.reason,
            copies_wanted: proposal.copies.clamp(1, most),
            candidates,
            storage_policy: Some(policy.name.clone()),
            home: Vec::new(),
        })
    }
}
