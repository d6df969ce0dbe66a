import { evictDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { fresh, greeting, state, type Peer } from "../support/peer";
import { connect, evict, join, order, stub } from "../support/workerd";

test("C144: the same socket goes on after an eviction; fields are new, states kept", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}`);
  peer.send(state({ count: 9 }));
  await peer.ask({ do: "remember", state: "mine" });
  expect(await peer.ask({ do: "count" })).toEqual({ seen: 2, open: 1 });
  await evict("counter", name);
  expect(await peer.ask({ do: "count" })).toEqual({ seen: 1, open: 1 });
  expect(await peer.ask({ do: "get-state" })).toEqual({ count: 9 });
  expect(await peer.ask({ do: "whoami" })).toMatchObject({ state: "mine" });
});

test("C145: a broadcast after a wake reaches the sockets accepted before it", async () => {
  const name = fresh();
  const path = `/agents/counter/${name}`;
  const early = [await join(`${path}?_pk=a`), await join(`${path}?_pk=b&suppressed`)];
  await evict("counter", name);
  // The event that wakes it comes from none of them.
  await order("counter", name, { do: "broadcast", text: "good morning" });
  const late = await join(`${path}?_pk=c`);
  for (const peer of early) expect(await peer.settle()).toEqual(["good morning"]);
  late.send({ do: "broadcast", text: "all three" });
  for (const peer of [...early, late]) expect(await peer.settle()).toEqual(["all three"]);
});

test("C146: a wake sends nothing by itself", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}`);
  await evict("counter", name);
  expect(await order("counter", name, { do: "count" })).toEqual({ seen: 0, open: 1 });
  expect(await peer.settle()).toEqual([]);
});

test("many evictions, each between two messages of several connections", async () => {
  const name = fresh();
  const peers = await Promise.all(Array.from({ length: 5 }, (_, n) => join(`/agents/counter/${name}?_pk=c${n}`)));
  const remembered = peers.map((): unknown => null);
  for (let round = 0; round < 5; round += 1)
    for (const [n, peer] of peers.entries()) {
      await evict("counter", name);
      remembered[n] = [remembered[n], round];
      expect(await peer.ask({ do: "remember-more", value: round })).toEqual(remembered[n]);
      expect(await peer.ask({ do: "whoami" })).toMatchObject({ id: `c${n}` });
      expect(await peer.ask({ do: "list" })).toHaveLength(5);
    }
});

test("an eviction that closes the sockets leaves an agent that starts again", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}`);
  peer.send(state("kept"));
  await peer.settle();
  await evictDurableObject(stub("counter", name), { webSockets: "close" });
  await peer.closed();
  expect(await (await connect(`/agents/counter/${name}`)).settledJson()).toEqual(greeting(name, "kept"));
});

/** A little of everything, in frames. */
async function everything(agent: string, name: string): Promise<unknown[]> {
  const path = `/agents/${agent}/${name}`;
  const [a, b, c] = [
    await connect(`${path}?_pk=a&tag=t&greet=a`),
    await connect(`${path}?_pk=b&readonly`),
    await connect(`${path}?_pk=c&suppressed`),
  ];
  const heard: unknown[] = [];
  const listen = async (...peers: Peer[]) => {
    for (const peer of peers) heard.push(await peer.settle());
  };
  await listen(a, b, c);
  a.send(state(1));
  b.send(state(2));
  await listen(a, b, c);
  heard.push(await a.call("increment"), await b.call("increment"), await c.call("nope"));
  await listen(b, c);
  a.send({ do: "broadcast", text: "all", without: ["b"] });
  a.send({ do: "broadcast", bytes: [1, 2] });
  await listen(a, b, c);
  c.send({ do: "remember", state: { x: 1 } });
  c.send({ do: "whoami" });
  a.send({ do: "list", tag: "t" });
  await listen(a, b, c);
  c.send({ do: "close", id: "b", code: 4001, reason: "out" });
  // What the close hook sends comes when the client has answered the close frame.
  heard.push(await b.closed(), await a.next(), await c.next());
  await listen(a, b, c);
  a.close(4000, "bye");
  heard.push(await a.closed());
  await listen(c);
  const failing = await connect(`${path}?_pk=f&fail`);
  await listen(failing);
  heard.push(await failing.closed(), await c.next());
  const again = await connect(`${path}?_pk=a`);
  await listen(again);
  again.send(Uint8Array.from([3]));
  again.send({ do: "bytes", count: 3 });
  again.close();
  heard.push(await again.closed());
  await listen(c);
  heard.push(await order(agent, name, { do: "journal" }));
  return heard;
}

test("C147: an agent that does not hibernate sends the same frames in the same order", async () => {
  const name = fresh();
  const withoutIds = (heard: unknown[]) => JSON.stringify(heard).replaceAll(/call-\d+/g, "call");
  const normal = withoutIds(await everything("counter", name));
  const awake = withoutIds(await everything("awake", name)).replaceAll("awake", "counter");
  expect(JSON.parse(awake)).toEqual(JSON.parse(normal));
});
