// npm run build:conformance: the worker for conformance suites from outside, into tests/conformance/build/.
import { setUp } from "./lib/set-up.mjs";
import { main } from "./lib/steps.mjs";
import { buildWorker } from "./lib/wasm.mjs";
import { conformance } from "./lib/workers.mjs";

await main(async () => {
  await setUp();
  await buildWorker(conformance);
});
