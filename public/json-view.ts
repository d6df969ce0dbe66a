/** JSON laid out and coloured for reading. */

import { element } from "./dom";
import { parseJson } from "./wire";

/** Strings (with the colon that makes one a key), literals, numbers; what lies between is punctuation. */
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The text as it is when it is not JSON. */
export function prettyJson(text: string): HTMLElement {
  const value = parseJson(text);
  if (value === undefined) return element("pre", "json", text);

  const pretty = JSON.stringify(value, null, 2);
  const block = element("pre", "json");
  let end = 0;
  for (const match of pretty.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    block.append(pretty.slice(end, match.index));
    end = match.index + whole.length;
    if (string === undefined) block.append(element("span", "json-literal", whole));
    else if (colon === undefined) block.append(element("span", "json-string", string));
    else block.append(element("span", "json-key", string), colon);
  }
  block.append(pretty.slice(end));
  return block;
}
