import assert from "node:assert/strict";
import test from "node:test";
import { digits, toMarkdown } from "./report.mjs";

const always = (number) => ({ median: number, low: number, high: number });

/** Figures of a server that takes `times` what plain JavaScript does. */
const figures = (times) => ({
  cpu_us: always(30 * times),
  ratio_to: { "npm-agents": always(times / 2), plain: { median: times, low: times - 0.25, high: times + 0.25 } },
  operations_per_s: always(20_000),
  p50_us: always(500),
  p99_us: always(1_250),
});

const results = {
  about: { date: "2026-01-02", rounds: 3, measure_ms: 250, launches: 1, pinned: true, mode: "short", agents: "0.1.0" },
  servers: ["npm-agents", "plain", "durable-agents"].map((name) => ({
    name,
    title: name.toUpperCase(),
    size: { bytes: 10 * 1024, gzip_bytes: 4 * 1024 },
  })),
  scenarios: [{ name: "echo", figures: { "npm-agents": figures(2), plain: figures(1), "durable-agents": figures(1.5) } }],
  footprint: [
    {
      name: "memory",
      unit: "KiB",
      figures: Object.fromEntries(
        ["npm-agents", "plain", "durable-agents"].map((name) => [name, { figure: always(2_048), ratio_to: { "npm-agents": always(1), plain: always(1) } }]),
      ),
    },
  ],
};

test("a line for each scenario, a column for each server and each pair that is compared", () => {
  const lines = toMarkdown(results).split("\n");
  const below = (title, row) => lines[lines.indexOf(`## ${title}`) + row];
  const ratios = lines.findIndex((line) => line.startsWith("|  | PLAIN ÷ NPM-AGENTS | DURABLE-AGENTS ÷ NPM-AGENTS | DURABLE-AGENTS ÷ PLAIN |"));
  assert.equal(lines[ratios + 2], "| echo | 0.50 (0.50–0.50) | 0.75 (0.75–0.75) | 1.50 (1.25–1.75) |");
  assert.equal(below("Server CPU per operation, in µs", 6), "| echo | 60.0 | 30.0 | 45.0 |");
  const served = "20000/s, 0.50 / 1.25";
  assert.equal(below("Operations per second, and latency p50 / p99 in ms", 6), `| echo | ${served} | ${served} | ${served} |`);
  assert.match(below("Start and memory", 4), /^\| memory, KiB \| 2\.00 \| 2\.00 \| 2\.00 \| 1\.00 /);
  assert.equal(below("Bundle", 4), "| gzip | 4 KiB | 4 KiB | 4 KiB |");
  assert.ok(lines[2].endsWith("npm `agents` 0.1.0."));
});

test("that figures mean less where nothing was pinned is said", () => {
  const loose = { ...results, about: { ...results.about, pinned: false } };
  assert.match(toMarkdown(loose), /\*\*Server and client were not pinned to one CPU/);
});

test("numbers have three digits, or all that stand before the point", () => {
  assert.deepEqual([0.5, 2.345, 99.94, 100.4, 27_068.4].map(digits), ["0.500", "2.35", "99.9", "100", "27068"]);
});
