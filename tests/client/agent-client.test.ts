import { agentFetch } from "agents/client";
import { expect, test, vi } from "vitest";
import { agentClient, next, record, types } from "../support/agent-client";
import { connect, host, order, serveFixtures } from "../support/node";
import { fresh, state } from "../support/peer";

serveFixtures();

test("C59, C60: `ready` resolves with identity and state in place", async () => {
  const name = fresh();
  const client = agentClient({ agent: "Counter", name });
  await client.ready;
  expect(client).toMatchObject({ agent: "counter", name, identified: true, state: { count: 0 } });
});

test("C59: `ready` resolves without a state too", async () => {
  const client = agentClient({ agent: "Blank", name: fresh() });
  await client.ready;
  expect(client).toMatchObject({ agent: "blank", identified: true, state: undefined });
});

test("C40, C59: the client learns the class where it asked for a binding", async () => {
  const client = agentClient({ agent: "LOUD_AGENT", name: fresh() });
  await client.ready;
  expect(client.agent).toBe("counter");
});

test("C42: an agent that does not say who it is still has its state and answers", async () => {
  const client = agentClient({ agent: "Quiet", name: fresh() });
  expect(await client.call("add", [2, 3])).toBe(5);
  expect(client).toMatchObject({ identified: false, state: { count: 0 } });
});

test("C15, C59: without a name it is `default`, and a name is as the URL has it", async () => {
  const client = agentClient({});
  await client.ready;
  expect(client.name).toBe("default");
  const spaced = agentClient({ name: "a b 🦀" });
  await spaced.ready;
  expect(spaced.name).toBe("a%20b%20%F0%9F%A6%80");
});

test("C21: agentFetch asks for the path of the class and name", async () => {
  const name = fresh();
  const response = await agentFetch({ agent: "Counter", name, host: host(), query: { q: "1" } });
  expect(await response.json()).toMatchObject({ method: "GET", path: `/agents/counter/${name}`, query: "q=1" });
  const posted = await agentFetch({ agent: "LOUD_AGENT", name, host: host() }, { method: "POST", body: "b" });
  expect(await posted.json()).toMatchObject({ method: "POST", path: `/agents/loud-agent/${name}`, body: [98] });
});

test("C20: with a basePath the identity tells who it is", async () => {
  const name = fresh();
  const onIdentity = vi.fn();
  const client = agentClient({ agent: "whatever", basePath: `by-name/${name}`, onIdentity });
  await client.ready;
  expect(client).toMatchObject({ agent: "counter", name, state: { count: 0 } });
  expect(onIdentity).toHaveBeenCalledExactlyOnceWith(name, "counter");
  const response = await agentFetch({ agent: "whatever", basePath: `by-name/${name}`, host: host() });
  expect(await response.json()).toMatchObject({ path: `/by-name/${name}` });
});

test("C14: with another prefix", async () => {
  const name = fresh();
  const client = agentClient({ name, prefix: "api/agents" });
  await client.ready;
  expect(client.name).toBe(name);
});

test("C12, C52: path and query of the client reach the agent", async () => {
  const name = fresh();
  const client = agentClient({ name, id: "me", path: "sub/page", query: { greet: "ü & 1", empty: null } });
  const { data } = await next<MessageEvent>(client, "message", ({ data }) => String(data).startsWith("welcome"));
  expect(data).toBe("welcome ü & 1");
  const answer = next<MessageEvent>(client, "message", ({ data }) => String(data).includes('"uri"'));
  client.send('{"do":"whoami"}');
  const { uri } = JSON.parse((await answer).data as string) as { uri: string };
  expect(uri).toMatch(new RegExp(`^http://[^/]+/agents/counter/${name}/sub/page\\?_pk=me&greet=`));
});

test("C38, C39: identity, state, MCP servers", async () => {
  const client = agentClient({ name: fresh() });
  const texts = record(client);
  await client.call("nothing");
  expect(types(texts)).toEqual(["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers", "rpc"]);
});

test("C99, C100: a state set by one client reaches the other, and one set by the agent both", async () => {
  const name = fresh();
  const [seenByA, seenByB] = [vi.fn(), vi.fn()];
  const a = agentClient({ name, onStateUpdate: seenByA });
  const b = agentClient({ name, onStateUpdate: seenByB });
  await Promise.all([a.ready, b.ready]);
  seenByA.mockClear();
  seenByB.mockClear();
  a.setState({ count: 5 });
  await vi.waitFor(() => expect(seenByB).toHaveBeenLastCalledWith({ count: 5 }, "server"));
  await order("counter", name, { do: "set-state", state: { count: 6 } });
  await vi.waitFor(() => expect([a.state, b.state]).toEqual([{ count: 6 }, { count: 6 }]));
  expect(seenByA.mock.calls).toEqual([
    [{ count: 5 }, "client"],
    [{ count: 6 }, "server"],
  ]);
  expect(seenByB.mock.calls).toEqual([
    [{ count: 5 }, "server"],
    [{ count: 6 }, "server"],
  ]);
});

test("C104: a refused state is reported to the client that sent it", async () => {
  const onStateUpdateError = vi.fn();
  const client = agentClient({ agent: "Strict", name: fresh(), onStateUpdateError });
  await client.ready;
  client.setState({ count: -1 });
  await vi.waitFor(() => expect(onStateUpdateError).toHaveBeenCalledExactlyOnceWith("State update rejected"));
});

test("C135, C136: so is one of a readonly client", async () => {
  const onStateUpdateError = vi.fn();
  const client = agentClient({ name: fresh(), query: { readonly: "1" }, onStateUpdateError });
  await client.ready;
  client.setState("mine");
  await vi.waitFor(() => expect(onStateUpdateError).toHaveBeenCalledExactlyOnceWith("Connection is readonly"));
  await expect(client.call("set", [1])).rejects.toThrow("Connection is readonly");
});

test("C131, C132: calls answer by the stub, also those made before the socket is open", async () => {
  const client = agentClient({ name: fresh() });
  expect(client.readyState).not.toBe(WebSocket.OPEN);
  const stub = client.stub as Record<string, (...args: unknown[]) => Promise<unknown>>;
  expect(await stub.add?.(2, 3)).toBe(5);
  expect(await client.call("nothing")).toBeUndefined();
  expect(await client.call("get")).toEqual({ count: 0 });
});

test("C118, C120: calls that fail reject with the agent's words", async () => {
  const client = agentClient({ name: fresh() });
  await expect(client.call("fail", ["no such room"])).rejects.toThrow("no such room");
  await expect(client.call("nope")).rejects.toThrow("Method nope does not exist");
});

test("C43, C141: without protocol messages, calls and plain messages work", async () => {
  const name = fresh();
  const client = agentClient({ name, query: { suppressed: "1" } });
  const texts = record(client);
  expect(await client.call("set", ["x"])).toBe("set");
  const other = await connect(`/agents/counter/${name}?suppressed`);
  other.send({ do: "broadcast", text: "hello" });
  await vi.waitFor(() => expect(texts.at(-1)).toBe("hello"));
  expect(texts).toHaveLength(2);
  expect(client).toMatchObject({ identified: false, state: undefined });
});

test("C82, C83: plain messages go both ways beside the protocol", async () => {
  const client = agentClient({ name: fresh() });
  await client.ready;
  client.send(Uint8Array.from([1, 2, 3]));
  const answer = next<MessageEvent>(client, "message", ({ data }) => typeof data !== "string");
  client.send('{"do":"bytes","count":3}');
  const { data } = await answer;
  expect(new Uint8Array(await (data as Blob).arrayBuffer())).toEqual(Uint8Array.from([0, 1, 2]));
});

test("C102, C110: the client holds whatever state there is", async () => {
  const name = fresh();
  const client = agentClient({ name });
  await client.ready;
  const plain = await connect(`/agents/counter/${name}`);
  for (const value of [{ a: 1 }, { b: 2 }, null, 0, false, "", [1]]) {
    const update = next<MessageEvent>(client, "message", ({ data }) => String(data).includes("cf_agent_state"));
    plain.send(state(value));
    await update;
    expect(client.state).toEqual(value);
  }
});
