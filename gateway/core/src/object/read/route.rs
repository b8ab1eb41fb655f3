//! In which order a policy wants an object's copies to be tried.

use weir_types::id::{BackendId, BucketName, ObjectKey, Principal};
use weir_types::record::BlobRecord;

use super::choice;
use crate::decide::ReadState;
use crate::gateway::Gateway;
use crate::observe::Clamped;

/// What is known of a client's read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadScope<'a> {
    /// The bucket.
    pub(crate) bucket: &'a BucketName,
    /// The key.
    pub(crate) key: &'a ObjectKey,
    /// Storage class, when not STANDARD.
    pub(crate) storage_class: Option<&'a str>,
    /// Who asks.
    pub(crate) principal: &'a Principal,
    /// Bytes that are read.
    pub(crate) length: u64,
}

impl Gateway {
    /// The backends that a policy wants to be tried first, in its order. Empty when none is
    /// bound or there is no choice: then nothing was gathered, and nothing asked.
    pub(crate) async fn route(&self, scope: ReadScope<'_>, blob: &BlobRecord) -> Vec<BackendId> {
        if blob.copies.len() < 2 || !self.decider.routes_any() {
            return Vec::new();
        }
        self.ask_for_route(scope, blob).await.unwrap_or_default()
    }

    async fn ask_for_route(
        &self,
        scope: ReadScope<'_>,
        blob: &BlobRecord,
    ) -> Option<Vec<BackendId>> {
        let name = blob.placement.storage_policy.as_deref();
        let policy = self.decider.named(name)?;
        if !self.decider.routes(&policy) {
            return None;
        }
        let copies = choice::positions(self, blob);
        if copies.len() < 2 {
            return None;
        }
        let states = match self.recent_states().await {
            Ok(states) => states,
            Err(error) => {
                tracing::warn!(%error, "a read goes its own way");
                return None;
            }
        };
        let read = ReadState {
            bucket: scope.bucket,
            key: scope.key,
            size_bytes: blob.size,
            length_bytes: scope.length,
            storage_class: scope.storage_class,
            principal: scope.principal,
            copies: &copies,
            now_ms: self.wall().as_millis(),
            entropy: self.entropy.u64(),
        };
        let route = self.decider.route(&policy, &read, &states)?;
        if route.hedge_after.is_some() {
            self.observer.clamped(&policy.name, Clamped::Hedge);
        }
        let wanted = route.order.iter().filter(|at| copies.contains(at));
        Some(
            wanted
                .filter_map(|at| self.backends.at(*at))
                .map(|handle| handle.id().clone())
                .collect(),
        )
    }
}
