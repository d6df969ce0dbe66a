// node bench/instructions.mjs [SCENARIO] [--only=SERVER,…] [--caches]: how many instructions an operation takes, and with `--caches` how
// often its code and its data are not in a cache, by `callgrind`. See README.md.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ask, run } from "../scripts/lib/run.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { sumsOf } from "./lib/callgrind.mjs";
import { buildLoad, measureRuns } from "./lib/load.mjs";
import { table } from "./lib/report.mjs";
import { SCENARIOS } from "./lib/scenarios.mjs";
import { SERVERS, writeConfig } from "./lib/servers.mjs";
import { Workerd, findWorkerd } from "./lib/workerd.mjs";

/** Under valgrind a server takes some fifty times as long, and code has to run as often as ever before it is optimized. */
const WARM_UP_MS = 150_000;
const MEASURE_MS = 20_000;

/** A processor's nearest caches, for code and for data, and the next one: bytes, ways, bytes of a line. */
const CACHES = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,8,64"];

/** What is counted, each by the events of callgrind that it is the sum of. */
const INSTRUCTIONS = { title: "instructions", events: ["Ir"] };
const MISSES = [
  { title: "lines of code from the second cache", events: ["I1mr"] },
  { title: "lines of data", events: ["D1mr", "D1mw"] },
  { title: "of both, lines from beyond it", events: ["ILmr", "DLmr", "DLmw"] },
];

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, caches: { type: "boolean" } },
});
const counted = options.caches ? [INSTRUCTIONS, ...MISSES] : [INSTRUCTIONS];
const only = (options.only ?? "plain,durable-agents").split(",");
const servers = SERVERS.filter(({ name }) => only.includes(name));
const scenarios = SCENARIOS.filter(({ name }) => name.includes(positionals[0] ?? ""));

/** What a server's process does outside of the kernel for one operation of a scenario, each of `counted`: start and warm-up left out. */
async function count(program, server, scenario) {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const dump = join(folder, "callgrind");
  // JavaScript and wasm are compiled while they run.
  const tool = ["--tool=callgrind", "--smc-check=all-non-file", ...(options.caches ? CACHES : [])];
  const valgrind = ["valgrind", ...tool, `--callgrind-out-file=${dump}`];
  const workerd = await Workerd.start(program, writeConfig(server, folder), valgrind);
  const runs = [{ server: { name: server.name, pid: workerd.pid, port: workerd.port }, scenario }];
  const load = async (measure_ms) => {
    let operations = 0;
    const times = { rounds: 1, warm_up_rounds: 0, warm_up_ms: 0, measure_ms };
    await measureRuns(runs, times, (slice) => (operations += slice.operations));
    return operations;
  };
  const control = (what) => run("callgrind_control", [what, String(workerd.pid)]);
  try {
    await load(WARM_UP_MS);
    await control("--zero");
    const operations = await load(MEASURE_MS);
    await control("--dump");
    const sums = sumsOf(readFileSync(`${dump}.1`, "latin1"));
    return counted.map(({ events }) => events.reduce((sum, event) => sum + sums.get(event), 0) / operations);
  } finally {
    await workerd.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main(async () => {
  if (servers.length === 0 || scenarios.length === 0) throw new Problem("no such server or scenario");
  if (ask("valgrind", ["--version"]) === undefined) throw new Problem("`valgrind` is not to be had: install it for this");
  await setUp();
  await buildLoad();
  for (const server of servers) await server.build();
  const { program } = findWorkerd();
  const rows = [];
  for (const scenario of scenarios) {
    const counts = [];
    for (const server of servers)
      counts.push(await step(`${scenario.name}, ${server.title}`, () => count(program, server, scenario)));
    for (const [place, { title }] of counted.entries()) {
      const numbers = counts.map((count) => count[place]);
      const ratios = numbers.slice(1).map((number) => (number / numbers[0]).toFixed(3));
      rows.push([`${scenario.name}: ${title}`, ...numbers.map((number) => Math.round(number).toLocaleString("en")), ...ratios]);
    }
  }
  const [first, ...others] = servers.map(({ title }) => title);
  say(`\n${table(["", first, ...others, ...others.map((title) => `${title} ÷ ${first}`)], rows)}`);
});
