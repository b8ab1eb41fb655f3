//! What is refused at load, with which reason. The active revision stays.

use std::io::Write;

use crate::support::{AT_MISTAKES, Guest, component, facts, input, states, wit};
use weir_policy::{DecidedBy, FaultKind, Limits, LoadError, PolicyHost, builtin};

/// The whole point of a refusal: what it says, and that nothing changed.
fn check(what: &str, bytes: &[u8], settings: &str, says: &str) {
    let limits = Limits {
        component_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let host = PolicyHost::new(limits).expect("engine");
    let facts = facts(2);
    let pack = host
        .load("b", builtin::PACK, None, "{}", &facts)
        .expect("pack");
    host.activate("b", pack).expect("pack is loaded");
    let error = host
        .load("b", bytes, None, settings, &facts)
        .expect_err(what);
    assert!(error.to_string().contains(says), "{what}: {error}");
    let states = states(2);
    let decision = host.place("b", &input("key", &states)).expect("decides");
    assert_eq!(
        decision.origin.decided_by,
        DecidedBy::Revision(pack),
        "{what}"
    );
    assert_eq!(host.metrics().revisions_loaded, 1, "{what}");
}

fn text(component: &str) -> Vec<u8> {
    wat::parse_str(component).expect("the component's text")
}

#[test]
fn what_is_no_policy_is_refused() {
    let good = Guest::default().build();
    check("empty", b"", "{}", "not a valid component");
    check("text", b"(component)", "{}", "not a valid component");
    check(
        "a core module",
        &text("(module)"),
        "{}",
        "not a valid component",
    );
    for keep in [4, 100, good.len() - 1] {
        check(
            &format!("truncated to {keep}"),
            &good[..keep],
            "{}",
            "not a valid component",
        );
    }
    check(
        "cut after the header",
        &good[..8],
        "{}",
        "does not export `lifecycle`",
    );
    let mut flipped = good.clone();
    flipped[4] ^= 0xff;
    check("another format", &flipped, "{}", "not a valid component");
    check(
        "oversized",
        &vec![0; (1 << 20) + 1],
        "{}",
        "1048577 bytes, more than the limit of 1048576",
    );
    check(
        "nothing",
        &text("(component)"),
        "{}",
        "does not export `lifecycle`",
    );
}

#[test]
fn no_cut_component_is_taken() {
    let host = PolicyHost::new(Limits::default()).expect("engine");
    let good = Guest::default().build();
    // A cut between two sections leaves a valid component that lacks exports.
    for keep in (0..good.len()).step_by(41) {
        let refused = host.load("b", &good[..keep], None, "{}", &facts(2));
        let expected = matches!(refused, Err(LoadError::Invalid(_) | LoadError::Export(_)));
        assert!(expected, "{keep} of {}: {refused:?}", good.len());
    }
    assert_eq!(host.active("b"), None);
}

#[test]
fn imports_other_than_the_hosts_are_refused() {
    let import = |name: &str| {
        text(&format!(
            r#"(component (import "{name}" (instance (export "f" (func)))))"#
        ))
    };
    for name in [
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:cli/environment@0.2.3",
        "other:thing/x",
    ] {
        check(name, &import(name), "{}", &format!("imports `{name}`"));
    }
    check(
        "a function",
        &text(r#"(component (import "f" (func)))"#),
        "{}",
        "imports `f`",
    );
    check(
        "an unknown interface",
        &import("weir:policy/files@0.1.0"),
        "{}",
        "imports `weir:policy/files@0.1.0`",
    );
    check(
        "the future",
        &import("weir:policy/host@0.3.0"),
        "{}",
        "serves weir:policy 0.1.0 and 0.2.0",
    );
    check(
        "no version",
        &import("weir:policy/host"),
        "{}",
        "serves weir:policy 0.1.0 and 0.2.0",
    );
    check(
        "a function too many",
        &import("weir:policy/host@0.1.0"),
        "{}",
        "does not export `lifecycle`",
    );
}

#[test]
fn other_versions_and_types_are_refused() {
    let other_version = |text: &str| text.replace("0.1.0", "0.9.0");
    let future = component(
        &other_version(&Guest::default().text()),
        &other_version(&wit()),
    );
    check(
        "another version",
        &future,
        "{}",
        "serves weir:policy 0.1.0 and 0.2.0",
    );

    let wit = wit().replace("ack: u32,\n    /// Why", "ack: u64,\n    /// Why");
    let other_types = component(&Guest::default().text(), &wit);
    check(
        "another type",
        &other_types,
        "{}",
        "does not fit weir:policy 0.1.0",
    );
}

#[test]
fn settings_that_do_not_configure_are_refused() {
    let guest = |configure: &str| {
        Guest {
            configure: configure.to_owned(),
            ..Guest::default()
        }
        .build()
    };
    check(
        "loops",
        &guest("(loop (br 0))"),
        "{}",
        "configure failed: fuel",
    );
    check(
        "traps",
        &guest("unreachable"),
        "{}",
        "configure failed: trap",
    );
    let describes = Guest {
        describe: "unreachable".to_owned(),
        ..Guest::default()
    };
    check(
        "traps in describe",
        &describes.build(),
        "{}",
        "describe failed: trap",
    );
    let starts = Guest {
        extra: "(func $start (loop (br 0))) (start $start)".to_owned(),
        ..Guest::default()
    };
    check(
        "loops at the start",
        &starts.build(),
        "{}",
        "instantiation failed: fuel",
    );
    let greedy = Guest {
        pages: 2000,
        ..Guest::default()
    };
    check(
        "much memory",
        &greedy.build(),
        "{}",
        "instantiation failed: memory",
    );

    let mistaken = Guest {
        configured: AT_MISTAKES,
        ..Guest::default()
    };
    check(
        "two mistakes",
        &mistaken.build(),
        "{}",
        "settings /a: /abcd; settings /a: bcd",
    );
    check("no JSON", builtin::PACK, "{", "settings: not JSON");
    let long = format!("\"{}\"", "x".repeat(100_000));
    check(
        "long settings",
        builtin::PACK,
        &long,
        "more than the limit of 65536",
    );
    check(
        "pack's own checks",
        builtin::PACK,
        r#"{"order": ["b9", "b1", "b1"], "water_mark_percent": 101, "colour": 1}"#,
        "settings /water_mark_percent: must be an integer from 1 to 100, not 101; \
         settings /order/0: no backend `b9`; settings /order/2: `b1` is named twice; \
         settings /colour: unknown setting",
    );
}

#[test]
fn kinds_of_faults_at_load_are_told_apart() {
    let host = PolicyHost::new(Limits::default()).expect("engine");
    let guest = Guest {
        configure: "(loop (br 0))".to_owned(),
        ..Guest::default()
    };
    match host.load("b", &guest.build(), None, "{}", &facts(1)) {
        Err(LoadError::Fault {
            function: "configure",
            fault,
        }) => {
            assert_eq!(fault.kind, FaultKind::Fuel);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_load_and_missing_ones_say_so() {
    let host = PolicyHost::new(Limits::default()).expect("engine");
    let folder = std::env::temp_dir().join(format!("weir-policy-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("pack.wasm");
    let missing = host
        .load_file("b", &path, "{}", &facts(2))
        .expect_err("no file yet");
    assert!(missing.to_string().starts_with("cannot read "), "{missing}");
    std::fs::File::create(&path)
        .and_then(|mut f| f.write_all(builtin::PACK))
        .expect("written");
    let id = host.load_file("b", &path, "{}", &facts(2)).expect("loads");
    assert_eq!(
        id,
        host.load("b", builtin::PACK, None, "{}", &facts(2))
            .expect("the same")
    );
    std::fs::remove_dir_all(&folder).expect("removed");
}
