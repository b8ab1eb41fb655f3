//! What a policy is told once, in the types of 0.2.0.

use crate::api::{BackendFacts, Cost, SiteFacts, StaticFacts, UsageLimits};
use crate::bindings::v0_2_0::weir::policy::types as wit;
use crate::wire::pairs;

pub(super) fn with_facts<R>(facts: &StaticFacts, use_it: impl FnOnce(wit::Facts<'_>) -> R) -> R {
    let site_labels = labels(pairs(&facts.site.labels));
    let peer_labels: Vec<_> = facts
        .peers
        .iter()
        .map(|peer| labels(pairs(&peer.labels)))
        .collect();
    let peers: Vec<_> = facts
        .peers
        .iter()
        .zip(&peer_labels)
        .map(|(facts, labels)| site(facts, labels))
        .collect();
    let backend_labels: Vec<_> = facts
        .backends
        .iter()
        .map(|backend| labels(pairs(&backend.labels)))
        .collect();
    let backends: Vec<_> = facts
        .backends
        .iter()
        .zip(&backend_labels)
        .map(|(facts, labels)| backend(facts, labels))
        .collect();
    use_it(wit::Facts {
        site: site(&facts.site, &site_labels),
        peers: &peers,
        backends: &backends,
    })
}

pub(super) fn labels<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<wit::Label<'a>> {
    pairs
        .map(|(name, value)| wit::Label { name, value })
        .collect()
}

fn site<'a>(facts: &'a SiteFacts, labels: &'a [wit::Label<'a>]) -> wit::SiteFacts<'a> {
    wit::SiteFacts {
        id: &facts.id,
        region: facts.region.as_deref(),
        labels,
    }
}

fn backend<'a>(facts: &'a BackendFacts, labels: &'a [wit::Label<'a>]) -> wit::BackendFacts<'a> {
    let Cost {
        storage_gb_month_micros,
        egress_gb_micros,
        write_thousand_micros,
        read_thousand_micros,
    } = facts.cost;
    let UsageLimits {
        bytes,
        objects,
        month_writes,
        month_reads,
        month_ingress_bytes,
        month_egress_bytes,
    } = facts.limits;
    wit::BackendFacts {
        id: &facts.id,
        region: facts.region.as_deref(),
        provider: facts.provider.as_deref(),
        failure_domain: facts.failure_domain.as_deref(),
        residency: facts.residency.as_deref(),
        labels,
        limits: wit::Limits {
            bytes,
            objects,
            month_writes,
            month_reads,
            month_ingress_bytes,
            month_egress_bytes,
        },
        cost: wit::Cost {
            storage_gb_month_micros,
            egress_gb_micros,
            write_thousand_micros,
            read_thousand_micros,
        },
        retention_days_min: facts.retention_days_min,
    }
}
