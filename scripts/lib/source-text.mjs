/*
 * Just enough lexing to tell code from comments and strings, for scanning sources without their compilers.
 */

const TOKENS = {
  rust: [
    ["comment", /\/\/[^\n]*/y],
    ["nested", /\/\*/y],
    ["string", /b?r(#*)"[\s\S]*?"\1/y],
    ["string", /b?"(?:\\[\s\S]|[^"\\])*"/y],
    ["string", /b?'(?:\\(?:[^u]|u\{[^}]*\})|[^'\\])'/y],
  ],
  javascript: [
    ["comment", /\/\/[^\n]*/y],
    ["comment", /\/\*[\s\S]*?\*\//y],
    ["string", /"(?:\\[\s\S]|[^"\\\n])*"/y],
    ["string", /'(?:\\[\s\S]|[^'\\\n])*'/y],
    ["string", /`(?:\\[\s\S]|[^`\\])*`/y],
    // A slash after an operator or an opening bracket begins a regular expression, any other one divides.
    ["string", /(?<=[=(,:;!&|?{}[]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//y],
  ],
};

/** The same text with every piece of these kinds ("comment", "string") replaced by spaces. */
export function without(kinds, source, language) {
  let text = "";
  for (const { kind, value } of pieces(source, language))
    text += kinds.includes(kind) ? value.replace(/[^\n]/g, " ") : value;
  return text;
}

/** The index of the bracket that closes the one at `open`, in text without comments; its end when none does. */
export function closing(text, open) {
  let depth = 0;
  let at = 0;
  for (const { kind, value } of pieces(text.slice(open), "javascript")) {
    if (kind === "code" && "([{".includes(value)) depth += 1;
    if (kind === "code" && ")]}".includes(value) && --depth === 0) return open + at;
    at += value.length;
  }
  return text.length;
}

/** Comments and strings as wholes, everything else character by character. */
function* pieces(source, language) {
  for (let at = 0; at < source.length; ) {
    const { kind, value } = pieceAt(source, at, language);
    yield { kind, value };
    at += value.length;
  }
}

function pieceAt(source, at, language) {
  for (const [kind, pattern] of TOKENS[language]) {
    pattern.lastIndex = at;
    const value = pattern.exec(source)?.[0];
    if (value === undefined) continue;
    return kind === "nested" ? { kind: "comment", value: nestedComment(source, at) } : { kind, value };
  }
  return { kind: "code", value: source[at] };
}

/** Rust's block comments nest. */
function nestedComment(source, start) {
  let depth = 0;
  for (const { index, 0: mark } of source.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark === "/*" ? 1 : -1;
    if (depth === 0) return source.slice(start, start + index + 2);
  }
  return source.slice(start);
}
