/** The hub over real sockets, as a browser's own WebSocket and a service's fetch see it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../support/node";
import { fresh, type Peer } from "../support/peer";
import { startDevServer, type DevServer } from "./dev-server.mjs";

type Json = Record<string, unknown>;

let server: DevServer;

beforeAll(async () => {
  server = await startDevServer({ vars: { DEV_TOKENS: "true" } });
});
afterAll(() => server.stop());

const join = (name: string, query = "") => connect(`/agents/hub-agent/${name}${query}`, server.url);

/** The next frame, without its timestamp. */
const next = async (peer: Peer, patienceMs?: number): Promise<Json> => {
  const { timestamp, ...frame } = await peer.json<Json>(patienceMs);
  expect(new Date(timestamp as string).toISOString()).toBe(timestamp);
  return frame;
};

const send = (name: string, path: string, body: string, token: string, method = "POST") =>
  fetch(new URL(`/agents/hub-agent/${name}/${path}`, server.url), {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(method === "GET" ? {} : { body }),
  });

const publish = async (name: string, path: string, body: object) =>
  (await send(name, path, JSON.stringify(body), "dev:service:hub:publish")).json();

const presence = (userId: string, status: string) => ({ type: "user_presence", data: { userId, status } });

test("two users and a guest: who gets what", async () => {
  const name = fresh();
  const ada = await join(name, "?token=dev:ada&conversation=c1");
  expect([await next(ada), await next(ada)]).toEqual([
    { type: "auth", data: { success: true, userId: "ada" } },
    presence("ada", "online"),
  ]);
  const bob = await join(name, "?token=dev:bob");
  expect([await next(bob), await next(bob), await next(bob)]).toEqual([
    { type: "auth", data: { success: true, userId: "bob" } },
    presence("ada", "online"),
    presence("bob", "online"),
  ]);
  expect(await next(ada)).toEqual(presence("bob", "online"));
  const guest = await join(name, "?token=dev:&conversation=c1");
  expect(await next(guest)).toEqual({ type: "auth", data: { success: false } });

  const status = { agentName: "builder", state: "idle" };
  expect(await publish(name, "agent-status", status)).toEqual({ delivered: 2 });
  const message = { conversationId: "c1", messageId: "m1", content: "hello", sender: "builder" };
  expect(await publish(name, "chat-message", message)).toEqual({ delivered: 1 });
  expect(await publish(name, "notification", { level: "info", message: "for bob", user: "bob" })).toEqual({ delivered: 1 });
  expect(await publish(name, "notification", { level: "success", message: "for all" })).toEqual({ delivered: 3 });

  const forAll = { type: "notification", data: { level: "success", message: "for all" } };
  expect([await next(ada), await next(ada), await next(ada)]).toEqual([
    { type: "agent_status", data: status },
    { type: "chat_message", data: { ...message, timestamp: expect.stringMatching(/Z$/) as string } },
    forAll,
  ]);
  expect([await next(bob), await next(bob), await next(bob)]).toEqual([
    { type: "agent_status", data: status },
    { type: "notification", data: { level: "info", message: "for bob" } },
    forAll,
  ]);
  expect(await next(guest)).toEqual(forAll);
  guest.send({ type: "ping" });
  expect(await next(guest)).toEqual({ type: "pong" });
});

test("a user is offline some seconds after the last socket has closed", { timeout: 30_000 }, async () => {
  const name = fresh();
  const ada = await join(name, "?token=dev:ada");
  const [phone, laptop] = [await join(name, "?token=dev:bob"), await join(name, "?token=dev:bob")];
  for (let n = 0; n < 2; n += 1) await next(ada);
  expect(await next(ada)).toEqual(presence("bob", "online"));
  phone.close(1000);
  laptop.close(1000);
  const since = Date.now();
  expect(await next(ada, 20_000)).toEqual(presence("bob", "offline"));
  expect(Date.now() - since).toBeGreaterThan(4_500);
});

test("a flood ends with 1008 and is counted", async () => {
  const name = fresh();
  const ada = await join(name, "?token=dev:ada");
  for (let n = 0; n < 2; n += 1) await next(ada);
  for (let n = 0; n < 100; n += 1) ada.send({ type: "ping" });
  expect(await ada.closed()).toMatchObject({ code: 1008, reason: "Too many messages" });
  const metrics = (await (await send(name, "metrics", "", "dev:ops:hub:metrics", "GET")).json()) as Json;
  expect(metrics).toMatchObject({ clients: 0, dropped: 3, rateLimited: 3 });
  expect(metrics.messagesIn).toBeGreaterThanOrEqual(23);
});

test("services are told what is wrong", async () => {
  const name = fresh();
  for (const [path, body, token, status] of [
    ["notification", "{}", "", 401],
    ["notification", "{}", "dev:ada", 403],
    ["notification", `{"level":"loud","message":"m"}`, "dev:s:hub:publish", 400],
    ["metrics", "", "dev:s:hub:metrics", 405],
  ] as const)
    expect((await send(name, path, body, token)).status, `${path} ${token}`).toBe(status);
  const answer = await send(name, "notification", `{"level":"loud","message":"m"}`, "dev:s:hub:publish");
  expect(await answer.json()).toEqual({ error: "level: one of info, success, warning, error", field: "level" });
});
