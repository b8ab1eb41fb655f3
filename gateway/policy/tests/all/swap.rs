//! What happens over time: swaps under load, recycling, determinism checks,
//! quarantine, other facts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use weir_policy::{
    Answer, BackendState, DecidedBy, DecisionKind, FaultKind, Health, Limits, NativeCause,
    PlacementInput, RevisionId, StaticFacts, builtin, native,
};

use crate::guest::{Guest, does};
use crate::support::{NOW_MS, activate, ask, at, facts, host, input, question, states};

#[test]
fn a_thousand_swaps_under_load_fail_nothing_and_leave_nothing() {
    const SWAPS: usize = 1000;
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
        guest.build()
    };
    // Two, so that both are in use and neither is compiled more than once.
    let built = [0, 1].map(build);
    let settings = |swap: usize| format!("{{\"swap\": {swap}}}");
    let parity: HashMap<_, _> = (0..SWAPS)
        .map(|swap| {
            let at = swap % built.len();
            (RevisionId::of(&built[at], &settings(swap)), at % 2)
        })
        .collect();
    activate(&host, "b", &built[0], &settings(0), 4);

    let done = AtomicBool::new(false);
    let decided: u64 = thread::scope(|scope| {
        let ask_on = || {
            let states = states(4);
            let (mut decided, mut wrong) = (0_u64, Vec::new());
            while !done.load(Relaxed) {
                for kind in DecisionKind::ALL {
                    let input = question(kind, "k", "AK", &states);
                    let (answer, origin) = ask(&host, "b", &input).expect("never refuses");
                    let expected = match origin.decided_by {
                        DecidedBy::Revision(id) if parity[&id] == 0 => vec![0, 1],
                        DecidedBy::Revision(_) => vec![2, 3],
                        DecidedBy::Native(_) => vec![],
                    };
                    let good = match &answer {
                        Answer::Placement(answer) => answer.candidates == expected,
                        _ => !expected.is_empty(),
                    };
                    if !good {
                        wrong.push((answer, origin));
                    }
                    decided += 1;
                }
            }
            assert!(wrong.is_empty(), "{:?}", wrong.first());
            decided
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask_on)).collect();
        for swap in 0..SWAPS {
            activate(&host, "b", &built[swap % built.len()], &settings(swap), 4);
        }
        done.store(true, Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no wrong decision"))
            .sum()
    });
    assert!(decided > SWAPS as u64);
    let metrics = host.metrics();
    assert_eq!(metrics.revisions_loaded, 2);
    let binding = &metrics.bindings["b"];
    assert_eq!(binding.faults_total(), 0, "{binding:?}");
    assert_eq!(binding.determinism_mismatches, 0);
    // The active and the previous revision keep theirs; all others are gone.
    let kept = limits.instances_per_revision as u64;
    assert!(binding.instances_live <= 2 * kept, "{binding:?}");
    assert!(binding.instances_created >= SWAPS as u64);

    let previous = host.status()["b"].previous.expect("one was active before");
    host.forget("b", previous).expect("it does not decide");
    assert!(host.forget("b", previous).is_err());
    let metrics = host.metrics();
    assert_eq!(metrics.revisions_loaded, 1);
    assert!(metrics.bindings["b"].instances_live <= kept);
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

/// Answers by how often it was called, in every decision.
const BY_TURNS: &str = "
    (local $bit i32)
    (global.set $state (i32.add (global.get $state) (i32.const 1)))
    (local.set $bit (i32.and (global.get $state) (i32.const 1)))
    (i32.store (i32.const 0x400) (local.get $bit))
    (i32.store (i32.const 0x404) (i32.sub (i32.const 1) (local.get $bit)))
    (i32.store (i32.const 0x500) (local.get $bit))
    (i32.store (i32.const 0x504) (i32.sub (i32.const 1) (local.get $bit)))
    (i32.store (i32.const 0x800) (i32.add (i32.const 1) (local.get $bit)))
    (i32.store (i32.const 0xa00) (local.get $bit))";

#[test]
fn hidden_state_is_noticed() {
    let good = Guest::default().build();
    for (component, mismatches) in [(does(BY_TURNS).build(), 10), (good, 0)] {
        for kind in DecisionKind::ALL {
            let host = host(Limits {
                determinism_check_every: 5,
                instances_per_revision: 1,
                calls_per_instance_max: 1_000_000,
                ..Limits::default()
            });
            activate(&host, "b", &component, "{}", 3);
            let states = states(3);
            for _ in 0..100 {
                ask(&host, "b", &question(kind, "k", "AK", &states)).expect("decides");
            }
            let metrics = &host.metrics().bindings["b"];
            assert_eq!(metrics.determinism_checks, 20, "{kind}");
            assert_eq!(metrics.determinism_mismatches, mismatches, "{kind}");
        }
    }
}

#[test]
fn a_leak_costs_an_instance_and_no_decision() {
    let host = host(Limits {
        determinism_check_every: 0,
        instances_per_revision: 1,
        memory_bytes_max: 1 << 20,
        ..Limits::default()
    });
    let leaks = does("(drop (memory.grow (i32.const 1)))").build();
    let id = activate(&host, "b", &leaks, "{}", 2);
    let states = states(2);
    for n in 0..200 {
        let kind = DecisionKind::ALL[n % 4];
        let (_, origin) = ask(&host, "b", &question(kind, "k", "AK", &states)).expect("decides");
        assert_eq!(origin.decided_by, DecidedBy::Revision(id));
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.faults_total(), 0);
    // 16 pages fit, one is there from the start, and the 16th call is one too many.
    assert_eq!(metrics.instances_recycled, 200 / 16);
    assert_eq!(metrics.determinism_mismatches, 200 / 16);
}

/// Traps when the key has 7 bytes.
fn trips_over_some_keys() -> Vec<u8> {
    does(
        "(if (i32.eq (i32.load (i32.add (local.get 0) (i32.const {key_len}))) (i32.const 7))
             (then unreachable))",
    )
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
    for n in 0..100 {
        let key = format!("bad{n:04}");
        for kind in DecisionKind::ALL {
            let (_, failed) =
                ask(&host, "b", &question(kind, &key, "AK", &states)).expect("falls back");
            let (_, good) =
                ask(&host, "b", &question(kind, "good", "AK", &states)).expect("decides");
            assert_eq!(failed.fault.map(|fault| fault.kind), Some(FaultKind::Trap));
            assert_eq!(good.decided_by, DecidedBy::Revision(id));
        }
    }
    // Not at a quiet moment either, when nobody else asks.
    for n in 0..40 {
        let key = format!("bad{n:04}");
        for kind in DecisionKind::ALL {
            let input = at(question(kind, &key, "AK", &states), NOW_MS + 120_000);
            ask(&host, "b", &input).expect("falls back");
        }
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.quarantines, 0);
    assert!(metrics.quarantined.is_empty());
    assert!(metrics.probes > 0);
}

#[test]
fn an_instance_that_answers_once_is_rescued_and_its_policy_goes_into_quarantine() {
    let limits = Limits {
        determinism_check_every: 0,
        instances_per_revision: 1,
        ..Limits::default()
    };
    let component = Guest {
        configure: "(global.set $state (i32.const 0))".to_owned(),
        ..does(
            "(if (global.get $state) (then unreachable))
             (global.set $state (i32.const 1))",
        )
    };
    let host = host(limits.clone());
    let id = activate(&host, "b", &component.build(), "{}", 2);
    let states = states(2);
    for kind in DecisionKind::ALL {
        let decided_by = |n: usize| {
            let (key, principal) = (format!("k{n}"), format!("AK{n}"));
            let input = question(kind, &key, &principal, &states);
            let (_, origin) = ask(&host, "b", &input).expect("decides");
            origin.decided_by
        };
        let mut asked = 0;
        while decided_by(asked) == DecidedBy::Revision(id) {
            asked += 1;
            assert!(asked < 100, "{kind}");
        }
        let closed = DecidedBy::Native(NativeCause::Quarantine);
        assert_eq!(decided_by(asked), closed, "{kind}");
        // Every second call fails.
        let faults = asked / 2;
        assert!(faults.abs_diff(limits.quarantine_keys_min) <= 1, "{asked}");
    }
    assert_eq!(host.metrics().bindings["b"].faults_total(), 0);
}

#[test]
fn widespread_faults_close_one_decision_and_a_probe_brings_it_back() {
    let limits = Limits {
        determinism_check_every: 0,
        quarantine_ms_min: 1000,
        ..Limits::default()
    };
    for kind in DecisionKind::ALL {
        let host = host(limits.clone());
        let id = activate(&host, "b", &trips_over_some_keys(), "{}", 2);
        let states = states(2);
        let decided_by = |kind, key: &str, principal: &str, now_ms| {
            let input = at(question(kind, key, principal, &states), now_ms);
            let (_, origin) = ask(&host, "b", &input).expect("never refuses");
            origin.decided_by
        };
        decided_by(kind, "good", "AK", NOW_MS);
        for n in 0..limits.quarantine_keys_min {
            decided_by(kind, &format!("bad{n:04}"), &format!("AK{n}"), NOW_MS);
        }
        let closed = host.status()["b"].quarantined;
        assert_eq!(closed.iter().collect::<Vec<_>>(), [kind]);
        for other in DecisionKind::ALL {
            let expected = if other == kind {
                DecidedBy::Native(NativeCause::Quarantine)
            } else {
                DecidedBy::Revision(id)
            };
            assert_eq!(decided_by(other, "good", "AK", NOW_MS), expected, "{kind}");
        }
        // The probe runs on a recorded input, so the key that happens to come
        // first does not decide about the way back.
        let later = NOW_MS + limits.quarantine_ms_min;
        decided_by(kind, "bad9999", "AK", later);
        let back = decided_by(kind, "good", "AK", later);
        assert_eq!(back, DecidedBy::Revision(id), "{kind}");
        let metrics = &host.metrics().bindings["b"];
        assert_eq!((metrics.quarantines, metrics.probes), (1, 1), "{kind}");
        assert!(metrics.quarantined.is_empty(), "{kind}");
    }
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
