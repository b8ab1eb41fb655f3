// Run by `weir plugin build` with the source, the WIT folder and the output.
import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, witPath, output] = process.argv.slice(-3);
const { component } = await componentize(await readFile(source, "utf8"), {
  witPath,
  worldName: "plugin",
  // The component imports nothing but the host: no clock, randomness or network.
  disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(output, component);
