// npm run check: format, lints, docs, tests for every protocol check, and the size of the release build.
import { CHECKS } from "./lib/checks.mjs";
import { setUp } from "./lib/set-up.mjs";
import { checkSize } from "./lib/sizes.mjs";
import { main } from "./lib/steps.mjs";
import { Tally } from "./lib/tally.mjs";
import { buildWorker } from "./lib/wasm.mjs";
import { shipped } from "./lib/workers.mjs";

await main(async () => {
  await setUp();
  const tally = new Tally();
  for (const [title, check] of CHECKS) await tally.count("checks", title, check);
  await tally.count("checks", "Size of the release build", async () => {
    await buildWorker(shipped);
    checkSize(shipped);
  });
  return tally.report();
});
