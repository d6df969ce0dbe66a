import { expect, test, vi } from "vitest";
import { agentClient, next, record } from "../support/agent-client";
import { journal, serveFixtures } from "../support/node";
import { fresh } from "../support/peer";

serveFixtures();

const desk = (name = fresh(), query = {}) => agentClient({ agent: "Desk", name, query });

/** Streams a method, and tells what the callbacks were told, in order. */
async function stream(client: ReturnType<typeof desk>, method: string, ...args: unknown[]): Promise<unknown[]> {
  const told: unknown[] = [];
  const result = client.call(method, args, {
    stream: {
      onChunk: (chunk) => told.push(["chunk", chunk]),
      onDone: (value) => told.push(["done", value]),
      onError: (error) => told.push(["error", error]),
    },
  });
  await result.then(
    (value) => told.push(["resolved", value]),
    (error: Error) => told.push(["rejected", error.message]),
  );
  return told;
}

test("C115, C116, C117: values, nothing and null", async () => {
  const client = desk();
  expect(await client.call("add", [2, 3])).toBe(5);
  expect(await client.call("nothing")).toBeUndefined();
  expect(await client.call("null")).toBeNull();
});

test("C118, C119, C120, C133: what goes wrong rejects with the agent's words", async () => {
  const client = desk();
  await expect(client.call("nope")).rejects.toThrow("Method nope does not exist");
  await expect(client.call("setState", [{}])).rejects.toThrow("Method setState is not callable");
  await expect(client.call("helper")).rejects.toThrow("Method helper is not callable");
  await expect(client.call("unwritable")).rejects.toThrow("key must be a string");
  await expect(client.call("add", [1])).rejects.toThrow("argument b is missing, expected i64");
  await expect(client.call("erase")).rejects.toThrow("Method erase requires scope admin");
  const counter = agentClient({ name: fresh() });
  await expect(counter.call("fail", ["no such room"])).rejects.toThrow("no such room");
});

test("C121: calls resolve as they are ready", async () => {
  const client = desk();
  const order: unknown[] = [];
  await Promise.all([50, 10].map(async (ms) => order.push(await client.call("wait", [ms]))));
  expect(order).toEqual([10, 50]);
});

test("C123: another client hears nothing of it", async () => {
  const name = fresh();
  const [client, other] = [desk(name), desk(name)];
  await other.call("nothing");
  const texts = record(other);
  await client.call("add", [1, 1]);
  await stream(client, "countTo", 2);
  await other.call("nothing");
  expect(texts).toHaveLength(1);
});

test("C124: a client that leaves before the reply breaks nothing", async () => {
  const name = fresh();
  const [client, other] = [desk(name), desk(name)];
  await client.call("nothing");
  const lost = client.call("wait", [200]);
  lost.catch(() => {});
  client.close();
  await expect(lost).rejects.toThrow();
  await expect.poll(() => journal("desk", name)).toEqual(["waited 200"]);
  expect(await other.call("add", [1, 1])).toBe(2);
});

test("C125: onChunk for each chunk, onDone for the end", async () => {
  const chunks = [0, 1, 2, 3, 4].map((chunk) => ["chunk", chunk]);
  expect(await stream(desk(), "countTo", 5)).toEqual([...chunks, ["done", 5], ["resolved", 5]]);
});

test("C126, C127: a stream that fails tells its chunks, then the error", async () => {
  const client = desk();
  const failed = await stream(client, "failAfterOne");
  expect(failed).toEqual([
    ["chunk", 1],
    ["error", "out of numbers"],
    ["rejected", "out of numbers"],
  ]);
  expect(await stream(client, "errorThenMore")).toEqual([
    ["error", "x"],
    ["rejected", "x"],
  ]);
});

test("C128: a stream without a final value, also one that was forgotten", async () => {
  const client = desk();
  const nothing = [
    ["done", undefined],
    ["resolved", undefined],
  ];
  expect(await stream(client, "finish")).toEqual(nothing);
  expect(await stream(client, "forget")).toEqual([["chunk", 1], ...nothing]);
});

test("C129: a plain call of a streaming method resolves with its final value", async () => {
  expect(await desk().call("countTo", [3])).toBe(3);
});

test("C130: calls work without protocol messages", async () => {
  const client = agentClient({ agent: "Counter", name: fresh(), query: { suppressed: "1" } });
  expect(await client.call("add", [2, 3])).toBe(5);
});

test("C131: the stub calls by name", async () => {
  const stub = desk().stub as Record<string, (...args: unknown[]) => Promise<unknown>>;
  expect(await stub.add?.(2, 3)).toBe(5);
  expect(await stub.countTo?.(2)).toBe(2);
  await expect(stub.nope?.()).rejects.toThrow("Method nope does not exist");
});

test("C132: a call before the socket is open is answered once", async () => {
  const client = desk();
  const texts = record(client);
  expect(client.readyState).not.toBe(WebSocket.OPEN);
  expect(await client.call("add", [2, 3])).toBe(5);
  await client.call("nothing");
  expect(texts.filter((text) => text.includes('"result":5'))).toHaveLength(1);
});

test("C134: 500 interleaved calls", { timeout: 20_000 }, async () => {
  const client = desk();
  const calls = Array.from({ length: 500 }, (_, n) => client.call("add", [n, n]));
  expect(await Promise.all(calls)).toEqual(Array.from({ length: 500 }, (_, n) => 2 * n));
});

test("a client that gives up waiting goes on calling", async () => {
  const client = desk();
  await expect(client.call("wait", [500], { timeout: 20 })).rejects.toThrow(/timed out/i);
  expect(await client.call("add", [1, 1])).toBe(2);
});

test("a stream whose client closes is over for the agent", async () => {
  const name = fresh();
  const client = desk(name);
  const onChunk = vi.fn();
  const endless = client.call("forever", [], { stream: { onChunk } });
  endless.catch(() => {});
  await vi.waitFor(() => expect(onChunk.mock.calls.length).toBeGreaterThan(2));
  const closed = next(client, "close");
  client.close();
  await closed;
  await expect.poll(() => journal("desk", name)).toEqual(["over"]);
});
