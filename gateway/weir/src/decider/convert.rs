//! The core's questions as the host takes them, and the host's answers as the core does.

use std::time::Duration;

use weir_core::decide as core;
use weir_policy as policy;
use weir_types::record::CopyState;

/// Name and value of tags or metadata.
pub(super) type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Calls `use_it` with the request as the host takes it.
pub(super) fn with_request<R>(
    request: &core::PlaceRequest<'_>,
    storage_policy: &core::StoragePolicy,
    site: &str,
    use_it: impl FnOnce(policy::RequestFacts<'_>) -> R,
) -> R {
    let (tags, metadata) = (pairs(request.tags), pairs(request.user_metadata));
    use_it(policy::RequestFacts {
        operation: operation(request.operation),
        bucket: request.bucket.as_str(),
        key: request.key.as_str(),
        size_bytes: request.size_bytes,
        content_type: request.content_type,
        storage_class: request.storage_class,
        storage_policy: Some(&storage_policy.name),
        tags: &tags,
        user_metadata: &metadata,
        principal: request.principal.as_str(),
        site,
        copies: u32::from(storage_policy.copies),
        ack: u32::from(storage_policy.ack),
        now_ms: request.now_ms,
        entropy: request.entropy,
    })
}

fn operation(name: &str) -> policy::Operation {
    match name {
        "CopyObject" => policy::Operation::CopyObject,
        "CreateMultipartUpload" => policy::Operation::CreateMultipartUpload,
        _ => policy::Operation::PutObject,
    }
}

pub(super) fn pairs(all: &[(String, String)]) -> Pairs<'_> {
    let borrowed = |(name, value)| (String::as_str(name), String::as_str(value));
    all.iter()
        .map(|pair| borrowed((&pair.0, &pair.1)))
        .collect()
}

pub(super) fn states(backends: &[core::BackendState]) -> Vec<policy::BackendState> {
    let state = |state: &core::BackendState| policy::BackendState {
        used_bytes: state.used_bytes,
        reserved_bytes: state.reserved_bytes,
        limit_bytes: state.bytes_max,
        objects: state.objects,
        health: if state.healthy {
            policy::Health::Healthy
        } else {
            policy::Health::Down
        },
        writable: state.writable,
        latency_us: u32::try_from(state.latency_us).unwrap_or(u32::MAX),
        errors_permille: state.errors_permille,
        slots_used: state.slots_used,
        slots_max: state.slots_max,
        ..policy::BackendState::default()
    };
    backends.iter().map(state).collect()
}

/// Positions of the core as indices of the host. The configuration has fewer backends than
/// either can count.
pub(super) fn indices(positions: &[usize]) -> Vec<u32> {
    positions.iter().map(|&position| index(position)).collect()
}

fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

pub(super) fn positions(indices: &[u32]) -> Vec<usize> {
    indices.iter().map(|&index| index as usize).collect()
}

pub(super) fn excluded(excluded: &[core::Excluded]) -> Vec<policy::Excluded> {
    let one = |excluded: &core::Excluded| policy::Excluded {
        backend: index(excluded.backend),
        obstacle: match excluded.obstacle {
            core::Obstacle::Bytes => policy::Obstacle::Bytes,
        },
        resets_at_ms: None,
    };
    excluded.iter().map(one).collect()
}

pub(super) fn verdict(verdict: policy::Verdict) -> core::Verdict {
    match verdict {
        policy::Verdict::Spill(to) => core::Verdict::Spill(positions(&to)),
        policy::Verdict::Refuse => core::Verdict::Refuse,
        policy::Verdict::MakeRoom {
            evictions,
            meanwhile,
        } => core::Verdict::MakeRoom {
            evictions: evictions.len(),
            meanwhile: positions(&meanwhile),
        },
    }
}

pub(super) fn copy(copy: &core::HeldCopy) -> policy::CopyFacts {
    policy::CopyFacts {
        backend: index(copy.backend),
        state: match copy.state {
            CopyState::Good => policy::CopyState::Good,
            CopyState::Suspect => policy::CopyState::Suspect,
        },
        written_at_ms: copy.written_at_ms,
    }
}

pub(super) fn object<'a>(
    object: &core::ObjectState<'a>,
    storage_policy: &'a core::StoragePolicy,
    copies: &'a [policy::CopyFacts],
    candidates: &'a [u32],
    (tags, user_metadata): (&'a Pairs<'a>, &'a Pairs<'a>),
) -> policy::ObjectFacts<'a> {
    policy::ObjectFacts {
        bucket: object.bucket,
        key: object.key,
        size_bytes: object.size_bytes,
        content_type: object.content_type,
        storage_class: object.storage_class,
        storage_policy: Some(&storage_policy.name),
        tags,
        user_metadata,
        created_at_ms: object.created_at_ms,
        copies_wanted: u32::from(object.copies_wanted),
        candidates,
        copies,
        occasion: match object.occasion {
            core::Occasion::Committed => policy::Occasion::Committed,
            core::Occasion::Repair => policy::Occasion::Repair,
        },
        now_ms: object.now_ms,
        entropy: object.entropy,
    }
}

pub(super) fn addition(addition: &policy::Addition) -> core::Addition {
    core::Addition {
        backend: addition.backend as usize,
        priority: addition.priority,
        not_before_ms: addition.not_before_ms,
    }
}

pub(super) fn read<'a>(
    read: &core::ReadState<'a>,
    copies: &'a [u32],
    site: &'a str,
) -> policy::ReadFacts<'a> {
    policy::ReadFacts {
        bucket: read.bucket.as_str(),
        key: read.key.as_str(),
        size_bytes: read.size_bytes,
        length_bytes: read.length_bytes,
        storage_class: read.storage_class,
        principal: read.principal.as_str(),
        site,
        copies,
        now_ms: read.now_ms,
        entropy: read.entropy,
    }
}

pub(super) fn route(decision: &policy::RoutingDecision) -> core::Route {
    let hedge = decision.hedge_after_us;
    core::Route {
        order: positions(&decision.order),
        hedge_after: hedge.map(|us| Duration::from_micros(u64::from(us))),
    }
}
