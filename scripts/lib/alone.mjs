import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tools } from "./paths.mjs";
import { step } from "./steps.mjs";

const POLL_MS = 250;
const BEAT_MS = 2_000;
/** How long a file that nobody touches counts as somebody's: far longer than the longest piece of work that lets no beat through. */
const PATIENCE_MS = 300_000;

const self = `${process.pid} on ${hostname()}`;

/**
 * Runs `work` while no other process does any of that name. One that has to wait says for whom.
 *
 * Who works has a file, which is left behind by a process that is killed. So it counts only as long as its process lives and, as that
 * number may be another's by now, or one of another container, as long as it is touched.
 */
export async function alone(name, work, folder = tools) {
  const file = join(folder, `${name}.lock`);
  mkdirSync(folder, { recursive: true });
  if (!create(file))
    await step(`Waiting for another ${name}, of process ${read(file) || "?"}`, async () => {
      for (; !create(file); await sleep(POLL_MS)) removeLeftBehind(file);
    });
  const beat = setInterval(() => read(file) === self && utimesSync(file, new Date(), new Date()), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if (read(file) === self) rmSync(file, { force: true });
  }
}

function create(file) {
  try {
    writeFileSync(file, self, { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // nobody holds it any more
  }
}

/** Of those who find it one removes it: one who is late would remove the file of whoever came next. */
function removeLeftBehind(file) {
  const removal = `${file}.removal`;
  const holder = read(file);
  if (!isLeftBehind(file, holder) || !create(removal)) return;
  if (read(file) === holder) rmSync(file, { force: true });
  rmSync(removal);
}

function isLeftBehind(file, holder) {
  const { mtimeMs = Infinity } = statSync(file, { throwIfNoEntry: false }) ?? {};
  const [pid, host] = holder.split(" on ");
  return Date.now() - mtimeMs > PATIENCE_MS || (host === hostname() && isDead(Number(pid)));
}

function isDead(pid) {
  try {
    return !process.kill(pid, 0);
  } catch (error) {
    return error.code === "ESRCH";
  }
}
