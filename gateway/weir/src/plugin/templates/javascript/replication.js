
export const replication = {
  replicate(object, backends) {
    const good = object.copies.filter((copy) => copy.state === "good").map((copy) => copy.backend);
    // A copy of it as an Array: map and filter of a Uint32Array give numbers again.
    const wanted = [...object.candidates]
      .filter((index) => good.includes(index) || usable(backends[index]))
      .slice(0, object.copiesWanted);
    const held = object.copies.map((copy) => copy.backend);
    return {
      add: wanted
        .filter((index) => !good.includes(index))
        .map((backend) => ({ backend, priority: 0, notBeforeMs: 0n })),
      drop: held.filter((index) => !wanted.includes(index)),
      reason: "where placement wants them",
    };
  },
};
