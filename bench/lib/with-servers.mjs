import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { say } from "../../scripts/lib/steps.mjs";
import { writeConfig } from "./servers.mjs";
import { Workerd } from "./workerd.mjs";

/** Starts `servers` on empty disks, for `work`, which gets what the load generator has to know and a way to kill and restart them. */
export async function withServers(program, servers, work) {
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
