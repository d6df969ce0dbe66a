const QUIET_MS = 2_000;
const HEARTBEAT_MS = 30_000;

/** What the running command printed last, shown while a step takes long. */
export const activity = { last: "" };

/** Something the person at the keyboard has to put right; printed without a stack trace. */
export class Problem extends Error {}

export const say = (line) => console.log(line);

export function warn(...lines) {
  say(["", ...lines.map((line) => `!! ${line}`), ""].join("\n"));
}

const elapsed = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** The step that reports progress, where one runs inside another. */
let innermost;

/** Runs `work` as one line of output; a slow step also says that it has begun and, now and then, that it lives. */
export async function step(title, work) {
  const start = Date.now();
  const outer = innermost;
  const self = (innermost = Symbol(title));
  const progress = (line) => innermost === self && say(`… ${title}${line}`);
  activity.last = "";
  const begun = setTimeout(() => progress(""), QUIET_MS);
  const heartbeat = setInterval(
    () => progress(`, ${elapsed(start)}${activity.last && `: ${activity.last.slice(0, 100)}`}`),
    HEARTBEAT_MS,
  );
  try {
    const result = await work();
    say(`✓ ${title}, ${elapsed(start)}`);
    return result;
  } catch (error) {
    say(`✗ ${title}, ${elapsed(start)}`);
    throw error;
  } finally {
    innermost = outer;
    clearTimeout(begun);
    clearInterval(heartbeat);
  }
}

const MAX_LINES = { first: 120, last: 240 };

/** A failed command's output without what only shows progress, its middle left out where it is very long. */
function condensed(output) {
  const lines = output.split("\n").filter((line) => !/^\s+(?:Compiling|Checking|Documenting|Download\w+) /.test(line));
  const excess = lines.length - MAX_LINES.first - MAX_LINES.last;
  if (excess > 0) lines.splice(MAX_LINES.first, excess, "", `… ${excess} lines left out …`, "");
  return lines.join("\n").trimEnd();
}

/** Prints why something failed: our own problems as a message, commands with their output, bugs with a trace. */
export function explain(error) {
  if (error instanceof Problem) say(`\n${error.message}\n`);
  else if (error.output !== undefined) say(`${condensed(error.output)}\n\n${error.message}\n`);
  else say(error.stack);
}

/** The body of a command-line script: failures are explained and end it with status 1. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    explain(error);
    process.exitCode = 1;
  }
}
