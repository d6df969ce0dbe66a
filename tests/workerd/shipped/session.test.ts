/** SessionAgent on the real runtime: what hibernation, alarms and the loss of the object leave of a session. */
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { fresh, MCP, identity, type Peer } from "../../support/peer";
import { connect } from "../../support/workerd";

interface Frame {
  type: string;
  payload: Record<string, unknown>;
  correlationId?: string;
  seq?: number;
}

const stub = (name: string) => (env as unknown as { SessionAgent: DurableObjectNamespace }).SessionAgent.getByName(name);

const path = (name: string, query = "") => `/agents/session-agent/${name}${query}`;

async function started(name: string): Promise<{ peer: Peer; id: string }> {
  const peer = await connect(path(name));
  const { payload } = await peer.json<Frame>();
  peer.send({ type: "agent:start", payload: { projectId: "p", projectPath: "/srv/p" } });
  expect(await peer.json()).toMatchObject({ type: "agent:started", payload: { sessionId: payload.clientId }, seq: 1 });
  return { peer, id: payload.clientId as string };
}

/** A client that comes back, and what it is told of that. */
async function resume(name: string, id: string, lastSeq: number) {
  const peer = await connect(path(name, `?sessionId=${id}&lastSeq=${lastSeq}`));
  expect(await peer.json()).toMatchObject({ type: "connection:established", payload: { clientId: id } });
  return { peer, resumed: (await peer.json<Frame>()).payload };
}

async function untilRest(peer: Peer): Promise<Frame[]> {
  const frames: Frame[] = [];
  for (;;) {
    const frame = await peer.json<Frame>();
    frames.push(frame);
    if (frame.type === "status:update" && /idle|error/.test(String(frame.payload.status))) return frames;
  }
}

const ask = (peer: Peer, content: string) => peer.send({ type: "agent:message", payload: { content }, correlationId: "m" });

/** What takes the scripted model eight seconds to repeat. */
const LONG = "word ".repeat(400);

test("a session, its frames and what was said outlive hibernation", async () => {
  const name = fresh();
  const { peer, id } = await started(name);
  ask(peer, "hello");
  const frames = await untilRest(peer);
  expect(frames.map(({ seq }) => seq)).toEqual(frames.map((_, index) => index + 2));
  expect(frames.every(({ correlationId }) => correlationId === "m")).toBe(true);

  await evictDurableObject(stub(name));
  peer.send({ type: "agent:cancel", correlationId: "c" });
  const seq = frames.length + 2;
  expect(await peer.json()).toMatchObject({ type: "agent:cancelled", correlationId: "c", seq });
  expect(await peer.json()).toMatchObject({ type: "status:update", correlationId: "c", seq: seq + 1 });

  await evictDurableObject(stub(name));
  const { peer: back, resumed } = await resume(name, id, 1);
  expect(resumed).toEqual({ sessionId: id, recovered: true, missed: frames.length + 2 });
  for (const frame of frames) expect(await back.json()).toEqual(frame);
  expect(await peer.closed()).toMatchObject({ code: 4409, reason: "Session resumed elsewhere" });
});

test("protocol frames come first where a client asks for them", async () => {
  const name = fresh();
  const peer = await connect(path(name, "?protocol=true"));
  expect([await peer.json(), await peer.json()]).toEqual([identity("session-agent", name, false), MCP]);
  expect(await peer.json()).toMatchObject({ type: "connection:established" });
});

test("an answer goes on while nobody is connected, kept awake by an alarm that ends with it", async () => {
  const name = fresh();
  const { peer, id } = await started(name);
  ask(peer, "Are you there?");
  await peer.json();
  peer.close();
  const alarm = () => runInDurableObject(stub(name), (_, state) => state.storage.getAlarm());
  expect(await alarm()).not.toBeNull();
  await expect.poll(alarm).toBeNull();
  const { peer: back, resumed } = await resume(name, id, 2);
  expect(resumed).toMatchObject({ recovered: true });
  const frames = await untilRest(back);
  expect(frames.at(-1)).toMatchObject({ payload: { status: "idle" } });
  const answer = frames.filter(({ type }) => type === "stream:chunk").map(({ payload }) => payload.content);
  expect(answer.join("")).toMatch(/Are you there\?$/);
});

test("a cancel stops the answer at once", async () => {
  const { peer } = await started(fresh());
  ask(peer, LONG);
  for (let count = 0; count < 5; count += 1) await peer.json();
  peer.send({ type: "agent:cancel" });
  const frames = await untilRest(peer);
  expect(frames.slice(-2).map(({ type }) => type)).toEqual(["agent:cancelled", "status:update"]);
  ask(peer, "And now?");
  expect((await untilRest(peer)).at(-1)).toMatchObject({ payload: { status: "idle" } });
});

test("an answer that the loss of the object ends is an error for who comes back", async () => {
  const name = fresh();
  const { peer, id } = await started(name);
  ask(peer, LONG);
  for (let count = 0; count < 5; count += 1) await peer.json();
  await abortAllDurableObjects();
  const { peer: back, resumed } = await resume(name, id, 6);
  expect(resumed).toMatchObject({ recovered: true });
  const end = (await untilRest(back)).slice(-2);
  expect(end).toMatchObject([
    { type: "stream:error", payload: { message: "The answer was interrupted: the agent was restarted" }, correlationId: "m" },
    { type: "status:update", payload: { status: "error" }, correlationId: "m" },
  ]);
});

test("the runtime answers a bare ping, and that is a sign of life", async () => {
  const name = fresh();
  const { peer } = await started(name);
  await evictDurableObject(stub(name));
  const answered = () =>
    runInDurableObject(stub(name), (_, state) => {
      const [socket] = state.getWebSockets();
      return state.getWebSocketAutoResponseTimestamp(socket as WebSocket);
    });
  expect(await answered()).toBeNull();
  await evictDurableObject(stub(name));
  peer.send("ping");
  expect(await peer.next()).toBe("pong");
  expect(await answered()).toBeInstanceOf(Date);
});

test("the alarm closes a silent socket, and is gone with the last one", async () => {
  const name = fresh();
  const [{ peer: silent, id }, { peer: pinging }] = [await started(name), await started(name)];
  pinging.send("ping");
  expect(await pinging.next()).toBe("pong");
  // What a minute of silence would have made of it.
  await runInDurableObject(stub(name), (_, state) => {
    for (const socket of state.getWebSockets()) {
      const attachment = JSON.parse(new TextDecoder().decode(socket.deserializeAttachment() as Uint8Array)) as unknown[];
      attachment[1] = 1;
      attachment.length = 6;
      socket.serializeAttachment(new TextEncoder().encode(JSON.stringify(attachment)));
    }
    state.storage.sql.exec("UPDATE cf_agents_schedules SET time = 1");
  });
  await evictDurableObject(stub(name));
  expect(await runDurableObjectAlarm(stub(name))).toBe(true);
  expect(await silent.closed()).toMatchObject({ code: 4008, reason: "No sign of life" });
  expect(pinging.closing).toBeUndefined();
  pinging.send({ type: "ping" });
  expect(await pinging.json()).toMatchObject({ type: "pong" });

  pinging.close();
  await expect.poll(() => runInDurableObject(stub(name), (_, state) => state.storage.getAlarm())).toBeNull();
  expect(await runDurableObjectAlarm(stub(name))).toBe(false);
  const { resumed } = await resume(name, id, 1);
  expect(resumed).toMatchObject({ recovered: true, missed: 0 });
});
