import { expect, test } from "vitest";
import { fresh } from "../support/peer";
import { connect, evict, fetchWorker } from "../support/workerd";

/** How long after its opening each connection gave its last sign of life, and the messages seen since the last wake. */
const look = async (name: string): Promise<[number[], number]> => (await fetchWorker(`/agents/pulse/${name}`)).json();

test("the platform answers a ping, and knows when, without a message for the agent", async () => {
  const name = fresh();
  const peer = await connect(`/agents/pulse/${name}`);
  expect(await look(name)).toEqual([[0], 0]);
  await evict("pulse", name);
  await scheduler.wait(5);
  peer.send("ping");
  expect(await peer.next()).toBe("pong");
  const [[life], seen] = await look(name);
  expect(life).toBeGreaterThan(0);
  expect(seen).toBe(0);
});

test("what a connection has used of its limits survives hibernation", async () => {
  const name = fresh();
  const peer = await connect(`/agents/pulse/${name}`);
  for (const text of ["one", "two", "three"]) {
    peer.send(text);
    expect(await peer.next()).toBe(text);
    await evict("pulse", name);
  }
  peer.send("four");
  expect(await peer.next()).toBe('{"error":"Too many messages"}');
});

test("who comes back gets what it missed while the object slept", async () => {
  const name = fresh();
  const first = await connect(`/agents/pulse/${name}?resume`);
  const { epoch, ...rest } = await first.json<{ epoch: string }>();
  expect(rest).toEqual({ type: "da_resumed", seq: 0, recovered: true, missed: 0, lost: 0 });
  first.close(1000);
  await first.closed();
  const other = await connect(`/agents/pulse/${name}`);
  other.send("missed");
  other.send(new Uint8Array([1, 255]));
  await other.settle();
  await evict("pulse", name);
  const back = await connect(`/agents/pulse/${name}?resume=${epoch}.0`);
  expect(await back.json()).toEqual({ type: "da_resumed", epoch, seq: 0, recovered: true, missed: 2, lost: 0 });
  expect(await back.json()).toEqual({ type: "da_frame", seq: 1, text: "missed" });
  expect(await back.json()).toEqual({ type: "da_frame", seq: 2, base64: "Af8=" });
});
