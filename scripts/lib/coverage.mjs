import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { filesBelow } from "./inputs.mjs";
import { inRoot } from "./paths.mjs";
import { closing, without } from "./source-text.mjs";
import { Problem } from "./steps.mjs";

/** Marks of checks that a test must name: must and should, not quirk and later. */
const REQUIRED = ["M", "S"];

/**
 * Fails unless every required protocol check in scope is named by a test, as `fn c12_c13_…` in Rust or
 * `test("C12, C13: …")` in vitest. tests/checks.json lists the checks of the protocol's checklist and the scope.
 */
export function checkCoverage() {
  const { inScope, marks } = JSON.parse(readFileSync(inRoot("tests/checks.json"), "utf8"));
  const isInScope = (check) => inScope.some(([first, last]) => first <= check && check <= last);
  const named = new Set(
    ["crates", "src", "tests"].flatMap((folder) => filesBelow(inRoot(folder), isProduct).flatMap(checksNamedIn)),
  );

  const unknown = [...named].filter((check) => !(check in marks));
  if (unknown.length > 0) throw new Problem(`tests name checks that do not exist: ${list(unknown)}`);

  const required = Object.keys(marks)
    .map(Number)
    .filter((check) => REQUIRED.includes(marks[check]) && isInScope(check));
  const missing = required.filter((check) => !named.has(check));
  if (missing.length > 0)
    throw new Problem(
      `${missing.length} of the ${required.length} required protocol checks in scope are named by no test:\n${list(missing)}`,
    );
}

const list = (checks) => checks.map((check) => `C${check}`).join(" ");

const isProduct = (path) => ["build", "node_modules", "target", ".wrangler"].includes(basename(path));

function checksNamedIn(file) {
  const read = file.endsWith(".rs") ? checksInRust : /\.[cm]?[jt]sx?$/.test(file) ? checksInVitest : undefined;
  return read ? read(readFileSync(file, "utf8")) : [];
}

const numbersIn = (text) => (text.match(/\d+/g) ?? []).map(Number);

/** Numbers at the start of the names of `#[test]` functions that are not `#[ignore]`d. */
export function checksInRust(source) {
  const text = without(["comment", "string"], source, "rust");
  const functions = text.matchAll(/((?:#\[[^\]]*\]\s*)+)(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?fn\s+((?:c\d+_)+)/g);
  return [...functions]
    .filter(([, attributes]) => /#\[(?:\w+::)*test\b/.test(attributes) && !/\bignore\b/.test(attributes))
    .flatMap(([, , name]) => numbersIn(name));
}

/** Numbers at the start of the titles of tests that are run: neither they nor a `describe` around them is skipped. */
export function checksInVitest(source) {
  const text = withoutSkippedGroups(without(["comment"], source, "javascript"));
  return callsOf(text, "(?:it|test)")
    .filter(({ modifiers }) => !isSkipped(modifiers))
    .flatMap(({ title }) => numbersIn(/^C\d+(?:,\s*C\d+)*\b/.exec(title)?.[0] ?? ""));
}

const isSkipped = (modifiers) => /\.(?:skip|todo|fails|skipIf|runIf)\b/.test(modifiers);

function withoutSkippedGroups(text) {
  for (const { modifiers, open } of callsOf(text, "(?:describe|suite)")) {
    if (!isSkipped(modifiers)) continue;
    const end = closing(text, open);
    text = text.slice(0, open) + " ".repeat(end - open) + text.slice(end);
  }
  return text;
}

/** Calls like `test.for(rows).concurrent("title", …)`: what stands between name and title, the title, and its `(`. */
function callsOf(text, name) {
  const calls = [];
  const code = without(["string"], text, "javascript");
  for (const { index, 0: start } of code.matchAll(new RegExp(`(?<![\\w.$])${name}\\b`, "g"))) {
    let open = index + start.length;
    for (;;) {
      const modifier = /^\s*\.\s*\w+/.exec(text.slice(open));
      if (modifier) open += modifier[0].length;
      else if (text[open] === "(" && !/^\(\s*["'`]/.test(text.slice(open))) open = closing(text, open) + 1;
      else break;
    }
    const title = /^\(\s*(["'`])(.*?)\1/.exec(text.slice(open))?.[2];
    if (title !== undefined) calls.push({ modifiers: text.slice(index, open), title, open });
  }
  return calls;
}
