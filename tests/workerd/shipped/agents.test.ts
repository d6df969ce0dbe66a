/** The shipped worker on the real runtime: each agent answers at its address and survives hibernation. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { fresh, MCP, identity, state, type Peer } from "../../support/peer";
import { connect, fetchWorker } from "../../support/workerd";

type Json = Record<string, unknown>;

const bindings = env as unknown as Record<string, DurableObjectNamespace>;

const evict = async (binding: string, name: string) => {
  const namespace = bindings[binding];
  if (!namespace) throw new Error(`no binding ${binding}`);
  await evictDurableObject(namespace.getByName(name));
};

/** The next frame that is no state frame. */
const own = async (peer: Peer): Promise<Json> => {
  for (;;) {
    const frame = await peer.json<Json>();
    if (frame.type !== "cf_agent_state") return frame;
  }
};

test("Counter: its state survives an eviction, its plain field does not", async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?protocol=false`);
  const increment = async () => {
    peer.send("increment");
    return peer.json<Json>();
  };
  await increment();
  expect(await increment()).toEqual({ type: "count", count: 2, sinceWake: 2 });
  await evict("Counter", name);
  expect(await increment()).toEqual({ type: "count", count: 3, sinceWake: 1 });
});

test("ChatAgent: the default agent; a chat goes on over an eviction", async () => {
  const name = fresh();
  const ada = await connect(`/agents/${name}?userId=ada`);
  const empty = { messages: [], participants: [] };
  expect([await ada.json(), await ada.json(), await ada.json()]).toEqual([
    identity("chat-agent", name),
    state(empty),
    MCP,
  ]);
  expect(await own(ada)).toEqual({ type: "welcome", message: "Connected to chat", participants: ["ada"] });
  const grace = await connect(`/agents/chat-agent/${name}?userId=grace&protocol=false`);
  expect(await grace.json()).toMatchObject({ type: "welcome", participants: ["ada", "grace"] });
  await evict("ChatAgent", name);
  grace.send({ type: "chat", text: "still here?" });
  const { message } = await grace.json<{ message: Json }>();
  expect(message).toMatchObject({ text: "still here?", sender: "grace" });
  const told = state({ messages: [message], participants: ["ada", "grace"] });
  for (;;) {
    const frame = await ada.json();
    if (JSON.stringify(frame).includes("still here?")) {
      expect(frame).toEqual(told);
      break;
    }
  }
  const history = await fetchWorker(`/agents/chat-agent/${name}/history`);
  expect(await history.json()).toEqual({ messages: [message], next: null });
});

test("ChatRoom: join, message and leave, also after an eviction", async () => {
  const path = `/agents/chat-room/${fresh()}`;
  const name = path.slice(path.lastIndexOf("/") + 1);
  const ada = await connect(`${path}?username=ada&protocol=false`);
  const grace = await connect(`${path}?username=grace&protocol=false`);
  expect(await ada.json()).toMatchObject({ type: "join", user: "grace" });
  await evict("ChatRoom", name);
  grace.send({ type: "message", text: "hello" });
  for (const peer of [ada, grace])
    expect(await peer.json()).toMatchObject({ type: "message", user: "grace", text: "hello" });
  grace.close(1000);
  expect(await ada.json()).toMatchObject({ type: "leave", user: "grace" });
});

test("PresenceAgent: who is here is right after an eviction too", async () => {
  const name = fresh();
  const path = `/agents/presence-agent/${name}`;
  const ada = await connect(`${path}?_pk=a&name=ada&protocol=false`);
  await ada.json();
  await evict("PresenceAgent", name);
  const grace = await connect(`${path}?_pk=g&name=grace&protocol=false`);
  for (const peer of [ada, grace])
    expect(await peer.json()).toMatchObject({ type: "presence", users: { a: { name: "ada" }, g: { name: "grace" } } });
  ada.send("ping");
  expect(await ada.next()).toBe("pong");
});

test("RestAgent: status, data, a file, and what it refuses", async () => {
  const path = `/agents/rest-agent/${fresh()}`;
  const post = (to: string, body: BodyInit) => fetchWorker(`${path}/${to}`, { method: "POST", body });
  expect(await (await fetchWorker(`${path}/status`)).json()).toEqual({ status: "ok", connections: 0 });
  expect(await (await post("data", `{"a":1}`)).json()).toEqual({ received: true });
  expect((await post("data", "{")).status).toBe(400);
  const form = new FormData();
  form.set("file", new File(["twelve bytes"], "note.txt"));
  expect(await (await post("upload", form)).json()).toEqual({ filename: "note.txt", size: 12 });
  expect((await fetchWorker(`${path}/upload`)).status).toBe(405);
  const preflight = await fetchWorker(`${path}/data`, { method: "OPTIONS" });
  expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
});

test("an answer to HEAD has the status and the headers of one to GET", async () => {
  for (const path of [`/agents/rest-agent/${fresh()}/status`, `/agents/${fresh()}/history`]) {
    const [get, head] = [await fetchWorker(path), await fetchWorker(path, { method: "HEAD" })];
    expect([head.status, head.headers.get("content-type"), await head.text()]).toEqual([200, get.headers.get("content-type"), ""]);
    const { byteLength } = await get.arrayBuffer();
    expect(head.headers.get("content-length")).toBe(String(byteLength));
  }
});

test("RestAgent: the queue takes the digest of a file, also of one in several parts", async () => {
  const path = `/agents/rest-agent/${fresh()}`;
  const files = ["twelve bytes", "x".repeat(1024 * 1024 + 1), ""].map((content, index) => new File([content], `${index}.txt`));
  const expected = [];
  for (const file of files) {
    const form = new FormData();
    form.set("file", file);
    expect((await fetchWorker(`${path}/upload`, { method: "POST", body: form })).status).toBe(200);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    expected.unshift({ filename: file.name, size: file.size, sha256: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") });
  }
  const uploads = async () => (await (await fetchWorker(`${path}/uploads`)).json<{ uploads: Json[] }>()).uploads;
  await expect.poll(uploads).toMatchObject(expected);
});

test("SecureAgent: a development token is worth nothing where DEV_TOKENS is not set", async () => {
  const peer = await connect(`/agents/secure-agent/${fresh()}?token=dev:ada:admin`);
  expect(await peer.closed()).toMatchObject({ code: 4001, reason: "Unauthorized" });
});

test("WorldAgent: a world survives an eviction, and goes ten minutes after its user", async () => {
  const user = crypto.randomUUID();
  const ask = async (peer: Peer, type: string, payload: object) => {
    peer.send({ id: type, type, timestamp: new Date().toISOString(), payload });
    for (;;) {
      const frame = await peer.json<{ type: string; replyTo?: string; payload: Json }>();
      if (frame.replyTo === type) return frame;
    }
  };
  const peer = await connect(`/ws?user=${user}`);
  expect(await peer.json()).toMatchObject({ type: "status", payload: { userId: user, worlds: [] } });
  await ask(peer, "world_select", { worldName: "w", templateName: "story-world" });
  await ask(peer, "event_subscribe", { events: ["chunk"] });
  await ask(peer, "agent_update", { agentId: "captain", changes: { name: "Ahab" } });
  await evict("WorldAgent", user);
  const { type, payload } = await ask(peer, "chat_send", { content: "@ahab hello" });
  expect([type, payload.agent]).toEqual(["chat_response", "captain"]);
  const events = await fetchWorker(`/worlds/w/chat?user=${user}`, { method: "POST", body: `{"message":"@ahab hello"}` });
  expect((await events.text()).split("\n\n").at(-3)).toContain(`event: complete\ndata: {"agent":"captain"`);
  expect(await peer.json()).toMatchObject({ type: "event_stream", payload: { event: "chunk", world: "w" } });

  peer.close(1000);
  await peer.closed();
  const stub = (bindings.WorldAgent as DurableObjectNamespace).getByName(user);
  const due = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
  const minutes = ((due ?? 0) - Date.now()) / 60_000;
  expect(minutes).toBeGreaterThan(9.5);
  expect(minutes).toBeLessThanOrEqual(10.1);
});

test("what is no agent's path is nobody's", async () => {
  const response = await fetchWorker("/nothing/here");
  expect([response.status, await response.text()]).toEqual([404, "Not found"]);
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
});

test("a plain request to the address for WebSockets is told what to ask for", async () => {
  const response = await fetchWorker("/ws");
  expect([response.status, response.headers.get("upgrade")]).toEqual([426, "websocket"]);
  expect([response.headers.get("content-type"), await response.json()]).toMatchObject([
    "application/json",
    { code: "upgrade_required" },
  ]);
});
