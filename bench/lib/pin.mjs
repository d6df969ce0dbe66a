import { ask } from "../../scripts/lib/run.mjs";
import { warn } from "../../scripts/lib/steps.mjs";

let prefix;

function decide() {
  const allowed = /([\d]+)\s*$/.exec(ask("taskset", ["-c", "-p", String(process.pid)]) ?? "");
  const wrapper = allowed && ["taskset", "-c", allowed[1], "chrt", "--batch", "0"];
  if (wrapper && ask(wrapper[0], [...wrapper.slice(1), "true"]) !== undefined) return wrapper;
  warn("`taskset` and `chrt` are not to be had: server and client run on any CPU, and the figures mean less.");
  return [];
}

/**
 * A command that runs on the one CPU that servers and clients share, under SCHED_BATCH.
 *
 * What a message costs depends on how many of them one wake-up of the server finds. On one CPU, without preemption at
 * wake-ups, the client sends all that it has to send, then the server handles all of it: the same for every server.
 */
export function pinned(command) {
  prefix ??= decide();
  return [...prefix, ...command];
}

export const isPinned = () => (prefix ??= decide()).length > 0;
