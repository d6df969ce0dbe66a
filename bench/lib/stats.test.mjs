import assert from "node:assert/strict";
import test from "node:test";
import { compare, quartiles, summarize } from "./stats.mjs";

test("quartiles are interpolated, in whatever order the numbers come", () => {
  assert.deepEqual(quartiles([4, 1, 3, 2]), { median: 2.5, low: 1.75, high: 3.25 });
  assert.deepEqual(quartiles([10, 9]), { median: 9.5, low: 9.25, high: 9.75 });
  assert.deepEqual(quartiles([7]), { median: 7, low: 7, high: 7 });
});

// A machine that is ten times slower in the second round. The medians of both are 24, the median of the ratios is 2.
const samples = [
  { server: "ours", round: 0, value: 20 },
  { server: "plain", round: 0, value: 10 },
  { server: "plain", round: 1, value: 100 },
  { server: "ours", round: 1, value: 200 },
  { server: "ours", round: 2, value: 24 },
  { server: "plain", round: 2, value: 24 },
];

test("ratios are taken within a round", () => {
  const { ours, plain } = compare(samples, ["plain", "ours"]);
  assert.deepEqual(ours.ratio_to.plain, { median: 2, low: 1.5, high: 2 });
  assert.equal(plain.ratio_to.ours.median, 0.5);
  assert.equal(ours.ratio_to.ours.median, 1);
  assert.equal(ours.figure.median, 24);
});

test("slices of a scenario are summed up server by server, in µs and per second", () => {
  const slices = samples.map(({ server, round, value }) => ({
    scenario: "echo",
    server,
    round,
    operations: 1_000,
    server_cpu_ns: value * 1e6,
    elapsed_ns: 5e8,
    p50_ns: 2_000,
    p99_ns: 9_000,
  }));
  const other = { ...slices[0], scenario: "call", server_cpu_ns: 1 };
  const [echo, ...more] = summarize([other, ...slices], { scenarios: ["echo"], servers: ["plain", "ours"] });
  assert.deepEqual(more, []);
  assert.equal(echo.name, "echo");
  assert.equal(echo.baseline, "plain");
  assert.deepEqual(Object.keys(echo.figures.ours.ratio_to), ["plain"]);
  assert.deepEqual(echo.figures.ours.ratio_to.plain, { median: 2, low: 1.5, high: 2 });
  assert.equal(echo.figures.ours.cpu_us.median, 24);
  assert.equal(echo.figures.plain.cpu_us.median, 24);
  assert.equal(echo.figures.ours.operations_per_s.median, 2_000);
  assert.deepEqual([echo.figures.ours.p50_us.median, echo.figures.ours.p99_us.median], [2, 9]);
});
