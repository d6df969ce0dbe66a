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
  assert.match(text, new RegExp(`^import \\{ own, take \\} from "${glue.replaceAll(".", "\\.")}";$`, "m"));
  assert.match(text, /^export const Counter = durableObject\(wasm\.Counter, "Counter", own, take\);$/m);
});

test("an event that wasm-bindgen had to call otherwise is exported under its own name", () => {
  const text = entryPoint("function fetch2(request, env, context) {\n}\nexport { fetch2 as fetch }\n");
  assert.match(text, /^export default \{ fetch: wasm\.fetch \};$/m);
});

const INSTANCE = "\nlet __wbg_instance_id = 0;\n";
const MEMORY = `${INSTANCE}let cachedInt32ArrayMemory0 = null;\n`;
const GUARD = `${INSTANCE}\nfunction __wbg_call_guard() {\n    look();\n}\n`;

test("the guard is there for everybody, and begins with a quick look", () => {
  const text = exposed(GUARD + MEMORY);
  assert.match(text, /^export function __wbg_call_guard\(\) \{\n {4}if \(.*cachedInt32ArrayMemory0.* === 0 && .*\) return;\n {4}look\(\);$/m);
  assert.throws(() => exposed(MEMORY), /there is no .*__wbg_call_guard/);
  assert.throws(() => exposed(GUARD), /there is no .*cachedInt32ArrayMemory0/);
});

test("the number of the wasm instance is there for everybody", () => {
  assert.match(exposed(GUARD + MEMORY), /^export let __wbg_instance_id = 0;$/m);
  assert.throws(() => exposed((GUARD + MEMORY).replaceAll(INSTANCE, "\n")), /there is no .*__wbg_instance_id/);
});

test("the quick look finds a trapped instance, grown memory and a scheduled restart", () => {
  const guard = exposed(GUARD + MEMORY).match(/^export (function __wbg_call_guard\(\) \{\n.*\n.*\n\})$/m)[1];
  const isLookedAt = new Function(
    "cachedInt32ArrayMemory0, __wbg_terminated_addr, __wbg_reinit_scheduled",
    `let looked = false; const look = () => (looked = true); ${guard} __wbg_call_guard(); return looked;`,
  );
  const memory = new Int32Array(4);
  assert.equal(isLookedAt(memory, 2, false), false);
  assert.equal(isLookedAt(memory, 2, true), true);
  assert.equal(isLookedAt(memory, undefined, false), true);
  assert.equal(isLookedAt(null, 2, false), true);
  assert.equal(isLookedAt(Int32Array.of(0, 0, 1, 0), 2, false), true);
  structuredClone(memory.buffer, { transfer: [memory.buffer] });
  assert.equal(isLookedAt(memory, 2, false), true);
});

test("the framework is told of a trap before anybody else", () => {
  const glue = "./snippets/durable-agents-0123456789abcdef/src/workerd/glue.js";
  const hook = "function __wbg_call_abort_hook() {\n    __wbg_called_abort = true;\n    try {\n";
  const text = exposed(`import { lend } from '${glue}';\n${GUARD}${MEMORY}${hook}`);
  assert.ok(text.startsWith(`import { trapped } from "${glue}";\n`));
  assert.match(text, /^ {4}__wbg_called_abort = true;\n {4}trapped\(\);\n {4}try \{$/m);
  assert.throws(() => exposed(`import { lend } from '${glue}';\n${GUARD}${MEMORY}`), /there is no .*__wbg_called_abort/);
  assert.doesNotMatch(exposed(GUARD + MEMORY + hook), /trapped/);
});

test("long strings are written at once", () => {
  const pass = "function passStringToWasm0(arg, malloc, realloc) {\n    if (realloc === undefined) {\n    }\n}\n";
  assert.match(exposed(GUARD + MEMORY + pass), /^ {4}if \(realloc === undefined \|\| arg\.length > 384\) \{$/m);
  assert.throws(() => exposed(GUARD + MEMORY + pass.replace("undefined", "null")), /there is no .*passStringToWasm0/);
});

test("an import that only hands on is what it hands on to", () => {
  const place = (name, body) => `        __wbg_${name}: function(arg0, arg1) {\n${body}        },\n`;
  const text = exposed(
    [
      "import { take, send, run } from './snippets/glue.js';\n",
      place("take", "            const ret = take(arg0, arg1);\n            return ret;\n"),
      place("send", "            send(arg0, arg1);\n"),
      place("unsigned", "            send(arg0, arg1 >>> 0);\n"),
      place("converted", "            const ret = take(arg0, arg1);\n            return !ret;\n"),
      place("longer", "            free(arg0);\n            run(arg0, arg1);\n"),
      place("other", "            const ret = fetch(arg0, arg1);\n            return ret;\n"),
      GUARD + MEMORY,
    ].join(""),
  );
  const direct = [...text.matchAll(/^ +(__wbg_\w+): (?!function)(\w+),$/gm)].map(([, name, value]) => [name, value]);
  assert.deepEqual(direct, [["__wbg_take", "take"], ["__wbg_send", "send"]]);
});

test("imports are not wrapped for engines without the tag of what JavaScript throws", () => {
  const wrapped = (end) =>
    [
      "import { take } from './snippets/glue.js';\n",
      "        __wbg_take: function() { return wrapError(function (arg0, arg1) {\n            const ret = take(arg0, arg1);\n            return ret;\n",
      `        }, arguments); }${end}\n`,
      "        __wbg_now: function() { return wrapError(function () {\n            return call(function () { return 1; }, []);\n        }, arguments); },\n",
      "        __wbindgen_jstag: __wbindgen_jstag_polyfill,\n",
      "const __wbindgen_jstag_polyfill = new WebAssembly.Tag({ parameters: ['externref'] });\n",
      "function wrapError(f, args) {\n    throw new WebAssembly.Exception(__wbindgen_jstag_polyfill, [e], { traceStack: true });\n}\n",
      GUARD + MEMORY,
    ].join("");
  const text = exposed(wrapped(","));
  assert.match(text, /^ {8}__wbg_take: take,$/m);
  assert.match(text, /^ {8}__wbg_now: function\(\) \{\n.*\n {8}\},\n {8}__wbindgen_jstag: WebAssembly\.JSTag,$/m);
  assert.doesNotMatch(text, /const __wbindgen_jstag_polyfill/);
  assert.throws(() => exposed(wrapped(" ,")), /imports are wrapped in another way/);
});

test("methods of objects leave the guard to whoever calls them, and those of other classes do not", () => {
  const stale =
    "        if (this.__wbg_inst !== undefined && this.__wbg_inst !== __wbg_instance_id) {\n            throw new Error('$&');\n        }\n";
  const guarded = (call) => `        __wbg_call_guard();\n        try {\n            ${call}\n        } catch(e) {\n        }\n`;
  const methods =
    `    fetch(request) {\n${stale}        let ret;\n${guarded("ret = wasm.counter_fetch(this.__wbg_ptr, request);")}    }\n` +
    `    free() {\n        const ptr = this.__destroy_into_raw();\n${guarded("wasm.__wbg_counter_free(ptr, 0);")}    }\n`;
  const object = `export class Counter {\n    constructor(state, env) {\n${guarded("ret = wasm.counter_new(state, env);")}    }\n${methods}}\n`;
  const other = `export class Other {\n    constructor(value) {\n    }\n${methods}}\n`;
  const text = exposed(`${object}${other}${GUARD}${MEMORY}`);
  const [first, second] = text.split("export class Other");
  assert.equal(first.match(/__wbg_call_guard\(\);/g).length, 2); // the constructor's and that of `free`
  assert.doesNotMatch(first, /__wbg_inst /);
  assert.ok(second.includes(stale) && second.includes(guarded("ret = wasm.counter_fetch(this.__wbg_ptr, request);")));
  for (const [from, to] of [[" !== undefined", " != null"], ["counter_fetch(this.__wbg_ptr", "counter_fetch(this.ptr"]])
    assert.throws(() => exposed(object.replaceAll(from, to) + GUARD + MEMORY), /methods ask in another way/);
});

const CATCH = "\nfunction __wbg_handle_catch(e) {\n}\n";
const receiving = (call) =>
  `export class Counter {\n    __receive(key, taken) {\n        let ret;\n        __wbg_call_guard();\n        try {\n            ${call}\n        } catch(e) {\n            __wbg_handle_catch(e);\n        }\n        return ret >>> 0;\n    }\n    constructor(state, env) {\n    }\n}\n`;

test("what takes a message is the function of the wasm itself", () => {
  const text = exposed(GUARD + MEMORY + CATCH + receiving("ret = wasm.counter___receive(this.__wbg_ptr, key, taken);"));
  const Counter = new Function("wasm", `${/^export (class Counter \{\n(?:.*\n)*?\})$/m.exec(text)[1]} return Counter;`);
  const wasm = { counter___receive: () => {} };
  const counter = new (Counter(wasm))();
  assert.equal(counter.__receive, wasm.counter___receive);
  assert.throws(() => exposed(GUARD + MEMORY + CATCH + receiving("ret = call(this.__wbg_ptr, key, taken);")), /__receive/);
});

test("who calls the wasm without a method can tell a trap from what JavaScript has thrown", () => {
  const object = receiving("ret = wasm.counter___receive(this.__wbg_ptr, key, taken);");
  assert.match(exposed(`${GUARD}${MEMORY}${object}${CATCH}`), /^export function __wbg_handle_catch\(e\) \{$/m);
  assert.throws(() => exposed(GUARD + MEMORY + object), /there is no .*__wbg_handle_catch/);
});

test("a function that is no event makes the worker a class", () => {
  const text = entryPoint("export function fetch() {\n}\nexport function greet() {\n}\n");
  assert.match(text, /^Entrypoint\.prototype\.fetch = function \(event\) \{ return wasm\.fetch\(event, this\.env, this\.ctx\); \};$/m);
  assert.match(text, /^Entrypoint\.prototype\.greet = wasm\.greet;$/m);
});
