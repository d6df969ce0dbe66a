// Called by worker-build instead of esbuild, in the folder where wasm-bindgen has written index.js and worker-build its
// shim.js: puts an entry point of ours in the place of the shim, then lets esbuild bundle it.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withEagerFunctions } from "../eager-functions.mjs";
import { entryPoint, exposed } from "../entry-point.mjs";
import { filesBelow } from "../inputs.mjs";
import { inRoot } from "../paths.mjs";

const [esbuild, ...args] = process.argv.slice(2);
const bindings = exposed(readFileSync("index.js", "utf8"));
writeFileSync("index.js", bindings);
mkdirSync("snippets", { recursive: true });
const copyEager = (from, to) => writeFileSync(to, withEagerFunctions(readFileSync(from, "utf8")));
for (const file of filesBelow("snippets")) if (/[\\/]durable-agents-\w+[\\/]/.test(file)) copyEager(file, file);
copyEager(inRoot("scripts/lib/entry-point/durable-object.js"), join("snippets", "durable-object.js"));
writeFileSync("shim.js", entryPoint(bindings));
process.exit(spawnSync(esbuild, args, { stdio: "inherit" }).status ?? 1);
