import { abortAllDurableObjects } from "cloudflare:test";
import { expect, test } from "vitest";
import { fresh, greeting, identity, MCP, state } from "../support/peer";
import { connect, evict, join, journal, order, sql } from "../support/workerd";

const rejected = { type: "cf_agent_state_error", error: "State update rejected" };

const row = (agent: string, name: string) => sql(agent, name, "SELECT id, state FROM cf_agents_state ORDER BY id");

test("C99: a client's state goes to the others and not to itself", async () => {
  const name = fresh();
  const [a, b, c] = [
    await join(`/agents/counter/${name}?_pk=a`),
    await join(`/agents/counter/${name}?_pk=b`),
    await join(`/agents/counter/${name}?_pk=c&suppressed`),
  ];
  a.send(state({ count: 5 }));
  expect([await a.settle(), await b.settledJson(), await c.settle()]).toEqual([[], [state({ count: 5 })], []]);
});

test("C100, C109: a state of the server's goes to everyone, an equal one again", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/counter/${name}?_pk=a`), await join(`/agents/counter/${name}?_pk=b`)];
  for (let n = 0; n < 2; n += 1) await order("counter", name, { do: "set-state", state: "same" });
  const twice = [state("same"), state("same")];
  expect([await a.settledJson(), await b.settledJson()]).toEqual([twice, twice]);
});

test("C101: a caller gets the state it caused before the answer", async () => {
  const peer = await join(`/agents/counter/${fresh()}`);
  expect(await peer.call("set", { count: 3 })).toEqual([
    state({ count: 3 }),
    { type: "rpc", id: expect.any(String), success: true, done: true, result: "set" },
  ]);
});

test("C102: a state is whole, nothing is merged", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}`);
  await order("counter", name, { do: "set-state", state: { a: 1 } });
  await peer.settle();
  peer.send(state({ b: 2 }));
  expect((await peer.call("get")).at(-1)).toMatchObject({ result: { b: 2 } });
});

test("C103: the state survives hibernation and the loss of the object", async () => {
  const name = fresh();
  const value = { count: 1, text: "Grüße 🦀", list: [null, 1.5, true] };
  const peer = await join(`/agents/counter/${name}`);
  peer.send(state(value));
  await peer.settle();
  await evict("counter", name);
  expect((await peer.call("get")).at(-1)).toMatchObject({ result: value });
  await abortAllDurableObjects();
  const again = await connect(`/agents/counter/${name}`);
  expect(await again.settledJson()).toEqual(greeting(name, value));
});

test("C104: a state that validation refuses changes nothing, and only the sender is told", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/strict/${name}?_pk=a`), await join(`/agents/strict/${name}?_pk=b`)];
  a.send(state({ count: 1 }));
  await b.next();
  a.send(state({ count: -1 }));
  expect([await a.settledJson(), await b.settle()]).toEqual([[rejected], []]);
  expect((await a.call("get")).at(-1)).toMatchObject({ result: { count: 1 } });
  expect(await row("strict", name)).toEqual([{ id: "cf_state_row_id", state: '{"count":1}' }]);
});

test.for([{ count: "one" }, {}, null, 5, "text", { count: 1.5 }, { count: 9e99 }])(
  "C104: a state of another type than the agent's, %j, is refused like that",
  async (value) => {
    const name = fresh();
    const [a, b] = [await join(`/agents/strict/${name}?_pk=a`), await join(`/agents/strict/${name}?_pk=b`)];
    a.send(state(value));
    expect([await a.settledJson(), await b.settle()]).toEqual([[rejected], []]);
    expect((await a.call("get")).at(-1)).toMatchObject({ result: { count: 0 } });
  },
);

test("C105: a callable that sets a refused state fails with the validator's words", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/strict/${name}?_pk=a`), await join(`/agents/strict/${name}?_pk=b`)];
  expect(await a.call("set", -1)).toEqual([
    { type: "rpc", id: expect.any(String), success: false, error: "count must not be negative" },
  ]);
  expect(await b.settle()).toEqual([]);
  expect((await a.call("get")).at(-1)).toMatchObject({ result: { count: 0 } });
});

test("C106, C107: the change hook is told who it was; if it fails, the change stays", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/strict/${name}?_pk=a`), await join(`/agents/strict/${name}?_pk=b`)];
  a.send(state({ count: 13 }));
  expect([await a.settle(), await b.settledJson()]).toEqual([[], [state({ count: 13 })]]);
  await b.call("set", 2);
  expect(await journal("strict", name)).toEqual([
    "changed by server to 0",
    "changed by a to 13",
    "error: 13 is unlucky",
    "changed by server to 2",
  ]);
  expect((await a.call("get")).at(-1)).toMatchObject({ result: { count: 2 } });
});

test("C108: a change hook that sets the state: first the client's, then its own", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/strict/${name}?_pk=a`), await join(`/agents/strict/${name}?_pk=b`)];
  a.send(state({ count: 14 }));
  expect(await a.settledJson()).toEqual([state({ count: 15 })]);
  expect(await b.settledJson()).toEqual([state({ count: 14 }), state({ count: 15 })]);
});

test.for([null, 0, false, ""])("C110: the state %j survives the loss of the object", async (value) => {
  const name = fresh();
  await order("counter", name, { do: "set-state", state: value });
  await evict("counter", name);
  expect(await order("counter", name, { do: "get-state" })).toBe(value);
  await abortAllDurableObjects();
  expect(await (await connect(`/agents/counter/${name}`)).settledJson()).toEqual(greeting(name, value));
});

test.for(["{broken", "", "\\ud800"])("C111: instead of a stored %j the initial state is taken, if there is one", async (broken) => {
  const name = fresh();
  for (const agent of ["counter", "blank"]) {
    await order(agent, name, { do: "set-state", state: "fine" });
    await sql(agent, name, "UPDATE cf_agents_state SET state = ? WHERE id = 'cf_state_row_id'", broken);
    await evict(agent, name);
  }
  expect(await (await connect(`/agents/counter/${name}`)).settledJson()).toEqual(greeting(name));
  expect(await (await connect(`/agents/blank/${name}`)).settledJson()).toEqual([identity("blank", name, false), MCP]);
});

test("C112: an agent that nobody asked for its state has not stored any", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed`);
  await peer.settle();
  expect(await sql("counter", name, "SELECT name FROM sqlite_master WHERE name = 'cf_agents_state'")).toEqual([]);
  await connect(`/agents/counter/${name}`);
  expect(await row("counter", name)).toEqual([{ id: "cf_state_row_id", state: '{"count":0}' }]);
});

test("C113: a state above the limit of a row is refused with both numbers, and changes nothing", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?suppressed`);
  const { error } = await peer.ask<{ error: string }>({ do: "fill-state", bytes: 2_000_001 });
  const limit = Number(/^state is 2000001 bytes of JSON, limit is (\d+)$/.exec(error)?.[1]);
  expect(limit).toBeGreaterThan(1_999_000);
  expect(limit).toBeLessThanOrEqual(2_000_000);
  expect(await peer.ask({ do: "get-state" })).toEqual({ count: 0 });
  // What it allows, the platform stores; one byte more it does not.
  expect(await peer.ask({ do: "fill-state", bytes: limit + 1 })).toHaveProperty("error");
  expect(await peer.ask({ do: "fill-state", bytes: limit })).toBe("set");
  await evict("counter", name);
  expect(await peer.ask({ do: "state-size" })).toBe(limit);
});

test("C113: a client's state above the limit is refused, and its connection stays", async () => {
  const name = fresh();
  const [a, b] = [await join(`/agents/counter/${name}?_pk=a`), await join(`/agents/counter/${name}?_pk=b`)];
  a.send(state("x".repeat(2_100_000)));
  expect([await a.settledJson(), await b.settle()]).toEqual([[rejected], []]);
  expect((await a.call("get")).at(-1)).toMatchObject({ result: { count: 0 } });
});

test("C114: after 1,000 updates 20 clients have the server's state", { timeout: 30_000 }, async () => {
  const name = fresh();
  const peers = await Promise.all(Array.from({ length: 20 }, (_, n) => join(`/agents/counter/${name}?_pk=c${n}`)));
  for (let n = 0; n < 1_000; n += 1)
    peers[n % 20]?.send({ type: "rpc", id: `${n}`, method: "increment", args: [] });
  for (const peer of peers) {
    const frames = (await peer.settledJson()) as { type: string; state?: unknown }[];
    const states = frames.filter(({ type }) => type === "cf_agent_state").map(({ state }) => state);
    expect(states).toEqual(Array.from({ length: 1_000 }, (_, n) => ({ count: n + 1 })).slice(0, states.length));
  }
  // Answers of others may have come after a peer had settled; what is due to everybody is there in the end.
  for (const peer of peers) expect((await peer.call("get")).at(-1)).toMatchObject({ result: { count: 1_000 } });
});

test("C114: 20 clients that write over each other all end with the server's state", { timeout: 30_000 }, async () => {
  const name = fresh();
  const peers = await Promise.all(Array.from({ length: 20 }, (_, n) => join(`/agents/counter/${name}?_pk=c${n}`)));
  const last = peers.map((): unknown => undefined);
  for (let round = 0; round < 50; round += 1)
    peers.forEach((peer, n) => {
      last[n] = { count: round * 20 + n };
      peer.send(state(last[n]));
    });
  for (const peer of peers) await peer.call("get");
  await order("counter", name, { do: "set-state", state: "final" });
  for (const peer of peers) {
    const frames = (await peer.settledJson()) as { type: string; state?: unknown }[];
    expect(frames.at(-1)).toEqual(state("final"));
  }
});
