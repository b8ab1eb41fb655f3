
test("read routing: the nearest healthy copy first", () => {
  configure({});
  const changes = { 0: { latencyUs: 9000 }, 1: { latencyUs: 4000 }, 2: { health: "degraded" } };
  const route = policy.readRouting.route({ copies: new Uint32Array([0, 1, 2]) }, states(changes));
  assert.deepEqual(route.order, [1, 0, 2]);
});
