import { listDurableObjectIds } from "cloudflare:test";
import { expect, test } from "vitest";
import { fresh, identity } from "../support/peer";
import { connect, fetchWorker, handshake, namespace } from "../support/workerd";

const DEFAULTS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, HEAD, OPTIONS",
  "access-control-allow-headers": "*",
  "access-control-max-age": "86400",
};

const corsOf = (response: Response) =>
  Object.fromEntries([...response.headers].filter(([name]) => name.startsWith("access-control-")));

const objects = async (agent: string) => (await listDurableObjectIds(namespace(agent))).length;

test("C22: a preflight is answered without waking anyone", async () => {
  const before = await objects("counter");
  const response = await fetchWorker(`/cors/counter/${fresh()}`, { method: "OPTIONS" });
  expect([response.status, await response.text(), corsOf(response)]).toEqual([200, "", DEFAULTS]);
  expect(await objects("counter")).toBe(before);
});

test("C23: the headers replace those of the handler", async () => {
  const response = await fetchWorker(`/cors/counter/${fresh()}?do=teapot`);
  expect([response.status, await response.text(), corsOf(response)]).toEqual([418, "short and stout", DEFAULTS]);
  expect(response.headers.get("x-handle")).toBe("here");
});

test("C23: an answer that is an error has them too", async () => {
  const response = await fetchWorker(`/cors/faulty/${fresh()}?request=error`);
  expect([response.status, corsOf(response)]).toEqual([500, DEFAULTS]);
});

test("C24: the refusal of an unknown class has no such headers", async () => {
  const response = await fetchWorker("/cors/nope/a");
  expect([response.status, corsOf(response)]).toEqual([400, {}]);
});

test("C25: an upgrade has no such headers", async () => {
  const response = await handshake(`/cors/counter/${fresh()}`);
  expect([response.status, corsOf(response)]).toEqual([101, {}]);
});

test("C26: given headers replace the defaults", async () => {
  const own = { "access-control-allow-origin": "https://example.org" };
  const name = fresh();
  expect(corsOf(await fetchWorker(`/own-cors/counter/${name}?do=teapot`))).toEqual(own);
  expect(corsOf(await fetchWorker(`/own-cors/counter/${name}`, { method: "OPTIONS" }))).toEqual(own);
});

test("C27: without CORS a preflight is the handler's", async () => {
  const response = await fetchWorker(`/agents/counter/${fresh()}`, { method: "OPTIONS" });
  expect(await response.json()).toMatchObject({ method: "OPTIONS" });
  expect(corsOf(response)).toEqual({});
});

test("C28: a refused upgrade wakes nobody", async () => {
  const before = await objects("counter");
  const response = await handshake(`/hooks/counter/${fresh()}?refuse`);
  expect([response.status, await response.text()]).toEqual([401, "who are you?"]);
  expect(response.webSocket).toBeNull();
  expect(await objects("counter")).toBe(before);
});

test("C29: a refused request has CORS headers, and wakes nobody", async () => {
  const before = await objects("counter");
  const response = await fetchWorker(`/hooks/counter/${fresh()}?refuse`);
  expect([response.status, await response.text(), corsOf(response)]).toEqual([403, "not you", DEFAULTS]);
  expect(await objects("counter")).toBe(before);
});

test("C30, C33: a hook's header reaches the handler, with binding and name", async () => {
  const name = fresh("a%20b");
  const response = await fetchWorker(`/hooks/counter/${name}`, { method: "POST", body: "kept" });
  const seen = await response.json<{ headers: Record<string, string>; method: string; body: number[] }>();
  expect(seen.headers["x-hook"]).toBe(`request Counter ${name}`);
  expect([seen.method, new TextDecoder().decode(Uint8Array.from(seen.body))]).toEqual(["POST", "kept"]);
});

test("C30: a hook's header reaches the connect hook", async () => {
  const name = fresh();
  const peer = await connect(`/hooks/loud-agent/${name}?header=x-hook`);
  const frames = await peer.settle();
  expect(frames.at(-1)).toBe(`connect LOUD_AGENT ${name}`);
});

test("C31: another URL does not make it another agent's", async () => {
  const name = fresh();
  const seen = await (await fetchWorker(`/hooks/counter/${name}?elsewhere`)).json<{ path: string; query: string }>();
  expect(seen).toMatchObject({ path: "/agents/counter/somewhere-else", query: "moved" });
  const peer = await connect(`/hooks/counter/${name}?elsewhere`);
  expect(await peer.json()).toEqual(identity("counter", name));
});

test("C32: the case of the Upgrade header does not matter", async () => {
  const name = fresh();
  for (const upgrade of ["websocket", "WebSocket", "WEBSOCKET"]) {
    const peer = await connect(`/hooks/counter/${name}?header=x-hook`, { upgrade });
    expect((await peer.settle()).at(-1)).toBe(`connect Counter ${name}`);
    const refused = await handshake(`/hooks/counter/${name}?refuse`, { upgrade });
    expect(refused.status).toBe(401);
  }
});

test("an error of a hook is the application's to answer", async () => {
  const response = await fetchWorker(`/hooks/counter/${fresh()}?broken`);
  expect([response.status, await response.text()]).toEqual([500, "the application's own answer"]);
});
