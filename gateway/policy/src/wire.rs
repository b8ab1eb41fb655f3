//! Converts between [`crate::api`] and the generated types of the WIT package.
//! The one file to extend when a second WIT version is served.

use crate::answer::Answer;
use crate::api::{
    BackendFacts, BackendState, Cost, Health, Operation, RequestFacts, SiteFacts, StaticFacts,
};
use crate::bindings::exports::weir::policy::{lifecycle, placement};
use crate::bindings::weir::policy::types as wit;
use crate::error::ConfigError;
use crate::revision::Description;

/// Calls `use_it` with the facts in the guest's types.
pub(crate) fn with_facts<R>(facts: &StaticFacts, use_it: impl FnOnce(wit::Facts<'_>) -> R) -> R {
    let SiteFacts {
        id,
        region,
        labels: site_labels,
    } = &facts.site;
    let site_labels = labels(pairs(site_labels));
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
        site: wit::SiteFacts {
            id,
            region: region.as_deref(),
            labels: &site_labels,
        },
        backends: &backends,
    })
}

/// Calls `use_it` with the request in the guest's types.
pub(crate) fn with_request<R>(
    request: &RequestFacts<'_>,
    use_it: impl FnOnce(wit::Request<'_>) -> R,
) -> R {
    let tags = labels(request.tags.iter().copied());
    use_it(wit::Request {
        operation: match request.operation {
            Operation::PutObject => wit::Operation::PutObject,
            Operation::CopyObject => wit::Operation::CopyObject,
            Operation::CreateMultipartUpload => wit::Operation::CreateMultipartUpload,
            Operation::PostObject => wit::Operation::PostObject,
            Operation::Import => wit::Operation::Import,
        },
        bucket: request.bucket,
        key: request.key,
        size_bytes: request.size_bytes,
        content_type: request.content_type,
        storage_class: request.storage_class,
        tags: &tags,
        principal: request.principal,
        site: request.site,
        copies: request.copies,
        ack: request.ack,
        now_ms: request.now_ms,
        entropy: request.entropy,
    })
}

/// The states in the guest's types.
pub(crate) fn states(backends: &[BackendState]) -> Vec<wit::BackendState> {
    backends.iter().map(state).collect()
}

/// An answer out of the guest's types.
pub(crate) fn answer(decision: placement::Decision) -> Answer {
    let placement::Decision {
        candidates,
        copies,
        ack,
        reason,
    } = decision;
    Answer {
        candidates,
        copies,
        ack,
        reason,
    }
}

/// A description out of the guest's types.
pub(crate) fn description(description: lifecycle::Description) -> Description {
    let lifecycle::Description {
        name,
        version,
        summary,
        settings_schema,
    } = description;
    Description {
        name,
        version,
        summary,
        settings_schema,
    }
}

/// Mistakes out of the guest's types.
pub(crate) fn config_errors(errors: Vec<lifecycle::ConfigError>) -> Vec<ConfigError> {
    errors
        .into_iter()
        .map(|error| ConfigError {
            path: error.path,
            message: error.message,
        })
        .collect()
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

fn labels<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<wit::Label<'a>> {
    pairs
        .map(|(name, value)| wit::Label { name, value })
        .collect()
}

fn backend<'a>(facts: &'a BackendFacts, labels: &'a [wit::Label<'a>]) -> wit::BackendFacts<'a> {
    let Cost {
        storage_gb_month_micros,
        egress_gb_micros,
        write_thousand_micros,
        read_thousand_micros,
    } = facts.cost;
    wit::BackendFacts {
        id: &facts.id,
        region: facts.region.as_deref(),
        provider: facts.provider.as_deref(),
        failure_domain: facts.failure_domain.as_deref(),
        residency: facts.residency.as_deref(),
        labels,
        capacity_bytes: facts.limits.bytes,
        cost: wit::Cost {
            storage_gb_month_micros,
            egress_gb_micros,
            write_thousand_micros,
            read_thousand_micros,
        },
    }
}

fn state(state: &BackendState) -> wit::BackendState {
    wit::BackendState {
        used_bytes: state.used_bytes,
        reserved_bytes: state.reserved_bytes,
        limit_bytes: state.limit_bytes,
        health: match state.health {
            Health::Healthy => wit::Health::Healthy,
            Health::Degraded => wit::Health::Degraded,
            Health::Down => wit::Health::Down,
        },
        writable: state.writable,
        latency_us: state.latency_us,
        errors_permille: state.errors_permille,
        slots_used: state.slots_used,
        slots_max: state.slots_max,
        copies_pending: state.copies_pending,
    }
}
