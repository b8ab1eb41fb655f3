//! What was decided once is decided again: in another process, after any number of other calls.

use std::path::Path;

use serde::{Deserialize, Serialize};
use weir_policy::{
    Answer, DecisionKind, Fault, FaultKind, Input, Limits, OwnedInput, PolicyHost, builtin, examine,
};

use crate::children::{self, Folder};
use crate::guest::{Guest, does};
use crate::support::{activate, ask, facts, host, patient, question, states};

const BACKENDS: usize = 4;

/// A decision as it was made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Recorded {
    binding: String,
    input: OwnedInput,
    answer: Answer,
    decided_by: String,
    fault: Option<Fault>,
}

/// Works the longer the longer the key is: out of fuel a little above 100 bytes.
const WORKS_BY_KEY: &str = "
    (local $n i32)
    (local.set $n (i32.mul (i32.const 8000)
        (i32.load (i32.add (local.get 0) (i32.const {key_len})))))
    (loop $again
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (i32.gt_s (local.get $n) (i32.const 0))))";

/// The same in every process.
fn hosted() -> PolicyHost {
    let host = host(Limits {
        // In a test all keys fail at once; that they do is what is recorded.
        quarantine_keys_min: usize::MAX,
        determinism_check_every: 0,
        ..Limits::default()
    });
    activate(&host, "works", &does(WORKS_BY_KEY).build(), "{}", BACKENDS);
    for name in ["spread", "pack", "latency", "mirror", "overflow-spill"] {
        let component = builtin::component(name).expect("is built in");
        activate(&host, name, component, "{}", BACKENDS);
    }
    host
}

const BINDINGS: [&str; 6] = [
    "works",
    "spread",
    "pack",
    "latency",
    "mirror",
    "overflow-spill",
];

fn decide(host: &PolicyHost, binding: &str, input: &Input<'_>) -> Recorded {
    let (answer, origin) = ask(host, binding, input).expect("never refuses");
    Recorded {
        binding: binding.to_owned(),
        input: OwnedInput::from(input),
        answer,
        decided_by: origin.revision.to_string(),
        fault: origin.fault,
    }
}

/// The `n`th question of a stream.
fn nth<R>(n: u64, key: &str, use_it: impl FnOnce(&Input<'_>) -> R) -> R {
    let mut states = states(BACKENDS);
    let mut number = n;
    for state in &mut states {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.used_bytes = number >> 25;
        state.latency_us = (number >> 50) as u32;
        state.writable = number >> 60 != 0;
    }
    let kind = DecisionKind::ALL[n as usize % 4];
    use_it(&question(kind, key, "AK", &states))
}

#[test]
fn another_process_decides_the_same_after_100_000_other_calls() {
    let name = "replay::another_process_decides_the_same_after_100_000_other_calls";
    if let Some(file) = children::job() {
        return replay(&file);
    }
    let host = hosted();
    let mut recording = Vec::new();
    for n in 0..600 {
        let key = "k".repeat(60 + n as usize % 80);
        for binding in BINDINGS {
            recording.push(nth(n, &key, |input| decide(&host, binding, input)));
        }
    }
    let out_of_fuel = |recorded: &&Recorded| {
        let fault = recorded.fault.as_ref();
        fault.is_some_and(|fault| fault.kind == FaultKind::Fuel)
    };
    let refusals = recording.iter().filter(out_of_fuel).count();
    assert!((100..500).contains(&refusals), "{refusals} of 600");
    let others = recording
        .iter()
        .filter(|recorded| recorded.binding != "works");
    assert!(others.into_iter().all(|recorded| recorded.fault.is_none()));

    let folder = Folder::new("replay");
    let file = folder.path("recording.json");
    let text = serde_json::to_vec(&recording).expect("JSON");
    std::fs::write(&file, text).expect("written");
    children::run(name, &file);
}

fn replay(file: &Path) {
    let host = hosted();
    for n in 0..100_000 {
        let key = format!("{n}");
        let binding = BINDINGS[n as usize / 4 % BINDINGS.len()];
        nth(n, &key, |input| decide(&host, binding, input));
    }
    let text = std::fs::read(file).expect("the recording");
    let recording: Vec<Recorded> = serde_json::from_slice(&text).expect("a recording");
    assert_eq!(recording.len(), 600 * BINDINGS.len());
    for recorded in recording {
        let again = recorded
            .input
            .borrow(|input| decide(&host, &recorded.binding, &input));
        assert_eq!(again, recorded);
    }
}

/// Answers by what it was asked before.
const REMEMBERS: &str = "
    (local $before i32)
    (local.set $before (global.get $state))
    (global.set $state (i32.load8_u (i32.load (i32.add (local.get 0) (i32.sub (i32.const {key_len}) (i32.const 4))))))
    (i32.store (i32.const 0x400) (i32.and (local.get $before) (i32.const 1)))
    (i32.store (i32.const 0x404) (i32.const 2))";

#[test]
fn an_examination_tells_what_a_component_is_and_does() {
    let states = states(4);
    let inputs: Vec<OwnedInput> = ["a", "b", "c"]
        .iter()
        .flat_map(|key| {
            DecisionKind::ALL.map(|kind| OwnedInput::from(&question(kind, key, "AK", &states)))
        })
        .collect();
    let examined = |guest: &Guest| {
        let component = guest.build();
        let facts = facts(4);
        let limits = patient(Limits::default());
        examine(&component, "{}", Some(&facts), &inputs, limits).expect("engine")
    };

    let report = examined(&Guest::default());
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.api_version.as_deref(), Some("0.2.0"));
    assert_eq!(report.decides.iter().count(), 4);
    assert!(
        report
            .imports
            .iter()
            .any(|name| name == "weir:policy/host@0.2.0")
    );
    assert!(
        report
            .exports
            .iter()
            .any(|name| name == "weir:policy/overflow@0.2.0")
    );
    assert_eq!(report.description.map(|d| d.name).as_deref(), Some("/abcd"));
    assert_eq!((report.calls.len(), report.memory_bytes), (12, 65_536));
    assert!(
        report
            .calls
            .iter()
            .all(|call| call.fuel > 0 && call.nanos > 0)
    );

    let remembers = Guest {
        decides: vec![DecisionKind::Placement],
        ..does(REMEMBERS)
    };
    let report = examined(&remembers);
    assert!(!report.is_sound() && report.refused.is_none());
    for call in &report.calls {
        let placement = call.decision == DecisionKind::Placement;
        assert_eq!(call.skipped.is_none(), placement);
        assert_eq!(call.outcome.is_some(), placement);
    }
    assert!(report.calls.iter().any(|call| call.disagreement.is_some()));

    let report = examined(&does("(loop (br 0))"));
    assert!(report.is_sound());
    for call in report.calls {
        let Some(examine::Outcome::Fault(fault)) = call.outcome else {
            panic!("{call:?}");
        };
        assert_eq!(fault.kind, FaultKind::Fuel);
        assert_eq!(call.fuel, Limits::default().call_fuel(4));
    }

    let mistaken = Guest {
        configured: crate::guest::AT_MISTAKES,
        ..Guest::default()
    };
    let report = examined(&mistaken);
    assert_eq!(report.config_errors.len(), 2);
    assert!(report.refused.is_some() && report.description.is_some());

    let report = examine(b"no component", "{}", None, &[], Limits::default()).expect("engine");
    assert!(report.refused.is_some() && report.api_version.is_none());
    assert_eq!(report.bytes, 12);
}

#[test]
fn costs_are_measured_for_what_is_decided() {
    let states = states(4);
    let inputs =
        DecisionKind::ALL.map(|kind| OwnedInput::from(&question(kind, "k", "AK", &states)));
    let guest = Guest {
        decides: vec![DecisionKind::Overflow, DecisionKind::ReadRouting],
        ..Guest::default()
    };
    let limits = patient(Limits::default());
    let costs = examine::measure(&guest.build(), "{}", None, &inputs, limits, 7).expect("measured");
    let kinds: Vec<_> = costs.iter().map(|cost| cost.decision).collect();
    assert_eq!(kinds, guest.decides);
    for cost in costs {
        assert_eq!((cost.reused_nanos.len(), cost.fresh_nanos.len()), (7, 7));
        assert!(cost.reused_nanos.is_sorted());
        assert!(cost.fuel > 0 && cost.memory_bytes == 65_536);
    }
}
