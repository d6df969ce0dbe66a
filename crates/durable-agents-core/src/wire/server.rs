//! Frames that the server sends, as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{IDENTITY, LOGGED, RESUMED, RPC, STATE, STATE_ERROR};
use crate::message::Message;
use crate::resume::Replay;

/// `cf_agent_mcp_servers` of an agent without MCP servers, which every agent here is.
pub(crate) const NO_MCP_SERVERS: &str =
    r#"{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}"#;

/// Who the client is talking to.
pub(crate) fn identity(name: &str, class: &str, state_follows: bool) -> String {
    #[derive(Serialize)]
    struct Identity<'a> {
        name: &'a str,
        agent: &'a str,
        r#type: &'static str,
        // Newer clients then wait for the state before they report ready; older ones ignore it.
        #[serde(rename = "stateFollows", skip_serializing_if = "std::ops::Not::not")]
        state_follows: bool,
    }
    text(&Identity { name, agent: class, r#type: IDENTITY, state_follows })
}

/// The whole state; `json` is JSON text.
pub(crate) fn state(json: &str) -> String {
    // By hand: the state may be megabytes, and is JSON already.
    let mut frame = String::with_capacity(json.len() + 36);
    frame.push_str(r#"{"state":"#);
    frame.push_str(json);
    frame.push_str(r#","type":""#);
    frame.push_str(STATE);
    frame.push_str("\"}");
    frame
}

/// A client's state was refused.
pub(crate) fn state_error(error: &str) -> String {
    #[derive(Serialize)]
    struct StateError<'a> {
        r#type: &'static str,
        error: &'a str,
    }
    text(&StateError { r#type: STATE_ERROR, error })
}

/// A connect failed; the close frame follows.
pub(crate) fn connect_error(error: &str) -> String {
    #[derive(Serialize)]
    struct ConnectError<'a> {
        error: &'a str,
    }
    text(&ConnectError { error })
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
    #[derive(Serialize)]
    struct RpcResult<'a> {
        done: bool,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a RawValue>,
        success: bool,
        r#type: &'static str,
    }
    text(&RpcResult { done, id, result, success: true, r#type: RPC })
}

/// A call failed.
pub(crate) fn rpc_error(id: &str, error: &str) -> String {
    #[derive(Serialize)]
    struct RpcError<'a> {
        error: &'a str,
        id: &'a str,
        success: bool,
        r#type: &'static str,
    }
    text(&RpcError { error, id, success: false, r#type: RPC })
}

/// What a client that resumes is to expect. The number is that before its first frame, live or missed.
pub(crate) fn resumed(epoch: &str, replay: &Replay) -> String {
    #[derive(Serialize)]
    struct Resumed<'a> {
        r#type: &'static str,
        epoch: &'a str,
        seq: u64,
        recovered: bool,
        missed: usize,
        lost: u64,
    }
    let seq = replay.frames.first().map_or(replay.newest_seq, |(seq, _)| seq.saturating_sub(1));
    let Replay { recovered, lost, .. } = *replay;
    text(&Resumed { r#type: RESUMED, epoch, seq, recovered, missed: replay.frames.len(), lost })
}

/// A frame with its number in the log.
pub(crate) fn logged(seq: u64, frame: &Message) -> String {
    #[derive(Serialize)]
    struct Logged<'a> {
        r#type: &'static str,
        seq: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    }
    let (plain, base64) = match frame {
        Message::Text(plain) => (Some(plain.as_str()), None),
        Message::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    text(&Logged { r#type: LOGGED, seq, text: plain, base64 })
}

// Structs of strings, numbers, booleans and raw JSON have no way to fail.
fn text(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_default()
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
