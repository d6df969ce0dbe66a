/** SessionAgent, for a plain WebSocket and with a real model's API, which is slow, fails and breaks off as it is told. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { ChatCompletions } from "../support/chat-completions";
import { connect } from "../support/node";
import { fresh, type Peer } from "../support/peer";
import { startDevServer, type DevServer } from "./dev-server.mjs";

interface Frame {
  type: string;
  payload: Record<string, unknown>;
  timestamp: number;
  correlationId?: string;
  seq?: number;
}

let api: ChatCompletions;
let server: DevServer;

beforeAll(async () => {
  api = await ChatCompletions.listen();
  server = await startDevServer({ vars: { ...api.vars, MODEL_TIMEOUT_S: "2", SESSION_HEARTBEAT_S: "3" } });
});
afterAll(async () => {
  await server?.stop();
  await api?.close();
});
beforeEach(() => {
  api.behave = () => ({});
});

const path = (name: string, query = "") => `/agents/session-agent/${name}${query}`;

/** A frame in short: `seq type what @correlationId`, without what it does not have. */
function short({ type, payload, correlationId, seq }: Frame): string {
  const what = payload.content ?? payload.status ?? payload.message;
  return [seq, type, what, correlationId && `@${correlationId}`].filter((part) => part !== undefined).join(" ");
}

async function told(peer: Peer, count: number): Promise<string[]> {
  const frames: string[] = [];
  while (frames.length < count) frames.push(short(await peer.json<Frame>()));
  return frames;
}

/** The frames up to the status that ends an answer. */
async function toldUntilRest(peer: Peer): Promise<string[]> {
  const frames: string[] = [];
  for (;;) {
    const frame = await peer.json<Frame>();
    frames.push(short(frame));
    if (frame.type === "status:update" && /idle|error/.test(String(frame.payload.status))) return frames;
  }
}

async function started(name: string, origin = server.url): Promise<{ peer: Peer; id: string }> {
  const peer = await connect(path(name), origin);
  const { type, payload } = await peer.json<Frame>();
  expect(type).toBe("connection:established");
  peer.send({ type: "agent:start", payload: { projectId: "p", projectPath: "/srv/p" } });
  expect(await told(peer, 1)).toEqual(["1 agent:started"]);
  return { peer, id: payload.clientId as string };
}

/** A client that comes back, once it has been told of that. */
async function resumed(name: string, id: string, lastSeq: number, origin = server.url) {
  const peer = await connect(path(name, `?sessionId=${id}&lastSeq=${lastSeq}`), origin);
  expect((await peer.json<Frame>()).payload).toEqual({ clientId: id });
  const { type, payload } = await peer.json<Frame>();
  expect([type, payload.sessionId]).toEqual(["session:resumed", id]);
  return { peer, recovered: payload.recovered, missed: payload.missed as number };
}

const ask = (peer: Peer, content: string, correlationId = "m") =>
  peer.send({ type: "agent:message", payload: { content }, correlationId });

test("an answer comes piece by piece, and what was said goes along with the next message", async () => {
  const { peer } = await started(fresh());
  ask(peer, "Count.");
  expect(await toldUntilRest(peer)).toEqual([
    "2 status:update thinking @m",
    "3 status:update streaming @m",
    "4 stream:chunk One  @m",
    "5 stream:chunk two  @m",
    "6 stream:chunk three. @m",
    "7 stream:complete @m",
    "8 status:update idle @m",
  ]);
  ask(peer, "Go on.");
  await toldUntilRest(peer);
  const messages = api.exchanges.at(-1)?.ask.messages.slice(1);
  expect(messages).toEqual([
    { role: "user", content: "Count." },
    { role: "assistant", content: "One two three." },
    { role: "user", content: "Go on." },
  ]);
});

test("an answer that is slow goes on while its client is away", async () => {
  const pieces = Array.from({ length: 20 }, (_, index) => `${index} `);
  let said = 0;
  function* counted() {
    for (const piece of pieces) {
      said += 1;
      yield piece;
    }
  }
  api.behave = () => ({ pieces: { [Symbol.iterator]: counted } as unknown as string[], pauseMs: 100 });
  const name = fresh();
  const { peer, id } = await started(name);
  ask(peer, "Count slowly.");
  const before = await told(peer, 5);
  peer.close();
  await peer.closed();
  const saidBefore = said;
  await expect.poll(() => said).toBeGreaterThan(saidBefore + 2);
  const { peer: back, recovered, missed } = await resumed(name, id, 6);
  expect(recovered).toBe(true);
  expect(missed).toBeGreaterThan(0);
  const frames = [...before, ...(await toldUntilRest(back))];
  expect(frames).toEqual([
    "2 status:update thinking @m",
    "3 status:update streaming @m",
    ...pieces.map((piece, index) => `${index + 4} stream:chunk ${piece} @m`),
    "24 stream:complete @m",
    "25 status:update idle @m",
  ]);
  expect(await api.exchanges.at(-1)?.aborted).toBe(false);
});

test("a model that fails costs one answer", async () => {
  const { peer } = await started(fresh());
  for (const [behaviour, error] of [
    [{ status: 500, body: '{"error":{"message":"secret"}}' }, "The model refused the request with status 500"],
    [{ status: 401 }, "The model refused the request with status 401"],
    [{ pieces: [], ending: "malformed" }, "The model's answer could not be understood"],
    [{ pieces: [], ending: "error" }, "The model failed"],
    [{ pieces: [], ending: "silence" }, "The model was silent for 2 s"],
  ] as const) {
    api.behave = () => ({ ...behaviour, pieces: [...("pieces" in behaviour ? behaviour.pieces : [])] });
    ask(peer, "Hello?");
    const frames = (await toldUntilRest(peer)).map((frame) => frame.replace(/^\d+ /, ""));
    expect(frames).toEqual(["status:update thinking @m", `stream:error ${error} @m`, "status:update error @m"]);
  }
  for (const ending of ["cut", "early"] as const) {
    api.behave = () => ({ pieces: ["Half an "], ending });
    ask(peer, "Hello?");
    const frames = (await toldUntilRest(peer)).map((frame) => frame.replace(/^\d+ /, ""));
    expect(frames.slice(2)).toEqual([
      "stream:chunk Half an  @m",
      "stream:error The model's answer broke off @m",
      "status:update error @m",
    ]);
  }
  api.behave = () => ({});
  ask(peer, "And now?");
  expect((await toldUntilRest(peer)).at(-1)).toMatch(/status:update idle @m$/);
});

test("a cancel ends the request to the model, and nothing of the answer follows", async () => {
  const { peer } = await started(fresh());
  api.behave = () => ({ pieces: Array.from({ length: 500 }, () => "word "), pauseMs: 10 });
  ask(peer, "Talk.");
  await told(peer, 5);
  peer.send({ type: "agent:cancel", correlationId: "c" });
  let frame = await peer.json<Frame>();
  while (frame.type === "stream:chunk") frame = await peer.json<Frame>();
  expect([frame.type, frame.correlationId]).toEqual(["agent:cancelled", "c"]);
  expect(await told(peer, 1)).toEqual([`${(frame.seq as number) + 1} status:update idle @c`]);
  expect(await api.exchanges.at(-1)?.aborted).toBe(true);
  peer.send({ type: "ping", correlationId: "p" });
  expect(await told(peer, 1)).toEqual(["pong @p"]);
});

test("a cancel ends a request that the model has not answered yet", async () => {
  const { peer } = await started(fresh());
  api.behave = () => ({ pieces: ["late"], pauseMs: 60_000 });
  const before = api.exchanges.length;
  ask(peer, "Talk.");
  await told(peer, 1);
  await expect.poll(() => api.exchanges.length).toBe(before + 1);
  peer.send({ type: "agent:cancel" });
  expect(await told(peer, 2)).toEqual(["3 agent:cancelled", "4 status:update idle"]);
  expect(await api.exchanges.at(-1)?.aborted).toBe(true);
});

test("the newer of two sockets wins", async () => {
  const name = fresh();
  const { peer, id } = await started(name);
  const { peer: newer, recovered, missed } = await resumed(name, id, 1);
  expect([recovered, missed]).toEqual([true, 0]);
  expect(await peer.closed()).toMatchObject({ code: 4409, reason: "Session resumed elsewhere" });
  newer.send({ type: "ping" });
  expect(await told(newer, 1)).toEqual(["pong"]);
});

test("a socket that shows no life for two periods is closed, and its session stays", async () => {
  const name = fresh();
  const [{ peer: silent, id }, { peer: pinging }] = [await started(name), await started(name)];
  const ping = setInterval(() => pinging.send("ping"), 1_000);
  onTestFinished(() => clearInterval(ping));
  expect(await silent.closed(20_000)).toMatchObject({ code: 4008, reason: "No sign of life" });
  expect(pinging.closing).toBeUndefined();
  const { recovered, missed } = await resumed(name, id, 1);
  expect([recovered, missed]).toEqual([true, 0]);
});

test("a session is reached in its instance alone, however its name is spelled", async () => {
  const name = fresh();
  const { peer, id } = await started(name);
  for (const other of [`${name}%2F`, `${name}.`, `%2F${name}`, `${name}%2F..%2F${name}`, `${name}%20`, `${name}%00`]) {
    const stranger = await connect(path(other, `?sessionId=${id}&lastSeq=0`), server.url);
    const { payload } = await stranger.json<Frame>();
    expect(payload.clientId, other).not.toBe(id);
    expect((await stranger.json<Frame>()).payload).toEqual({ sessionId: payload.clientId, recovered: false, missed: 0 });
    stranger.close();
  }
  peer.send("ping");
  expect(await peer.next()).toBe("pong");
});

test("an answer that a restart of the process ends is an error for who comes back", { timeout: 90_000 }, async () => {
  const storage = mkdtempSync(join(tmpdir(), "session-"));
  onTestFinished(() => rmSync(storage, { recursive: true, force: true }));
  api.behave = () => ({ pieces: ["One "], ending: "silence" });
  const vars = { ...api.vars, MODEL_TIMEOUT_S: "60" };
  const name = fresh();
  const first = await startDevServer({ storage, vars });
  const { peer, id } = await started(name, first.url);
  ask(peer, "Count.");
  expect(await told(peer, 3)).toHaveLength(3);
  await first.stop();

  const second = await startDevServer({ storage, vars });
  onTestFinished(() => second.stop());
  const { peer: back, recovered, missed } = await resumed(name, id, 4, second.url);
  expect([recovered, missed]).toEqual([true, 2]);
  expect(await told(back, 2)).toEqual([
    "5 stream:error The answer was interrupted: the agent was restarted @m",
    "6 status:update error @m",
  ]);
});
