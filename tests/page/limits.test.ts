import { expect, test } from "vitest";
import { nameFrom } from "../../public/place";
import { encodeChat, excessBytes, MAX_CHAT_BYTES } from "../../public/wire";

const bytes = (text: string) => new TextEncoder().encode(text).length;

test("a message is as long as its frame is in bytes", () => {
  const room = MAX_CHAT_BYTES - bytes(encodeChat(""));
  expect(excessBytes("")).toBe(0);
  expect(excessBytes("x".repeat(room))).toBe(0);
  expect(excessBytes("x".repeat(room + 1))).toBe(1);
  expect(excessBytes("\n".repeat(room / 2 + 1))).toBe(bytes(encodeChat("\n".repeat(room / 2 + 1))) - MAX_CHAT_BYTES);
  expect(excessBytes("漢".repeat(2_750))).toBe(3 * 2_750 - room);
  expect(excessBytes("🦀".repeat(room / 4))).toBe(0);
});

test.each([
  ["Ada", "Ada"],
  ["  Ada \t of\nLondon ", "Ada of London"],
  ["A\u0000da\u0007", "A da"],
  ["\u0085Ada\u009f\u007f", "Ada"],
  ["\u0000", ""],
  ["x".repeat(50), "x".repeat(40)],
  ["漢".repeat(50), "漢".repeat(40)],
  ["🦀".repeat(50), "🦀".repeat(32)],
])("the name %j is %j", (typed, name) => {
  expect(nameFrom(typed)).toBe(name);
  expect(bytes(nameFrom(typed))).toBeLessThanOrEqual(128);
  expect(nameFrom(name)).toBe(name);
});
