import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, inject, onTestFinished, test } from "vitest";
import { connect, order, serveFixtures, url } from "../support/node";
import { fresh } from "../support/peer";

serveFixtures();

/** Without unwinding another entry point is there, which does not know what is under way. */
const trapTest = test.runIf(inject("panic") === "unwind");

/** Has the wasm of the whole isolate trap. */
const trap = async () => (await connect(`/agents/faulty/${fresh()}`)).send("trap");

async function join(path: string) {
  const peer = await connect(path);
  await peer.settle();
  return peer;
}

/** A server that answers nothing; its URL, and how many have asked. */
async function silentServer() {
  let asked = 0;
  const server = createServer(() => (asked += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked: () => asked };
}

trapTest("a trap fails the requests under way, of whatever object and of the router", async () => {
  const { address, asked } = await silentServer();
  const paths = [`/agents/counter/${fresh()}`, `/agents/quiet/${fresh()}`, `/agents/awake/${fresh()}`];
  // This one waits for its answer in the wasm of the worker.
  paths.push(`/by-name/${fresh()}`);
  const post = (path: string, command: object) => fetch(url(`${path}?do=command`), { method: "POST", body: JSON.stringify(command) });
  const requests = Promise.all(paths.map((path) => post(path, { do: "fetch", url: address })));
  await expect.poll(asked).toBe(paths.length);
  await trap();
  for (const { status } of await requests) expect(status).toBe(500);
  for (const path of paths) expect((await post(path, { do: "journal" })).status).toBe(200);
});

trapTest("a trap closes sockets that do not hibernate, and their objects take others", async () => {
  const names = [fresh(), fresh()];
  const peers = await Promise.all(names.map((name) => join(`/agents/awake/${name}`)));
  await trap();
  for (const peer of peers) expect(await peer.closed()).toMatchObject({ code: 1011, reason: "Internal error" });
  for (const name of names) {
    const peer = await join(`/agents/awake/${name}`);
    expect(await peer.ask({ do: "count" })).toEqual({ seen: 1, open: 1 });
  }
});

trapTest("a trap has the platform repeat an alarm under way", async () => {
  const name = fresh();
  const lines = () => order("clerk", name, { do: "journal" });
  await order("clerk", name, { do: "schedule-slow", ms: 60_000 });
  await expect.poll(lines).toEqual(["begins 60000"]);
  await trap();
  await expect.poll(lines).toEqual(["begins 60000", "begins 60000"]);
});
