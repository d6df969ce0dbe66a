import { step } from "../../scripts/lib/steps.mjs";
import { ECHO, EXCHANGES, VARS, scenarioOf, titleOf } from "./exchanges.mjs";
import { buildLoad, load } from "./load.mjs";
import { SERVERS, shippedServer } from "./servers.mjs";
import { withServers } from "./with-servers.mjs";
import { findWorkerd } from "./workerd.mjs";

/** Fails unless all `servers` answer one conversation alike, and still know the state after their processes have been killed. */
export const answerAlike = (program, servers) =>
  withServers(program, servers, async (running, restart) => {
    await load("check", { servers: running });
    await load("check-restarted", { servers: await restart() });
  });

/** Plays one of `EXCHANGES` a few times on a process of its own, and fails unless each time ends with the frames it should end with. */
export const endsAsItShould = (program, server, exchange) =>
  withServers(program, [server], ([running]) =>
    load("rehearse", { runs: [{ server: running, scenario: scenarioOf(titleOf(exchange), exchange) }] }),
  );

/** All that a benchmark looks at before it times anything, of every server and every exchange. */
export async function checkAnswers() {
  await buildLoad();
  for (const server of SERVERS) await server.build();
  const { program } = findWorkerd();
  await step("All servers answer alike", () => answerAlike(program, SERVERS));
  const server = shippedServer("shipped", VARS);
  await step("Every exchange ends as it should", async () => {
    for (const exchange of [ECHO, ...EXCHANGES]) await endsAsItShould(program, server, exchange);
  });
}
