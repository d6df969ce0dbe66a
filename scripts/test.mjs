// npm test: everything that CI asks for. Goes on after a failure, so that one run shows all of them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAnswers } from "../bench/lib/answers.mjs";
import { canBenchmark } from "../bench/lib/load-crate.mjs";
import { CHECKS } from "./lib/checks.mjs";
import { node } from "./lib/packages.mjs";
import { buildPage } from "./lib/page.mjs";
import { run } from "./lib/run.mjs";
import { setUp } from "./lib/set-up.mjs";
import { checkSizes } from "./lib/sizes.mjs";
import { main, say } from "./lib/steps.mjs";
import { Tally } from "./lib/tally.mjs";
import { cargoTest, loadTest, nodeTest, vitest } from "./lib/test-runs.mjs";
import { buildWorker } from "./lib/wasm.mjs";
import { conformance, fixtures, hello, oneAgent, shipped } from "./lib/workers.mjs";
import { unattended, wranglerScript } from "./lib/wrangler.mjs";

/** What needs the built workers. */
const ON_THE_BUILD = [
  ["checks", "Sizes of the release builds", () => checkSizes([shipped, oneAgent, hello])],
  ["tests in workerd", "vitest in workerd", () => vitest("fixtures", "shipped", "tokens-*", "conformance", "newest-date")],
  ["tests against wrangler dev", "vitest against wrangler dev", () => vitest("client")],
  ["checks", "wrangler deploy --dry-run", deployDryRun],
];

if (canBenchmark) ON_THE_BUILD.push(["checks", "The benchmark's servers answer as they should", checkAnswers]);

async function deployDryRun() {
  const outDir = mkdtempSync(join(tmpdir(), "deploy-"));
  try {
    await run(node(), [wranglerScript, "deploy", "--dry-run", "--config", shipped.config, "--outdir", outDir], {
      env: unattended,
    });
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

await main(async () => {
  await setUp();
  const tally = new Tally();

  for (const [title, check] of CHECKS) await tally.count("checks", title, check);
  await tally.count("tests of the scripts", "node --test", nodeTest);
  await tally.count("tests of the page", "vitest, page", () => vitest("page"));
  await tally.count("native tests", "cargo test", cargoTest);
  if (canBenchmark) await tally.count("native tests", "cargo test, load generator", loadTest);

  const built = await tally.count("checks", "Release build", async () => {
    await buildPage();
    for (const worker of [shipped, oneAgent, hello, fixtures, conformance]) await buildWorker(worker);
  });
  for (const [kind, title, work] of ON_THE_BUILD) {
    if (built) await tally.count(kind, title, work);
    else tally.notRun(kind, title, "the release build failed");
  }
  if (!canBenchmark) say("The benchmark was not tested: it needs Linux.");
  return tally.report();
});
