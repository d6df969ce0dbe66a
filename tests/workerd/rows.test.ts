import { expect, test } from "vitest";
import { batch_text, next_blob, next_cells, query } from "../../crates/durable-agents/src/workerd/glue.js";
import { fresh } from "../support/peer";
import { connect } from "../support/workerd";

/** What an agent gets for a query: names of columns and rows. */
async function look(sql: string): Promise<{ columns: string[]; rows: unknown[][] }> {
  const peer = await connect(`/agents/desk/${fresh()}`);
  const [reply] = (await peer.call("look", sql)) as [{ result: { columns: string[]; rows: unknown[][] } }];
  return reply.result;
}

test("cells of all kinds come as what they are", async () => {
  const { columns, rows } = await look(`
    SELECT 1 AS whole, -2.5 AS fraction, 9e999 AS infinite, 'ä€😀' AS text, '' AS empty, x'00ff7f' AS blob, x'' AS no_bytes, NULL AS missing
    UNION ALL SELECT 9007199254740991, 1.0, -9e999, 'plain', '😀', NULL, x'01', 'last'`);
  expect(columns).toEqual(["whole", "fraction", "infinite", "text", "empty", "blob", "no_bytes", "missing"]);
  expect(rows).toEqual([
    [1, { real: "-2.5" }, { real: "inf" }, "ä€😀", "", [0, 255, 127], [], null],
    [9_007_199_254_740_991, 1, { real: "-inf" }, "plain", "😀", null, [1], "last"],
  ]);
});

test("what takes many batches comes whole and in order", async () => {
  const { rows } = await look(`
    WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 60)
    SELECT n, printf('%.*c', n * 100, 'x') || '€😀' || n, CAST(printf('%.*c', n, 'b') AS BLOB) FROM count`);
  expect(rows).toEqual(
    Array.from({ length: 60 }, (_, at) => {
      const n = at + 1;
      return [n, `${"x".repeat(n * 100)}€😀${n}`, Array.from({ length: n }, () => 98)];
    }),
  );
});

/** A database that finds these cells in one column. */
const finding = (...cells: unknown[]) => ({
  exec: () => ({ columnNames: ["cell"], rowsWritten: 0, raw: () => ({ toArray: () => cells.map((cell) => [cell]) }) }),
});

test("no batch holds much more than a cell beyond its limit", () => {
  const [long, blob] = ["x".repeat(40_000), new ArrayBuffer(2)];
  query(finding(long, long, blob, 1, null, long), "SELECT cell", []);
  // Behind the three numbers of the first and the name of the column: kinds, and lengths of texts.
  expect([next_cells(), batch_text()]).toEqual([[0, 1, 7, 2, 4, 2, 40_000, 2, 40_000], `cell${long}${long}`]);
  expect([next_cells(), batch_text(), next_blob()]).toEqual([[3, 1, 1, 0, 2, 40_000], long, blob]);
  expect(next_cells()).toEqual([]);

  query(finding(...Array.from({ length: 50_000 }, (_, n) => n)), "SELECT cell", []);
  const lengths = [next_cells(), next_cells(), next_cells()].map((batch) => batch.length);
  // Two numbers for each cell, and five at the beginning; a text of four letters.
  expect(lengths).toEqual([65_533, 34_472, 0]);
});
