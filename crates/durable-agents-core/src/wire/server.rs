//! Frames that the server sends, as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::{IDENTITY, LOGGED, RESUMED, RPC, STATE, STATE_ERROR};
use crate::message::Message;
use crate::resume::Replay;

/// `cf_agent_mcp_servers` of an agent without MCP servers, which every agent here is.
pub(crate) const NO_MCP_SERVERS: &str =
    r#"{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}"#;

/// Who the client is talking to.
pub(crate) fn identity(name: &str, class: &str, state_follows: bool) -> String {
    let frame = Frame::new(96).text("name", name).text("agent", class).text("type", IDENTITY);
    // Newer clients then wait for the state before they report ready; older ones ignore it.
    if state_follows { frame.flag("stateFollows", true).end() } else { frame.end() }
}

/// The whole state; `json` is JSON text.
pub(crate) fn state(json: &str) -> String {
    Frame::new(json.len() + 36).json("state", json).text("type", STATE).end()
}

/// A client's state was refused.
pub(crate) fn state_error(error: &str) -> String {
    Frame::new(64).text("type", STATE_ERROR).text("error", error).end()
}

/// A connect failed; the close frame follows.
pub(crate) fn connect_error(error: &str) -> String {
    Frame::new(64).text("error", error).end()
}

/// The final answer to a call; no `result` key for a method that returns nothing.
pub(crate) fn rpc_result(id: &str, result: Option<&RawValue>) -> String {
    rpc_success(id, result, true)
}

/// One of several answers to a call, not the last.
pub(crate) fn rpc_chunk(id: &str, chunk: &RawValue) -> String {
    rpc_success(id, Some(chunk), false)
}

fn rpc_success(id: &str, result: Option<&RawValue>, done: bool) -> String {
    let result = result.map(RawValue::get);
    let frame = Frame::new(result.map_or(0, str::len) + id.len() + 64).flag("done", done).text("id", id);
    let frame = match result {
        Some(json) => frame.json("result", json),
        None => frame,
    };
    frame.flag("success", true).text("type", RPC).end()
}

/// A call failed.
pub(crate) fn rpc_error(id: &str, error: &str) -> String {
    Frame::new(error.len() + id.len() + 64).text("error", error).text("id", id).flag("success", false).text("type", RPC).end()
}

/// What a client that resumes is to expect. The number is that before its first frame, live or missed.
pub(crate) fn resumed(epoch: &str, replay: &Replay) -> String {
    let seq = replay.frames.first().map_or(replay.newest_seq, |(seq, _)| seq.saturating_sub(1));
    Frame::new(128)
        .text("type", RESUMED)
        .text("epoch", epoch)
        .json("seq", &seq.to_string())
        .flag("recovered", replay.recovered)
        .json("missed", &replay.frames.len().to_string())
        .json("lost", &replay.lost.to_string())
        .end()
}

/// A frame with its number in the log.
pub(crate) fn logged(seq: u64, frame: &Message) -> String {
    let logged = Frame::new(frame.len() + 64).text("type", LOGGED).json("seq", &seq.to_string());
    match frame {
        Message::Text(plain) => logged.text("text", plain),
        Message::Binary(bytes) => logged.text("base64", &STANDARD.encode(bytes)),
    }
    .end()
}

/// A frame that is being written, value by value: most of it is JSON already, or text without anything to escape.
struct Frame(String);

impl Frame {
    /// `capacity` bytes are expected.
    fn new(capacity: usize) -> Self {
        let mut frame = String::with_capacity(capacity);
        frame.push('{');
        Self(frame)
    }

    /// A value that is JSON text. Keys have nothing to escape.
    fn json(mut self, key: &str, json: &str) -> Self {
        self.begin(key);
        self.0.push_str(json);
        self
    }

    fn text(mut self, key: &str, text: &str) -> Self {
        self.begin(key);
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
        } else {
            // A string has no way to fail.
            self.0.push_str(&serde_json::to_string(text).unwrap_or_default());
        }
        self
    }

    fn flag(self, key: &str, flag: bool) -> Self {
        self.json(key, if flag { "true" } else { "false" })
    }

    fn begin(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_byte_exact() {
        assert_eq!(
            identity("room-1", "chat-room", false),
            r#"{"name":"room-1","agent":"chat-room","type":"cf_agent_identity"}"#
        );
        assert_eq!(
            identity("a\"b", "c", true),
            r#"{"name":"a\"b","agent":"c","type":"cf_agent_identity","stateFollows":true}"#
        );
        assert_eq!(state(r#"{"count":0}"#), r#"{"state":{"count":0},"type":"cf_agent_state"}"#);
        assert_eq!(
            state_error("Connection is readonly"),
            r#"{"type":"cf_agent_state_error","error":"Connection is readonly"}"#
        );
        assert_eq!(connect_error("no\n"), r#"{"error":"no\n"}"#);
        let five = RawValue::from_string("5".to_owned()).expect("JSON");
        assert_eq!(rpc_result("7f", Some(&five)), r#"{"done":true,"id":"7f","result":5,"success":true,"type":"rpc"}"#);
        assert_eq!(rpc_result("7f", None), r#"{"done":true,"id":"7f","success":true,"type":"rpc"}"#);
        assert_eq!(rpc_chunk("7f", &five), r#"{"done":false,"id":"7f","result":5,"success":true,"type":"rpc"}"#);
        assert_eq!(
            rpc_error("7f", "Method nope does not exist"),
            r#"{"error":"Method nope does not exist","id":"7f","success":false,"type":"rpc"}"#
        );
    }

    #[test]
    fn frames_for_those_who_resume_are_byte_exact() {
        let replay = Replay { frames: vec![(5, Message::Text("a\"".to_owned()))], lost: 2, recovered: false, newest_seq: 5 };
        let expected = r#"{"type":"da_resumed","epoch":"e","seq":4,"recovered":false,"missed":1,"lost":2}"#;
        assert_eq!(resumed("e", &replay), expected);
        let replay = Replay { frames: Vec::new(), lost: 0, recovered: true, newest_seq: 9 };
        let expected = r#"{"type":"da_resumed","epoch":"e","seq":9,"recovered":true,"missed":0,"lost":0}"#;
        assert_eq!(resumed("e", &replay), expected);
        assert_eq!(logged(5, &Message::Text("a\"".to_owned())), r#"{"type":"da_frame","seq":5,"text":"a\""}"#);
        assert_eq!(logged(6, &Message::Binary(vec![0, 255])), r#"{"type":"da_frame","seq":6,"base64":"AP8="}"#);
    }

    #[test]
    fn c47_the_mcp_frame_is_empty() {
        let frame: serde_json::Value = serde_json::from_str(NO_MCP_SERVERS).expect("JSON");
        let expected = serde_json::json!({
            "type": "cf_agent_mcp_servers",
            "mcp": {"prompts": [], "resources": [], "servers": {}, "tools": []},
        });
        assert_eq!(frame, expected);
    }
}
