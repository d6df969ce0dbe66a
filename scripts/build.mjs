// npm run build: the release worker and the page, into build/. Also wrangler's [build] command.
import { build } from "./lib/build.mjs";
import { main } from "./lib/steps.mjs";

await main(build);
