import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inLoadCrate } from "../../bench/lib/load-crate.mjs";
import { LOCKED } from "./checks.mjs";
import { filesBelow } from "./inputs.mjs";
import { inPackage, node } from "./packages.mjs";
import { inRoot } from "./paths.mjs";
import { CommandFailed, run } from "./run.mjs";
import { panicStrategy } from "./rust.mjs";
import { unattended } from "./wrangler.mjs";

/** Keeps what a failing test command printed, as its counts are still wanted. */
async function runTests(command, args, options) {
  try {
    return { output: await run(command, args, options), ended: true };
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    return { output: error.output, ended: false };
  }
}

/** All native tests of the workspace, examples in the docs among them. */
export const cargoTest = () => cargoTestIn(undefined, "--workspace");

/** Those of the benchmark's load generator, compiled as it is for the benchmark. */
export const loadTest = () => cargoTestIn(inLoadCrate, "--release");

async function cargoTestIn(where, ...options) {
  const { output, ended } = await runTests("cargo", ["test", "--no-fail-fast", ...options, ...LOCKED], where);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, skipped] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    total.passed += Number(passed);
    total.failed += Number(failed);
    total.skipped += Number(skipped);
  }
  return { ...atLeastOneFailureUnless(ended, total), output: withoutSuccesses(output) };
}

const withoutSuccesses = (output) =>
  output
    .replace(/^test .* \.\.\. ok\n/gm, "")
    .replace(/^ +(?:Running|Doc-tests) .*\n\nrunning \d+ tests?\n\n?test result: ok.*\n\n?/gm, "");

/** The tests of these scripts and of the benchmark's. */
export async function nodeTest() {
  const files = ["scripts", "bench/lib"].flatMap((folder) => filesBelow(inRoot(folder))).filter((file) => file.endsWith(".test.mjs"));
  const { output, ended } = await runTests(node(), ["--test", "--test-reporter=tap", ...files]);
  const count = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
  const counts = { passed: count("pass"), failed: count("fail"), skipped: count("skipped") + count("todo") };
  return { ...atLeastOneFailureUnless(ended, counts), output };
}

/** Some of the projects of vitest.config.mts. */
export async function vitest(...projects) {
  const folder = mkdtempSync(join(tmpdir(), "vitest-"));
  const report = join(folder, "report.json");
  try {
    const { output, ended } = await runTests(
      node(),
      [
        ...[inPackage("vitest", "vitest.mjs"), "run", "--reporter=default", "--reporter=json"],
        ...[`--outputFile.json=${report}`, ...projects.map((project) => `--project=${project}`)],
      ],
      { env: { ...unattended, PANIC: (await panicStrategy()).unwind ? "unwind" : "abort" } },
    );
    return { ...atLeastOneFailureUnless(ended, countsIn(report)), output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countsIn(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, "utf8"));
    return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }; // vitest did not get as far as a report
  }
}

// Not compiling, or a crash between tests, fails a run without failing a test.
const atLeastOneFailureUnless = (ended, counts) =>
  ended ? counts : { ...counts, failed: Math.max(counts.failed, 1) };
