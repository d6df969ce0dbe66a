import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Stamp, hashInputs } from "./inputs.mjs";
import { inRoot, nodeModules } from "./paths.mjs";
import { run } from "./run.mjs";
import { Problem, step, warn } from "./steps.mjs";

/** Wrangler and workerd's test runner refuse anything older. */
const MIN_NODE = [22, 12];

const pinnedNode = join(nodeModules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");

/** The Node.js that runs wrangler and vitest: the npm package `node`, as the person's own may be too old for them. */
export const node = () => (existsSync(pinnedNode) ? pinnedNode : process.execPath);

/** The file of an npm package, e.g. a script to be run with `node()`. */
export const inPackage = (...parts) => join(nodeModules, ...parts);

/** The version of an npm package that is installed, which may be another than the one that is locked. */
export const installedVersion = (name) => JSON.parse(readFileSync(inPackage(name, "package.json"), "utf8")).version;

export const ESBUILD = `@esbuild/${process.platform}-${process.arch}`;

/** esbuild's program itself; the `esbuild` in .bin is a wrapper where install scripts did not run. */
export const esbuild = inPackage(ESBUILD, "bin", "esbuild");

// `npm test` puts node_modules/.bin, with its own `node`, in front; an install replaces that folder while it runs.
const pathWithoutPackages = () =>
  process.env.PATH.split(delimiter)
    .filter((folder) => !folder.startsWith(nodeModules))
    .join(delimiter);

/** Installs the npm packages at the versions of package-lock.json, unless they are there. */
export async function setUpPackages() {
  const lock = inRoot("package-lock.json");
  const wanted = JSON.parse(readFileSync(inRoot("package.json"), "utf8")).devDependencies;
  const locked = JSON.parse(readFileSync(lock, "utf8")).packages[""].devDependencies;
  if (JSON.stringify(wanted) !== JSON.stringify(locked))
    throw new Problem("package.json and package-lock.json name different packages; run `npm install` and commit both");

  const hash = hashInputs([lock], { platform: process.platform, arch: process.arch });
  const stamp = new Stamp(join(nodeModules, ".installed"), hash, [inPackage("wrangler"), inPackage("vitest")]);
  if (!stamp.isFresh) {
    await step("Installing npm packages", async () => {
      // Not `npm ci`: that refuses a lock without the optional packages of other platforms, which is what one
      // gets from a registry mirror that carries a single platform. This follows the lock and does not rewrite it.
      await run("npm", ["install", "--no-save", "--loglevel=error"], { env: { PATH: pathWithoutPackages() } });
      stamp.write();
    });
  }
  await setUpNode();
}

async function setUpNode() {
  if (existsSync(pinnedNode)) return;
  // npm may be told not to run install scripts, and this package's is what fetches the program.
  try {
    await step("Installing Node.js for wrangler", () =>
      run(process.execPath, ["installArchSpecificPackage"], {
        cwd: inPackage("node"),
        env: { PATH: pathWithoutPackages(), npm_config_loglevel: "error", npm_config_ignore_scripts: "true" },
      }),
    );
  } catch (error) {
    const [major, minor] = process.versions.node.split(".").map(Number);
    const isNewEnough = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
    if (!isNewEnough)
      throw new Problem(
        `${error.output ?? error.message}\nwrangler needs Node.js ${MIN_NODE.join(".")}, this is ${process.versions.node}, ` +
          "and the npm package `node` could not fetch one; install a newer Node.js: https://nodejs.org",
      );
    warn(`the npm package \`node\` could not be set up; using this Node.js ${process.versions.node} for wrangler`);
  }
}
