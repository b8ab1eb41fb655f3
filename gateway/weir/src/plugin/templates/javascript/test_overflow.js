
test("overflow: spills to what is left", () => {
  configure({ prefer: ["c"] });
  const changes = { 0: { writable: false } };
  const full = (...indices) => indices.map((backend) => ({ backend, obstacle: "bytes" }));
  const spilled = policy.overflow.overflow({}, full(2), states(changes));
  assert.deepEqual(spilled.verdict, { tag: "spill", val: { candidates: [1] } });
  const refused = policy.overflow.overflow({}, full(2, 1), states(changes));
  assert.deepEqual(refused.verdict, { tag: "refuse" });
});
