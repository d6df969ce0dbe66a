import { expect, inject, test, vi } from "vitest";
import { connect, journal, serveFixtures, url } from "../support/node";
import { checksum, fresh, greeting, pattern, state } from "../support/peer";
import { RawSocket } from "../support/raw-socket";

serveFixtures();

const closes = async (name: string) => (await journal("counter", name)).filter((line) => line.startsWith("close "));

const untilClosed = (name: string) => vi.waitFor(async () => expect(await closes(name)).toHaveLength(1), { timeout: 15_000 });

test("C38: a plain WebSocket is greeted", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}`);
  expect(await peer.settledJson()).toEqual(greeting(name));
});

test("C6, C28: a refused upgrade is an HTTP answer", async () => {
  const unknown = await RawSocket.dial(url("/agents/nope/a"));
  expect(unknown.answer).toMatch(/^HTTP\/1\.1 400 /);
  const refused = await RawSocket.dial(url(`/hooks/counter/${fresh()}?refuse`));
  expect(refused.answer).toMatch(/^HTTP\/1\.1 401 /);
});

test("C25, C32: an upgrade with a capital W is one, and has no CORS headers", async () => {
  const raw = await RawSocket.dial(url(`/cors/counter/${fresh()}`), { Upgrade: "WebSocket" });
  expect(raw.answer).toMatch(/^HTTP\/1\.1 101 /);
  expect(raw.answer).not.toMatch(/access-control/i);
  raw.cut();
});

test("C95: a wire that is cut is 1006 for the close hook, and no clean end", async () => {
  const name = fresh();
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a&remember=early`));
  const other = await connect(`/agents/counter/${name}?suppressed&_pk=b`);
  raw.cut();
  await untilClosed(name);
  expect((await closes(name))[0]).toMatch(/^close a: 1006 ".*" clean false state "early"$/);
  expect(await other.next()).toBe("a left, 1 open");
});

test("C98: a close frame without a code is 1005 for the close hook, and is answered", async () => {
  const name = fresh();
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a`));
  raw.close();
  await raw.ended;
  expect(raw.closeCode).toBe(1005);
  expect(await closes(name)).toEqual(['close a: 1005 "" clean true state null']);
});

test("C54: a connection that fails before its socket is accepted ends at once", async () => {
  const peer = await connect(`/agents/faulty/${fresh()}?tags=error`);
  expect(await peer.next()).toBe('{"error":"Internal error during connection setup"}');
  // A socket that hibernates ends ten seconds after its close frame.
  expect(await peer.closed(5_000)).toMatchObject({ code: 1011, reason: "Uncaught exception during session setup" });
});

test.for([1000, 1001, 1011, 3000, 4999])("C92, C93: a close frame with %i is answered the same", async (code) => {
  const name = fresh();
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a`));
  raw.close(code, "bye");
  await raw.ended;
  expect(raw.closeCode).toBe(code);
  expect(await closes(name)).toEqual([`close a: ${code} "bye" clean true state null`]);
});

test.for([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])(
  "C94: a close frame with %i, which must not be sent, ends that connection alone",
  async (code) => {
    const name = fresh();
    const other = await connect(`/agents/counter/${name}?suppressed&_pk=b`);
    const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a`));
    raw.close(code, "");
    await untilClosed(name);
    raw.cut();
    expect(await other.next()).toBe("a left, 1 open");
    expect(await other.ask({ do: "list" })).toEqual(["b"]);
  },
);

test("text that is no UTF-8 ends that connection alone", async () => {
  const name = fresh();
  const other = await connect(`/agents/counter/${name}?suppressed&_pk=b`);
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a`));
  raw.text(Buffer.from([0xed, 0xa0, 0x80]));
  raw.close(1000, "");
  await untilClosed(name);
  raw.cut();
  expect(await other.next()).toBe("a left, 1 open");
  expect(await other.ask({ do: "count" })).toMatchObject({ open: 1 });
});

test("a frame that breaks the protocol ends that connection alone", async () => {
  const name = fresh();
  const other = await connect(`/agents/counter/${name}?suppressed&_pk=b`);
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a`));
  raw.frame(0x3, Buffer.from("reserved"));
  await untilClosed(name);
  raw.cut();
  expect(await other.next()).toBe("a left, 1 open");
});

test("C90: a text of 1 MiB and 31 MiB of bytes come through", { timeout: 30_000 }, async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a`);
  const text = "ü".repeat(524_288);
  peer.send({ do: "echo", text });
  expect((await peer.next()) === text).toBe(true);
  const bytes = pattern(31 * 1_048_576);
  peer.send(bytes);
  expect(await peer.ask({ do: "count" }, 20_000)).toMatchObject({ open: 1 });
  expect(await journal("counter", name)).toContain(`message a: ${bytes.length} bytes, checksum ${checksum(bytes)}`);
});

test("C91: a message above 32 MiB ends that connection alone", { timeout: 30_000 }, async () => {
  const name = fresh();
  const [peer, other] = [
    await connect(`/agents/counter/${name}?suppressed&_pk=a`),
    await connect(`/agents/counter/${name}?suppressed&_pk=b`),
  ];
  peer.send(new Uint8Array(33_554_433));
  expect(await other.next(20_000)).toBe("a left, 1 open");
  expect(await other.ask({ do: "list" })).toEqual(["b"]);
  expect((await journal("counter", name)).slice(-2)).toEqual([
    expect.stringMatching(/^connection error a: .* 1009; .* 33554433 > 33554432$/),
    expect.stringMatching(/^close a: 1006 .* clean false state null$/),
  ]);
});

test("C114: 20 clients and 1,000 updates over real sockets", { timeout: 30_000 }, async () => {
  const name = fresh();
  const peers = await Promise.all(Array.from({ length: 20 }, (_, n) => connect(`/agents/counter/${name}?_pk=c${n}`)));
  for (const peer of peers) await peer.settle();
  for (let n = 0; n < 1_000; n += 1) peers[n % 20]?.send({ type: "rpc", id: `${n}`, method: "increment", args: [] });
  for (const peer of peers) {
    let last: unknown;
    while (JSON.stringify(last) !== '{"count":1000}') {
      const frame = await peer.json<{ type: string; state?: unknown }>();
      if (frame.type === "cf_agent_state") last = frame.state;
    }
  }
});

test("C13: a large body arrives whole", async () => {
  const body = pattern(1_000_000);
  const response = await fetch(url(`/agents/counter/${fresh()}`), { method: "POST", body });
  const seen = (await response.json()) as { body: number[] };
  expect(checksum(Uint8Array.from(seen.body))).toBe(checksum(body));
});

test("C19: an answer to a failed request says nothing of why", async () => {
  for (const kind of inject("panic") === "unwind" ? ["error", "panic"] : ["error"]) {
    const response = await fetch(url(`/agents/faulty/${fresh()}?request=${kind}`));
    expect([response.status, await response.text()]).toEqual([500, "Internal Server Error"]);
  }
});

test("C36: a client cannot pass props, nor claim to come from a parent", async () => {
  const name = fresh();
  const response = await fetch(url(`/agents/starter/${name}`), {
    headers: {
      "X-Agents-Lifecycle-Props": btoa('{"admin":true}'),
      "X-Cf-Agents-Subagent-Url": "http://example.com/",
      "x-partykit-props": "{}",
    },
  });
  expect(await response.json()).toEqual({ internal: [] });
  expect((await journal("starter", name))[0]).toBe("start begins, props null");
});

test("C49: messages that follow the handshake at once wait for the connect hook", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?_pk=a&wait=500`);
  for (let n = 0; n < 25; n += 1) peer.send(`message ${n}`);
  await peer.settle();
  const lines = await journal("counter", name);
  expect(lines.slice(0, 2)).toEqual(["connect a begins", "connect a ends"]);
  expect(lines.slice(2)).toEqual(Array.from({ length: 25 }, (_, n) => `message a: text "message ${n}"`));
});

test("C49: so do those that come before the answer to the handshake", async () => {
  const name = fresh();
  const raw = await RawSocket.dial(url(`/agents/counter/${name}?_pk=a&wait=300`), {}, "at once");
  await vi.waitFor(async () => expect(await journal("counter", name)).toHaveLength(3));
  expect(await journal("counter", name)).toEqual(["connect a begins", "connect a ends", 'message a: text "at once"']);
  raw.cut();
});

test("C99: a state of one plain socket reaches the others", async () => {
  const name = fresh();
  const [a, b] = [await connect(`/agents/counter/${name}`), await connect(`/agents/counter/${name}`)];
  await a.settle();
  await b.settle();
  a.send(state({ count: 5 }));
  expect(await b.json()).toEqual(state({ count: 5 }));
  expect(await a.settle()).toEqual([]);
});
