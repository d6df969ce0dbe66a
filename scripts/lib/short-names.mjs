import { exportNames, importNames, withExportNames, withImportNames } from "./wasm-names.mjs";

/**
 * Gives what the wasm imports from its script, and what it exports to it, short names, in both: `{ wasm, script }`.
 *
 * wasm-bindgen's names are long, and many have 16 digits that no compression makes shorter.
 */
export function withShortNames(wasm, script) {
  const names = { imports: shortImports(wasm, script), exports: shortExports(wasm, script) };
  return {
    wasm: withExportNames(withImportNames(wasm, names.imports), names.exports),
    script: script
      .replace(/\b__wb\w+/g, (word) => names.imports.get(word) ?? word)
      .replace(/(?<=\.)\w+/g, (word) => names.exports.get(word) ?? word),
  };
}

const numbered = (names) => new Map(names.map((name, index) => [name, `_${index.toString(36)}`]));

function shortImports(wasm, script) {
  // A name that the script has elsewhere too may be something else there.
  const words = script.match(/\b__wb\w+/g) ?? [];
  const isOnce = (name) => words.indexOf(name) !== -1 && words.indexOf(name) === words.lastIndexOf(name);
  return numbered(importNames(wasm).filter(isOnce));
}

/** What the script has the exports in. */
const EXPORTS = /\b(\w+)\.__wbindgen_start\(\)/;

function shortExports(wasm, script) {
  const exports = EXPORTS.exec(script)?.[1];
  const words = (pattern) => script.match(new RegExp(pattern, "g"))?.length ?? 0;
  // One that the script has elsewhere too, as `fetch`, may be something else there.
  const isOurs = (name) => words(`\\b${name}\\b`) === words(`\\b${exports}\\.${name}\\b`);
  return numbered(exportNames(wasm).filter(isOurs));
}
