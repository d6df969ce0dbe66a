import { SELF } from "cloudflare:test";
import { expect, test } from "vitest";

test("the shipped worker answers inside workerd", async () => {
  const response = await SELF.fetch("https://example.com/agents/nope/a");
  expect(response.status).toBeLessThan(500);
  await response.text();
});
