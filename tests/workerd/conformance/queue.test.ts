import { expect, test } from "vitest";
import { Subject } from "../../support/conformance";

test("what is queued runs in order; a failure is dropped after one attempt", async () => {
  const agent = await Subject.of("TestQueueAgent");
  const ids = [
    await agent.call("enqueueSuccess", "a"),
    await agent.call("enqueueThrowing", "b"),
    await agent.call("enqueueSuccess", "c"),
  ];
  expect(new Set(ids.map((id) => typeof id))).toEqual(new Set(["string"]));
  expect(new Set(ids).size).toBe(3);
  expect(await agent.answers("waitForFlush", 5_000)).toEqual([{ success: true, done: true }]);
  expect(await agent.call("getQueueLength")).toBe(0);
  expect(await agent.call("getExecutedCallbacks")).toEqual(["success:a", "success:c"]);
  await agent.call("resetExecutedCallbacks");
  expect(await agent.call("getExecutedCallbacks")).toEqual([]);
});

test("every call works on an object that was just loaded", async () => {
  const agent = await Subject.of("TestQueueAgent");
  await agent.callAfresh("enqueueSuccess", "a");
  await agent.call("waitForFlush", 5_000);
  await agent.callAfresh("enqueueThrowing", "b");
  await agent.callAfresh("waitForFlush", 5_000);
  expect(await agent.callAfresh("getQueueLength")).toBe(0);
  await agent.callAfresh("resetExecutedCallbacks");
  expect(await agent.callAfresh("getExecutedCallbacks")).toEqual([]);
});

test("waitForFlush gives up when its time is over", async () => {
  const agent = await Subject.of("TestQueueAgent");
  expect(await agent.call("waitForFlush", 0)).toBeUndefined();
});
