import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

// How the workers were built, for tests of what a panic does: `inject("panic")`.
const provide = { panic: process.env.PANIC ?? "unwind" };

/** Tests that run inside workerd, beside the worker of this configuration; `npm test` builds the workers first. */
const inWorkerd = (name: string, include: string, configPath: string) => ({
  plugins: [cloudflareTest({ wrangler: { configPath } })],
  test: { name, include: [include], provide },
});

export default defineConfig({
  test: {
    allowOnly: false,
    maxWorkers: 2,
    projects: [
      inWorkerd("fixtures", "tests/workerd/*.test.ts", "./tests/fixtures/wrangler.toml"),
      inWorkerd("shipped", "tests/workerd/shipped/*.test.ts", "./wrangler.toml"),
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
