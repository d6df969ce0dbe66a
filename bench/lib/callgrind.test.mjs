import assert from "node:assert/strict";
import test from "node:test";
import { sumsOf } from "./callgrind.mjs";

test("events are added up over all threads", () => {
  const dump = [
    "# callgrind format",
    "events: Ir I1mr D1mw",
    "fn=(1) work",
    "0 900 90 9",
    "totals: 1000 100 10",
    "",
    "events: Ir I1mr D1mw",
    "totals: 20 2",
    "",
  ].join("\n");
  assert.deepEqual([...sumsOf(dump)], [["Ir", 1020], ["I1mr", 102], ["D1mw", 10]]);
});
