import { expect, test } from "vitest";
import { fresh } from "../support/peer";
import { connect, evict, FAILURES, join, journal } from "../support/workerd";

const closes = async (name: string) => (await journal("counter", name)).filter((line) => line.startsWith("close "));

test.for([
  [4000, "bye"],
  [1000, ""],
  [1000, "done"],
  [3000, "Grüße"],
  [4999, "x".repeat(123)],
] as const)("C92, C93, C94: a client that closes with %i %j is answered the same, and the hook runs once", async ([code, reason]) => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.close(code, reason);
  expect(await peer.closed()).toEqual({ code, reason, wasClean: true });
  expect(await closes(name)).toEqual([`close a: ${code} ${JSON.stringify(reason)} clean true state null`]);
});

test("C98: a close without a code is 1005 for the hook", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.close();
  expect((await peer.closed()).code).toBe(1005);
  expect(await closes(name)).toEqual(['close a: 1005 "" clean true state null']);
});

test("C80, C97: the leaving connection is in no list and no broadcast, and its state can be read", async () => {
  const name = fresh();
  const leaving = await join(`/agents/counter/${name}?_pk=leaving`);
  const staying = await join(`/agents/counter/${name}?_pk=staying`);
  await leaving.ask({ do: "remember", state: { user: "u" } });
  leaving.close(4000, "bye");
  expect(await staying.next()).toBe("leaving left, 1 open");
  await leaving.closed();
  expect(await leaving.settle()).toEqual([]);
  expect(await closes(name)).toEqual(['close leaving: 4000 "bye" clean true state {"user":"u"}']);
});

test("C97: also when the close is what wakes the agent", async () => {
  const name = fresh();
  const leaving = await join(`/agents/counter/${name}?_pk=leaving`);
  const staying = await join(`/agents/counter/${name}?_pk=staying`);
  await leaving.ask({ do: "remember", state: 5 });
  await evict("counter", name);
  leaving.close(4000, "bye");
  expect(await leaving.closed()).toEqual({ code: 4000, reason: "bye", wasClean: true });
  expect(await staying.next()).toBe("leaving left, 1 open");
  expect(await closes(name)).toEqual(['close leaving: 4000 "bye" clean true state 5']);
});

test.for(FAILURES)("C96: a close hook that ends in %s completes the close all the same", async (kind) => {
  const name = fresh();
  const path = `/agents/faulty/${name}`;
  const stays = await join(`${path}?_pk=stays`);
  const peer = await join(`${path}?_pk=a&close=${kind}`);
  peer.close(4000, "bye");
  expect(await peer.closed()).toEqual({ code: 4000, reason: "bye", wasClean: true });
  stays.send("count");
  expect(await stays.next()).toBe("1");
  const lines = await journal("faulty", name);
  expect(lines.filter((line) => line === "close a 4000")).toHaveLength(1);
  expect(lines.filter((line) => line.startsWith("connection error a: "))).toHaveLength(1);
});

test.for([1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000, 4999])("C94: the agent closes with %i", async (code) => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.send({ do: "close", code, reason: "go" });
  expect(await peer.closed()).toMatchObject({ code, reason: "go" });
  const other = await join(`/agents/counter/${name}?suppressed&_pk=b`);
  expect(await other.ask({ do: "list" })).toEqual(["b"]);
  await expect.poll(() => closes(name)).toHaveLength(1);
});

test.for([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])("%i is no code to close with", async (code) => {
  const peer = await join(`/agents/counter/${fresh()}?suppressed&_pk=a`);
  const refused = await peer.ask<{ error: string }>({ do: "close", code, reason: "" });
  expect(refused.error).toMatch(new RegExp(`^close code ${code} may not be sent`));
  expect(await peer.ask({ do: "list" })).toEqual(["a"]);
});

test("a reason of 124 bytes is too long", async () => {
  const peer = await join(`/agents/counter/${fresh()}?suppressed`);
  const reason = "ü".repeat(62);
  expect(await peer.ask({ do: "close", code: 4000, reason })).toEqual({
    error: "close reason is 124 bytes long, limit is 123",
  });
});

test("what a client sends after the agent closed it is not heard", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.send({ do: "close", code: 4000, reason: "go" });
  peer.send("too late");
  await peer.closed();
  expect((await journal("counter", name)).filter((line) => line.startsWith("message"))).toEqual([]);
});
