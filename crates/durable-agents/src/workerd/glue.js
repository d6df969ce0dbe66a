// What would take many calls from Rust in one.

/** Most bytes of a body that is kept for another attempt. */
const MAX_KEPT_BYTES = 1024 * 1024;

/**
 * Sends `request` as it is to the object `name`, and returns the platform's promise of the answer. If that is rejected,
 * `again(error, spare, env, binding, name)` goes on, with a request that has not been used or `undefined`.
 *
 * Returns `undefined`, and has done nothing, if the request has one of the headers `internal`.
 */
export function hand_over(env, binding, name, request, internal, again) {
  const { headers } = request;
  for (const header of internal) if (headers.has(header)) return undefined;
  const namespace = env[binding];
  const stub = namespace.get(namespace.idFromName(name));
  const spare = spareOf(request);
  return stub.fetch(request).catch((error) => again(error, spare, env, binding, name));
}

function spareOf(request) {
  // Sending a request without a body does not use it up.
  if (request.body === null) return request;
  return Number(request.headers.get("content-length") ?? Infinity) <= MAX_KEPT_BYTES ? request.clone() : undefined;
}

/** Answers without a body by status and content type: a `Response` is the quickest way to tell `Response` about both. */
const templates = new Map();
const MAX_TEMPLATES = 64;

/**
 * An answer. The first `headLength` characters of `text` are names and values of headers, each ended by a line feed. Its body is what
 * `Response` takes, or the rest of the text if that is `undefined`.
 */
export function respond(text, headLength, body, status) {
  return new Response(body === undefined ? text.slice(headLength) : body, templateOf(text.slice(0, headLength), status));
}

function templateOf(head, status) {
  const key = `${status}${head}`;
  const known = templates.get(key);
  if (known !== undefined) return known;
  const lines = head.split("\n");
  const headers = Array.from({ length: lines.length >> 1 }, (_, at) => [lines[2 * at], lines[2 * at + 1]]);
  const isUsual = headers.length === 1 && headers[0][0] === "content-type";
  if (!isUsual) return { status, headers };
  if (templates.size >= MAX_TEMPLATES) templates.clear();
  const template = new Response(null, { status, headers });
  templates.set(key, template);
  return template;
}

/** The answer to an accepted upgrade. */
export const switched = (client) => new Response(null, { status: 101, webSocket: client });

/** Method, URL, `upgrade` and props of a request, one to a line. */
export function head_of(request) {
  const { headers } = request;
  return `${request.method}\n${request.url}\n${headers.get("upgrade") ?? ""}\n${headers.get(props) ?? ""}`;
}

/** The same in the lent memory: returns what `take` does. */
export const take_head = (request) => take(head_of(request));

/** What the last query with columns has found, until it is fetched. */
let found;

/** Runs a statement. Returns how many rows it has written, or NaN for one with columns: `table` has what that has found. */
export function query(sql, statement, params) {
  const cursor = sql.exec(statement, ...params);
  const { columnNames } = cursor;
  if (columnNames.length === 0) return cursor.rowsWritten;
  const cells = cursor.raw().toArray().flat();
  // Known when the last row has been read.
  found = [cursor.rowsWritten, columnNames.length].concat(columnNames, cells);
  return NaN;
}

/** How many rows were written, how many columns there are, their names, and all cells, row by row. */
export function table() {
  const taken = found;
  found = undefined;
  return taken;
}

/** Memory of the wasm that is lent for messages on their way in: `room` bytes at `start`. */
let memory;
let start;
let room;

/** Name of the header with an agent's props. */
let props;

/** What the wasm lends, it lends anew when it is replaced by a fresh instance. */
export function lend(itsMemory, itsStart, itsRoom, propsHeader) {
  props = propsHeader;
  memory = itsMemory;
  start = itsStart;
  room = itsRoom;
  bytes = new Uint8Array(memory.buffer);
}

let bytes;

function bytesNow() {
  // Memory that has grown has left its old buffer empty.
  if (bytes.byteLength === 0) bytes = new Uint8Array(memory.buffer);
  return bytes;
}

/** A loop beats the encoder's call up to about this length. */
const SHORT_TEXT = 384;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The message in the lent memory, and what `take` has returned for it. */
let message;
let taken = NaN;

/**
 * Writes what a socket has received to the lent memory. Returns how many bytes of UTF-8 a text has taken, or -1 less the length of what
 * was no text. NaN, with anything in the memory, if it does not fit.
 */
export function take(received) {
  // In case that writing fails: what was there before is half overwritten then.
  taken = NaN;
  message = undefined;
  taken = write(received);
  if (taken === taken) message = received;
  return taken;
}

function write(received) {
  const bytes = bytesNow();
  if (typeof received !== "string") {
    if (!(received?.byteLength <= room)) return NaN;
    bytes.set(new Uint8Array(received), start);
    return -1 - received.byteLength;
  }
  const { length } = received;
  if (length > room) return NaN;
  if (length <= SHORT_TEXT) {
    let code = 0;
    for (let index = 0; index < length; index++) {
      const unit = received.charCodeAt(index);
      code |= unit;
      bytes[start + index] = unit;
    }
    if (code < 0x80) return length;
  }
  const { read, written } = encoder.encodeInto(received, bytes.subarray(start, start + room));
  return read === length ? written : NaN;
}

/** The message that was taken last, if `take` has returned `answer` for it: what is equal to it need not be converted. */
export const last = (answer) => (answer === taken ? message : undefined);

export function send_last(socket, answer) {
  if (answer !== taken) return false;
  socket.send(message);
  return true;
}

export function send_text(socket, at, length) {
  socket.send(decoder.decode(bytesNow().subarray(at, at + length)));
}

/** Sends a copy of the bytes at `at`: the platform keeps what it is given until it has sent it. */
export function send_bytes(socket, at, length) {
  socket.send(bytesNow().buffer.slice(at, at + length));
}
