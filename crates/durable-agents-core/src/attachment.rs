//! What a socket carries through hibernation.
//!
//! One byte array: JSON, because it is small, self-delimiting and readable in a debugger, and because the connection's own state is
//! JSON already and is copied in and out as it is. Flags stand apart from that state, so neither can harm the other.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::AttachmentError;
use crate::tags::Tags;

/// Most bytes of an attachment as we write it.
///
/// The platform stores 16,384 bytes after structured cloning. For a `Uint8Array` of this length cloning adds 11 bytes (measured
/// in workerd: 16,373 bytes fit, one more is refused); the rest is room for another version of the format.
/// Source: <https://developers.cloudflare.com/durable-objects/best-practices/websockets/>
pub const MAX_ATTACHMENT_BYTES: usize = 16_384 - CLONE_OVERHEAD_BYTES;

const CLONE_OVERHEAD_BYTES: usize = 32;

/// Decisions about a connection that are stored with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) readonly: bool,
    pub(crate) no_protocol: bool,
}

impl Flags {
    fn to_bits(self) -> u8 {
        u8::from(self.readonly) | u8::from(self.no_protocol) << 1
    }

    fn from_bits(bits: u8) -> Self {
        Self { readonly: bits & 1 != 0, no_protocol: bits & 2 != 0 }
    }
}

/// Everything about a connection that survives hibernation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) flags: Flags,
    /// Grows from connection to connection, so that the newest of several with one id can be told.
    pub(crate) serial: u64,
    pub(crate) tags: Tags,
    pub(crate) uri: String,
    /// The connection's own state, as JSON text.
    pub(crate) state: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a>(
    u8,
    u64,
    Vec<String>,
    #[serde(borrow)] std::borrow::Cow<'a, str>,
    #[serde(borrow)] Option<&'a RawValue>,
    // Tells "no state" from a state that is `null`.
    bool,
);

impl Attachment {
    /// The bytes to store.
    ///
    /// # Errors
    /// [`AttachmentError::TooLarge`].
    pub(crate) fn encode(
        flags: Flags,
        serial: u64,
        tags: &Tags,
        uri: &str,
        state: Option<&str>,
    ) -> Result<Vec<u8>, AttachmentError> {
        let raw: Option<&RawValue> = match state {
            Some(state) => Some(serde_json::from_str(state).map_err(shape)?),
            None => None,
        };
        let stored = Stored(flags.to_bits(), serial, tags.as_slice().to_vec(), uri.into(), raw, state.is_some());
        let bytes = serde_json::to_vec(&stored).map_err(shape)?;
        if bytes.len() > MAX_ATTACHMENT_BYTES {
            return Err(AttachmentError::TooLarge { size_bytes: bytes.len(), limit_bytes: MAX_ATTACHMENT_BYTES });
        }
        Ok(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote. `None` for anything else: such a socket is not ours.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let Stored(flags, serial, tags, uri, state, has_state) = serde_json::from_slice(bytes).ok()?;
        if tags.is_empty() {
            return None;
        }
        let state = has_state.then(|| state.map_or_else(|| "null".to_owned(), |state| state.get().to_owned()));
        Some(Self { flags: Flags::from_bits(flags), serial, tags: Tags::stored(tags), uri: uri.into_owned(), state })
    }
}

fn shape(error: serde_json::Error) -> AttachmentError {
    AttachmentError::Shape(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Tags {
        Tags::new("id", vec!["admin".to_owned()]).expect("valid tags")
    }

    #[test]
    fn reads_what_it_wrote() {
        for state in [None, Some("null"), Some("0"), Some(r#"{"a":"ü\u0000"}"#)] {
            let flags = Flags { readonly: true, no_protocol: false };
            let bytes = Attachment::encode(flags, 7, &tags(), "https://h/\"?x=ü", state).expect("fits");
            let expected = Attachment {
                flags,
                serial: 7,
                tags: tags(),
                uri: "https://h/\"?x=ü".to_owned(),
                state: state.map(str::to_owned),
            };
            assert_eq!(Attachment::decode(&bytes), Some(expected));
        }
    }

    #[test]
    fn the_framework_takes_little() {
        let id = "0123456789abcdef-_xyz";
        let tags = Tags::new(id, vec![]).expect("valid tags");
        let uri = "https://example.com/agents/chat-agent/lobby";
        let bytes = Attachment::encode(Flags::default(), u64::MAX, &tags, uri, None).expect("fits");
        assert!(bytes.len() - uri.len() <= 256, "{}", bytes.len());
    }

    #[test]
    fn foreign_bytes_are_nobodys_connection() {
        for bytes in [&b""[..], b"null", b"{}", b"[]", b"[0,1,[],\"\",null,false]", &[0xff, 0x0f]] {
            assert_eq!(Attachment::decode(bytes), None);
        }
    }

    #[test]
    fn c77_what_is_too_large_says_how_large() {
        let state = format!("\"{}\"", "x".repeat(MAX_ATTACHMENT_BYTES));
        let error = Attachment::encode(Flags::default(), 0, &tags(), "", Some(&state)).expect_err("too large");
        assert!(matches!(error, AttachmentError::TooLarge { size_bytes, .. } if size_bytes > MAX_ATTACHMENT_BYTES));
    }
}
