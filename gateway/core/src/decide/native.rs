//! Decisions without any policy.

use std::sync::Arc;

use weir_types::Result;

use super::{BackendState, Decider, PlaceRequest, Proposal, Scope, StoragePolicy};

/// Places by use alone, least used first, and leaves everything else to the core: what models
/// and tests run on. One storage policy applies to all.
#[derive(Debug, Clone)]
pub struct LeastUsed {
    policy: Arc<StoragePolicy>,
}

impl LeastUsed {
    /// Under this storage policy.
    pub fn under(policy: StoragePolicy) -> Self {
        Self {
            policy: Arc::new(policy),
        }
    }

    /// Without constraints, `copies` of each object.
    pub fn wanting(copies: u8) -> Self {
        Self::under(StoragePolicy::unconstrained("default", copies))
    }
}

impl Default for LeastUsed {
    /// Two copies of each object.
    fn default() -> Self {
        Self::wanting(2)
    }
}

impl Decider for LeastUsed {
    fn storage_policy(&self, _scope: &Scope<'_>) -> Arc<StoragePolicy> {
        Arc::clone(&self.policy)
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        let is_it = name.is_none_or(|name| name == self.policy.name);
        is_it.then(|| Arc::clone(&self.policy))
    }

    fn place(
        &self,
        policy: &StoragePolicy,
        _request: &PlaceRequest<'_>,
        backends: &[BackendState],
    ) -> Result<Proposal> {
        let mut candidates: Vec<usize> = (0..backends.len()).collect();
        candidates.sort_by_key(|&i| {
            let b = &backends[i];
            (!b.writable, !b.healthy, b.used_bytes + b.reserved_bytes)
        });
        Ok(Proposal {
            revision: "native".into(),
            reason: "least used".into(),
            candidates,
            copies: policy.copies,
            ack: policy.ack,
        })
    }
}
