import { listDurableObjectIds } from "cloudflare:test";
import { expect, test } from "vitest";
import { fresh, identity } from "../support/peer";
import { connect, fetchWorker, handshake, namespace, order } from "../support/workerd";

interface Reflection {
  method: string;
  url: string;
  path: string;
  query: string | null;
  headers: Record<string, string>;
  body: number[];
}

const reflect = async (path: string, init?: RequestInit): Promise<Reflection> => (await fetchWorker(path, init)).json();

test("C1: the handler's status, headers and body arrive unchanged", async () => {
  const response = await fetchWorker(`/agents/counter/${fresh()}?do=teapot`);
  expect(response.status).toBe(418);
  expect(response.headers.get("x-handle")).toBe("here");
  expect(response.headers.get("content-type")).toBe("text/plain;charset=UTF-8");
  expect(await response.text()).toBe("short and stout");
});

test("C2, C3, C4: other paths are the application's, and make no object", async () => {
  const before = await listDurableObjectIds(namespace("bare"));
  for (const path of ["/agents/bare", "/agents/bare/", "/agents", "/agents/", "/other/bare/a", "/"]) {
    const response = await fetchWorker(path);
    expect([path, response.status, await response.text()]).toEqual([path, 404, "no route"]);
  }
  expect(await listDurableObjectIds(namespace("bare"))).toEqual(before);
});

test("C5, C7: a class that nobody has is an invalid request", async () => {
  for (const path of ["/agents/nope/a", "/agents/Counter/a", "/agents/COUNTER/a"]) {
    const response = await fetchWorker(path);
    expect([path, response.status, await response.text()]).toEqual([path, 400, "Invalid request"]);
    expect(response.headers.get("content-type")).toBe("text/plain;charset=UTF-8");
  }
});

test("C6: an upgrade to a class that nobody has is refused", async () => {
  const response = await handshake("/agents/nope/a");
  expect(response.status).toBe(400);
  expect(response.webSocket).toBeNull();
  expect(await response.text()).toBe("Invalid request");
});

test.for(["my-agent", "loud-agent", "chat--room", "my-agent2-b", "a-i-assistant"])(
  "C8, C9, C40: a binding answers as %s, and the identity has the class",
  async (segment) => {
    const name = fresh();
    const peer = await connect(`/agents/${segment}/${name}`);
    expect(await peer.json()).toEqual(identity("counter", name));
  },
);

test("C9: acronyms are not kept together", async () => {
  expect((await fetchWorker("/agents/ai-assistant/a")).status).toBe(400);
});

test("C11: empty segments do not count", async () => {
  const name = fresh();
  await order("counter", name, { do: "set-state", state: "same" });
  const peer = await connect(`//agents///counter//${name}/`);
  expect(await peer.json()).toEqual(identity("counter", name));
  expect(await peer.json()).toMatchObject({ state: "same" });
});

test("C12: the handler sees the whole path and the query", async () => {
  const name = fresh();
  const seen = await reflect(`/agents/counter/${name}/x/y?q=1&r=%20`);
  expect(seen.path).toBe(`/agents/counter/${name}/x/y`);
  expect(seen.query).toBe("q=1&r=%20");
  expect(seen.url).toBe(`https://example.com/agents/counter/${name}/x/y?q=1&r=%20`);
});

test("C13: the handler sees method, headers and the same bytes", async () => {
  const body = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const seen = await reflect(`/agents/counter/${fresh()}`, { method, body, headers: { "x-own": "mine" } });
    expect(seen.method).toBe(method);
    expect(seen.headers["x-own"]).toBe("mine");
    expect(seen.body).toEqual([...body]);
  }
});

test("a URL that is longer than the room for messages, and an unusual upgrade header, arrive unchanged", async () => {
  const path = `/agents/counter/${fresh()}?q=${"x".repeat(20_000)}`;
  for (const upgrade of ["h2c", "websocket2"]) {
    const seen = await reflect(path, { method: "PROPFIND", headers: { upgrade } });
    expect(seen).toMatchObject({ method: "PROPFIND", url: `https://example.com${path}`, headers: { upgrade } });
  }
});

test("C14: another prefix replaces the usual one", async () => {
  const name = fresh();
  expect((await reflect(`/api/agents/counter/${name}`)).path).toBe(`/api/agents/counter/${name}`);
  expect((await fetchWorker(`/api/counter/${name}`)).status).toBe(404);
});

test("C15: a name is not decoded", async () => {
  for (const segment of ["a%20b", "%F0%9F%A6%80", "a%2Fb", "100%25"]) {
    const peer = await connect(`/agents/counter/${segment}`);
    expect(await peer.json()).toEqual(identity("counter", segment));
  }
});

test("an emoji is a name, and reaches the agent as the URL has it", async () => {
  const peer = await connect("/agents/counter/🦀");
  expect(await peer.json()).toEqual(identity("counter", "%F0%9F%A6%80"));
});

test("C16: two names have separate states, one name has one", async () => {
  const [one, two] = [fresh(), fresh()];
  await order("counter", one, { do: "set-state", state: 1 });
  expect(await order("counter", two, { do: "get-state" })).toEqual({ count: 0 });
  expect(await order("counter", one, { do: "get-state" })).toBe(1);
});

test("C17: a prefix with a slash before it never matches", async () => {
  expect((await fetchWorker(`/slash/counter/${fresh()}`)).status).toBe(404);
});

test("C18: an agent without a request handler is not found", async () => {
  const response = await fetchWorker(`/agents/bare/${fresh()}`);
  expect([response.status, await response.text()]).toEqual([404, "Not implemented"]);
});

test("C20: an agent reached by name says who it is", async () => {
  const name = fresh();
  const peer = await connect(`/by-name/${name}`);
  expect(await peer.json()).toEqual(identity("counter", name));
  expect((await reflect(`/by-name/${name}`)).path).toBe(`/by-name/${name}`);
});

test("a name of 1,024 bytes is a name, a longer one fails and says nothing", async () => {
  const longest = "n".repeat(1_024);
  const peer = await connect(`/agents/counter/${longest}`);
  expect(await peer.json()).toEqual(identity("counter", longest));
  const response = await fetchWorker(`/agents/counter/${longest}n`);
  expect([response.status, await response.text()]).toEqual([500, "Internal Server Error"]);
});

test("a default agent has whatever no class has", async () => {
  for (const [path, name] of [
    ["/lobby/main", "main"],
    ["/lobby/nope/a", "nope"],
  ] as const) {
    const peer = await connect(path);
    expect(await peer.json()).toEqual(identity("counter", name));
  }
  const name = fresh();
  expect(await (await connect(`/lobby/blank/${name}`)).json()).toEqual(identity("blank", name, false));
});
