import { expect, test } from "vitest";
import { Subject } from "../../support/conformance";

test("leases are counted, and lost with the memory; no schedule is made for them", async () => {
  const agent = await Subject.of("TestKeepAliveAgent");
  expect(await agent.call("getCurrentAlarm")).toBeNull();
  expect(await agent.call("stopKeepAlive")).toBe("stopped");
  for (const count of [1, 2]) {
    expect(await agent.call("startKeepAlive")).toBe("started");
    expect(await agent.call("getKeepAliveRefCount")).toBe(count);
  }
  const alarm = await agent.call<number>("getCurrentAlarm");
  expect(Math.abs(alarm - Date.now() - 30_000)).toBeLessThan(2_000);
  expect(await agent.call("getScheduleCount")).toBe(0);
  for (const count of [1, 0, 0]) {
    expect(await agent.call("stopKeepAlive")).toBe("stopped");
    expect(await agent.call("getKeepAliveRefCount")).toBe(count);
  }
  expect(await agent.call("getCurrentAlarm")).toBeNull();
  await agent.call("startKeepAlive");
  expect(await agent.callAfresh("getKeepAliveRefCount")).toBe(0);
});

test("the alarm rings on while a lease is held, and goes back to the next schedule after it", async () => {
  const agent = await Subject.of("TestKeepAliveAgent");
  await agent.call("scheduleFarFutureTask", 3600);
  const far = await agent.call<number>("getCurrentAlarm");
  expect(Math.abs(far - Date.now() - 3_600_000)).toBeLessThan(2_000);
  await agent.call("startKeepAlive");
  expect(await agent.ring()).toBe(true);
  expect(await agent.call<number>("getCurrentAlarm")).toBeLessThan(far);
  await agent.call("stopKeepAlive");
  expect(await agent.call("getCurrentAlarm")).toBe(far);
  expect(await agent.callAfresh("getScheduleCount")).toBe(1);
});

test("a job under a lease ends it, well or badly", async () => {
  const agent = await Subject.of("TestKeepAliveAgent");
  expect(await agent.callAfresh("runWithKeepAliveWhile")).toBe("completed");
  expect(await agent.callAfresh("runWithKeepAliveWhileError")).toBe("caught");
  expect(await agent.call("getKeepAliveRefCount")).toBe(0);
  expect(await agent.callAfresh("getCurrentAlarm")).toBeNull();
});
