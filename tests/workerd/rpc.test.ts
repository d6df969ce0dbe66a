import { expect, test } from "vitest";
import { fresh, type Peer } from "../support/peer";
import { connect, evict, fetchWorker, join, journal, PANICS } from "../support/workerd";

type Reply = Record<string, unknown>;

const desk = (name = fresh(), query = "") => connect(`/agents/desk/${name}${query}`);

/** The frames of a call up to the last, as text. */
async function frames(peer: Peer, method: string, ...args: unknown[]): Promise<string[]> {
  peer.send({ type: "rpc", id: "7", method, args });
  const texts: string[] = [];
  for (;;) {
    const text = (await peer.next()) as string;
    texts.push(text);
    if ((JSON.parse(text) as Reply).done !== false) return texts;
  }
}

/** The one reply to a call. */
async function reply(peer: Peer, method: string, ...args: unknown[]): Promise<Reply> {
  const texts = await frames(peer, method, ...args);
  expect(texts).toHaveLength(1);
  return JSON.parse(texts[0] as string) as Reply;
}

const chunk = (result: unknown) => JSON.stringify({ done: false, id: "7", result, success: true, type: "rpc" });
const end = (result?: unknown) => JSON.stringify({ done: true, id: "7", result, success: true, type: "rpc" });
const failure = (error: string) => JSON.stringify({ error, id: "7", success: false, type: "rpc" });

test("C115, C116, C117: a value, nothing and null are replied to as such", async () => {
  const peer = await desk();
  expect(await frames(peer, "add", 2, 3)).toEqual([end(5)]);
  expect(await frames(peer, "nothing")).toEqual([end()]);
  expect(await frames(peer, "null")).toEqual([end(null)]);
});

test("C118, C119: what does not exist and what is not callable", async () => {
  const peer = await desk();
  for (const method of ["nope", "count_to", "toString", ""]) {
    expect(await frames(peer, method)).toEqual([failure(`Method ${method} does not exist`)]);
  }
  const framework = ["setState", "sql", "schedule", "scheduleEvery", "cancelSchedule", "getSchedules", "queue", "dequeue"];
  framework.push("broadcast", "destroy", "keepAlive", "onConnect", "onMessage", "onStart", "fetch", "alarm");
  for (const method of [...framework, "helper", "later"]) {
    expect(await frames(peer, method)).toEqual([failure(`Method ${method} is not callable`)]);
  }
});

test("wrong arguments are named with what was expected", async () => {
  const peer = await desk();
  expect(await frames(peer, "add", 2)).toEqual([failure("argument b is missing, expected i64")]);
  expect(await frames(peer, "add", 2, "3")).toEqual([failure('argument b: invalid type: string "3", expected i64')]);
  expect(await frames(peer, "add", 1, 2, 3)).toEqual([
    failure("too many arguments: add(a: i64, b: i64) takes 2, got 3"),
  ]);
});

test("C120, C133: failures and results that cannot be written are errors", async () => {
  expect(await frames(await desk(), "unwritable")).toEqual([failure("key must be a string")]);
  const counter = await join(`/agents/counter/${fresh()}`);
  expect(await frames(counter, "fail", "no such room")).toEqual([failure("no such room")]);
});

test("C121, C123: replies come as they are ready, to the caller alone", async () => {
  const name = fresh();
  const [peer, other] = [await desk(name), await desk(name)];
  peer.send({ type: "rpc", id: "slow", method: "wait", args: [50] });
  peer.send({ type: "rpc", id: "fast", method: "wait", args: [10] });
  expect([await peer.json<Reply>(), await peer.json<Reply>()]).toMatchObject([{ id: "fast" }, { id: "slow" }]);
  expect(await other.settle()).toEqual([]);
});

test("C122: extra keys in a request are ignored", async () => {
  const peer = await desk();
  peer.send({ extra: { a: 1 }, type: "rpc", id: "7", method: "add", args: [2, 3], stream: true });
  expect(await peer.next()).toBe(end(5));
});

test("C124: a caller that leaves before its reply breaks nothing", async () => {
  const name = fresh();
  const [peer, other] = [await desk(name, "?_pk=a"), await desk(name)];
  peer.send({ type: "rpc", id: "7", method: "wait", args: [100] });
  peer.close(1000);
  await peer.closed();
  const again = await desk(name, "?_pk=a");
  await expect.poll(() => journal("desk", name)).toEqual(["waited 100"]);
  expect(await again.settle()).toEqual([]);
  expect(await other.settle()).toEqual([]);
});

test("C125, C129: chunks in order, then the end with its value", async () => {
  const peer = await desk();
  expect(await frames(peer, "countTo", 5)).toEqual([0, 1, 2, 3, 4].map(chunk).concat(end(5)));
});

test("C126: a stream that fails after a chunk ends with the failure", async () => {
  const peer = await desk();
  expect(await frames(peer, "failAfterOne")).toEqual([chunk(1), failure("out of numbers")]);
  expect(await peer.settle()).toEqual([]);
});

test.runIf(PANICS)("C126: so does one that panics, without internals", async () => {
  const peer = await desk();
  expect(await frames(peer, "panicAfterOne")).toEqual([chunk(1), failure("Internal Server Error")]);
  expect(await frames(peer, "panic")).toEqual([failure("Internal Server Error")]);
  expect(await frames(peer, "add", 1, 1)).toEqual([end(2)]);
});

test("C127: after an error nothing is sent", async () => {
  const name = fresh();
  const peer = await desk(name);
  expect(await frames(peer, "errorThenMore")).toEqual([failure("x")]);
  expect(await peer.settle()).toEqual([]);
  expect(await journal("desk", name)).toEqual(Array(4).fill('late: Err("stream is closed")'));
});

test("C128: a stream that is finished, or forgotten, ends without a value", async () => {
  const peer = await desk();
  expect(await frames(peer, "finish")).toEqual([end()]);
  expect(await frames(peer, "forget")).toEqual([chunk(1), end()]);
});

test("a streaming method is dropped once its caller has left", async () => {
  const name = fresh();
  const peer = await desk(name);
  peer.send({ type: "rpc", id: "7", method: "forever", args: [] });
  expect([await peer.next(), await peer.next()]).toEqual([chunk(0), chunk(1)]);
  expect(await journal("desk", name)).toEqual([]);
  peer.close(1000);
  await expect.poll(() => journal("desk", name)).toEqual(["over"]);
});

test("C130: calls work with and without protocol messages", async () => {
  expect(await frames(await desk(), "add", 1, 1)).toEqual([end(2)]);
  expect(await frames(await join(`/agents/desk/${fresh()}?protocol`), "add", 1, 1)).toEqual([end(2)]);
});

test("a scope is asked for before anything runs", async () => {
  const name = fresh();
  expect(await frames(await desk(name), "erase")).toEqual([failure("Method erase requires scope admin")]);
  expect(await journal("desk", name)).toEqual([]);
  expect(await frames(await desk(name, "?admin"), "erase")).toEqual([end()]);
  expect(await journal("desk", name)).toEqual(["erased"]);
});

test("C134: 500 interleaved calls on one socket", async () => {
  const peer = await desk();
  for (let id = 0; id < 500; id += 1) {
    const [method, args] = id % 2 === 0 ? ["wait", [(id * 7919) % 101]] : ["countTo", [id % 5]];
    peer.send({ type: "rpc", id: `${id}`, method, args });
  }
  const last = new Map<string, number>();
  while (last.size < 500) {
    const { id, done, success } = await peer.json<{ id: string; done: boolean; success: boolean }>();
    expect(success).toBe(true);
    expect(last.has(id)).toBe(false);
    if (done) last.set(id, 1);
  }
  expect(await peer.settle()).toEqual([]);
});

test("methods are the same after an eviction", async () => {
  const name = fresh();
  const peer = await desk(name);
  const { result } = await reply(peer, "methods");
  expect(result).toContain("askCounter");
  await evict("desk", name);
  expect((await reply(peer, "methods")).result).toEqual(result);
});

test("an agent calls another by typed methods", { timeout: 20_000 }, async () => {
  const peer = await desk();
  const { result } = await reply(peer, "askCounter", fresh());
  expect(result).toEqual({
    add: 5,
    nothing: null,
    get: { count: 0 },
    fail: { Err: 'Method("no such room")' },
    late: true,
    hurried: { Err: "TimedOut(20ms)" },
    elsewhere: { Err: 'NotFound("NOWHERE")' },
  });
});

test.runIf(PANICS)("internals of a called agent stay in its log", async () => {
  const peer = await desk();
  expect(await frames(peer, "askForPanic", fresh())).toEqual([failure("Internal Server Error")]);
});

test("the worker calls an agent by typed methods", async () => {
  const response = await fetchWorker(`/call-by-name/${fresh()}`);
  expect(await response.json()).toEqual({
    add: { Ok: 5 },
    erase: { Ok: null },
    panic: { Err: PANICS ? "Internal" : expect.any(String) as string },
    hurried: { Err: "TimedOut(20ms)" },
    elsewhere: { Err: 'NotFound("NOWHERE")' },
  });
});

test("a call back to an agent that is still starting fails at once", async () => {
  const name = `dizzy-${fresh()}`;
  const started = Date.now();
  expect(await frames(await desk(name), "add", 1, 1)).toEqual([end(2)]);
  expect(Date.now() - started).toBeLessThan(10_000);
  const cycle = `Desk/${name} → Desk/friend → Desk/${name}`;
  expect(await journal("desk", name)).toEqual([`start: Ok("Err(Cycle(\\"${cycle}\\"))")`]);
});

test("a forged call from outside is an ordinary request", async () => {
  const init = { method: "POST", body: "[]", headers: { "x-agents-call": "method=erase&request=forged" } };
  const name = fresh();
  expect(await (await fetchWorker(`/agents/desk/${name}`, init)).json()).toEqual({ call: null });
  const reflected = (await (await fetchWorker(`/by-name/${name}`, init)).json()) as { headers: Record<string, string> };
  expect(reflected.headers).not.toHaveProperty("x-agents-call");
  expect(await journal("desk", name)).toEqual([]);
});
