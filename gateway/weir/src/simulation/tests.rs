//! A small recording: replayed it is identical, simulated it says what would change.

use std::path::PathBuf;

use weir_policy::{
    BackendFacts, BackendState, Cost, OwnedPlacement, OwnedRead, OwnedRequest, OwnedRouting,
    StaticFacts, UsageLimits,
};

use super::*;
use crate::recording::{Decision, Header};

fn built(name: &str) -> PathBuf {
    PathBuf::from(format!(
        "{}/../../plugins/built/{name}.wasm",
        env!("CARGO_MANIFEST_DIR")
    ))
}

/// Three backends: dear and small, cheap and large, cheap without a limit.
fn facts() -> StaticFacts {
    let backend = |id: &str, bytes, storage, egress| BackendFacts {
        id: id.into(),
        limits: UsageLimits {
            bytes,
            ..UsageLimits::default()
        },
        cost: Cost {
            storage_gb_month_micros: storage,
            egress_gb_micros: egress,
            write_thousand_micros: 5000,
            read_thousand_micros: 400,
        },
        ..BackendFacts::default()
    };
    StaticFacts {
        generation: 1,
        backends: vec![
            backend("disk", Some(10_000_000_000), 0, 0),
            backend("dear", Some(100_000_000_000), 23_000, 90_000),
            backend("cheap", None, 6_000, 0),
        ],
        ..StaticFacts::default()
    }
}

/// An empty recording.
fn recording() -> Recording {
    Recording {
        header: Header {
            format: 1,
            policy: "spread".into(),
            started_at: "2026-01-01T00:00:00.000Z".into(),
            share_permille: 1000,
            limits: crate::recording::Limits::of(&Default::default()),
            facts: facts(),
        },
        settings: Default::default(),
        decisions: Vec::new(),
    }
}

fn put(n: u64, used: [u64; 3]) -> OwnedInput {
    let facts = facts();
    let state = |(backend, used_bytes): (&BackendFacts, u64)| BackendState {
        used_bytes,
        limit_bytes: backend.limits.bytes,
        writable: true,
        ..BackendState::default()
    };
    OwnedInput::Placement(OwnedPlacement {
        facts_generation: 1,
        request: OwnedRequest {
            bucket: "photos".into(),
            key: format!("2026/{n}.jpg"),
            size_bytes: Some((n + 1) * 100_000_000),
            copies: 2,
            ack: 1,
            now_ms: n,
            entropy: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ..OwnedRequest::default()
        },
        backends: facts.backends.iter().zip(used).map(state).collect(),
    })
}

fn get(n: u64, used: [u64; 3]) -> OwnedInput {
    let OwnedInput::Placement(OwnedPlacement { backends, .. }) = put(n, used) else {
        return put(n, used);
    };
    OwnedInput::ReadRouting(OwnedRouting {
        facts_generation: 1,
        read: OwnedRead {
            bucket: "photos".into(),
            key: format!("2026/{n}.jpg"),
            size_bytes: 100_000_000,
            length_bytes: 100_000_000,
            copies: vec![1, 2],
            ..OwnedRead::default()
        },
        backends,
    })
}

/// Ten puts that a component decided, each seeing what the ones before have stored.
fn recorded_by(component: &str) -> Recording {
    let mut recording = recording();
    let subject = Subject::load(&built(component), None, &recording);
    let subject = subject.unwrap_or_else(|e| panic!("{e}"));
    let mut used = [0, 0, 0];
    for n in 0..10 {
        let input = put(n, used);
        let Outcome::Answer(answer) = subject.ask(&input) else {
            panic!("{component} answers");
        };
        if let Answer::Placement(placed) = &answer {
            for candidate in placed.candidates.iter().take(2) {
                used[*candidate as usize] += (n + 1) * 100_000_000;
            }
        }
        recording.decisions.push(Decision {
            revision: format!("{component}@{}", subject.revision()),
            native: None,
            fault: None,
            input,
            answer,
        });
    }
    recording
}

fn load(component: &str, recording: &Recording) -> Subject {
    let subject = Subject::load(&built(component), None, recording);
    subject.unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_same_component_decides_the_same_and_another_does_not() {
    let recording = recorded_by("spread");
    let same = replay(&recording, &load("spread", &recording), &|_| {});
    assert!(same.is_same(), "{same}");
    assert_eq!((same.compared, same.same, same.different), (10, 10, 0));
    let other = replay(&recording, &load("pack", &recording), &|_| {});
    assert!(!other.is_same() && other.different > 0, "{other}");
    assert!(other.to_string().contains("    + "), "{other}");
    // What the native default decided without asking is not compared.
    let mut native = recorded_by("spread");
    for decision in &mut native.decisions {
        (decision.revision, decision.native) = ("native".into(), Some(NativeCause::Quarantine));
    }
    let native = replay(&native, &load("spread", &recording), &|_| {});
    assert!(!native.is_same() && native.native == 10, "{native}");
    // Nor is what other revisions decided, where this one decided some.
    let mut mixed = recorded_by("spread");
    mixed.decisions.extend(recorded_by("pack").decisions);
    let mixed = replay(&mixed, &load("spread", &recording), &|_| {});
    assert!(mixed.is_same() && mixed.other_revisions == 10, "{mixed}");
}

#[test]
fn a_failure_is_the_same_when_it_fails_the_same() {
    let mut recording = recorded_by("spread");
    // With so little fuel every call ends in the same limit.
    let limits = recording.header.limits;
    recording.header.limits = crate::recording::Limits {
        call_fuel_max: 50,
        call_fuel_per_backend_max: 0,
        ..limits
    };
    let subject = load("spread", &recording);
    let outcome = subject.ask(&recording.decisions[0].input);
    let Outcome::Fault(kind) = outcome else {
        panic!("{outcome:?}");
    };
    for decision in &mut recording.decisions {
        (decision.revision, decision.native) = ("native".into(), Some(NativeCause::Fault));
        decision.fault = Some(kind);
    }
    let same = replay(&recording, &subject, &|_| {});
    assert!(same.is_same() && same.compared == 10, "{same}");
    recording.header.limits = limits;
    let other = replay(&recording, &load("spread", &recording), &|_| {});
    assert_eq!(other.different, 10, "{other}");
}

#[test]
fn a_simulation_of_the_same_component_changes_nothing() {
    let recording = recorded_by("spread");
    let same = simulate(&recording, &load("spread", &recording), 10, &|_| {});
    assert_eq!(
        (same.objects, same.elsewhere, same.moves.len()),
        (10, 0, 0),
        "{same}"
    );
    assert!(
        same.costs
            .iter()
            .all(|cost| cost.recorded.to_bits() == cost.simulated.to_bits())
    );
    assert!(
        same.fill
            .iter()
            .all(|fill| fill.recorded_bytes == fill.simulated_bytes)
    );
    assert!(same.examples.is_empty());
}

#[test]
fn a_simulation_says_what_would_change() {
    let mut recording = recorded_by("spread");
    // A key that is written again, and a read that a component of placement does not decide.
    let again = recording.decisions[0].clone();
    recording.decisions.push(again);
    recording.decisions.push(Decision {
        input: get(0, [0, 5_000_000_000, 5_500_000_000]),
        answer: Answer::ReadRouting(RoutingAnswer {
            order: vec![1, 2],
            hedge_after_us: None,
        }),
        ..recording.decisions[0].clone()
    });
    let simulation = simulate(&recording, &load("pack", &recording), 2, &|_| {});
    let text = simulation.to_string();
    let golden = include_str!("golden.txt");
    assert!(text == golden, "{text}\nis not\n{golden}");
    // Every move is of a copy that is somewhere before and after.
    let moved: u64 = simulation.moves.iter().map(|way| way.copies).sum();
    assert!(moved >= simulation.elsewhere);
}
