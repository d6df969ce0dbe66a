// npm run bench [-- --short] [--only=SERVER,…] [--scenario=TEXT]: see README.md.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inRoot } from "../scripts/lib/paths.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { aboutRun } from "./lib/about.mjs";
import { answerAlike } from "./lib/answers.mjs";
import { buildLoad, load, measureRuns } from "./lib/load.mjs";
import { toSvg } from "./lib/plot.mjs";
import { toMarkdown } from "./lib/report.mjs";
import { MODES, SCENARIOS, WEIGHED } from "./lib/scenarios.mjs";
import { SERVERS, sizeOf, writeConfig } from "./lib/servers.mjs";
import { compare, summarize } from "./lib/stats.mjs";
import { withServers } from "./lib/with-servers.mjs";
import { Workerd, findWorkerd } from "./lib/workerd.mjs";

const RESULTS = inRoot("bench/results");

const { values: options } = parseArgs({
  options: { short: { type: "boolean" }, only: { type: "string" }, scenario: { type: "string" } },
});
const mode = options.short ? "short" : "full";

const servers = SERVERS.filter(({ name }) => !options.only || options.only.split(",").includes(name));
const isWanted = ({ name }) => name.includes(options.scenario ?? "");
const scenarios = SCENARIOS.filter(isWanted);

/** What a server takes before it does anything: `measure` returns samples for `compare`. */
const FOOTPRINT = [
  { name: "CPU until the first answer", unit: "ms", measure: measureStarts },
  ...WEIGHED.map(({ name, what }) => ({ name, unit: "KiB", measure: (program) => weigh(program, what) })),
].filter(isWanted);

/** CPU time from the start of a server's process to its first answer, in ns. */
async function measureStarts(program) {
  const samples = [];
  for (let round = 0; round < MODES[mode].starts; round++) {
    for (const server of servers) {
      const folder = mkdtempSync(join(tmpdir(), "bench-"));
      const workerd = await Workerd.start(program, writeConfig(server, folder));
      const { pid, port } = workerd;
      await load("first-answer", { name: server.name, pid, port }, ({ server_cpu_ns }) =>
        samples.push({ server: server.name, round, value: server_cpu_ns }),
      );
      await workerd.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return samples;
}

/** Memory that one of a kind takes, in bytes. */
async function weigh(program, what) {
  const samples = [];
  const { rounds, [what]: counts } = MODES[mode].weighing;
  for (let round = 0; round < rounds; round++) {
    await withServers(program, servers, (running) =>
      load("weigh", { servers: running, what, ...counts }, ({ server, bytes_each }) =>
        samples.push({ server, round, value: bytes_each }),
      ),
    );
  }
  return samples;
}

await main(async () => {
  if (servers.length === 0 || scenarios.length + FOOTPRINT.length === 0) throw new Problem("no such server or scenario");
  await setUp();
  await buildLoad();
  for (const server of servers) await server.build();

  const workerd = findWorkerd();
  const { load: times, launches } = MODES[mode];
  const facts = await aboutRun(workerd, mode, { ...times, launches });

  await step("All servers answer alike", () => answerAlike(workerd.program, servers));

  const slices = [];
  for (const scenario of scenarios) {
    await step(scenario.name, async () => {
      // New processes for each scenario: what one leaves behind, garbage and idle objects, is no business of the next. And several of
      // them, as each has its code compiled at other moments, and keeps what has come of it.
      const rounds = times.rounds / launches;
      for (let launch = 0; launch < launches; launch++) {
        const keep = (slice) => slices.push({ ...slice, round: launch * rounds + slice.round });
        await withServers(workerd.program, servers, (running) =>
          measureRuns(running.map((server) => ({ server, scenario })), { ...times, rounds }, keep),
        );
      }
    });
  }

  const footprint = [];
  for (const { name, unit, measure } of FOOTPRINT) {
    const samples = await step(name, () => measure(workerd.program));
    footprint.push({ name, unit, figures: compare(samples, servers.map(({ name }) => name)) });
  }

  const names = (things) => things.map(({ name }) => name);
  const results = {
    about: facts,
    servers: servers.map(({ name, title, ...server }) => ({ name, title, size: sizeOf({ name, ...server }) })),
    scenarios: summarize(slices, { scenarios: names(scenarios), servers: names(servers) }),
    footprint,
    slices,
  };
  const markdown = toMarkdown(results);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "latest.json"), `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(join(RESULTS, "latest.md"), markdown);
  writeFileSync(join(RESULTS, "latest.svg"), toSvg(results));
  say(`\n${markdown}`);
});
