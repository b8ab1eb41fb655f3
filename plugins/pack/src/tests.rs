use weir_plugin_sdk::{Health, testing};

use super::*;

fn pack(settings: &str) -> Result<Pack, Vec<ConfigError>> {
    Pack::configure(settings, testing::facts(&["a", "b", "c"]))
}

fn check(settings: &str, change: impl Fn(&mut [BackendState]), size: u64, candidates: &[u32]) {
    let policy = pack(settings).expect("settings of the table are right");
    let mut states = testing::states(3);
    for state in &mut states {
        state.limit_bytes = Some(1000);
    }
    change(&mut states);
    let mut request = testing::request("bucket", "key");
    request.size_bytes = Some(size);
    let decision = policy.place(&request, &states);
    assert_eq!(
        decision.candidates, candidates,
        "{settings} {}",
        decision.reason
    );
    assert_eq!((decision.copies, decision.ack), (2, 1));
}

#[test]
fn fills_in_order() {
    check("{}", |_| (), 0, &[0, 1, 2]);
    check(r#"{"order": ["c", "a"]}"#, |_| (), 0, &[2, 0, 1]);
    check("{}", |states| states[0].used_bytes = 951, 0, &[1, 2, 0]);
    check("{}", |states| states[0].used_bytes = 950, 0, &[0, 1, 2]);
    check("{}", |states| states[0].reserved_bytes = 951, 0, &[1, 2, 0]);
    check("{}", |states| states[0].used_bytes = 900, 60, &[1, 2, 0]);
    check(
        r#"{"water_mark_percent": 50}"#,
        |states| states[1].used_bytes = 510,
        0,
        &[0, 2, 1],
    );
}

#[test]
fn unusable_backends_come_last() {
    check(
        "{}",
        |states| states[0].health = Health::Down,
        0,
        &[1, 2, 0],
    );
    check("{}", |states| states[1].writable = false, 0, &[0, 2, 1]);
    let full_and_down = |states: &mut [BackendState]| {
        states[0].health = Health::Down;
        states[1].used_bytes = 1000;
    };
    check("{}", full_and_down, 0, &[2, 1, 0]);
}

#[test]
fn no_limit_never_fills() {
    let huge = |states: &mut [BackendState]| {
        states[0].limit_bytes = None;
        states[0].used_bytes = u64::MAX;
    };
    check("{}", huge, u64::MAX, &[0, 1, 2]);
}

#[test]
fn lists_every_mistake() {
    let mistakes = pack(r#"{"order": ["x", "a", "a"], "water_mark_percent": 0, "y": 1}"#)
        .expect_err("four mistakes");
    let paths: Vec<_> = mistakes
        .iter()
        .map(|mistake| mistake.path.as_str())
        .collect();
    assert_eq!(paths, ["/water_mark_percent", "/order/0", "/order/2", "/y"]);
}
