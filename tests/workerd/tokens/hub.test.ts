/** HubAgent with real keys. Runs once for each algorithm that can be configured. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, inject, test } from "vitest";
import { fresh, type Peer } from "../../support/peer";
import { SECRET, token, unsignedToken } from "../../support/tokens";
import { connect, fetchWorker } from "../../support/workerd";

type Json = Record<string, unknown>;

const alg = inject("algorithm");
const { HubAgent } = env as unknown as { HubAgent: DurableObjectNamespace };

const KEY = { HS256: { secret: SECRET }, RS256: "rsa", ES256: "ec" } as const;

const tokenOf = (sub: string, scope = "") => {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  return token(KEY[alg], { alg }, { sub, scope, iss: "issuer", aud: "agents", exp });
};

/** The next frame, without its timestamp. */
const next = async (peer: Peer): Promise<Json> => {
  const { timestamp, ...frame } = await peer.json<Json>();
  expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  return frame;
};

const presence = (userId: string, status: string) => ({ type: "user_presence", data: { userId, status } });

async function publish(name: string, path: string, body: object, bearer?: string): Promise<[number, Json]> {
  const response = await fetchWorker(`/agents/hub-agent/${name}/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${bearer ?? (await tokenOf("service", "hub:publish"))}` },
    body: JSON.stringify(body),
  });
  return [response.status, await response.json()];
}

const join = async (name: string, user: string, query = "") =>
  connect(`/agents/hub-agent/${name}?token=${await tokenOf(user)}${query}`);

const evict = (name: string) => evictDurableObject(HubAgent.getByName(name));

test("users see each other, what agents do and what is for them, over evictions", async () => {
  const name = fresh();
  const ada = await join(name, "ada", "&conversation=c1");
  expect(await next(ada)).toEqual({ type: "auth", data: { success: true, userId: "ada" } });
  expect(await next(ada)).toEqual(presence("ada", "online"));
  const status = { agentName: "builder", state: "working", progress: 50 };
  expect(await publish(name, "agent-status", status)).toEqual([200, { delivered: 1 }]);
  expect(await next(ada)).toEqual({ type: "agent_status", data: status });
  await evict(name);

  const bob = await join(name, "bob");
  expect([await next(bob), await next(bob), await next(bob), await next(bob)]).toEqual([
    { type: "auth", data: { success: true, userId: "bob" } },
    { type: "agent_status", data: status },
    presence("ada", "online"),
    presence("bob", "online"),
  ]);
  expect(await next(ada)).toEqual(presence("bob", "online"));
  await evict(name);

  const message = { conversationId: "c1", messageId: "m1", content: "Grüße 🦀", sender: "builder", timestamp: "now" };
  expect(await publish(name, "chat-message", message)).toEqual([200, { delivered: 1 }]);
  expect(await next(ada)).toEqual({ type: "chat_message", data: message });
  bob.send({ type: "subscribe", data: { conversationId: "c1" } });
  expect(await next(bob)).toEqual({ type: "subscribed", data: { conversationId: "c1" } });
  await evict(name);
  expect(await publish(name, "chat-message", message)).toEqual([200, { delivered: 2 }]);
  for (const peer of [ada, bob]) expect(await next(peer)).toEqual({ type: "chat_message", data: message });

  bob.send({ type: "user_presence", data: "away" });
  for (const peer of [ada, bob]) expect(await next(peer)).toEqual(presence("bob", "away"));
  const notification = { level: "warning", message: "for bob" };
  expect(await publish(name, "notification", { ...notification, user: "bob" })).toEqual([200, { delivered: 1 }]);
  expect(await next(bob)).toEqual({ type: "notification", data: notification });
  expect(await publish(name, "notification", { ...notification, user: "eve" })).toEqual([200, { delivered: 0 }]);
});

test("a forged token makes a guest, who gets what is public and may publish nothing", async () => {
  const name = fresh();
  const claims = { sub: "ada", scope: "hub:publish", iss: "issuer", aud: "agents", exp: 9_999_999_999 };
  for (const forged of [
    unsignedToken({ alg: "none" }, claims),
    unsignedToken({ alg }, claims),
    await token({ secret: "not the secret" }, { alg }, claims),
    await token(KEY[alg], { alg }, { ...claims, exp: 1 }),
    "dev:ada:hub:publish",
  ]) {
    const guest = await connect(`/agents/hub-agent/${name}?token=${forged}&conversation=c1`);
    expect(await next(guest)).toEqual({ type: "auth", data: { success: false } });
    expect((await publish(name, "notification", { level: "info", message: "m" }, forged))[0]).toBe(401);
    expect(await publish(name, "notification", { level: "info", message: "m", user: "ada" })).toEqual([200, { delivered: 0 }]);
    guest.send({ type: "subscribe", data: { conversationId: "c1" } });
    expect(await next(guest)).toEqual({ type: "error", data: { error: "Not authenticated" } });
    guest.close(1000);
  }
  expect((await publish(name, "notification", {}, await tokenOf("ada")))[0]).toBe(403);
});

test("limits are kept over an eviction, and the third strike closes with 1008", async () => {
  const name = fresh();
  const ada = await join(name, "ada");
  await next(ada);
  await next(ada);
  for (let n = 0; n < 60; n += 1) ada.send({ type: "ping" });
  const seen: unknown[] = [];
  for (let n = 0; n < 21; n += 1) seen.push((await next(ada)).type);
  expect(seen.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => "pong"));
  expect((await ada.closed()).code).toBe(1008);

  const bob = await join(name, "bob");
  for (let n = 0; n < 3; n += 1) await next(bob);
  for (const [last, error] of ["Invalid message format", "Invalid message format", "Invalid message format, closing"].entries()) {
    bob.send("what?");
    expect(await next(bob)).toEqual({ type: "error", data: { error } });
    if (last < 2) await evict(name);
  }
  expect(await bob.closed()).toMatchObject({ code: 1008, reason: "Invalid message format" });
});

test("the alarm pings whoever is connected, and the platform answers a plain ping", async () => {
  const name = fresh();
  const ada = await join(name, "ada");
  await next(ada);
  await next(ada);
  ada.send("ping");
  expect(await ada.next()).toBe("pong");
  const stub = HubAgent.getByName(name);
  await runInDurableObject(stub, (_, state) => {
    expect(state.storage.sql.exec("UPDATE cf_agents_schedules SET time = 0 RETURNING callback").toArray()).toEqual([
      { callback: "look" },
    ]);
  });
  await evict(name);
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  expect(await next(ada)).toEqual({ type: "ping" });
  const rows = await runInDurableObject(stub, (_, state) =>
    state.storage.sql.exec("SELECT callback, time > unixepoch() AS later FROM cf_agents_schedules").toArray(),
  );
  expect(rows).toEqual([{ callback: "look", later: 1 }]);
});

test("metrics count, as JSON and as Prometheus reads them", async () => {
  const name = fresh();
  const ada = await join(name, "ada");
  await next(ada);
  await next(ada);
  ada.send({ type: "ping" });
  await next(ada);
  await evict(name);
  const read = async (accept: string, scope = "hub:metrics") =>
    fetchWorker(`/agents/hub-agent/${name}/metrics`, {
      headers: { accept, authorization: `Bearer ${await tokenOf("ops", scope)}` },
    });
  const expected = { clients: 1, authenticatedClients: 1, users: 1, messagesIn: 1, messagesOut: 3, dropped: 0, rateLimited: 0 };
  expect(await (await read("*/*")).json()).toEqual(expected);
  const text = await (await read("text/plain;version=0.0.4")).text();
  expect(text.split("\n").filter((line) => !line.startsWith("#"))).toEqual([
    "agents_hub_clients 1",
    "agents_hub_authenticated_clients 1",
    "agents_hub_users 1",
    "agents_hub_messages_in 1",
    "agents_hub_messages_out 3",
    "agents_hub_dropped 0",
    "agents_hub_rate_limited 0",
    "",
  ]);
  expect((await read("*/*", "hub:publish")).status).toBe(403);
});
