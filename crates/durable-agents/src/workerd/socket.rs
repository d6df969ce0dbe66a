//! A WebSocket's server end.

use std::cell::Cell;

use durable_agents_core::host::{ReadyState, Socket, SocketError};
use durable_agents_core::{Message, Payload};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{bytes_of, message_of};
use super::{glue, sys};

pub(super) struct JsSocket {
    pub(super) socket: sys::WebSocket,
    // What this handle has set, so that it need not ask the socket.
    key: Cell<Option<u64>>,
}

impl JsSocket {
    pub(super) fn new(socket: sys::WebSocket) -> Self {
        Self { socket, key: Cell::new(None) }
    }

    /// An exception of this socket: either it has closed, or something is wrong.
    fn failure(&self, exception: &JsValue) -> SocketError {
        match self.ready_state() {
            ReadyState::Open => SocketError::Platform(message_of(exception)),
            ReadyState::Closing | ReadyState::Closed => SocketError::Closed,
        }
    }
}

impl Socket for JsSocket {
    fn send(&self, payload: &Payload<'_>) -> Result<(), SocketError> {
        if !payload.is_for_many() {
            return glue::send(&self.socket, payload.data()).map_err(|exception| self.failure(&exception));
        }
        let converted = payload.converted(glue::converted);
        let Some(value) = converted else {
            return Err(SocketError::Platform("the payload was made by another adapter".to_owned()));
        };
        self.socket.send(value).map_err(|exception| self.failure(&exception))
    }

    fn send_all(&self, frames: &str) -> Result<(), SocketError> {
        glue::send_all(&self.socket, frames).map_err(|exception| self.failure(&exception))
    }

    fn close(&self, code: Option<u16>, reason: &str) -> Result<(), SocketError> {
        let closed = match code {
            // An empty text would come to JavaScript like any other.
            Some(code) if reason.is_empty() => self.socket.close_with_code(code),
            Some(code) => self.socket.close_with(code, reason),
            None => self.socket.close(),
        };
        closed.map_err(|exception| self.failure(&exception))
    }

    fn ready_state(&self) -> ReadyState {
        match self.socket.ready_state() {
            // The server's end is never connecting, but until it is accepted the platform says so.
            Ok(0 | 1) => ReadyState::Open,
            Ok(2) => ReadyState::Closing,
            Ok(_) | Err(_) => ReadyState::Closed,
        }
    }

    fn attachment(&self) -> Option<Vec<u8>> {
        let value = self.socket.deserialize_attachment().ok()?;
        Some(value.dyn_ref::<Uint8Array>()?.to_vec())
    }

    fn set_attachment(&self, bytes: &[u8]) -> Result<(), SocketError> {
        glue::attach(&self.socket, bytes).map_err(|exception| SocketError::Platform(message_of(&exception)))
    }

    fn key(&self) -> Option<u64> {
        self.key.get().or_else(|| key_of(self.socket.key().ok()?))
    }

    fn set_key(&self, key: u64) {
        self.key.set(Some(key));
        #[allow(clippy::cast_precision_loss, reason = "keys are below 2⁵³")]
        let key = key as f64;
        // Without it, the record is found through the attachment.
        drop(self.socket.set_key(key));
    }
}

/// The key that is the property of a socket, if it has one.
pub(super) fn key_of(property: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what `set_key` wrote")]
    property.is_finite().then_some(property as u64)
}

/// What a socket has received: a string, or the bytes of an `ArrayBuffer`.
pub(super) fn message(data: &JsValue) -> Message {
    glue::received(data).unwrap_or_else(|| match data.as_string() {
        Some(text) => Message::Text(text),
        None => Message::Binary(data.dyn_ref::<ArrayBuffer>().map(bytes_of).unwrap_or_default()),
    })
}
