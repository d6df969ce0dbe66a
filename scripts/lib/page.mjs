import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { alone } from "./alone.mjs";
import { Stamp, filesBelow, hashInputs } from "./inputs.mjs";
import { esbuild } from "./packages.mjs";
import { inRoot } from "./paths.mjs";
import { run } from "./run.mjs";
import { step } from "./steps.mjs";

const source = inRoot("public");
const outDir = inRoot("build/public");

const BUNDLE = ["--bundle", "--format=esm", "--target=es2022", "--minify", "--sourcemap=linked"];

const isCopied = (file) => !/\.ts$|tsconfig\.json$/.test(file);

/** Makes build/public, which wrangler serves: app.ts becomes app.js, everything but TypeScript is copied. */
export async function buildPage() {
  const hash = hashInputs([inRoot("package-lock.json"), ...filesBelow(source)], { BUNDLE });
  // Beside the folder, not in it: everything in it is served.
  const stamp = new Stamp(inRoot("build/.page-inputs"), hash, [join(outDir, "app.js")]);
  if (!stamp.isFresh) await alone("build", () => bundle(stamp));
}

async function bundle(stamp) {
  if (stamp.isFresh) return; // whoever was waited for has bundled it
  await step("Bundling the page", async () => {
    // Emptied rather than removed: a running `wrangler dev` watches the folder.
    mkdirSync(outDir, { recursive: true });
    for (const name of readdirSync(outDir)) rmSync(join(outDir, name), { recursive: true });
    cpSync(source, outDir, { recursive: true, filter: isCopied });
    await run(esbuild, [join(source, "app.ts"), ...BUNDLE, `--outfile=${join(outDir, "app.js")}`]);
    stamp.write();
  });
}
