
    def test_a_missing_copy_is_made(self):
        configure({})
        copy = SimpleNamespace(backend=0, state=exports.replication.CopyState.GOOD)
        held = SimpleNamespace(candidates=[0, 1, 2], copies_wanted=2, copies=[copy])
        answer = policy.Replication().replicate(held, states(b={"writable": False}))
        self.assertEqual(answer.add, [exports.replication.Addition(2, 0, 0)])
        self.assertEqual(answer.drop, [])
