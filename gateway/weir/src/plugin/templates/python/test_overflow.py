
    def test_spills_to_what_is_left(self):
        configure({"prefer": ["c"]})
        backends = states(a={"writable": False})
        full = [SimpleNamespace(backend=2), SimpleNamespace(backend=1)]
        spilled = policy.Overflow().overflow(None, full[:1], backends)
        self.assertEqual(spilled.verdict.value.candidates, [1])
        refused = policy.Overflow().overflow(None, full, backends)
        self.assertEqual(refused.verdict, exports.overflow.Verdict_Refuse())
