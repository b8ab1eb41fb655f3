//! What a policy answers, out of the types of 0.2.0.

use crate::api::{
    Addition, DecisionKind, Decisions, Eviction, OverflowAnswer, PlacementAnswer,
    ReplicationAnswer, RoutingAnswer, Verdict,
};
use crate::bindings::v0_2_0::exports::weir::policy::{
    lifecycle, overflow, placement, read_routing, replication,
};
use crate::error::ConfigError;
use crate::wire::{Described, Needs};

pub(super) fn described(description: lifecycle::Description) -> Described {
    let lifecycle::Description {
        name,
        version,
        summary,
        decides,
        needs,
        settings_schema,
    } = description;
    Described {
        name,
        version,
        summary,
        decides: decisions(decides),
        needs: Needs {
            user_metadata: needs.contains(lifecycle::Needs::USER_METADATA),
        },
        settings_schema,
    }
}

fn decisions(flags: lifecycle::Decisions) -> Decisions {
    let said = |kind: &DecisionKind| {
        flags.contains(match kind {
            DecisionKind::Placement => lifecycle::Decisions::PLACEMENT,
            DecisionKind::Overflow => lifecycle::Decisions::OVERFLOW,
            DecisionKind::Replication => lifecycle::Decisions::REPLICATION,
            DecisionKind::ReadRouting => lifecycle::Decisions::READ_ROUTING,
        })
    };
    DecisionKind::ALL.into_iter().filter(said).collect()
}

pub(super) fn config_errors(errors: Vec<lifecycle::ConfigError>) -> Vec<ConfigError> {
    errors
        .into_iter()
        .map(|lifecycle::ConfigError { path, message }| ConfigError { path, message })
        .collect()
}

pub(super) fn placement(decision: placement::Decision) -> PlacementAnswer {
    let placement::Decision {
        candidates,
        copies,
        ack,
        reason,
    } = decision;
    PlacementAnswer {
        candidates,
        copies,
        ack,
        reason,
    }
}

pub(super) fn overflow(decision: overflow::Decision) -> OverflowAnswer {
    let verdict = match decision.verdict {
        overflow::Verdict::Spill(spilling) => Verdict::Spill(spilling.candidates),
        overflow::Verdict::Refuse => Verdict::Refuse,
        overflow::Verdict::MakeRoom(room_making) => Verdict::MakeRoom {
            evictions: room_making.evictions.into_iter().map(eviction).collect(),
            meanwhile: room_making.meanwhile,
        },
    };
    OverflowAnswer {
        verdict,
        reason: decision.reason,
    }
}

fn eviction(eviction: overflow::Eviction) -> Eviction {
    let overflow::Eviction {
        source,
        targets,
        prefix,
        storage_class,
        age_ms_min,
        bytes_max,
    } = eviction;
    Eviction {
        source,
        targets,
        prefix,
        storage_class,
        age_ms_min,
        bytes_max,
    }
}

pub(super) fn replication(decision: replication::Decision) -> ReplicationAnswer {
    let replication::Decision { add, drop, reason } = decision;
    let add = add.into_iter().map(|addition| Addition {
        backend: addition.backend,
        priority: addition.priority,
        not_before_ms: addition.not_before_ms,
    });
    ReplicationAnswer {
        add: add.collect(),
        drop,
        reason,
    }
}

pub(super) fn routing(decision: read_routing::Decision) -> RoutingAnswer {
    let read_routing::Decision {
        order,
        hedge_after_us,
    } = decision;
    RoutingAnswer {
        order,
        hedge_after_us,
    }
}
