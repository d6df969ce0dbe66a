import assert from "node:assert/strict";
import { test } from "node:test";
import { checksInRust, checksInVitest } from "./coverage.mjs";

const rust = {
  "one number": ["#[test]\nfn c1_routes() {}", [1]],
  "several numbers": ["#[test]\nfn c12_c13_both() {}", [12, 13]],
  "other attributes, docs, async, visibility": [
    '/// Docs.\n#[tokio::test]\n#[should_panic(expected = "x")]\n/// More.\n#[cfg(x)]\npub(crate) async fn c1_a() {}',
    [1],
  ],
  "a function that is no test": ["fn c1_helper() {}\n#[inline]\nfn c2_helper() {}", []],
  "an ignored test": ['#[test]\n#[ignore = "slow"]\nfn c1_a() {}\n#[cfg_attr(miri, ignore)]\n#[test]\nfn c2_a() {}', []],
  "a commented-out test": ["// #[test] fn c1_a() {}\n/* /* nested */ #[test] fn c2_a() {} */", []],
  "text that looks like a test": ['let s = "#[test] fn c1_a() {}"; let r = r#"" #[test] fn c2_a() {}"#;', []],
  "code after characters and lifetimes": [`const Q: char = '"'; fn f<'a>(s: &'a str) {}\n#[test]\nfn c1_a() {}`, [1]],
  "a number elsewhere in the name": ["#[test]\nfn accepts_c1_control_characters() {}", []],
};

const vitest = {
  "one number": ['test("C1 routes", () => {});', [1]],
  "several numbers": ["it('C12, C13: both', () => {});", [12, 13]],
  "modifiers that run": ["test.concurrent(`C1 a`, () => {});", [1]],
  "a table": ['test.for([["a(", 1], [")", 2]])("C1 %s", () => {});', [1]],
  "a line break": ['test(\n  "C1 a",\n  () => {},\n);', [1]],
  "modifiers that do not run": [
    'it.skip("C1", f); test.todo("C2"); test.skipIf(x)("C3", f); it.concurrent.skip("C4", f); it.fails("C5", f);',
    [],
  ],
  "a skipped group": ['describe.skip("g", () => { it("C1", () => f(")")); });\nit("C2", f);', [2]],
  "a group": ['describe("C1 g", () => { it("C2 a", f); });', [2]],
  "a commented-out test": ['// test("C1 a", f);\n/* test("C2 a", f); */', []],
  "text that looks like a test": ["const s = 'test(\"C1 a\")';", []],
  "code after a regular expression": ['const r = /["\'(]/; const half = a / 2;\ntest("C1 a", f);', [1]],
  "another function": ['xtest("C1", f); suite.test("C2", f);', []],
  "a number elsewhere in the title": ['test("handles C1", f);', []],
};

for (const [scan, cases] of [
  [checksInRust, rust],
  [checksInVitest, vitest],
])
  for (const [name, [source, checks]] of Object.entries(cases))
    test(`${scan.name}: ${name}`, () => assert.deepEqual(scan(source), checks));
