import { expect, test } from "vitest";
import { MCP, fresh, greeting, identity, state } from "../support/peer";
import { connect, evict, fetchWorker, handshake, journal, order, peerOf, sql } from "../support/workerd";

test("C38, C39, C47: identity, state, MCP servers, and nothing else", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}`);
  expect(await peer.settledJson()).toEqual(greeting(name));
});

test("C39: frames are compact JSON, byte for byte", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}`);
  expect(await peer.settle()).toEqual([
    `{"name":"${name}","agent":"counter","type":"cf_agent_identity","stateFollows":true}`,
    '{"state":{"count":0},"type":"cf_agent_state"}',
    '{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}',
  ]);
});

test("C41: without a state, identity and MCP servers", async () => {
  const name = fresh();
  for (const agent of ["blank", "bare"]) {
    const peer = await connect(`/agents/${agent}/${name}`);
    expect(await peer.settledJson()).toEqual([identity(agent, name, false), MCP]);
  }
});

test("C42: without identity, the state comes first", async () => {
  const peer = await connect(`/agents/quiet/${fresh()}`);
  expect(await peer.settledJson()).toEqual([state({ count: 0 }), MCP]);
});

test("C43: without protocol messages, nothing before the connect hook's own", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed&greet=you`);
  expect(await peer.settle()).toEqual(["welcome you"]);
});

test("C44, C52: the connect hook's own comes last, and sees the query", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?greet=J%C3%BCrgen+A`);
  const frames = await peer.settle();
  expect(frames.slice(0, 3).map((frame) => JSON.parse(frame as string))).toEqual(greeting(name));
  expect(frames.slice(3)).toEqual(["welcome Jürgen A"]);
});

test("C45: one state frame on connect, for the connection that caused the initial state too", async () => {
  const name = fresh();
  const [first, second] = [
    await connect(`/agents/counter/${name}`),
    await connect(`/agents/counter/${name}`),
  ];
  expect(await first.settledJson()).toEqual(greeting(name));
  expect(await second.settledJson()).toEqual(greeting(name));
});

test("C46: where the stored state has gone, the initial one is set again, and everybody gets it once", async () => {
  const name = fresh();
  const first = await connect(`/agents/counter/${name}`);
  first.send(state("gone soon"));
  await first.settle();
  await sql("counter", name, "DELETE FROM cf_agents_state");
  await evict("counter", name);
  const second = await connect(`/agents/counter/${name}`);
  expect(await second.settledJson()).toEqual(greeting(name));
  expect(await first.settledJson()).toEqual([state({ count: 0 })]);
});

test("C48: a state of null is a state", async () => {
  const name = fresh();
  await order("blank", name, { do: "set-state", state: null });
  const peer = await connect(`/agents/blank/${name}`);
  expect(await peer.settledJson()).toEqual([identity("blank", name), state(null), MCP]);
});

test("C49: 25 messages right after the handshake wait for the connect hook, and keep their order", async () => {
  const name = fresh();
  const opening = handshake(`/agents/counter/${name}?_pk=a&wait=500`);
  const peer = peerOf(await opening);
  for (let n = 0; n < 25; n += 1) peer.send(`message ${n}`);
  await peer.settle();
  expect(await journal("counter", name)).toEqual([
    "connect a begins",
    "connect a ends",
    ...Array.from({ length: 25 }, (_, n) => `message a: text "message ${n}"`),
  ]);
});

test("C50, C51: an id is the client's own, or 21 characters that a URL may hold", async () => {
  const name = fresh();
  const idOf = async (query: string) => {
    const peer = await connect(`/agents/counter/${name}?suppressed${query}`);
    return (await peer.ask<{ id: string }>({ do: "whoami" })).id;
  };
  expect(await idOf("&_pk=abc")).toBe("abc");
  expect(await idOf("&_pk=%C3%BC%20%2F")).toBe("ü /");
  const made = [await idOf(""), await idOf("&_pk="), await idOf("&_pk")];
  for (const id of made) expect(id).toMatch(/^[A-Za-z0-9_-]{21}$/);
  expect(new Set(made).size).toBe(3);
});

test("C53: a connect hook may close, with a code and reason that arrive", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?close=4001&reason=Unauthorized`);
  expect(await peer.closed()).toMatchObject({ code: 4001, reason: "Unauthorized" });
});

test.for(["websocket", "WebSocket"])("C54, C55: a connect hook that fails, asked with Upgrade: %s", async (upgrade) => {
  const name = fresh();
  const stays = await connect(`/agents/counter/${name}?suppressed&_pk=stays`);
  const fails = await connect(`/agents/counter/${name}?suppressed&_pk=fails&fail`, { upgrade });
  expect(await fails.settle()).toEqual(['{"error":"Internal error during connection setup"}']);
  expect(await fails.closed()).toMatchObject({ code: 1011, reason: "Uncaught exception during session setup" });

  expect(await stays.next()).toBe("fails left, 1 open");
  expect(await stays.ask({ do: "lookup", id: "fails" })).toBeNull();
  stays.send({ do: "broadcast", text: "who is there?" });
  expect(await stays.settle()).toEqual(["who is there?"]);
  expect(await stays.ask({ do: "list" })).toEqual(["stays"]);
  expect(await fails.settle()).toEqual([]);

  const lines = await journal("counter", name);
  expect(lines).toContain("connection error fails: the connect hook was told to fail");
  expect(lines.filter((line) => line.startsWith("close fails"))).toHaveLength(1);
});

test("C58: a reconnect gets the whole greeting again, with the current state", async () => {
  const name = fresh();
  const first = await connect(`/agents/counter/${name}?_pk=same`);
  first.send(state({ count: 7 }));
  expect(await first.settledJson()).toEqual(greeting(name));
  first.close(1000, "");
  await first.closed();
  const again = await connect(`/agents/counter/${name}?_pk=same`);
  expect(await again.settledJson()).toEqual(greeting(name, { count: 7 }));
});

test("another transport than ours is refused, not misunderstood", async () => {
  const response = await handshake(`/agents/counter/${fresh()}?__agents_transport=capnweb`);
  expect([response.status, response.webSocket]).toEqual([400, null]);
});

test("an upgrade for an agent's address by another method than GET is no WebSocket", async () => {
  const response = await fetchWorker(`/agents/counter/${fresh()}`, { method: "POST", body: "x" });
  expect(response.webSocket).toBeNull();
});
