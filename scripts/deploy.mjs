// npm run deploy: build, then `wrangler deploy`. Options are passed on, e.g. `npm run deploy -- --dry-run`.
import { build } from "./lib/build.mjs";
import { node } from "./lib/packages.mjs";
import { handOver } from "./lib/run.mjs";
import { demandUnwinding } from "./lib/rust.mjs";
import { setUp } from "./lib/set-up.mjs";
import { main } from "./lib/steps.mjs";
import { shipped } from "./lib/workers.mjs";
import { quietly, wranglerScript } from "./lib/wrangler.mjs";

await main(async () => {
  await setUp();
  await demandUnwinding();
  await build();
  return handOver(node(), [wranglerScript, "deploy", "--config", shipped.config, ...process.argv.slice(2)], {
    env: quietly,
  });
});
