use weir_plugin_sdk::{Health, testing};

use super::*;

fn weighted(settings: &str) -> Result<Weighted, Vec<ConfigError>> {
    Weighted::configure(settings, testing::facts(&["a", "b", "c"]))
}

fn order(policy: &Weighted, key: &str, states: &[BackendState]) -> Vec<u32> {
    let placement = policy.place(&testing::request("bucket", key), states);
    placement.candidates
}

#[test]
fn shares_follow_the_weights() {
    for (settings, shares) in [
        ("{}", [1000, 1000, 1000]),
        (r#"{"weights": {"a": 4}}"#, [2000, 500, 500]),
        (r#"{"weights": {"a": 3, "b": 2}}"#, [1500, 1000, 500]),
        (r#"{"weights": {"c": 0}}"#, [1500, 1500, 0]),
    ] {
        let policy = weighted(settings).expect("settings of the table are right");
        let states = testing::states(3);
        let mut firsts = [0_i32; 3];
        for key in 0..3000 {
            firsts[order(&policy, &format!("photos/{key}"), &states)[0] as usize] += 1;
        }
        for (first, share) in firsts.iter().zip(shares) {
            assert!((first - share).abs() <= 120, "{settings} {firsts:?}");
        }
    }
}

#[test]
fn unusable_backends_and_reserves_come_last() {
    let policy = weighted(r#"{"weights": {"c": 0}}"#).expect("right");
    for (down, last) in [(None, 2), (Some(0), 0), (Some(1), 1), (Some(2), 2)] {
        let mut states = testing::states(3);
        if let Some(down) = down {
            let state: &mut BackendState = &mut states[down];
            state.health = Health::Down;
        }
        for key in ["x", "y", "z", "x/y"] {
            assert_eq!(order(&policy, key, &states).last(), Some(&last), "{key}");
        }
    }
}

#[test]
fn a_key_stays_when_backends_come() {
    let before = weighted("{}").expect("no settings");
    let after = Weighted::configure("{}", testing::facts(&["new", "a", "b", "c"]));
    let after = after.expect("no settings");
    let mut moved = 0;
    for key in 0..1000 {
        let key = format!("k{key}");
        let old = order(&before, &key, &testing::states(3))[0];
        let new = order(&after, &key, &testing::states(4))[0];
        assert!(new == 0 || new == old + 1, "{key} moved between old ones");
        moved += i32::from(new == 0);
    }
    assert!((moved - 250).abs() < 60, "{moved}");
}

#[test]
fn lists_every_mistake() {
    for (settings, paths) in [
        (
            r#"{"weights": {"a": -1, "x": 2}, "y": 0}"#,
            &["/weights/a", "/weights/x", "/y"][..],
        ),
        (r#"{"weights": {"a": 0, "b": 0, "c": 0}}"#, &["/weights"]),
        (r#"{"weights": 3}"#, &["/weights"]),
    ] {
        let mistakes = weighted(settings).expect_err(settings);
        let found: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
        assert_eq!(found, paths, "{settings}");
    }
}
