import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Problem, say } from "./steps.mjs";
import { scriptFile, wasmFile } from "./wasm.mjs";

const kb = (bytes) => bytes / 1000;

/**
 * Prints the sizes of built workers, raw and compressed, and fails when one is above its budget.
 *
 * `budgetKb` is what wasm and script may weigh together when they are uploaded, compressed, `wasmBudgetKb` what the wasm may weigh alone:
 * ratchets, to be lowered whenever the worker gets smaller.
 */
export function checkSizes(workers) {
  const weighed = workers.map((worker) => ({ ...worker, ...weigh(worker) }));
  for (const worker of weighed)
    say(`  ${worker.name}: wasm ${show(worker.wasm)}, with its script ${show(worker.whole)}; budget ${budgetsOf(worker).map(told).join(", ")}`);
  const tooHeavy = weighed.flatMap((worker) =>
    budgetsOf(worker)
      .filter(({ size, kb }) => size > kb)
      .map(({ size, kb }) => `${worker.name} is ${(size - kb).toFixed(1)} KB over its budget (scripts/lib/workers.mjs)`),
  );
  if (tooHeavy.length > 0) throw new Problem(tooHeavy.join("\n"));
}

const budgetsOf = ({ wasm, whole, wasmBudgetKb, budgetKb }) =>
  [
    { size: whole.gzip, kb: budgetKb, of: "" },
    { size: wasm.gzip, kb: wasmBudgetKb, of: " of wasm" },
  ].filter(({ kb }) => kb !== undefined);

const told = ({ kb, of }) => `${kb} KB gzip${of}`;

function weigh({ outDir }) {
  const files = [wasmFile(outDir), scriptFile(outDir)].map((file) => readFileSync(file));
  const of = (files) => ({
    raw: kb(sum(files.map((file) => file.length))),
    gzip: kb(sum(files.map((file) => gzipSync(file, { level: 9 }).length))),
  });
  return { wasm: of(files.slice(0, 1)), whole: of(files) };
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const show = ({ raw, gzip }) => `${raw.toFixed(1)} KB (${gzip.toFixed(1)} KB gzip)`;
