//! Components that misbehave in a call: the fallback decides, the fault is
//! counted, and other bindings notice nothing.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Guest, facts, input, states};
use weir_policy::{
    BindingSettings, DecidedBy, FaultKind, Limits, NativeCause, OnFault, PolicyHost, builtin,
};

/// Fuel is what limits the guests; a busy machine may put threads aside.
fn limits() -> Limits {
    Limits {
        determinism_check_every: 0,
        memory_bytes_max: 16 << 20,
        call_time_max: Duration::from_secs(60),
        configure_time_max: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// What each does in a call, and what that is called.
fn zoo() -> Vec<(&'static str, Guest, FaultKind)> {
    let does = |place: &str| Guest {
        place: place.to_owned(),
        ..Guest::default()
    };
    vec![
        ("loops", does("(loop (br 0))"), FaultKind::Fuel),
        ("traps", does("unreachable"), FaultKind::Trap),
        (
            "divides by zero",
            does("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            FaultKind::Trap,
        ),
        (
            "reads outside its memory",
            does("(drop (i32.load (i32.const -8)))"),
            FaultKind::Trap,
        ),
        (
            "grows its memory",
            does("(loop (drop (memory.grow (i32.const 16))) (br 0))"),
            FaultKind::Memory,
        ),
        (
            "recurses",
            does("(drop (call $place (local.get 0)))"),
            FaultKind::Stack,
        ),
        (
            "fills its memory without end",
            Guest {
                pages: 200,
                place: "(loop (memory.fill (i32.const 65536) (i32.const 0) (i32.const 13000000)) (br 0))"
                    .to_owned(),
                ..Guest::default()
            },
            FaultKind::Fuel,
        ),
        (
            "grows a table",
            Guest {
                extra: "(table $t 1 funcref)".to_owned(),
                place: "(drop (table.grow $t (ref.null func) (i32.const 1000000)))".to_owned(),
                ..Guest::default()
            },
            FaultKind::Memory,
        ),
        (
            "names an unknown backend",
            Guest {
                candidates: vec![0, 4],
                ..Guest::default()
            },
            FaultKind::UnknownBackend,
        ),
        (
            "names a backend twice",
            Guest {
                candidates: vec![1, 2, 1],
                ..Guest::default()
            },
            FaultKind::DuplicateBackend,
        ),
        (
            "names none",
            Guest {
                candidates: vec![],
                ..Guest::default()
            },
            FaultKind::NoCandidates,
        ),
        (
            "names a million",
            Guest {
                pages: 64,
                candidates_len: Some(1_000_000),
                ..Guest::default()
            },
            FaultKind::Output,
        ),
        (
            "names more than it has memory for",
            Guest {
                candidates_len: Some(u32::MAX / 4),
                ..Guest::default()
            },
            FaultKind::Malformed,
        ),
        (
            "wants no copies",
            Guest {
                copies: 0,
                ack: 0,
                ..Guest::default()
            },
            FaultKind::CopiesRange,
        ),
        (
            "wants too many copies",
            Guest {
                copies: 1000,
                ..Guest::default()
            },
            FaultKind::CopiesRange,
        ),
        (
            "wants ack above copies",
            Guest {
                ack: 3,
                ..Guest::default()
            },
            FaultKind::CopiesRange,
        ),
        (
            "gives megabytes of reason",
            Guest {
                pages: 64,
                reason_len: Some(3 << 20),
                ..Guest::default()
            },
            FaultKind::Output,
        ),
        (
            "gives a reason that is no text",
            Guest {
                reason: vec![0xff, 0xfe],
                ..Guest::default()
            },
            FaultKind::Malformed,
        ),
        (
            "logs a megabyte",
            Guest {
                pages: 64,
                place: "(call $log (i32.const 1) (i32.const 0) (i32.const 1048576))".to_owned(),
                ..Guest::default()
            },
            FaultKind::Output,
        ),
        (
            "logs without end",
            does("(loop (call $log (i32.const 1) (i32.const 512) (i32.const 5)) (br 0))"),
            FaultKind::Output,
        ),
        (
            "counts without end",
            does("(loop (call $count (i32.const 513) (i32.const 3) (i64.const 1)) (br 0))"),
            FaultKind::Output,
        ),
        (
            "logs at no level",
            does("(call $log (i32.const 9) (i32.const 512) (i32.const 5))"),
            FaultKind::Malformed,
        ),
    ]
}

#[test]
fn the_fallback_decides_and_others_notice_nothing() {
    let host = PolicyHost::new(limits()).expect("engine");
    let facts = facts(4);
    let spread = host
        .load("good", builtin::SPREAD, None, "{}", &facts)
        .expect("spread");
    host.activate("good", spread).expect("spread is loaded");

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let states = states(4);
            let mut calls = 0_u64;
            while !done.load(Relaxed) {
                let decision = host
                    .place("good", &input("k", &states))
                    .expect("never refuses");
                assert_eq!(decision.origin.decided_by, DecidedBy::Revision(spread));
                calls += 1;
                thread::yield_now();
            }
            calls
        });
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (does, guest, kind) in zoo() {
                check(&host, does, &guest, kind);
            }
        }));
        done.store(true, Relaxed);
        assert!(others.join().expect("no assertion failed") > 0);
        failed.expect("each is contained");
    });
    assert_eq!(host.metrics().bindings["good"].faults_total(), 0);
}

fn check(host: &PolicyHost, does: &str, guest: &Guest, kind: FaultKind) {
    let facts = facts(4);
    let states = states(4);
    let component = guest.build();
    let bad = host.load(does, &component, None, "{}", &facts).expect(does);
    host.activate(does, bad).expect(does);

    let started = Instant::now();
    let decision = host
        .place(does, &input("key", &states))
        .expect("falls back");
    let took = started.elapsed();
    assert_eq!(
        decision.origin.fault.map(|fault| fault.kind),
        Some(kind),
        "{does}"
    );
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Native(NativeCause::Fault),
        "{does}"
    );
    assert_eq!(decision.candidates.len(), 4, "{does}");
    // Two to three milliseconds of fuel at most; the rest is for a machine
    // that is busy with other tests.
    assert!(took < Duration::from_millis(500), "{does}: {took:?}");

    // With a revision before it, that one decides.
    let pack = host
        .load(does, builtin::PACK, None, "{}", &facts)
        .expect("pack");
    host.activate(does, pack).expect("pack is loaded");
    let bad = host.load(does, &component, None, "{}", &facts).expect(does);
    host.activate(does, bad).expect(does);
    let decision = host
        .place(does, &input("key", &states))
        .expect("falls back");
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Revision(pack),
        "{does}"
    );

    host.bind(
        does,
        BindingSettings {
            on_fault: OnFault::Refuse,
            ..BindingSettings::default()
        },
    );
    let refused = host
        .place(does, &input("key", &states))
        .expect_err("set to refuse");
    assert!(refused.why.starts_with(kind.name()), "{does}: {refused}");

    let metrics = &host.metrics().bindings[does];
    assert_eq!(metrics.faults_of(kind), 3, "{does}");
    assert_eq!(metrics.faults_total(), 3, "{does}");
    assert_eq!(
        (
            metrics.fallbacks_native,
            metrics.fallbacks_previous,
            metrics.refused
        ),
        (1, 1, 1),
        "{does}"
    );
    assert!(host.unbind(does));
}

#[test]
fn the_epoch_stops_what_fuel_does_not() {
    let limits = Limits {
        call_fuel_max: u64::MAX,
        call_time_max: Duration::from_millis(20),
        ..limits()
    };
    let host = PolicyHost::new(limits).expect("engine");
    let guest = Guest {
        place: "(loop (br 0))".to_owned(),
        ..Guest::default()
    };
    let id = host
        .load("b", &guest.build(), None, "{}", &facts(2))
        .expect("loads");
    host.activate("b", id).expect("is loaded");
    let decision = host
        .place("b", &input("key", &states(2)))
        .expect("falls back");
    assert_eq!(
        decision.origin.fault.map(|fault| fault.kind),
        Some(FaultKind::Deadline)
    );
}

#[test]
fn long_texts_are_cut_and_escaped() {
    let host = PolicyHost::new(limits()).expect("engine");
    let mut reason = b"first\nline\x1b[2J".to_vec();
    reason.resize(10_000, b'x');
    let guest = Guest {
        reason,
        ..Guest::default()
    };
    let id = host
        .load("b", &guest.build(), None, "{}", &facts(2))
        .expect("loads");
    host.activate("b", id).expect("is loaded");
    let decision = host.place("b", &input("key", &states(2))).expect("decides");
    assert_eq!(decision.origin.decided_by, DecidedBy::Revision(id));
    assert!(
        decision.reason.starts_with("first\\nline\\u{1b}[2Jxxx"),
        "{}",
        decision.reason
    );
    assert_eq!(decision.reason.len(), limits().reason_bytes_max);
}

#[test]
fn logs_and_counters_are_bounded() {
    let host = PolicyHost::new(limits()).expect("engine");
    // 20 lines a call, and as many different counter names as there are bytes
    // from `a` to `z`, longer by one each time round.
    let place = "
        (local $n i32)
        (loop $again
          (call $log (i32.const 1) (i32.const 512) (i32.const 5))
          (i32.store8 (i32.const 0x300) (i32.add (i32.const 97) (local.get $n)))
          (call $count (i32.const 0x300) (i32.const 1) (i64.const 2))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $n) (i32.const 20))))";
    let guest = Guest {
        place: place.to_owned(),
        ..Guest::default()
    };
    let id = host
        .load("b", &guest.build(), None, "{}", &facts(2))
        .expect("loads");
    host.activate("b", id).expect("is loaded");
    for _ in 0..100 {
        host.place("b", &input("key", &states(2))).expect("decides");
    }
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.faults_total(), 0);
    // All in one second of the caller's clock.
    assert_eq!(
        metrics.log_lines,
        u64::from(limits().log_lines_per_second_max)
    );
    assert_eq!(metrics.log_lines + metrics.log_dropped, 2000);
    assert_eq!(metrics.guest.len(), 20);
    assert_eq!(metrics.guest["a"], 200);
}
