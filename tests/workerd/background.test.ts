import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { fresh } from "../support/peer";
import { connect, evict, join, order, sql, stub } from "../support/workerd";

const ask = <T = unknown>(name: string, command: object) => order<T>("clerk", name, command);
const journal = (name: string) => ask<string[]>(name, { do: "journal" });
const ring = (name: string) => runDurableObjectAlarm(stub("clerk", name));

/** The object's own alarm. */
const alarm = (name: string) => runInDurableObject(stub("clerk", name), (_, state) => state.storage.getAlarm());

/** Marks the object that is in memory: one that takes its place is not. */
const mark = (name: string) => runInDurableObject(stub("clerk", name), (object) => void Object.assign(object, { marked: true }));
const isMarked = (name: string) => runInDurableObject(stub("clerk", name), (object) => "marked" in object);

async function until<T>(look: () => Promise<T>, fits: (found: T) => boolean): Promise<T> {
  for (;;) {
    const found = await look();
    if (fits(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("C148: the alarm goes off by itself and runs what is due, once", async () => {
  // An hour away: an alarm within the second may have gone off before anyone has looked.
  const other = fresh();
  const { time } = await ask<{ time: number }>(other, { do: "schedule", delay_ms: 3_600_000, text: "later" });
  expect(await alarm(other)).toBe(time * 1_000);
  const name = fresh();
  const record = await ask(name, { do: "schedule", delay_ms: 1_000, text: "hello" });
  expect(record).toMatchObject({ callback: "note", payload: "hello", type: "delayed", delayInSeconds: 1 });
  expect(await until(() => journal(name), (lines) => lines.length > 0)).toEqual(["hello"]);
  expect(await ask(name, { do: "schedules" })).toEqual([]);
  expect(await alarm(name)).toBeNull();
});

test("C150: a schedule survives an eviction", async () => {
  const name = fresh();
  await ask(name, { do: "schedule", delay_ms: 3_600_000, text: "later" });
  await evict("clerk", name);
  expect(await ask(name, { do: "schedules" })).toMatchObject([{ payload: "later" }]);
  await sql("clerk", name, "UPDATE cf_agents_schedules SET time = 1");
  expect(await ring(name)).toBe(true);
  expect(await journal(name)).toEqual(["later"]);
  expect(await ring(name)).toBe(false);
});

test("C150: the alarm wakes an object that is not in memory", async () => {
  const name = fresh();
  const peer = await join(`/agents/clerk/${name}`);
  await ask(name, { do: "schedule-word", delay_ms: 2_000, text: "awake" });
  await evict("clerk", name);
  expect(await peer.next()).toBe("awake");
});

test("C153: an interval is due again after each run", async () => {
  const name = fresh();
  await ask(name, { do: "every", seconds: 3_600, text: "tick" });
  for (const lines of [["tick"], ["tick", "tick"]]) {
    await sql("clerk", name, "UPDATE cf_agents_schedules SET time = 1");
    expect(await ring(name)).toBe(true);
    expect(await journal(name)).toEqual(lines);
  }
  expect(await alarm(name)).toBeGreaterThan(Date.now() + 3_500_000);
});

test("C159: what fails for good is kept and can be put back", async () => {
  const name = fresh();
  const { id } = await ask<{ id: string }>(name, { do: "schedule-failure", text: "no", attempts: 2 });
  await until(() => ask<unknown[]>(name, { do: "dead-letters" }), (letters) => letters.length > 0);
  expect(await journal(name)).toEqual(["attempt 1", "attempt 2", "error: no"]);
  expect(await ask(name, { do: "dead-letters" })).toMatchObject([{ id, origin: "schedule", error: "no", attempts: 2 }]);
  expect(await ask(name, { do: "retry-dead-letter", id })).toBe(true);
  await until(() => journal(name), (lines) => lines.length === 6);
});

test("C162: the queue runs in order and at once", async () => {
  const name = fresh();
  await ask(name, { do: "queue-slow", ms: 20 });
  await ask(name, { do: "queue", text: "second" });
  await until(() => ask(name, { do: "queue-length" }), (length) => length === 0);
  expect(await journal(name)).toEqual(["begins 20", "ends 20", "second"]);
  expect(await alarm(name)).toBeNull();
});

test("C163: items of a lost object go on at the next wake", async () => {
  const name = fresh();
  await ask(name, { do: "queue", text: "first" });
  await until(() => ask(name, { do: "queue-length" }), (length) => length === 0);
  await evict("clerk", name);
  await sql("clerk", name, `INSERT INTO cf_agents_queues (id, payload, callback) VALUES ('x', '"left"', 'note')`);
  await evict("clerk", name);
  expect(await until(() => journal(name), (lines) => lines.length === 2)).toEqual(["first", "left"]);
});

test("a job in whose run the object ends is counted, waits, and is given up in the end", async () => {
  const name = fresh();
  const items = "SELECT setbacks, retry_at_ms FROM cf_agents_queues WHERE id = 'x'";
  await ask(name, { do: "queue", text: "first" });
  await until(() => ask(name, { do: "queue-length" }), (length) => length === 0);
  await evict("clerk", name);
  await sql("clerk", name, `INSERT INTO cf_agents_queues (id, payload, callback) VALUES ('x', 'null', 'end_object'), ('y', '"behind"', 'note')`);
  await evict("clerk", name);
  await mark(name);
  // Whoever comes while it ends meets a reset object, and what the run has written is there before that.
  await ask(name, { do: "journal" }).catch(() => undefined);
  await until(() => isMarked(name).catch(() => true), (marked) => !marked);
  const [item] = await sql("clerk", name, items);
  expect(item).toEqual({ setbacks: 1, retry_at_ms: expect.any(Number) });
  expect((item as { retry_at_ms: number }).retry_at_ms).toBeGreaterThan(Date.now());
  // It does not run again while it waits, nor what is behind it.
  expect(await ask(name, { do: "queue-length" })).toBe(2);
  expect(await journal(name)).toEqual(["first", "ends the object"]);
  await sql("clerk", name, "UPDATE cf_agents_queues SET setbacks = 20, retry_at_ms = 0 WHERE id = 'x'");
  await evict("clerk", name);
  expect(await until(() => journal(name), (lines) => lines.length === 4)).toEqual(
    ["first", "ends the object", expect.stringContaining("20 setbacks"), "behind"],
  );
  expect(await ask(name, { do: "dead-letters" })).toMatchObject([{ id: "x", origin: "queue", attempts: 20 }]);
});

test("C165: destroy closes the sockets with 1001 and leaves nothing", async () => {
  const name = fresh();
  const peer = await connect(`/agents/clerk/${name}`);
  await ask(name, { do: "set-state", state: "used" });
  await ask(name, { do: "schedule", delay_ms: 3_600_000, text: "never" });
  await peer.settle();
  expect(await ask(name, { do: "destroy" })).toBe("destroyed");
  expect(await peer.closed()).toMatchObject({ code: 1001, reason: "Durable Object destroyed" });
  // Whoever comes while it ends meets a reset object, and comes again.
  await until(() => ask(name, { do: "get-state" }).catch(() => undefined), (state) => state === "fresh");
  const tables = await sql("clerk", name, "SELECT name FROM sqlite_master WHERE name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'");
  expect(tables).toEqual([{ name: "cf_agents_state" }]);
  expect(await alarm(name)).toBeNull();
});

test("C165: an agent destroys itself by a schedule", async () => {
  const name = fresh();
  await ask(name, { do: "set-state", state: "used" });
  await ask(name, { do: "schedule-destroy" });
  await sql("clerk", name, "UPDATE cf_agents_schedules SET time = 1");
  await ring(name).catch(() => undefined);
  expect(await until(() => ask(name, { do: "get-state" }).catch(() => undefined), (state) => state === "fresh")).toBe("fresh");
  expect(await alarm(name)).toBeNull();
});

test("C166: a lease sets an alarm 30 s ahead, and the last release takes it away", async () => {
  const name = fresh();
  expect(await ask(name, { do: "keep-alive" })).toBe(1);
  const first = await ask<number>(name, { do: "alarm" });
  expect(first - Date.now()).toBeGreaterThan(25_000);
  expect(first - Date.now()).toBeLessThanOrEqual(30_000);
  expect(await ring(name)).toBe(true);
  expect(await alarm(name)).toBeGreaterThanOrEqual(first);
  expect(await ask(name, { do: "release" })).toBe(0);
  expect(await alarm(name)).toBeNull();
});

test("an agent without background work has no alarm and no table", async () => {
  const name = fresh();
  await ask(name, { do: "keep-alive" });
  await ask(name, { do: "release" });
  expect(await sql("clerk", name, "SELECT name FROM sqlite_master WHERE name GLOB 'cf_agents*'")).toEqual([]);
});
