//! What a policy is told with every question, in the types of 0.2.0.

use super::facts::labels;
use crate::api::{
    BackendState, CopyFacts, CopyState, Excluded, Health, MonthUsage, ObjectFacts, Obstacle,
    Occasion, Operation, ReadFacts, RequestFacts,
};
use crate::bindings::v0_2_0::exports::weir::policy::{overflow, read_routing, replication};
use crate::bindings::v0_2_0::weir::policy::types as wit;
use crate::wire::Needs;

pub(super) fn with_request<R>(
    request: &RequestFacts<'_>,
    needs: Needs,
    use_it: impl FnOnce(wit::Request<'_>) -> R,
) -> R {
    let tags = labels(request.tags.iter().copied());
    let user_metadata = labels(needs.of(request.user_metadata).iter().copied());
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
        storage_policy: request.storage_policy,
        tags: &tags,
        user_metadata: &user_metadata,
        principal: request.principal,
        site: request.site,
        copies: request.copies,
        ack: request.ack,
        now_ms: request.now_ms,
        entropy: request.entropy,
    })
}

pub(super) fn with_object<R>(
    object: &ObjectFacts<'_>,
    needs: Needs,
    use_it: impl FnOnce(replication::Object<'_>) -> R,
) -> R {
    let tags = labels(object.tags.iter().copied());
    let user_metadata = labels(needs.of(object.user_metadata).iter().copied());
    let copies: Vec<_> = object.copies.iter().map(copy).collect();
    use_it(replication::Object {
        bucket: object.bucket,
        key: object.key,
        size_bytes: object.size_bytes,
        content_type: object.content_type,
        storage_class: object.storage_class,
        storage_policy: object.storage_policy,
        tags: &tags,
        user_metadata: &user_metadata,
        created_at_ms: object.created_at_ms,
        copies_wanted: object.copies_wanted,
        candidates: object.candidates,
        copies: &copies,
        occasion: match object.occasion {
            Occasion::Committed => replication::Occasion::Committed,
            Occasion::Repair => replication::Occasion::Repair,
            Occasion::Review => replication::Occasion::Review,
        },
        now_ms: object.now_ms,
        entropy: object.entropy,
    })
}

pub(super) fn read<'a>(read: &ReadFacts<'a>) -> read_routing::Read<'a> {
    read_routing::Read {
        bucket: read.bucket,
        key: read.key,
        size_bytes: read.size_bytes,
        length_bytes: read.length_bytes,
        storage_class: read.storage_class,
        principal: read.principal,
        site: read.site,
        copies: read.copies,
        now_ms: read.now_ms,
        entropy: read.entropy,
    }
}

pub(super) fn excluded(excluded: &[Excluded]) -> Vec<overflow::Excluded> {
    let one = |excluded: &Excluded| overflow::Excluded {
        backend: excluded.backend,
        obstacle: match excluded.obstacle {
            Obstacle::Bytes => overflow::Obstacle::Bytes,
            Obstacle::Objects => overflow::Obstacle::Objects,
            Obstacle::MonthWrites => overflow::Obstacle::MonthWrites,
            Obstacle::MonthIngress => overflow::Obstacle::MonthIngress,
        },
        resets_at_ms: excluded.resets_at_ms,
    };
    excluded.iter().map(one).collect()
}

pub(super) fn states(backends: &[BackendState]) -> Vec<wit::BackendState> {
    backends.iter().map(state).collect()
}

fn copy(copy: &CopyFacts) -> replication::ObjectCopy {
    replication::ObjectCopy {
        backend: copy.backend,
        state: match copy.state {
            CopyState::Good => replication::CopyState::Good,
            CopyState::Suspect => replication::CopyState::Suspect,
        },
        written_at_ms: copy.written_at_ms,
    }
}

fn state(state: &BackendState) -> wit::BackendState {
    let MonthUsage {
        writes,
        reads,
        ingress_bytes,
        egress_bytes,
    } = state.month;
    wit::BackendState {
        used_bytes: state.used_bytes,
        reserved_bytes: state.reserved_bytes,
        limit_bytes: state.limit_bytes,
        objects: state.objects,
        month: wit::MonthUsage {
            writes,
            reads,
            ingress_bytes,
            egress_bytes,
        },
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
