
    def test_the_nearest_healthy_copy_first(self):
        configure({})
        backends = states(
            a={"latency_us": 9000}, b={"latency_us": 4000}, c={"health": Health.DEGRADED}
        )
        route = policy.ReadRouting().route(SimpleNamespace(copies=[0, 1, 2]), backends)
        self.assertEqual(route.order, [1, 0, 2])
