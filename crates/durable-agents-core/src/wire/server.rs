//! Frames that the server sends, as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::host::{Around, FRAME_SEPARATOR};
use crate::json::{Json, push_quoted};
use crate::message::Message;
use crate::resume::Replay;

/// `cf_agent_mcp_servers` of an agent without MCP servers, which every agent here is.
pub(crate) const NO_MCP_SERVERS: &str =
    r#"{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}"#;

/// What a client is greeted with, several frames in one text: who it is talking to, by name and class, the state, what there is of MCP.
pub(crate) fn greeting(identity: Option<(&str, &str)>, state: Option<&StateFrame>) -> String {
    let length = identity.map_or(0, |(name, class)| name.len() + class.len() + 80) + state.map_or(0, |state| state.0.len() + 1);
    let mut frames = String::with_capacity(length + NO_MCP_SERVERS.len());
    if let Some((name, class)) = identity {
        push_identity(&mut frames, name, class, state.is_some());
        frames.push(FRAME_SEPARATOR);
    }
    if let Some(state) = state {
        frames.push_str(state.text());
        frames.push(FRAME_SEPARATOR);
    }
    frames.push_str(NO_MCP_SERVERS);
    frames
}

fn push_identity(frames: &mut String, name: &str, class: &str, state_follows: bool) {
    frames.push_str(r#"{"name":"#);
    push_quoted(frames, name);
    frames.push_str(r#","agent":"#);
    push_quoted(frames, class);
    // Newer clients then wait for the state before they report ready; older ones ignore it.
    let follows = r#","type":"cf_agent_identity","stateFollows":true}"#;
    frames.push_str(if state_follows { follows } else { r#","type":"cf_agent_identity"}"# });
}

/// The whole state. What is stored is a part of what is sent, so there is one text for both.
pub(crate) struct StateFrame(String);

impl StateFrame {
    const BEFORE: &str = r#"{"state":"#;
    const AFTER: &str = r#","type":"cf_agent_state"}"#;

    /// `json` is the state as JSON text.
    pub(crate) fn new(json: &str) -> Self {
        Self([Self::BEFORE, json, Self::AFTER].concat())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// How much of the frame stands before the state and behind it; all of it is ASCII.
    pub(crate) fn around() -> Around {
        Around { before: Self::BEFORE.len(), after: Self::AFTER.len() }
    }
}

/// A client's state was refused.
pub(crate) fn state_error(error: &str) -> String {
    with_text(r#"{"type":"cf_agent_state_error","error":"#, error, "}")
}

/// A connect failed; the close frame follows.
pub(crate) fn connect_error(error: &str) -> String {
    with_text(r#"{"error":"#, error, "}")
}

/// The final answer to a call whose id is `id`, a JSON string; no `result` key for a method that returns nothing.
pub(crate) fn rpc_result(id: &str, result: Option<&Json>) -> String {
    rpc_success(r#"{"done":true,"id":"#, id, result)
}

/// One of several answers to a call, not the last.
pub(crate) fn rpc_chunk(id: &str, chunk: &Json) -> String {
    rpc_success(r#"{"done":false,"id":"#, id, Some(chunk))
}

fn rpc_success(head: &str, id: &str, result: Option<&Json>) -> String {
    let mut frame = String::with_capacity(result.map_or(0, |result| result.as_str().len()) + id.len() + 64);
    frame.push_str(head);
    frame.push_str(id);
    if let Some(json) = result {
        frame.push_str(r#","result":"#);
        frame.push_str(json.as_str());
    }
    frame.push_str(r#","success":true,"type":"rpc"}"#);
    frame
}

/// A call failed.
pub(crate) fn rpc_error(id: &str, error: &str) -> String {
    let mut frame = with_text(r#"{"error":"#, error, r#","id":"#);
    frame.push_str(id);
    frame.push_str(r#","success":false,"type":"rpc"}"#);
    frame
}

/// What a client that resumes is to expect: with [`logged`] an addition to the protocol, for clients that ask for it. The number is that
/// before its first frame, live or missed.
pub(crate) fn resumed(epoch: &str, replay: &Replay) -> String {
    let seq = replay.frames.first().map_or(replay.newest_seq, |(seq, _)| seq.saturating_sub(1));
    let Replay { recovered, frames, lost, .. } = replay;
    let missed = frames.len();
    let counts = format!(r#","seq":{seq},"recovered":{recovered},"missed":{missed},"lost":{lost}}}"#);
    with_text(r#"{"type":"da_resumed","epoch":"#, epoch, &counts)
}

/// A frame with its number in the log.
pub(crate) fn logged(seq: u64, frame: &Message) -> String {
    let head = format!(r#"{{"type":"da_frame","seq":{seq},"#);
    match frame {
        Message::Text(plain) => with_text(&[&*head, r#""text":"#].concat(), plain, "}"),
        Message::Binary(bytes) => [&*head, r#""base64":""#, &STANDARD.encode(bytes), r#""}"#].concat(),
    }
}

/// `text` as a JSON string between two pieces of JSON.
fn with_text(before: &str, text: &str, after: &str) -> String {
    let mut frame = String::with_capacity(before.len() + text.len() + after.len() + 64);
    frame.push_str(before);
    push_quoted(&mut frame, text);
    frame.push_str(after);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_byte_exact() {
        let frame = StateFrame::new(r#"{"count":0}"#);
        let frames = |identity, state| greeting(identity, state).split(FRAME_SEPARATOR).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            frames(Some(("room-1", "chat-room")), None),
            [r#"{"name":"room-1","agent":"chat-room","type":"cf_agent_identity"}"#, NO_MCP_SERVERS]
        );
        assert_eq!(
            frames(Some(("a\"\u{1e}b", "c")), Some(&frame)),
            [
                r#"{"name":"a\"\u001eb","agent":"c","type":"cf_agent_identity","stateFollows":true}"#,
                frame.text(),
                NO_MCP_SERVERS
            ]
        );
        assert_eq!(frames(None, Some(&frame)), [frame.text(), NO_MCP_SERVERS]);
        assert_eq!(frames(None, None), [NO_MCP_SERVERS]);
        assert_eq!(frame.text(), r#"{"state":{"count":0},"type":"cf_agent_state"}"#);
        assert_eq!(StateFrame::around().part_of(&frame.text().into()), r#"{"count":0}"#);
        assert_eq!(
            state_error("Connection is readonly"),
            r#"{"type":"cf_agent_state_error","error":"Connection is readonly"}"#
        );
        assert_eq!(connect_error("no\n"), r#"{"error":"no\n"}"#);
        let five = Json::of(&5).expect("JSON");
        assert_eq!(rpc_result("\"7f\"", Some(&five)), r#"{"done":true,"id":"7f","result":5,"success":true,"type":"rpc"}"#);
        assert_eq!(rpc_result("\"7f\"", None), r#"{"done":true,"id":"7f","success":true,"type":"rpc"}"#);
        assert_eq!(rpc_chunk("\"7f\"", &five), r#"{"done":false,"id":"7f","result":5,"success":true,"type":"rpc"}"#);
        assert_eq!(
            rpc_error("\"7f\"", "Method nope does not exist"),
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
