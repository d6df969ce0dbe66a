// npm run bench:scale [-- --short] [--only=SERVER,…]: what an operation costs beside more and more that is merely there.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inRoot } from "../scripts/lib/paths.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { main, say, step } from "../scripts/lib/steps.mjs";
import { aboutRun, circumstances } from "./lib/about.mjs";
import { toCurves } from "./lib/curves.mjs";
import { VARS, answeredAfter } from "./lib/exchanges.mjs";
import { buildLoad, measureRuns } from "./lib/load.mjs";
import { digits, table } from "./lib/report.mjs";
import { MODES } from "./lib/scenarios.mjs";
import { SERVERS, shippedServer } from "./lib/servers.mjs";
import { quartiles } from "./lib/stats.mjs";
import { withServers } from "./lib/with-servers.mjs";
import { findWorkerd } from "./lib/workerd.mjs";

const echo = { operation: { echo_text: { bytes: 100 } }, lanes: 16 };

/** `at` says what there is at a point of the axis. A socket takes two files of workerd, and 20,000 is a common limit of a process. */
const CURVES = [
  { name: "echo beside idle sockets of the instance", axis: [0, 100, 1_000, 9_500], at: (sockets) => ({ ...echo, crowd: { sockets } }) },
  { name: "echo beside other instances, each with a socket", axis: [0, 100, 500, 2_000], at: (instances) => ({ ...echo, crowd: { instances } }) },
  { name: "echo of an instance with a state of n bytes", axis: [100, 10_000, 100_000, 1_000_000], at: (state_bytes) => ({ ...echo, crowd: { state_bytes } }) },
  {
    name: "a state of n bytes set and sent to 1 watcher",
    axis: [100, 10_000, 100_000, 1_000_000],
    at: (text_bytes) => ({ operation: { set_state: { watchers: 1, text_bytes } }, lanes: 1 }),
  },
  {
    name: "broadcast to n sockets",
    axis: [10, 100, 1_000],
    at: (sockets) => ({ operation: { broadcast: { sockets, bytes: 100 } }, lanes: 1 }),
  },
  {
    name: "an answer in a session with n frames in its log, which keeps 4,096",
    axis: [0, 1_000, 4_096, 8_192],
    at: (frames) => ({ operation: { exchange: answeredAfter(frames) }, lanes: 1 }),
    // The agent under test has no log.
    of: [{ ...shippedServer("durable-agents", VARS), title: "Durable Agents" }],
  },
];

const { values: options } = parseArgs({ options: { short: { type: "boolean" }, only: { type: "string" } } });
const mode = options.short ? "short" : "full";
const times = { ...MODES[mode].load, rounds: Math.ceil(MODES[mode].load.rounds / 2) };
const only = (options.only ?? "plain,durable-agents").split(",");
const compared = SERVERS.filter(({ name }) => only.includes(name));

await main(async () => {
  await setUp();
  await buildLoad();
  for (const server of [...compared, ...CURVES.flatMap(({ of }) => of ?? [])]) await server.build();
  const workerd = findWorkerd();
  const facts = await aboutRun(workerd, mode, times);

  const curves = [];
  for (const { name, axis, at, of: servers = compared } of CURVES) {
    const figures = Object.fromEntries(servers.map((server) => [server.name, []]));
    for (const point of axis) {
      // One server at a time: so many sockets to each of them are more than a process may have open.
      for (const server of servers)
        await step(`${name}: ${point}, ${server.title}`, () =>
          withServers(workerd.program, [server], async (running) => {
            const slices = [];
            const runs = running.map((server) => ({ server, scenario: { name, ...at(point) } }));
            await measureRuns(runs, times, (slice) => slices.push(slice));
            figures[server.name].push(quartiles(slices.map(({ server_cpu_ns, operations }) => server_cpu_ns / operations / 1e3)));
          }),
        );
    }
    curves.push({ name, axis, servers, figures });
  }

  const sections = curves.map(({ name, axis, servers, figures }) =>
    [
      `## ${name}`,
      "",
      table(
        ["µs of server CPU", ...axis.map((point) => point.toLocaleString("en"))],
        servers.map((server) => [server.title, ...figures[server.name].map(({ median }) => digits(median))]),
      ),
      "",
    ].join("\n"),
  );
  const markdown = ["# What it costs beside what is merely there", "", circumstances(facts), "", ...sections].join("\n");
  mkdirSync(inRoot("bench/results"), { recursive: true });
  writeFileSync(join(inRoot("bench/results"), "scale.md"), markdown);
  writeFileSync(join(inRoot("bench/results"), "scale.svg"), toCurves(curves, compared));
  say(`\n${markdown}`);
});
