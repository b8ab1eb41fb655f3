//! What policies are told once.

use std::collections::BTreeMap;

use weir_policy::{BackendFacts, Cost, SiteFacts, StaticFacts, UsageLimits};

use crate::config::Config;
use crate::config::model::BackendConfig;

/// Backends change only with a restart, so their facts have one generation.
pub const FACTS_GENERATION: u64 = 1;

/// The site and its backends, in the order of the configuration.
pub fn facts(config: &Config) -> StaticFacts {
    StaticFacts {
        generation: FACTS_GENERATION,
        site: SiteFacts {
            id: config.site.id.clone(),
            region: config.site.region.clone(),
            labels: labels(&config.site.labels),
        },
        peers: Vec::new(),
        backends: config.backends.iter().map(backend).collect(),
    }
}

fn backend((id, backend): (&String, &BackendConfig)) -> BackendFacts {
    let cost = &backend.cost;
    BackendFacts {
        id: id.clone(),
        region: backend.region.clone(),
        provider: backend.provider.clone(),
        failure_domain: backend.failure_domain.clone(),
        residency: backend.residency.clone(),
        labels: labels(&backend.labels),
        limits: UsageLimits {
            bytes: backend.bytes_max,
            ..UsageLimits::default()
        },
        cost: Cost {
            storage_gb_month_micros: cost.storage_gb_month_micros,
            egress_gb_micros: cost.egress_gb_micros,
            write_thousand_micros: cost.write_thousand_micros,
            read_thousand_micros: cost.read_thousand_micros,
        },
        retention_days_min: cost.retention_days_min,
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let one = |(name, value): (&String, &String)| (name.clone(), value.clone());
    labels.iter().map(one).collect()
}
