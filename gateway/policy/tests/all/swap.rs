//! What happens over time: swaps under load, recycling, determinism checks,
//! quarantine, other facts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use weir_policy::{
    BackendState, DecidedBy, DecisionKind, FaultKind, Health, Limits, NativeCause, PlacementInput,
    PolicyHost, RevisionId, StaticFacts, builtin, native,
};

use crate::support::{Guest, facts, input, states};

/// Waits for threads that a busy machine puts aside: fuel limits the guests.
fn host(limits: Limits) -> PolicyHost {
    let patient = Duration::from_secs(60);
    let limits = Limits {
        call_time_max: patient,
        configure_time_max: patient,
        ..limits
    };
    PolicyHost::new(limits).expect("engine")
}

fn activate(
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

#[test]
fn two_hundred_swaps_under_load_fail_nothing_and_leave_nothing() {
    const SWAPS: u32 = 200;
    let limits = Limits {
        instances_per_revision: 4,
        ..Limits::default()
    };
    let host = host(limits.clone());
    // Even salts place on the first two backends, odd ones on the last two.
    let build = |salt: u32| {
        let candidates = if salt.is_multiple_of(2) {
            vec![0, 1]
        } else {
            vec![2, 3]
        };
        let guest = Guest {
            candidates,
            salt,
            ..Guest::default()
        };
        let component = guest.build();
        let parity = (RevisionId::of(&component, "{}"), salt % 2);
        (component, parity)
    };
    let built: Vec<_> = (0..SWAPS).map(build).collect();
    let parity: std::collections::HashMap<_, _> = built.iter().map(|(_, parity)| *parity).collect();
    activate(&host, "b", &built[0].0, "{}", 4);

    let done = AtomicBool::new(false);
    let decided: u64 = thread::scope(|scope| {
        let ask = || {
            let states = states(4);
            let (mut decided, mut wrong) = (0_u64, Vec::new());
            while !done.load(Relaxed) {
                let decision = host
                    .place("b", &input("k", &states))
                    .expect("never refuses");
                let expected = match decision.origin.decided_by {
                    DecidedBy::Revision(id) if parity[&id] == 0 => vec![0, 1],
                    DecidedBy::Revision(_) => vec![2, 3],
                    DecidedBy::Native(_) => vec![],
                };
                if decision.candidates != expected {
                    wrong.push(decision);
                }
                decided += 1;
            }
            assert!(wrong.is_empty(), "{:?}", wrong.first());
            decided
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for (component, _) in &built {
            activate(&host, "b", component, "{}", 4);
        }
        done.store(true, Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no wrong decision"))
            .sum()
    });
    assert!(decided > u64::from(SWAPS));
    let metrics = host.metrics();
    assert_eq!(metrics.revisions_loaded, 2);
    let binding = &metrics.bindings["b"];
    assert_eq!(binding.faults_total(), 0, "{binding:?}");
    assert_eq!(binding.determinism_mismatches, 0);
    // The active and the previous revision keep theirs; all others are gone.
    assert!(
        binding.instances_live <= 2 * limits.instances_per_revision as u64,
        "{binding:?}"
    );
    assert!(binding.instances_created >= u64::from(SWAPS));
    assert!(host.unbind("b"));
}

#[test]
fn instances_are_reused_and_recycled() {
    let limits = Limits {
        calls_per_instance_max: 10,
        determinism_check_every: 0,
        instances_per_revision: 1,
        ..Limits::default()
    };
    let host = host(limits);
    activate(&host, "b", &Guest::default().build(), "{}", 2);
    let states = states(2);
    for _ in 0..100 {
        host.place("b", &input("k", &states)).expect("decides");
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.instances_recycled, 10);
    // Two at load (one for `describe`), then one for every ten calls.
    assert_eq!(metrics.instances_created, 2 + 9);
    assert_eq!(metrics.calls, 100);
}

#[test]
fn hidden_state_is_noticed() {
    // Answers by how often it was called.
    let place = "
        (global.set $state (i32.add (global.get $state) (i32.const 1)))
        (i32.store (i32.const 0x400) (i32.and (global.get $state) (i32.const 1)))
        (i32.store (i32.const 0x404) (i32.and (i32.xor (global.get $state) (i32.const 1)) (i32.const 1)))";
    let stateful = Guest {
        place: place.to_owned(),
        ..Guest::default()
    }
    .build();
    for (component, mismatches) in [
        (&stateful[..], 10),
        (builtin::SPREAD, 0),
        (builtin::PACK, 0),
    ] {
        let limits = Limits {
            determinism_check_every: 5,
            instances_per_revision: 1,
            calls_per_instance_max: 1_000_000,
            ..Limits::default()
        };
        let host = host(limits);
        activate(&host, "b", component, "{}", 2);
        let states = states(2);
        for _ in 0..100 {
            host.place("b", &input("k", &states)).expect("decides");
        }
        let metrics = &host.metrics().bindings["b"];
        assert_eq!(metrics.determinism_checks, 20);
        assert_eq!(metrics.determinism_mismatches, mismatches);
    }
}

/// Traps when the key has 7 bytes.
fn trips_over_some_keys() -> Vec<u8> {
    let place = "(if (i32.eq (i32.load (i32.add (local.get 0) (i32.const 16))) (i32.const 7))
                     (then unreachable))";
    Guest {
        place: place.to_owned(),
        ..Guest::default()
    }
    .build()
}

#[test]
fn crafted_keys_of_one_client_do_not_switch_a_policy_off() {
    let host = host(Limits {
        determinism_check_every: 0,
        ..Limits::default()
    });
    let id = activate(&host, "b", &trips_over_some_keys(), "{}", 2);
    let states = states(2);
    for n in 0..200 {
        let key = format!("bad{n:04}");
        let fault = host
            .place("b", &input(&key, &states))
            .expect("falls back")
            .origin
            .fault;
        let good = host
            .place("b", &input("good", &states))
            .expect("decides")
            .origin
            .decided_by;
        assert_eq!(fault.map(|fault| fault.kind), Some(FaultKind::Trap));
        assert_eq!(good, DecidedBy::Revision(id));
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.quarantines, 0);
    assert!(metrics.quarantined.is_empty());
}

#[test]
fn widespread_faults_do_and_a_probe_brings_it_back() {
    let limits = Limits {
        determinism_check_every: 0,
        quarantine_ms_min: 1000,
        ..Limits::default()
    };
    let host = host(limits.clone());
    let id = activate(&host, "b", &trips_over_some_keys(), "{}", 2);
    let states = states(2);
    host.place("b", &input("good", &states)).expect("decides");
    for n in 0..limits.quarantine_keys_min {
        let key = format!("bad{n:04}");
        let principal = format!("AK{n}");
        let mut input = input(&key, &states);
        input.request.principal = &principal;
        host.place("b", &input).expect("falls back");
    }
    assert!(
        host.metrics().bindings["b"]
            .quarantined
            .contains(DecisionKind::Placement)
    );
    let mut later = input("good", &states);
    let decision = host.place("b", &later).expect("falls back");
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Native(NativeCause::Quarantine)
    );
    // The probe runs on a recorded input, so the key that happens to come
    // first does not decide about the way back.
    later.request.key = "bad9999";
    later.request.now_ms += limits.quarantine_ms_min;
    host.place("b", &later).expect("falls back");
    later.request.key = "good";
    let decision = host.place("b", &later).expect("decides");
    assert_eq!(decision.origin.decided_by, DecidedBy::Revision(id));
    let metrics = &host.metrics().bindings["b"];
    assert_eq!((metrics.quarantines, metrics.probes), (1, 1));
}

#[test]
fn indices_of_other_facts_are_never_used() {
    let host = host(Limits::default());
    let old = activate(&host, "b", builtin::PACK, "{}", 4);
    let states = states(4);
    let mut newer = input("k", &states);
    newer.facts_generation = 2;
    let decision = host.place("b", &newer).expect("falls back");
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Native(NativeCause::StaleFacts)
    );
    let few = self::states(3);
    let decision = host.place("b", &input("k", &few)).expect("falls back");
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Native(NativeCause::StaleFacts)
    );
    assert!(decision.candidates.iter().all(|index| *index < 3));

    // The same component and settings with the new facts.
    let facts = Arc::new(StaticFacts {
        generation: 2,
        ..StaticFacts::clone(&facts(4))
    });
    let renewed = host
        .load("b", builtin::PACK, None, "{}", &facts)
        .expect("loads");
    assert_eq!(old, renewed);
    host.activate("b", renewed).expect("is loaded");
    let decision = host.place("b", &newer).expect("decides");
    assert_eq!(decision.origin.decided_by, DecidedBy::Revision(old));
    assert_eq!(decision.origin.revision.as_ref(), format!("pack@{old}"));
    assert_eq!(host.metrics().bindings["b"].stale_facts, 2);
}

#[test]
fn rollback_and_activation_know_what_is_loaded() {
    let host = host(Limits {
        revisions_waiting_max: 2,
        ..Limits::default()
    });
    let first = activate(&host, "b", builtin::PACK, "{}", 4);
    assert!(host.rollback("b").is_err());
    let second = activate(&host, "b", builtin::SPREAD, "{}", 4);
    assert_eq!(host.rollback("b"), Ok(first));
    assert_eq!(host.active("b"), Some(first));
    assert_eq!(host.rollback("b"), Ok(second));
    assert!(host.activate("b", RevisionId::default()).is_err());
    assert!(host.activate("x", first).is_err());
    // Activating the one that is active changes nothing.
    host.activate("b", second).expect("is active");
    assert_eq!(host.status()["b"].previous, Some(first));
    // What waits too long goes.
    let waiting: Vec<_> = (51..=53)
        .map(|mark| format!("{{\"water_mark_percent\": {mark}}}"))
        .map(|settings| {
            host.load("b", builtin::PACK, None, &settings, &facts(4))
                .expect("loads")
        })
        .collect();
    let left: Vec<_> = host.status()["b"]
        .waiting
        .iter()
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(left, waiting[1..]);
    assert!(host.activate("b", waiting[0]).is_err());
    assert_eq!(host.active("nothing"), None);
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn state(&mut self) -> BackendState {
        let bits = self.next();
        BackendState {
            used_bytes: self.next() >> (bits % 64),
            reserved_bytes: self.next() >> 40,
            limit_bytes: (bits & 0x300 != 0).then(|| self.next() >> (bits % 61)),
            health: [
                Health::Healthy,
                Health::Healthy,
                Health::Degraded,
                Health::Down,
            ][(bits >> 12) as usize % 4],
            writable: bits & 0xc000 != 0,
            ..BackendState::default()
        }
    }
}

#[test]
fn the_native_default_decides_as_the_plugin_does() {
    let host = host(Limits {
        determinism_check_every: 7,
        ..Limits::default()
    });
    let mut numbers = Numbers(2026);
    for backends in [1, 2, 4, 16, 70] {
        let name = format!("b{backends}");
        let id = activate(&host, &name, builtin::SPREAD, "{}", backends);
        for round in 0..200 {
            let states: Vec<_> = (0..backends).map(|_| numbers.state()).collect();
            let mut input: PlacementInput<'_> = input("k", &states);
            input.request.entropy = numbers.next();
            input.request.size_bytes = (round % 3 != 0).then(|| numbers.next() >> 30);
            let decision = host.place(&name, &input).expect("decides");
            assert_eq!(
                decision.origin.decided_by,
                DecidedBy::Revision(id),
                "{decision:?}"
            );
            assert_eq!(
                decision.candidates,
                native::spread(&input),
                "seed 2026, round {round}"
            );
        }
        assert_eq!(host.metrics().bindings[&name].determinism_mismatches, 0);
    }
}
