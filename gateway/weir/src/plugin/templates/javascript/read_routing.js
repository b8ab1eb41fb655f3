
const HEALTH = ["healthy", "degraded", "down"];

export const readRouting = {
  route(read, backends) {
    const rank = (index) => HEALTH.indexOf(backends[index].health);
    const latency = (index) => backends[index].latencyUs;
    const order = [...read.copies].sort((a, b) => rank(a) - rank(b) || latency(a) - latency(b));
    return { order, hedgeAfterUs: undefined };
  },
};
