import assert from "node:assert/strict";
import test from "node:test";
import { entryPoint, exposed } from "./entry-point.mjs";

const CLASS = "export class Counter {\n    constructor(state, env) {\n    }\n}\n";

test("events and objects are exported, what is internal is not", () => {
  const text = entryPoint(`${CLASS}export function __worker_init_state() {\n}\nexport function fetch(request, env, context) {\n}\n`);
  assert.match(text, /^export default \{ fetch: wasm\.fetch \};$/m);
  assert.match(text, /^export const Counter = durableObject\(wasm\.Counter, "Counter"\);$/m);
});

test("objects of the framework take their messages by its own JavaScript", () => {
  const glue = "./snippets/durable-agents-0123456789abcdef/src/workerd/glue.js";
  const text = entryPoint(`import { lend, take } from '${glue}'\n${CLASS}`);
  assert.match(text, new RegExp(`^import \\* as glue from "${glue.replaceAll(".", "\\.")}";$`, "m"));
  assert.match(text, /^export const Counter = durableObject\(wasm\.Counter, "Counter", glue\);$/m);
});

test("an event that wasm-bindgen had to call otherwise is exported under its own name", () => {
  const text = entryPoint("function fetch2(request, env, context) {\n}\nexport { fetch2 as fetch }\n");
  assert.match(text, /^export default \{ fetch: wasm\.fetch \};$/m);
});

test("the guard is there for everybody, and long strings are written at once", () => {
  const pass = "function passStringToWasm0(arg, malloc, realloc) {\n    if (realloc === undefined) {\n    }\n}\n";
  const text = exposed(`\nfunction __wbg_call_guard() {\n}\n${pass}`);
  assert.match(text, /^export function __wbg_call_guard\(\)/m);
  assert.match(text, /^ {4}if \(realloc === undefined \|\| arg\.length > 384\) \{$/m);
  assert.throws(() => exposed(pass), /there is no .*__wbg_call_guard/);
  assert.throws(() => exposed(`\nfunction __wbg_call_guard() {\n}\n${pass.replace("undefined", "null")}`), /there is no .*passStringToWasm0/);
});

test("a function that is no event makes the worker a class", () => {
  const text = entryPoint("export function fetch() {\n}\nexport function greet() {\n}\n");
  assert.match(text, /^Entrypoint\.prototype\.fetch = function \(event\) \{ return wasm\.fetch\(event, this\.env, this\.ctx\); \};$/m);
  assert.match(text, /^Entrypoint\.prototype\.greet = wasm\.greet;$/m);
});
