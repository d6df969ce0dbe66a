import { withEagerFunctions } from "./eager-functions.mjs";

/**
 * The worker's entry point around what wasm-bindgen wrote, instead of worker-build's, for builds that unwind.
 *
 * worker-build puts a Proxy around the worker and around each object, so that an object finds its way into a new wasm instance
 * after a trap (a stack overflow, memory that ran out; a panic is none). That costs several traps of the Proxy for each event,
 * and a class and a Proxy for each request. Here an object is a plain class that asks, before each event, whether the wasm
 * instance is still its own.
 */

/** Events of a worker that need no class. */
const EVENTS = ["connect", "email", "fetch", "queue", "scheduled"];

/** Functions of wasm-bindgen and of the `worker` crate that are no events. */
const isInternal = (name) => name.startsWith("__");

/** The classes, each with the text that declares it. */
function classesIn(bindings) {
  const classes = /^(?:export )?class (\w+) \{\n(.*?)^\}\n(?:if \(Symbol\.dispose\)[^\n]*\n)?/gms;
  return [...bindings.matchAll(classes)].map(([text, name, body]) => ({ name, text, body }));
}

/** Durable Objects are what the platform constructs; other classes come from functions. */
const isDurableObject = ({ body }) => /^ {4}constructor\(\w+, \w+\) \{$/m.test(body);

/**
 * What wasm-bindgen wrote, with a quick guard for everybody, which objects ask once an event, long strings written at once, imports of
 * JavaScript and what takes a message without a function around them, without classes that nobody can construct and nothing mentions, and
 * with what is called at once compiled at once.
 *
 * Much of the JavaScript is interpreted, and each function that it calls costs it a frame of the interpreter.
 */
export function exposed(bindings) {
  return CHANGES.reduce((text, change) => change(text), bindings);
}

/** Around each import, for engines without the tag of what JavaScript throws: two more functions and the list of their arguments a call. */
const WRAPPED = /: function\(\) \{ return wrapError\(function \((?=[\w, ]*\) \{$)/gm;
const END_OF_WRAPPED = /^( +\}), arguments\); \}(?=,$)/gm;
const POLYFILL = "__wbindgen_jstag: __wbindgen_jstag_polyfill,";
const TAG = /^const __wbindgen_jstag_polyfill = .*\n/m;

/** workerd has that tag, so that imports need no wrapping: wasm-bindgen does it where exceptions are `try` and `catch`. */
function withNativeTag(bindings) {
  if (!bindings.includes("__wbindgen_jstag_polyfill")) return bindings;
  const text = changed(bindings, POLYFILL, "__wbindgen_jstag: WebAssembly.JSTag,")
    .replace(WRAPPED, ": function(")
    .replace(END_OF_WRAPPED, "$1")
    .replace(TAG, "");
  if (/wrapError\(function|, arguments\); \}/.test(text)) throw new Error("wasm-bindgen has changed: imports are wrapped in another way");
  return text;
}

const INSTANCE = "\nlet __wbg_instance_id = 0;\n";

/** What counts the instances of the wasm, for everybody. */
const withInstance = (bindings) => changed(bindings, INSTANCE, INSTANCE.replace("let", "export let"));

const GUARD = "\nfunction __wbg_call_guard() {\n";
const MEMORY = "let cachedInt32ArrayMemory0 = null;";

/**
 * The guard, for everybody. It begins with what nearly always holds: the instance has not trapped, and its memory has not grown since
 * the last look, which would make the element `undefined`.
 */
function withQuickGuard(bindings) {
  if (!bindings.includes(MEMORY)) throw new Error(`wasm-bindgen has changed: there is no ${JSON.stringify(MEMORY)}`);
  const isFine = "cachedInt32ArrayMemory0?.[__wbg_terminated_addr] === 0 && !__wbg_reinit_scheduled";
  return changed(bindings, GUARD, `\nexport function __wbg_call_guard() {\n    if (${isFine}) return;\n`);
}

const CATCH = "\nfunction __wbg_handle_catch(";

/** What decides whether an exception of the wasm was thrown in it or by JavaScript, or is a trap, and throws what it was. */
const withCatch = (bindings) =>
  RECEIVES.test(bindings) ? changed(bindings, CATCH, CATCH.replace("function", "export function")) : bindings;

const ABORTED = "__wbg_called_abort = true;\n";

/** Tells the framework of a trap, as soon as the wasm has ended. */
function withNewsOfTraps(bindings) {
  const glue = glueIn(bindings);
  if (!glue) return bindings;
  return `import { trapped } from "${glue}";\n${changed(bindings, ABORTED, `${ABORTED}    trapped();\n`)}`;
}

/** Functions that do nothing but call a function of an imported module with what they are called with. */
const DETOUR = /^( +\w+: )function\(([\w, ]*)\) \{\n +(?:const ret = )?(\w+)\(\2\);\n(?: +return ret;\n)? +\}/gm;

function withDirectImports(bindings) {
  const names = [...bindings.matchAll(/^import \{ ([\w, ]+) \} from/gm)].flatMap(([, names]) => names.split(", "));
  return bindings.replace(DETOUR, (text, place, _, name) => (names.includes(name) ? place + name : text));
}

/** What asks whether the wasm instance is still the one of the object, and whether it has trapped. */
const STALE = / {8}if \(this\.__wbg_inst !== undefined && this\.__wbg_inst !== __wbg_instance_id\) \{\n.*\n {8}\}\n/g;
const GUARDED = /^ {8}__wbg_call_guard\(\);\n(?= {8}try \{\n {12}(?:ret = )?wasm\.\w+\(this\.__wbg_ptr\b)/gm;

/** Whether there is any of it left but the guards of constructor and `free`. */
const isAsked = (body) => /\bthis\.__wbg_inst\b/.test(body) || body.split("__wbg_call_guard()").length > 3;

const RECEIVES = /^ {4}__receive\(/m;

/** What takes a message: no method, but the function of the wasm that it would call. */
const RECEIVE = /^ {4}__receive\([^)]*\) \{\n(?: {5,}.*\n)*? +ret = (wasm\.\w+)\(this\.__wbg_ptr\b.*\n(?: {5,}.*\n)*? {4}\}$/m;

/** Objects are called by `durable-object.js` alone, which has asked both just before, and knows what to do with what `__receive` throws. */
function withUnguardedObjects(bindings) {
  const bare = (body) => {
    const text = body.replace(STALE, "").replace(GUARDED, "").replace(RECEIVE, "    get __receive() {\n        return $1;\n    }");
    if (RECEIVES.test(text)) throw new Error("wasm-bindgen has changed: `__receive` calls the wasm in another way");
    if (isAsked(text)) throw new Error("wasm-bindgen has changed: methods ask in another way for the instance that runs");
    return text;
  };
  return classesIn(bindings)
    .filter(isDurableObject)
    .reduce((text, { body }) => text.replace(body, () => bare(body)), bindings);
}

const withoutUnused = (bindings) =>
  classesIn(bindings)
    .filter(({ body }) => !/^ {4}constructor\(/m.test(body))
    .reduce(withoutClass, bindings);

/** The loop over the characters of a string is for short ones: a megabyte takes it a millisecond more than `TextEncoder`. */
function withLongStrings(bindings) {
  const name = "function passStringToWasm0(arg, malloc, realloc) {\n";
  const isWhole = "    if (realloc === undefined";
  return bindings.includes(name) ? changed(bindings, name + isWhole, `${name}${isWhole} || arg.length > 384`) : bindings;
}

const CHANGES = [
  withNativeTag,
  withInstance,
  withQuickGuard,
  withCatch,
  withNewsOfTraps,
  withLongStrings,
  withDirectImports,
  withUnguardedObjects,
  withoutUnused,
  withEagerFunctions,
];

function changed(bindings, from, to) {
  if (!bindings.includes(from)) throw new Error(`wasm-bindgen has changed: there is no ${JSON.stringify(from)}`);
  return bindings.replace(from, to);
}

function withoutClass(bindings, { name, text }) {
  const finalization = new RegExp(`^const ${name}Finalization = (?:.*\\n)+?\\}\\);\\n`, "m");
  const rest = bindings.replace(text, "").replace(finalization, "");
  return new RegExp(`\\b${name}\\b`).test(rest) ? bindings : rest;
}

/** Names of exported functions: a name that JavaScript has too, like `fetch`, is one that the function is exported as. */
function exportedFunctions(bindings) {
  return [
    ...bindings.matchAll(/^export (?:async )?function (\w+)/gm),
    ...bindings.matchAll(/^export \{ \w+ as (\w+) \}/gm),
  ].map(([, name]) => name);
}

/** The framework's own JavaScript, if this is a worker with agents. */
const glueIn = (bindings) => / from ["'](\.\/snippets\/durable-agents-\w+\/src\/workerd\/glue\.js)["']/.exec(bindings)?.[1];

/** The text of the entry point for the module `./index.js` with that text. */
export function entryPoint(bindings) {
  const functions = exportedFunctions(bindings).filter((name) => !isInternal(name));
  const objects = classesIn(bindings).filter(isDurableObject).map(({ name }) => name);
  const ofWorker = functions.every((name) => EVENTS.includes(name))
    ? `export default { ${functions.map((name) => `${name}: wasm.${name}`).join(", ")} };`
    : [
        "class Entrypoint extends WorkerEntrypoint {}",
        ...functions.map((name) =>
          EVENTS.includes(name)
            ? `Entrypoint.prototype.${name} = function (event) { return wasm.${name}(event, this.env, this.ctx); };`
            : `Entrypoint.prototype.${name} = wasm.${name};`,
        ),
        "export default Entrypoint;",
      ].join("\n");
  const glue = glueIn(bindings);
  return [
    'import { WorkerEntrypoint } from "cloudflare:workers";',
    'import * as wasm from "./index.js";',
    'import { durableObject } from "./snippets/durable-object.js";',
    ...(glue ? [`import { own, take } from "${glue}";`] : []),
    ofWorker,
    ...objects.map((name) => `export const ${name} = durableObject(wasm.${name}, "${name}"${glue ? ", own, take" : ""});`),
    "",
  ].join("\n");
}
