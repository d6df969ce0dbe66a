// npm start: the worker with its pages and agents on this machine. Options are passed on to `wrangler dev`.
import { build } from "./lib/build.mjs";
import { node } from "./lib/packages.mjs";
import { handOver } from "./lib/run.mjs";
import { main } from "./lib/steps.mjs";
import { shipped } from "./lib/workers.mjs";
import { quietly, unattended, wranglerScript } from "./lib/wrangler.mjs";

await main(async () => {
  // Wrangler runs the build command itself and then finds nothing to do; here its progress can be seen.
  await build();
  // Tokens anybody can ask for are for this machine only, so they are not in wrangler.toml.
  const args = ["dev", "--config", shipped.config, "--var", "DEV_TOKENS:true", ...process.argv.slice(2)];
  return handOver(node(), [wranglerScript, ...args], { env: process.stdin.isTTY ? quietly : unattended });
});
