// npm run bench:agents [-- --short] [--scenario=TEXT]: what messages of the shipped agents cost. See README.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inRoot } from "../scripts/lib/paths.mjs";
import { setUp } from "../scripts/lib/set-up.mjs";
import { Problem, main, say, step } from "../scripts/lib/steps.mjs";
import { aboutRun, circumstances } from "./lib/about.mjs";
import { endsAsItShould } from "./lib/answers.mjs";
import { ECHO, EXCHANGES, TIMES, VARS, scenarioOf, titleOf } from "./lib/exchanges.mjs";
import { buildLoad, measureRuns } from "./lib/load.mjs";
import { digits, spread, table } from "./lib/report.mjs";
import { shippedServer } from "./lib/servers.mjs";
import { compare, quartiles } from "./lib/stats.mjs";
import { withServers } from "./lib/with-servers.mjs";
import { findWorkerd } from "./lib/workerd.mjs";

const { values: options } = parseArgs({ options: { short: { type: "boolean" }, scenario: { type: "string" } } });
const mode = options.short ? "short" : "full";
const wanted = EXCHANGES.filter((scenario) => titleOf(scenario).includes(options.scenario ?? ""));

/** What is loaded in turn for one line of the table, each on a process of its own: `echo`, `beyond` if there is one, and `exchange`. */
function scenariosOf({ exchange, beyond, lanes }) {
  const compared = beyond ? [scenarioOf("beyond", { exchange: beyond, lanes })] : [];
  return [scenarioOf("echo", ECHO), ...compared, scenarioOf("exchange", { exchange, lanes })];
}

/** CPU time of the echo and of the message in each round, in µs, as `compare` takes them. */
function samplesOf({ beyond, count = 1 }, slices) {
  const cpu = (scenario, round) => {
    const { server_cpu_ns, operations } = slices.find((slice) => slice.scenario === scenario && slice.round === round);
    return server_cpu_ns / operations / 1e3;
  };
  const rounds = [...new Set(slices.map(({ round }) => round))];
  return rounds.flatMap((round) => [
    { server: "echo", round, value: cpu("echo", round) },
    { server: "message", round, value: (cpu("exchange", round) - (beyond ? cpu("beyond", round) : 0)) / count },
  ]);
}

await main(async () => {
  if (wanted.length === 0) throw new Problem("no such scenario");
  await setUp();
  await buildLoad();
  const server = shippedServer("shipped", VARS);
  await server.build();
  const workerd = findWorkerd();
  const facts = await aboutRun(workerd, mode, TIMES[mode]);

  const withRuns = (scenarios, work) =>
    withServers(
      workerd.program,
      scenarios.map(({ name }) => ({ ...server, name })),
      (running) => work(running.map((server, index) => ({ server, scenario: scenarios[index] }))),
    );

  await step("Every exchange ends as it should", async () => {
    for (const exchange of [ECHO, ...wanted]) await endsAsItShould(workerd.program, server, exchange);
  });

  const echoes = [];
  const rows = [];
  for (const scenario of wanted) {
    const slices = [];
    await step(titleOf(scenario), () =>
      withRuns(scenariosOf(scenario), (runs) => measureRuns(runs, TIMES[mode], (slice) => slices.push(slice))),
    );
    const samples = samplesOf(scenario, slices);
    const { figure, ratio_to } = compare(samples, ["echo", "message"]).message;
    echoes.push(...samples.filter(({ server }) => server === "echo").map(({ value }) => value));
    rows.push([scenario.agent, scenario.name, spread(figure, digits), spread(ratio_to.echo)]);
  }

  const markdown = [
    circumstances(facts),
    "",
    table(
      ["Agent", "Message", "Server CPU, µs", `÷ ${ECHO.name}`],
      [["Counter", "`get`", spread(quartiles(echoes), digits), "1"], ...rows],
    ),
    "",
  ].join("\n");
  mkdirSync(inRoot("bench/results"), { recursive: true });
  writeFileSync(join(inRoot("bench/results"), "agents.md"), markdown);
  say(`\n${markdown}`);
});
