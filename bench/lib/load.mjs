import { spawn } from "node:child_process";
import { LOCKED } from "../../scripts/lib/checks.mjs";
import { run } from "../../scripts/lib/run.mjs";
import { Problem, step } from "../../scripts/lib/steps.mjs";
import { inLoadCrate, loadProgram } from "./load-crate.mjs";
import { pinned } from "./pin.mjs";

export const buildLoad = () =>
  step("Building the load generator", () => run("cargo", ["build", "--release", "--quiet", ...LOCKED], inLoadCrate));

/** Has the load generator do `command` with `plan`; calls `onSlice` with each slice that it has measured. */
export function load(command, plan, onSlice = () => {}) {
  const [program, ...args] = pinned([loadProgram, command]);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, RUST_BACKTRACE: "0" } });
    let unfinished = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (unfinished + text).split("\n");
      unfinished = lines.pop();
      for (const line of lines) onSlice(JSON.parse(line));
    });
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Problem(`load ${command} failed\n${errors}`))));
    child.stdin.end(JSON.stringify(plan));
  });
}

/** Measures `runs`, each a scenario on a server, side by side; `times` as in `MODES` of scenarios.mjs. */
export const measureRuns = (runs, times, onSlice) => load("measure", { runs, ...times }, onSlice);
