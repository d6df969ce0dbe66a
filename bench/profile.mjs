// node bench/profile.mjs SERVER SCENARIO: where one server spends its CPU time, by `perf`. See README.md.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { inRoot } from "../scripts/lib/paths.mjs";
import { run } from "../scripts/lib/run.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { compile } from "../scripts/lib/wasm.mjs";
import { buildLoad, measureRuns } from "./lib/load.mjs";
import { SCENARIOS } from "./lib/scenarios.mjs";
import { SERVERS, writeConfig } from "./lib/servers.mjs";
import { Workerd, findWorkerd } from "./lib/workerd.mjs";

/** Long enough for the compilers to have come to rest, then long enough for the samples. */
const SETTLE_MS = 3_000;
const RECORD_MS = Number(process.env.RECORD_MS ?? 4_000);

const { positionals } = parseArgs({ allowPositionals: true });
const [serverName, scenarioName] = positionals;

/** The Rust agent as it comes from the compiler: binaryen, which makes it smaller, also takes the names of its functions. */
const buildWithNames = (outDir) => compile({ crateDir: inRoot("bench/agent"), outDir });

/** Has V8 write down where its code lies, for perf to find (/tmp/perf-PID.map). */
function tellPerf(configFile) {
  const config = readFileSync(configFile, "utf8");
  writeFileSync(configFile, config.replace("  services = [", '  v8Flags = ["--perf-basic-prof"],\n  services = ['));
}

const report = (data, ...args) =>
  run("perf", ["report", "-i", data, "-g", "none", "--sort", "sym", "--percent-limit", process.env.LIMIT ?? "0.5", ...args]);

/** The lines of a report, without the preamble and what no terminal is wide enough for. */
const top = (text, count) =>
  text
    .split("\n")
    .filter((line) => /^\s+\d/.test(line))
    .slice(0, count)
    .map((line) => line.trimEnd().slice(0, 160))
    .join("\n");

await main(async () => {
  const known = SERVERS.find(({ name }) => name === serverName);
  const scenario = SCENARIOS.find(({ name }) => name === scenarioName);
  if (!known || !scenario) {
    const names = (things) => things.map(({ name }) => JSON.stringify(name)).join(", ");
    throw new Problem(`usage: node bench/profile.mjs SERVER SCENARIO\nservers: ${names(SERVERS)}\nscenarios: ${names(SCENARIOS)}`);
  }
  await setUp();
  await buildLoad();
  const isRust = known.name === "durable-agents";
  const server = isRust ? { ...known, folder: inRoot("bench/build/with-names") } : known;
  await step(`Building ${server.title}`, () => (isRust ? buildWithNames(server.folder) : server.build()));

  const folder = mkdtempSync(join(tmpdir(), "bench-profile-"));
  const data = inRoot("bench/build/perf.data");
  const config = writeConfig(server, folder);
  tellPerf(config);
  const workerd = await Workerd.start(findWorkerd().program, config);
  let cost;
  const count = ({ server_cpu_ns, operations }) => (cost = (server_cpu_ns / operations / 1e3).toFixed(1));
  try {
    await step(`Profiling ${server.title}, ${scenario.name}`, async () => {
      const runs = [{ server: { name: server.name, pid: workerd.pid, port: workerd.port }, scenario }];
      const times = { rounds: 1, warm_up_rounds: 0, warm_up_ms: SETTLE_MS, measure_ms: RECORD_MS };
      const perf = new Promise((resolve, reject) => {
        setTimeout(() => {
          const seconds = String(RECORD_MS / 1000 - 1);
          const options = ["record", "--quiet", "--freq", process.env.FREQ ?? "2000", "-g", "--pid", String(workerd.pid), "--output", data];
          spawn("perf", [...options, "--", "sleep", seconds], { stdio: ["ignore", "ignore", "inherit"] })
            .on("error", reject)
            .on("exit", resolve);
        }, SETTLE_MS);
      });
      await Promise.all([perf, measureRuns(runs, times, count)]);
    });
    say(`\n100 % are about ${cost} µs of CPU per operation; being watched costs some of them.`);
    say(`\nIn the function itself:\n${top(await report(data, "--no-children"), 40)}`);
    say(`\nIn the function and what it calls:\n${top(await report(data, "--children"), Number(process.env.ROWS ?? 150))}`);
    say(`\nMore: perf report -i ${relative(process.cwd(), data)}, as long as /tmp/perf-${workerd.pid}.map is there.`);
  } finally {
    await workerd.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});
