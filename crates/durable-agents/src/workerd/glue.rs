//! Functions of ours that run as JavaScript: see `glue.js`.

use std::cell::RefCell;

use durable_agents_core::Message;
use wasm_bindgen::prelude::*;
use worker::web_sys;

use super::sys;

#[wasm_bindgen(module = "/src/workerd/glue.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(crate) fn hand_over(
        env: &JsValue,
        binding: &str,
        name: &str,
        request: &web_sys::Request,
        internal: &JsValue,
        again: &JsValue,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn head_of(request: &web_sys::Request, props: &str) -> Result<String, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn respond(body: &JsValue, status: u16, head: &str) -> Result<sys::Response, JsValue>;

    /// The same of a text that is no longer than a few kilobytes.
    #[wasm_bindgen(catch, js_name = respond)]
    pub(crate) fn respond_text(body: &str, status: u16, head: &str) -> Result<sys::Response, JsValue>;

    #[wasm_bindgen(catch)]
    fn take(message: &JsValue, memory: &JsValue, at: u32, room: u32) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch)]
    fn send_bytes(socket: &sys::WebSocket, memory: &JsValue, at: u32, length: u32) -> Result<(), JsValue>;
}

/// Room for a message on its way in.
const SCRATCH_BYTES: usize = 16 * 1024;

thread_local! {
    static MEMORY: JsValue = wasm_bindgen::memory();
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// What a socket has received, if it is not too long for the shorter way.
pub(crate) fn received(message: &JsValue) -> Option<Message> {
    SCRATCH.with_borrow_mut(|scratch| {
        let taken = MEMORY.with(|memory| take(message, memory, address(scratch), length(scratch))).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "a length, or -1 less one; NaN becomes 0 and is looked for first")]
        let taken = (!taken.is_nan()).then_some(taken as i32)?;
        match usize::try_from(taken) {
            Ok(length) => Some(Message::Text(str::from_utf8(scratch.get(..length)?).ok()?.to_owned())),
            Err(_) => Some(Message::Binary(scratch.get(..usize::try_from(-1 - taken).ok()?)?.to_vec())),
        }
    })
}

/// Sends a binary message.
pub(crate) fn send(socket: &sys::WebSocket, bytes: &[u8]) -> Result<(), JsValue> {
    MEMORY.with(|memory| send_bytes(socket, memory, address(bytes), length(bytes)))
}

#[allow(clippy::cast_possible_truncation, reason = "wasm has addresses of 32 bits; nobody calls this elsewhere")]
fn address(bytes: &[u8]) -> u32 {
    bytes.as_ptr().addr() as u32
}

#[allow(clippy::cast_possible_truncation, reason = "wasm has lengths of 32 bits; nobody calls this elsewhere")]
fn length(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}
