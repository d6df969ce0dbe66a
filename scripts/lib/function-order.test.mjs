import assert from "node:assert/strict";
import test from "node:test";
import { byLikeness } from "./function-order.mjs";

const body = (text) => Buffer.from(text);

test("like follows like, from the longest on", () => {
  const functions = [
    { name: "short", body: body("0123456789") },
    { name: "other", body: body("abcdefghijklmnop") },
    { name: "long", body: body("0123456789 and more of it") },
    { name: "another", body: body("bcdefghijklmn") },
  ];
  assert.deepEqual(byLikeness(functions), ["long", "short", "other", "another"]);
});

test("every function is there once, however little it has in common", () => {
  const functions = ["a", "b", "c"].map((name) => ({ name, body: body(name) }));
  assert.deepEqual(byLikeness(functions).sort(), ["a", "b", "c"]);
  assert.deepEqual(byLikeness([]), []);
});
