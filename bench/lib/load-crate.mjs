import { join } from "node:path";
import { inRoot } from "../../scripts/lib/paths.mjs";

const crate = inRoot("bench/load");
const targetDir = join(crate, "target");

/** For `run`: where cargo finds the load generator, a workspace of its own, and where it puts what it makes of it. */
export const inLoadCrate = { cwd: crate, env: { CARGO_TARGET_DIR: targetDir } };

export const loadProgram = join(targetDir, "release", "load");

/** It asks for the CPU time of another process, which only Linux tells. */
export const canBenchmark = process.platform === "linux";
