import assert from "node:assert/strict";
import test from "node:test";
import { definedFunctions, withFunctionNames } from "./wasm-names.mjs";

const text = (text) => [text.length, ...Buffer.from(text)];
const section = (id, ...content) => [id, content.length, ...content];

/** One imported function and two defined ones, with names. */
const named = (...names) =>
  Buffer.from([
    ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 0),
    ...section(2, 1, ...text("js"), ...text("log"), 0, 0),
    ...section(3, 2, 0, 0),
    ...section(10, 2, 2, 0, 0x0b, 3, 0, 0x01, 0x0b),
    ...section(0, ...text("name"), ...section(1, names.length, ...names.flatMap((name, index) => [index, ...text(name)]))),
  ]);

test("functions are known by their names, behind those that are imported", () => {
  assert.deepEqual(definedFunctions(named("log", "first", "second")), [
    { index: 1, name: "first", body: Buffer.from([0, 0x0b]) },
    { index: 2, name: "second", body: Buffer.from([0, 0x01, 0x0b]) },
  ]);
});

test("functions get other names, and nothing else changes", () => {
  const renamed = withFunctionNames(named("log", "first", "second"), (name) => name.toUpperCase());
  assert.deepEqual(renamed, named("LOG", "FIRST", "SECOND"));
});
