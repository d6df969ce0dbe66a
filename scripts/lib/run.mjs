import { spawn, spawnSync } from "node:child_process";
import { root } from "./paths.mjs";
import { activity } from "./steps.mjs";

/** A command that ended with a status other than 0; carries what it printed. */
export class CommandFailed extends Error {
  constructor(command, args, code, output) {
    super(`\`${[command, ...args].join(" ")}\` ended with ${code}`);
    this.output = output;
  }
}

/** Runs a command to its end, keeps what it prints to itself, and returns that. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (text) => {
      output += text;
      activity.last = text.trim().split(/[\r\n]+/).pop() || activity.last;
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", take);
    }
    child.on("error", reject);
    child.on("close", (code, signal) =>
      code === 0 ? resolve(output) : reject(new CommandFailed(command, args, code ?? signal, output)),
    );
  });
}

/** What a quick command prints on stdout, or undefined when it is missing or fails. */
export function ask(command, args, { cwd = root, env = {} } = {}) {
  const { status, stdout } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** Gives the terminal to a command; returns its exit status. */
export function handOver(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: "inherit" });
    // Ctrl-C reaches the child through the terminal, a plain kill only us. Either way it decides when to end.
    const forward = (signal) => child.kill(signal);
    process.on("SIGINT", () => {});
    process.on("SIGTERM", forward);
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}
