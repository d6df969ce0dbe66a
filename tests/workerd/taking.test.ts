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

test("a text is taken if its bytes fit, whatever they are", () => {
  const textOf = lentAnew();
  for (const text of ["", "a", "x".repeat(ROOM), "ä", "€😀".repeat(100)]) {
    expect(textOf(take(text))).toBe(text);
    expect(take(text)).toBe(new TextEncoder().encode(text).length);
  }
  for (const text of ["x".repeat(ROOM + 1), "ä".repeat(ROOM / 2 + 1), "😀".repeat(ROOM)]) expect(take(text)).toBeNaN();
});

test("bytes are taken if they fit, and what is neither text nor bytes never", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  lend(memory, START, ROOM);
  for (const length of [0, 1, ROOM]) {
    const bytes = new Uint8Array(length).fill(length);
    expect(take(bytes.buffer)).toBe(-1 - length);
    expect(new Uint8Array(memory.buffer, START, length)).toEqual(bytes);
  }
  expect(take(new ArrayBuffer(ROOM + 1))).toBeNaN();
  expect(take(undefined)).toBeNaN();
  expect(take(null)).toBeNaN();
});

test("memory that has grown takes messages still", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  lend(memory, START, ROOM);
  const textOf = (length: number) => new TextDecoder().decode(new Uint8Array(memory.buffer, START, length));
  memory.grow(1);
  expect(textOf(take("a text"))).toBe("a text");
  memory.grow(1);
  expect(take(Uint8Array.of(1, 2, 3).buffer)).toBe(-4);
  expect(new Uint8Array(memory.buffer, START, 3)).toEqual(Uint8Array.of(1, 2, 3));
});
