/**
 * Functions that a first request calls, of the script that wasm-bindgen writes, of `glue.js` and `steps.js` of the framework, and of
 * `durable-object.js`. One that is not there, or not called any more, does no harm.
 */
const CALLED_AT_ONCE = [
  ...["__wbg_get_imports", "addToExternrefTable0", "decodeText", "getArrayJsValueFromWasm0", "getArrayU8FromWasm0"],
  ...["getDataViewMemory0", "getInt32ArrayMemory0", "getStringFromWasm0", "getUint8ArrayMemory0", "isLikeNone", "makeClosure"],
  ...["passStringToWasm0"],
  ...["hand_over", "isOwn", "isSame", "lend", "look", "namespaces", "own", "prepare", "query", "spareOf"],
  ...["take", "take_head", "take_text", "take_url"],
  ...["fields", "lines", "name_of", "respond", "sql_of"],
  ...["durableObject"],
];

/** Imports that the wasm calls then, and around which wasm-bindgen puts a function. */
const IMPORTED_AT_ONCE = [
  ...["__wbindgen_memory", "getRandomValues", "hand_over", "instanceId", "name_of", "namespaces", "query", "respond", "set_instanceId"],
  ...["static_accessor_INIT_STATE"],
];

const names = CALLED_AT_ONCE.join("|");
const imports = `__wbindgen_init_externref_table|__wbg_(?:${IMPORTED_AT_ONCE.join("|")})_[0-9a-f]{16}`;

const DECLARED = new RegExp(String.raw`^(export )?function (${names})(\([\w, ]*\) \{\n(?:.*\n)*?\})$`, "gm");
const ARROW = new RegExp(String.raw`^((?:export )?const (?:${names}) = )((?:\([\w, ]*\)|\w+) =>[^;]*);$`, "gm");
const IMPORT = new RegExp(String.raw`^( +(?:${imports}): )(function\([\w, ]*\) \{\n(?:.*\n)*? {8}\}),$`, "gm");

/**
 * A script that is compiled quickly: V8 compiles functions in parentheses together with the script, and all others when they are called,
 * for which it has to read them again.
 */
export const withEagerFunctions = (script) =>
  script
    .replace(DECLARED, (_, exported = "", name, rest) => `${exported}const ${name} = (function${rest});`)
    .replace(ARROW, "$1($2);")
    .replace(IMPORT, "$1($2),");
