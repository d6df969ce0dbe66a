import { expect, test } from "vitest";
import { checksum, fresh, pattern, state } from "../support/peer";
import { connect, join, journal } from "../support/workerd";

/** What the message hook got, in order, without the lines about connecting. */
async function heard(name: string): Promise<string[]> {
  const lines = await journal("counter", name);
  return lines.filter((line) => line.startsWith("message a: ")).map((line) => line.slice("message a: ".length));
}

test("C82, C83: text and bytes reach the message hook as they are, and nothing comes back", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.send("hello");
  peer.send("Grüße 🦀");
  peer.send(Uint8Array.from([0, 1, 255]));
  peer.send(new Uint8Array());
  expect(await peer.settle()).toEqual([]);
  expect(await heard(name)).toEqual(['text "hello"', 'text "Grüße 🦀"', "bytes [0, 1, 255]", "bytes []"]);
});

const OTHER_TEXTS = ["{incomplete", "null", "[]", "{}", '""', '{"type":"x"}', '{"type":999}', "5", "", "{", "\u0000"];

test("C84, C85: whatever is no frame is the message hook's", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  for (const text of OTHER_TEXTS) peer.send(text);
  expect(await peer.settle()).toEqual([]);
  // The journal quotes like Rust, which differs from JSON in NUL alone here.
  const quoted = (text: string) => `text ${JSON.stringify(text).replace("\\u0000", "\\0")}`;
  expect(await heard(name)).toEqual(OTHER_TEXTS.map(quoted));
});

const BROKEN_CALLS = [
  '{"type":"rpc","id":"1","method":"add"}',
  '{"type":"rpc","id":"1","method":"add","args":null}',
  '{"type":"rpc","id":"1","method":"add","args":{}}',
  '{"type":"rpc","id":5,"method":"add","args":[]}',
  '{"type":"rpc","method":"add","args":[]}',
  '{"type":"rpc","id":"1","args":[]}',
];

test("C86: a broken call is the message hook's, and gets no answer", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  for (const call of BROKEN_CALLS) peer.send(call);
  expect(await peer.settle()).toEqual([]);
  expect(await heard(name)).toEqual(BROKEN_CALLS.map((text) => `text ${JSON.stringify(text)}`));
});

test("C87: a state frame without a state is the message hook's", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.send({ type: "cf_agent_state" });
  expect(await peer.ask({ do: "get-state" })).toEqual({ count: 0 });
  expect(await heard(name)).toEqual(['text "{\\"type\\":\\"cf_agent_state\\"}"']);
});

test("C88: frames never reach the message hook", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  peer.send(state(1));
  await peer.call("add", 1, 2);
  await peer.call("nope");
  expect(await peer.ask({ do: "count" })).toEqual({ seen: 1, open: 1 });
  expect(await heard(name)).toEqual([]);
});

test("C89: an error in the message hook sends nothing and closes nothing", async () => {
  const name = fresh();
  const peer = await connect(`/agents/faulty/${name}?_pk=a`);
  await peer.settle();
  peer.send("error");
  expect(await peer.settle()).toEqual([]);
  peer.send("still here");
  expect(await peer.next()).toBe("still here");
  expect(await journal("faulty", name)).toEqual(["connect a", "connection error a: SECRET error in message"]);
});

test("C90: a text of 1 MiB comes back whole", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed`);
  const text = "0123456789abcdeü".repeat(65_536).slice(0, 1_048_576);
  peer.send({ do: "echo", text });
  expect((await peer.next()) === text).toBe(true);
});

test("C90: 31 MiB of bytes arrive whole, and as many can be sent", { timeout: 30_000 }, async () => {
  const name = fresh();
  const peer = await connect(`/agents/counter/${name}?suppressed&_pk=a`);
  const bytes = pattern(31 * 1_048_576);
  peer.send(bytes);
  peer.send({ do: "bytes", count: bytes.length });
  const back = (await peer.next(30_000)) as Uint8Array;
  expect([back.length, checksum(back)]).toEqual([bytes.length, checksum(bytes)]);
  expect(await heard(name)).toEqual([`${bytes.length} bytes, checksum ${checksum(bytes)}`]);
});

test("messages of one connection enter in order, and one that waits lets the next pass", async () => {
  const peer = await connect(`/agents/counter/${fresh()}?suppressed`);
  peer.send({ do: "wait", ms: 1_000, text: "slow" });
  peer.send({ do: "echo", text: "quick" });
  expect([await peer.next(), await peer.next()]).toEqual(["quick", "slow"]);
});

// What goes out is compared with what has come in last, to save a conversion.
test("an answer is what the agent said, whatever has just come in", { timeout: 20_000 }, async () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const before: [string, (string | Uint8Array)[]][] = [
    ["hello", ["hello"]],
    ["hello", ["hello and more"]],
    ["hello", ["help!"]],
    ["hello", [bytes("hello")]],
    ["h", ["hello", "h".repeat(20_000)]],
    ["world", ["hello", `world${"ü".repeat(10_000)}`]],
    ["Grüße 🦀", ["Grüße 🦀"]],
    ["", ["", "x"]],
  ];
  for (const command of ["wait", "announce"]) {
    for (const [text, messages] of before) {
      const peer = await connect(`/agents/counter/${fresh()}?suppressed`);
      peer.send({ do: command, ms: 300, text });
      for (const message of messages) peer.send(message);
      expect(await peer.next()).toBe(text);
    }
  }
});

test("bytes that come back are those that were sent, also after others", async () => {
  const peer = await connect(`/agents/faulty/${fresh()}`);
  await peer.settle();
  const sent = [Uint8Array.from([1, 2, 3]), Uint8Array.from([1, 2, 4]), new Uint8Array(), pattern(1_024), pattern(20_000)];
  for (const message of sent) peer.send(message);
  for (const message of sent) expect(await peer.next()).toEqual(message);
});

test("NUL and lone surrogates in JSON text are values like others, or refused as a state", async () => {
  const name = fresh();
  const peer = await join(`/agents/counter/${name}?_pk=a`);
  const other = await join(`/agents/counter/${name}?_pk=b`);
  peer.send('{"type":"cf_agent_state","state":"a\\u0000b"}');
  expect(await peer.settle()).toEqual([]);
  expect(await other.settledJson()).toEqual([state("a\u0000b")]);

  peer.send('{"type":"cf_agent_state","state":"\\ud800"}');
  expect(await peer.settledJson()).toEqual([{ type: "cf_agent_state_error", error: "State update rejected" }]);
  expect(await other.settle()).toEqual([]);
  expect(await peer.ask({ do: "get-state" })).toBe("a\u0000b");

  peer.send('{"type":"rpc","id":"s","method":"add","args":["\\ud800"]}');
  expect(await peer.json()).toMatchObject({ type: "rpc", id: "s", success: false });
  peer.send('{"type":"rpc","id":"\\ud800","method":"add","args":[1,2]}');
  expect(await peer.json()).toMatchObject({ type: "rpc", id: "\ud800", success: true });
});

test.for(["RawValue", "Number"])("a state may have the name in it by which serde_json passes its %s on", async (name) => {
  const peer = await join(`/agents/counter/${fresh()}?_pk=a`);
  const sent = { [`$serde_json::private::${name}`]: "[1]" };
  peer.send(JSON.stringify({ type: "cf_agent_state", state: sent }));
  expect(await peer.settle()).toEqual([]);
  expect(await peer.ask({ do: "get-state" })).toEqual(sent);
});
