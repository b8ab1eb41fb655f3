//! The way of a revision to the top: shadow, canary, active, and back.

use std::sync::Arc;

use parking_lot::Mutex;
use weir_policy::{
    ActivateError, Answer, DecidedBy, DecisionKind, HostOptions, Input, Limits, Origin, OwnedInput,
    PolicyHost, RevisionId, Share, StaticFacts, Tap,
};

use crate::guest::{Guest, does};
use crate::support::{activate, ask, facts, host, input, patient, question, states};

/// Places elsewhere than [`Guest::default`], and does the rest otherwise too.
fn other() -> Guest {
    Guest {
        candidates: vec![2],
        verdict: weir_policy::Verdict::Refuse,
        add: vec![],
        order: vec![1, 0],
        ..Guest::default()
    }
}

fn load(host: &PolicyHost, guest: &Guest, backends: usize) -> RevisionId {
    let loaded = host.load("b", &guest.build(), None, "{}", &facts(backends));
    loaded.expect("loads")
}

/// Waits until the shadow has seen everything.
fn settle(host: &PolicyHost) {
    while host.differences("b").counts.waiting > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_shadow_decides_nothing_and_its_differences_are_counted() {
    let host = host(Limits {
        differences_kept_max: 8,
        shadow_queue_max: 10_000,
        ..Limits::default()
    });
    let active = activate(&host, "b", &Guest::default().build(), "{}", 4);
    let same = load(
        &host,
        &Guest {
            reason: b"otherwise".to_vec(),
            ..Guest::default()
        },
        4,
    );
    let different = load(&host, &other(), 4);
    let trips = load(&host, &does("unreachable"), 4);
    let states = states(4);
    let ask_all = |times| {
        for n in 0..times {
            let key = format!("k{n}");
            for kind in DecisionKind::ALL {
                let input = question(kind, &key, "AK", &states);
                let (_, origin) = ask(&host, "b", &input).expect("decides");
                assert_eq!(origin.decided_by, DecidedBy::Revision(active));
            }
        }
    };

    // Another reason is no difference.
    host.shadow("b", Some((same, 1000))).expect("is loaded");
    ask_all(50);
    settle(&host);
    let seen = host.differences("b");
    assert_eq!((seen.revision, seen.counts.compared), (Some(same), 200));
    assert_eq!((seen.counts.differing, seen.latest.len()), (0, 0));

    host.shadow("b", Some((different, 1000)))
        .expect("is loaded");
    ask_all(50);
    settle(&host);
    let seen = host.differences("b");
    let counts = seen.counts;
    assert_eq!(
        (counts.compared, counts.differing, counts.faults),
        (200, 200, 0)
    );
    let kinds: Vec<_> = seen.latest.iter().map(|one| one.decided.kind()).collect();
    assert_eq!(
        kinds,
        [DecisionKind::ALL, DecisionKind::ALL].concat(),
        "the latest 8"
    );
    let Some(Answer::Placement(placement)) = &seen.latest[0].shadow else {
        panic!("{:?}", seen.latest[0]);
    };
    assert_eq!(placement.candidates, [2]);
    assert_eq!(
        seen.latest[0].input.borrow(|input| match input {
            Input::Placement(input) => input.request.key.to_owned(),
            other => panic!("{other:?}"),
        }),
        "k48"
    );

    host.shadow("b", Some((trips, 250))).expect("is loaded");
    ask_all(500);
    settle(&host);
    let counts = host.differences("b").counts;
    assert!(
        (400..600).contains(&counts.compared),
        "a quarter of 2000: {counts:?}"
    );
    assert_eq!(
        (counts.faults, counts.differing),
        (counts.compared, counts.compared)
    );
    // It failed beside the policy, not as the policy.
    let metrics = &host.metrics().bindings["b"];
    assert_eq!(metrics.faults_total(), 0);
    assert!(metrics.quarantined.is_empty());
    assert_eq!(metrics.shadow, counts);

    host.shadow("b", None).expect("ends");
    ask_all(10);
    assert_eq!(host.differences("b").counts, counts, "still readable");
    assert_eq!(host.status()["b"].shadow, None);
    assert_eq!(host.differences("nothing").revision, None);
}

#[test]
fn a_shadow_that_falls_behind_holds_nobody_up() {
    // 50 million units of fuel for each: the queue is full long before the first is done.
    let limits = Limits {
        call_fuel_max: 50_000_000,
        shadow_queue_max: 2,
        determinism_check_every: 0,
        ..Limits::default()
    };
    let host = host(limits);
    let active = activate(&host, "b", &Guest::default().build(), "{}", 4);
    let slow = load(&host, &does("(loop (br 0))"), 4);
    host.shadow("b", Some((slow, 1000))).expect("is loaded");
    let states = states(4);
    for _ in 0..500 {
        let decision = host.place("b", &input("k", &states)).expect("decides");
        assert_eq!(decision.origin.decided_by, DecidedBy::Revision(active));
    }
    let counts = host.differences("b").counts;
    assert!(counts.dropped > 0, "{counts:?}");
    assert!(counts.waiting <= 3, "{counts:?}");
    host.shadow("b", None).expect("ends");
    settle(&host);
    let counts = host.differences("b").counts;
    assert_eq!(counts.compared + counts.dropped, 500);
}

#[test]
fn a_canary_decides_for_a_share_of_the_keys() {
    let host = host(Limits::default());
    let active = activate(&host, "b", &Guest::default().build(), "{}", 4);
    let canary = load(&host, &other(), 4);
    let states = states(4);
    let by_canary = || -> Vec<u32> {
        let decided = |n: &u32| {
            let key = format!("{n:05}.jpg");
            let by = DecisionKind::ALL.map(|kind| {
                let input = question(kind, &key, "photos", &states);
                ask(&host, "b", &input).expect("decides").1.decided_by
            });
            assert!(
                by.iter().all(|other| *other == by[0]),
                "one key, one revision"
            );
            by[0] == DecidedBy::Revision(canary)
        };
        (0..1000).filter(decided).collect()
    };
    let mut before = by_canary();
    assert!(before.is_empty());
    for permille in [100, 300, 1000] {
        host.canary("b", Some((canary, permille)))
            .expect("is loaded");
        let keys = by_canary();
        // Four standard deviations.
        let wanted = f64::from(permille);
        let spread = 4.0 * (wanted * (1.0 - wanted / 1000.0)).sqrt();
        assert!(
            (keys.len() as f64 - wanted).abs() <= spread,
            "{permille}: {}",
            keys.len()
        );
        assert!(
            before.iter().all(|key| keys.contains(key)),
            "a share that grows keeps its keys"
        );
        assert_eq!(keys, by_canary(), "the same keys again");
        before = keys;
    }
    let share = Share {
        revision: canary,
        permille: 1000,
    };
    assert_eq!(host.status()["b"].canary, Some(share));
    assert!(
        host.metrics().bindings["b"]
            .by_decision
            .iter()
            .all(|(_, of)| of.by_canary > 0)
    );

    // To the top, and back.
    host.activate("b", canary).expect("is loaded");
    let status = &host.status()["b"];
    assert_eq!(
        (status.active, status.previous, status.canary),
        (Some(canary), Some(active), None)
    );
    assert_eq!(host.rollback("b"), Ok(active));
    assert_eq!(by_canary(), [0_u32; 0]);
}

#[test]
fn a_canary_that_fails_leaves_it_to_the_active_revision() {
    let host = host(Limits::default());
    let active = activate(&host, "b", &Guest::default().build(), "{}", 4);
    let canary = load(&host, &does("unreachable"), 4);
    host.canary("b", Some((canary, 1000))).expect("is loaded");
    let states = states(4);
    for kind in DecisionKind::ALL {
        let (_, origin) = ask(&host, "b", &question(kind, "k", "AK", &states)).expect("decides");
        assert_eq!(origin.decided_by, DecidedBy::Revision(active));
        assert!(origin.fault.is_some());
    }
    let metrics = host.metrics();
    assert_eq!(metrics.bindings["b"].fallbacks_previous, 0);
    assert_eq!(metrics.revisions_loaded, 2);
}

#[test]
fn parts_follow_new_facts_and_old_revisions_go() {
    let host = host(Limits {
        revisions_waiting_max: 2,
        ..Limits::default()
    });
    let active = activate(&host, "b", &Guest::default().build(), "{}", 4);
    let canary = load(&host, &other(), 4);
    host.canary("b", Some((canary, 1000))).expect("is loaded");
    host.shadow("b", Some((canary, 1000))).expect("is loaded");
    let newer = Arc::new(StaticFacts {
        generation: 2,
        ..StaticFacts::clone(&facts(4))
    });
    let renewed = host.load("b", &Guest::default().build(), None, "{}", &newer);
    host.activate("b", renewed.expect("loads"))
        .expect("is loaded");
    let states = states(4);
    let mut input = input("k", &states);
    input.facts_generation = 2;
    let decided_by = host.place("b", &input).expect("decides").origin.decided_by;
    assert_eq!(decided_by, DecidedBy::Revision(canary));
    settle(&host);
    assert_eq!(host.differences("b").counts.compared, 1);

    // What takes part is found even where newer ones pushed it out of those that wait.
    for salt in 1..=3 {
        load(
            &host,
            &Guest {
                salt,
                ..Guest::default()
            },
            4,
        );
    }
    host.activate("b", canary).expect("is the canary");
    assert_eq!(host.active("b"), Some(canary));
    assert_eq!(host.status()["b"].previous, Some(active));

    let nobody = RevisionId::default();
    let missing = ActivateError::NoRevision {
        binding: "b".to_owned(),
        revision: nobody,
    };
    assert_eq!(host.canary("b", Some((nobody, 1))), Err(missing.clone()));
    assert_eq!(host.shadow("b", Some((nobody, 1))), Err(missing));
    assert_eq!(
        host.shadow("b", Some((active, 1001))),
        Err(ActivateError::Share(1001))
    );
    let no_binding = ActivateError::NoBinding("c".to_owned());
    assert_eq!(host.canary("c", None), Err(no_binding));
}

/// Keeps what it sees of the binding `b`.
#[derive(Default)]
struct Recorder(Mutex<Vec<(OwnedInput, Answer, Origin)>>);

impl Tap for Recorder {
    fn wants(&self, binding: &str) -> bool {
        binding == "b"
    }

    fn decided(&self, _: &str, input: &Input<'_>, answer: &Answer, origin: &Origin) {
        let seen = (OwnedInput::from(input), answer.clone(), origin.clone());
        self.0.lock().push(seen);
    }
}

#[test]
fn a_tap_sees_every_decision_as_it_was_made() {
    let recorder = Arc::new(Recorder::default());
    let host = PolicyHost::with_options(HostOptions {
        limits: patient(Limits::default()),
        tap: Some(Arc::clone(&recorder) as Arc<dyn Tap>),
        ..HostOptions::default()
    });
    let host = host.expect("engine");
    activate(&host, "b", &Guest::default().build(), "{}", 4);
    activate(&host, "c", &Guest::default().build(), "{}", 4);
    let states = states(4);
    for kind in DecisionKind::ALL {
        let input = question(kind, "k", "AK", &states);
        let (answer, origin) = ask(&host, "b", &input).expect("decides");
        ask(&host, "c", &input).expect("decides");
        let seen = recorder.0.lock().pop().expect("one decision");
        assert_eq!(seen, (OwnedInput::from(&input), answer, origin));
        assert!(recorder.0.lock().is_empty());

        // It can be kept, and asked again.
        let text = serde_json::to_string(&(&seen.0, &seen.1)).expect("JSON");
        let kept: (OwnedInput, Answer) = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&kept.0, &kept.1), (&seen.0, &seen.1));
        let again = kept.0.borrow(|input| ask(&host, "b", &input));
        assert_eq!(again.expect("decides").0, kept.1);
        recorder.0.lock().clear();
    }
}
