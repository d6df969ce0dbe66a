/** Initials on a colour that belongs to the name, so a person looks the same in every window. */

import { element } from "./dom";

/** As many as `style.css` has `[data-hue]` rules. */
const HUES = 12;

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

export function avatar(name: string): HTMLElement {
  const created = element("span", "avatar", initials(name));
  created.dataset.hue = String(hueOf(name));
  // The name always stands beside it, or in a label around it.
  created.ariaHidden = "true";
  return created;
}

function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((word) => word !== "");
  const [first = "?", ...others] = words;
  const last = others.at(-1);
  return [first, ...(last === undefined ? [] : [last])].map(firstLetter).join("").toLocaleUpperCase();
}

/** A letter may be several code points: an accent, a flag, a family. */
function firstLetter(word: string): string {
  return [...graphemes.segment(word)][0]?.segment ?? "";
}

/** FNV-1a, then stirred: the last characters of a short name would otherwise decide too little. */
function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 12)) >>> 0) % HUES;
}
