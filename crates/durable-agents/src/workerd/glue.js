// What would take many calls from Rust in one.

import * as workers from "cloudflare:workers";

/** Names of the Durable Object bindings, in the environment's order, each ended by a line feed. */
export function namespaces(env) {
  let names = "";
  for (const name of Object.keys(env)) {
    const value = env[name];
    // A service binding answers to every name with a method of the other worker; `fetch` is its own, and no namespace has it.
    const isNamespace = typeof value === "object" && typeof value?.idFromName === "function" && value.fetch === undefined;
    if (isNamespace) names += `${name}\n`;
  }
  return names;
}

/** Names of the classes that this worker exports and whose objects are agents of this framework. */
const agents = [];

/** Adds one of them. */
export const own = (name) => agents.push(name);

/** By the name of a binding, whether its objects are of such a class. */
const owned = new Map();

function isOwn(namespace, binding) {
  const known = owned.get(binding);
  if (known !== undefined) return known;
  let answer = false;
  for (const name of agents) answer ||= isSame(namespace, workers.exports?.[name]);
  owned.set(binding, answer);
  return answer;
}

/** Whether both name the same objects. An older compatibility date has no exports, and a class without a namespace none either. */
function isSame(namespace, other) {
  if (typeof other?.idFromName !== "function") return false;
  try {
    return namespace.idFromName("a").equals(other.idFromName("a"));
  } catch {
    return false;
  }
}

/** Most bytes of a body that is kept for another attempt. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** Headers that only a router may set: `INTERNAL_HEADERS` of the core, in its order. To be told them would take the first answer more. */
const INTERNAL = [
  "x-agents-lifecycle-props",
  "x-agents-call",
  "x-cf-agents-subagent-url",
  "x-partykit-namespace",
  "x-partykit-jurisdiction",
  "x-partykit-props",
  "x-partykit-room",
];
const PROPS = INTERNAL[0];

/** What goes on after a hand-over has failed. */
let again;

/** Told anew when the wasm is replaced by a fresh instance. */
export function prepare(goOn) {
  again = goOn;
}

/** What Rust has promised and not kept yet, each promise with what resolves and what rejects it. */
const promised = new Map();

/** A promise for Rust to keep; it is broken if the wasm traps. */
export function promise() {
  let ways;
  const made = new Promise((resolve, reject) => (ways = { resolve, reject }));
  promised.set(made, ways);
  return made;
}

/** Keeps a promise, with a value. */
export const keep = (made, value) => promised.get(made)?.resolve(value);

/** Breaks it, with what was wrong. */
export const break_off = (made, wrong) => promised.get(made)?.reject(wrong);

/** Forgets it: it is kept or broken, or nobody is going to do either. */
export const forget = (made) => void promised.delete(made);

/** Closes a socket that the wasm listens to itself, if that traps: until the promise is forgotten. */
export function watch(socket) {
  const made = promise();
  made.catch(() => socket.close(1011, "Internal error"));
  return made;
}

/**
 * Called when the wasm has trapped, which leaves nobody to go on with what has begun. Each promise is heard of where it was made, so that
 * its socket may be touched there.
 */
export function trapped() {
  again = undefined;
  for (const { reject } of promised.values()) reject(new Error("the wasm has trapped"));
  promised.clear();
}

/**
 * Sends `request` as it is to an object, and returns the platform's promise of the answer. The object's name is what stands from `start`
 * to `end` in the request's URL, which was taken last. If that is rejected, `again(error, spare, env, binding, name)` goes on, with a
 * request that has not been used or `undefined`.
 *
 * Returns `undefined`, and has done nothing, if the request has one of the internal headers, or if its URL is not ASCII, as it can be
 * when a client did not encode it: places in its bytes are none in the string then. For an agent of ours only the first of these headers
 * is looked for, as it takes none of the others at its word, and hides them from its author.
 */
export function hand_over(env, binding, start, end, request) {
  if (taken !== message.length || again === undefined) return undefined;
  const namespace = env[binding];
  const { headers } = request;
  if (isOwn(namespace, binding) ? headers.has(PROPS) : INTERNAL.some((name) => headers.has(name))) return undefined;
  const name = message.slice(start, end);
  const stub = namespace.get(namespace.idFromName(name));
  const spare = spareOf(request);
  return stub.fetch(request).catch((error) => {
    // The wasm has trapped since.
    if (again === undefined) throw error;
    return again(error, spare, env, binding, name);
  });
}

function spareOf(request) {
  // Sending a request without a body does not use it up.
  if (request.body === null) return request;
  return Number(request.headers.get("content-length") ?? Infinity) <= MAX_KEPT_BYTES ? request.clone() : undefined;
}

/** An answer with the status and headers of another, which is the quickest way to tell `Response` about both; its body is a text. */
export const respond_like = (template, at, length) => new Response(textAt(at, length), template);

/** An answer that never comes. */
export const never = () => new Promise(() => {});

/** The answer to an accepted upgrade, given both ends of its socket. */
export const switched = (pair) => new Response(null, { status: 101, webSocket: pair[0] });

/**
 * The URL of a request in the lent memory. Returns what `take` does, times 32, and what `Head` in `glue.rs` is made of: 1 if there is no
 * `upgrade` header and 2 if it asks for a WebSocket, 4 for `GET` and 8 for `POST`, and 16 if the request of an object that has to start
 * has no props. Of anything else it asks the platform.
 */
export function take_head(request, starts) {
  const { headers, method } = request;
  const upgrade = headers.get("upgrade");
  const knownUpgrade = upgrade === null ? 1 : upgrade === "websocket" ? 2 : 0;
  const knownMethod = method === "GET" ? 4 : method === "POST" ? 8 : 0;
  const hasNoProps = starts && !headers.has(PROPS) ? 16 : 0;
  return take_text(request.url) * 32 + knownUpgrade + knownMethod + hasNoProps;
}

/** The URL of a request in the lent memory: returns what `take` does. */
export const take_url = (request) => take_text(request.url);

/** What the worker has just handed over is often what an object of the same isolate gets next. */
const take_text = (text) => (text === message ? taken : take(text));

/** What the last query has found and nobody has fetched yet: names of columns and then all cells, from `place` on. */
let found = [];
let place = 0;
let written;
let width;

/** Runs a statement for its effect alone. */
export function run(sql, statement, params) {
  sql.exec(statement, ...params);
}

/** The same with one parameter: what `text` has between its first `before` and its last `after` characters. */
export function run_part(sql, statement, text, before, after) {
  sql.exec(statement, text.slice(before, text.length - after));
}

/** Runs a statement. Returns how many rows it has written, or NaN for one that has found rows: `next_cells` has them. */
export function query(sql, statement, params) {
  const cursor = sql.exec(statement, ...params);
  const { columnNames } = cursor;
  if (columnNames.length === 0) return cursor.rowsWritten;
  const rows = cursor.raw().toArray();
  // Known when the last row has been read.
  if (rows.length === 0) return cursor.rowsWritten;
  found = [columnNames].concat(rows).flat();
  place = 0;
  written = cursor.rowsWritten;
  width = columnNames.length;
  return NaN;
}

/** Kinds of cells, as in `cells.rs`. */
const [NULL, NUMBER, TEXT, BLOB] = [0, 1, 2, 3];

/** So many letters and numbers are enough for one batch of cells, so that little is in memory twice. */
const MAX_BATCH_LENGTH = 64 * 1024;

/** Texts and blobs of the batch that `next_cells` has returned last. */
let texts;
let blobs;

/**
 * The next of what was found, as numbers: before the first cell how many rows were written, how many columns there are and how many cells,
 * names of columns included; for each cell its kind, and then what a number is or how long a text is in UTF-16. The texts themselves are
 * in `batch_text`, and each blob is had from `next_blob`. To hand over each cell by itself would take longer.
 */
export function next_cells() {
  const batch = place === 0 ? [written, width, found.length] : [];
  texts = "";
  blobs = [];
  while (place < found.length && texts.length + batch.length < MAX_BATCH_LENGTH) {
    const cell = found[place++];
    if (typeof cell === "string") {
      texts += cell;
      batch.push(TEXT, cell.length);
    } else if (typeof cell === "number") {
      batch.push(NUMBER, cell);
    } else if (cell === null) {
      batch.push(NULL);
    } else {
      blobs.push(cell);
      batch.push(BLOB);
    }
  }
  if (place === found.length) found = [];
  // From the end they are taken without moving the others.
  blobs.reverse();
  return batch;
}

/** The texts of the batch, one after the other. */
export function batch_text() {
  const taken = texts;
  texts = "";
  return taken;
}

/** The next of its blobs. */
export const next_blob = () => blobs.pop();

/** Memory of the wasm that is lent for messages on their way in: `room` bytes at `start`. */
let memory;
let start;
let room;

/** What the wasm lends, it lends anew when it is replaced by a fresh instance. */
export function lend(itsMemory, itsStart, itsRoom) {
  memory = itsMemory;
  start = itsStart >>> 0;
  room = itsRoom;
  message = undefined;
  taken = NaN;
  look();
}

/** The memory as bytes, and what is lent of it. */
let bytes;
let lent;

function look() {
  const { buffer } = memory;
  bytes = new Uint8Array(buffer);
  lent = new Uint8Array(buffer, start, room);
}

function bytesNow() {
  // Memory that has grown has left its old buffer empty.
  if (bytes.length === 0) look();
  return bytes;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The message in the lent memory, and what `take` has returned for it. */
let message;
let taken = NaN;

/**
 * Writes what a socket has received to the lent memory. Returns how many bytes of UTF-8 a text has taken, or -1 less the length of what
 * was no text. NaN, with anything in the memory, if it does not fit.
 *
 * All in one function, as it is often interpreted: where server and client share a CPU, V8 was seen to begin to compile the JavaScript
 * of a message and not to get done. A loop over the characters, which costs less for a short text once it is compiled, costs more then.
 */
export function take(received) {
  // Memory that has grown has left its old buffer empty.
  if (lent.length === 0) look();
  // In case that writing fails: what was there before is half overwritten then.
  taken = NaN;
  if (typeof received === "string") {
    const { read, written } = encoder.encodeInto(received, lent);
    if (read === received.length) taken = written;
  } else {
    const length = received?.byteLength;
    if (length <= room) {
      lent.set(new Uint8Array(received));
      taken = -1 - length;
    }
  }
  message = taken === taken ? received : undefined;
  return taken;
}

/** The message that was taken last, if `take` has returned `answer` for it: what is equal to it need not be converted. */
export const last = (answer) => (answer === taken ? message : undefined);

export function send_last(socket, answer) {
  if (answer !== taken) return false;
  socket.send(message);
  return true;
}

export function send_text(socket, at, length) {
  socket.send(textAt(at, length));
}

/** Sends several: what the text has between its separators, `FRAME_SEPARATOR` of the core. To take each by itself costs more. */
export function send_all(socket, at, length) {
  for (const frame of textAt(at, length).split("\x1e")) socket.send(frame);
}

/** Stores a copy of the bytes at `at` with a socket, as a `Uint8Array`. */
export function attach(socket, at, length) {
  socket.serializeAttachment(bytesNow().slice(at >>> 0, (at >>> 0) + length));
}

const textAt = (at, length) => decoder.decode(bytesNow().subarray(at >>> 0, (at >>> 0) + length));

/** Sends a copy of the bytes at `at`: the platform keeps what it is given until it has sent it. */
export function send_bytes(socket, at, length) {
  socket.send(bytesNow().buffer.slice(at >>> 0, (at >>> 0) + length));
}
