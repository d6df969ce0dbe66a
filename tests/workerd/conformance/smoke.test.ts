/** A little of everything. Runs at the worker's own compatibility date and at the newest. */
import { expect, test } from "vitest";
import { Subject, call, chunk, done } from "../../support/conformance";
import { MCP, identity, state } from "../../support/peer";
import { fetchWorker } from "../../support/workerd";

const STANDARD = { count: 0, items: [], lastUpdated: null };

test("HTTP, a connection, states, calls, an eviction, a close", async () => {
  const agent = await Subject.of("TestStateAgent", { query: "_pk=a" });
  expect([await agent.peer.json(), await agent.peer.json(), await agent.peer.json()]).toEqual([
    identity("test-state-agent", agent.name),
    state(STANDARD),
    MCP,
  ]);
  const other = await agent.connect("_pk=b");
  await other.settle();
  agent.peer.send(state({ count: 1 }));
  expect(await other.json()).toEqual(state({ count: 1 }));
  await agent.evict();
  expect(await call(other, "getState")).toEqual({ count: 1 });
  const response = await fetchWorker(`${agent.path}/echo`, { method: "POST", body: "text" });
  expect(await response.json()).toEqual({ method: "POST", body: "text", path: "echo" });
  other.close(4000, "bye");
  expect(await other.closed()).toEqual({ code: 4000, reason: "bye", wasClean: true });
  expect(await (await fetchWorker(`${agent.path}/connections`)).json()).toEqual({ count: 1 });
});

test("streams, and a close by the agent", async () => {
  const agent = await Subject.of("TestCallableAgent");
  expect(await agent.answers("streamNumbers", 2)).toEqual([chunk(0), chunk(1), done(2)]);
  expect(await agent.call("closeConnectionsForTest", 4001, "over")).toBe(1);
  expect(await agent.peer.closed()).toMatchObject({ code: 4001, reason: "over" });
});

test("a schedule runs when the alarm rings, after an eviction", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  await agent.call("createSchedule", 3600);
  await agent.sql("UPDATE cf_agents_schedules SET time = 1");
  await agent.evict();
  expect(await agent.ring()).toBe(true);
  expect(await agent.call("getSchedulesByType", "delayed")).toEqual([]);
});
