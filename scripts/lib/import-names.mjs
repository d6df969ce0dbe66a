import { importNames, withImportNames } from "./wasm-names.mjs";

/**
 * Gives what the wasm imports from its script short names, in both: `{ wasm, script }`.
 *
 * wasm-bindgen's names are long and end in 16 digits that no compression makes shorter.
 */
export function withShortImports(wasm, script) {
  // A name that the script has elsewhere too may be something else there.
  const words = script.match(/\b__wb\w+/g) ?? [];
  const isOnce = (name) => words.indexOf(name) !== -1 && words.indexOf(name) === words.lastIndexOf(name);
  const names = new Map(importNames(wasm).filter(isOnce).map((name, index) => [name, `_${index.toString(36)}`]));
  return { wasm: withImportNames(wasm, names), script: script.replace(/\b__wb\w+/g, (word) => names.get(word) ?? word) };
}
