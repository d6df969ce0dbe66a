// npm run check: format, lints, docs, tests for every protocol check, and the sizes of the release builds.
import { CHECKS } from "./lib/checks.mjs";
import { setUp } from "./lib/set-up.mjs";
import { checkSizes } from "./lib/sizes.mjs";
import { main } from "./lib/steps.mjs";
import { Tally } from "./lib/tally.mjs";
import { buildWorker } from "./lib/wasm.mjs";
import { hello, oneAgent, shipped } from "./lib/workers.mjs";

await main(async () => {
  await setUp();
  const tally = new Tally();
  for (const [title, check] of CHECKS) await tally.count("checks", title, check);
  await tally.count("checks", "Sizes of the release builds", async () => {
    const workers = [shipped, oneAgent, hello];
    for (const worker of workers) await buildWorker(worker);
    checkSizes(workers);
  });
  return tally.report();
});
