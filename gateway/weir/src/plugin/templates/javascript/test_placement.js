
for (const [settings, changes, candidates] of [
  [{}, {}, [0, 1, 2]],
  [{ prefer: ["c", "a"] }, {}, [2, 0, 1]],
  [{ prefer: ["c", "a"] }, { 2: { health: "down" } }, [0, 1, 2]],
]) {
  test(`placement: ${JSON.stringify([settings, changes])}`, () => {
    configure(settings);
    const placed = policy.placement.place({ copies: 2, ack: 1 }, states(changes));
    assert.deepEqual(placed.candidates, candidates);
    assert.deepEqual([placed.copies, placed.ack], [2, 1]);
  });
}
