import { expect, test, vi } from "vitest";
import { agentClient, next, record, types, type Client } from "../support/agent-client";
import { connect, journal, order, serveFixtures } from "../support/node";
import { fresh } from "../support/peer";

serveFixtures();

const closeOf = (client: Client) => next<CloseEvent>(client, "close");

/** Has the agent close the client, and waits until it is closed. */
async function closed(client: Client, code: number, reason = "go"): Promise<CloseEvent> {
  const event = closeOf(client);
  client.send(JSON.stringify({ do: "close", code, reason }));
  return event;
}

// Seconds pass here, as they do for the client; so these wait together.
test.concurrent.for([1000, 1001, 1011, 1012, 1013])(
  "C58, C174: after %i the client comes back with its id, and is greeted again",
  { timeout: 20_000 },
  async (code) => {
    const name = fresh();
    const client = agentClient({ name, id: "same" });
    await client.ready;
    client.setState({ before: code });
    expect(await closed(client, code)).toMatchObject({ code, reason: "go" });
    const since = Date.now();
    expect(client.identified).toBe(false);
    const texts = record(client);
    await client.ready;
    expect(Date.now() - since).toBeGreaterThan(2_500);
    expect(Date.now() - since).toBeLessThan(8_000);
    await client.call("nothing");
    expect(types(texts).slice(0, 3)).toEqual(["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers"]);
    expect(client.state).toEqual({ before: code });
    const lines = await journal("counter", name);
    expect(lines.filter((line) => line === "connect same ends")).toHaveLength(2);
  },
);

test.concurrent.for([1008, 4000, 4001, 4999])(
  "C175: after %i the client stays away, and its calls are rejected",
  { timeout: 20_000 },
  async (code) => {
    const name = fresh();
    const onConnectionError = vi.fn();
    const client = agentClient({ name, id: "same", onConnectionError });
    await client.ready;
    const pending = expect(client.call("wait", [60_000])).rejects.toThrow("Connection closed");
    await closed(client, code, "for good");
    await pending;
    expect(onConnectionError).toHaveBeenCalledOnce();
    expect(client.connectionError).toMatchObject({ code, reason: "for good" });
    await order("counter", name, { do: "count" });
    // Longer than a client that comes back takes.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const lines = await journal("counter", name);
    expect(lines.filter((line) => line === "connect same begins")).toHaveLength(1);
  },
);

test.concurrent("C53: a client that is turned away while it connects stays away", { timeout: 20_000 }, async () => {
  const name = fresh();
  const client = agentClient({ name, id: "same", query: { close: "4001", reason: "Unauthorized" } });
  // Comes late: workerd keeps a TCP connection for ten seconds that was closed before the handshake was over.
  expect(await closeOf(client)).toMatchObject({ code: 4001, reason: "Unauthorized" });
  expect(client.connectionError).toMatchObject({ code: 4001, reason: "Unauthorized" });
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const lines = await journal("counter", name);
  expect(lines.filter((line) => line === "connect same begins")).toHaveLength(1);
});

test.concurrent("C54: a client whose connect hook fails tries again", { timeout: 20_000 }, async () => {
  const name = fresh();
  // Evaluated for each attempt: the second one does not fail.
  let attempts = 0;
  const client = agentClient({ name, query: () => ((attempts += 1) === 1 ? { fail: "1" } : { greet: `${attempts}` }) });
  const texts = record(client);
  expect(await closeOf(client)).toMatchObject({ code: 1011 });
  await vi.waitFor(() => expect(texts).toContain("welcome 2"), { timeout: 10_000 });
  expect(attempts).toBe(2);
});

test.concurrent("C176: what was on its way is rejected, what waited is answered after the reconnect", { timeout: 20_000 }, async () => {
  const client = agentClient({ name: fresh() });
  await client.ready;
  const underWay = expect(client.call("wait", [60_000])).rejects.toThrow("Connection closed");
  await closed(client, 1012);
  await underWay;
  const waiting = [client.call("add", [2, 3]), client.call("increment"), client.call("nope").catch(String)];
  client.setState({ while: "away" });
  expect(await Promise.all(waiting)).toEqual([5, 1, "Error: Method nope does not exist"]);
  await vi.waitFor(async () => expect(await client.call("get")).toEqual({ while: "away" }));
});

test("C177: a new socket works before the old one of the same id is gone, and after", async () => {
  const name = fresh();
  const old = await connect(`/agents/counter/${name}?_pk=same`);
  const client = agentClient({ name, id: "same" });
  await client.ready;
  expect(await client.call("increment")).toBe(1);
  await vi.waitFor(() => expect(client.state).toEqual({ count: 1 }));
  old.close(1000, "");
  await old.closed();
  expect(await client.call("increment")).toBe(2);
  await vi.waitFor(() => expect(client.state).toEqual({ count: 2 }));
  const texts = record(client);
  await order("counter", name, { do: "send-to", id: "same", text: "to the one that is left" });
  await vi.waitFor(() => expect(texts).toContain("to the one that is left"));
});

test("C177: a state of the new socket reaches the old one, and the other way round", async () => {
  const name = fresh();
  const old = await connect(`/agents/counter/${name}?_pk=same`);
  await old.settle();
  const client = agentClient({ name, id: "same" });
  await client.ready;
  client.setState("young");
  expect(await old.json()).toEqual({ type: "cf_agent_state", state: "young" });
  old.send({ type: "cf_agent_state", state: "old" });
  await vi.waitFor(() => expect(client.state).toBe("old"));
});

test.concurrent("C178: a connect hook of three seconds is waited for", { timeout: 20_000 }, async () => {
  const name = fresh();
  const client = agentClient({ name, id: "same", query: { wait: "3000" } });
  await client.ready;
  expect(await journal("counter", name)).toEqual(["connect same begins", "connect same ends"]);
});

test.concurrent("C178: one of five seconds is not, and the client tries again", { timeout: 30_000 }, async () => {
  const name = fresh();
  const onOpen = vi.fn();
  const query = vi.fn(() => ({ wait: "5000" }));
  const client = agentClient({ name, id: "same", query });
  client.addEventListener("open", onOpen);
  await vi.waitFor(() => expect(query).toHaveBeenCalledTimes(2), { timeout: 15_000 });
  expect(onOpen).not.toHaveBeenCalled();
  // The agent has seen the first attempt through, and its end. The client dials before the agent hears of it.
  await vi.waitFor(async () =>
    expect(await journal("counter", name)).toEqual([
      "connect same begins",
      "connect same ends",
      expect.stringMatching(/^close same: 1006 /),
      "connect same begins",
    ]),
  );
});

test.concurrent("C103: a client that was away finds the state that others left", { timeout: 20_000 }, async () => {
  const name = fresh();
  const client = agentClient({ name });
  await client.ready;
  await closed(client, 1012);
  await order("counter", name, { do: "set-state", state: "meanwhile" });
  await client.ready;
  expect(client.state).toBe("meanwhile");
});
