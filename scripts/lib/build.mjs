import { buildPage } from "./page.mjs";
import { setUp } from "./set-up.mjs";
import { buildWorker } from "./wasm.mjs";
import { shipped } from "./workers.mjs";

/** Everything that `wrangler.toml` refers to: the release worker and the page, into build/. */
export async function build() {
  await setUp();
  await buildWorker(shipped);
  await buildPage();
}
