use weir_plugin_sdk::testing;

use super::*;

/// Backends a to d: (us-east, us), (eu-west, eu), (eu-central, eu), unknown.
fn facts() -> Facts {
    let mut facts = testing::facts(&["a", "b", "c", "d"]);
    let places = [("us-east", "us"), ("eu-west", "eu"), ("eu-central", "eu")];
    for (backend, (region, residency)) in facts.backends.iter_mut().zip(places) {
        backend.region = Some(region.to_owned());
        backend.residency = Some(residency.to_owned());
    }
    facts.site.region = Some("eu-central".to_owned());
    facts
}

fn geo(settings: &str) -> Geo {
    Geo::configure(settings, facts()).expect("settings of the table are right")
}

#[test]
fn ranks_by_residency_then_region() {
    type Change = fn(&mut [BackendState]);
    let none: Change = |_| ();
    for (settings, change, candidates) in [
        ("{}", none, [2, 0, 1, 3]),
        (r#"{"regions": ["us-east"]}"#, none, [2, 0, 1, 3]),
        (r#"{"residency": ["us"]}"#, none, [0, 2, 1, 3]),
        (
            r#"{"residency": ["eu", "us"], "regions": ["eu-west"]}"#,
            none,
            [2, 1, 0, 3],
        ),
        (
            r#"{"residency": ["eu"]}"#,
            |states| states[2].health = Health::Down,
            [1, 0, 3, 2],
        ),
        (
            r#"{"residency": ["eu"]}"#,
            |states| (states[2].used_bytes, states[2].limit_bytes) = (10, Some(10)),
            [1, 0, 3, 2],
        ),
        (
            "{}",
            |states| (states[0].used_bytes, states[0].limit_bytes) = (5, Some(10)),
            [2, 1, 3, 0],
        ),
    ] {
        let mut states = testing::states(4);
        change(&mut states);
        let placement = geo(settings).place(&testing::request("bucket", "key"), &states);
        assert_eq!(placement.candidates, candidates, "{settings}");
    }
}

#[test]
fn says_which_region() {
    let placement = geo("{}").place(&testing::request("b", "k"), &testing::states(4));
    assert_eq!(placement.reason, "geo: eu-central is nearest");
}

#[test]
fn reads_go_to_the_nearest_that_works() {
    for (copies, health, order) in [
        (&[0, 1, 2][..], Health::Healthy, &[2, 0, 1][..]),
        (&[0, 1, 2], Health::Degraded, &[0, 1, 2]),
        (&[0, 2], Health::Down, &[0, 2]),
        (&[3, 1], Health::Healthy, &[3, 1]),
    ] {
        let mut states = testing::states(4);
        states[2].health = health;
        let route = geo("{}").route(&testing::read("bucket", "key", copies), &states);
        assert_eq!(route, Route::new(order.iter().copied()), "{copies:?}");
    }
}

#[test]
fn a_residency_that_no_backend_has_is_a_mistake() {
    let mistakes = Geo::configure(r#"{"residency": ["eu", "ch"], "x": 1}"#, facts());
    let mistakes = mistakes.expect_err("two mistakes");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/residency/1", "/x"]);
}
