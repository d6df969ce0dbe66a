import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { Problem, say } from "./steps.mjs";
import { scriptFile, wasmFile } from "./wasm.mjs";

/** What the shipped worker may weigh when it is uploaded. A ratchet: lower it whenever the worker gets smaller; the aim is 250. */
const BUDGET = { gzipKb: 305 };

const kb = (bytes) => bytes / 1000;

/** Prints the size of the shipped worker, raw and compressed, and fails when it is above its budget. */
export function checkSize({ name, outDir }) {
  const files = [wasmFile(outDir), scriptFile(outDir)].map((file) => readFileSync(file));
  const weigh = (files) => ({
    raw: kb(sum(files.map((file) => file.length))),
    gzip: kb(sum(files.map((file) => gzipSync(file, { level: 9 }).length))),
  });
  const [wasm, whole] = [weigh(files.slice(0, 1)), weigh(files)];
  say(`  ${name}: wasm ${show(wasm)}, with its script ${show(whole)}; budget ${BUDGET.gzipKb} KB gzip`);
  if (whole.gzip > BUDGET.gzipKb)
    throw new Problem(`${name} is ${(whole.gzip - BUDGET.gzipKb).toFixed(1)} KB over its budget (scripts/lib/sizes.mjs)`);
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const show = ({ raw, gzip }) => `${raw.toFixed(1)} KB (${gzip.toFixed(1)} KB gzip)`;
