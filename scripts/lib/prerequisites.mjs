import { spawnSync } from "node:child_process";
import { Problem } from "./steps.mjs";

const MIN_NODE_MAJOR = 18;

const NEEDED = [
  ["npm", "it comes with Node.js: https://nodejs.org"],
  ["rustup", "it installs cargo, and adds the wasm32 target and the nightly compiler: https://rustup.rs"],
  ["cargo", "`rustup default stable` installs it: https://rustup.rs"],
];

// Only whether the command is there: asking a rustup proxy for more could start a silent download.
const isOnPath = (command) =>
  spawnSync(command, ["--version"], { env: { ...process.env, RUSTUP_AUTO_INSTALL: "0" } }).error?.code !== "ENOENT";

/** The things nobody can install for you: says which is missing and where it is to be had. */
export function checkPrerequisites() {
  const { node } = process.versions;
  if (Number(node.split(".")[0]) < MIN_NODE_MAJOR)
    throw new Problem(`Node.js ${MIN_NODE_MAJOR} or newer is needed, this is ${node}: https://nodejs.org`);
  for (const [command, advice] of NEEDED)
    if (!isOnPath(command)) throw new Problem(`\`${command}\` is needed and was not found; ${advice}`);
}
