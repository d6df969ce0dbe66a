import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { compatibilityDate as newestDate } from "workerd";

// How the workers were built, for tests of what a panic does: `inject("panic")`.
const provide = { panic: process.env.PANIC ?? "unwind" };

/** Tests that run inside workerd, beside the worker of this configuration; `npm test` builds the workers first. */
const inWorkerd = (name: string, include: string, configPath: string, overrides = {}) => ({
  plugins: [cloudflareTest({ wrangler: { configPath }, miniflare: overrides })],
  test: { name, include: [include], provide },
});

export default defineConfig({
  test: {
    allowOnly: false,
    maxWorkers: 2,
    projects: [
      inWorkerd("fixtures", "tests/workerd/*.test.ts", "./tests/fixtures/wrangler.toml"),
      inWorkerd("shipped", "tests/workerd/shipped/*.test.ts", "./wrangler.toml"),
      inWorkerd("conformance", "tests/workerd/conformance/*.test.ts", "./tests/conformance/wrangler.toml"),
      // What a worker meets that moves to the newest date this workerd knows.
      inWorkerd("newest-date", "tests/workerd/conformance/smoke.test.ts", "./tests/conformance/wrangler.toml", {
        compatibilityDate: newestDate,
      }),
      {
        // The published client and plain HTTP in Node.js, against a `wrangler dev` of their own.
        test: {
          name: "client",
          include: ["tests/client/**/*.test.{mjs,ts}"],
          environment: "node",
          provide,
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

declare module "vitest" {
  interface ProvidedContext {
    panic: string;
  }
}
