
#[test]
fn the_nearest_healthy_copy_first() {
    let policy = policy("{}").expect("no settings");
    let mut backends = testing::states(3);
    (backends[0].latency_us, backends[1].latency_us) = (9000, 4000);
    backends[2].health = Health::Degraded;
    let route = policy.route(&testing::read("bucket", "key", &[0, 1, 2]), &backends);
    assert_eq!(route.order, [1, 0, 2]);
}
