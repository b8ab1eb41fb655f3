use weir_plugin_sdk::{Health, testing};

use super::*;

const DAY_MS: u64 = 86_400_000;

/// Small things on a, what is asked to be cold or is old on c, the rest on b.
const SETTINGS: &str = r#"{"tiers": [
    {"name": "cold", "backends": ["c"], "classes": ["GLACIER"]},
    {"name": "old", "backends": ["c", "b"], "age_days_min": 30, "size_bytes_min": 1000},
    {"name": "small", "backends": ["a"], "size_bytes_max": 999},
    {"name": "rest", "backends": ["b"]}
]}"#;

fn tiers() -> Tiers {
    Tiers::configure(SETTINGS, testing::facts(&["a", "b", "c"])).expect("settings are right")
}

#[test]
fn new_objects_go_to_their_tier() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (size, class, change, candidates, reason) in [
        (Some(10), None, none, [0, 1, 2], "tier: small"),
        (Some(1000), None, none, [1, 0, 2], "tier: rest"),
        (Some(10), Some("GLACIER"), none, [2, 0, 1], "tier: cold"),
        (Some(10), Some("STANDARD"), none, [0, 1, 2], "tier: small"),
        (None, None, none, [0, 1, 2], "tier: small"),
        (
            Some(10),
            None,
            |states| states[0].health = Health::Down,
            [1, 2, 0],
            "tier: small",
        ),
        (
            Some(10),
            None,
            |states| states[0].limit_bytes = Some(10),
            [1, 2, 0],
            "tier: small",
        ),
    ] {
        let mut states = testing::states(3);
        change(&mut states);
        let mut request = testing::request("bucket", "key");
        request.size_bytes = size;
        request.storage_class = class.map(str::to_owned);
        let placement = tiers().place(&request, &states);
        assert_eq!(placement.candidates, candidates, "{size:?} {class:?}");
        assert_eq!(placement.reason, reason);
    }
}

#[test]
fn age_moves_objects() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (name, age_days, copies, change, add, drop) in [
        ("young", 29, &[1][..], none, &[][..], &[][..]),
        ("old", 30, &[1], none, &[2], &[1]),
        ("old, on both", 30, &[2, 1], none, &[], &[]),
        ("small and old", 30, &[0], none, &[], &[]),
        (
            "no room there",
            30,
            &[1],
            |states| states[2].writable = false,
            &[],
            &[],
        ),
        (
            "it is there already, without room for more",
            30,
            &[1, 2],
            |states| states[2].limit_bytes = Some(0),
            &[],
            &[],
        ),
    ] {
        let mut states = testing::states(3);
        change(&mut states);
        let mut object = testing::object("bucket", "key", copies);
        object.size_bytes = if copies == [0] { 10 } else { 1_000_000 };
        object.now_ms = age_days * DAY_MS;
        let moved = tiers().replicate(&object, &states);
        let added: Vec<_> = moved.add.iter().map(|addition| addition.backend).collect();
        assert_eq!((&added[..], &moved.drop[..]), (add, drop), "{name}");
    }
}

#[test]
fn copies_are_never_fewer_than_wanted() {
    let mut object = testing::object("bucket", "key", &[0, 1]);
    object.storage_class = Some("GLACIER".to_owned());
    let moved = tiers().replicate(&object, &testing::states(3));
    // The tier has one backend, so one of the copies stays.
    assert_eq!(moved.add.len(), 1);
    assert_eq!(moved.drop, [1]);
}

#[test]
fn lists_every_mistake() {
    for (settings, paths) in [
        ("{}", &["/tiers"][..]),
        (
            r#"{"tiers": [
                {"name": "x", "backends": []},
                {"name": "y", "backends": ["a", "q", "a"], "size_bytes_min": 9, "size_bytes_max": 8}
            ], "z": 1}"#,
            &[
                "/tiers/0/backends",
                "/tiers/1/size_bytes_min",
                "/tiers/1/backends/1",
                "/tiers/1/backends/2",
                "/z",
            ],
        ),
    ] {
        let mistakes = Tiers::configure(settings, testing::facts(&["a"])).expect_err(settings);
        let mut found: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
        found.dedup();
        assert_eq!(found, paths, "{settings}");
    }
}
