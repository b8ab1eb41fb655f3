//! What a policy call costs: `spread` natively, on reused instances, and with
//! an instance of its own for every call, over 4, 16 and 64 backends.
//!
//! The ways take turns in rounds, so that a change of the machine's speed
//! meets all of them; printed are the median of the rounds and the interval
//! that holds the middle half.
//!
//! `cargo bench -p weir-policy --bench policy_call [ROUNDS]`

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use weir_policy::{
    Allocation, BackendFacts, BackendState, DecidedBy, Limits, PlacementInput, PolicyHost,
    RequestFacts, StaticFacts, UsageLimits, builtin, native,
};

const BINDING: &str = "default";

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(15);
    let own = |allocation| Limits {
        calls_per_instance_max: 1,
        determinism_check_every: 0,
        allocation,
        ..Limits::default()
    };
    let ways = [
        ("native", None, 20_000),
        ("reused instance (default)", Some(Limits::default()), 20_000),
        (
            "own instance, on demand",
            Some(own(Allocation::OnDemand)),
            1000,
        ),
        (
            "own instance, pooled",
            Some(own(Allocation::Pooling { instances_max: 64 })),
            1000,
        ),
    ];
    println!(
        "{:28} {:>8} {:>12} {:>23}",
        "way", "backends", "median", "middle half"
    );
    for backends in [4_u32, 16, 64] {
        let facts = facts(backends as usize);
        let states = states(u64::from(backends));
        let hosts: Vec<_> = ways
            .iter()
            .map(|(_, limits, _)| host(limits.clone(), &facts))
            .collect();
        let mut nanos = vec![Vec::new(); ways.len()];
        for round in 0..=rounds {
            for (way, (_, _, calls)) in ways.iter().enumerate() {
                let per_call = measure(hosts[way].as_ref(), &states, *calls);
                // The first round warms up.
                if round > 0 {
                    nanos[way].push(per_call);
                }
            }
        }
        for ((name, _, _), mut nanos) in ways.iter().zip(nanos) {
            nanos.sort_by(f64::total_cmp);
            let at = |share: usize| nanos[(nanos.len() - 1) * share / 4] / 1000.0;
            println!(
                "{name:28} {backends:8} {:9.2} µs {:9.2} – {:8.2} µs",
                at(2),
                at(1),
                at(3)
            );
        }
    }
}

fn host(limits: Option<Limits>, facts: &Arc<StaticFacts>) -> Option<PolicyHost> {
    let host = PolicyHost::new(limits?).expect("the engine starts");
    let id = host
        .load(BINDING, builtin::SPREAD, None, "{}", facts)
        .expect("spread loads");
    host.activate(BINDING, id).expect("it is loaded");
    Some(host)
}

/// Nanoseconds per call.
fn measure(host: Option<&PolicyHost>, states: &[BackendState], calls: u32) -> f64 {
    let started = Instant::now();
    for call in 0..calls {
        let input = input(states, u64::from(call));
        match host {
            None => drop(black_box(native::spread(black_box(&input)))),
            Some(host) => {
                let decision = host
                    .place(BINDING, black_box(&input))
                    .expect("never refuses");
                assert!(matches!(decision.origin.decided_by, DecidedBy::Revision(_)));
                black_box(decision);
            }
        }
    }
    started.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn facts(backends: usize) -> Arc<StaticFacts> {
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

fn states(backends: u64) -> Vec<BackendState> {
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
    (0..backends).map(state).collect()
}

fn input(states: &[BackendState], entropy: u64) -> PlacementInput<'_> {
    PlacementInput {
        facts_generation: 1,
        request: RequestFacts {
            bucket: "photos-of-2026",
            key: "summer/stockholm/IMG_20260704_120000.jpg",
            size_bytes: Some(3_400_000),
            content_type: Some("image/jpeg"),
            principal: "AKIAIOSFODNN7EXAMPLE",
            site: "edge-1",
            copies: 2,
            ack: 1,
            now_ms: 1_800_000_000_000,
            entropy,
            ..RequestFacts::default()
        },
        backends: states,
    }
}
