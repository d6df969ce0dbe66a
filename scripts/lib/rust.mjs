import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inRoot } from "./paths.mjs";
import { ask, run } from "./run.mjs";
import { Problem, step, warn } from "./steps.mjs";

const WASM_TARGET = "wasm32-unknown-unknown";
/** worker-build calls `cargo +nightly`, so this is a name and cannot be a date. */
const NIGHTLY = "nightly";

const pinnedStable = () => /^channel = "(.+)"$/m.exec(readFileSync(inRoot("rust-toolchain.toml"), "utf8"))[1];

/**
 * What the compiler of a toolchain, or the one that is in use, prints; undefined when there is none: without the variable rustup would
 * install it on the way, unannounced.
 */
export const askRustc = (toolchain, ...args) =>
  ask("rustc", [...(toolchain ? [`+${toolchain}`] : []), ...args], { env: { RUSTUP_AUTO_INSTALL: "0" } });

export const sysroot = (toolchain) => askRustc(toolchain, "--print", "sysroot");

const has = (toolchain, ...parts) => {
  const folder = sysroot(toolchain);
  return folder !== undefined && parts.every((part) => existsSync(join(folder, part)));
};

const wasmStd = join("lib", "rustlib", WASM_TARGET, "lib");
const stdSource = join("lib", "rustlib", "src", "rust", "library", "std", "Cargo.toml");

const isComplete = (toolchain) => has(toolchain, "bin/cargo-clippy", "bin/rustfmt", wasmStd);

const install = (toolchain, components) =>
  step(`Installing Rust ${toolchain}`, () =>
    run(
      "rustup",
      [
        ...["toolchain", "install", toolchain, "--profile", "minimal", "--no-self-update"],
        ...components.flatMap((component) => ["--component", component]),
        ...["--target", WASM_TARGET],
      ],
      { env: { RUST_BACKTRACE: "0" } },
    ),
  );

/** Makes the compiler of rust-toolchain.toml available, or, where it cannot be had, settles for the default stable. */
export async function setUpStable() {
  const wanted = process.env.RUSTUP_TOOLCHAIN || pinnedStable();
  if (isComplete(wanted)) return;
  try {
    await install(wanted, ["clippy", "rustfmt"]);
  } catch (error) {
    if (!isComplete("stable"))
      throw new Problem(
        `${error.output ?? error.message}\nRust ${wanted} with clippy, rustfmt and the target ${WASM_TARGET} could not be installed.`,
      );
    warn(`Rust ${wanted} could not be installed; using the installed stable:`, askRustc("stable", "--version"));
    process.env.RUSTUP_TOOLCHAIN = "stable"; // wins over rust-toolchain.toml in every command we start
  }
}

let decided;

/**
 * Whether release builds unwind on panic: `{ unwind, toolchain, compiler }`, of which no toolchain is the one that is in use. Where they
 * do not, `reason` says why.
 *
 * Unwinding needs a standard library built for it, hence nightly and its `rust-src`. Without them the build aborts
 * on panic: it works, but a panic then hangs its request and resets every agent of the isolate, so that is said
 * loudly. `AGENTS_STABLE=1` asks for it.
 */
export async function panicStrategy() {
  decided ??= await decide();
  return decided;
}

const isStableWanted = () => Boolean(process.env.AGENTS_STABLE);

const WITHOUT_UNWINDING = "One panic hangs its request and resets every agent in the isolate.";

async function decide() {
  const unwinding = () => ({ unwind: true, toolchain: NIGHTLY, compiler: askRustc(NIGHTLY, "-vV") });
  const canUnwind = () => has(NIGHTLY, stdSource, wasmStd);

  let reason = "AGENTS_STABLE is set";
  if (!isStableWanted()) {
    if (canUnwind()) return unwinding();
    try {
      await install(NIGHTLY, ["rust-src"]);
      return unwinding();
    } catch (error) {
      reason = `nightly Rust with rust-src could not be installed: ${errorIn(error.output ?? error.message)}`;
    }
  }
  warn(`Building with panic = abort: ${reason}`, `${WITHOUT_UNWINDING} ${isStableWanted() ? "" : "Do not deploy this build."}`.trimEnd());
  return { unwind: false, compiler: askRustc(undefined, "-vV"), reason };
}

/** Fails where release builds do not unwind, unless that was asked for. */
export async function demandUnwinding() {
  const { unwind, reason } = await panicStrategy();
  if (!unwind && !isStableWanted())
    throw new Problem(`Not deployed: ${reason}\n${WITHOUT_UNWINDING} To deploy such a build all the same, set AGENTS_STABLE=1.`);
}

const errorIn = (text) => /^error: (.*)$/m.exec(text)?.[1] ?? text.trim();
