import { inRoot, root } from "./paths.mjs";

/** The worker that is deployed: the root package. */
export const shipped = {
  name: "the worker",
  crateDir: root,
  outDir: inRoot("build"),
  config: inRoot("wrangler.toml"),
  budgetKb: 365,
};

/** A worker with one agent, the benchmark's, which has a state and a method. */
export const oneAgent = {
  name: "a worker with one agent",
  crateDir: inRoot("bench/agent"),
  outDir: inRoot("bench/agent/build"),
  budgetKb: 128,
};

/** The least that a worker with an agent weighs. */
export const hello = {
  name: "a worker that says hello",
  crateDir: inRoot("bench/hello"),
  outDir: inRoot("bench/hello/build"),
  wasmBudgetKb: 92,
};

/** Agents made for the tests inside workerd. */
export const fixtures = {
  name: "the test fixtures",
  crateDir: inRoot("tests/fixtures"),
  outDir: inRoot("tests/fixtures/build"),
  config: inRoot("tests/fixtures/wrangler.toml"),
};

/** Agents for conformance suites from outside. */
export const conformance = {
  name: "the conformance worker",
  crateDir: inRoot("tests/conformance"),
  outDir: inRoot("tests/conformance/build"),
  config: inRoot("tests/conformance/wrangler.toml"),
};
