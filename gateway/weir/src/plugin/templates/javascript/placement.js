
export const placement = {
  place(request, backends) {
    const open = order.filter((index) => usable(backends[index]));
    const rest = order.filter((index) => !usable(backends[index]));
    return {
      candidates: [...open, ...rest],
      copies: request.copies,
      ack: request.ack,
      reason: "preferred backends first",
    };
  },
};
