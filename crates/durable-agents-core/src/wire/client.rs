//! Frames that clients send.

use std::borrow::Cow;

use super::{RPC, STATE};
use crate::json::{self, literal, text_of, text_or_source};

/// What a text message is.
#[derive(Debug)]
pub(crate) enum ClientFrame<'a> {
    /// The client's new state, as JSON text.
    State(&'a str),
    /// A call of a method.
    Rpc(Call<'a>),
    /// None of ours: the agent's own.
    App,
}

/// A call, not yet looked up.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// A string, as JSON text: it goes back as it came.
    pub(crate) id: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
    /// A JSON array, not looked into.
    pub(crate) args: &'a str,
}

/// Tells protocol frames from the agent's own messages.
///
/// A frame with anything missing or of the wrong type is the agent's own, as the reference has it. Of repeated keys the last one
/// counts, as in `JSON.parse`; values are not looked into, so a lone surrogate in the state makes a bad state and not a
/// message.
pub(crate) fn parse(text: &str) -> ClientFrame<'_> {
    frame(text).unwrap_or(ClientFrame::App)
}

fn frame(text: &str) -> Option<ClientFrame<'_>> {
    let mut envelope = Envelope::default();
    // Most messages of most agents end here, at the first byte.
    json::members(text, |key, value| envelope.take(key, value))?;
    envelope.classify()
}

/// The members that matter, as JSON text.
#[derive(Default)]
struct Envelope<'a> {
    kind: Option<&'a str>,
    state: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    args: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// Keeps a member, if it matters; `key` is a literal.
    fn take(&mut self, key: &str, value: &'a str) {
        let field = match key {
            r#""type""# => &mut self.kind,
            r#""state""# => &mut self.state,
            r#""id""# => &mut self.id,
            r#""method""# => &mut self.method,
            r#""args""# => &mut self.args,
            key => {
                if json::is_escaped(key)
                    && let Some(key) = literal(key).filter(|plain| !json::is_escaped(plain))
                {
                    self.take(&key, value);
                }
                return;
            }
        };
        *field = Some(value);
    }

    fn classify(self) -> Option<ClientFrame<'a>> {
        match &*text_of(self.kind?)? {
            STATE => Some(ClientFrame::State(self.state?)),
            RPC => Some(ClientFrame::Rpc(Call {
                id: literal(self.id?)?,
                method: text_or_source(self.method?)?,
                args: self.args.filter(|args| args.starts_with('['))?,
            })),
            _ => None,
        }
    }
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
            r#"{"\ud800":1,"type":"cf_agent_state","state":1,"id":"\ud800"}"#,
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
        assert_eq!((&*call.id, &*call.method), (r#""a\"b""#, "add"));
        assert_eq!(call.args, r#"[2, {"x":[1]}, "\ud800"]"#);
    }

    #[test]
    fn deep_nesting_is_no_fault() {
        let deep = format!(r#"{{"type":"x","state":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(kind(&deep), "app");
    }
}
