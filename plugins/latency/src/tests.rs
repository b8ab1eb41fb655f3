use weir_plugin_sdk::testing;

use super::*;

fn latency(settings: &str) -> Latency {
    let facts = testing::facts(&["a", "b", "c"]);
    Latency::configure(settings, facts).expect("settings of the table are right")
}

/// Three backends, 30, 10 and 20 ms away.
fn states() -> Vec<BackendState> {
    let mut states = testing::states(3);
    for (state, latency_us) in states.iter_mut().zip([30_000, 10_000, 20_000]) {
        state.latency_us = latency_us;
    }
    states
}

#[test]
fn the_nearest_healthy_copy_first() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (name, change, order, hedge) in [
        ("as it is", none, [1, 2, 0], Some(30_000)),
        (
            "degraded",
            |s| s[1].health = Health::Degraded,
            [2, 0, 1],
            Some(60_000),
        ),
        (
            "failing",
            |s| s[1].errors_permille = 200,
            [2, 0, 1],
            Some(60_000),
        ),
        (
            "no slot free",
            |s| (s[1].slots_used, s[1].latency_us) = (16, 16_000),
            [2, 0, 1],
            Some(60_000),
        ),
        ("unknown", |s| s[0].latency_us = 0, [0, 1, 2], None),
        ("near", |s| s[0].latency_us = 100, [0, 1, 2], Some(2000)),
    ] {
        let mut states = states();
        change(&mut states);
        let route = latency("{}").route(&testing::read("b", "k", &[0, 1, 2]), &states);
        assert_eq!(route.order, order, "{name}");
        assert_eq!(route.hedge_after_us, hedge, "{name}");
    }
}

#[test]
fn hedges_as_the_settings_say() {
    for (settings, length, hedge) in [
        ("{}", 1 << 23, Some(30_000)),
        ("{}", (1 << 23) + 1, None),
        (r#"{"hedge_factor_percent": 150}"#, 1, Some(15_000)),
        (r#"{"hedge_factor_percent": 0}"#, 1, None),
        (r#"{"hedge_us_min": 50000}"#, 1, Some(50_000)),
        (r#"{"hedge_bytes_max": 0}"#, 1, None),
    ] {
        let mut read = testing::read("b", "k", &[1, 2]);
        read.length_bytes = length;
        let route = latency(settings).route(&read, &states());
        assert_eq!(route.hedge_after_us, hedge, "{settings} {length}");
    }
}

#[test]
fn new_objects_go_near() {
    let mut states = states();
    let place = |states: &[BackendState]| {
        let placement = latency("{}").place(&testing::request("b", "k"), states);
        (placement.candidates, placement.reason)
    };
    assert_eq!(place(&states).1, "latency: 10.0 ms away");
    assert_eq!(place(&states).0, [1, 2, 0]);
    states[1].writable = false;
    assert_eq!(place(&states).0, [2, 0, 1]);
    (states[2].used_bytes, states[2].limit_bytes) = (9, Some(9));
    assert_eq!(place(&states).0, [0, 2, 1]);
}

#[test]
fn lists_every_mistake() {
    let wrong = r#"{"hedge_us_min": 1, "hedge_factor_percent": -1, "p95": true}"#;
    let mistakes = Latency::configure(wrong, testing::facts(&["a"])).expect_err("three");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/hedge_factor_percent", "/hedge_us_min", "/p95"]);
}
