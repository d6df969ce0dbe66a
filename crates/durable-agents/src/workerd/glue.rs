//! Functions of ours that run as JavaScript: see `glue.js`.

use std::cell::RefCell;
use std::ops::{BitOr, Range};

use durable_agents_core::host::Around;
use durable_agents_core::http::{Method, Url};
use durable_agents_core::{Data, Message};
use js_sys::{ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use worker::web_sys;

use super::sys;

#[wasm_bindgen(module = "/src/workerd/glue.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = hand_over)]
    fn hand_over_by_place(
        env: &JsValue,
        binding: &JsValue,
        start: i32,
        end: i32,
        request: &web_sys::Request,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn prepare(again: &JsValue) -> Result<(), JsValue>;

    pub(crate) fn promise() -> Promise;

    pub(crate) fn keep(made: &Promise, value: &JsValue);

    pub(crate) fn break_off(made: &Promise, wrong: &JsValue);

    pub(crate) fn forget(made: &Promise);

    pub(crate) fn watch(socket: &sys::WebSocket) -> Promise;

    #[wasm_bindgen(catch)]
    pub(crate) fn namespaces(env: &JsValue) -> Result<String, JsValue>;

    #[wasm_bindgen(catch)]
    fn take_head(request: &web_sys::Request, starts: i32) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch)]
    fn take_url(request: &web_sys::Request) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_name = respond_like)]
    fn respond_like_at(template: &sys::Response, at: i32, length: i32) -> Result<sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn switched(pair: &sys::WebSocketPair) -> Result<sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn never() -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn query(sql: &sys::Sql, statement: &JsValue, params: Vec<JsValue>) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn run(sql: &sys::Sql, statement: &JsValue, params: Vec<JsValue>) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = run_part)]
    fn run_part_of(sql: &sys::Sql, statement: &JsValue, text: &JsValue, before: i32, after: i32) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn next_cells() -> Result<Vec<f64>, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn batch_text() -> Result<String, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn next_blob() -> Result<ArrayBuffer, JsValue>;

    #[wasm_bindgen(js_name = lend)]
    fn lend_at(memory: &JsValue, start: i32, room: i32);

    #[wasm_bindgen(catch)]
    fn take(message: &JsValue) -> Result<f64, JsValue>;

    fn last(answer: f64) -> JsValue;

    #[wasm_bindgen(catch)]
    fn send_last(socket: &sys::WebSocket, answer: f64) -> Result<bool, JsValue>;

    #[wasm_bindgen(catch, js_name = send_text)]
    fn send_text_at(socket: &sys::WebSocket, at: i32, length: i32) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = send_all)]
    fn send_all_at(socket: &sys::WebSocket, at: i32, length: i32) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = attach)]
    fn attach_at(socket: &sys::WebSocket, at: i32, length: i32) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = send_bytes)]
    fn send_bytes_at(socket: &sys::WebSocket, at: i32, length: i32) -> Result<(), JsValue>;
}

/// Room for a message on its way in.
const ROOM_BYTES: usize = 16 * 1024;

thread_local! {
    static LENT: RefCell<Lent> = RefCell::new(Lent::new());
}

/// The memory in which JavaScript leaves a message. It keeps the value too: what goes out is often what has just come in.
struct Lent {
    // On the heap: JavaScript writes to it while this is borrowed.
    room: Box<[u8; ROOM_BYTES]>,
    // What `take` has answered: how long a text is in bytes of UTF-8, -1 less the length of what is no text, or NaN.
    taken: f64,
}

impl Lent {
    fn new() -> Self {
        let room = Box::new([0; ROOM_BYTES]);
        lend_at(&wasm_bindgen::memory(), address(&*room), length(&*room));
        Self { room, taken: f64::NAN }
    }

    fn message(&self) -> Option<Message> {
        #[allow(clippy::cast_possible_truncation, reason = "a length, or -1 less one; NaN becomes 0 and is looked for first")]
        let taken = (!self.taken.is_nan()).then_some(self.taken as i32)?;
        match usize::try_from(taken) {
            Ok(length) => Some(Message::Text(self.text(length)?.to_owned())),
            Err(_) => Some(Message::Binary(self.room.get(..usize::try_from(-1 - taken).ok()?)?.to_vec())),
        }
    }

    fn text(&self, length: usize) -> Option<&str> {
        str::from_utf8(self.room.get(..length)?).ok()
    }

    /// Whether `bytes` are those of the message; `taken` is what `take` would answer for them.
    fn has(&self, bytes: &[u8], taken: f64) -> bool {
        #[allow(clippy::float_cmp, reason = "whole numbers")]
        let is_as_long = taken == self.taken;
        is_as_long && self.room.get(..bytes.len()).is_some_and(|room| is_equal(room, bytes))
    }
}

/// Whether both are the same, 16 bytes at a time: wasm's own comparison takes one after the other. To the end, as what is as long as
/// what it is compared with nearly always is the same.
pub(super) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let ((ones, rest), (others, other_rest)) = (one.as_chunks::<16>(), other.as_chunks());
    let difference = |(one, other): (&[u8; 16], &[u8; 16])| u128::from_ne_bytes(*one) ^ u128::from_ne_bytes(*other);
    let differences = ones.iter().zip(others).map(difference).fold(0, BitOr::bitor);
    differences == 0 && rest == other_rest
}

/// Lends JavaScript the memory for messages on their way in, once.
pub(crate) fn lend() {
    LENT.with(|_| ());
}

/// What `take` has left in that memory.
pub(crate) fn taken(taken: f64) -> Option<Message> {
    LENT.with_borrow_mut(|lent| {
        lent.taken = taken;
        lent.message()
    })
}

/// What a socket has received, if it is not too long for the shorter way.
pub(crate) fn received(message: &JsValue) -> Option<Message> {
    lend();
    taken(take(message).ok()?)
}

/// What every request is asked for.
pub(crate) struct Head {
    pub(crate) url: Url,
    pub(crate) method: Known<Method>,
    pub(crate) upgrade: Known<Option<&'static str>>,
    /// Known only of a request that may start an agent.
    pub(crate) has_no_props: bool,
}

impl Head {
    /// That of a request whose URL is longer than the lent memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn unknown(request: &web_sys::Request) -> Self {
        Self { url: Url::parse(&request.url()), method: Known::Unusual, upgrade: Known::Unusual, has_no_props: false }
    }
}

/// What JavaScript can say in a number, unless it is unusual.
pub(crate) enum Known<T> {
    Usual(T),
    Unusual,
}

/// The head of a request, unless its URL is longer than the lent memory.
pub(crate) fn head(request: &web_sys::Request, starts: bool) -> Option<Head> {
    let mut known = 0;
    let take = || {
        let answer = take_head(request, i32::from(starts))?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small whole number, or NaN, which becomes 0"
        )]
        let whole = answer as u32;
        known = whole % 32;
        Ok(if answer.is_nan() { answer } else { f64::from(whole / 32) })
    };
    let url = with_taken(take, |url| url.map(Url::parse))?;
    let method = match known / 4 % 4 {
        1 => Known::Usual(Method::GET),
        2 => Known::Usual(Method::POST),
        _ => Known::Unusual,
    };
    let upgrade = match known % 4 {
        1 => Known::Usual(None),
        2 => Known::Usual(Some("websocket")),
        _ => Known::Unusual,
    };
    Some(Head { url, method, upgrade, has_no_props: known / 16 != 0 })
}

/// Calls `read` with the URL of a request, unless that is longer than the lent memory.
pub(crate) fn with_url<T>(request: &web_sys::Request, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    with_taken(|| take_url(request), |url| read(url?))
}

fn with_taken<T>(take: impl FnOnce() -> Result<f64, JsValue>, read: impl FnOnce(Option<&str>) -> T) -> T {
    LENT.with_borrow_mut(|lent| {
        lent.taken = take().unwrap_or(f64::NAN);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length, or NaN, which is looked for")]
        read(if lent.taken.is_nan() { None } else { lent.text(lent.taken as usize) })
    })
}

/// Sends a request as it is to the object whose name stands at `name` in its URL, which [`with_url`] has read. The promise of the
/// answer, or `undefined` if the request has an internal header. What is done after a failure is what [`prepare`] was told.
// No `Option`, which JavaScript would have to put into the table of the wasm itself: that takes it a thousand instructions.
pub(crate) fn hand_over(
    env: &JsValue,
    binding: &JsValue,
    name: Range<usize>,
    request: &web_sys::Request,
) -> Result<JsValue, JsValue> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "places in the lent memory")]
    hand_over_by_place(env, binding, name.start as i32, name.end as i32, request)
}

/// An answer with a short text, and with status and headers of another.
pub(crate) fn respond_like(template: &sys::Response, text: &str) -> Result<sys::Response, JsValue> {
    respond_like_at(template, address(text.as_bytes()), length(text.as_bytes()))
}

/// Runs a statement with a part of a text as its only parameter.
pub(crate) fn run_part(sql: &sys::Sql, statement: &JsValue, text: &JsValue, around: Around) -> Result<(), JsValue> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "lengths of what frames begin and end with")]
    run_part_of(sql, statement, text, around.before as i32, around.after as i32)
}

/// What `take` answers for a message with that content.
#[allow(clippy::cast_precision_loss, reason = "memory of wasm is below 2⁵³ bytes")]
fn answer_for<'d>(data: &'d Data<'_>) -> (&'d [u8], f64) {
    match data {
        Data::Text(text) => (text.as_bytes(), text.len() as f64),
        Data::Binary(bytes) => (bytes, -1.0 - bytes.len() as f64),
    }
}

/// Sends a message to one socket.
pub(crate) fn send(socket: &sys::WebSocket, data: &Data<'_>) -> Result<(), JsValue> {
    let (bytes, taken) = answer_for(data);
    if LENT.with_borrow(|lent| lent.has(bytes, taken)) && send_last(socket, taken)? {
        return Ok(());
    }
    match data {
        Data::Text(text) => send_text_at(socket, address(text.as_bytes()), length(text.as_bytes())),
        Data::Binary(bytes) => send_bytes_at(socket, address(bytes), length(bytes)),
    }
}

/// Sends several texts to one socket: see [`Socket::send_all`](durable_agents_core::host::Socket::send_all).
pub(crate) fn send_all(socket: &sys::WebSocket, frames: &str) -> Result<(), JsValue> {
    send_all_at(socket, address(frames.as_bytes()), length(frames.as_bytes()))
}

/// Stores bytes with a socket.
pub(crate) fn attach(socket: &sys::WebSocket, bytes: &[u8]) -> Result<(), JsValue> {
    attach_at(socket, address(bytes), length(bytes))
}

/// A message as the platform takes it. Bytes are copied: the platform keeps what it is given until it has sent it.
pub(crate) fn converted(data: &Data<'_>) -> JsValue {
    let (bytes, taken) = answer_for(data);
    let last = LENT.with_borrow(|lent| lent.has(bytes, taken)).then(|| last(taken)).filter(|last| !last.is_undefined());
    last.unwrap_or_else(|| match data {
        Data::Text(text) => JsValue::from_str(text),
        Data::Binary(bytes) => Uint8Array::from(&**bytes).into(),
    })
}

// Both with a sign, as all integers of wasm come to JavaScript: for those without, wasm-bindgen puts a function around each import.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "wasm has addresses of 32 bits; nobody calls this elsewhere"
)]
fn address(bytes: &[u8]) -> i32 {
    bytes.as_ptr().addr() as i32
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "no text is as long as half of an object's memory"
)]
fn length(bytes: &[u8]) -> i32 {
    bytes.len() as i32
}

#[cfg(test)]
mod tests {
    use super::is_equal;

    #[test]
    fn two_texts_are_equal_only_if_every_byte_is() {
        for length in 0..40 {
            let one: Vec<u8> = (0..length).collect();
            assert!(is_equal(&one, &one.clone()), "{length}");
            for place in 0..one.len() {
                let mut other = one.clone();
                other[place] ^= 0x80;
                assert!(!is_equal(&one, &other), "{length} {place}");
                assert!(!is_equal(&one, &one[..place]), "{length} {place}");
            }
        }
    }
}
