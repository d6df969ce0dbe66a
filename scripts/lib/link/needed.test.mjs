import assert from "node:assert/strict";
import test from "node:test";
import { neededExports } from "./needed.mjs";

const needed = (exports, imports) => [...neededExports(exports, imports)].sort();

test("what is imported or exported keeps its description, and nothing else does", () => {
  const exports = ["memory", "fetch_01", "__wbindgen_describe_fetch_01", "__wbindgen_describe___wbg_log_02", "__wbindgen_describe___wbg_warn_03"];
  assert.deepEqual(needed(exports, ["__wbg_log_02"]), [
    "__wbindgen_describe___wbg_log_02",
    "__wbindgen_describe_fetch_01",
    "fetch_01",
    "memory",
  ]);
});

test("a description of a type stays, as nothing bears its name", () => {
  const union = "__wbindgen_describe___wbg_dynamic_union_kind_0_0a_mail";
  assert.deepEqual(needed([union], []), [union]);
});

test("a class that is handed over nowhere goes with all its members", () => {
  const members = ["__wbindgen_describe_r2range_ends_0a", "__wbg_get_r2range_offset_0a", "__wbg_r2range_free_0a", "r2range_ends_0a"].sort();
  assert.deepEqual(needed(members, []), []);
  assert.deepEqual(needed(members, ["__wbg_r2range_new_0b"]), members);
});

test("a class of the worker stays: a function may return it", () => {
  const members = ["__wbg_counter_free_0a", "counter_add_0a"];
  assert.deepEqual(needed(members, []), members);
});
