import { expect, test } from "vitest";
import { fresh, state, type Peer } from "../support/peer";
import { connect, FAILURES, fetchWorker, join, journal, PANICS } from "../support/workerd";

const CONNECT_FAILED = '{"error":"Internal error during connection setup"}';

const told = (kind: string, place: string) => (kind === "panic" ? `panic: SECRET in ${place}` : `SECRET error in ${place}`);

/** An agent with a connection, a neighbour of the same class, and one of another: none may notice anything. */
async function bystanders(agent = "faulty", name = fresh()) {
  const peers = [
    await join(`/agents/${agent}/${name}?_pk=stays`),
    await join(`/agents/faulty/${fresh()}?_pk=neighbour`),
    await join(`/agents/counter/${fresh()}?_pk=other`),
  ];
  return {
    name,
    unharmed: async () => {
      for (const peer of peers) expect(await peer.settle()).toEqual([]);
      const [stays, neighbour, other] = peers as [Peer, Peer, Peer];
      stays.send("still here");
      expect(await stays.next()).toBe("still here");
      neighbour.send("here too");
      expect(await neighbour.next()).toBe("here too");
      expect(await other.ask({ do: "count" })).toEqual({ seen: 1, open: 1 });
    },
  };
}

const expectNoInternals = (text: string) => expect(text).not.toMatch(/SECRET|panic|\.rs|wasm|stack|at /i);

test.for(FAILURES)("C19: a request handler that ends in %s costs that request alone", async (kind) => {
  const { name, unharmed } = await bystanders();
  const response = await fetchWorker(`/agents/faulty/${name}?request=${kind}`);
  const body = await response.text();
  expect([response.status, body]).toEqual([500, "Internal Server Error"]);
  expectNoInternals(JSON.stringify([...response.headers]));
  expect((await fetchWorker(`/agents/faulty/${name}`)).status).toBe(200);
  expect(await journal("faulty", name)).toEqual(["connect stays", `error: ${told(kind, "request")}`]);
  await unharmed();
});

test.for(FAILURES)("C89: a message hook that ends in %s costs that message alone", async (kind) => {
  const { name, unharmed } = await bystanders();
  const peer = await join(`/agents/faulty/${name}?_pk=a`);
  for (let n = 0; n < 3; n += 1) {
    peer.send(kind);
    peer.send(`after ${n}`);
  }
  expect(await peer.settle()).toEqual(["after 0", "after 1", "after 2"]);
  const line = `connection error a: ${told(kind, "message")}`;
  expect((await journal("faulty", name)).slice(2)).toEqual([line, line, line]);
  await unharmed();
});

test.runIf(PANICS)("a trap costs its event, and every object of the isolate goes on in a new wasm instance", async () => {
  const name = fresh();
  const peer = await join(`/agents/faulty/${name}?_pk=stays`);
  const neighbour = await join(`/agents/faulty/${fresh()}?_pk=neighbour`);
  for (let n = 0; n < 2; n += 1) {
    peer.send("trap");
    for (const socket of [peer, neighbour]) {
      socket.send(`still here ${n}`);
      expect(await socket.next()).toBe(`still here ${n}`);
    }
    expect((await fetchWorker(`/agents/faulty/${name}`)).status).toBe(200);
  }
});

test.runIf(PANICS)("a panic after a wait costs that message alone", async () => {
  const { name, unharmed } = await bystanders();
  const peer = await join(`/agents/faulty/${name}?_pk=a`);
  peer.send("later");
  peer.send("meanwhile");
  expect(await peer.next()).toBe("meanwhile");
  await expect.poll(() => journal("faulty", name)).toContain("connection error a: panic: SECRET in message, after a wait");
  peer.send("after");
  expect(await peer.settle()).toEqual(["after"]);
  await unharmed();
});

test.for(FAILURES)("C54, C55: a connect hook that ends in %s costs that connection alone", async (kind) => {
  const { name, unharmed } = await bystanders();
  const peer = await connect(`/agents/faulty/${name}?_pk=a&connect=${kind}`);
  const frames = await peer.settle();
  expect(frames.at(-1)).toBe(CONNECT_FAILED);
  expectNoInternals(frames.join());
  expect(await peer.closed()).toMatchObject({ code: 1011, reason: "Uncaught exception during session setup" });
  // The close hook waits for the client's answer to the close frame.
  const lines = ["connect stays", "connect a", `connection error a: ${told(kind, "connect")}`, "close a 1011"];
  await expect.poll(() => journal("faulty", name)).toEqual(lines);
  await unharmed();
});

test.for(FAILURES.flatMap((kind) => ["tags", "readonly", "protocol"].map((hook) => [hook, kind] as const)))(
  "C54: the decision about %s that ends in %s costs that connection alone, and leaves nothing",
  async ([hook, kind]) => {
    const { name, unharmed } = await bystanders();
    const peer = await connect(`/agents/faulty/${name}?_pk=a&${hook}=${kind}`);
    expect(await peer.settle()).toEqual([CONNECT_FAILED]);
    expect((await peer.closed()).code).toBe(1011);
    // No connect hook, so no close hook.
    expect(await journal("faulty", name)).toEqual(["connect stays", `connection error a: ${told(kind, hook)}`]);
    await unharmed();
  },
);

test.for(FAILURES)("C104: a validation that ends in %s refuses the state", async (kind) => {
  const { name, unharmed } = await bystanders();
  const peer = await join(`/agents/faulty/${name}?_pk=a`);
  peer.send(state({ validate: kind }));
  expect(await peer.settledJson()).toEqual([{ type: "cf_agent_state_error", error: "State update rejected" }]);
  await unharmed();
  expect((await (await connect(`/agents/faulty/${name}`)).settledJson())[1]).toEqual(state({}));
});

test.for(FAILURES)("C106: a change hook that ends in %s undoes nothing", async (kind) => {
  const name = fresh();
  const [a, b] = [await join(`/agents/faulty/${name}?_pk=a`), await join(`/agents/faulty/${name}?_pk=b`)];
  a.send(state({ changed: kind }));
  expect([await a.settle(), await b.settledJson()]).toEqual([[], [state({ changed: kind })]]);
  expect(await journal("faulty", name)).toContain(`error: ${told(kind, "change hook")}`);
  expect((await (await connect(`/agents/faulty/${name}`)).settledJson())[1]).toEqual(state({ changed: kind }));
});

test.runIf(PANICS)("a callable that panics answers without internals, and the next call is answered", async () => {
  const { name, unharmed } = await bystanders();
  const peer = await join(`/agents/faulty/${name}`);
  for (const method of ["panic", "panic_at_once"]) {
    const frames = await peer.call(method);
    expect(frames).toMatchObject([{ type: "rpc", success: false }]);
    expectNoInternals(JSON.stringify({ ...frames[0], id: "" }));
    expect(await peer.call("fail")).toMatchObject([{ success: true, result: "did not fail" }]);
  }
  await unharmed();
});

test.runIf(PANICS)("a callable that meets a panic in the validation, or in the initial state, answers without internals", async () => {
  const { name, unharmed } = await bystanders();
  for (const [room, method] of [
    [name, "set"],
    [fresh("initial-panics"), "get"],
  ]) {
    const peer = await connect(`/agents/faulty/${room}?suppressed`);
    const frames = await peer.call(method as string, { validate: "panic" });
    expect(frames).toMatchObject([{ type: "rpc", success: false }]);
    expectNoInternals(JSON.stringify({ ...frames[0], id: "" }));
  }
  await unharmed();
});

test("a callable that fails answers with its own words", async () => {
  const peer = await join(`/agents/faulty/${fresh()}`);
  expect(await peer.call("fail", "no such room")).toMatchObject([{ success: false, error: "no such room" }]);
});

test.runIf(PANICS)("work beside an event that panics costs that work alone", async () => {
  const { name, unharmed } = await bystanders();
  expect((await fetchWorker(`/agents/faulty/${name}?work`)).status).toBe(200);
  await expect.poll(() => journal("faulty", name)).toContain("error: panic: SECRET in work beside the event");
  await unharmed();
});

test.runIf(PANICS)("C56: a constructor that panics costs that event, the next one builds again", async () => {
  const name = fresh("new-panics-once");
  const failed = await fetchWorker(`/agents/faulty/${name}`);
  expect([failed.status, await failed.text()]).toEqual([500, "Internal Server Error"]);
  expect(await journal("faulty", name)).toEqual(["built", "built"]);
});

test.runIf(PANICS)("an initial state that panics costs the connects that need it", async () => {
  const { unharmed } = await bystanders();
  const name = fresh("initial-panics");
  const peer = await connect(`/agents/faulty/${name}?_pk=a`);
  expect(await peer.settle()).toEqual([CONNECT_FAILED]);
  expect(await journal("faulty", name)).toEqual(["connection error a: panic: SECRET in initial state"]);
  await unharmed();
});

test.runIf(PANICS)("an error hook that panics itself changes nothing for anyone", async () => {
  const { name, unharmed } = await bystanders("faulty", fresh("hook-panics"));
  const response = await fetchWorker(`/agents/faulty/${name}?request=error`);
  expect([response.status, await response.text()]).toEqual([500, "Internal Server Error"]);
  const peer = await join(`/agents/faulty/${name}?_pk=hook-panics`);
  peer.send("panic");
  peer.send("after");
  expect(await peer.settle()).toEqual(["after"]);
  expect((await journal("faulty", name)).slice(1)).toEqual([
    "error: SECRET error in request",
    "connect hook-panics",
    "connection error hook-panics: panic: SECRET in message",
  ]);
  await unharmed();
});

test.runIf(PANICS)("100 panics in a row leave an isolate that works", async () => {
  const { name, unharmed } = await bystanders();
  const peer = await join(`/agents/faulty/${name}`);
  for (let n = 0; n < 100; n += 1) peer.send("panic");
  peer.send("count");
  expect(await peer.settle()).toEqual(["2"]);
  const requests = Array.from({ length: 20 }, () => fetchWorker(`/agents/faulty/${name}?request=panic`));
  expect((await Promise.all(requests)).map(({ status }) => status)).toEqual(Array(20).fill(500));
  await unharmed();
});
