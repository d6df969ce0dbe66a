// npm run bench [-- --short] [--only=SERVER,…] [--scenario=TEXT]: see README.md.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, type } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inPackage } from "../scripts/lib/packages.mjs";
import { inRoot } from "../scripts/lib/paths.mjs";
import { panicStrategy } from "../scripts/lib/rust.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { buildLoad, load } from "./lib/load.mjs";
import { isPinned } from "./lib/pin.mjs";
import { toMarkdown } from "./lib/report.mjs";
import { MODES, SCENARIOS } from "./lib/scenarios.mjs";
import { SERVERS, compatibilityDate, sizeOf, writeConfig } from "./lib/servers.mjs";
import { summarize } from "./lib/stats.mjs";
import { Workerd, findWorkerd } from "./lib/workerd.mjs";

const RESULTS = inRoot("bench/results");

const { values: options } = parseArgs({
  options: { short: { type: "boolean" }, only: { type: "string" }, scenario: { type: "string" } },
});
const mode = options.short ? "short" : "full";

const servers = SERVERS.filter(({ name }) => !options.only || options.only.split(",").includes(name));
const scenarios = SCENARIOS.filter(({ name }) => name.includes(options.scenario ?? ""));

async function about(workerd) {
  const { compiler, unwind } = await panicStrategy();
  return {
    date: new Date().toISOString().slice(0, 10),
    mode,
    ...MODES[mode],
    workerd: workerd.version,
    agents: JSON.parse(readFileSync(inPackage("agents", "package.json"), "utf8")).version,
    compatibility_date: compatibilityDate(),
    rust: `${compiler.split("\n")[0]}, panic = ${unwind ? "unwind" : "abort"}`,
    cpu: cpus()[0].model,
    cpus: cpus().length,
    os: `${type()} ${release()}`,
    load_average: loadavg()[0].toFixed(1),
    pinned: isPinned(),
  };
}

/** Starts all servers on empty disks, for `work`, which gets what the load generator has to know and a way to kill and restart them. */
async function withServers(program, work) {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const configs = servers.map((server) => writeConfig(server, join(folder, server.name)));
  let running = [];
  const start = async () => {
    for (const config of configs) running.push(await Workerd.start(program, config));
    return servers.map(({ name }, index) => ({ name, pid: running[index].pid, port: running[index].port }));
  };
  const kill = async () => {
    await Promise.all(running.map((server) => server.kill()));
    running = [];
  };
  try {
    await work(await start(), async () => {
      await kill();
      return start();
    });
  } catch (error) {
    for (const [index, { log }] of running.entries()) if (log) say(`${servers[index].name} printed:\n${log.slice(0, 2_000)}`);
    throw error;
  } finally {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main(async () => {
  if (servers.length === 0 || scenarios.length === 0) throw new Problem("no such server or scenario");
  await setUp();
  await buildLoad();
  for (const server of servers) await server.build();

  const workerd = findWorkerd();
  const facts = await about(workerd);

  await step("All servers answer alike", () =>
    withServers(workerd.program, async (running, restart) => {
      await load("check", { servers: running });
      await load("check-restarted", { servers: await restart() });
    }),
  );

  const slices = [];
  for (const scenario of scenarios) {
    await step(scenario.name, () =>
      // New processes for each scenario: what one leaves behind, garbage and idle objects, is no business of the next.
      withServers(workerd.program, (running) =>
        load("measure", { servers: running, scenario, ...MODES[mode] }, (slice) => slices.push(slice)),
      ),
    );
  }

  const names = (things) => things.map(({ name }) => name);
  const results = {
    about: facts,
    servers: servers.map(({ name, title, ...server }) => ({ name, title, size: sizeOf({ name, ...server }) })),
    scenarios: summarize(slices, { scenarios: names(scenarios), servers: names(servers) }),
    slices,
  };
  const markdown = toMarkdown(results);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "latest.json"), `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(join(RESULTS, "latest.md"), markdown);
  say(`\n${markdown}`);
});
