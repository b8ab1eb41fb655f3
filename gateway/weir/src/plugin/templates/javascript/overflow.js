
export const overflow = {
  overflow(request, excluded, backends) {
    const barred = excluded.map((entry) => entry.backend);
    const candidates = order.filter((index) => usable(backends[index]) && !barred.includes(index));
    const verdict =
      candidates.length > 0 ? { tag: "spill", val: { candidates } } : { tag: "refuse" };
    return { verdict, reason: "spilled in order" };
  },
};
