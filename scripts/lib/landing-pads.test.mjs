import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { withShortLandingPads } from "./landing-pads.mjs";
import { inPackage } from "./packages.mjs";
import { OP, codeOf } from "./wasm-code.mjs";
import { definedFunctions } from "./wasm-names.mjs";

/** A module with names, of functions around a stack that begins at 1000. */
function assembled(functions) {
  const folder = mkdtempSync(join(tmpdir(), "landing-pads-"));
  const [text, wasm] = [join(folder, "module.wat"), join(folder, "module.wasm")];
  const module = `(module
    (import "js" "call" (func $imported))
    (tag $panic)
    (memory 1)
    (table 1 funcref)
    (elem (i32.const 0) $panics)
    (global $other (mut i32) (i32.const 0))
    (global $__stack_pointer (export "stack") (mut i32) (i32.const 1000))
    (global $dropped_at (export "droppedAt") (mut i32) (i32.const 0))
    (func $panics
      (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 16)))
      (throw $panic))
    (func $drop (global.set $dropped_at (global.get $__stack_pointer)))
    ${functions})`;
  try {
    writeFileSync(text, module);
    execFileSync(process.execPath, [inPackage("binaryen", "bin", "wasm-as"), text, "-o", wasm, "-g", "-all"], { stdio: "pipe" });
    return readFileSync(wasm);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const run = (module) => new WebAssembly.Instance(new WebAssembly.Module(module), { js: { call() {} } }).exports;

/** How many instructions with that opcode a function has. */
function count(module, name, opcode) {
  const { body } = definedFunctions(module).find((defined) => defined.name === name);
  const countIn = (nodes) =>
    nodes.reduce((sum, node) => {
      const inside = [node.body ?? [], ...(node.handlers ?? []).map((handler) => handler.body)];
      return inside.reduce((sum, nodes) => sum + countIn(nodes), sum + (node.opcode === opcode));
    }, 0);
  return countIn(codeOf(body));
}

const CLEANS = `(func $cleans (local $sp i32)
  (local.set $sp (global.get $__stack_pointer))
  (try $pad
    (do (call $panics))
    (catch_all
      (global.set $__stack_pointer (local.get $sp))
      (call $drop)
      (rethrow $pad))))`;

test("what only drops and unwinds on does so deeper in the stack, and who catches restores it", () => {
  const module = assembled(`${CLEANS}
    (func $catches (export "catches") (local $sp i32)
      (local.set $sp (global.get $__stack_pointer))
      (try
        (do (call $cleans))
        (catch $panic (global.set $__stack_pointer (local.get $sp)))))`);
  const short = withShortLandingPads(module);
  assert.equal(module.length - short.length, "local.get, global.set".split(" ").length * 2);
  for (const [each, droppedAt] of [
    [module, 1000],
    [short, 984],
  ]) {
    const exports = run(each);
    exports.catches();
    assert.equal(exports.droppedAt.value, droppedAt);
    assert.equal(exports.stack.value, 1000);
  }
});

test("what does nothing else than restore the stack pointer still does", () => {
  const short = withShortLandingPads(
    assembled(`${CLEANS}
      (func $wraps (export "wraps") (local $sp i32)
        (local.set $sp (global.get $__stack_pointer))
        (try $pad
          (do (call $cleans))
          (catch_all
            (global.set $__stack_pointer (local.get $sp))
            (rethrow $pad))))`),
  );
  const exports = run(short);
  assert.throws(() => exports.wraps());
  assert.equal(exports.droppedAt.value, 984);
  assert.equal(exports.stack.value, 1000);
});

test("what goes on after an exception restores the stack pointer, however it goes on", () => {
  const catching = (name, handler) => `(func $${name} (export "${name}") (local $sp i32)
    (local.set $sp (global.get $__stack_pointer))
    (block $out (block $in
      (try $pad
        (do (call $panics))
        (catch_all
          (global.set $__stack_pointer (local.get $sp))
          (call $drop)
          ${handler})))))`;
  const module = assembled(
    [
      catching("falls", "(nop) (call $drop)"),
      catching("returns", "(if (global.get $dropped_at) (then (return))) (rethrow $pad)"),
      catching("jumps", "(block (br_if $in (i32.const 1))) (rethrow $pad)"),
      catching("switches", "(block $here (br_table $here $out (i32.const 1))) (rethrow $pad)"),
    ].join("\n"),
  );
  const exports = run(withShortLandingPads(module));
  for (const name of ["falls", "returns", "jumps", "switches"]) {
    exports[name]();
    assert.equal(exports.droppedAt.value, 1000, name);
    assert.equal(exports.stack.value, 1000, name);
  }
});

test("nothing is restored where it jumps within itself, or ends the wasm instance; other globals are set as before", () => {
  const ending = "(catch_all (global.set $__stack_pointer (local.get $sp)) (call $drop) (unreachable))";
  const handled = (name, global, handler, end = "(rethrow $pad)") => `(func $${name} (local $sp i32)
    (try $pad (do (call $panics)) (catch_all (global.set $${global} (local.get $sp)) ${handler} ${end})))`;
  const short = withShortLandingPads(
    assembled(`${handled("jumps", "__stack_pointer", "(block $here (br_if $here (i32.const 1)) (call $drop))")}
      ${handled("ends", "__stack_pointer", "(call $drop)", "(unreachable)")}
      ${handled("sets", "other", "(call $drop)")}
      ${handled("holds", "__stack_pointer", `(try (do (call $panics)) ${ending})`)}`),
  );
  assert.equal(count(short, "jumps", OP.global_set), 0);
  assert.equal(count(short, "ends", OP.global_set), 0);
  assert.equal(count(short, "holds", OP.global_set), 0);
  assert.equal(count(short, "sets", OP.global_set), 1);
});

test("there is no landing pad where nothing can unwind", () => {
  const around = (name, body) => `(func $${name} (export "${name}") (result i32)
    (block $out (result i32)
      (try $pad (do ${body}) (catch_all (call $drop) (rethrow $pad)))
      (i32.const 1)))`;
  const module = assembled(
    `(func $"__rustc[b156d17edc1169ef]::__rust_dealloc" (call $imported))
     (func $"core[59c475ea0e3a1ea9]::panicking::panic_in_cleanup" (call $imported))
     (func $hard_core::__rust_dealloc (call $imported))
     (func $calms (try (do (call $panics)) (catch_all (call $drop))))
     (func $again (call $calms))
     (func $recurs (call $recurs))
     (func $simd (drop (i32x4.splat (i32.const 1))))` +
      [
        around("quiet", "(call $drop)"),
        around("calmed", "(call $again)"),
        around("recursive", "(call $recurs)"),
        around("freeing", '(call $"__rustc[b156d17edc1169ef]::__rust_dealloc")'),
        around("ending", '(call $"core[59c475ea0e3a1ea9]::panicking::panic_in_cleanup")'),
        around("jumping", "(br $out (i32.const 2))"),
        around("delegating", "(try $inner (do (call $drop)) (delegate $pad))"),
        around("of_an_import", "(call $imported)"),
        around("of_another", "(call $hard_core::__rust_dealloc)"),
        around("by_table", "(call_indirect (i32.const 0))"),
        around("panicking", "(call $panics)"),
        around("passing_on", "(try $inner (do (call $panics)) (delegate $pad))"),
        around("not_known", "(call $simd)"),
      ].join("\n"),
  );
  const short = withShortLandingPads(module);
  const tries = (name) => [count(module, name, OP.try), count(short, name, OP.try)];
  for (const name of ["quiet", "calmed", "recursive", "freeing", "ending", "jumping"]) assert.deepEqual(tries(name), [1, 0], name);
  assert.deepEqual(tries("delegating"), [2, 0]);
  for (const name of ["of_an_import", "of_another", "by_table", "panicking", "not_known"]) assert.deepEqual(tries(name), [1, 1], name);
  assert.deepEqual(tries("passing_on"), [2, 2]);
  const exports = run(short);
  assert.equal(exports.quiet(), 1);
  assert.equal(exports.jumping(), 2);
  assert.equal(exports.delegating(), 1);
});

test("a function with an instruction that is not known is left as it is", () => {
  const pad = `(try $pad (do (call $panics)) (catch_all (global.set $__stack_pointer (local.get $sp)) (call $drop) (rethrow $pad)))`;
  const module = assembled(`(func $simd (local $sp i32) (drop (i32x4.splat (i32.const 1))) ${pad})
    (func $known (local $sp i32) ${pad})`);
  const bodyIn = (bytes, name) => definedFunctions(bytes).find((defined) => defined.name === name).body;
  const short = withShortLandingPads(module);
  assert.deepEqual(bodyIn(short, "simd"), bodyIn(module, "simd"));
  assert.equal(bodyIn(short, "known").length, bodyIn(module, "known").length - 4);
});
