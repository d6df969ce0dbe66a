import { expect, test } from "vitest";
import { Subject, failed } from "../../support/conformance";
import { MCP, fresh, identity, state } from "../../support/peer";
import { connect, fetchWorker } from "../../support/workerd";

test("TestChildAgent has its parent's methods, one of them its own way", async () => {
  const agent = await Subject.of("TestChildAgent");
  expect(await agent.callAfresh("parentMethod")).toBe("from parent");
  expect(await agent.callAfresh("sharedMethod")).toBe("child implementation");
  expect(await agent.callAfresh("childMethod")).toBe("from child");
  expect(await agent.answers("nonCallableMethod")).toEqual([failed("Method nonCallableMethod is not callable")]);
  expect(await agent.callAfresh("getCallableMethodNames")).toEqual([
    "childMethod",
    "getCallableMethodNames",
    "parentMethod",
    "sharedMethod",
  ]);
});

test("TestRaceAgent has tagged a connection before its first message, and still after an eviction", async () => {
  const agent = await Subject.of("TAG_AGENT");
  agent.peer.send("anything");
  for (const frame of [identity("test-race-agent", agent.name), state({ hello: "world" }), MCP])
    expect(await agent.peer.json()).toEqual(frame);
  expect(await agent.peer.next()).toBe('{"type":"echo","tagged":true}');
  await agent.evict();
  agent.peer.send(new Uint8Array([1]));
  expect(await agent.peer.next()).toBe('{"type":"echo","tagged":true}');
});

test.for([
  ["case-sensitive-agent", "test-case-sensitive-agent"],
  ["user-notification-agent", "test-user-notification-agent"],
  ["test-o-auth-agent", "test-o-auth-agent"],
  ["test-connection-uri-agent", "test-connection-uri-agent"],
] as const)("%s accepts connections and has no state", async ([path, kebab]) => {
  const name = fresh("MixedCase");
  const peer = await connect(`/agents/${path}/${name}`);
  expect(await peer.settledJson()).toEqual([identity(kebab, name, false), MCP]);
});

test.for(["case-sensitive-agent", "test-connection-uri-agent"])("%s has no request handler", async (path) => {
  const response = await fetchWorker(`/agents/${path}/${fresh()}`);
  expect([response.status, await response.text()]).toEqual([404, "Not implemented"]);
});

test.for(["", "/callback", "/deep/er?code=1"])("TestOAuthAgent answers requests for its sub-path %j", async (rest) => {
  for (const method of ["GET", "POST"]) {
    const response = await fetchWorker(`/agents/test-o-auth-agent/${fresh()}${rest}`, { method });
    expect([response.status, await response.text()]).toEqual([200, "Test OAuth Agent"]);
  }
});

test("TestConnectionUriAgent knows in a call whose it is, and of no request", async () => {
  const agent = await Subject.of("TestConnectionUriAgent", { query: "_pk=me&x=%20y" });
  expect(await agent.callAfresh("getConnectionContext")).toEqual({
    hasConnection: true,
    connectionUri: `https://example.com${agent.path}?_pk=me&x=%20y`,
    hasRequest: false,
    requestUrl: null,
  });
});
