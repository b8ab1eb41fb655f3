//! Placement by the policy host: bucket → policy → revision.

use std::collections::HashMap;
use std::sync::Arc;

use weir_core::decide::{BackendState, Decider, PlaceRequest, Proposal, Scope, StoragePolicy};
use weir_policy as policy;
use weir_policy::PolicyHost;
use weir_types::error::ErrorCode;
use weir_types::id::BucketName;
use weir_types::{Error, Result};

use crate::config::Config;

/// Which policy decides for which bucket, and how many copies buckets want.
pub struct PolicyPlacer {
    host: Arc<PolicyHost>,
    site: String,
    default_policy: String,
    factor: u8,
    buckets: HashMap<BucketName, Rule>,
}

#[derive(Debug, Clone, Default)]
struct Rule {
    policy: Option<String>,
    factor: Option<u8>,
}

impl PolicyPlacer {
    /// Placement as `config` says, decided by `host`, whose bindings are named as policies are.
    pub fn new(host: Arc<PolicyHost>, config: &Config) -> Self {
        let rule = |(name, bucket): (&String, &crate::config::model::BucketConfig)| {
            let name = BucketName::parse(name).ok()?;
            Some((
                name,
                Rule {
                    policy: bucket.policy.clone(),
                    factor: bucket.factor,
                },
            ))
        };
        Self {
            host,
            site: config.site.id.clone(),
            default_policy: config.placement.policy.clone(),
            factor: config.placement.factor,
            buckets: config.buckets.iter().filter_map(rule).collect(),
        }
    }
}

impl Decider for PolicyPlacer {
    fn storage_policy(&self, scope: &Scope<'_>) -> Arc<StoragePolicy> {
        let rule = self.buckets.get(scope.bucket);
        let copies = rule.and_then(|rule| rule.factor).unwrap_or(self.factor);
        Arc::new(StoragePolicy::unconstrained("default", copies))
    }

    fn named(&self, _name: Option<&str>) -> Option<Arc<StoragePolicy>> {
        Some(Arc::new(StoragePolicy::unconstrained(
            "default",
            self.factor,
        )))
    }

    fn place(
        &self,
        storage_policy: &StoragePolicy,
        request: &PlaceRequest<'_>,
        backends: &[BackendState],
    ) -> Result<Proposal> {
        let rule = self.buckets.get(request.bucket);
        let policy = rule.and_then(|rule| rule.policy.as_deref());
        let copies = storage_policy.copies;
        let tags: Vec<_> = request
            .tags
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let states: Vec<_> = backends.iter().map(state).collect();
        let input = policy::PlacementInput {
            facts_generation: FACTS_GENERATION,
            request: policy::RequestFacts {
                operation: operation(request.operation),
                bucket: request.bucket.as_str(),
                key: request.key.as_str(),
                size_bytes: request.size_bytes,
                content_type: request.content_type,
                storage_class: request.storage_class,
                storage_policy: None,
                user_metadata: &[],
                tags: &tags,
                principal: request.principal.as_str(),
                site: &self.site,
                copies: u32::from(copies),
                ack: 1,
                now_ms: request.now_ms,
                entropy: request.entropy,
            },
            backends: &states,
        };
        let policy = policy.unwrap_or(&self.default_policy);
        let decision = self.host.decide(policy, &input).map_err(|refused| {
            tracing::warn!(policy, why = %refused.why, "placement refused");
            Error::new(
                ErrorCode::ServiceUnavailable,
                "The placement policy gave no answer.",
            )
        })?;
        if let Some(fault) = &decision.origin.fault {
            tracing::debug!(policy, %fault, revision = %decision.origin.revision, "the policy failed; another decided");
        }
        let candidates = decision
            .candidates
            .iter()
            .map(|&index| index as usize)
            .collect();
        Ok(Proposal {
            revision: decision.origin.revision.to_string(),
            reason: decision.reason,
            candidates,
            copies: u8::try_from(decision.copies).unwrap_or(u8::MAX),
            ack: u8::try_from(decision.ack).unwrap_or(u8::MAX),
        })
    }
}

/// Backends change only with a restart, so their facts have one generation.
const FACTS_GENERATION: u64 = 1;

fn state(state: &BackendState) -> policy::BackendState {
    policy::BackendState {
        used_bytes: state.used_bytes,
        reserved_bytes: state.reserved_bytes,
        limit_bytes: state.bytes_max,
        health: if state.healthy {
            policy::Health::Healthy
        } else {
            policy::Health::Down
        },
        writable: state.writable,
        latency_us: u32::try_from(state.latency_us).unwrap_or(u32::MAX),
        ..policy::BackendState::default()
    }
}

fn operation(name: &str) -> policy::Operation {
    match name {
        "CopyObject" => policy::Operation::CopyObject,
        "CreateMultipartUpload" => policy::Operation::CreateMultipartUpload,
        _ => policy::Operation::PutObject,
    }
}

/// What policies are told once: the site and its backends, in the order of the configuration.
pub fn facts(config: &Config) -> policy::StaticFacts {
    let labels = |labels: &std::collections::BTreeMap<String, String>| {
        labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let backend = |(id, backend): (&String, &crate::config::model::BackendConfig)| {
        let cost = &backend.cost;
        policy::BackendFacts {
            id: id.clone(),
            region: backend.region.clone(),
            provider: backend.provider.clone(),
            failure_domain: backend.failure_domain.clone(),
            residency: backend.residency.clone(),
            labels: labels(&backend.labels),
            limits: policy::UsageLimits {
                bytes: backend.bytes_max,
                ..policy::UsageLimits::default()
            },
            cost: policy::Cost {
                storage_gb_month_micros: cost.storage_gb_month_micros,
                egress_gb_micros: cost.egress_gb_micros,
                write_thousand_micros: cost.write_thousand_micros,
                read_thousand_micros: cost.read_thousand_micros,
            },
            retention_days_min: 0,
        }
    };
    policy::StaticFacts {
        generation: FACTS_GENERATION,
        site: policy::SiteFacts {
            id: config.site.id.clone(),
            region: config.site.region.clone(),
            labels: labels(&config.site.labels),
        },
        peers: Vec::new(),
        backends: config.backends.iter().map(backend).collect(),
    }
}
