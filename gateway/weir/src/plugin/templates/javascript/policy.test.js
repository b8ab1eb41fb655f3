// `npm test`: the policy as plain JavaScript, without Wasm.
import assert from "node:assert/strict";
import { test } from "node:test";

import * as policy from "./policy.js";

const facts = { backends: ["a", "b", "c"].map((id) => ({ id })) };

const states = (changes = {}) =>
  facts.backends.map((_, at) => ({
    writable: true,
    health: "healthy",
    latencyUs: 0,
    ...changes[at],
  }));

const configure = (settings) => policy.lifecycle.configure(JSON.stringify(settings), facts);

test("mistakes are listed", () => {
  assert.throws(
    () => configure({ prefer: ["a", "x"], y: 1 }),
    (mistakes) => {
      assert.deepEqual(mistakes.map((m) => m.path), ["/prefer/1", "/y"]);
      return true;
    },
  );
});
