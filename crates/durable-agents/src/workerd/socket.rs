//! A WebSocket's server end.

use durable_agents_core::host::{ReadyState, Socket, SocketError};
use durable_agents_core::{Data, Message, Payload};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{bytes_of, message_of};
use super::{glue, sys};

pub(super) struct JsSocket(pub(super) sys::WebSocket);

impl JsSocket {
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
            let sent = match payload.data() {
                Data::Text(text) => self.0.send_text(text),
                Data::Binary(bytes) => glue::send(&self.0, bytes),
            };
            return sent.map_err(|exception| self.failure(&exception));
        }
        // Bytes are copied out of the wasm memory: the platform keeps what it is given until it has sent it.
        let converted = payload.converted(|data| match data {
            Data::Text(text) => JsValue::from_str(text),
            Data::Binary(bytes) => Uint8Array::from(&**bytes).into(),
        });
        let Some(value) = converted else {
            return Err(SocketError::Platform("the payload was made by another adapter".to_owned()));
        };
        self.0.send(value).map_err(|exception| self.failure(&exception))
    }

    fn close(&self, code: Option<u16>, reason: &str) -> Result<(), SocketError> {
        let closed = match code {
            Some(code) => self.0.close_with(code, reason),
            None => self.0.close(),
        };
        closed.map_err(|exception| self.failure(&exception))
    }

    fn ready_state(&self) -> ReadyState {
        match self.0.ready_state() {
            // The server's end is never connecting, but until it is accepted the platform says so.
            Ok(0 | 1) => ReadyState::Open,
            Ok(2) => ReadyState::Closing,
            Ok(_) | Err(_) => ReadyState::Closed,
        }
    }

    fn attachment(&self) -> Option<Vec<u8>> {
        let value = self.0.deserialize_attachment().ok()?;
        Some(value.dyn_ref::<Uint8Array>()?.to_vec())
    }

    fn set_attachment(&self, bytes: &[u8]) -> Result<(), SocketError> {
        let value = Uint8Array::from(bytes);
        self.0.serialize_attachment(&value).map_err(|exception| SocketError::Platform(message_of(&exception)))
    }

    fn key(&self) -> Option<u64> {
        let key = self.0.key().ok().filter(|key| key.is_finite())?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what `set_key` wrote")]
        let key = key as u64;
        Some(key)
    }

    fn set_key(&self, key: u64) {
        #[allow(clippy::cast_precision_loss, reason = "keys are below 2⁵³")]
        let key = key as f64;
        // Without it, the record is found through the attachment.
        drop(self.0.set_key(key));
    }
}

/// What a socket has received: a string, or the bytes of an `ArrayBuffer`.
pub(super) fn message(data: &JsValue) -> Message {
    glue::received(data).unwrap_or_else(|| match data.as_string() {
        Some(text) => Message::Text(text),
        None => Message::Binary(data.dyn_ref::<ArrayBuffer>().map(bytes_of).unwrap_or_default()),
    })
}
