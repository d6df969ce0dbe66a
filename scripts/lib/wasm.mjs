import { renameSync, rmSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { wasmBindgen, workerBuild } from "./cargo-tools.mjs";
import { Stamp, filesBelow, hashInputs } from "./inputs.mjs";
import { esbuild, inPackage, node } from "./packages.mjs";
import { inRoot, root } from "./paths.mjs";
import { run } from "./run.mjs";
import { panicStrategy } from "./rust.mjs";
import { step } from "./steps.mjs";

/**
 * How binaryen shrinks the wasm. The features are those that rustc's wasm32 target and wasm-bindgen emit, named one
 * by one as worker-build does: `--all-features` may produce encodings that workerd does not read yet.
 */
const WASM_OPT = [
  "-Oz",
  ...[
    "mutable-globals",
    "sign-ext",
    "nontrapping-float-to-int",
    "bulk-memory",
    "multivalue",
    "reference-types",
    "exception-handling",
  ].map((feature) => `--enable-${feature}`),
];

export const wasmFile = (outDir) => join(outDir, "index_bg.wasm");
export const scriptFile = (outDir) => join(outDir, "index.js");

/**
 * Builds a worker crate for release into `outDir`: index.js and index_bg.wasm. Does nothing when no input changed.
 *
 * Inputs are the workspace's manifests and lock, the sources (not the tests) of all library crates, the worker's own
 * folder, and the tools. A file from elsewhere that a crate includes is not noticed.
 */
export async function buildWorker({ name, crateDir, outDir }) {
  const { unwind, compiler } = await panicStrategy();
  const args = ["--release", "--no-opt", ...(unwind ? ["--panic-unwind"] : []), "--out-dir", relative(crateDir, outDir)];

  const hash = hashInputs(sources(crateDir), { args, compiler, WASM_OPT, tools: [workerBuild(), wasmBindgen()] });
  const stamp = new Stamp(join(outDir, ".inputs"), hash, [wasmFile(outDir), scriptFile(outDir)]);
  if (stamp.isFresh) return;

  await step(`Building ${name}`, async () => {
    rmSync(stamp.file, { force: true });
    await run(workerBuild(), args, {
      cwd: crateDir,
      // With these set worker-build downloads nothing.
      env: { WASM_BINDGEN_BIN: wasmBindgen(), ESBUILD_BIN: esbuild, RUST_BACKTRACE: "0" },
    });
    await optimize(wasmFile(outDir));
    stamp.write();
  });
}

async function optimize(file) {
  const optimized = `${file}.opt`;
  await run(node(), [inPackage("binaryen", "bin", "wasm-opt"), file, "-o", optimized, ...WASM_OPT]);
  renameSync(optimized, file);
}

/** Names of folders whose content is no part of a worker. */
const NOT_BUILT_IN = ["benches", "build", "node_modules", "target", "tests", ".wrangler"];

const shared = ["Cargo.lock", "Cargo.toml", "rust-toolchain.toml", ".cargo", "crates"];

function sources(crateDir) {
  const own = crateDir === root ? [inRoot("src"), inRoot("build.rs")] : [crateDir];
  return [...shared.map((name) => inRoot(name)), ...own].flatMap((top) =>
    filesBelow(top, (path) => NOT_BUILT_IN.includes(basename(path))),
  );
}
