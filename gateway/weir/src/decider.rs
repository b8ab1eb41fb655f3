//! What the core asks, answered by the policy host: storage policy → binding → revision.

mod convert;
mod facts;
mod rules;

use std::sync::Arc;

use weir_core::decide::{
    BackendState, CopiesProposal, Decider, Excluded, ObjectState, OverflowProposal, PlaceRequest,
    Proposal, ReadState, Route, Scope, StoragePolicy,
};
use weir_policy::{
    CopyFacts, DecisionKind, Origin, OverflowInput, PlacementInput, PolicyHost, Refused,
    ReplicationInput, RoutingInput,
};
use weir_types::error::ErrorCode;
use weir_types::{Error, Result};

use crate::config::Config;
use crate::config::storage::Bindings;
pub use facts::{FACTS_GENERATION, facts};
use rules::Rules;

/// Storage policies out of the configuration, decided by the host, whose bindings are named as
/// policies are.
pub struct PolicyDecider {
    host: Arc<PolicyHost>,
    site: String,
    rules: Rules,
}

impl PolicyDecider {
    /// Decisions as `config` says.
    pub fn new(host: Arc<PolicyHost>, config: &Config) -> Self {
        Self {
            host,
            site: config.site.id.clone(),
            rules: Rules::of(config),
        }
    }

    fn bindings(&self, policy: &StoragePolicy) -> &Bindings {
        self.rules.bindings(policy)
    }

    /// The binding that answers a question for this storage policy. A binding whose revision
    /// does not answer it counts as none: the host's own answer to a full backend is to refuse,
    /// which nobody asked for.
    fn binding(&self, policy: &StoragePolicy, kind: DecisionKind) -> Option<&str> {
        let bindings = self.bindings(policy);
        let name = match kind {
            DecisionKind::Placement => Some(&bindings.placement),
            DecisionKind::Overflow => bindings.overflow.as_ref(),
            DecisionKind::Replication => bindings.replication.as_ref(),
            DecisionKind::ReadRouting => bindings.read_routing.as_ref(),
        };
        name.map(String::as_str)
            .filter(|name| self.host.decides(name, kind))
    }
}

impl Decider for PolicyDecider {
    fn storage_policy(&self, scope: &Scope<'_>) -> Arc<StoragePolicy> {
        Arc::clone(self.rules.choose(scope))
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        self.rules.named(name).cloned()
    }

    fn place(
        &self,
        policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        backends: &[BackendState],
    ) -> Result<Proposal> {
        let binding = &self.bindings(policy).placement;
        let states = convert::states(backends);
        let decided = convert::with_request(request, policy, &self.site, |request| {
            self.host.place(
                binding,
                &PlacementInput {
                    facts_generation: FACTS_GENERATION,
                    request,
                    backends: &states,
                },
            )
        });
        let decision = decided.map_err(|refused| {
            refusal(binding, &refused, "The placement policy gave no answer.")
        })?;
        tell_fault(binding, &decision.origin);
        Ok(Proposal {
            revision: decision.origin.revision.to_string(),
            reason: decision.reason,
            candidates: convert::positions(&decision.candidates),
            copies: u8::try_from(decision.copies).unwrap_or(u8::MAX),
            ack: u8::try_from(decision.ack).unwrap_or(u8::MAX),
        })
    }

    fn overflow(
        &self,
        policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        excluded: &[Excluded],
        backends: &[BackendState],
    ) -> Result<Option<OverflowProposal>> {
        let Some(binding) = self.binding(policy, DecisionKind::Overflow) else {
            return Ok(None);
        };
        let states = convert::states(backends);
        let excluded = convert::excluded(excluded);
        let decided = convert::with_request(request, policy, &self.site, |request| {
            self.host.overflow(
                binding,
                &OverflowInput {
                    facts_generation: FACTS_GENERATION,
                    request,
                    excluded: &excluded,
                    backends: &states,
                },
            )
        });
        let decision = decided
            .map_err(|refused| refusal(binding, &refused, "The overflow policy gave no answer."))?;
        tell_fault(binding, &decision.origin);
        Ok(Some(OverflowProposal {
            revision: decision.origin.revision.to_string(),
            reason: decision.reason,
            verdict: convert::verdict(decision.verdict),
        }))
    }

    fn replicates(&self, policy: &StoragePolicy) -> bool {
        self.binding(policy, DecisionKind::Replication).is_some()
    }

    fn replicate(
        &self,
        policy: &StoragePolicy,
        object: &ObjectState<'_>,
        backends: &[BackendState],
    ) -> Option<CopiesProposal> {
        let binding = self.binding(policy, DecisionKind::Replication)?;
        let states = convert::states(backends);
        let copies: Vec<CopyFacts> = object.copies.iter().map(convert::copy).collect();
        let candidates = convert::indices(object.candidates);
        let (tags, metadata) = (
            convert::pairs(object.tags),
            convert::pairs(object.user_metadata),
        );
        let input = ReplicationInput {
            facts_generation: FACTS_GENERATION,
            object: convert::object(object, policy, &copies, &candidates, (&tags, &metadata)),
            backends: &states,
        };
        let decision = self.host.replicate(binding, &input);
        let decision = decision
            .inspect_err(|refused| tell_refused(binding, refused))
            .ok()?;
        tell_fault(binding, &decision.origin);
        Some(CopiesProposal {
            revision: decision.origin.revision.to_string(),
            reason: decision.reason,
            add: decision.add.iter().map(convert::addition).collect(),
            drop: convert::positions(&decision.drop),
        })
    }

    fn routes_any(&self) -> bool {
        self.rules.routes_any()
    }

    fn routes(&self, policy: &StoragePolicy) -> bool {
        self.binding(policy, DecisionKind::ReadRouting).is_some()
    }

    fn route(
        &self,
        policy: &StoragePolicy,
        read: &ReadState<'_>,
        backends: &[BackendState],
    ) -> Option<Route> {
        let binding = self.binding(policy, DecisionKind::ReadRouting)?;
        let states = convert::states(backends);
        let copies = convert::indices(read.copies);
        let input = RoutingInput {
            facts_generation: FACTS_GENERATION,
            read: convert::read(read, &copies, &self.site),
            backends: &states,
        };
        let decision = self.host.route(binding, &input);
        let decision = decision
            .inspect_err(|refused| tell_refused(binding, refused))
            .ok()?;
        tell_fault(binding, &decision.origin);
        Some(convert::route(&decision))
    }
}

fn refusal(binding: &str, refused: &Refused, message: &'static str) -> Error {
    tell_refused(binding, refused);
    Error::new(ErrorCode::ServiceUnavailable, message)
}

fn tell_refused(policy: &str, refused: &Refused) {
    tracing::warn!(policy, why = %refused.why, "the policy gave no answer");
}

fn tell_fault(policy: &str, origin: &Origin) {
    if let Some(fault) = &origin.fault {
        let revision = &*origin.revision;
        tracing::debug!(policy, %fault, revision, "the policy failed; another decided");
    }
}

#[cfg(test)]
mod tests;
