import { expect, test } from "vitest";
import { lend, take, take_url } from "../../crates/durable-agents/src/workerd/glue.js";

const START = 64;
const ROOM = 1_024;

function lentAnew() {
  const memory = new WebAssembly.Memory({ initial: 1 });
  lend(memory, START, ROOM);
  return (length: number) => new TextDecoder().decode(new Uint8Array(memory.buffer, START, length));
}

const requestOf = (name: string) => new Request(`https://example.com/agents/any/${name}`);

test("a URL is in the lent memory, whatever was taken before it", () => {
  const textOf = lentAnew();
  const others = [
    () => take_url(requestOf("a")),
    () => take_url(requestOf("b")),
    () => take("a message"),
    () => take(Uint8Array.of(1, 2, 3).buffer),
    () => take("ä".repeat(ROOM)), // overwrites what was there, and does not fit
    () => take("x".repeat(ROOM + 1)),
  ];
  for (const other of others) {
    other();
    const { url } = requestOf("a");
    expect(textOf(take_url(requestOf("a")))).toBe(url);
    expect(textOf(take_url(requestOf("a")))).toBe(url);
  }
});

test("memory of a new wasm instance has none of what the one before has taken", () => {
  lentAnew();
  take_url(requestOf("a"));
  const textOf = lentAnew();
  expect(textOf(take_url(requestOf("a")))).toBe(requestOf("a").url);
});

test("memory that has grown has the URL still", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  lend(memory, START, ROOM);
  const length = take_url(requestOf("a"));
  memory.grow(1);
  expect(take_url(requestOf("a"))).toBe(length);
  expect(new TextDecoder().decode(new Uint8Array(memory.buffer, START, length))).toBe(requestOf("a").url);
});
