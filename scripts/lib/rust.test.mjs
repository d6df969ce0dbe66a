import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test from "node:test";
import { inRoot } from "./paths.mjs";

const { PATH } = process.env;

/** Runs `script` where there is no nightly and none to be had, and `rustc` writes down how it was called. */
function withoutNightly(script, env = {}) {
  const folder = mkdtempSync(join(tmpdir(), "rust-"));
  const calls = join(folder, "calls");
  const program = (name, ...lines) => {
    writeFileSync(join(folder, name), ["#!/bin/sh", ...lines, ""].join("\n"));
    chmodSync(join(folder, name), 0o755);
  };
  writeFileSync(calls, "");
  program("rustc", `echo "$RUSTUP_AUTO_INSTALL $*" >> '${calls}'`, 'case "$1" in +nightly) exit 1;; esac', `PATH='${PATH}' exec rustc "$@"`);
  program("rustup", 'echo "error: there is no network" >&2', "exit 1");
  try {
    const { status, stdout } = spawnSync(process.execPath, script, {
      cwd: inRoot(),
      encoding: "utf8",
      timeout: 60_000,
      env: { ...process.env, PATH: [folder, PATH].join(delimiter), AGENTS_STABLE: "", RUSTUP_AUTO_INSTALL: "1", ...env },
    });
    return { status, stdout, calls: readFileSync(calls, "utf8").trim().split("\n") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const evaluated = (...lines) => ["--input-type=module", "--eval", lines.join("\n")];

const FLAGS = evaluated(
  'import { panicStrategy } from "./scripts/lib/rust.mjs";',
  'import { rustFlags } from "./scripts/lib/wasm.mjs";',
  "const { unwind, toolchain } = await panicStrategy();",
  "console.log(unwind, rustFlags(toolchain).length > 0);",
);

test("a compiler that is asked for something is not downloaded on the way", () => {
  const { stdout, calls } = withoutNightly(FLAGS);
  assert.match(stdout, /^false true$/m);
  assert.ok(calls.some((call) => call.includes("+nightly")));
  for (const call of calls) assert.match(call, /^0 /);
});

test("where stable is asked for, nightly is not", () => {
  const { stdout, calls } = withoutNightly(FLAGS, { AGENTS_STABLE: "1" });
  assert.match(stdout, /^false true$/m);
  for (const call of calls) assert.match(call, /^0 (?!.*nightly)/);
});

const DEMANDS = evaluated('import { demandUnwinding } from "./scripts/lib/rust.mjs";', 'await demandUnwinding();', 'console.log("goes on");');

test("without a nightly nothing is deployed, and nothing built for it", () => {
  const { status, stdout } = withoutNightly([inRoot("scripts/deploy.mjs"), "--dry-run"]);
  assert.match(stdout, /^Not deployed: nightly Rust with rust-src could not be installed: there is no network$/m);
  assert.doesNotMatch(stdout, /Building the worker/);
  assert.equal(status, 1);
});

test("what aborts on a panic is deployed where it is asked for, which says what is given up", () => {
  const { status, stdout } = withoutNightly(DEMANDS, { AGENTS_STABLE: "1" });
  assert.match(stdout, /^!! One panic hangs its request and resets every agent in the isolate\.$/m);
  assert.match(stdout, /^goes on$/m);
  assert.equal(status, 0);
});
