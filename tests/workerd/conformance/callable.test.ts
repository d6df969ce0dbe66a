import { expect, test } from "vitest";
import { Subject, answers, call, chunk, done, failed } from "../../support/conformance";

const NO_RESULT = { success: true, done: true };

test.for([
  ["add", [2, 3], done(5)],
  ["add", [0.1, 0.2], done(0.1 + 0.2)],
  ["add", [-1.5, 1.5], done(0)],
  ["asyncMethod", [1], done("done")],
  ["delayedThrow", [1], failed("delayed failure")],
  ["throwError", ["Grüße: \"x\""], failed("Grüße: \"x\"")],
  ["voidMethod", [], NO_RESULT],
  ["returnUndefined", [], NO_RESULT],
  ["returnNull", [], done(null)],
  ["privateMethod", [], failed("Method privateMethod is not callable")],
  ["nonexistent", [], failed("Method nonexistent does not exist")],
] as const)("%s(%j) answers %j, also after an eviction", async ([method, args, answer]) => {
  const agent = await Subject.of("TestCallableAgent");
  expect(await agent.answers(method, ...args)).toEqual([answer]);
  await agent.evict();
  expect(await agent.answers(method, ...args)).toEqual([answer]);
});

test.for([
  ["streamNumbers", [3], [chunk(0), chunk(1), chunk(2), done(3)]],
  ["streamNumbers", [0], [done(0)]],
  ["streamWithDelay", [["a", "b"], 1], [chunk("a"), chunk("b"), done("complete")]],
  ["streamWithDelay", [[], 1], [done("complete")]],
  ["streamError", [], [chunk("chunk1"), failed("Stream failed")]],
  ["streamGracefulError", [], [chunk("chunk1"), failed("Graceful error")]],
  ["streamDoubleClose", [], [chunk("chunk1"), failed("First close")]],
  ["streamThrowsImmediately", [], [failed("Immediate failure")]],
] as const)("%s(%j) streams %j and nothing after it", async ([method, args, answers]) => {
  const agent = await Subject.of("TestCallableAgent");
  await agent.peer.settle();
  expect(await agent.answers(method, ...args)).toEqual(answers);
  expect(await agent.peer.settle()).toEqual([]);
  await agent.evict();
  expect(await agent.answers(method, ...args)).toEqual(answers);
});

test("numbers are written as JavaScript writes them", async () => {
  const { peer } = await Subject.of("TestCallableAgent");
  await peer.settle();
  peer.send({ type: "rpc", id: "sum", method: "add", args: [1, 2] });
  expect(await peer.next()).toContain('"result":3,');
});

test("hang never answers, and stands in nobody's way", async () => {
  const agent = await Subject.of("TestCallableAgent");
  await agent.peer.settle();
  agent.peer.send({ type: "rpc", id: "stuck", method: "hang", args: [] });
  expect(await agent.call("add", 1, 1)).toBe(2);
  expect(await agent.peer.settle()).toEqual([]);
});

test("closeConnectionsForTest answers first, then closes every connection", async () => {
  const agent = await Subject.of("TestCallableAgent");
  const other = await agent.connect();
  await answers(other, "voidMethod");
  expect(await call(agent.peer, "closeConnectionsForTest", 4001, "that is all")).toBe(2);
  for (const peer of [agent.peer, other])
    expect(await peer.closed()).toMatchObject({ code: 4001, reason: "that is all" });
});
