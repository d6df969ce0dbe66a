// node bench/instructions.mjs [SCENARIO] [--only=SERVER,…]: how many instructions an operation takes, by `callgrind`. See README.md.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ask, run } from "../scripts/lib/run.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { buildLoad, measureRuns } from "./lib/load.mjs";
import { table } from "./lib/report.mjs";
import { SCENARIOS } from "./lib/scenarios.mjs";
import { SERVERS, writeConfig } from "./lib/servers.mjs";
import { Workerd, findWorkerd } from "./lib/workerd.mjs";

/** Under valgrind a server takes some fifty times as long, and code has to run as often as ever before it is optimized. */
const WARM_UP_MS = 150_000;
const MEASURE_MS = 20_000;

const { positionals, values: options } = parseArgs({ allowPositionals: true, options: { only: { type: "string" } } });
const only = (options.only ?? "plain,durable-agents").split(",");
const servers = SERVERS.filter(({ name }) => only.includes(name));
const scenarios = SCENARIOS.filter(({ name }) => name.includes(positionals[0] ?? ""));

/** What a server's process executes outside of the kernel for one operation of a scenario, with its start and its warm-up left out. */
async function count(program, server, scenario) {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const dump = join(folder, "callgrind");
  // JavaScript and wasm are compiled while they run.
  const valgrind = ["valgrind", "--tool=callgrind", "--smc-check=all-non-file", `--callgrind-out-file=${dump}`];
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
    const totals = [...readFileSync(`${dump}.1`, "latin1").matchAll(/^totals: (\d+)$/gm)].map(([, total]) => Number(total));
    return totals.reduce((sum, total) => sum + total, 0) / operations;
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
    const ratios = counts.slice(1).map((instructions) => (instructions / counts[0]).toFixed(3));
    rows.push([scenario.name, ...counts.map((instructions) => Math.round(instructions).toLocaleString("en")), ...ratios]);
  }
  const [first, ...others] = servers.map(({ title }) => title);
  say(`\n${table(["", first, ...others, ...others.map((title) => `${title} ÷ ${first}`)], rows)}`);
});
