import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { workerBuild } from "./cargo-tools.mjs";
import { ESBUILD } from "./packages.mjs";
import { inRoot, root } from "./paths.mjs";

/** Nothing but names of functions, of which there are none. */
const WASM = [0, ...Buffer.from("asm"), 1, 0, 0, 0, 0, 8, 4, ...Buffer.from("name"), 1, 1, 0];

/** What these scripts call, as little of it as makes a worker, whose script is the text `MADE` of the environment. */
const PROGRAMS = {
  [relative(root, workerBuild())]: [
    "#!/bin/sh",
    'echo called >> calls; while [ -e gate ]; do sleep 0.1; done',
    'for out; do :; done; mkdir -p "$out/worker"; touch "$out/worker/shim.mjs"; cp "$WASM" "$out/index_bg.wasm"; echo "$MADE" > "$out/index.js"',
  ],
  "path/rustc": ["#!/bin/sh", "echo nothing"],
  "node_modules/binaryen/bin/wasm-metadce": ['require("fs").copyFileSync(process.argv[2], process.argv[4]);'],
  "node_modules/binaryen/bin/wasm-opt": [
    'require("fs").copyFileSync(process.argv[2], process.argv[4]);',
    'if (process.env.FAILS) throw new Error("as it was told");',
  ],
};

const BUILD = [
  'import { inRoot, root } from "./scripts/lib/paths.mjs";',
  'import { buildWorker } from "./scripts/lib/wasm.mjs";',
  'import { main } from "./scripts/lib/steps.mjs";',
  'await main(() => buildWorker({ name: "it", crateDir: root, outDir: inRoot("build") }));',
].join("\n");

/** A checkout that has these scripts and next to nothing that they work on. */
class Checkout {
  constructor(folder) {
    this.folder = folder;
    cpSync(inRoot("scripts/lib"), this.path("scripts/lib"), { recursive: true });
    copyFileSync(inRoot("Cargo.lock"), this.path("Cargo.lock"));
    for (const [file, lines] of Object.entries(PROGRAMS)) this.write(file, lines.join("\n"));
    this.write("module.wasm", Buffer.from(WASM));
    this.hasPackage("binaryen", "1.0.0");
    this.hasPackage(ESBUILD, "1.0.0");
  }

  path = (...parts) => join(this.folder, ...parts);

  write(file, content) {
    mkdirSync(dirname(this.path(file)), { recursive: true });
    writeFileSync(this.path(file), content, { mode: 0o755 });
  }

  hasPackage(name, version) {
    this.write(`node_modules/${name}/package.json`, JSON.stringify({ version }));
  }

  /** Has the worker built: what that prints, and a promise of its end. */
  start(env = {}) {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", BUILD], {
      cwd: this.folder,
      env: {
        ...process.env,
        PATH: [this.path("path"), process.env.PATH].join(delimiter),
        AGENTS_STABLE: "1",
        WASM: this.path("module.wasm"),
        ...env,
      },
    });
    const build = { output: "", ended: once(child, "close") };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (build.output += text));
    return build;
  }

  async build(env) {
    const build = this.start(env);
    await build.ended;
    return build.output;
  }
}

async function withCheckout(work) {
  const folder = mkdtempSync(join(tmpdir(), "checkout-"));
  try {
    await work(new Checkout(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const BUILT = /^✓ Building it/m;

test("a worker is built anew when what builds it changed, and only then", () =>
  withCheckout(async (checkout) => {
    assert.match(await checkout.build(), BUILT);
    assert.doesNotMatch(await checkout.build(), BUILT);
    for (const name of ["binaryen", ESBUILD]) {
      checkout.hasPackage(name, "1.0.1");
      assert.match(await checkout.build(), BUILT, name);
      assert.doesNotMatch(await checkout.build(), BUILT);
    }
    assert.match(await checkout.build({ RUSTFLAGS: "-Copt-level=1" }), BUILT);
    assert.doesNotMatch(await checkout.build({ RUSTFLAGS: "-Copt-level=1" }), BUILT);
  }));

test("a worker stays as it is until all of the next one is made", () =>
  withCheckout(async (checkout) => {
    const script = () => readFileSync(checkout.path("build/index.js"), "utf8").trim();
    await checkout.build({ MADE: "first" });
    checkout.hasPackage("binaryen", "1.0.1");
    assert.doesNotMatch(await checkout.build({ MADE: "second", FAILS: "yes" }), BUILT);
    assert.equal(script(), "first");
    assert.match(await checkout.build({ MADE: "second" }), BUILT);
    assert.equal(script(), "second");
    assert.deepEqual(readdirSync(checkout.path("build")).sort(), [".inputs", "index.js", "index_bg.wasm", "worker"]);
  }));

test("of two builds at once one waits, and finds what it needs; what was left of a third is gone", { timeout: 120_000 }, () =>
  withCheckout(async (checkout) => {
    checkout.write("gate", "");
    checkout.write("build/.new-third/index.js", "");
    const first = checkout.start();
    while (!existsSync(checkout.path("calls"))) await sleep(50);
    const second = checkout.start();
    while (!second.output.includes("Waiting for another build")) await sleep(50);
    rmSync(checkout.path("gate"));
    await Promise.all([first.ended, second.ended]);
    assert.match(first.output, BUILT);
    assert.match(second.output, /^✓ Waiting for another build/m);
    assert.doesNotMatch(second.output, BUILT);
    assert.equal(readFileSync(checkout.path("calls"), "utf8"), "called\n");
    assert.deepEqual(readdirSync(checkout.path("build")).sort(), [".inputs", "index.js", "index_bg.wasm", "worker"]);
  }));
