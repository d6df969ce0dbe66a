import { expect, test } from "vitest";
import { Subject, type Json } from "../../support/conformance";

const seconds = () => Math.floor(Date.now() / 1000);

/** Makes a schedule due without waiting for its time. */
const makeDue = (agent: Subject, id: string) =>
  agent.sql("UPDATE cf_agents_schedules SET time = ? WHERE id = ?", seconds() - 1, id);

/** A Unix time in seconds, give or take two. */
const about = (time: number) => ({
  asymmetricMatch: (actual: unknown) => typeof actual === "number" && Math.abs(actual - time) <= 2,
});

const record = (agent: Subject, id: string) => agent.callAfresh<Json | undefined>("getStoredScheduleById", id);

test("records of each kind, by id and by kind", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  const atMs = Date.now() + 7_200_000;
  const ids = {
    delayed: await agent.callAfresh<string>("createSchedule", 3600),
    interval: await agent.callAfresh<string>("createIntervalSchedule", 600),
    cron: await agent.callAfresh<string>("createCronSchedule", "0 0 1 1 *"),
    scheduled: await agent.callAfresh<string>("createIdempotentScheduledSchedule", atMs),
  };
  const nextYear = Date.UTC(new Date().getUTCFullYear() + 1, 0, 1) / 1000;
  const records = {
    delayed: { callback: "testCallback", time: about(seconds() + 3600), delayInSeconds: 3600 },
    interval: { callback: "intervalCallback", time: about(seconds() + 600), intervalSeconds: 600 },
    cron: { callback: "cronCallback", time: nextYear, cron: "0 0 1 1 *" },
    scheduled: { callback: "testCallback", time: Math.floor(atMs / 1000) },
  };
  for (const type of ["delayed", "interval", "cron", "scheduled"] as const) {
    const expected = { id: ids[type], type, payload: null, ...records[type] };
    expect(await record(agent, ids[type])).toEqual(expected);
    expect(await agent.callAfresh("getSchedulesByType", type)).toEqual([expected]);
    const count = (callback: string) => agent.callAfresh("getScheduleCountByTypeAndCallback", type, callback);
    expect([await count(records[type].callback), await count("throwingCallback")]).toEqual([1, 0]);
  }
  expect(await agent.answers("getStoredScheduleById", "unknown")).toEqual([{ success: true, done: true }]);
  expect(await agent.callAfresh("cancelScheduleById", ids.cron)).toBe(true);
  expect(await agent.callAfresh("cancelScheduleById", ids.cron)).toBe(false);
  expect(await record(agent, ids.cron)).toBeUndefined();
});

test("the same request twice: cron once, unless told otherwise; one-shots twice, unless told otherwise", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  const twice = async (method: string, ...args: unknown[]) => {
    const [first, second] = [await agent.callAfresh(method, ...args), await agent.callAfresh(method, ...args)];
    return first === second ? "one" : "two";
  };
  expect(await twice("createSchedule", 3600)).toBe("two");
  expect(await twice("createIntervalSchedule", 3600)).toBe("one");
  expect(await twice("createCronSchedule", "0 0 * * *")).toBe("one");
  expect(await twice("createCronScheduleWithPayload", "0 0 * * *", "a")).toBe("one");
  expect(await twice("createCronScheduleNonIdempotent", "0 1 * * *")).toBe("two");
  expect(await twice("createIdempotentDelayedScheduleWithPayload", 3600, "a")).toBe("one");
  expect(await agent.call("getScheduleCountByTypeAndCallback", "cron", "cronCallback")).toBe(4);
  const payloads = (await agent.call<Json[]>("getSchedulesByType", "cron")).map(({ payload }) => payload);
  expect(payloads.sort()).toEqual(["a", null, null, null]);
  const other = await Subject.of("TestScheduleAgent");
  const kept = await other.call("createIdempotentDelayedSchedule", 3600);
  expect(await other.call("createIdempotentDelayedSchedule", 60)).toBe(kept);
});

test("refused: an interval of nothing, text that is no cron", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  for (const nothing of [0, -5])
    await expect(agent.call("createIntervalSchedule", nothing)).rejects.toThrow(
      /^intervalSeconds must be a positive number$/,
    );
  await expect(agent.call("createIntervalSchedule", 2_592_001)).rejects.toThrow(
    /^intervalSeconds cannot exceed 2592000 seconds \(30 days\)$/,
  );
  await expect(agent.call("createCronSchedule", "every day")).rejects.toThrow("Invalid cron expression");
  expect(await agent.call("getStoredAlarm")).toBeNull();
});

test("the alarm stands at the next schedule, and can be moved beneath the library", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  const near = (time: number) => expect.toSatisfy((at: number) => Math.abs(at - time) < 2_000);
  const { alarm, id } = await agent.call<{ alarm: number; id: string }>("createIntervalScheduleAndReadAlarm", 600);
  expect(alarm).toEqual(near(Date.now() + 600_000));
  expect(await record(agent, id)).toMatchObject({ type: "interval" });
  await agent.callAfresh("clearStoredAlarm");
  expect(await agent.call("getStoredAlarm")).toBeNull();
  // The next schedule sets it again, also one that is there already.
  await agent.call("createSchedule", 3600);
  expect(await agent.call("getStoredAlarm")).toEqual(near(Date.now() + 600_000));
  const later = Date.now() + 3_600_000;
  await agent.callAfresh("setStoredAlarm", later);
  expect(await agent.call("getStoredAlarm")).toBe(later);
  await agent.call("createIntervalSchedule", 600);
  expect(await agent.call("getStoredAlarm")).toEqual(near(Date.now() + 600_000));
  await agent.call("setStoredAlarm", later);
  expect(await agent.ring()).toBe(true);
  expect(await agent.callAfresh("getStoredAlarm")).toEqual(near(Date.now() + 600_000));
});

test("a ring runs what is due: a one-shot is gone, an interval and a cron are ahead again", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  const oneShot = await agent.call<string>("createSchedule", 3600);
  const kept = await agent.call<string>("createSchedule", 3600);
  const interval = await agent.call<string>("createIntervalSchedule", 600);
  const throwing = await agent.call<string>("createThrowingIntervalSchedule", 700);
  const cron = await agent.call<string>("createCronSchedule", "0 0 1 1 *");
  for (const id of [oneShot, interval, throwing, cron]) await makeDue(agent, id);
  await agent.evict();
  expect(await agent.ring()).toBe(true);
  expect(await record(agent, oneShot)).toBeUndefined();
  expect(await record(agent, kept)).toBeDefined();
  expect(await record(agent, interval)).toMatchObject({ time: about(seconds() + 600) });
  expect(await record(agent, throwing)).toMatchObject({ time: about(seconds() + 700) });
  expect(await record(agent, cron)).toMatchObject({ time: Date.UTC(new Date().getUTCFullYear() + 1, 0, 1) / 1000 });
});

test("stale rows run at the next ring, those of an unknown callback too", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  await agent.callAfresh("insertStaleDelayedRows", 12, "testCallback");
  const rows = await agent.call<Json[]>("getSchedulesByType", "delayed");
  expect(rows.map(({ id }) => id).sort()).toEqual(Array.from({ length: 12 }, (_, n) => `stale-${n}`).sort());
  for (const row of rows) expect(row.time).toEqual(about(seconds() - 60));
  const alarm = await agent.call<number>("getStoredAlarm");
  expect(Math.abs(alarm - Date.now() - 1_000)).toBeLessThan(1_000);
  await agent.ring();
  expect(await agent.callAfresh("getSchedulesByType", "delayed")).toEqual([]);
  await agent.call("insertStaleDelayedRows", 1, "nobody");
  await agent.ring();
  expect(await agent.callAfresh("getScheduleCountByTypeAndCallback", "delayed", "nobody")).toBe(0);
});

test.for([
  ["plain failure", false, 0],
  ["Durable Object reset because its code was updated.", true, 1],
  ["Network connection lost.", true, 1],
] as const)("a one-shot that fails with %j: handler failed %j, %i rows left", async ([message, threw, remaining]) => {
  const agent = await Subject.of("TestScheduleAgent");
  expect(await agent.callAfresh("runOneShotThrowingForTest", message)).toEqual({ threw, remaining });
});

test("failures of memory in a row: the third drops the row; a clean alarm begins anew", async () => {
  const agent = await Subject.of("TestScheduleAgent");
  const message = "Durable Object's isolate exceeded its memory limit and was reset.";
  expect(await agent.call("getAlarmStrikesForTest")).toBe(0);
  const strike = () => agent.callAfresh("runOneShotThrowingForTest", message);
  const strikes = () => agent.callAfresh("getAlarmStrikesForTest");
  expect([await strike(), await strikes()]).toEqual([{ threw: false, remaining: 1 }, 1]);
  await agent.callAfresh("runCleanAlarmForTest");
  expect(await strikes()).toBe(0);
  expect([await strike(), await strikes()]).toEqual([{ threw: false, remaining: 1 }, 1]);
  expect([await strike(), await strikes()]).toEqual([{ threw: false, remaining: 1 }, 2]);
  expect([await strike(), await strikes()]).toEqual([{ threw: false, remaining: 0 }, 0]);
});

test.for([
  [[{ kind: "succeed" }], { threw: false, remaining: 0, calls: 1 }],
  [[], { threw: false, remaining: 0, calls: 1 }],
  [[{ kind: "throw", message: "once" }], { threw: false, remaining: 0, calls: 2 }],
  [Array(5).fill({ kind: "throw", message: "always" }), { threw: false, remaining: 0, calls: 3 }],
  [Array(5).fill({ kind: "throw-retryable", message: "busy" }), { threw: true, remaining: 1, calls: 3 }],
  [Array(5).fill({ kind: "throw-wrapped", message: "Network connection lost." }), { threw: true, remaining: 1, calls: 3 }],
  [Array(5).fill({ kind: "throw-wrapped", message: "syntax error" }), { threw: false, remaining: 0, calls: 3 }],
] as const)("a one-shot with the steps %j: %j", async ([steps, outcome]) => {
  const agent = await Subject.of("TestScheduleAgent");
  expect(await agent.callAfresh("runOneShotSequenceForTest", steps, 3)).toEqual(outcome);
  expect(await agent.callAfresh("getSchedulesByType", "delayed")).toEqual([]);
});

test("TestDestroyScheduleAgent is gone after its schedule, and begins anew", async () => {
  const agent = await Subject.of("TestDestroyScheduleAgent", { query: "protocol=false" });
  expect(await agent.call("scheduleSelfDestructingAlarm")).toBe("scheduled");
  const [row] = await agent.sql<{ time: number }>("SELECT time FROM cf_agents_schedules");
  expect(row?.time).toEqual(about(seconds() + 86_400));
  await agent.evict();
  await agent.sql("UPDATE cf_agents_schedules SET time = ?", seconds() - 1);
  await agent.ring();
  expect(await agent.peer.closed()).toBeDefined();
  const again = await Subject.of("TestDestroyScheduleAgent", { name: agent.name });
  expect(await again.peer.settledJson()).toContainEqual({ type: "cf_agent_state", state: { status: "unscheduled" } });
  expect(await again.call("scheduleSelfDestructingAlarm", 3600)).toBe("scheduled");
});
