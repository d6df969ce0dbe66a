import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inRoot } from "./paths.mjs";

/** Says when its work begins and ends, which is when its stdin ends. */
const WORK = [
  'import { appendFileSync } from "node:fs";',
  'import { alone } from "./scripts/lib/alone.mjs";',
  "const [folder] = process.argv.slice(1);",
  "const tell = (what) => (appendFileSync(`${folder}/told`, `${what}\\n`), console.log(what));",
  'await alone("build", async () => { tell("begins"); for await (const _ of process.stdin); tell("ends"); }, folder);',
].join("\n");

class Process {
  constructor(folder) {
    this.child = spawn(process.execPath, ["--input-type=module", "--eval", WORK, folder], { cwd: inRoot() });
    this.output = "";
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (text) => (this.output += text));
    this.ended = once(this.child, "close");
  }

  async says(pattern) {
    while (!pattern.test(this.output)) await once(this.child.stdout, "data");
  }

  async ends() {
    this.child.stdin.end();
    await this.ended;
  }
}

async function withFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "alone-"));
  try {
    await work(folder, join(folder, "build.lock"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const LONG_AGO = new Date(0);
const options = { timeout: 120_000 };

test("a second process waits for the first and says so", options, () =>
  withFolder(async (folder) => {
    const first = new Process(folder);
    await first.says(/^begins$/m);
    const second = new Process(folder);
    await second.says(new RegExp(`^… Waiting for another build, of process ${first.child.pid} on `, "m"));
    assert.doesNotMatch(second.output, /^begins$/m);
    await first.ends();
    await second.says(/^begins$/m);
    await second.ends();
    assert.deepEqual(readdirSync(folder), ["told"]);
  }));

test("the place of a process that was killed is taken by one after the other", options, () =>
  withFolder(async (folder) => {
    const killed = new Process(folder);
    await killed.says(/^begins$/m);
    killed.child.kill("SIGKILL");
    await killed.ended;
    await Promise.all(Array.from({ length: 4 }, () => new Process(folder).ends()));
    assert.equal(readFileSync(join(folder, "told"), "utf8"), `begins\n${"begins\nends\n".repeat(4)}`);
    assert.deepEqual(readdirSync(folder), ["told"]);
  }));

test("a file that nobody touches is nobody's, though its process lives", options, () =>
  withFolder(async (folder, file) => {
    writeFileSync(file, `${process.pid} on ${hostname()}`);
    utimesSync(file, LONG_AGO, LONG_AGO);
    await new Process(folder).ends();
    assert.deepEqual(readdirSync(folder), ["told"]);
  }));

test("whoever works touches its file", options, () =>
  withFolder(async (folder, file) => {
    const works = new Process(folder);
    await works.says(/^begins$/m);
    utimesSync(file, LONG_AGO, LONG_AGO);
    while (statSync(file).mtimeMs === LONG_AGO.getTime()) await sleep(50);
    await works.ends();
  }));
