//! What a policy call costs: each of the four decisions natively, on reused instances, and with
//! an instance of its own for every call, over 4, 16 and 64 backends. The policies are built-in
//! ones: `spread`, `overflow-spill`, `mirror` and `latency`.
//!
//! The ways take turns in short rounds, so that a change of the machine's speed
//! meets all of them and a thread that is put aside spoils few; printed are the
//! median of the rounds and the interval that holds the middle half.
//!
//! `cargo bench -p weir-policy --bench policy_call [ROUNDS]`

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_policy::{
    Allocation, BackendFacts, BackendState, BindingSettings, CopyFacts, CopyState, DecidedBy,
    DecisionKind, Excluded, Isolation, Limits, NativeCause, ObjectFacts, Obstacle, Origin,
    OverflowInput, PlacementInput, PolicyHost, ReadFacts, ReplicationInput, RequestFacts,
    RoutingInput, StaticFacts, UsageLimits, builtin,
};

/// The policy that decides, which gives its binding its name.
const POLICIES: [(DecisionKind, &str); 4] = [
    (DecisionKind::Placement, "spread"),
    (DecisionKind::Overflow, "overflow-spill"),
    (DecisionKind::Replication, "mirror"),
    (DecisionKind::ReadRouting, "latency"),
];

/// A way to decide: its name, how instances are kept, and calls in a round.
struct Way {
    name: &'static str,
    /// `None`: without a policy.
    isolation: Option<Isolation>,
    allocation: Allocation,
    calls: u32,
}

const WAYS: [Way; 4] = [
    Way {
        name: "native",
        isolation: None,
        allocation: Allocation::OnDemand,
        calls: 1000,
    },
    Way {
        name: "reused instance (default)",
        isolation: Some(Isolation::Reused),
        allocation: Allocation::OnDemand,
        calls: 1000,
    },
    Way {
        name: "own instance, on demand",
        isolation: Some(Isolation::PerCall),
        allocation: Allocation::OnDemand,
        calls: 50,
    },
    Way {
        name: "own instance, pooled",
        isolation: Some(Isolation::PerCall),
        allocation: Allocation::Pooling { instances_max: 64 },
        calls: 50,
    },
];

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(151);
    println!(
        "{:13} {:26} {:>8} {:>12} {:>23}",
        "decision", "way", "backends", "median", "middle half"
    );
    for (kind, policy) in POLICIES {
        for backends in [4, 16, 64] {
            compare(kind, policy, backends, rounds);
        }
    }
}

fn compare(kind: DecisionKind, policy: &str, backends: u32, rounds: u32) {
    let states = states(backends);
    let hosts = WAYS.map(|way| (host(&way, policy, backends), way));
    let mut nanos = hosts.each_ref().map(|_| Vec::new());
    for round in 0..=rounds {
        for ((host, way), nanos) in hosts.iter().zip(&mut nanos) {
            let per_call = measure(host, policy, kind, way, &states);
            // The first round warms up.
            if round > 0 {
                nanos.push(per_call);
            }
        }
    }
    for ((_, way), mut nanos) in hosts.iter().zip(nanos) {
        nanos.sort_by(f64::total_cmp);
        let at = |share: usize| nanos[(nanos.len() - 1) * share / 4] / 1000.0;
        let name = way.name;
        println!(
            "{kind:13} {name:26} {backends:8} {:9.2} µs {:9.2} – {:8.2} µs",
            at(2),
            at(1),
            at(3)
        );
    }
}

fn host(way: &Way, policy: &str, backends: u32) -> PolicyHost {
    // Checks are part of the default's cost, and would double that of the others.
    let reused = way.isolation == Some(Isolation::Reused);
    let host = PolicyHost::new(Limits {
        determinism_check_every: if reused {
            Limits::default().determinism_check_every
        } else {
            0
        },
        allocation: way.allocation,
        // A busy machine may put the thread aside in the middle of a call.
        call_time_max: Duration::from_secs(60),
        configure_time_max: Duration::from_secs(60),
        ..Limits::default()
    });
    let host = host.expect("the engine starts");
    let settings = BindingSettings {
        isolation: way.isolation.unwrap_or_default(),
        ..BindingSettings::default()
    };
    host.bind(policy, settings);
    if way.isolation.is_some() {
        let component = builtin::component(policy).expect("is built in");
        let id = host.load(policy, component, None, "{}", &facts(backends));
        host.activate(policy, id.expect("loads"))
            .expect("is loaded");
    }
    host
}

/// Nanoseconds per call.
fn measure(
    host: &PolicyHost,
    binding: &str,
    kind: DecisionKind,
    way: &Way,
    states: &[BackendState],
) -> f64 {
    let started = Instant::now();
    for call in 0..way.calls {
        let origin = decide(host, binding, kind, states, u64::from(call));
        match origin.decided_by {
            DecidedBy::Revision(_) => assert!(way.isolation.is_some()),
            DecidedBy::Native(cause) => {
                assert!(
                    way.isolation.is_none() && cause == NativeCause::Unbound,
                    "{cause:?}"
                );
            }
        }
    }
    started.elapsed().as_nanos() as f64 / f64::from(way.calls)
}

fn decide(
    host: &PolicyHost,
    binding: &str,
    kind: DecisionKind,
    backends: &[BackendState],
    entropy: u64,
) -> Origin {
    const REFUSES: &str = "is not set to refuse";
    let request = RequestFacts {
        bucket: BUCKET,
        key: KEY,
        size_bytes: Some(SIZE_BYTES),
        content_type: Some("image/jpeg"),
        principal: PRINCIPAL,
        site: "edge-1",
        copies: 2,
        ack: 1,
        now_ms: NOW_MS,
        entropy,
        ..RequestFacts::default()
    };
    match kind {
        DecisionKind::Placement => {
            let input = PlacementInput {
                facts_generation: 1,
                request,
                backends,
            };
            let decision = host.place(binding, black_box(&input)).expect(REFUSES);
            black_box(decision).origin
        }
        DecisionKind::Overflow => {
            let input = OverflowInput {
                facts_generation: 1,
                request,
                excluded: &EXCLUDED,
                backends,
            };
            let decision = host.overflow(binding, black_box(&input)).expect(REFUSES);
            black_box(decision).origin
        }
        DecisionKind::Replication => {
            let input = ReplicationInput {
                facts_generation: 1,
                object: ObjectFacts {
                    bucket: BUCKET,
                    key: KEY,
                    size_bytes: SIZE_BYTES,
                    content_type: Some("image/jpeg"),
                    copies_wanted: 2,
                    candidates: &[0, 1, 2],
                    copies: &COPIES,
                    now_ms: NOW_MS,
                    entropy,
                    ..ObjectFacts::default()
                },
                backends,
            };
            let decision = host.replicate(binding, black_box(&input)).expect(REFUSES);
            black_box(decision).origin
        }
        DecisionKind::ReadRouting => {
            let input = RoutingInput {
                facts_generation: 1,
                read: ReadFacts {
                    bucket: BUCKET,
                    key: KEY,
                    size_bytes: SIZE_BYTES,
                    length_bytes: SIZE_BYTES,
                    principal: PRINCIPAL,
                    site: "edge-1",
                    copies: &[0, 1, 2],
                    now_ms: NOW_MS,
                    entropy,
                    ..ReadFacts::default()
                },
                backends,
            };
            let decision = host.route(binding, black_box(&input)).expect(REFUSES);
            black_box(decision).origin
        }
    }
}

const BUCKET: &str = "photos-of-2026";
const KEY: &str = "summer/stockholm/IMG_20260704_120000.jpg";
const PRINCIPAL: &str = "AKIAIOSFODNN7EXAMPLE";
const SIZE_BYTES: u64 = 3_400_000;
const NOW_MS: u64 = 1_800_000_000_000;

const EXCLUDED: [Excluded; 1] = [Excluded {
    backend: 0,
    obstacle: Obstacle::Bytes,
    resets_at_ms: None,
}];

const COPIES: [CopyFacts; 1] = [CopyFacts {
    backend: 0,
    state: CopyState::Good,
    written_at_ms: NOW_MS,
}];

fn facts(backends: u32) -> Arc<StaticFacts> {
    let backends = (0..backends)
        .map(|n| BackendFacts {
            id: format!("backend-{n}"),
            region: Some("eu-north-1".to_owned()),
            provider: Some("example".to_owned()),
            failure_domain: Some(format!("rack-{}", n % 4)),
            limits: UsageLimits {
                bytes: Some(1 << 42),
                ..UsageLimits::default()
            },
            ..BackendFacts::default()
        })
        .collect();
    Arc::new(StaticFacts {
        generation: 1,
        backends,
        ..StaticFacts::default()
    })
}

fn states(backends: u32) -> Vec<BackendState> {
    let state = |n| BackendState {
        used_bytes: (n * 7919 % 100) << 34,
        reserved_bytes: 1 << 20,
        limit_bytes: Some(1 << 42),
        writable: true,
        latency_us: 1200,
        slots_used: 3,
        slots_max: 64,
        ..BackendState::default()
    };
    (0..u64::from(backends)).map(state).collect()
}
