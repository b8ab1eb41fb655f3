// PLUGIN_NAME: a policy for Weir. Preferred backends come first, in the order
// of the settings, and whatever takes no writes comes last.
//
// The types stand in wit/deps/weir-policy: names are written in camelCase,
// u64 is a BigInt, list<u32> a Uint32Array, an absent option is undefined.
// There is no clock, randomness or network: time and entropy are arguments.
// Decisions must not change anything outside of them: the same arguments give
// the same answer.

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    prefer: {
      description: "Backend ids, the best first. Others follow in configured order.",
      type: "array",
      items: { type: "string" },
      uniqueItems: true,
    },
  },
};

/** Indices of all backends, the best first. Set by configure alone. */
let order = [];

const usable = (state) => state.writable && state.health !== "down";

export const lifecycle = {
  describe() {
    return {
      name: "PLUGIN_NAME",
      version: "0.1.0",
      summary: "Preferred backends first",
      decides: { PLUGIN_DECIDES },
      needs: {},
      settingsSchema: JSON.stringify(SCHEMA),
    };
  },

  /** Throws the list of all mistakes. */
  configure(text, facts) {
    const settings = JSON.parse(text);
    const ids = facts.backends.map((backend) => backend.id);
    const mistakes = [];
    const prefer = Array.isArray(settings.prefer) ? settings.prefer : [];
    if (settings.prefer !== undefined && !Array.isArray(settings.prefer)) {
      mistakes.push({ path: "/prefer", message: "must be a list of backend ids" });
    }
    prefer.forEach((id, at) => {
      if (!ids.includes(id)) {
        mistakes.push({ path: `/prefer/${at}`, message: `no backend ${id}; there are: ${ids}` });
      } else if (prefer.indexOf(id) !== at) {
        mistakes.push({ path: `/prefer/${at}`, message: `${id} is named twice` });
      }
    });
    for (const name of Object.keys(settings)) {
      if (name !== "prefer") mistakes.push({ path: `/${name}`, message: "unknown setting" });
    }
    if (mistakes.length > 0) throw mistakes;
    const rest = ids.filter((id) => !prefer.includes(id));
    order = [...prefer, ...rest].map((id) => ids.indexOf(id));
  },
};
