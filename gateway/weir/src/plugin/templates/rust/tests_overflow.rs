
#[test]
fn spills_to_what_is_left() {
    let policy = policy(r#"{"prefer": ["c"]}"#).expect("right");
    let mut backends = testing::states(3);
    backends[0].writable = false;
    let request = testing::request("bucket", "key");
    let spilled = policy.overflow(&request, &[testing::full(2)], &backends);
    assert_eq!(spilled.verdict, Verdict::Spill(vec![1]));
    let refused = policy.overflow(&request, &[testing::full(2), testing::full(1)], &backends);
    assert_eq!(refused.verdict, Verdict::Refuse);
}
