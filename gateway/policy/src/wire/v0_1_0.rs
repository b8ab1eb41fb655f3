//! Version 0.1.0: placement alone, and fewer facts.

use wasmtime::Result;
use wasmtime::component::{Instance, InstancePre};

use super::{Described, Needs, Store, pairs};
use crate::api::{
    BackendFacts, BackendState, Cost, DecisionKind, Health, Operation, PlacementAnswer,
    PlacementInput, RequestFacts, StaticFacts,
};
use crate::bindings::v0_1_0::exports::weir::policy::{lifecycle, placement};
use crate::bindings::v0_1_0::weir::policy::types as wit;
use crate::error::ConfigError;
use crate::guest::GuestState;

pub(crate) struct Exports {
    lifecycle: lifecycle::GuestIndices,
    placement: placement::GuestIndices,
}

impl Exports {
    pub(super) fn of(pre: &InstancePre<GuestState>) -> Result<Self> {
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            placement: placement::GuestIndices::new(pre)?,
        })
    }

    pub(super) fn load(&self, store: &mut Store, instance: &Instance) -> Result<Guest> {
        Ok(Guest {
            lifecycle: self.lifecycle.load(&mut *store, instance)?,
            placement: self.placement.load(&mut *store, instance)?,
        })
    }
}

pub(crate) struct Guest {
    lifecycle: lifecycle::Guest,
    placement: placement::Guest,
}

impl Guest {
    pub(super) fn describe(&self, store: &mut Store) -> Result<Described> {
        let lifecycle::Description {
            name,
            version,
            summary,
            settings_schema,
        } = self.lifecycle.call_describe(store)?;
        Ok(Described {
            name,
            version,
            summary,
            decides: [DecisionKind::Placement].into_iter().collect(),
            needs: Needs::default(),
            settings_schema,
        })
    }

    pub(super) fn configure(
        &self,
        store: &mut Store,
        settings: &str,
        facts: &StaticFacts,
    ) -> Result<std::result::Result<(), Vec<ConfigError>>> {
        let outcome = with_facts(facts, |facts| {
            self.lifecycle.call_configure(store, settings, facts)
        })?;
        Ok(outcome.map_err(|errors| {
            errors
                .into_iter()
                .map(|lifecycle::ConfigError { path, message }| ConfigError { path, message })
                .collect()
        }))
    }

    pub(super) fn place(
        &self,
        store: &mut Store,
        input: &PlacementInput<'_>,
    ) -> Result<PlacementAnswer> {
        let backends = states(input.backends);
        let placement::Decision {
            candidates,
            copies,
            ack,
            reason,
        } = with_request(&input.request, |request| {
            self.placement.call_place(store, request, &backends)
        })?;
        Ok(PlacementAnswer {
            candidates,
            copies,
            ack,
            reason,
        })
    }
}

fn with_facts<R>(facts: &StaticFacts, use_it: impl FnOnce(wit::Facts<'_>) -> R) -> R {
    let site_labels = labels(pairs(&facts.site.labels));
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
            id: &facts.site.id,
            region: facts.site.region.as_deref(),
            labels: &site_labels,
        },
        backends: &backends,
    })
}

fn with_request<R>(request: &RequestFacts<'_>, use_it: impl FnOnce(wit::Request<'_>) -> R) -> R {
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

fn states(backends: &[BackendState]) -> Vec<wit::BackendState> {
    backends.iter().map(state).collect()
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
