import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { order, serveFixtures } from "../support/node";
import { fresh } from "../support/peer";

serveFixtures();

const MEBIBYTE = 1024 * 1024;

/** Serves a body to whoever asks; its URL. */
async function serve(body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  const server = createServer((_, response) => response.writeHead(200, { "content-length": body.length, ...headers }).end(body));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const get = (url: string) => order("counter", fresh(), { do: "fetch", url });

test("a short body of an answer comes in one piece", async () => {
  expect(await get(await serve(Buffer.alloc(MEBIBYTE)))).toEqual({ bytes: MEBIBYTE, longest: MEBIBYTE });
});

test("a body that is only short while it is compressed comes piece by piece", async () => {
  const zipped = gzipSync(Buffer.alloc(16 * MEBIBYTE));
  expect(zipped.length).toBeLessThan(MEBIBYTE);
  const { bytes, longest } = (await get(await serve(zipped, { "content-encoding": "gzip" }))) as { bytes: number; longest: number };
  expect(bytes).toBe(16 * MEBIBYTE);
  expect(longest).toBeLessThan(MEBIBYTE);
});
