use weir_plugin_sdk::{Health, Verdict, testing};

use super::*;

fn spill(settings: &str) -> Result<OverflowSpill, Vec<ConfigError>> {
    OverflowSpill::configure(settings, testing::facts(&["a", "b", "c", "d"]))
}

#[test]
fn spills_in_order_between_the_marks() {
    let refused = Verdict::Refuse;
    let to = |candidates: &[u32]| Verdict::Spill(candidates.to_vec());
    for (settings, used_percent, excluded, verdict) in [
        ("{}", [100, 0, 0, 0], &[0][..], to(&[1, 2, 3])),
        ("{}", [100, 100, 0, 0], &[1, 0], to(&[2, 3])),
        // Above the low mark: after the others.
        ("{}", [100, 81, 80, 95], &[0], to(&[2, 1, 3])),
        // Above the high mark: not at all.
        ("{}", [100, 96, 81, 96], &[0], to(&[2])),
        ("{}", [100, 96, 96, 96], &[0], refused.clone()),
        (
            r#"{"order": ["d", "b"]}"#,
            [100, 0, 0, 0],
            &[0],
            to(&[3, 1]),
        ),
        (r#"{"order": ["d"]}"#, [100, 0, 0, 0], &[3], refused.clone()),
        (
            r#"{"low_water_percent": 10, "high_water_percent": 20}"#,
            [100, 11, 21, 10],
            &[0],
            to(&[3, 1]),
        ),
    ] {
        let mut states = testing::states(4);
        for (state, used) in states.iter_mut().zip(used_percent) {
            (state.used_bytes, state.limit_bytes) = (used, Some(100));
        }
        let excluded: Vec<_> = excluded.iter().map(|index| testing::full(*index)).collect();
        let policy = spill(settings).expect("settings of the table are right");
        let answer = policy.overflow(&testing::request("b", "k"), &excluded, &states);
        assert_eq!(answer.verdict, verdict, "{settings} {used_percent:?}");
    }
}

#[test]
fn never_to_what_takes_no_writes() {
    let policy = spill("{}").expect("no settings");
    let mut states = testing::states(4);
    states[1].health = Health::Down;
    states[2].writable = false;
    let answer = policy.overflow(&testing::request("b", "k"), &[testing::full(0)], &states);
    assert_eq!(answer.verdict, Verdict::Spill(vec![3]));
    assert_eq!(
        answer.reason,
        "overflow-spill: the preferred backend is full"
    );
}

#[test]
fn lists_every_mistake() {
    let wrong =
        r#"{"order": ["a", "x"], "low_water_percent": 90, "high_water_percent": 50, "y": 1}"#;
    let mistakes = spill(wrong).expect_err("three mistakes");
    let paths: Vec<_> = mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(paths, ["/order/1", "/low_water_percent", "/y"]);
}
