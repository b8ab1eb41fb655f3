//! The bridge between the generated bindings and the SDK's types. Exists in
//! Wasm builds only; [`crate::placement_policy!`] is its one user.

use std::string::String;

use crate as sdk;

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        world: "placement-policy",
        pub_export_macro: true,
        default_bindings_module: "weir_plugin_sdk::glue::bindings",
    });
}

pub use bindings::exports::weir::policy::{lifecycle, placement};
pub use bindings::weir::policy::types;

use bindings::weir::policy::host;

pub(crate) fn log(level: sdk::host::Level, message: &str) {
    let level = match level {
        sdk::host::Level::Debug => host::Level::Debug,
        sdk::host::Level::Info => host::Level::Info,
        sdk::host::Level::Warn => host::Level::Warn,
        sdk::host::Level::Error => host::Level::Error,
    };
    host::log(level, message);
}

pub(crate) fn count(name: &str, delta: u64) {
    host::count(name, delta);
}

#[must_use]
pub fn describe<P: sdk::PlacementPolicy>() -> lifecycle::Description {
    let sdk::Description {
        name,
        version,
        summary,
        settings_schema,
    } = P::describe();
    lifecycle::Description {
        name,
        version,
        summary,
        settings_schema,
    }
}

pub fn configure<P: sdk::PlacementPolicy>(
    settings: &str,
    facts: types::Facts,
) -> Result<P, Vec<lifecycle::ConfigError>> {
    P::configure(settings, facts_of(facts)).map_err(|errors| {
        errors
            .into_iter()
            .map(|error| lifecycle::ConfigError {
                path: error.path,
                message: error.message,
            })
            .collect()
    })
}

#[must_use]
pub fn configured_twice() -> Vec<lifecycle::ConfigError> {
    let message = String::from("this instance is configured already");
    vec![lifecycle::ConfigError {
        path: String::new(),
        message,
    }]
}

/// Without a configured policy the answer has no candidates, which the host
/// refuses.
#[must_use]
pub fn place<P: sdk::PlacementPolicy>(
    policy: Option<&P>,
    request: types::Request,
    backends: Vec<types::BackendState>,
) -> placement::Decision {
    let decision = policy.map_or_else(sdk::Decision::default, |policy| {
        let backends: Vec<_> = backends.into_iter().map(state_of).collect();
        policy.place(&request_of(request), &backends)
    });
    let sdk::Decision {
        candidates,
        copies,
        ack,
        reason,
    } = decision;
    placement::Decision {
        candidates,
        copies,
        ack,
        reason,
    }
}

fn facts_of(facts: types::Facts) -> sdk::Facts {
    sdk::Facts {
        site: sdk::SiteFacts {
            id: facts.site.id,
            region: facts.site.region,
            labels: labels_of(facts.site.labels),
        },
        backends: facts.backends.into_iter().map(backend_of).collect(),
    }
}

fn backend_of(backend: types::BackendFacts) -> sdk::BackendFacts {
    sdk::BackendFacts {
        id: backend.id,
        region: backend.region,
        provider: backend.provider,
        failure_domain: backend.failure_domain,
        residency: backend.residency,
        labels: labels_of(backend.labels),
        capacity_bytes: backend.capacity_bytes,
        cost: sdk::Cost {
            storage_gb_month_micros: backend.cost.storage_gb_month_micros,
            egress_gb_micros: backend.cost.egress_gb_micros,
            write_thousand_micros: backend.cost.write_thousand_micros,
            read_thousand_micros: backend.cost.read_thousand_micros,
        },
    }
}

fn labels_of(labels: Vec<types::Label>) -> Vec<sdk::Label> {
    labels
        .into_iter()
        .map(|label| sdk::Label {
            name: label.name,
            value: label.value,
        })
        .collect()
}

fn request_of(request: types::Request) -> sdk::Request {
    sdk::Request {
        operation: match request.operation {
            types::Operation::PutObject => sdk::Operation::PutObject,
            types::Operation::CopyObject => sdk::Operation::CopyObject,
            types::Operation::CreateMultipartUpload => sdk::Operation::CreateMultipartUpload,
            types::Operation::PostObject => sdk::Operation::PostObject,
            types::Operation::Import => sdk::Operation::Import,
        },
        bucket: request.bucket,
        key: request.key,
        size_bytes: request.size_bytes,
        content_type: request.content_type,
        storage_class: request.storage_class,
        tags: labels_of(request.tags),
        principal: request.principal,
        site: request.site,
        copies: request.copies,
        ack: request.ack,
        now_ms: request.now_ms,
        entropy: request.entropy,
    }
}

fn state_of(state: types::BackendState) -> sdk::BackendState {
    sdk::BackendState {
        used_bytes: state.used_bytes,
        reserved_bytes: state.reserved_bytes,
        limit_bytes: state.limit_bytes,
        health: match state.health {
            types::Health::Healthy => sdk::Health::Healthy,
            types::Health::Degraded => sdk::Health::Degraded,
            types::Health::Down => sdk::Health::Down,
        },
        writable: state.writable,
        latency_us: state.latency_us,
        errors_permille: state.errors_permille,
        slots_used: state.slots_used,
        slots_max: state.slots_max,
        copies_pending: state.copies_pending,
    }
}
