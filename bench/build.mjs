// npm run build:bench: the agent under test, into bench/agent/build/.
import { setUp } from "../scripts/lib/set-up.mjs";
import { main } from "../scripts/lib/steps.mjs";
import { buildAgent } from "./lib/servers.mjs";

await main(async () => {
  await setUp();
  await buildAgent();
});
