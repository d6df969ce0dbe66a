import { readFileSync } from "node:fs";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { compatibilityDate as newestDate } from "workerd";

// How the workers were built, for tests of what a panic does: `inject("panic")`.
const provide = { panic: process.env.PANIC ?? "unwind" };

/** For machines that are busy. Longer than a `Peer` waits for a frame, so that a test that hangs says what for. */
const patience = { testTimeout: 30_000, expect: { poll: { timeout: 10_000 } } };

/** Tests that run inside workerd, beside the worker of this configuration; `npm test` builds the workers first. */
const inWorkerd = (name: string, include: string, configPath: string, overrides = {}) => ({
  plugins: [cloudflareTest({ wrangler: { configPath }, miniflare: overrides })],
  test: { name, include: [include], provide, ...patience },
});

const jwks = JSON.parse(readFileSync(new URL("tests/keys/jwks.json", import.meta.url), "utf8"));

/** A JWK set of these keys. */
const keys = (...kids: string[]) => ({ keys: jwks.keys.filter(({ kid }: { kid: string }) => kids.includes(kid)) });

/** The same tests of tokens for each algorithm; a set of keys may be a JSON value or text. */
const withTokens = (algorithm: "HS256" | "RS256" | "ES256", bindings: Record<string, unknown>) => {
  const vars = { JWT_ALGORITHM: algorithm, JWT_ISSUER: "issuer", JWT_AUDIENCE: "agents", ...bindings };
  const project = inWorkerd(`tokens-${algorithm}`, "tests/workerd/tokens/*.test.ts", "./wrangler.toml", { bindings: vars });
  return { ...project, test: { ...project.test, provide: { ...provide, algorithm } } };
};

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
      withTokens("HS256", { JWT_SECRET: "a secret of at least thirty-two bytes" }),
      withTokens("RS256", { JWT_JWKS: keys("rsa", "rsa-weak", "ec") }),
      withTokens("ES256", { JWT_JWKS: JSON.stringify(keys("rsa", "ec")) }),
      // The page's own modules, without a browser: what they do with what they are told.
      { test: { name: "page", include: ["tests/page/*.test.ts"], environment: "node", ...patience } },
      {
        // The published client and plain HTTP in Node.js, against a `wrangler dev` of their own.
        test: {
          name: "client",
          include: ["tests/client/**/*.test.{mjs,ts}"],
          environment: "node",
          provide,
          ...patience,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

declare module "vitest" {
  interface ProvidedContext {
    panic: string;
    algorithm: "HS256" | "RS256" | "ES256";
  }
}
