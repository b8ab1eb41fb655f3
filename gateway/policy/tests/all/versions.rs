//! Components of an earlier WIT version decide beside those of a later one.

use std::sync::Arc;

use weir_policy::{
    BindingSettings, DecidedBy, DecisionKind, Input, Isolation, Limits, NativeCause, OnFault,
    builtin, native,
};

use crate::guest::{Guest, does};
use crate::support::{activate, ask, facts, host, input, question, states};

/// As they were released with 0.1.0; never built again.
const PACK_0_1_0: &[u8] = include_bytes!("../fixtures/pack-0.1.0.wasm");
const SPREAD_0_1_0: &[u8] = include_bytes!("../fixtures/spread-0.1.0.wasm");

#[test]
fn what_was_built_against_a_released_version_keeps_deciding() {
    let host = host(Limits {
        determinism_check_every: 3,
        ..Limits::default()
    });
    let mut states = states(4);
    for (n, state) in (0..).zip(&mut states) {
        state.used_bytes = ((7 * n + 3) % 5) << 36;
    }
    let pairs = [
        ("pack", PACK_0_1_0, builtin::PACK),
        ("spread", SPREAD_0_1_0, builtin::SPREAD),
    ];
    for (name, old, new) in pairs {
        let settings = "{}";
        let new_name = format!("{name} anew");
        let old_id = activate(&host, name, old, settings, 4);
        let new_id = activate(&host, &new_name, new, settings, 4);
        let versions = [name, &new_name].map(|binding| {
            let status = &host.status()[binding];
            let description = status.description.clone().expect("is active");
            (description.api_version, description.name)
        });
        let of = |version: &str| (version.to_owned(), name.to_owned());
        assert_eq!(versions, [of("0.1.0"), of("0.2.0")]);
        for n in 0..100 {
            let key = format!("k{n}");
            let mut input = input(&key, &states);
            input.request.entropy = n * 0x9e37_79b9;
            let old = host.place(name, &input).expect("decides");
            let new = host.place(&new_name, &input).expect("decides");
            assert_eq!(old.origin.decided_by, DecidedBy::Revision(old_id));
            assert_eq!(new.origin.decided_by, DecidedBy::Revision(new_id));
            assert_eq!(old.candidates, new.candidates, "{name}, {key}");
            if name == "spread" {
                assert_eq!(old.candidates, native::spread(&input));
            }
        }
        let metrics = host.metrics();
        assert_eq!(metrics.bindings[name].determinism_mismatches, 0);
    }
    // It decides what its version knows, and nothing else.
    assert!(host.decides("pack", DecisionKind::Placement));
    assert!(!host.decides("pack", DecisionKind::Overflow));
}

#[test]
fn a_component_decides_what_it_exports() {
    let host = host(Limits::default());
    for bits in 1..16_u8 {
        let decides: Vec<_> = DecisionKind::ALL
            .into_iter()
            .filter(|kind| bits & 1 << *kind as u8 != 0)
            .collect();
        let guest = Guest {
            decides: decides.clone(),
            ..Guest::default()
        };
        let name = format!("{bits:04b}");
        let id = activate(&host, &name, &guest.build(), "{}", 2);
        // What nobody decides is answered natively, whatever is set.
        let settings = BindingSettings {
            on_fault: OnFault::Refuse,
            isolation: Isolation::PerCall,
        };
        host.bind(&name, settings);
        let states = states(2);
        for kind in DecisionKind::ALL {
            let (answer, origin) =
                ask(&host, &name, &question(kind, "k", "AK", &states)).expect("decides");
            let decided = decides.contains(&kind);
            let expected = if decided {
                DecidedBy::Revision(id)
            } else {
                DecidedBy::Native(NativeCause::NotDecided)
            };
            assert_eq!(origin.decided_by, expected, "{name}, {kind}");
            assert_eq!(answer.kind(), kind);
            assert_eq!(host.decides(&name, kind), decided);
        }
        let status = &host.status()[&name];
        let description = status.description.clone().expect("is active");
        assert_eq!(description.decides.iter().collect::<Vec<_>>(), decides);
        assert_eq!(status.settings, settings);
    }
    assert!(!host.decides("nothing", DecisionKind::Placement));
}

#[test]
fn an_instance_of_its_own_for_every_call() {
    let host = host(Limits {
        determinism_check_every: 0,
        instances_per_revision: 1,
        ..Limits::default()
    });
    let states = states(2);
    for (isolation, created) in [(Isolation::Reused, 2), (Isolation::PerCall, 2 + 99)] {
        let name = format!("{isolation:?}");
        activate(&host, &name, &Guest::default().build(), "{}", 2);
        let settings = BindingSettings {
            isolation,
            ..BindingSettings::default()
        };
        host.bind(&name, settings);
        for _ in 0..100 {
            host.place(&name, &input("k", &states)).expect("decides");
        }
        // One at load is for `describe`.
        assert_eq!(host.metrics().bindings[&name].instances_created, created);
    }
}

#[test]
fn user_metadata_is_passed_to_those_who_need_it() {
    let host = host(Limits::default());
    // Where the list's length lies in a request; the others have it in the object.
    let reports = "(i32.store (i32.const 0x400) (i32.load (i32.add (local.get 0) (i32.const 88))))";
    let states = states(4);
    for (needs, expected) in [(0, [0, 1]), (1, [2, 1])] {
        let name = format!("needs {needs}");
        let guest = Guest {
            decides: vec![DecisionKind::Placement],
            needs,
            ..does(reports)
        };
        activate(&host, &name, &guest.build(), "{}", 4);
        let mut input = input("k", &states);
        input.request.tags = &[("a", "b")];
        input.request.user_metadata = &[("camera", "x"), ("lens", "y")];
        let decision = host.place(&name, &input).expect("decides");
        assert_eq!(decision.candidates, expected);
        assert_eq!(host.needs_user_metadata(&name), needs == 1);
    }
}

#[test]
fn facts_reach_a_policy_whole() {
    let host = host(Limits::default());
    // The number of peers and of backends, as `configure` is told.
    let guest = Guest {
        decides: vec![DecisionKind::Placement],
        configure: "
            (i32.store (i32.const 0x400) (local.get 10))
            (i32.store (i32.const 0x404) (local.get 12))"
            .to_owned(),
        ..Guest::default()
    };
    let mut facts = weir_policy::StaticFacts::clone(&facts(3));
    facts.peers = vec![weir_policy::SiteFacts::default()];
    let id = host.load("b", &guest.build(), None, "{}", &Arc::new(facts));
    host.activate("b", id.expect("loads")).expect("is loaded");
    let states = states(3);
    // Three backends are one too many for an index: a fault says so.
    let Input::Placement(input) = question(DecisionKind::Placement, "k", "AK", &states) else {
        return;
    };
    let fault = host.place("b", &input).expect("falls back").origin.fault;
    let message = fault.map(|fault| fault.message);
    assert_eq!(message.as_deref(), Some("candidate 3 of 3 backends"));
}
