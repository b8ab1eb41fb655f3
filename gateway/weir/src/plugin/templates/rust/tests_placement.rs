
#[test]
fn preferred_backends_come_first() {
    for (settings, down, candidates) in [
        ("{}", None, [0, 1, 2]),
        (r#"{"prefer": ["c", "a"]}"#, None, [2, 0, 1]),
        (r#"{"prefer": ["c", "a"]}"#, Some(2), [0, 1, 2]),
    ] {
        let mut backends = testing::states(3);
        if let Some(down) = down {
            let state: &mut BackendState = &mut backends[down];
            state.health = Health::Down;
        }
        let policy = policy(settings).expect("settings of the table are right");
        let placement = policy.place(&testing::request("bucket", "key"), &backends);
        assert_eq!(placement.candidates, candidates, "{settings} {down:?}");
    }
}
