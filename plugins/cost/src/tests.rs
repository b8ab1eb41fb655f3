use weir_plugin_sdk::testing;

use super::*;

/// a: cheap to keep, dear to read; b: dear to keep, free to read; c: the
/// cheapest to keep, but for a year at least.
fn facts() -> Facts {
    let mut facts = testing::facts(&["a", "b", "c"]);
    let prices = [(20_000, 90_000, 0), (60_000, 0, 0), (4_000, 90_000, 365)];
    for (backend, (storage, egress, days)) in facts.backends.iter_mut().zip(prices) {
        backend.cost.storage_gb_month_micros = storage;
        backend.cost.egress_gb_micros = egress;
        backend.retention_days_min = days;
    }
    facts
}

fn cheapest(settings: &str) -> Cheapest {
    Cheapest::configure(settings, facts()).expect("settings of the table are right")
}

#[test]
fn cheapest_total_first() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (settings, change, candidates) in [
        (r#"{"reads_permille": 0}"#, none, [2, 0, 1]),
        (r#"{"reads_permille": 10000}"#, none, [1, 2, 0]),
        // A week on c is charged as a year.
        (r#"{"reads_permille": 0, "keep_days": 7}"#, none, [0, 1, 2]),
        (
            r#"{"reads_permille": 0}"#,
            |states| states[2].writable = false,
            [0, 1, 2],
        ),
        (
            r#"{"reads_permille": 0}"#,
            |states| states[2].limit_bytes = Some(999),
            [0, 1, 2],
        ),
    ] {
        let mut states = testing::states(3);
        change(&mut states);
        let mut request = testing::request("bucket", "key");
        request.size_bytes = Some(1_000_000_000);
        let placement = cheapest(settings).place(&request, &states);
        assert_eq!(placement.candidates, candidates, "{settings}");
    }
}

#[test]
fn small_objects_pay_for_requests() {
    let mut facts = facts();
    facts.backends[2].cost.write_thousand_micros = 5_000;
    let policy = Cheapest::configure("{}", facts).expect("no settings");
    for (size, first) in [(Some(1), 0), (Some(1 << 30), 2), (None, 2)] {
        let mut request = testing::request("bucket", "key");
        request.size_bytes = size;
        let placement = policy.place(&request, &testing::states(3));
        assert_eq!(placement.candidates.first(), Some(&first), "{size:?}");
    }
}

#[test]
fn says_what_it_costs() {
    let mut request = testing::request("bucket", "key");
    request.size_bytes = Some(1_000_000_000);
    let placement = cheapest("{}").place(&request, &testing::states(3));
    assert_eq!(
        placement.reason, "cost: c for 0.138000, 365 days, 1 reads",
        "12 months of 0.004 and a read of 0.09"
    );
}

#[test]
fn reads_go_where_reading_is_cheapest() {
    let mut states = testing::states(3);
    let read = testing::read("bucket", "key", &[0, 1, 2]);
    assert_eq!(cheapest("{}").route(&read, &states).order, [1, 0, 2]);
    states[1].health = Health::Down;
    assert_eq!(cheapest("{}").route(&read, &states).order, [0, 2, 1]);
}

#[test]
fn lists_every_mistake() {
    let wrong = r#"{"keep_days": 0, "reads_permille": "many", "currency": "EUR"}"#;
    let mistakes = Cheapest::configure(wrong, facts()).expect_err("three mistakes");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/keep_days", "/reads_permille", "/currency"]);
}
