//! What workerd offers, as JavaScript.
//!
//! Here is what the `worker` crate lacks or unwraps. Every call catches: an exception that nobody catches would unwind through, or
//! trap in, whatever Rust code happens to be below it.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use worker::web_sys;

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectState`.
    #[derive(Clone, Debug)]
    pub(crate) type State;

    #[wasm_bindgen(method, catch, getter)]
    pub(crate) fn storage(this: &State) -> Result<Storage, JsValue>;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &State, promise: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub(crate) fn sockets(this: &State) -> Result<Vec<WebSocket>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    pub(crate) fn sockets_tagged(this: &State, tag: &str) -> Result<Vec<WebSocket>, JsValue>;

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
    /// `DurableObjectStorage`.
    #[derive(Clone, Debug)]
    pub(crate) type Storage;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    pub(crate) fn set_alarm(this: &Storage, at_ms: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAlarm)]
    pub(crate) fn delete_alarm(this: &Storage) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    pub(crate) fn get_alarm(this: &Storage) -> Result<Promise, JsValue>;

}

#[wasm_bindgen]
extern "C" {
    /// `SqlStorage`.
    #[derive(Clone, Debug)]
    pub(crate) type Sql;

    #[wasm_bindgen(method, catch, getter, js_name = databaseSize)]
    pub(crate) fn database_size(this: &Sql) -> Result<f64, JsValue>;
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
    pub(crate) fn close_with_code(this: &WebSocket, code: u16) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = close)]
    pub(crate) fn close_with(this: &WebSocket, code: u16, reason: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, getter, js_name = readyState)]
    pub(crate) fn ready_state(this: &WebSocket) -> Result<u16, JsValue>;

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
}

#[wasm_bindgen]
extern "C" {
    /// Both ends of a socket, the client's first.
    #[derive(Clone, Debug)]
    pub(crate) type WebSocketPair;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new() -> Result<WebSocketPair, JsValue>;
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
    /// `DurableObjectStub`.
    pub(crate) type Stub;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn fetch(this: &Stub, request: &JsValue) -> Result<Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// `Response`.
    pub(crate) type Response;
}

#[wasm_bindgen]
extern "C" {
    /// `ReadableStream`.
    pub(crate) type ReadableStream;

    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(crate) fn get_reader(this: &ReadableStream) -> Result<Reader, JsValue>;

    /// `ReadableStreamDefaultReader`.
    pub(crate) type Reader;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn cancel(this: &Reader) -> Result<Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    pub(crate) fn get_random_values(bytes: &mut [u8]) -> Result<(), JsValue>;
}

// In `steps.js`, which says what each does.
#[wasm_bindgen(module = "/src/workerd/steps.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(crate) fn words_of(thrown: &JsValue) -> Result<String, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn hints_of(thrown: &JsValue) -> Result<u32, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn variable(env: &JsValue, name: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn name_of(state: &State) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn sql_of(state: &State) -> Result<Sql, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn write_log(level: &str, line: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn stub(
        env: &JsValue,
        binding: &str,
        name: &str,
        jurisdiction: Option<&str>,
        location_hint: Option<&str>,
    ) -> Result<Option<Stub>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn accept(state: &State, tags: Vec<JsValue>) -> Result<WebSocketPair, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn accept_tagged(state: &State, tag: &str) -> Result<WebSocketPair, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn server_end(pair: &WebSocketPair) -> Result<WebSocket, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn delete_all(storage: &Storage) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn abort(state: &State, reason: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn sleep(delay_ms: u32) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn end(over: &Promise) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn head_of(message: &JsValue) -> Result<String, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn respond(status: u16, head: &str, body: &JsValue) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn with_headers(response: &web_sys::Response, head: &str) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn request(method: &str, url: &str, head: &str, body: &JsValue) -> Result<web_sys::Request, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn changed(request: &web_sys::Request, removed: &str, head: &str) -> Result<web_sys::Request, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn form(message: &web_sys::Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn form_up_to(request: &web_sys::Request, limit: f64) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn elements(array: &JsValue) -> Result<Vec<JsValue>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn read(reader: &Reader) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn stream(pull: &JsValue, cancel: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn fetch_url(request: &web_sys::Request, controller: &web_sys::AbortController) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn sha256(body: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn verify(
        name: &str,
        key: &[u8],
        exponent: Option<&[u8]>,
        signature: &[u8],
        data: &[u8],
    ) -> Result<Promise, JsValue>;
}
