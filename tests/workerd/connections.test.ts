import { expect, test } from "vitest";
import { fresh, pattern } from "../support/peer";
import { connect, evict, join, journal, order } from "../support/workerd";

interface Self {
  id: string;
  server: string;
  uri: string;
  tags: string[];
  state: unknown;
  readonly: boolean;
  protocol: boolean;
}

const whoami = { do: "whoami" };

test("C61, C74, C75: state, id, tags and URL survive hibernation", async () => {
  const name = fresh();
  const path = `/agents/counter/${name}?suppressed&_pk=a&tag=admin&tag=x&q=%20`;
  const peer = await connect(path);
  await peer.ask({ do: "remember", state: { user: "ü" } });
  const before = await peer.ask<Self>(whoami);
  expect(before).toEqual({
    id: "a",
    server: name,
    uri: `https://example.com${path}`,
    tags: ["a", "admin", "x"],
    state: { user: "ü" },
    readonly: false,
    protocol: false,
  });
  await evict("counter", name);
  expect(await peer.ask<Self>(whoami)).toEqual(before);
  expect(await peer.ask({ do: "list", tag: "admin" })).toEqual(["a"]);
});

test("C62, C63: a functional update sees the previous value, a plain one replaces it", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed`);
  expect(await peer.ask({ do: "remember-more", value: 1 })).toEqual([null, 1]);
  expect(await peer.ask({ do: "remember-more", value: 2 })).toEqual([[null, 1], 2]);
  await peer.ask({ do: "remember", state: { a: 1 } });
  await peer.ask({ do: "remember", state: { b: 2 } });
  expect((await peer.ask<Self>(whoami)).state).toEqual({ b: 2 });
});

test.for([{ a: 1 }, 5, "text", null, [1, 2]])("C64, C65: readonly and the state %j do not disturb each other", async (value) => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&readonly`);
  expect(await peer.ask<Self>(whoami)).toMatchObject({ state: null, readonly: true });
  await peer.ask({ do: "remember", state: value });
  expect(await peer.ask<Self>(whoami)).toMatchObject({ state: value, readonly: true, protocol: false });
  await evict("counter", name);
  expect(await peer.ask<Self>(whoami)).toMatchObject({ state: value, readonly: true, protocol: false });
});

test("C66: state set while the tags are decided is there in the connect hook and after", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed&remember=early`);
  expect((await peer.ask<Self>(whoami)).state).toBe("early");
});

test("C67, C68, C71, C72: lists by tag and by id", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a&tag=admin&tag=a&tag=twice&tag=twice`);
  await connect(`/agents/counter/${name}?suppressed&_pk=b`);
  expect((await peer.ask<Self>(whoami)).tags).toEqual(["a", "admin", "twice", "twice"]);
  for (const [tag, ids] of [
    ["admin", ["a"]],
    ["other", []],
    ["a", ["a"]],
    ["twice", ["a"]],
    ["b", ["b"]],
  ] as const)
    expect([tag, await peer.ask({ do: "list", tag })]).toEqual([tag, ids]);
  expect(await peer.ask({ do: "list" })).toEqual(["a", "b"]);
  expect(await peer.ask({ do: "lookup", id: "b" })).toContain("_pk=b");
  expect(await peer.ask({ do: "lookup", id: "nobody" })).toBeNull();
});

const tags = (...own: string[]) => own.map((tag) => `&tag=${encodeURIComponent(tag)}`).join("");

const nine = Array.from({ length: 9 }, (_, n) => `t${n}`);

test.for([
  ["nine", tags(...nine)],
  ["nine and the id", tags(...nine, "a")],
  ["256 characters", tags("x".repeat(256))],
  ["256 bytes", tags("ü".repeat(128))],
] as const)("C69, C70, C71: %s is not too much", async ([, query]) => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed&_pk=a${query}`);
  expect((await peer.ask<Self>(whoami)).id).toBe("a");
});

const LIMIT = "A connection can only have 10 tags, including the default id tag. It has 11.";
const LENGTH = "A connection tag must not exceed 256 characters.";

test.for([
  ["ten tags", `_pk=a${tags(...nine, "t9")}`, LIMIT],
  ["257 characters", `_pk=a${tags("x".repeat(257))}`, `${LENGTH} Tag 1 has 257 bytes.`],
  ["an id of 257 characters", `_pk=${"x".repeat(257)}`, `${LENGTH} Tag 0 has 257 bytes.`],
  ["an empty tag", `_pk=a${tags("ok", "")}`, "A connection tag must not be an empty string. Tag 2 is."],
] as const)("C69, C70: %s fails the connect, says why, and leaves nothing behind", async ([, query, error]) => {
  const name = fresh();
  const stays = await connect(`/agents/counter/${name}?suppressed&_pk=stays`);
  const peer = await connect(`/agents/counter/${name}?${query}`);
  expect(await peer.settle()).toEqual([JSON.stringify({ error })]);
  expect(await peer.closed()).toMatchObject({ code: 1011, reason: "Uncaught exception during session setup" });
  expect(await stays.ask({ do: "list" })).toEqual(["stays"]);
  const lines = await journal("counter", name);
  expect(lines.filter((line) => !line.startsWith("connect stays"))).toEqual([expect.stringMatching(/^connection error /)]);
});

test("C73: two sockets with one id both work, and the newest is found", async () => {
  const name = fresh();
  const old = await connect(`/agents/counter/${name}?suppressed&_pk=same&n=1`);
  const young = await connect(`/agents/counter/${name}?suppressed&_pk=same&n=2`);
  old.send({ do: "broadcast", text: "both" });
  expect([await old.next(), await young.next()]).toEqual(["both", "both"]);
  expect(await old.ask({ do: "list" })).toEqual(["same", "same"]);
  expect(await old.ask({ do: "lookup", id: "same" })).toContain("n=2");
  await evict("counter", name);
  expect(await old.ask({ do: "lookup", id: "same" })).toContain("n=2");
});

test("C73: a state change of one twin reaches the other", async () => {
  const name = fresh();
  const old = await join(`/agents/counter/${name}?_pk=same`);
  const young = await join(`/agents/counter/${name}?_pk=same`);
  old.send({ type: "cf_agent_state", state: 1 });
  expect(await old.settle()).toEqual([]);
  expect(await young.settledJson()).toEqual([{ type: "cf_agent_state", state: 1 }]);
});

test("C76: a connection knows its agent's name", async () => {
  const name = fresh("a%20b");
  const peer = await connect(`/agents/counter/${name}?suppressed`);
  expect((await peer.ask<Self>(whoami)).server).toBe(name);
});

test("C77: too large a connection state is an error with both numbers, and changes nothing", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a`);
  await peer.ask({ do: "remember", state: "before" });
  const refused = await peer.ask<{ error: string }>({ do: "fill-connection", bytes: 16_384 });
  expect(refused.error).toMatch(/^connection needs \d+ bytes of attachment, limit is \d+$/);
  expect((await peer.ask<Self>(whoami)).state).toBe("before");
  await evict("counter", name);
  expect((await peer.ask<Self>(whoami)).state).toBe("before");
});

test("C77: what the limit allows is stored, to the last byte", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a`);
  const refused = await peer.ask<{ error: string }>({ do: "fill-connection", bytes: 16_384 });
  const [needed, limit] = (refused.error.match(/\d+/g) ?? []).map(Number) as [number, number];
  const fits = 16_384 - (needed - limit);
  expect(await peer.ask({ do: "fill-connection", bytes: fits })).toBe("remembered");
  await evict("counter", name);
  expect((await peer.ask<Self>(whoami)).state).toHaveLength(fits - 2);
  expect(await peer.ask({ do: "fill-connection", bytes: fits + 1 })).toMatchObject({
    error: `connection needs ${limit + 1} bytes of attachment, limit is ${limit}`,
  });
});

test("an address that leaves no room for a connection fails the connect, and leaves nothing behind", async () => {
  const name = fresh();
  const stays = await connect(`/agents/counter/${name}?suppressed&_pk=stays`);
  const peer = await connect(`/agents/counter/${name}?${"q".repeat(16_384)}`);
  expect(await peer.settle()).toEqual(['{"error":"Internal error during connection setup"}']);
  expect((await peer.closed()).code).toBe(1011);
  expect(await stays.ask({ do: "list" })).toEqual(["stays"]);
});

test("C78: a broadcast reaches everyone but those excluded", async () => {
  const name = fresh();
  const path = `/agents/counter/${name}`;
  const peers = {
    a: await join(`${path}?_pk=a`),
    b: await join(`${path}?_pk=b&readonly`),
    c: await join(`${path}?_pk=c&suppressed`),
  };
  const heard = async () =>
    Object.fromEntries(await Promise.all(Object.entries(peers).map(async ([id, peer]) => [id, await peer.settle()])));
  peers.a.send({ do: "broadcast", text: "all" });
  await peers.a.next();
  expect(await heard()).toEqual({ a: [], b: ["all"], c: ["all"] });
  peers.a.send({ do: "broadcast", text: "some", without: ["a", "c", "nobody"] });
  expect(await heard()).toEqual({ a: [], b: ["some"], c: [] });
});

test("C79: a binary broadcast arrives as binary", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed`);
  peer.send({ do: "broadcast", bytes: [0, 255, 128] });
  expect(await peer.next()).toEqual(Uint8Array.from([0, 255, 128]));
  peer.send({ do: "broadcast", bytes: [] });
  expect(await peer.next()).toEqual(new Uint8Array());
  peer.send({ do: "bytes", count: 100_000 });
  expect(await peer.next()).toEqual(pattern(100_000));
});

test("C81: a socket that is closing keeps nobody from a broadcast, and sending to it is an error", async () => {
  const name = fresh();
  const path = `/agents/counter/${name}?suppressed`;
  const [a, b, c] = [await connect(`${path}&_pk=a`), await connect(`${path}&_pk=b`), await connect(`${path}&_pk=c`)];
  a.send({ do: "close", id: "b", code: 4000, reason: "out" });
  expect(await b.closed()).toMatchObject({ code: 4000, reason: "out" });
  for (const peer of [a, c]) expect(await peer.next()).toBe("b left, 2 open");
  a.send({ do: "broadcast", text: "still here" });
  for (const peer of [a, c]) expect(await peer.settle()).toEqual(["still here"]);
  expect(await journal("counter", name)).toContain("sent after close: connection is closed");
  expect(await a.ask({ do: "send-to", id: "b", text: "hello?" })).toEqual({ error: "no connection b" });
});

test("messages to one connection, and from a request", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a`);
  await order("counter", name, { do: "send-to", id: "a", text: "from HTTP" });
  expect(await peer.next()).toBe("from HTTP");
});
