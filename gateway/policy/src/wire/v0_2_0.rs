//! Version 0.2.0: an interface for each decision, and what a component exports of them.

mod answers;
mod facts;
mod questions;

use wasmtime::Result;
use wasmtime::component::{Instance, InstancePre};

use super::{Described, Needs, Store, not_exported};
use crate::api::{
    DecisionKind, Decisions, OverflowAnswer, OverflowInput, PlacementAnswer, PlacementInput,
    ReplicationAnswer, ReplicationInput, RoutingAnswer, RoutingInput, StaticFacts,
};
use crate::bindings::v0_2_0::exports::weir::policy::{
    lifecycle, overflow, placement, read_routing, replication,
};
use crate::error::ConfigError;
use crate::guest::GuestState;

pub(crate) struct Exports {
    lifecycle: lifecycle::GuestIndices,
    placement: Option<placement::GuestIndices>,
    overflow: Option<overflow::GuestIndices>,
    replication: Option<replication::GuestIndices>,
    read_routing: Option<read_routing::GuestIndices>,
}

impl Exports {
    pub(super) fn of(pre: &InstancePre<GuestState>, decides: Decisions) -> Result<Self> {
        let exported = |kind| decides.contains(kind).then_some(pre);
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            placement: exported(DecisionKind::Placement)
                .map(placement::GuestIndices::new)
                .transpose()?,
            overflow: exported(DecisionKind::Overflow)
                .map(overflow::GuestIndices::new)
                .transpose()?,
            replication: exported(DecisionKind::Replication)
                .map(replication::GuestIndices::new)
                .transpose()?,
            read_routing: exported(DecisionKind::ReadRouting)
                .map(read_routing::GuestIndices::new)
                .transpose()?,
        })
    }

    pub(super) fn load(&self, store: &mut Store, at: &Instance) -> Result<Guest> {
        Ok(Guest {
            lifecycle: self.lifecycle.load(&mut *store, at)?,
            placement: match &self.placement {
                Some(exports) => Some(exports.load(&mut *store, at)?),
                None => None,
            },
            overflow: match &self.overflow {
                Some(exports) => Some(exports.load(&mut *store, at)?),
                None => None,
            },
            replication: match &self.replication {
                Some(exports) => Some(exports.load(&mut *store, at)?),
                None => None,
            },
            read_routing: match &self.read_routing {
                Some(exports) => Some(exports.load(&mut *store, at)?),
                None => None,
            },
        })
    }
}

pub(crate) struct Guest {
    lifecycle: lifecycle::Guest,
    placement: Option<placement::Guest>,
    overflow: Option<overflow::Guest>,
    replication: Option<replication::Guest>,
    read_routing: Option<read_routing::Guest>,
}

impl Guest {
    pub(super) fn describe(&self, store: &mut Store) -> Result<Described> {
        let description = self.lifecycle.call_describe(store)?;
        Ok(answers::described(description))
    }

    pub(super) fn configure(
        &self,
        store: &mut Store,
        settings: &str,
        facts: &StaticFacts,
    ) -> Result<std::result::Result<(), Vec<ConfigError>>> {
        let outcome = facts::with_facts(facts, |facts| {
            self.lifecycle.call_configure(store, settings, facts)
        })?;
        Ok(outcome.map_err(answers::config_errors))
    }

    pub(super) fn place(
        &self,
        store: &mut Store,
        input: &PlacementInput<'_>,
        needs: Needs,
    ) -> Result<PlacementAnswer> {
        let guest = self.placement.as_ref().ok_or_else(not_exported)?;
        let backends = questions::states(input.backends);
        let decision = questions::with_request(&input.request, needs, |request| {
            guest.call_place(store, request, &backends)
        })?;
        Ok(answers::placement(decision))
    }

    pub(super) fn overflow(
        &self,
        store: &mut Store,
        input: &OverflowInput<'_>,
        needs: Needs,
    ) -> Result<OverflowAnswer> {
        let guest = self.overflow.as_ref().ok_or_else(not_exported)?;
        let backends = questions::states(input.backends);
        let excluded = questions::excluded(input.excluded);
        let decision = questions::with_request(&input.request, needs, |request| {
            guest.call_overflow(store, request, &excluded, &backends)
        })?;
        Ok(answers::overflow(decision))
    }

    pub(super) fn replicate(
        &self,
        store: &mut Store,
        input: &ReplicationInput<'_>,
        needs: Needs,
    ) -> Result<ReplicationAnswer> {
        let guest = self.replication.as_ref().ok_or_else(not_exported)?;
        let backends = questions::states(input.backends);
        let decision = questions::with_object(&input.object, needs, |object| {
            guest.call_replicate(store, object, &backends)
        })?;
        Ok(answers::replication(decision))
    }

    pub(super) fn route(
        &self,
        store: &mut Store,
        input: &RoutingInput<'_>,
    ) -> Result<RoutingAnswer> {
        let guest = self.read_routing.as_ref().ok_or_else(not_exported)?;
        let backends = questions::states(input.backends);
        let decision = guest.call_route(store, questions::read(&input.read), &backends)?;
        Ok(answers::routing(decision))
    }
}
