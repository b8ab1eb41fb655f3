//! What is refused at load, with which reason. The active revision stays.

use std::io::Write;

use weir_policy::{DecidedBy, DecisionKind, Limits, LoadError, PolicyHost, builtin};

use crate::guest::{Guest, component, wit};
use crate::support::{facts, input, states};

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
        let expected = matches!(
            refused,
            Err(LoadError::Invalid(_)
                | LoadError::Export(_)
                | LoadError::DecidesNothing
                | LoadError::Decides { .. })
        );
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
    let guest = Guest::default();
    let wit = wit(&DecisionKind::ALL);
    for other in ["0.3.0", "0.2.1", "1.0.0", "0.1.1"] {
        let other_version = |text: &str| text.replace("0.2.0", other);
        let component = component(&other_version(&guest.text()), &other_version(&wit));
        let says = "serves weir:policy 0.1.0 and 0.2.0";
        check(other, &component, "{}", says);
    }

    let other = wit.replace(
        "ack: u32,\n    /// Why, in a few",
        "ack: u64,\n    /// Why, in a few",
    );
    assert_ne!(other, wit);
    let other_types = component(&guest.text(), &other);
    check(
        "another type",
        &other_types,
        "{}",
        "does not fit weir:policy 0.2.0",
    );

    let two = r#"(component
        (import "weir:policy/host@0.2.0" (instance))
        (instance $i)
        (export "weir:policy/lifecycle@0.1.0" (instance $i))
        (export "weir:policy/placement@0.1.0" (instance $i)))"#;
    let says = "uses weir:policy 0.2.0 and `weir:policy/lifecycle@0.1.0`";
    check("two versions", &text(two), "{}", says);
    let empty = two.replace("host@0.2.0", "host@0.1.0");
    check(
        "no functions",
        &text(&empty),
        "{}",
        "does not fit weir:policy 0.1.0",
    );
    // What 0.1.0 has no interface for.
    let later = empty.replace("placement@", "overflow@");
    check(
        "a later interface",
        &text(&later),
        "{}",
        "exports none of placement",
    );
}

#[test]
fn features_that_are_off_are_refused() {
    for (what, module) in [
        ("threads", "(memory 1 1 shared)"),
        (
            "relaxed SIMD",
            "(func (drop (f32x4.relaxed_min (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0))))",
        ),
        ("garbage collection", "(type (struct (field i32)))"),
        ("exceptions", "(tag (param i32))"),
    ] {
        let component = format!("(component (core module {module}))");
        check(what, &text(&component), "{}", "not a valid component");
    }
}

#[test]
fn settings_that_do_not_configure_are_refused() {
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
         settings /order/0: no backend `b9`; there are: b0, b1; settings /order/2: `b1` is named twice; \
         settings /colour: unknown setting",
    );
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
