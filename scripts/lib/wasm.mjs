import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, dirname, join, relative } from "node:path";
import { alone } from "./alone.mjs";
import { wasmBindgen, workerBuild } from "./cargo-tools.mjs";
import { byLikeness } from "./function-order.mjs";
import { Stamp, filesBelow, hashInputs } from "./inputs.mjs";
import { withShortLandingPads } from "./landing-pads.mjs";
import { ESBUILD, esbuild, inPackage, installedVersion, node } from "./packages.mjs";
import { inRoot, root, tools } from "./paths.mjs";
import { run } from "./run.mjs";
import { askRustc, panicStrategy, sysroot } from "./rust.mjs";
import { withShortNames } from "./short-names.mjs";
import { step } from "./steps.mjs";
import { definedFunctions, exportNames, withFunctionNames } from "./wasm-names.mjs";

/**
 * How binaryen shrinks the wasm. The features are those that rustc's wasm32 target and wasm-bindgen emit, named one
 * by one as worker-build does: `--all-features` may produce encodings that workerd does not read yet.
 */
const FEATURES = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "multivalue",
  "reference-types",
  "exception-handling",
].map((feature) => `--enable-${feature}`);

// Few functions inside others are less when they are compressed; the order of their names is the one that we gave them. At the lowest
// addresses is the end of the stack, where no pointer points, so that an offset added to one can be a part of the load. V8 does not read how
// an address is said to be aligned, and functions that do the same differ by it. Nobody reads which compiler made it.
const WASM_OPT = [
  ...["--strip-producers", "--strip-target-features"],
  ...["--dealign", "--low-memory-unused", "-Oz", "--one-caller-inline-max-function-size=40", "--reorder-functions-by-name", ...FEATURES],
];

/** The standard library is compiled along where panics unwind. Nobody reads a backtrace in wasm, so it comes without. */
const SMALL_STD = { CARGO_UNSTABLE_BUILD_STD_FEATURES: "panic-unwind,optimize_for_size" };

/** What the name of a folder begins with in which a worker is made: inside the one where it is going to be, so that it can be moved. */
const NEW = ".new-";

export const wasmFile = (outDir) => join(outDir, "index_bg.wasm");
export const scriptFile = (outDir) => join(outDir, "index.js");

/**
 * Builds a worker crate for release into `outDir`: index.js and index_bg.wasm. Does nothing when no input changed.
 *
 * What is there stays until the new one is complete, so that it can be run while this builds, and after it has failed.
 *
 * Inputs are the workspace's manifests and lock, the sources (not the tests) of all library crates, the worker's own
 * folder, the tools, and flags for the compiler. A file from elsewhere that a crate includes is not noticed.
 */
export async function buildWorker(worker) {
  if (!(await stampOf(worker)).isFresh) await alone("build", () => buildStale(worker));
}

async function stampOf({ crateDir, outDir }) {
  const { unwind, toolchain, compiler } = await panicStrategy();
  const packages = ["binaryen", ESBUILD].map((name) => `${name} ${installedVersion(name)}`);
  const settings = {
    args: argsFor(unwind),
    compiler,
    rustFlags: rustFlags(toolchain),
    tools: [workerBuild(), wasmBindgen(), ...packages],
  };
  const hash = hashInputs([...sources(crateDir), ...steps()], settings);
  return new Stamp(join(outDir, ".inputs"), hash, [wasmFile(outDir), scriptFile(outDir)]);
}

async function buildStale({ name, crateDir, outDir }) {
  const stamp = await stampOf({ crateDir, outDir });
  if (stamp.isFresh) return; // whoever was waited for has built it

  await step(`Building ${name}`, async () => {
    mkdirSync(outDir, { recursive: true });
    // Left behind by builds that were killed.
    for (const name of readdirSync(outDir)) if (name.startsWith(NEW)) rmSync(join(outDir, name), { recursive: true, force: true });
    const made = mkdtempSync(join(outDir, NEW));
    try {
      await make(crateDir, made);
      rmSync(stamp.file, { force: true });
      moveAll(made, outDir);
      stamp.write();
    } finally {
      rmSync(made, { recursive: true, force: true });
    }
  });
}

async function make(crateDir, outDir) {
  const [wasm, script] = [wasmFile(outDir), scriptFile(outDir)];
  await compile({ crateDir, outDir });
  await removeUnused(wasm, script);
  writeFileSync(wasm, withShortLandingPads(readFileSync(wasm)));
  await nameByLikeness(wasm);
  await binaryen("wasm-opt", wasm, WASM_OPT);
  shortenNames(wasm, script);
}

function moveAll(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const place = join(to, entry.name);
    // A file takes the place of another, a folder that of an empty one alone.
    if (entry.isDirectory()) rmSync(place, { recursive: true, force: true });
    renameSync(join(from, entry.name), place);
  }
}

const argsFor = (unwind) => ["--release", "--no-opt", ...(unwind ? ["--panic-unwind"] : [])];

/** Runs worker-build, for the wasm as it comes from the compiler and the script around it. */
export async function compile({ crateDir, outDir }) {
  const { unwind, toolchain } = await panicStrategy();
  await run(workerBuild(), [...argsFor(unwind), "--out-dir", relative(crateDir, outDir)], {
    cwd: crateDir,
    env: {
      // With these two set worker-build downloads nothing.
      WASM_BINDGEN_BIN: wasmBindgen(),
      ...(unwind ? SMALL_STD : {}),
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linkerOfNeeded(toolchain),
      // Without unwinding a panic ends the wasm instance, and worker-build's own entry point is what recovers from that.
      ESBUILD_BIN: unwind ? program("esbuild-with-entry-point", inRoot("scripts/lib/entry-point/bundle.mjs"), esbuild) : esbuild,
      PATH: [dirname(program("bin/cargo", inRoot("scripts/lib/cargo.mjs"), process.env.PATH)), process.env.PATH].join(delimiter),
      RUST_BACKTRACE: "0",
      RUSTFLAGS: rustFlags(toolchain).join(" "),
    },
  });
}

/** How much a function may weigh to be compiled into its callers, in LLVM's units: what it takes to be smaller, instead of 50. */
const INLINED = "-Cllvm-args=-inline-threshold=5";

/**
 * Exceptions as `try` and `catch` instead of `try_table`: less code, and right. With `try_table` LLVM gave blocks of some functions the
 * wrong type, of which depends on what was compiled into what, so that wasm-bindgen refused the module. Others have seen the like:
 * https://github.com/llvm/llvm-project/issues/217723
 */
const EXCEPTIONS = "-Cllvm-args=-wasm-use-legacy-eh=true";

/**
 * The stack is below the data, so that it ends in a trap. With 896 KiB for it instead of 1 MiB an address of data takes three bytes of code
 * instead of four, as long as there are less than 128 KiB of data.
 */
const STACK = "-Clink-arg=-zstack-size=917504";

/** The person's own, and for less code, and places of panics without the folders of the machine that builds. */
export function rustFlags(toolchain) {
  const compiler = sysroot(toolchain);
  const registries = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  const folders = [
    [root, "."],
    [registries, "crates"],
    // Without the name of the registry, which ends in 16 digits.
    ...(existsSync(registries) ? readdirSync(registries) : []).map((name) => [join(registries, name), "crates"]),
    ...(compiler ? [[join(compiler, "lib/rustlib/src/rust/library"), "rust"]] : []),
  ];
  // Flags are separated by spaces, so a folder whose name has one keeps its name.
  const remapped = folders.filter(([folder]) => !/\s/.test(folder));
  const ours = [INLINED, EXCEPTIONS, STACK, ...remapped.map(([from, to]) => `--remap-path-prefix=${from}=${to}`)];
  return [process.env.RUSTFLAGS, ...ours].filter(Boolean);
}

/** A linker that leaves out what the script cannot use. */
function linkerOfNeeded(toolchain) {
  const host = askRustc(toolchain, "--print", "host-tuple");
  return program("wasm-ld", inRoot("scripts/lib/link.mjs"), join(sysroot(toolchain), "lib/rustlib", host, "bin/rust-lld"));
}

/** Cargo and worker-build call one program without arguments of ours, so a call of ours is a program of its own. */
function program(name, ...command) {
  const file = join(tools, name);
  mkdirSync(dirname(file), { recursive: true });
  const words = [process.execPath, ...command].map((word) => `'${word}'`);
  writeFileSync(file, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  return file;
}

/** Takes out what the script does not call: methods of classes that the entry point does not export. */
async function removeUnused(wasm, script) {
  const text = readFileSync(script, "utf8");
  const exports = exportNames(readFileSync(wasm));
  // The `worker` crate has a property of the global object that is named like an export of its.
  const used = exports.filter((name) => new RegExp(`(?<!\\bglobalThis)\\.${name}\\b`).test(text));
  const graph = [
    { name: "script", root: true, reaches: used.map((name) => `export ${name}`) },
    ...exports.map((name) => ({ name: `export ${name}`, export: name })),
  ];
  const file = `${wasm}.graph.json`;
  writeFileSync(file, JSON.stringify(graph));
  await binaryen("wasm-metadce", wasm, ["--debuginfo", `--graph-file=${file}`, ...FEATURES]);
  rmSync(file);
}

function shortenNames(wasmFile, scriptFile) {
  const { wasm, script } = withShortNames(readFileSync(wasmFile), readFileSync(scriptFile, "utf8"));
  writeFileSync(wasmFile, wasm);
  writeFileSync(scriptFile, script);
}

/** Gives the functions names in the order in which the optimized wasm compresses best. */
async function nameByLikeness(file) {
  const trial = `${file}.trial`;
  copyFileSync(file, trial);
  await binaryen("wasm-opt", trial, [...WASM_OPT, "--debuginfo"]);
  const order = new Map(byLikeness(definedFunctions(readFileSync(trial))).map((name, place) => [name, String(place).padStart(6, "0")]));
  rmSync(trial);
  // Names that are gone from the trial are going to be gone again.
  writeFileSync(file, withFunctionNames(readFileSync(file), (name) => order.get(name) ?? name));
}

/** Has a tool of binaryen rewrite `file`. */
async function binaryen(tool, file, args) {
  const rewritten = `${file}.rewritten`;
  await run(node(), [inPackage("binaryen", "bin", tool), file, "-o", rewritten, ...args]);
  renameSync(rewritten, file);
}

/** What turns the sources into a worker. */
const STEPS = ["cargo.mjs", "eager-functions.mjs", "entry-point", "entry-point.mjs", "function-order.mjs", "landing-pads.mjs", "link", "link.mjs", "short-names.mjs", "wasm-code.mjs", "wasm-names.mjs", "wasm.mjs"];

const steps = () => STEPS.flatMap((name) => filesBelow(inRoot("scripts/lib", name)));

/** Names of folders whose content is no part of a worker. */
const NOT_BUILT_IN = ["benches", "build", "node_modules", "target", "tests", ".wrangler"];

const shared = ["Cargo.lock", "Cargo.toml", "rust-toolchain.toml", ".cargo", "crates"];

function sources(crateDir) {
  const own = crateDir === root ? [inRoot("src"), inRoot("build.rs")] : [crateDir];
  return [...shared.map((name) => inRoot(name)), ...own].flatMap((top) =>
    filesBelow(top, (path) => NOT_BUILT_IN.includes(basename(path))),
  );
}
