import { expect, test } from "vitest";
import { fresh } from "../support/peer";
import { connect, evict, fetchWorker, journal, PANICS, peerOf, handshake } from "../support/workerd";

const props = (value: unknown) => `start begins, props ${JSON.stringify(value)}`;

test("C34, C35: props reach the start hook of the wake they cause, and nobody else", async () => {
  const name = fresh();
  for (const [user, query] of [
    ["Usuário", "first"],
    ["other", "second"],
  ] as const) {
    const response = await fetchWorker(`/props/starter/${name}?user=${encodeURIComponent(user)}&n=${query}`);
    expect(await response.json()).toEqual({ internal: [] });
  }
  expect(await journal("starter", name)).toEqual([
    props({ user: "Usuário" }),
    "start ends",
    "request user=Usu%C3%A1rio&n=first",
    "request user=other&n=second",
  ]);
});

test("C34: props of an upgrade and of a call by name reach it too", async () => {
  const [upgraded, named] = [fresh(), fresh()];
  await connect(`/props/starter/${upgraded}?user=u&_pk=a`);
  expect(await journal("starter", upgraded)).toEqual([props({ user: "u" }), "start ends", "connect a"]);
  await fetchWorker(`/starter-by-name/${named}`);
  expect((await journal("starter", named))[0]).toBe(props({ by: "name" }));
});

const FORGED = {
  "x-agents-lifecycle-props": btoa('{"admin":true}'),
  "x-partykit-props": '{"admin":true}',
  "x-cf-agents-subagent-url": "https://example.com/agents/starter/x/sub/y/z",
};

test("C36: headers that only the router may set are taken off", async () => {
  const name = fresh();
  const response = await fetchWorker(`/agents/starter/${name}`, { headers: FORGED });
  expect(await response.json()).toEqual({ internal: [] });
  expect((await journal("starter", name))[0]).toBe(props(null));
});

test("C36: also from an upgrade, and from a request that is handed on by name", async () => {
  const [upgraded, named] = [fresh(), fresh()];
  await connect(`/agents/starter/${upgraded}`, FORGED);
  expect((await journal("starter", upgraded))[0]).toBe(props(null));
  await fetchWorker(`/starter-by-name/${named}`, { headers: FORGED });
  expect((await journal("starter", named))[0]).toBe(props({ by: "name" }));
});

test.for(PANICS ? ["fails-once", "panics-once"] : ["fails-once"])("C56: a start that %s costs that request alone", async (prefix) => {
  const name = fresh(prefix);
  const failed = await fetchWorker(`/agents/starter/${name}?first`);
  expect([failed.status, await failed.text()]).toEqual([500, "Internal Server Error"]);
  const second = await fetchWorker(`/agents/starter/${name}?second`);
  expect(second.status).toBe(200);
  const what = prefix === "fails-once" ? "the start was told to fail" : "panic: the start was told to panic";
  expect(await journal("starter", name)).toEqual([
    props(null),
    `error: ${what}`,
    props(null),
    "start ends",
    "request second",
  ]);
});

test("C56: an upgrade that meets a failing start is told so, the next one connects", async () => {
  const name = fresh("fails-once");
  const refused = await connect(`/agents/starter/${name}`);
  expect(await refused.json()).toEqual({ error: "Internal error during connection setup" });
  expect(await refused.closed()).toMatchObject({ code: 1011, reason: "Uncaught exception during session setup" });
  const peer = await connect(`/agents/starter/${name}`);
  expect(await peer.json()).toMatchObject({ type: "cf_agent_identity" });
});

test("C56: a start that fails at a message costs that message, the next one is heard on the same socket", async () => {
  const name = fresh("fails-later");
  const peer = await connect(`/agents/starter/${name}?_pk=a`);
  await peer.settle();
  await evict("starter", name);
  peer.send("one");
  peer.send("two");
  expect(await peer.next()).toBe("heard");
  const lines = await journal("starter", name);
  expect(lines.slice(3)).toEqual([
    props(null),
    "error: the start was told to fail",
    props(null),
    "start ends",
    'message a: text "two"',
  ]);
});

test("C57: one start for ten requests at once, before any of them", async () => {
  const name = fresh("slow");
  const requests = Array.from({ length: 10 }, (_, n) => fetchWorker(`/agents/starter/${name}?${n}`));
  const responses = await Promise.all(requests);
  expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200));
  const lines = await journal("starter", name);
  expect(lines.slice(0, 2)).toEqual([props(null), "start ends"]);
  expect(lines.slice(2).toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => `request ${n}`));
});

test("C57: upgrades and requests at once share one start", async () => {
  const name = fresh("slow");
  const path = `/agents/starter/${name}`;
  const upgrades = Array.from({ length: 5 }, (_, n) => handshake(`${path}?_pk=c${n}`));
  const requests = Array.from({ length: 5 }, (_, n) => fetchWorker(`${path}?${n}`));
  for (const response of await Promise.all(upgrades)) peerOf(response);
  await Promise.all(requests);
  const lines = await journal("starter", name);
  expect(lines.filter((line) => line.startsWith("start"))).toEqual([props(null), "start ends"]);
  expect(lines).toHaveLength(12);
});

test("C57: after an eviction it starts again, once, before the message that woke it", async () => {
  const name = fresh("slow");
  const peer = await connect(`/agents/starter/${name}?_pk=a`);
  await peer.settle();
  await evict("starter", name);
  peer.send("one");
  peer.send("two");
  expect([await peer.next(), await peer.next()]).toEqual(["heard", "heard"]);
  expect((await journal("starter", name)).slice(3)).toEqual([
    props(null),
    "start ends",
    'message a: text "one"',
    'message a: text "two"',
  ]);
});
