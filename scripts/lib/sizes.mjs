import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Problem, say } from "./steps.mjs";
import { scriptFile, wasmFile } from "./wasm.mjs";

const kb = (bytes) => bytes / 1000;

/**
 * Prints the sizes of built workers, raw and compressed, and fails when one is above its budget.
 *
 * `budgetKb` is what wasm and script may weigh when they are uploaded, compressed: a ratchet, to be lowered whenever the worker
 * gets smaller.
 */
export function checkSizes(workers) {
  const weighed = workers.map((worker) => ({ ...worker, ...weigh(worker) }));
  for (const { name, wasm, whole, budgetKb } of weighed)
    say(`  ${name}: wasm ${show(wasm)}, with its script ${show(whole)}; budget ${budgetKb} KB gzip`);
  const tooHeavy = weighed.filter(({ whole, budgetKb }) => whole.gzip > budgetKb);
  if (tooHeavy.length > 0)
    throw new Problem(
      tooHeavy
        .map(({ name, whole, budgetKb }) => `${name} is ${(whole.gzip - budgetKb).toFixed(1)} KB over its budget (scripts/lib/workers.mjs)`)
        .join("\n"),
    );
}

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
