//! One conversion for each record. Strings and lists are moved, not copied.

use super::{wit, wit_overflow, wit_replication, wit_routing};
use crate as sdk;

pub(super) fn states(backends: Vec<wit::BackendState>) -> Vec<sdk::BackendState> {
    backends.into_iter().map(Into::into).collect()
}

fn labels(labels: Vec<wit::Label>) -> Vec<sdk::Label> {
    let label = |wit::Label { name, value }| sdk::Label { name, value };
    labels.into_iter().map(label).collect()
}

impl From<wit::Facts> for sdk::Facts {
    fn from(facts: wit::Facts) -> Self {
        let wit::Facts {
            site,
            peers,
            backends,
        } = facts;
        Self {
            site: site.into(),
            peers: peers.into_iter().map(Into::into).collect(),
            backends: backends.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wit::SiteFacts> for sdk::SiteFacts {
    fn from(site: wit::SiteFacts) -> Self {
        Self {
            id: site.id,
            region: site.region,
            labels: labels(site.labels),
        }
    }
}

impl From<wit::BackendFacts> for sdk::BackendFacts {
    fn from(backend: wit::BackendFacts) -> Self {
        let wit::Limits {
            bytes,
            objects,
            month_writes,
            month_reads,
            month_ingress_bytes,
            month_egress_bytes,
        } = backend.limits;
        let wit::Cost {
            storage_gb_month_micros,
            egress_gb_micros,
            write_thousand_micros,
            read_thousand_micros,
        } = backend.cost;
        Self {
            id: backend.id,
            region: backend.region,
            provider: backend.provider,
            failure_domain: backend.failure_domain,
            residency: backend.residency,
            labels: labels(backend.labels),
            limits: sdk::Limits {
                bytes,
                objects,
                month_writes,
                month_reads,
                month_ingress_bytes,
                month_egress_bytes,
            },
            cost: sdk::Cost {
                storage_gb_month_micros,
                egress_gb_micros,
                write_thousand_micros,
                read_thousand_micros,
            },
            retention_days_min: backend.retention_days_min,
        }
    }
}

impl From<wit::Request> for sdk::Request {
    fn from(request: wit::Request) -> Self {
        Self {
            operation: match request.operation {
                wit::Operation::PutObject => sdk::Operation::PutObject,
                wit::Operation::CopyObject => sdk::Operation::CopyObject,
                wit::Operation::CreateMultipartUpload => sdk::Operation::CreateMultipartUpload,
                wit::Operation::PostObject => sdk::Operation::PostObject,
                wit::Operation::Import => sdk::Operation::Import,
            },
            bucket: request.bucket,
            key: request.key,
            size_bytes: request.size_bytes,
            content_type: request.content_type,
            storage_class: request.storage_class,
            storage_policy: request.storage_policy,
            tags: labels(request.tags),
            user_metadata: labels(request.user_metadata),
            principal: request.principal,
            site: request.site,
            copies: request.copies,
            ack: request.ack,
            now_ms: request.now_ms,
            entropy: request.entropy,
        }
    }
}

impl From<wit::BackendState> for sdk::BackendState {
    fn from(state: wit::BackendState) -> Self {
        let wit::MonthUsage {
            writes,
            reads,
            ingress_bytes,
            egress_bytes,
        } = state.month;
        Self {
            used_bytes: state.used_bytes,
            reserved_bytes: state.reserved_bytes,
            limit_bytes: state.limit_bytes,
            objects: state.objects,
            month: sdk::MonthUsage {
                writes,
                reads,
                ingress_bytes,
                egress_bytes,
            },
            health: match state.health {
                wit::Health::Healthy => sdk::Health::Healthy,
                wit::Health::Degraded => sdk::Health::Degraded,
                wit::Health::Down => sdk::Health::Down,
            },
            writable: state.writable,
            latency_us: state.latency_us,
            errors_permille: state.errors_permille,
            slots_used: state.slots_used,
            slots_max: state.slots_max,
            copies_pending: state.copies_pending,
        }
    }
}

impl From<wit_overflow::Excluded> for sdk::Excluded {
    fn from(excluded: wit_overflow::Excluded) -> Self {
        Self {
            backend: excluded.backend,
            obstacle: match excluded.obstacle {
                wit_overflow::Obstacle::Bytes => sdk::Obstacle::Bytes,
                wit_overflow::Obstacle::Objects => sdk::Obstacle::Objects,
                wit_overflow::Obstacle::MonthWrites => sdk::Obstacle::MonthWrites,
                wit_overflow::Obstacle::MonthIngress => sdk::Obstacle::MonthIngress,
            },
            resets_at_ms: excluded.resets_at_ms,
        }
    }
}

impl From<sdk::Overflow> for wit_overflow::Decision {
    fn from(overflow: sdk::Overflow) -> Self {
        let verdict = match overflow.verdict {
            sdk::Verdict::Spill(candidates) => {
                wit_overflow::Verdict::Spill(wit_overflow::Spilling { candidates })
            }
            sdk::Verdict::Refuse => wit_overflow::Verdict::Refuse,
            sdk::Verdict::MakeRoom {
                evictions,
                meanwhile,
            } => wit_overflow::Verdict::MakeRoom(wit_overflow::RoomMaking {
                evictions: evictions.into_iter().map(Into::into).collect(),
                meanwhile,
            }),
        };
        Self {
            verdict,
            reason: overflow.reason,
        }
    }
}

impl From<sdk::Eviction> for wit_overflow::Eviction {
    fn from(eviction: sdk::Eviction) -> Self {
        let sdk::Eviction {
            source,
            targets,
            prefix,
            storage_class,
            age_ms_min,
            bytes_max,
        } = eviction;
        Self {
            source,
            targets,
            prefix,
            storage_class,
            age_ms_min,
            bytes_max,
        }
    }
}

impl From<wit_replication::Object> for sdk::Object {
    fn from(object: wit_replication::Object) -> Self {
        let copy = |copy: wit_replication::ObjectCopy| sdk::ObjectCopy {
            backend: copy.backend,
            state: match copy.state {
                wit_replication::CopyState::Good => sdk::CopyState::Good,
                wit_replication::CopyState::Suspect => sdk::CopyState::Suspect,
            },
            written_at_ms: copy.written_at_ms,
        };
        Self {
            bucket: object.bucket,
            key: object.key,
            size_bytes: object.size_bytes,
            content_type: object.content_type,
            storage_class: object.storage_class,
            storage_policy: object.storage_policy,
            tags: labels(object.tags),
            user_metadata: labels(object.user_metadata),
            created_at_ms: object.created_at_ms,
            copies_wanted: object.copies_wanted,
            candidates: object.candidates,
            copies: object.copies.into_iter().map(copy).collect(),
            occasion: match object.occasion {
                wit_replication::Occasion::Committed => sdk::Occasion::Committed,
                wit_replication::Occasion::Repair => sdk::Occasion::Repair,
                wit_replication::Occasion::Review => sdk::Occasion::Review,
            },
            now_ms: object.now_ms,
            entropy: object.entropy,
        }
    }
}

impl From<sdk::Replication> for wit_replication::Decision {
    fn from(replication: sdk::Replication) -> Self {
        let addition = |addition: sdk::Addition| wit_replication::Addition {
            backend: addition.backend,
            priority: addition.priority,
            not_before_ms: addition.not_before_ms,
        };
        Self {
            add: replication.add.into_iter().map(addition).collect(),
            drop: replication.drop,
            reason: replication.reason,
        }
    }
}

impl From<wit_routing::Read> for sdk::Read {
    fn from(read: wit_routing::Read) -> Self {
        Self {
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
}
