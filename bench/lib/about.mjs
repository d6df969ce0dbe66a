import { readFileSync } from "node:fs";
import { cpus, loadavg, release, type } from "node:os";
import { inPackage } from "../../scripts/lib/packages.mjs";
import { panicStrategy } from "../../scripts/lib/rust.mjs";
import { isPinned } from "./pin.mjs";
import { compatibilityDate } from "./servers.mjs";

/** What figures of a run that begins now depend on, beside what is measured. */
export async function aboutRun(workerd, mode, times) {
  const { compiler, unwind } = await panicStrategy();
  return {
    date: new Date().toISOString().slice(0, 10),
    mode,
    ...times,
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

/** The same in words. */
export const circumstances = (about) =>
  `${about.date}, ${about.mode} mode: ${about.rounds} rounds of ${about.measure_ms} ms` +
  `${about.launches > 1 ? `, in ${about.launches} processes,` : ""} for each server and scenario. ` +
  `workerd ${about.workerd}, compatibility date ${about.compatibility_date}, ${about.rust}. ` +
  `${about.cpus} × ${about.cpu}, ${about.os}; load average before the run ${about.load_average}. ` +
  (about.pinned
    ? "Server and client share one CPU under SCHED_BATCH."
    : "**Server and client were not pinned to one CPU: the ratios mean less.**");
