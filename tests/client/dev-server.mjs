import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../scripts/lib/paths.mjs";
import { unattended, wranglerScript } from "../../scripts/lib/wrangler.mjs";

const READY = /Ready on (http:\/\/\S+)/;
const START_TIMEOUT_MS = 45_000;
const STOP_TIMEOUT_MS = 5_000;

/**
 * Starts `wrangler dev` on a free port with storage of its own, and waits until it answers.
 *
 * @param {object} [options]
 * @param {string} [options.config] the worker's wrangler.toml, from the repository's root
 * @param {Record<string, string>} [options.vars] variables of the worker, as `npm start` sets DEV_TOKENS
 * @param {string} [options.storage] a folder to keep storage in; by default a new one, removed by `stop`. Give two
 *   servers the same folder, one after the other, to test what survives a restart of the process.
 * @returns {Promise<DevServer>}
 *
 * @typedef {object} DevServer
 * @property {URL} url where it listens, e.g. `http://127.0.0.1:34567/`
 * @property {() => string} output everything it printed so far, the worker's log among it
 * @property {() => Promise<void>} stop ends it with all its processes
 */
export async function startDevServer({ config = "wrangler.toml", vars = {}, storage } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), "wrangler-dev-"));
  const args = [
    ...["dev", "--config", config, "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"],
    ...["--persist-to", storage ?? join(scratch, "state"), "--show-interactive-dev-session=false"],
    ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
  ];
  // A process group of its own, as wrangler's children outlive a signal to wrangler alone.
  const child = spawn(process.execPath, [wranglerScript, ...args], {
    cwd: root,
    detached: true,
    env: { ...process.env, ...unattended, WRANGLER_REGISTRY_PATH: join(scratch, "registry") },
    stdio: ["ignore", "pipe", "pipe"],
  });

  let output = "";
  const exited = new Promise((resolve) => child.on("close", resolve));
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // All of them have ended.
    }
  };
  // A test run that is cut short must not leave servers behind.
  const killNow = () => signal("SIGKILL");
  process.once("exit", killNow);

  const stop = async () => {
    signal("SIGTERM");
    const timer = setTimeout(killNow, STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    process.off("exit", killNow);
    rmSync(scratch, { recursive: true, force: true });
  };

  const ready = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        output += text;
        const address = READY.exec(output)?.[1];
        if (address) resolve(new URL(address));
      });
    }
    child.on("error", reject);
    exited.then((code) => reject(new Error(`wrangler dev ended with ${code}:\n${output}`)));
    setTimeout(
      () => reject(new Error(`wrangler dev was not ready after ${START_TIMEOUT_MS} ms:\n${output}`)),
      START_TIMEOUT_MS,
    ).unref();
  });

  try {
    const url = await ready;
    await fetch(url); // resolves with whatever the worker answers, so it is up
    return { url, output: () => output, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
