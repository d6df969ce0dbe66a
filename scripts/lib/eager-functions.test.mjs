import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { withEagerFunctions } from "./eager-functions.mjs";
import { inRoot } from "./paths.mjs";

const declared = (name, exported = "") => `${exported}function ${name}(arg0, len) {\n    if (len) {\n        return arg0;\n    }\n}\n`;

test("functions that a first request calls are in parentheses, and no others", () => {
  const parenthesized = (name, exported = "") =>
    `${exported}const ${name} = (function(arg0, len) {\n    if (len) {\n        return arg0;\n    }\n});\n`;
  for (const [name, exported] of [["isLikeNone"], ["take", "export "], ["durableObject", "export "]])
    assert.equal(withEagerFunctions(declared(name, exported)), parenthesized(name, exported));
  for (const text of [declared("debugString"), declared("send_text", "export "), `async ${declared("take")}`])
    assert.equal(withEagerFunctions(text), text);
});

test("so are arrow functions", () => {
  const text = 'export const take_url = (request) => take_text(request.url);\n\nconst lines = (text) =>\n  text.split("\\n");\n';
  const expected = 'export const take_url = ((request) => take_text(request.url));\n\nconst lines = ((text) =>\n  text.split("\\n"));\n';
  assert.equal(withEagerFunctions(text), expected);
  assert.equal(withEagerFunctions("const pair = () => 1;\nconst taken = NaN;\n"), "const pair = () => 1;\nconst taken = NaN;\n");
});

test("so are functions around imports of the wasm", () => {
  const imported = (name, around = (text) => text) =>
    `        ${name}: ${around("function(arg0) {\n            if (arg0) {\n            }\n        }")},\n`;
  const inside = (text) => `(${text})`;
  const [query, init, other] = ["__wbg_query_0123456789abcdef", "__wbindgen_init_externref_table", "__wbg_stream_0123456789abcdef"];
  const text = imported(query) + imported(other) + imported(init);
  assert.equal(withEagerFunctions(text), imported(query, inside) + imported(other) + imported(init, inside));
});

test("the JavaScript of the framework loads, and exports what it did", async () => {
  const module = async (text) => import(`data:text/javascript,${encodeURIComponent(text)}`);
  for (const name of ["crates/durable-agents/src/workerd/glue.js", "crates/durable-agents/src/workerd/steps.js"]) {
    const text = readFileSync(inRoot(name), "utf8").replace('import * as workers from "cloudflare:workers";', "const workers = {};");
    const eager = withEagerFunctions(text);
    assert.notEqual(eager, text);
    assert.deepEqual(Object.keys(await module(eager)), Object.keys(await module(text)));
  }
});
