import { expect, test } from "vitest";
import { Subject, answers, call, failed } from "../../support/conformance";
import { state } from "../../support/peer";

test("a connection is readonly exactly when its URL has readonly=true", async () => {
  const agent = await Subject.of("TestReadonlyAgent", { query: "_pk=writer" });
  for (const [id, query, expected] of [
    ["a", "readonly=true", true],
    ["b", "readonly=false", false],
    ["c", "readonly", false],
    ["d", "readonly=TRUE", false],
  ] as const) {
    await agent.connect(`_pk=${id}&${query}`);
    expect(await agent.call("checkReadonly", id), query).toBe(expected);
  }
  expect(await agent.call("checkReadonly", "nobody")).toBeNull();
  expect(await agent.callAfresh("checkReadonly", "a")).toBe(true);
});

test("it can be switched, and only allowed changes are listed", async () => {
  const agent = await Subject.of("TestReadonlyAgent", { query: "_pk=writer" });
  const reader = await agent.connect("_pk=reader&readonly=true");
  expect(await answers(reader, "incrementCount")).toEqual([failed("Connection is readonly")]);
  expect(await call(reader, "getMyConnectionId")).toBe("reader");
  expect(await agent.call("incrementCount")).toBe(1);
  expect(await agent.call("setReadonly", "reader", false)).toEqual({ success: true, readonly: false });
  expect(await agent.call("setReadonly", "nobody", true)).toEqual({ success: false });
  expect(await call(reader, "incrementCount")).toBe(2);
  reader.send(state({ count: 10 }));
  expect(await call(reader, "getState")).toEqual({ count: 10 });
  expect(await agent.call("getStateUpdateAttempts")).toEqual([
    { source: "server", count: 0, allowed: true },
    { source: "server", count: 1, allowed: true },
    { source: "server", count: 2, allowed: true },
    { source: "reader", count: 10, allowed: true },
  ]);
  expect(await agent.callAfresh("setReadonly", "reader", true)).toEqual({ success: true, readonly: true });
  await agent.evict();
  expect(await answers(reader, "incrementCount")).toEqual([failed("Connection is readonly")]);
  expect(await agent.callAfresh("incrementCount")).toBe(11);
  expect(await agent.callAfresh("getState")).toEqual({ count: 11 });
  expect(await agent.callAfresh("getMyConnectionId")).toBe("writer");
  expect(await agent.callAfresh("getStateUpdateAttempts")).toEqual([]);
});

test("the state of a connection is its user's, beside the flag", async () => {
  const agent = await Subject.of("TestReadonlyAgent", { query: "_pk=me" });
  await agent.connect("_pk=other&readonly=true");
  expect(await agent.call("getConnectionUserState", "other")).toEqual({ state: null, isReadonly: true });
  expect(await agent.call("getConnectionUserState", "nobody")).toBeNull();
  for (const method of ["setConnectionUserState", "setConnectionUserStateCallback"])
    expect(await agent.call(method, "nobody", {})).toBeNull();
  const set = (state: object) => ({ state, isReadonly: true });
  const merge = "setConnectionUserStateCallback";
  expect(await agent.callAfresh(merge, "other", { a: 1 })).toEqual(set({ a: 1 }));
  expect(await agent.callAfresh(merge, "other", { b: { c: 2 } })).toEqual(set({ a: 1, b: { c: 2 } }));
  expect(await agent.callAfresh(merge, "other", { b: 3 })).toEqual(set({ a: 1, b: 3 }));
  expect(await agent.callAfresh("setConnectionUserState", "other", { d: 4 })).toEqual(set({ d: 4 }));
  expect(await agent.callAfresh("getConnectionUserState", "other")).toEqual(set({ d: 4 }));
  expect(await agent.call("getConnectionUserState", "me")).toEqual({ state: null, isReadonly: false });
});
