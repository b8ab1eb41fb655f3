//! Hosts, facts and questions for the tests.

use std::sync::Arc;
use std::time::Duration;

use weir_policy::{
    Answer, BackendFacts, BackendState, CopyFacts, CopyState, DecisionKind, Excluded, Input,
    Limits, ObjectFacts, Obstacle, Origin, OverflowAnswer, OverflowInput, PlacementAnswer,
    PlacementDecision, PlacementInput, PolicyHost, ReadFacts, Refused, ReplicationAnswer,
    ReplicationInput, RequestFacts, RevisionId, RoutingAnswer, RoutingInput, SiteFacts,
    StaticFacts, UsageLimits,
};

/// A question of each kind, about this key, from this principal.
pub(crate) fn question<'a>(
    kind: DecisionKind,
    key: &'a str,
    principal: &'a str,
    backends: &'a [BackendState],
) -> Input<'a> {
    let mut placement = input(key, backends);
    placement.request.principal = principal;
    let PlacementInput {
        facts_generation,
        request,
        ..
    } = placement;
    match kind {
        DecisionKind::Placement => Input::Placement(placement),
        DecisionKind::Overflow => Input::Overflow(OverflowInput {
            facts_generation,
            request,
            excluded: &[Excluded {
                backend: 0,
                obstacle: Obstacle::Bytes,
                resets_at_ms: None,
            }],
            backends,
        }),
        DecisionKind::Replication => Input::Replication(ReplicationInput {
            facts_generation,
            object: ObjectFacts {
                // Whose bucket it is stands for who asks.
                bucket: principal,
                key,
                size_bytes: 10_240,
                copies_wanted: 2,
                candidates: &[0, 1],
                copies: &[CopyFacts {
                    backend: 0,
                    state: CopyState::Good,
                    written_at_ms: 1,
                }],
                now_ms: request.now_ms,
                entropy: request.entropy,
                ..ObjectFacts::default()
            },
            backends,
        }),
        DecisionKind::ReadRouting => Input::ReadRouting(RoutingInput {
            facts_generation,
            read: ReadFacts {
                bucket: request.bucket,
                key,
                size_bytes: 10_240,
                length_bytes: 10_240,
                principal,
                site: request.site,
                copies: &[0, 1],
                now_ms: request.now_ms,
                entropy: request.entropy,
                ..ReadFacts::default()
            },
            backends,
        }),
    }
}

/// The same question at another time.
pub(crate) fn at(mut input: Input<'_>, now_ms: u64) -> Input<'_> {
    match &mut input {
        Input::Placement(input) => input.request.now_ms = now_ms,
        Input::Overflow(input) => input.request.now_ms = now_ms,
        Input::Replication(input) => input.object.now_ms = now_ms,
        Input::ReadRouting(input) => input.read.now_ms = now_ms,
    }
    input
}

/// The clock of [`input`].
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// Asks whichever question it is.
pub(crate) fn ask(
    host: &PolicyHost,
    binding: &str,
    input: &Input<'_>,
) -> Result<(Answer, Origin), Refused> {
    Ok(match input {
        Input::Placement(input) => {
            let PlacementDecision {
                candidates,
                copies,
                ack,
                reason,
                origin,
            } = host.place(binding, input)?;
            let answer = PlacementAnswer {
                candidates,
                copies,
                ack,
                reason,
            };
            (Answer::Placement(answer), origin)
        }
        Input::Overflow(input) => {
            let decision = host.overflow(binding, input)?;
            let answer = OverflowAnswer {
                verdict: decision.verdict,
                reason: decision.reason,
            };
            (Answer::Overflow(answer), decision.origin)
        }
        Input::Replication(input) => {
            let decision = host.replicate(binding, input)?;
            let answer = ReplicationAnswer {
                add: decision.add,
                drop: decision.drop,
                reason: decision.reason,
            };
            (Answer::Replication(answer), decision.origin)
        }
        Input::ReadRouting(input) => {
            let decision = host.route(binding, input)?;
            let answer = RoutingAnswer {
                order: decision.order,
                hedge_after_us: decision.hedge_after_us,
            };
            (Answer::ReadRouting(answer), decision.origin)
        }
    })
}

/// Loads a component and lets it decide.
pub(crate) fn activate(
    host: &PolicyHost,
    name: &str,
    component: &[u8],
    settings: &str,
    backends: usize,
) -> RevisionId {
    let id = host
        .load(name, component, None, settings, &facts(backends))
        .expect("loads");
    host.activate(name, id).expect("is loaded");
    id
}

/// A host that waits for threads which a busy machine puts aside: fuel limits the guests.
pub(crate) fn host(limits: Limits) -> PolicyHost {
    PolicyHost::new(patient(limits)).expect("engine")
}

pub(crate) fn patient(limits: Limits) -> Limits {
    let patience = Duration::from_secs(60);
    Limits {
        call_time_max: patience,
        configure_time_max: patience,
        ..limits
    }
}

/// Facts about this many backends, named `b0`, `b1`, …
pub(crate) fn facts(backends: usize) -> Arc<StaticFacts> {
    let backends = (0..backends)
        .map(|n| BackendFacts {
            id: format!("b{n}"),
            region: Some("eu-north".to_owned()),
            labels: vec![("tier".to_owned(), "hot".to_owned())],
            limits: UsageLimits {
                bytes: Some(1 << 40),
                ..UsageLimits::default()
            },
            ..BackendFacts::default()
        })
        .collect();
    let site = SiteFacts {
        id: "edge-1".to_owned(),
        ..SiteFacts::default()
    };
    Arc::new(StaticFacts {
        generation: 1,
        site,
        backends,
        ..StaticFacts::default()
    })
}

/// Empty, healthy, writable backends.
pub(crate) fn states(backends: usize) -> Vec<BackendState> {
    let state = BackendState {
        limit_bytes: Some(1 << 40),
        writable: true,
        latency_us: 900,
        slots_max: 16,
        ..BackendState::default()
    };
    vec![state; backends]
}

/// A PUT of 10 KiB for two copies.
pub(crate) fn input<'a>(key: &'a str, backends: &'a [BackendState]) -> PlacementInput<'a> {
    PlacementInput {
        facts_generation: 1,
        request: RequestFacts {
            bucket: "photos",
            key,
            size_bytes: Some(10_240),
            content_type: Some("image/jpeg"),
            principal: "AKEXAMPLE",
            site: "edge-1",
            copies: 2,
            ack: 1,
            now_ms: NOW_MS,
            entropy: 0x0123_4567_89ab_cdef,
            ..RequestFacts::default()
        },
        backends,
    }
}
