// Called by rustc instead of wasm-ld: `node link.mjs WASM_LD ARGUMENTS`. Links, and links again without what nobody needs.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { neededExports } from "./link/needed.mjs";
import { exportNames, importNames } from "./wasm-names.mjs";

const [linker, ...args] = process.argv.slice(2);
const output = args[args.indexOf("-o") + 1];

/** The arguments `--export NAME`, without those for names that `keep` does not have. */
const exporting = (args, keep) =>
  args.filter((arg, at) => {
    const name = arg === "--export" ? args[at + 1] : args[at - 1] === "--export" ? arg : undefined;
    return name === undefined || keep.has(name);
  });

function link(args) {
  const { status } = spawnSync(linker, args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
  const wasm = readFileSync(output);
  return { exports: exportNames(wasm), imports: importNames(wasm) };
}

// What is left out may have been the last that needed something else.
for (let current = args; ; ) {
  const { exports, imports } = link(current);
  const next = exporting(current, neededExports(exports, imports));
  if (next.length === current.length) break;
  current = next;
}
