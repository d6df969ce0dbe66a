import { expect, test } from "vitest";
import { Subject, call } from "../../support/conformance";
import { MCP, state } from "../../support/peer";
import { fetchWorker } from "../../support/workerd";

const STANDARD = { count: 0, items: [], lastUpdated: null };
const changed = { count: 5, items: ["a", { b: 1 }], lastUpdated: "now" };

const get = async (agent: Subject, segment: string, init?: RequestInit) => {
  const response = await fetchWorker(`${agent.path}/${segment}`, init);
  return [response.status, response.headers.get("content-type"), await response.text()];
};

test("TestStateAgent answers HTTP by the last segment, whatever the method", async () => {
  const agent = await Subject.of("TestStateAgent", { query: "_pk=me" });
  agent.peer.send(state(changed));
  await agent.call("getState");
  const json = async (segment: string, init?: RequestInit) => {
    const [status, type, text] = await get(agent, segment, init);
    expect([status, type]).toEqual([200, "application/json"]);
    return JSON.parse(text as string) as unknown;
  };
  for (const method of ["GET", "DELETE"]) {
    expect(await json("state", { method })).toEqual({ state: changed });
    expect(await json("below/state-updates", { method })).toEqual({
      updates: [
        { state: STANDARD, source: "server" },
        { state: changed, source: "me" },
      ],
    });
  }
  expect(await json("echo")).toEqual({ method: "GET", body: "", path: "echo" });
  expect(await json("echo", { method: "PATCH", body: "Grüße" })).toEqual({ method: "PATCH", body: "Grüße", path: "echo" });
  expect(await json("connections")).toEqual({ count: 1 });
  const other = await agent.connect();
  await call(other, "getState");
  expect(await json("connections")).toEqual({ count: 2 });
  for (const segment of ["", "states", "state/"])
    expect(await get(agent, segment)).toEqual([404, "text/plain;charset=UTF-8", "Not found"]);
});

test("TestStateAgent takes states by call and by frame, and lists who set them", async () => {
  const agent = await Subject.of("TestStateAgent", { query: "_pk=me" });
  await agent.call("clearStateUpdateCalls");
  expect(await agent.answers("updateState", changed)).toEqual([{ success: true, done: true }]);
  agent.peer.send(state({ any: ["JSON", null, 1.5] }));
  expect(await agent.call("getState")).toEqual({ any: ["JSON", null, 1.5] });
  expect(await agent.call("getStateUpdateCalls")).toEqual([
    { state: changed, source: "server" },
    { state: { any: ["JSON", null, 1.5] }, source: "me" },
  ]);
  expect(await agent.callAfresh("getStateUpdateCalls")).toEqual([]);
  expect(await agent.callAfresh("getState")).toEqual({ any: ["JSON", null, 1.5] });
  await agent.callAfresh("clearStateUpdateCalls");
  await agent.callAfresh("updateState", changed);
  expect(await agent.callAfresh("getState")).toEqual(changed);
});

test("TestStateAgent can break its stored state; memory keeps it until told to forget", async () => {
  const agent = await Subject.of("TestStateAgent");
  await agent.call("updateState", changed);
  await agent.call("insertCorruptedState");
  expect(await agent.call("getState")).toEqual(changed);
  expect(await agent.call("getStateAfterCorruption")).toEqual(STANDARD);
  expect(await agent.call("getStateRowIds")).toEqual(["cf_state_row_id"]);
  await agent.call("insertCorruptedState");
  expect(await agent.callAfresh("getState")).toEqual(STANDARD);
});

test("TestStateAgent shows the rows of its state, and leaves those of old versions", async () => {
  const agent = await Subject.of("TestStateAgent", { query: "_pk=x" });
  await agent.call("updateState", changed);
  expect([await agent.call("getStateRowCount"), await agent.call("getStateRowIds")]).toEqual([1, ["cf_state_row_id"]]);
  await agent.callAfresh("insertLegacyWasChangedRow");
  const rows = [{ id: "cf_state_was_changed", state: "true" }];
  expect(await agent.sql("SELECT * FROM cf_agents_state WHERE id = 'cf_state_was_changed'")).toEqual(rows);
  expect(await agent.callAfresh("getState")).toEqual(changed);
  await agent.callAfresh("insertOrphanedWasChanged");
  expect(await agent.sql("SELECT * FROM cf_agents_state")).toEqual(rows);
  expect(await agent.call("getState")).toEqual(STANDARD);
});

test("TestStateAgentNoInitial has no state, no frame of it and no row until one is set", async () => {
  const agent = await Subject.of("TestStateAgentNoInitial");
  expect(await agent.answers("getState")).toEqual([{ success: true, done: true }]);
  expect([await agent.call("getStateRowCount"), await agent.call("getStateRowIds")]).toEqual([0, []]);
  for (const value of [null, 0, false, "", [1], changed]) {
    await agent.callAfresh("updateState", value);
    expect(await agent.callAfresh("getState")).toEqual(value);
  }
  expect([await agent.callAfresh("getStateRowCount"), await agent.callAfresh("getStateRowIds")]).toEqual([
    1,
    ["cf_state_row_id"],
  ]);
});

test.for(["null", "0", "false", '""', '{"a":1}'])("TestStateAgentNoInitial reads the stored text %s", async (json) => {
  const agent = await Subject.of("TestStateAgentNoInitial");
  await agent.callAfresh("insertFalsyState", json);
  expect(await agent.call("getState")).toEqual(JSON.parse(json));
  await agent.callAfresh("insertOrphanedWasChanged");
  expect(await agent.answers("getState")).toEqual([{ success: true, done: true }]);
  await agent.callAfresh("insertStateRowWithoutWasChanged", json);
  expect(await agent.call("getStateRowIds")).toEqual(["cf_state_row_id"]);
  expect(await agent.callAfresh("getState")).toEqual(JSON.parse(json));
});

test("TestStateAgentNoInitial is without state again once its row is broken", async () => {
  const agent = await Subject.of("TestStateAgentNoInitial");
  await agent.call("updateState", "fine");
  await agent.call("insertCorruptedState");
  expect(await agent.call("getState")).toBe("fine");
  expect(await agent.answers("getStateAfterCorruption")).toEqual([{ success: true, done: true }]);
  expect(await agent.call("getStateRowCount")).toBe(0);
  await agent.callAfresh("insertCorruptedState");
  expect(await agent.callAfresh("getStateAfterCorruption")).toBeUndefined();
});

test("TestThrowingStateAgent refuses -1 and hears of its own failure at -2", async () => {
  const agent = await Subject.of("TestThrowingStateAgent");
  await agent.peer.settle();
  await expect(agent.call("updateState", { ...STANDARD, count: -1 })).rejects.toThrow(
    /^Invalid state: count cannot be -1$/,
  );
  agent.peer.send(state({ ...STANDARD, count: -1 }));
  expect(await agent.peer.json()).toEqual({ type: "cf_agent_state_error", error: "State update rejected" });
  expect(await agent.call("getOnErrorCalls")).toEqual([]);
  await agent.call("updateState", { ...STANDARD, count: -2 });
  agent.peer.send(state({ count: -2 }));
  const failure = "onStateChanged failed: count cannot be -2";
  expect(await agent.call("getOnErrorCalls")).toEqual([failure, failure]);
  await agent.call("clearOnErrorCalls");
  expect(await agent.call("getOnErrorCalls")).toEqual([]);
  await agent.callAfresh("updateState", "anything else");
  await agent.callAfresh("clearOnErrorCalls");
  expect(await agent.callAfresh("getOnErrorCalls")).toEqual([]);
});

test("TestPersistedStateAgent lists what its change hook was told", async () => {
  const agent = await Subject.of("TestPersistedStateAgent", { query: "_pk=me" });
  await agent.call("updateState", changed);
  agent.peer.send(state({ count: 1 }));
  expect(await agent.call("getState")).toEqual({ count: 1 });
  expect(await agent.call("getPersistedCalls")).toEqual([
    { state: STANDARD, source: "server" },
    { state: changed, source: "server" },
    { state: { count: 1 }, source: "me" },
  ]);
  await agent.call("clearPersistedCalls");
  expect(await agent.call("getPersistedCalls")).toEqual([]);
  expect(await agent.callAfresh("getState")).toEqual({ count: 1 });
});

test("TestNoIdentityAgent sends its state and no identity", async () => {
  const { peer } = await Subject.of("TestNoIdentityAgent");
  expect(await peer.settledJson()).toEqual([state(STANDARD), MCP]);
});
