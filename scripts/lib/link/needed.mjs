const DESCRIPTION = "__wbindgen_describe_";

/** Descriptions of types that no import or export bears the name of. */
const OF_TYPE = "__wbg_dynamic_union_";

/** Classes of `worker` and `wasm-streams` that are made by an import of their own alone, to hand them to JavaScript. */
const HANDED_OVER = ["containerstartupoptions", "intounderlyingbytesource", "intounderlyingsink", "intounderlyingsource", "minifyconfig", "r2range"];

/**
 * The exports of a freshly linked wasm that its script can need, given the names of what it `exports` and `imports`.
 *
 * Every `#[wasm_bindgen]` item of every crate is exported, called or not, together with a function that describes it to
 * wasm-bindgen. Functions that such a one mentions, like those of closures, stay in the table of functions when wasm-bindgen has
 * taken the descriptions away: dead code that no later tool can tell from what is called through a pointer. So what describes
 * nothing that is called, and what belongs to a class that is never made, must not be linked in the first place.
 */
export function neededExports(exports, imports) {
  const isMade = (name) => imports.some((imported) => imported.startsWith(`__wbg_${name}_new_`));
  const unmade = HANDED_OVER.filter((name) => !isMade(name)).map((name) => new RegExp(`^(?:__wbg_|__wbg_[gs]et_)?${name}_`));
  const called = exports.filter((name) => !name.startsWith(DESCRIPTION) && !unmade.some((member) => member.test(name)));
  const described = new Set([...called, ...imports]);
  const descriptions = exports.filter((name) => {
    const of = name.startsWith(DESCRIPTION) && name.slice(DESCRIPTION.length);
    return of && (of.startsWith(OF_TYPE) || described.has(of));
  });
  return new Set([...called, ...descriptions]);
}
