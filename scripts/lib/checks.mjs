import { canBenchmark, inLoadCrate } from "../../bench/lib/load-crate.mjs";
import { checkCoverage } from "./coverage.mjs";
import { inPackage, node } from "./packages.mjs";
import { run } from "./run.mjs";

// A lock that the manifests outgrew is mended on a developer's machine and an error on CI.
export const LOCKED = process.env.CI ? ["--locked"] : [];

const clippyIn = (where, ...options) => run("cargo", ["clippy", ...LOCKED, ...options, "--", "-D", "warnings"], where);
const clippy = (...options) => clippyIn(undefined, ...options);
const WASM32 = ["--lib", "--target", "wasm32-unknown-unknown"];

const TSC = inPackage("typescript", "bin", "tsc");
const RUSTDOC = ["--workspace", "--no-deps", "--all-features"];

/** What can be said of the sources without running them; each fails by throwing. */
export const CHECKS = [
  ["Protocol checks are named by tests", checkCoverage],
  ["Types of the page", () => run(node(), [TSC, "--project", "public/tsconfig.json"])],
  ["cargo fmt", () => run("cargo", ["fmt", "--all", "--check"])],
  ["cargo fmt, load generator", () => run("cargo", ["fmt", "--check"], inLoadCrate)],
  ["clippy, host", () => clippy("--workspace", "--all-targets")],
  ["clippy, wasm32", () => clippy("--workspace", ...WASM32)],
  ["clippy, wasm32, with an allocator of one's own", () => clippy("--package", "durable-agents", "--no-default-features", ...WASM32)],
  ...(canBenchmark ? [["clippy, load generator", () => clippyIn(inLoadCrate, "--all-targets")]] : []),
  // All features, as the docs link to what is behind one.
  ["rustdoc", () => run("cargo", ["doc", ...RUSTDOC, ...LOCKED], { env: { RUSTDOCFLAGS: "-D warnings" } })],
];
