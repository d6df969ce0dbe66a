//! What workerd offers, as JavaScript.
//!
//! Here is what the `worker` crate lacks or unwraps. Every call catches: an exception that nobody catches would unwind through, or
//! trap in, whatever Rust code happens to be below it.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectState`.
    #[derive(Clone, Debug)]
    pub(crate) type State;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn id(this: &State) -> Result<Id, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn storage(this: &State) -> Result<Storage, JsValue>;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &State, promise: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = acceptWebSocket)]
    pub(crate) fn accept(this: &State, socket: &WebSocket, tags: Vec<JsValue>) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub(crate) fn sockets(this: &State) -> Result<Vec<WebSocket>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub(crate) fn sockets_tagged(this: &State, tag: &str) -> Result<Vec<WebSocket>, JsValue>;

    /// The method itself. Called, it ends the stack that it is called on, and nobody can catch that.
    #[wasm_bindgen(method, catch, getter, js_name = abort)]
    pub(crate) fn abort_method(this: &State) -> Result<js_sys::Function, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    pub(crate) fn set_auto_response(this: &State, pair: &WebSocketRequestResponsePair) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    pub(crate) fn unset_auto_response(this: &State) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    pub(crate) fn auto_response_date(this: &State, socket: &WebSocket) -> Result<Option<js_sys::Date>, JsValue>;

    /// `WebSocketRequestResponsePair`.
    pub(crate) type WebSocketRequestResponsePair;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new(request: &str, response: &str) -> Result<WebSocketRequestResponsePair, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectId`.
    pub(crate) type Id;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn name(this: &Id) -> Result<Option<String>, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectStorage`.
    #[derive(Clone, Debug)]
    pub(crate) type Storage;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn sql(this: &Storage) -> Result<Sql, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub(crate) fn set_alarm(this: &Storage, at_ms: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    pub(crate) fn delete_alarm(this: &Storage) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    pub(crate) fn get_alarm(this: &Storage) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    pub(crate) fn delete_all(this: &Storage) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn sync(this: &Storage) -> Result<js_sys::Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `SqlStorage`.
    #[derive(Clone, Debug)]
    pub(crate) type Sql;

    #[wasm_bindgen(method, catch, getter, js_name = databaseSize)]
    pub(crate) fn database_size(this: &Sql) -> Result<f64, JsValue>;

    /// An array of arrays.
    pub(crate) type Table;

    /// All elements, one after the other, in one call.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn flat(this: &Table) -> Result<Vec<JsValue>, JsValue>;

    /// The same of an array of arrays of strings.
    #[wasm_bindgen(method, catch, js_name = flat)]
    pub(crate) fn flat_text(this: &Table) -> Result<Vec<String>, JsValue>;

    /// Everything that an iterable of arrays has: `Headers` and `FormData` are such.
    #[wasm_bindgen(catch, js_namespace = Array, js_name = from)]
    pub(crate) fn array_from(iterable: &JsValue) -> Result<Table, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `WebSocket`, with the methods that only workerd has.
    #[derive(Clone, Debug)]
    pub(crate) type WebSocket;

    /// Text as a JavaScript string, bytes as a `Uint8Array`.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn send(this: &WebSocket, payload: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn close(this: &WebSocket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = close)]
    pub(crate) fn close_with(this: &WebSocket, code: u16, reason: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = readyState)]
    pub(crate) fn ready_state(this: &WebSocket) -> Result<u16, JsValue>;

    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    pub(crate) fn serialize_attachment(this: &WebSocket, value: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    pub(crate) fn deserialize_attachment(this: &WebSocket) -> Result<JsValue, JsValue>;

    /// A property of ours, gone when the platform makes a new object for the same socket. NaN if it was never set.
    #[wasm_bindgen(method, catch, getter, js_name = __agentsKey)]
    pub(crate) fn key(this: &WebSocket) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch, setter, js_name = __agentsKey)]
    pub(crate) fn set_key(this: &WebSocket, key: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = accept)]
    pub(crate) fn accept_here(this: &WebSocket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, setter, js_name = binaryType)]
    pub(crate) fn set_binary_type(this: &WebSocket, kind: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = addEventListener)]
    pub(crate) fn listen(this: &WebSocket, event: &str, listener: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = removeEventListener)]
    pub(crate) fn unlisten(this: &WebSocket, event: &str, listener: &JsValue) -> Result<(), JsValue>;

    /// `WebSocketPair`.
    pub(crate) type WebSocketPair;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new() -> Result<WebSocketPair, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = "0")]
    pub(crate) fn client(this: &WebSocketPair) -> Result<WebSocket, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = "1")]
    pub(crate) fn server(this: &WebSocketPair) -> Result<WebSocket, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `MessageEvent`, `CloseEvent` or `ErrorEvent` of a socket.
    pub(crate) type SocketEvent;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn data(this: &SocketEvent) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn code(this: &SocketEvent) -> Result<u16, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn reason(this: &SocketEvent) -> Result<String, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = wasClean)]
    pub(crate) fn was_clean(this: &SocketEvent) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn error(this: &SocketEvent) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// An exception, with the hints that workerd puts on those of its own.
    pub(crate) type Exception;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn message(this: &Exception) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn retryable(this: &Exception) -> Result<Option<bool>, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn overloaded(this: &Exception) -> Result<Option<bool>, JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = durableObjectReset)]
    pub(crate) fn durable_object_reset(this: &Exception) -> Result<Option<bool>, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectNamespace`.
    pub(crate) type Namespace;

    #[wasm_bindgen(method, catch, js_name = idFromName)]
    pub(crate) fn id_from_name(this: &Namespace, name: &str) -> Result<Id, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn jurisdiction(this: &Namespace, name: &str) -> Result<Namespace, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn get(this: &Namespace, id: &Id) -> Result<Stub, JsValue>;

    #[wasm_bindgen(method, catch, js_name = get)]
    pub(crate) fn get_with(this: &Namespace, id: &Id, options: &JsValue) -> Result<Stub, JsValue>;

    /// `DurableObjectStub`.
    pub(crate) type Stub;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn fetch(this: &Stub, request: &JsValue) -> Result<js_sys::Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `Response`.
    pub(crate) type Response;
}

#[wasm_bindgen]
extern "C" {
    /// The global `fetch`.
    #[wasm_bindgen(catch, js_name = fetch)]
    pub(crate) fn fetch_url(request: &JsValue, init: &JsValue) -> Result<js_sys::Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `ReadableStream`.
    pub(crate) type ReadableStream;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new(source: &Source, strategy: &Strategy) -> Result<ReadableStream, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(crate) fn get_reader(this: &ReadableStream) -> Result<Reader, JsValue>;

    /// `ReadableStreamDefaultReader`.
    pub(crate) type Reader;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn read(this: &Reader) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn cancel(this: &Reader) -> Result<js_sys::Promise, JsValue>;

    /// What a stream takes its pieces from.
    pub(crate) type Source;

    #[wasm_bindgen(method, catch, setter)]
    pub(crate) fn set_pull(this: &Source, pull: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, setter)]
    pub(crate) fn set_cancel(this: &Source, cancel: &JsValue) -> Result<(), JsValue>;

    /// A queuing strategy.
    pub(crate) type Strategy;

    #[wasm_bindgen(method, catch, setter, js_name = highWaterMark)]
    pub(crate) fn set_high_water_mark(this: &Strategy, pieces: u32) -> Result<(), JsValue>;

    /// `ReadableStreamDefaultController`.
    pub(crate) type Controller;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn enqueue(this: &Controller, piece: &js_sys::Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn close(this: &Controller) -> Result<(), JsValue>;

    /// What `read` resolves to.
    pub(crate) type ReadResult;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn done(this: &ReadResult) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn value(this: &ReadResult) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// What `Promise.withResolvers` returns.
    pub(crate) type Deferred;

    #[wasm_bindgen(catch, js_namespace = Promise, js_name = withResolvers)]
    pub(crate) fn defer() -> Result<Deferred, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn promise(this: &Deferred) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn resolve(this: &Deferred) -> Result<js_sys::Function, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    pub(crate) fn get_random_values(bytes: &mut [u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    pub(crate) fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &js_sys::Array,
    ) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"])]
    pub(crate) fn verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &js_sys::Uint8Array,
        data: &js_sys::Uint8Array,
    ) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = setTimeout)]
    pub(crate) fn set_timeout(callback: &js_sys::Function, delay_ms: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = clearTimeout)]
    pub(crate) fn clear_timeout(timer: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = console, js_name = debug)]
    pub(crate) fn console_debug(line: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = console, js_name = info)]
    pub(crate) fn console_info(line: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = console, js_name = warn)]
    pub(crate) fn console_warn(line: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = console, js_name = error)]
    pub(crate) fn console_error(line: &str) -> Result<(), JsValue>;
}
