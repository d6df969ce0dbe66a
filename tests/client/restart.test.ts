import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { connect } from "../support/node";
import { greeting, state } from "../support/peer";
import { startDevServer } from "./dev-server.mjs";

const VALUES = { none: null, zero: 0, no: false, empty: "", object: { count: 5, text: "Grüße 🦀\u0000" } };

test("C103, C110: states survive a restart of the process", { timeout: 90_000 }, async () => {
  const storage = mkdtempSync(join(tmpdir(), "restart-"));
  onTestFinished(() => rmSync(storage, { recursive: true, force: true }));
  const options = { config: "tests/fixtures/wrangler.toml", storage };

  const first = await startDevServer(options);
  const peers = [];
  for (const [name, value] of Object.entries(VALUES)) {
    const peer = await connect(`/agents/counter/${name}`, first.url);
    peer.send(state(value));
    await peer.settle();
    peers.push(peer);
  }
  await first.stop();
  for (const peer of peers) expect((await peer.closed()).code).toBe(1006);

  const second = await startDevServer(options);
  onTestFinished(() => second.stop());
  for (const [name, value] of Object.entries(VALUES)) {
    const peer = await connect(`/agents/counter/${name}`, second.url);
    expect(await peer.settledJson()).toEqual(greeting(name, value));
  }
});
