// What takes several steps on the platform, in one call from Rust: here they are shorter, and quicker to load.

/** What an exception says, whatever was thrown. */
export const words_of = (thrown) => {
  if (typeof thrown === "string") return thrown;
  const words = thrown?.message;
  return typeof words === "string" ? words : "something was thrown that is no error";
};

/** The platform's hints about another attempt: each by its bit. */
export const hints_of = (thrown) => HINTS.reduce((bits, hint, bit) => bits | ((thrown?.[hint] === true) << bit), 0);

const HINTS = ["retryable", "overloaded", "durableObjectReset"];

/** The text of a variable: its own, or the JSON of one that is a JSON value. Other bindings have none. */
export function variable(env, name) {
  const value = env[name];
  return typeof value === "string" ? value : isJson(value) ? JSON.stringify(value) : undefined;
}

function isJson(value) {
  if (typeof value !== "object" || value === null) return typeof value === "number" || typeof value === "boolean";
  // Objects of the platform have prototypes of their own.
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

/** The name by which an object was addressed, if the platform knows it. */
export const name_of = (state) => state.id.name;

export const sql_of = (state) => state.storage.sql;

export const write_log = (level, line) => console[level](line);

/** The way to one object, or `undefined` if there is no such binding. */
export function stub(env, binding, name, jurisdiction, locationHint) {
  let namespace = env[binding];
  if (typeof namespace !== "object" || namespace === null) return undefined;
  if (jurisdiction !== undefined) namespace = namespace.jurisdiction(jurisdiction);
  const id = namespace.idFromName(name);
  return locationHint === undefined ? namespace.get(id) : namespace.get(id, { locationHint });
}

/** Accepts the server's end of a new socket for hibernation, and returns both ends. */
export function accept(state, tags) {
  const pair = new WebSocketPair();
  state.acceptWebSocket(pair[1], tags);
  return pair;
}

/** The same with one tag, as most have: a text comes here more easily than a list. */
export const accept_tagged = (state, tag) => accept(state, [tag]);

export const server_end = (pair) => pair[1];

/** Deletes all that is stored, and ends when that is on disk. */
export async function delete_all(storage) {
  // Before compatibility date 2026-02-24 the alarm is not part of it.
  await Promise.all([storage.deleteAll(), storage.deleteAlarm()]);
  await storage.sync();
}

/** Ends the object's wake, from a timer: Rust on the stack would keep locked what it holds, for every object of the isolate. */
export function abort(state, reason) {
  setTimeout(() => state.abort(reason), 0);
}

/** A promise that is kept after that time, or when it is told to `end`. */
export function sleep(delayMs) {
  let resolve;
  const over = new Promise((kept) => (resolve = kept));
  const timer = setTimeout(resolve, delayMs);
  over.end = () => {
    clearTimeout(timer);
    resolve();
  };
  return over;
}

/** Does nothing once the time is over. A promise that is never settled would keep whatever waits for it. */
export const end = (over) => over.end();

/** Names and values of all headers, each ended by a line feed, which neither can have. */
export function head_of(message) {
  let head = "";
  for (const [name, value] of message.headers) head += `${name}\n${value}\n`;
  return head;
}

const lines = (text) => text.split("\n").slice(0, -1);

/** What `head_of` has made one text of. */
function fields(head) {
  const all = lines(head);
  return Array.from({ length: all.length / 2 }, (_, at) => [all[2 * at], all[2 * at + 1]]);
}

/** An answer. */
export const respond = (status, head, body) => new Response(body, { status, headers: fields(head) });

/** An answer with other headers, but for those that the platform refuses: a copy, which takes over its body. */
export function with_headers(response, head) {
  const copy = new Response(response.body, response);
  for (const [name, value] of fields(head)) {
    try {
      copy.headers.set(name, value);
    } catch {
      // What the platform refuses is no header.
    }
  }
  return copy;
}

/** A request. */
export const request = (method, url, head, body) => new Request(url, { method, headers: fields(head), body });

/** The request without some headers, one to a line, and with others: a copy, which takes over its body, if that changes anything. */
export function changed(request, removed, head) {
  const there = lines(removed).filter((name) => request.headers.has(name));
  if (there.length === 0 && head === "") return request;
  const copy = new Request(request);
  for (const name of there) copy.headers.delete(name);
  for (const [name, value] of fields(head)) copy.headers.set(name, value);
  return copy;
}

/** The fields of a form, in a request or an answer: of each its name and its text, or the bytes of its file, their name and their type. */
export async function form(message) {
  const all = [];
  for (const [name, value] of await message.formData()) {
    if (typeof value === "string") all.push(name, value);
    else all.push(name, await value.arrayBuffer(), value.name, value.type);
  }
  return all;
}

/** The same of a request that does not say how long it is, or `undefined` if that is more than so many bytes. */
export async function form_up_to(request, limit) {
  const pieces = [];
  let size = 0;
  // What is left of the body when this returns is cancelled.
  for await (const piece of request.body ?? []) {
    size += piece.length;
    if (size > limit) return undefined;
    pieces.push(piece);
  }
  return form(new Response(new Blob(pieces), { headers: request.headers }));
}

/** The elements of an array: as a result, they reach Rust in one call. */
export const elements = (array) => array;

/** The next piece of a stream, or `undefined` at its end. */
export async function read(reader) {
  const { done, value } = await reader.read();
  return done ? undefined : (value ?? null);
}

/** A stream that asks for a piece when somebody reads it: `pull` promises one, or `undefined` at the end. */
export function stream(pull, cancel) {
  const source = {
    async pull(controller) {
      const piece = await pull();
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
    cancel,
  };
  // Pieces are made when they are wanted, not ahead.
  return new ReadableStream(source, { highWaterMark: 0 });
}

/** Sends a request to the world outside, until `controller` aborts it. */
export const fetch_url = (request, { signal }) => fetch(request, { signal });

/** The digest of a body: bytes, a stream of them, or `null`. */
export async function sha256(body) {
  if (!(body instanceof ReadableStream)) return crypto.subtle.digest("SHA-256", body ?? new Uint8Array());
  const sink = new crypto.DigestStream("SHA-256");
  const { digest } = sink;
  // If the stream fails, so does this, and the failure of the stream is what tells.
  digest.catch(() => {});
  await body.pipeTo(sink);
  return digest;
}

/** Checks a signature by WebCrypto. The key is in the format `raw`, or, if it has an `exponent`, a modulus of RSA. */
export async function verify(name, key, exponent, signature, data) {
  // Before anything waits: these are memory of the wasm.
  [signature, data] = [signature.slice(), data.slice()];
  // The platform looks at no more members than it needs.
  const algorithm = { name, hash: "SHA-256", namedCurve: "P-256" };
  const isRsa = exponent !== undefined;
  const material = isRsa ? { kty: "RSA", n: base64url(key), e: base64url(exponent) } : key;
  const imported = await crypto.subtle.importKey(isRsa ? "jwk" : "raw", material, algorithm, false, ["verify"]);
  return crypto.subtle.verify(algorithm, imported, signature, data);
}

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
