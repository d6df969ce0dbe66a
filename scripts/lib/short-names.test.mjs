import assert from "node:assert/strict";
import test from "node:test";
import { withShortNames } from "./short-names.mjs";
import { exportNames, importNames } from "./wasm-names.mjs";

const text = (text) => [text.length, ...Buffer.from(text)];
const section = (id, ...content) => [id, content.length, ...content];

/** A module that imports the functions with those names and a tag, of type 0. */
const importing = (...names) => {
  const entries = names.flatMap((name) => [...text("js"), ...text(name), 0, 0]);
  return Buffer.from([
    ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 0),
    ...section(2, names.length + 1, ...entries, ...text("js"), ...text("__wbindgen_jstag"), 4, 0, 0),
    ...section(3, 1, 0),
    ...section(10, 1, 2, 0, 0x0b),
  ]);
};

test("imports have short names, the same in wasm and script", () => {
  const long = "__wbg_log_0123456789abcdef";
  const { wasm, script } = withShortNames(importing(long), `imports = { ${long}: log, __wbindgen_jstag: tag };`);
  assert.deepEqual(importNames(wasm), ["_0", "_1"]);
  assert.equal(script, "imports = { _0: log, _1: tag };");
});

test("what comes behind the imports stays as it was", () => {
  const { wasm } = withShortNames(importing("__wbg_log"), "__wbg_log()");
  assert.deepEqual(wasm, Buffer.from(importing("_0")));
});

test("a name that the script has elsewhere too, or not at all, stays", () => {
  const { wasm, script } = withShortNames(importing("__wbg_a", "__wbg_b"), "__wbg_a(__wbg_a)");
  assert.deepEqual(importNames(wasm), ["__wbg_a", "__wbg_b", "__wbindgen_jstag"]);
  assert.equal(script, "__wbg_a(__wbg_a)");
});

/** A module that exports one function by those names. */
const exporting = (...names) =>
  Buffer.from([
    ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 0),
    ...section(3, 1, 0),
    ...section(7, names.length, ...names.flatMap((name) => [...text(name), 0, 0])),
    ...section(10, 1, 2, 0, 0x0b),
  ]);

test("exports have short names, the same in wasm and script, if all that the script has of that name are theirs", () => {
  const names = ["__wbindgen_start", "counter_new", "fetch", "invoke__0123456789abcdef"];
  const script = "a=w.exports;a.counter_new(a.fetch);b.fetch();a.invoke__0123456789abcdef();a.counter_new();a.__wbindgen_start();";
  const short = withShortNames(exporting(...names), script);
  assert.deepEqual(exportNames(short.wasm), ["_0", "_1", "fetch", "_2"]);
  assert.equal(short.script, "a=w.exports;a._1(a.fetch);b.fetch();a._2();a._1();a._0();");
  assert.deepEqual(short.wasm, exporting("_0", "_1", "fetch", "_2"));
});
