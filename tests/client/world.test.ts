/** Worlds on the real runtime, with a real server that speaks the chat-completions API. */
import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { ChatCompletions, type Behaviour } from "../support/chat-completions";
import { connect } from "../support/node";
import type { Peer } from "../support/peer";
import { RawSocket } from "../support/raw-socket";
import { startDevServer, type DevServer } from "./dev-server.mjs";

interface Frame {
  id: string;
  type: string;
  timestamp: string;
  replyTo?: string;
  payload: Record<string, unknown>;
}

let api: ChatCompletions;
let server: DevServer;

beforeAll(async () => {
  api = await ChatCompletions.listen();
  server = await startDevServer({ vars: { ...api.vars, MODEL_TIMEOUT_S: "1" } });
});
afterAll(async () => {
  await server?.stop();
  await api?.close();
});
beforeEach(() => {
  api.exchanges.length = 0;
  api.behave = () => ({});
});

const newUser = () => crypto.randomUUID().replaceAll("-", "");
const at = (path: string) => new URL(path, server.url);
const join = (query = "") => connect(`/ws${query}`, server.url);

let asked = 0;

/** Sends a request, and returns its id. */
function send(peer: Peer, type: string, payload: object): string {
  const id = `r${++asked}`;
  peer.send({ id, type, timestamp: new Date().toISOString(), payload });
  return id;
}

/** Frames up to the one that answers that request. */
async function until(peer: Peer, replyTo: string): Promise<Frame[]> {
  const frames: Frame[] = [];
  for (;;) {
    const frame = await peer.json<Frame>();
    frames.push(frame);
    if (frame.replyTo === replyTo) return frames;
  }
}

async function ask(peer: Peer, type: string, payload: object): Promise<Frame> {
  const frames = await until(peer, send(peer, type, payload));
  return frames.at(-1) as Frame;
}

/** A connection of a user in a world of its own. */
async function inWorld(user = newUser(), worldName = "w"): Promise<Peer> {
  const peer = await join(`?user=${user}`);
  await peer.json();
  await ask(peer, "world_select", { worldName });
  return peer;
}

function chat(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(at(path), { method: "POST", body: JSON.stringify(body), ...(signal ? { signal } : {}) });
}

/** The events of a text, as name and data. */
const events = (text: string) =>
  text
    .split("\n\n")
    .filter(Boolean)
    .map((event) => /^event: (.*)\ndata: (.*)$/.exec(event) ?? [])
    .map(([, name, data]) => [name, JSON.parse(data as string)] as [string, Record<string, unknown>]);

/** A request whose path nobody has tidied up. */
const raw = (path: string, method = "GET") =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request({ host: server.url.hostname, port: server.url.port, path, method }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on("error", reject).end();
  });

/** Looks at the wire itself: Node's WebSocket tells of a close only once the server has let go of the connection. */
async function shownOut(path: string): Promise<void> {
  const peer = await connect(path, server.url);
  expect(await peer.json()).toMatchObject({ type: "error", payload: { code: "invalid_user" } });
  const raw = await RawSocket.dial(at(path));
  onTestFinished(() => raw.cut());
  await expect.poll(() => raw.closeCode).toBe(4400);
}

test("a newcomer gets a user id, and comes back to its worlds with it", async () => {
  const first = await join();
  const { payload } = await first.json<Frame>();
  const userId = payload.userId as string;
  expect(userId).toMatch(/^[0-9a-f]{32}$/);
  expect(payload.worlds).toEqual([]);
  await ask(first, "world_select", { worldName: "mine", persistent: true });
  const mine = [{ name: "mine", templateName: "default-world", persistent: true, agentCount: 2 }];
  for (const path of [`/ws?user=${userId}`, `/agents/world-agent/${userId}`]) {
    const again = await connect(path, server.url);
    expect((await again.json<Frame>()).payload).toMatchObject({ userId, worlds: mine });
  }
  const other = await join();
  const stranger = (await other.json<Frame>()).payload;
  expect(stranger.worlds).toEqual([]);
  expect(stranger.userId).not.toBe(userId);
});

test("protocol frames come first, for who asks for them", async () => {
  const peer = await join(`?user=${newUser()}&protocol=true`);
  const types = [await peer.json<Frame>(), await peer.json<Frame>(), await peer.json<Frame>()].map(({ type }) => type);
  expect(types).toEqual(["cf_agent_identity", "cf_agent_mcp_servers", "status"]);
});

test("what is no user id is shown out", async () => {
  for (const user of ["", "lobby", "..", "..%2F", "%00", "0".repeat(31), "0".repeat(33)]) {
    await shownOut(`/ws?user=${user}`);
    for (const path of ["/health", "/worlds", "/worlds/default-world/agents"]) {
      const response = await fetch(at(`${path}?user=${user}`));
      expect([response.status, await response.json()]).toMatchObject([400, { code: "invalid_user" }]);
    }
  }
  await shownOut("/agents/world-agent/lobby");
  await shownOut(`/agents/world-agent/${newUser()}?user=${newUser()}`);
});

test("the worker answers what needs no user by itself", async () => {
  const health = await (await fetch(at("/health"))).json();
  expect(health).toEqual({ status: "ok", scope: "worker", timestamp: expect.any(String), templates: 2 });
  const worlds = (await (await fetch(at("/worlds"))).json()) as { name: string; agentCount: number }[];
  expect(worlds.map(({ name, agentCount }) => [name, agentCount])).toEqual([
    ["default-world", 2],
    ["story-world", 3],
  ]);
  const agents = (await (await fetch(at("/worlds/story-world/agents"))).json()) as object[];
  expect(agents[0]).toMatchObject({ id: "narrator", name: "Narrator", model: "default", status: "active" });
  expect((await fetch(at("/worlds/nowhere/agents"))).status).toBe(404);
  const wrong = await fetch(at("/worlds"), { method: "POST" });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  expect((await fetch(at("/ws"))).status).toBe(426);
  expect((await fetch(at("/health"), { method: "HEAD" })).status).toBe(200);
  expect((await fetch(at("/ws/more"))).status).toBe(404);
  expect(await (await fetch(at("/agents/world-agent"))).text()).toBe("Not found");
});

test("an answer streams over the socket as it is made", async () => {
  api.behave = () => ({ pieces: ["One ", "two."], pauseMs: 20 });
  const peer = await inWorld();
  await ask(peer, "event_subscribe", { events: ["chunk", "agent_status"] });
  const frames = await until(peer, send(peer, "chat_send", { content: "@helper count", sender: "ada" }));
  expect(frames.map(({ type, payload }) => [type, payload.data ?? payload.content])).toMatchObject([
    ["event_stream", { agent: "helper", status: "thinking" }],
    ["event_stream", { status: "streaming" }],
    ["event_stream", { content: "One " }],
    ["event_stream", { content: "two." }],
    ["event_stream", { status: "idle" }],
    ["chat_response", "One two."],
  ]);
  const { ask: sent, aborted } = api.exchanges[0] as ChatCompletions["exchanges"][0];
  expect(sent.headers.authorization).toBe("Bearer test-key");
  expect(sent).toMatchObject({ model: "test-model", stream: true });
  expect(sent.messages.at(-1)).toEqual({ role: "user", content: "@helper count" });
  expect(await aborted).toBe(false);
});

const FAILURES: [string, Behaviour, string][] = [
  ["a 4xx", { status: 401, body: '{"error":{"message":"bad key test-key"}}' }, "The model refused the request with status 401"],
  ["a 5xx", { status: 503, body: "" }, "The model refused the request with status 503"],
  ["what is no JSON", { ending: "malformed" }, "The model's answer could not be understood"],
  ["a cut within an event", { ending: "cut" }, "The model's answer broke off"],
  ["an early end", { ending: "early" }, "The model's answer broke off"],
  ["an error event", { ending: "error" }, "The model failed"],
  ["silence after a piece", { ending: "silence" }, "The model was silent for 1 s"],
  ["silence before the first piece", { pauseMs: 60_000 }, "The model was silent for 1 s"],
];

test.each(FAILURES)("%s is an error over the socket and over HTTP", async (_, behaviour, message) => {
  api.behave = () => behaviour;
  const user = newUser();
  const peer = await inWorld(user);
  const error = await ask(peer, "chat_send", { content: "@helper hello" });
  expect(error).toMatchObject({ type: "error", payload: { code: "model_failed", message, agent: "helper" } });
  expect(await ask(peer, "ping", {})).toMatchObject({ type: "pong" });

  const told = events(await (await chat(`/worlds/w/chat?user=${user}`, { message: "@helper hello" })).text());
  expect(told.at(-2)).toEqual(["error", { code: "model_failed", message, agent: "helper" }]);
  expect(told.at(-1)).toEqual(["done", {}]);
  expect(server.output()).not.toContain("test-key");
});

test("who closes the socket stops the model", async () => {
  api.behave = () => ({ pieces: ["Wait"], ending: "silence" });
  const peer = await inWorld();
  await ask(peer, "event_subscribe", { events: ["chunk"] });
  send(peer, "chat_send", { content: "@helper hello" });
  expect(await peer.json()).toMatchObject({ payload: { event: "chunk" } });
  const closedAt = Date.now();
  peer.close(1000);
  expect(await api.exchanges[0]?.aborted).toBe(true);
  expect(Date.now() - closedAt).toBeLessThan(800); // well before its silence would have ended it
});

test("a chat over HTTP streams, and who stops reading stops the model", async () => {
  api.behave = ({ messages }) =>
    messages.at(-1)?.content.includes("endless") ? { pieces: Array(1000).fill("more "), pauseMs: 50 } : {};
  const user = newUser();
  await inWorld(user);
  const whole = await chat(`/worlds/w/chat?user=${user}`, { message: "@helper hello", sender: "ada" });
  expect(whole.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const told = events(await whole.text());
  expect(told.map(([name]) => name)).toEqual(["chunk", "chunk", "chunk", "complete", "done"]);
  expect(told[3]?.[1]).toMatchObject({ agent: "helper", content: "One two three." });

  const gone = new AbortController();
  const endless = await chat(`/worlds/w/chat?user=${user}`, { message: "@helper endless" }, gone.signal);
  const reader = (endless.body as ReadableStream<Uint8Array>).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain("event: chunk");
  gone.abort();
  expect(await api.exchanges[1]?.aborted).toBe(true);
});

test("a chat with a template needs no user and leaves the template as it was", async () => {
  for (let round = 1; round <= 2; round += 1) {
    const told = events(await (await chat("/worlds/default-world/chat", { message: "@skeptic hello" })).text());
    expect(told.at(-2)).toMatchObject(["complete", { agent: "skeptic", content: "One two three." }]);
    expect(api.exchanges).toHaveLength(round);
    expect(api.exchanges[round - 1]?.ask.messages).toHaveLength(2);
  }
  expect((await chat("/worlds/nowhere/chat", { message: "hello" })).status).toBe(404);
});

test("a user reaches no other user's worlds", async () => {
  const [ada, bob] = [newUser(), newUser()];
  const hers = await inWorld(ada, "secret");
  await ask(hers, "agent_update", { agentId: "helper", changes: { systemPrompt: "the secret" } });
  const his = await inWorld(bob, "own");
  const names = [`${ada}/secret`, `../${ada}/secret`, `..%2F${ada}%2Fsecret`, `%2e%2e/${ada}/secret`, `${ada}.secret`];
  for (const worldName of [...names, "secret", ada]) {
    const refusal = await ask(his, "world_reload", { worldName });
    expect(refusal.payload.code).toBe(names.includes(worldName) ? "invalid_name" : "unknown_world");
    for (const path of [
      `/worlds/${worldName}/agents?user=${bob}`,
      `/agents/world-agent/${bob}/worlds/${worldName}/agents`,
      `/worlds/x/agents/../../../worlds/${worldName}/agents?user=${bob}`,
    ]) {
      const { status, text } = await raw(path);
      expect(text).not.toContain("the secret");
      expect(status, path).toBeGreaterThanOrEqual(400);
    }
  }
  for (const path of [
    `/agents/world-agent/${bob}/health?user=${ada}`,
    `/agents/world-agent/${bob}/worlds/secret/agents?user=${ada}`,
    `/worlds/secret/agents?user=${bob}%00&user=${ada}`,
    `/worlds/secret/agents?user=${bob}/../${ada}`,
  ]) {
    expect((await raw(path)).status, path).toBe(400);
  }
  const health = await (await fetch(at(`/health?user=${bob}`))).json();
  expect(health).toMatchObject({ scope: "user", worlds: 1, websocket: { connections: 1 } });
});
