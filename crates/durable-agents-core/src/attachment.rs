//! What a socket carries through hibernation.
//!
//! One byte array: JSON, because it is small, self-delimiting and readable in a debugger, and because the connection's own state is
//! JSON already and is copied in and out as it is. Flags stand apart from that state, so neither can harm the other.
//!
//! `[flags, serial, tags, uri, state, has state, meter]`: the last but one tells "no state" from a state that is `null`, the last is left
//! out where nothing is counted.

use crate::error::AttachmentError;
use crate::json;
use crate::tags::{MAX_TAGS, Tags};

/// Most bytes of an attachment as we write it, without what limits and liveness count, for which there is always room.
///
/// The platform stores 16,384 bytes after structured cloning. For a `Uint8Array` of this length cloning adds 11 bytes (measured
/// in workerd: 16,373 bytes fit, one more is refused); the rest is room for another version of the format.
/// Source: <https://developers.cloudflare.com/durable-objects/best-practices/websockets/>
pub const MAX_ATTACHMENT_BYTES: usize = 16_384 - CLONE_OVERHEAD_BYTES - METER_BYTES;

const CLONE_OVERHEAD_BYTES: usize = 32;

/// Room for what limits and liveness count, and the comma before it. Kept free: a client whose URL fills the rest is counted as well.
pub(crate) const METER_BYTES: usize = 192;

/// How much longer a text can become as a JSON string: `\u0000`.
const MAX_ESCAPED: usize = 6;

/// More than all that stands around texts, state and meter.
const BESIDE_BYTES: usize = 64 + "\"\",".len() * MAX_TAGS;

/// Decisions about a connection that are stored with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) readonly: bool,
    pub(crate) no_protocol: bool,
    /// Presence has taken note of its end.
    pub(crate) departed: bool,
    /// It gets logged frames with their numbers: see [`Resume`](crate::resume::Resume).
    pub(crate) resumes: bool,
}

impl Flags {
    fn to_bits(self) -> u8 {
        let Self { readonly, no_protocol, departed, resumes } = self;
        u8::from(readonly) | u8::from(no_protocol) << 1 | u8::from(departed) << 2 | u8::from(resumes) << 3
    }

    fn from_bits(bits: u8) -> Self {
        let has = |bit: u8| bits & 1 << bit != 0;
        Self { readonly: has(0), no_protocol: has(1), departed: has(2), resumes: has(3) }
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
    /// What limits and liveness count, as JSON text. Only they read it, so that agents without them carry no code for it.
    pub(crate) meter: Option<String>,
}

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
        meter: Option<&str>,
    ) -> Result<Vec<u8>, AttachmentError> {
        let (texts, beside) = Self::lengths(tags, uri, state, meter);
        let mut text = String::with_capacity(texts + beside);
        text.push('[');
        for number in [u64::from(flags.to_bits()), serial] {
            text.push_str(itoa::Buffer::new().format(number));
            text.push(',');
        }
        text.push('[');
        for (index, tag) in tags.as_slice().iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            json::push_quoted(&mut text, tag);
        }
        text.push_str("],");
        json::push_quoted(&mut text, uri);
        text.push(',');
        text.push_str(state.unwrap_or("null"));
        text.push_str(if state.is_some() { ",true" } else { ",false" });
        let mut size_bytes = text.len() + "]".len();
        if let Some(meter) = meter {
            text.push(',');
            text.push_str(meter);
            size_bytes += (",".len() + meter.len()).saturating_sub(METER_BYTES);
        }
        text.push(']');
        if size_bytes > MAX_ATTACHMENT_BYTES {
            return Err(AttachmentError::TooLarge { size_bytes, limit_bytes: MAX_ATTACHMENT_BYTES });
        }
        Ok(text.into_bytes())
    }

    /// Whether what [`encode`](Self::encode) makes of it fits, whatever has to be escaped. `false` if it depends on that.
    pub(crate) fn fits_anyway(tags: &Tags, uri: &str, state: Option<&str>, meter: Option<&str>) -> bool {
        let (texts, beside) = Self::lengths(tags, uri, state, meter);
        texts.saturating_mul(MAX_ESCAPED).saturating_add(beside) <= MAX_ATTACHMENT_BYTES
    }

    /// How long the texts are that may have to be escaped, and, at most, everything else.
    fn lengths(tags: &Tags, uri: &str, state: Option<&str>, meter: Option<&str>) -> (usize, usize) {
        let texts = tags.as_slice().iter().map(String::len).sum::<usize>() + uri.len();
        (texts, BESIDE_BYTES + state.map_or(0, str::len) + meter.map_or(0, str::len))
    }

    /// Reads what [`encode`](Self::encode) wrote. `None` for anything else: such a socket is not ours.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = [None; 7];
        let count = json::take_apart(str::from_utf8(bytes).ok()?, &mut parts)?;
        let [Some(flags), Some(serial), Some(tags), Some(uri), Some(state), Some(has_state), meter] = parts else {
            return None;
        };
        let tags = texts(tags).filter(|tags| !tags.is_empty() && count <= parts.len())?;
        let number = |digits: &str| digits.parse::<u64>().ok();
        Some(Self {
            flags: Flags::from_bits(u8::try_from(number(flags)?).ok()?),
            serial: number(serial)?,
            tags: Tags::stored(tags),
            uri: json::text_of(uri)?.into_owned(),
            state: (has_state == "true").then(|| state.to_owned()),
            meter: meter.map(str::to_owned),
        })
    }
}

/// The strings of an array. `None` if it is none, or one of something else.
fn texts(array: &str) -> Option<Vec<String>> {
    let (mut texts, mut others) = (Vec::new(), 0);
    json::elements(array, |element| match json::text_of(element) {
        Some(text) => texts.push(text.into_owned()),
        None => others += 1,
    })?;
    (others == 0).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Tags {
        Tags::new("id", vec!["admin".to_owned()]).expect("valid tags")
    }

    #[test]
    fn reads_what_it_wrote() {
        for (state, meter) in [
            (None, None),
            (Some("null"), None),
            (Some("0"), Some("[1,2]")),
            (None, Some("[]")),
            (Some(r#"{"a":"ü\u0000"}"#), Some("7")),
        ] {
            let flags = Flags { readonly: true, departed: true, ..Flags::default() };
            let bytes = Attachment::encode(flags, 7, &tags(), "https://h/\"?x=ü", state, meter).expect("fits");
            let expected = Attachment {
                flags,
                serial: 7,
                tags: tags(),
                uri: "https://h/\"?x=ü".to_owned(),
                state: state.map(str::to_owned),
                meter: meter.map(str::to_owned),
            };
            assert_eq!(Attachment::decode(&bytes), Some(expected));
        }
    }

    #[test]
    fn what_fits_anyway_fits_however_much_is_escaped() {
        let own = (2..=MAX_TAGS).map(|tag| format!("{tag}\u{2}")).collect();
        let escaped = Tags::new("id", own).expect("valid tags");
        let (flags, state, meter) = (Flags::from_bits(15), Some("null"), Some("{}"));
        let mut last = None;
        for length in 0..MAX_ATTACHMENT_BYTES / MAX_ESCAPED {
            let uri = "\u{1}".repeat(length);
            if Attachment::fits_anyway(&escaped, &uri, state, meter) {
                Attachment::encode(flags, u64::MAX, &escaped, &uri, state, meter).expect("fits");
                last = Some(length);
            }
        }
        // And it is told of nearly all that fit.
        let most = (MAX_ATTACHMENT_BYTES - 2 * BESIDE_BYTES) / MAX_ESCAPED - 40;
        assert!(last.is_some_and(|last| last > most), "{last:?} {most}");
        let long = "x".repeat(MAX_ATTACHMENT_BYTES);
        assert!(!Attachment::fits_anyway(&tags(), "", Some(&long), None));
        assert!(!Attachment::fits_anyway(&tags(), "", None, Some(&long)));
    }

    #[test]
    fn whoever_fills_the_rest_leaves_room_to_count() {
        let encode = |length: usize, meter: usize| {
            let meter = "1".repeat(meter);
            let bytes = Attachment::encode(Flags::default(), 7, &tags(), &"x".repeat(length), None, Some(&meter))?;
            Ok::<usize, AttachmentError>(bytes.len())
        };
        let most = (0..=MAX_ATTACHMENT_BYTES).rfind(|&length| encode(length, 0).is_ok()).expect("something fits");
        assert_eq!(encode(most, METER_BYTES - 1).expect("room"), 16_384 - CLONE_OVERHEAD_BYTES);
        for (length, meter, size_bytes) in [(most, METER_BYTES, 1), (most + 1, METER_BYTES - 1, 1), (most + 9, 1, 9)] {
            let error = encode(length, meter).expect_err("no room");
            assert!(
                matches!(error, AttachmentError::TooLarge { size_bytes: size, limit_bytes }
                    if size == MAX_ATTACHMENT_BYTES + size_bytes && limit_bytes == MAX_ATTACHMENT_BYTES),
                "{length} {meter} {error}"
            );
        }
    }

    #[test]
    fn the_framework_takes_little() {
        let id = "0123456789abcdef-_xyz";
        let tags = Tags::new(id, vec![]).expect("valid tags");
        let uri = "https://example.com/agents/chat-agent/lobby";
        let bytes = Attachment::encode(Flags::default(), u64::MAX, &tags, uri, None, None).expect("fits");
        assert!(bytes.len() - uri.len() <= 256, "{}", bytes.len());
    }

    #[test]
    fn an_attachment_from_before_there_was_anything_to_count_is_read_as_it_is() {
        let bytes = br#"[3,7,["id"],"https://h/",{"a":1},true]"#;
        let read = Attachment::decode(bytes).expect("ours");
        assert_eq!(read.flags, Flags { readonly: true, no_protocol: true, ..Flags::default() });
        assert_eq!((read.state.as_deref(), read.meter), (Some(r#"{"a":1}"#), None));
        let again =
            Attachment::encode(read.flags, read.serial, &read.tags, &read.uri, read.state.as_deref(), None).expect("fits");
        assert_eq!(again, bytes);
    }

    #[test]
    fn foreign_bytes_are_nobodys_connection() {
        for text in [
            "",
            "null",
            "{}",
            "[]",
            r#"[0,1,[],"",null,false]"#,
            r#"[0,1,"id","",null,false]"#,
            r#"[0,1,["id",2],"",null,false]"#,
            r#"[0,1,["id"],3,null,false]"#,
            r#"[0,-1,["id"],"",null,false]"#,
            r#"[256,1,["id"],"",null,false]"#,
            r#"[0,1,["id"],"",null]"#,
            r#"[0,1,["id"],"",null,false,[],8]"#,
            r#"[0,1,["id"],"",null,false"#,
        ] {
            assert_eq!(Attachment::decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Attachment::decode(&[0xff, 0x0f]), None);
    }

    #[test]
    fn c77_what_is_too_large_says_how_large() {
        let state = format!("\"{}\"", "x".repeat(MAX_ATTACHMENT_BYTES));
        let error = Attachment::encode(Flags::default(), 0, &tags(), "", Some(&state), None).expect_err("too large");
        assert!(matches!(error, AttachmentError::TooLarge { size_bytes, .. } if size_bytes > MAX_ATTACHMENT_BYTES));
    }
}
