//! Components that misbehave, and what becomes of each: refused at load, or contained in the
//! call, where the fallback decides, the fault is counted, and other bindings notice nothing.

mod beasts;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use weir_policy::DecisionKind::{self, ReadRouting};
use weir_policy::{
    BindingSettings, DecidedBy, FaultKind, Limits, NativeCause, OnFault, PolicyHost,
};

use crate::guest::{Guest, does};
use crate::support::{ask, facts, host, question, states};
use beasts::{Fate, REASONED};

#[test]
fn each_is_refused_or_contained_and_others_notice_nothing() {
    let host = host(Limits {
        determinism_check_every: 0,
        memory_bytes_max: 16 << 20,
        ..Limits::default()
    });
    let good = Guest::default().build();
    let good_id = crate::support::activate(&host, "good", &good, "{}", 4);
    let zoo = beasts::all();
    assert!(zoo.len() >= 25);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let states = states(4);
            let mut calls = 0_u64;
            while !done.load(Relaxed) {
                for kind in DecisionKind::ALL {
                    let input = question(kind, "k", "AK", &states);
                    let (_, origin) = ask(&host, "good", &input).expect("never refuses");
                    assert_eq!(origin.decided_by, DecidedBy::Revision(good_id));
                }
                calls += 1;
                thread::yield_now();
            }
            calls
        });
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (name, guest, fate) in &zoo {
                match fate {
                    Fate::Refused(says) => check_refused(&host, name, guest, says),
                    Fate::Contained(kinds, fault) => {
                        check_contained(&host, name, guest, kinds, *fault, &good);
                    }
                }
            }
        }));
        done.store(true, Relaxed);
        assert!(others.join().expect("no assertion failed") > 0);
        failed.expect("each meets its fate");
    });
    assert_eq!(host.metrics().bindings["good"].faults_total(), 0);
}

fn check_refused(host: &PolicyHost, name: &str, guest: &Guest, says: &str) {
    let before = host.metrics().revisions_loaded;
    let refused = host.load("good", &guest.build(), None, "{}", &facts(4));
    let why = refused.expect_err(name).to_string();
    assert!(why.contains(says), "{name}: {why}");
    assert_eq!(host.metrics().revisions_loaded, before, "{name}");
}

fn check_contained(
    host: &PolicyHost,
    name: &str,
    guest: &Guest,
    kinds: &[DecisionKind],
    fault: FaultKind,
    good: &[u8],
) {
    let states = states(4);
    let bad = guest.build();
    let load = |component: &[u8]| {
        let id = host.load(name, component, None, "{}", &facts(4));
        let id = id.unwrap_or_else(|error| panic!("{name}: {error}"));
        host.activate(name, id).expect("is loaded");
        id
    };
    load(&bad);
    for kind in kinds {
        let input = question(*kind, "key", "AK", &states);
        let started = Instant::now();
        let (answer, origin) = ask(host, name, &input).expect("falls back");
        let took = started.elapsed();
        assert_eq!(
            origin.fault.map(|fault| fault.kind),
            Some(fault),
            "{name}, {kind}"
        );
        assert_eq!(
            origin.decided_by,
            DecidedBy::Native(NativeCause::Fault),
            "{name}, {kind}"
        );
        let (native, _) = ask(host, "nobody's", &input).expect("native");
        assert!(
            answer.agrees_with(&native),
            "{name}: {answer:?}, not {native:?}"
        );
        // Two to three milliseconds of fuel at most; the rest is for a machine
        // that is busy with other tests.
        assert!(
            took < Duration::from_millis(500),
            "{name}, {kind}: {took:?}"
        );
    }

    // With a revision before it, that one decides.
    let good = load(good);
    load(&bad);
    for kind in kinds {
        let input = question(*kind, "key", "AK", &states);
        let (_, origin) = ask(host, name, &input).expect("falls back");
        assert_eq!(
            origin.decided_by,
            DecidedBy::Revision(good),
            "{name}, {kind}"
        );
    }

    // Set to refuse, nobody does; but a copy is read all the same.
    let settings = BindingSettings {
        on_fault: OnFault::Refuse,
        ..BindingSettings::default()
    };
    host.bind(name, settings);
    for kind in kinds {
        let input = question(*kind, "key", "AK", &states);
        match (kind, ask(host, name, &input)) {
            (ReadRouting, answered) => {
                let (_, origin) = answered.expect("always answered");
                let native = DecidedBy::Native(NativeCause::Fault);
                assert_eq!(origin.decided_by, native, "{name}");
            }
            (_, Ok(answered)) => panic!("{name}, {kind}: {answered:?}"),
            (_, Err(refused)) => {
                assert!(
                    refused.why.starts_with(fault.name()),
                    "{name}, {kind}: {refused}"
                );
            }
        }
    }

    let metrics = &host.metrics().bindings[name];
    let asked = kinds.len() as u64;
    assert_eq!(metrics.faults_of(fault), 3 * asked, "{name}");
    assert_eq!(metrics.faults_total(), 3 * asked, "{name}");
    for (kind, of_kind) in metrics.by_decision {
        let times = u64::from(kinds.contains(&kind));
        let routed = times * u64::from(kind == ReadRouting);
        let found = (
            of_kind.decisions,
            of_kind.faults,
            of_kind.fallbacks_previous,
            of_kind.fallbacks_native,
            of_kind.refused,
        );
        let expected = (3 * times, 3 * times, times, times + routed, times - routed);
        assert_eq!(found, expected, "{name}, {kind}");
    }
    assert!(host.unbind(name));
}

#[test]
fn the_epoch_stops_what_fuel_does_not() {
    let limits = Limits {
        call_fuel_max: u64::MAX,
        call_time_max: Duration::from_millis(20),
        configure_time_max: Duration::from_secs(60),
        ..Limits::default()
    };
    let host = PolicyHost::new(limits).expect("engine");
    let component = does("(loop (br 0))").build();
    crate::support::activate(&host, "b", &component, "{}", 2);
    for kind in DecisionKind::ALL {
        let states = states(2);
        let (_, origin) = ask(&host, "b", &question(kind, "key", "AK", &states)).expect("decides");
        let kind = origin.fault.map(|fault| fault.kind);
        assert_eq!(kind, Some(FaultKind::Deadline));
    }
    // It says nothing about the policy, so it is asked again.
    assert!(host.metrics().bindings["b"].quarantined.is_empty());
}

#[test]
fn long_texts_are_cut_and_escaped() {
    let host = host(Limits::default());
    let mut reason = b"first\nline\x1b[2J".to_vec();
    reason.resize(10_000, b'x');
    let guest = Guest {
        reason,
        ..Guest::default()
    };
    let id = crate::support::activate(&host, "b", &guest.build(), "{}", 2);
    let states = states(2);
    for kind in REASONED {
        let input = question(*kind, "key", "AK", &states);
        let (answer, origin) = ask(&host, "b", &input).expect("decides");
        assert_eq!(origin.decided_by, DecidedBy::Revision(id));
        let reason = answer.reason();
        assert!(reason.starts_with("first\\nline\\u{1b}[2Jxxx"), "{reason}");
        assert_eq!(reason.len(), Limits::default().reason_bytes_max);
    }
}

#[test]
fn logs_and_counters_are_bounded() {
    let host = host(Limits {
        determinism_check_every: 0,
        ..Limits::default()
    });
    // 20 lines a call, and as many different counter names as there are bytes
    // from `a` on.
    let guest = does(
        "(local $n i32)
        (loop $again
          (call $log (i32.const 1) (i32.const 512) (i32.const 5))
          (i32.store8 (i32.const 0x300) (i32.add (i32.const 97) (local.get $n)))
          (call $count (i32.const 0x300) (i32.const 1) (i64.const 2))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 20))))",
    );
    crate::support::activate(&host, "b", &guest.build(), "{}", 2);
    let states = states(2);
    for n in 0..100 {
        let kind = DecisionKind::ALL[n % 4];
        ask(&host, "b", &question(kind, "key", "AK", &states)).expect("decides");
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.faults_total(), 0);
    // All in one second of the caller's clock.
    let lines_max = u64::from(Limits::default().log_lines_per_second_max);
    assert_eq!(metrics.log_lines, lines_max);
    assert_eq!(metrics.log_lines + metrics.log_dropped, 2000);
    assert_eq!(metrics.guest.len(), 20);
    assert_eq!(metrics.guest["a"], 200);
}

#[test]
fn only_a_load_logs_what_configure_says() {
    let host = host(Limits {
        determinism_check_every: 1,
        ..Limits::default()
    });
    let guest = Guest {
        configure: "(call $log (i32.const 1) (i32.const 512) (i32.const 5))".to_owned(),
        ..Guest::default()
    };
    crate::support::activate(&host, "b", &guest.build(), "{}", 2);
    let states = states(2);
    for kind in DecisionKind::ALL {
        ask(&host, "b", &question(kind, "key", "AK", &states)).expect("decides");
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!((metrics.log_lines, metrics.log_dropped), (1, 0));
}
