import { expect, test } from "vitest";
import { fresh, greeting, state } from "../support/peer";
import { connect, evict, join, journal, order } from "../support/workerd";

const refused = { type: "cf_agent_state_error", error: "Connection is readonly" };

test("C135, C138: a readonly connection may not send a state, and gets those of others", async () => {
  const name = fresh();
  const reader = await join(`/agents/counter/${name}?readonly`);
  const writer = await join(`/agents/counter/${name}`);
  reader.send(state("mine"));
  expect([await reader.settledJson(), await writer.settle()]).toEqual([[refused], []]);
  writer.send(state("theirs"));
  await writer.settle();
  expect(await reader.settledJson()).toEqual([state("theirs")]);
});

test("C136, C137: it may call what reads, not what sets", async () => {
  const name = fresh();
  const reader = await join(`/agents/counter/${name}?readonly`);
  const writer = await join(`/agents/counter/${name}`);
  for (const [method, ...args] of [["set", 1], ["increment"]] as const)
    expect(await reader.call(method, ...args)).toMatchObject([{ success: false, error: "Connection is readonly" }]);
  expect(await reader.call("get")).toMatchObject([{ success: true, result: { count: 0 } }]);
  expect(await reader.call("add", 2, 3)).toMatchObject([{ success: true, result: 5 }]);
  expect(await writer.settle()).toEqual([]);
});

test("C136: nor set it in its message hook, or while it connects", async () => {
  const name = fresh();
  const reader = await join(`/agents/counter/${name}?readonly&_pk=r`);
  expect(await reader.ask({ do: "set-state", state: 1 })).toEqual({ error: "Connection is readonly" });
  const setter = await connect(`/agents/counter/${name}?readonly&_pk=s&set`);
  expect((await setter.closed()).code).toBe(1011);
  expect(await reader.next()).toBe("s left, 1 open");
  expect(await reader.ask({ do: "get-state" })).toEqual({ count: 0 });
  expect(await journal("counter", name)).toContain("connection error s: Connection is readonly");
});

test("C139: what changes at run time holds from the next message on", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}`);
  for (const readonly of [true, false, true]) {
    expect(await peer.ask({ do: "readonly", readonly })).toBe("done");
    const frames = await peer.call("set", readonly);
    expect(frames.at(-1)).toMatchObject({ success: !readonly });
    peer.send(state("mine"));
    expect(await peer.settledJson()).toEqual(readonly ? [refused] : []);
  }
});

test("C140: readonly survives hibernation, switched off too", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?readonly`);
  await evict("counter", name);
  peer.send(state("mine"));
  expect(await peer.settledJson()).toEqual([refused]);
  await peer.ask({ do: "readonly", readonly: false });
  await evict("counter", name);
  peer.send(state("mine"));
  expect(await peer.settledJson()).toEqual([]);
  expect((await peer.call("get")).at(-1)).toMatchObject({ result: "mine" });
});

test("C141, C142: a suppressed connection gets what is sent and no protocol, after hibernation too", async () => {
  const name = fresh();
  const quiet = await connect(`/agents/counter/${name}?suppressed&_pk=quiet`);
  const usual = await join(`/agents/counter/${name}?_pk=usual`);
  for (let wake = 0; wake < 2; wake += 1) {
    await order("counter", name, { do: "set-state", state: wake });
    await order("counter", name, { do: "broadcast", text: "to all" });
    await order("counter", name, { do: "send-to", id: "quiet", text: "to you" });
    expect(await quiet.settle()).toEqual(["to all", "to you"]);
    expect(await usual.settle()).toEqual([JSON.stringify({ state: wake, type: "cf_agent_state" }), "to all"]);
    expect(await quiet.ask({ do: "whoami" })).toMatchObject({ protocol: false });
    expect(await usual.ask({ do: "whoami" })).toMatchObject({ protocol: true });
    await evict("counter", name);
  }
});

test("C141: the state it sends goes to the others", async () => {
  const name = fresh();
  const quiet = await connect(`/agents/counter/${name}?suppressed`);
  const usual = await join(`/agents/counter/${name}`);
  quiet.send(state("from quiet"));
  expect(await quiet.settle()).toEqual([]);
  expect(await usual.settledJson()).toEqual([state("from quiet")]);
});

test("C143: a reconnect decides both anew", async () => {
  const name = fresh();
  const path = `/agents/counter/${name}?_pk=same`;
  const first = await connect(`${path}&suppressed&readonly`);
  expect(await first.ask({ do: "whoami" })).toMatchObject({ protocol: false, readonly: true });
  first.close(1000, "");
  await first.closed();
  const second = await connect(path);
  expect(await second.settledJson()).toEqual(greeting(name));
  expect(await second.ask({ do: "whoami" })).toMatchObject({ protocol: true, readonly: false });
});
