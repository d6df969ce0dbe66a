//! Frames that clients send.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{RPC, STATE};

/// What a text message is.
#[derive(Debug)]
pub(crate) enum ClientFrame<'a> {
    /// The client's new state.
    State(&'a RawValue),
    /// A call of a method.
    Rpc(Call<'a>),
    /// None of ours: the agent's own.
    App,
}

/// A call, not yet looked up.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    // A JSON array, not looked into.
    pub(crate) args: &'a RawValue,
}

/// Tells protocol frames from the agent's own messages.
///
/// A frame with anything missing or of the wrong type is the agent's own, as the reference has it. Of repeated keys the last one
/// counts, as in `JSON.parse`; values are not looked into, so a lone surrogate in the state makes a bad state and not a
/// message.
pub(crate) fn parse(text: &str) -> ClientFrame<'_> {
    // Most messages of most agents end here, unparsed.
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return ClientFrame::App;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let Ok(envelope) = json.deserialize_map(EnvelopeVisitor) else { return ClientFrame::App };
    if json.end().is_err() {
        return ClientFrame::App;
    }
    envelope.classify().unwrap_or(ClientFrame::App)
}

#[derive(Default)]
struct Envelope<'a> {
    kind: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    args: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn classify(self) -> Option<ClientFrame<'a>> {
        match &*string(self.kind?)? {
            STATE => Some(ClientFrame::State(self.state?)),
            RPC => Some(ClientFrame::Rpc(Call {
                id: string(self.id?)?,
                method: string(self.method?)?,
                args: self.args.filter(|args| args.get().starts_with('['))?,
            })),
            _ => None,
        }
    }
}

/// The text of a JSON string, without a copy if nothing in it is escaped.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    let plain = raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|text| !text.contains('\\'));
    if let Some(plain) = plain {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str::<Borrowed<'_>>(raw.get()).ok().map(|text| text.0)
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key::<Key>()? {
            let field = match key {
                Key::Type => &mut envelope.kind,
                Key::State => &mut envelope.state,
                Key::Id => &mut envelope.id,
                Key::Method => &mut envelope.method,
                Key::Args => &mut envelope.args,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(envelope)
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Type,
    State,
    Id,
    Method,
    Args,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match parse(text) {
            ClientFrame::State(_) => "state",
            ClientFrame::Rpc(_) => "rpc",
            ClientFrame::App => "app",
        }
    }

    #[test]
    fn c84_c85_other_text_is_the_agents_own() {
        for text in [
            "",
            " ",
            "hello",
            "{incomplete",
            "null",
            "[]",
            "{}",
            "\"\"",
            "5",
            r#"{"type":"x"}"#,
            r#"{"type":999}"#,
            r#"{"type":null}"#,
            r#"{"type":"cf_agent_state","state":1} trailing"#,
            r#"["rpc"]"#,
        ] {
            assert_eq!(kind(text), "app", "{text}");
        }
    }

    #[test]
    fn c86_c87_an_incomplete_frame_is_the_agents_own() {
        for text in [
            r#"{"type":"rpc","id":"1","method":"add"}"#,
            r#"{"type":"rpc","id":"1","method":"add","args":null}"#,
            r#"{"type":"rpc","id":5,"method":"add","args":[]}"#,
            r#"{"type":"rpc","id":"1","args":[]}"#,
            r#"{"type":"rpc","id":"1","method":7,"args":[]}"#,
            r#"{"type":"rpc","id":"1","method":"add","args":{}}"#,
            r#"{"type":"cf_agent_state"}"#,
        ] {
            assert_eq!(kind(text), "app", "{text}");
        }
    }

    #[test]
    fn c88_complete_frames_are_ours() {
        for text in [
            r#"{"type":"cf_agent_state","state":{"a":1}}"#,
            r#"{"state":null,"type":"cf_agent_state"}"#,
            " \n{\"type\" : \"cf_agent_state\" , \"state\" : 0}\t",
            r#"{"ty\u0070e":"cf_agent_st\u0061te","state":1}"#,
            r#"{"type":"x","type":"cf_agent_state","state":1,"extra":{"type":"y"}}"#,
            r#"{"type":"cf_agent_state","state":"\ud800"}"#,
        ] {
            assert_eq!(kind(text), "state", "{text}");
        }
        assert_eq!(kind(r#"{"type":"rpc","id":"","method":"m","args":[],"extra":[1,{}]}"#), "rpc");
    }

    #[test]
    fn a_call_keeps_its_arguments_unread() {
        let ClientFrame::Rpc(call) = parse(r#"{"type":"rpc","id":"a\"b","method":"add","args":[2, {"x":[1]}, "\ud800"]}"#)
        else {
            panic!("not a call")
        };
        assert_eq!((&*call.id, &*call.method), ("a\"b", "add"));
        assert_eq!(call.args.get(), r#"[2, {"x":[1]}, "\ud800"]"#);
    }

    #[test]
    fn deep_nesting_is_no_fault() {
        let deep = format!(r#"{{"type":"x","state":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(kind(&deep), "app");
    }
}
