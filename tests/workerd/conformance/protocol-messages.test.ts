import { expect, test } from "vitest";
import { Subject, answers, call, failed } from "../../support/conformance";
import { MCP, identity, state } from "../../support/peer";

test("protocol=false and readonly=true do as they say, apart and together", async () => {
  const agent = await Subject.of("TestProtocolMessagesAgent", { query: "_pk=both" });
  expect(await agent.peer.settledJson()).toEqual([
    identity("test-protocol-messages-agent", agent.name),
    state({ count: 0 }),
    MCP,
  ]);
  const silent = await agent.connect("_pk=silent&protocol=false");
  const neither = await agent.connect("_pk=neither&protocol=false&readonly=true");
  const odd = await agent.connect("_pk=odd&protocol=true&readonly=1");
  expect([await silent.settle(), await neither.settle()]).toEqual([[], []]);
  expect(await odd.settle()).toHaveLength(3);
  const flags = async (id: string) => [
    await agent.callAfresh("checkProtocolEnabled", id),
    await agent.callAfresh("checkReadonly", id),
  ];
  expect(await flags("both")).toEqual([true, false]);
  expect(await flags("silent")).toEqual([false, false]);
  expect(await flags("neither")).toEqual([false, true]);
  expect(await flags("odd")).toEqual([true, false]);
  expect(await flags("nobody")).toEqual([null, null]);
  expect(await call(silent, "incrementCount")).toBe(1);
  expect(await answers(neither, "incrementCount")).toEqual([failed("Connection is readonly")]);
  expect([await silent.settle(), await neither.settle()]).toEqual([[], []]);
  expect(await call(silent, "getMyConnectionId")).toBe("silent");
  expect(await agent.callAfresh("getState")).toEqual({ count: 1 });
});

test("the state of a connection is its user's, beside both flags", async () => {
  const agent = await Subject.of("TestProtocolMessagesAgent", { query: "_pk=me" });
  await agent.connect("_pk=other&readonly=true&protocol=false");
  const report = (state: unknown) => ({ state, isProtocolEnabled: false, isReadonly: true });
  const merge = "setConnectionUserStateCallback";
  expect(await agent.callAfresh("getConnectionUserState", "other")).toEqual(report(null));
  expect(await agent.callAfresh(merge, "other", { a: 1 })).toEqual(report({ a: 1 }));
  expect(await agent.callAfresh(merge, "other", { b: 2 })).toEqual(report({ a: 1, b: 2 }));
  expect(await agent.callAfresh("setConnectionUserState", "other", { c: 3 })).toEqual(report({ c: 3 }));
  expect(await agent.callAfresh("getConnectionUserState", "other")).toEqual(report({ c: 3 }));
  expect(await agent.call("getConnectionUserState", "nobody")).toBeNull();
  for (const method of ["setConnectionUserState", merge]) expect(await agent.call(method, "nobody", {})).toBeNull();
});

test("its state can be forgotten while connections stay open; the next look sets it again", async () => {
  const agent = await Subject.of("TestProtocolMessagesAgent");
  expect(await agent.call("incrementCount")).toBe(1);
  await agent.callAfresh("resetStateForLazyInitTest");
  expect(await agent.sql("SELECT * FROM cf_agents_state")).toEqual([]);
  await agent.peer.settle();
  expect(await agent.call("getState")).toEqual({ count: 0 });
});
