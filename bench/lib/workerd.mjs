import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { inPackage } from "../../scripts/lib/packages.mjs";
import { Problem } from "../../scripts/lib/steps.mjs";
import { pinned } from "./pin.mjs";

/** The workerd that wrangler brings along: `{ program, version }`. */
export function findWorkerd() {
  const { default: program, version } = createRequire(inPackage("wrangler", "package.json"))("workerd");
  return { program, version };
}

/** A `workerd serve` of one configuration. */
export class Workerd {
  #child;
  #log = "";

  /** Resolves when it listens; `under` is a command that runs another. */
  static async start(program, configFile, under = []) {
    const workerd = new Workerd();
    const [command, ...args] = pinned([...under, program, "serve", "--control-fd=3", configFile]);
    const child = (workerd.#child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe", "pipe"] }));
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (workerd.#log += text));
    workerd.port = await new Promise((resolve, reject) => {
      let lines = "";
      child.stdio[3].on("data", (text) => {
        lines += text;
        const listening = /"event":"listen".*?"port":(\d+)/.exec(lines);
        if (listening) resolve(Number(listening[1]));
      });
      child.on("error", reject);
      child.on("exit", () => reject(new Problem(`workerd did not start:\n${workerd.#log}`)));
    });
    return workerd;
  }

  get pid() {
    return this.#child.pid;
  }

  /** What it has printed. */
  get log() {
    return this.#log;
  }

  /** Ends it without a chance to tidy up, as a power cut would end the process. */
  kill() {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve();
      this.#child.on("exit", resolve);
      this.#child.kill("SIGKILL");
    });
  }
}
