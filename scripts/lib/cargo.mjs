// Called by worker-build instead of cargo: `node cargo.mjs PATH ARGUMENTS`, with the PATH on which cargo is.
//
// A worker may be an rlib too, for its native tests. Cargo leaves `lto` out then, without a word, so what becomes a worker is built as
// a cdylib alone.
import { spawnSync } from "node:child_process";

const [PATH, ...args] = process.argv.slice(2);
const build = args.indexOf("build");
if (build !== -1) args.splice(build, 1, "rustc", "--crate-type", "cdylib");
process.exit(spawnSync("cargo", args, { stdio: "inherit", env: { ...process.env, PATH } }).status ?? 1);
