use weir_plugin_sdk::{Health, testing};

use super::*;

fn place(entropy: u64, states: &[BackendState]) -> Placement {
    let policy = Spread::configure("{}", testing::facts(&["a", "b", "c"])).expect("no settings");
    let mut request = testing::request("bucket", "key");
    request.entropy = entropy;
    policy.place(&request, states)
}

fn check(used_and_limit: [(u64, Option<u64>); 3], candidates: &[u32]) {
    let mut states = testing::states(3);
    for (state, (used, limit)) in states.iter_mut().zip(used_and_limit) {
        (state.used_bytes, state.limit_bytes) = (used, limit);
    }
    assert_eq!(
        place(0, &states).candidates,
        candidates,
        "{used_and_limit:?}"
    );
}

#[test]
fn least_used_by_ratio_first() {
    check(
        [(300, Some(1000)), (200, Some(1000)), (100, Some(1000))],
        &[2, 1, 0],
    );
    check(
        [(300, Some(10_000)), (200, Some(1000)), (100, Some(200))],
        &[0, 1, 2],
    );
    check(
        [(500, None), (200, Some(1000)), (100, Some(1000))],
        &[2, 1, 0],
    );
    check(
        [(2 << 50, None), (1 << 48, None), (1 << 49, None)],
        &[1, 2, 0],
    );
    check(
        [(0, Some(0)), (999, Some(1000)), (u64::MAX, Some(1))],
        &[1, 0, 2],
    );
}

#[test]
fn unusable_backends_come_last() {
    let mut states = testing::states(3);
    states[1].used_bytes = 1 << 45;
    states[2].used_bytes = 1 << 49;
    states[0].writable = false;
    assert_eq!(place(0, &states).candidates, [1, 2, 0]);
    states[1].health = Health::Down;
    assert_eq!(place(0, &states).candidates.first(), Some(&2));
}

#[test]
fn equals_take_turns() {
    let states = testing::states(3);
    let mut firsts = [0_u32; 3];
    for entropy in 0..3000 {
        let decision = place(u64::wrapping_mul(entropy, 0x1234_5678_9abc_def1), &states);
        firsts[decision.candidates[0] as usize] += 1;
    }
    assert!(
        firsts.iter().all(|count| (900..1100).contains(count)),
        "{firsts:?}"
    );
}

#[test]
fn says_why() {
    let mut states = testing::states(3);
    for (state, used) in states.iter_mut().zip([255, 500, 500]) {
        (state.used_bytes, state.limit_bytes) = (used, Some(1000));
    }
    assert_eq!(place(0, &states).reason, "spread: a is least used, 25.5 %");
}
