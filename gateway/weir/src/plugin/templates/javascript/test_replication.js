
test("replication: a missing copy is made", () => {
  configure({});
  const object = {
    candidates: new Uint32Array([0, 1, 2]),
    copiesWanted: 2,
    copies: [{ backend: 0, state: "good", writtenAtMs: 0n }],
  };
  const answer = policy.replication.replicate(object, states({ 1: { writable: false } }));
  assert.deepEqual(answer.add, [{ backend: 2, priority: 0, notBeforeMs: 0n }]);
  assert.deepEqual(answer.drop, []);
});
