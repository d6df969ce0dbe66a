import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { inRoot, tools } from "./paths.mjs";
import { run } from "./run.mjs";
import { Problem, step } from "./steps.mjs";

const WORKER_BUILD = "0.8.7";

// These run for seconds and are built once per version, so what counts is the time they take to compile.
const QUICK_TO_BUILD = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
  CARGO_PROFILE_RELEASE_DEBUG: "false",
  CARGO_PROFILE_RELEASE_STRIP: "debuginfo",
  // Shared, so that what both depend on is compiled once.
  CARGO_TARGET_DIR: join(tools, "target"),
};

const folder = (name, version) => join(tools, `${name}-${version}`);
const program = (name, version) => join(folder(name, version), "bin", name);

/** wasm-bindgen's program and library speak a private format: they must be of one version. */
function wasmBindgenVersion() {
  const version = /name = "wasm-bindgen"\nversion = "(.+)"/.exec(readFileSync(inRoot("Cargo.lock"), "utf8"))?.[1];
  if (!version) throw new Problem("Cargo.lock has no wasm-bindgen");
  return version;
}

export const workerBuild = () => program("worker-build", WORKER_BUILD);
export const wasmBindgen = () => program("wasm-bindgen", wasmBindgenVersion());

/** Compiles the two cargo tools of a wasm build into .tools, unless they are there. */
export async function setUpCargoTools() {
  if (!existsSync(inRoot("Cargo.lock")))
    await step("Choosing versions of Rust dependencies", () => run("cargo", ["generate-lockfile"]));
  await install("worker-build", "worker-build", WORKER_BUILD);
  await install("wasm-bindgen-cli", "wasm-bindgen", wasmBindgenVersion());
  rmSync(QUICK_TO_BUILD.CARGO_TARGET_DIR, { recursive: true, force: true });
}

async function install(crate, name, version) {
  if (existsSync(program(name, version))) return;
  try {
    await step(`Compiling ${name} ${version}`, () =>
      run("cargo", ["install", `${crate}@${version}`, "--bin", name, "--root", folder(name, version)], {
        env: QUICK_TO_BUILD,
      }),
    );
  } catch (error) {
    if (/openssl|pkg-config/i.test(error.output ?? ""))
      throw new Problem(
        `${error.output}\n${name} links the system's OpenSSL: install its headers and pkg-config ` +
          "(Debian and Ubuntu: libssl-dev pkg-config; Fedora: openssl-devel).",
      );
    throw error;
  }
}
