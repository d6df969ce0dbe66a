// Read by hand, as a Node.js may not know every feature that workerd knows.

const CUSTOM_SECTION = 0;
const IMPORT_SECTION = 2;
const EXPORT_SECTION = 7;
const CODE_SECTION = 10;

/** Of the custom section `name`. */
const FUNCTION_NAMES = 1;
const GLOBAL_NAMES = 7;

/** Kind of an import. */
const FUNCTION = 0;

/** Names of what a wasm module exports. */
export const exportNames = (bytes) => entries(bytes, EXPORT_SECTION, exported).map(({ name }) => name);

/** Names of what a wasm module imports. */
export const importNames = (bytes) => entries(bytes, IMPORT_SECTION, imported).map(({ name }) => name);

/** The module with other names for its imports: those that `names`, a map, has for them. */
export const withImportNames = (bytes, names) =>
  withEntries(bytes, IMPORT_SECTION, imported, ({ module, name, kind }) => [text(module), text(names.get(name) ?? name), kind]);

/** The same for its exports. */
export const withExportNames = (bytes, names) =>
  withEntries(bytes, EXPORT_SECTION, exported, ({ name, what }) => [text(names.get(name) ?? name), what]);

/** The module with what `write` makes of each entry of one section. */
function withEntries(bytes, section, entry, write) {
  const { start, end } = sections(bytes).find(({ id }) => id === section) ?? {};
  if (start === undefined) return bytes;
  const written = entries(bytes, section, entry).map(write);
  const content = Buffer.concat([number(written.length), ...written.flat()]);
  return Buffer.concat([bytes.subarray(0, start), Buffer.from([section]), number(content.length), content, bytes.subarray(end)]);
}

/** The functions that a module with names defines: `{ index, name, body }`. */
export function definedFunctions(bytes) {
  const importedCount = entries(bytes, IMPORT_SECTION, imported).filter(({ kind }) => kind[0] === FUNCTION).length;
  const names = new Map(namesOf(bytes, FUNCTION_NAMES));
  return entries(bytes, CODE_SECTION, piece).map((body, place) => {
    const index = importedCount + place;
    return { index, name: names.get(index), body };
  });
}

/** The module with other bodies for those functions, in the same order. */
export const withBodies = (bytes, bodies) =>
  withEntries(bytes, CODE_SECTION, piece, (_, place) => [number(bodies[place].length), bodies[place]]);

/** Indices of the globals that have that name. */
export const globalsNamed = (bytes, wanted) =>
  namesOf(bytes, GLOBAL_NAMES)
    .filter(([, name]) => name === wanted)
    .map(([index]) => index);

const piece = (read) => read.piece();

/** The module with other names for its functions: what `rename` makes of each. All other names are gone. */
export function withFunctionNames(bytes, rename) {
  const { start, end } = nameSection(bytes);
  const names = namesOf(bytes, FUNCTION_NAMES).map(([index, name]) => Buffer.concat([number(index), text(rename(name))]));
  const list = Buffer.concat([number(names.length), ...names]);
  const content = Buffer.concat([text("name"), Buffer.from([FUNCTION_NAMES]), number(list.length), list]);
  return Buffer.concat([bytes.subarray(0, start), Buffer.from([CUSTOM_SECTION]), number(content.length), content, bytes.subarray(end)]);
}

/** Pairs of index and name of one kind. */
function namesOf(bytes, kind) {
  const { content, end } = nameSection(bytes);
  const read = new Reader(bytes, content);
  read.text();
  while (read.at < end) {
    const isOurs = read.byte() === kind;
    const size = read.number();
    if (isOurs) return Array.from({ length: read.number() }, () => [read.number(), read.text()]);
    read.at += size;
  }
  return [];
}

const nameSection = (bytes) =>
  sections(bytes).find(({ id, content }) => id === CUSTOM_SECTION && new Reader(bytes, content).text() === "name");

function exported(read) {
  const name = read.text();
  const start = read.at;
  read.byte(); // its kind
  read.number(); // its index
  return { name, what: read.bytes.subarray(start, read.at) };
}

function imported(read) {
  const module = read.text();
  const name = read.text();
  const start = read.at;
  SKIP_IMPORTED[read.byte()](read);
  return { module, name, kind: read.bytes.subarray(start, read.at) };
}

/** What follows the kind of an import. */
const SKIP_IMPORTED = {
  0: (read) => read.number(), // a function: its type
  1: (read) => [read.byte(), limits(read)], // a table
  2: (read) => limits(read), // a memory
  3: (read) => [read.byte(), read.byte()], // a global: type, mutability
  4: (read) => [read.byte(), read.number()], // a tag
};

function limits(read) {
  const flags = read.number();
  read.number();
  if (flags & 1) read.number();
}

/** What `entry` reads for each entry of one section. */
function entries(bytes, section, entry) {
  const { content } = sections(bytes).find(({ id }) => id === section) ?? {};
  if (content === undefined) return [];
  const read = new Reader(bytes, content);
  return Array.from({ length: read.number() }, () => entry(read));
}

function sections(bytes) {
  const found = [];
  const read = new Reader(bytes, 8); // behind magic number and version
  while (read.at < bytes.length) {
    const start = read.at;
    const id = read.byte();
    const size = read.number();
    found.push({ id, start, content: read.at, end: (read.at += size) });
  }
  return found;
}

const text = (text) => {
  const bytes = Buffer.from(text);
  return Buffer.concat([number(bytes.length), bytes]);
};

function number(value) {
  const bytes = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

/** Reads what a module consists of. */
export class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  number() {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** Bytes behind their length. */
  piece() {
    const length = this.number();
    return this.bytes.subarray(this.at, (this.at += length));
  }

  text() {
    return this.piece().toString("utf8");
  }
}
