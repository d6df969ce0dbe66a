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

/** An answer. `head` has names and values of its headers, each ended by a line feed; `body` is what `Response` takes. */
export function respond(body, status, head) {
  const parts = head.split("\n");
  const headers = {};
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const name = parts[at];
    // An object holds a name once, and never this one.
    if (Object.hasOwn(headers, name) || name === "__proto__") return new Response(body, { status, headers: pairs(parts) });
    headers[name] = parts[at + 1];
  }
  return new Response(body, { status, headers });
}

const pairs = (parts) => Array.from({ length: parts.length >> 1 }, (_, at) => [parts[2 * at], parts[2 * at + 1]]);

/** Method and URL of a request, and whether it has `upgrade` and the header `props`, one to a line. */
export function head_of(request, props) {
  const { headers } = request;
  return `${request.method}\n${request.url}\n${headers.get("upgrade") ?? ""}\n${headers.get(props) ?? ""}`;
}

/** The memory of the wasm instance that called last, and its bytes. */
let memory;
let bytes = new Uint8Array();

function bytesOf(caller) {
  // Memory that has grown has left its old buffer empty.
  if (caller !== memory || bytes.byteLength === 0) {
    memory = caller;
    bytes = new Uint8Array(caller.buffer);
  }
  return bytes;
}

/** A loop beats the encoder's call up to about this length. */
const SHORT_TEXT = 384;

const encoder = new TextEncoder();

/**
 * Writes what a socket has received to `at`, where there is `room`. Returns how many bytes of UTF-8 a text has taken, or -1 less the
 * length of what was no text. NaN, with anything in the room, if it does not fit.
 */
export function take(message, caller, at, room) {
  const bytes = bytesOf(caller);
  if (typeof message !== "string") {
    if (!(message?.byteLength <= room)) return NaN;
    bytes.set(new Uint8Array(message), at);
    return -1 - message.byteLength;
  }
  const { length } = message;
  if (length > room) return NaN;
  if (length <= SHORT_TEXT) {
    let code = 0;
    for (let index = 0; index < length; index++) {
      const unit = message.charCodeAt(index);
      code |= unit;
      bytes[at + index] = unit;
    }
    if (code < 0x80) return length;
  }
  const { read, written } = encoder.encodeInto(message, bytes.subarray(at, at + room));
  return read === length ? written : NaN;
}

/** Sends a copy of the bytes at `at`: the platform keeps what it is given until it has sent it. */
export function send_bytes(socket, caller, at, length) {
  socket.send(bytesOf(caller).buffer.slice(at, at + length));
}
