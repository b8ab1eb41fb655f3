
    def test_preferred_backends_come_first(self):
        for settings, changes, candidates in [
            ({}, {}, [0, 1, 2]),
            ({"prefer": ["c", "a"]}, {}, [2, 0, 1]),
            ({"prefer": ["c", "a"]}, {"c": {"health": Health.DOWN}}, [0, 1, 2]),
        ]:
            configure(settings)
            request = SimpleNamespace(copies=2, ack=1)
            placed = policy.Placement().place(request, states(**changes))
            self.assertEqual(placed.candidates, candidates)
            self.assertEqual((placed.copies, placed.ack), (2, 1))
