//! The envelope, both ways: `{"type", "payload", "timestamp", "correlationId"?, "seq"?}`.

use durable_agents::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MAX_CORRELATION_ID_BYTES, MAX_MESSAGE_BYTES, MAX_PROJECT_ID_BYTES, MAX_PROJECT_PATH_BYTES};

/// A message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// What it wants, or what to tell it about what is wrong.
    pub(super) ask: Result<Ask, String>,
    /// What its answers carry.
    pub(super) correlation_id: Option<String>,
}

/// What a client can ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Start(Project),
    Message { content: String },
    Cancel,
    Ping,
}

/// What an agent run is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Project {
    pub(super) project_id: String,
    pub(super) project_path: String,
}

/// What a client is told of a message that is none.
pub(super) const INVALID: &str = "Invalid message format";

/// Longest type that is repeated to a client who sent an unknown one.
const MAX_REPEATED_BYTES: usize = 128;

impl Request {
    pub(super) fn parse(text: &str) -> Self {
        let invalid = || Self { ask: Err(INVALID.to_owned()), correlation_id: None };
        let Some([kind, payload, correlation_id]) = json::fields(text, ["type", "payload", "correlationId"]) else {
            return invalid();
        };
        let correlation_id = correlation_id.filter(|value| *value != "null");
        let correlation_id =
            match correlation_id.map(|value| string(value, "correlationId", MAX_CORRELATION_ID_BYTES)).transpose() {
                Ok(correlation_id) => correlation_id,
                Err(wrong) => return Self { ask: Err(wrong), correlation_id: None },
            };
        let ask = if text.len() > MAX_MESSAGE_BYTES {
            Err(format!("Message too long: the limit is {MAX_MESSAGE_BYTES} bytes"))
        } else {
            match kind.and_then(json::text_of) {
                Some(kind) => Ask::read(&kind, payload),
                None => Err(INVALID.to_owned()),
            }
        };
        Self { ask, correlation_id }
    }
}

impl Ask {
    fn read(kind: &str, payload: Option<&str>) -> Result<Self, String> {
        match kind {
            "agent:start" => {
                let [project_id, project_path] = object(payload, ["projectId", "projectPath"])?;
                Ok(Self::Start(Project {
                    project_id: field(project_id, "projectId", MAX_PROJECT_ID_BYTES)?,
                    project_path: field(project_path, "projectPath", MAX_PROJECT_PATH_BYTES)?,
                }))
            }
            "agent:message" => {
                let [content] = object(payload, ["content"])?;
                let content = field(content, "content", MAX_MESSAGE_BYTES)?;
                if content.trim().is_empty() {
                    return Err("content must not be empty".to_owned());
                }
                Ok(Self::Message { content })
            }
            "agent:cancel" => Ok(Self::Cancel),
            "ping" => Ok(Self::Ping),
            unknown => Err(format!("Unknown message type: {}", beginning(unknown, MAX_REPEATED_BYTES))),
        }
    }
}

fn object<'a, const N: usize>(payload: Option<&'a str>, names: [&str; N]) -> Result<[Option<&'a str>; N], String> {
    payload.and_then(|payload| json::fields(payload, names)).ok_or_else(|| "payload must be an object".to_owned())
}

fn field(value: Option<&str>, name: &str, max_bytes: usize) -> Result<String, String> {
    string(value.unwrap_or_default(), name, max_bytes)
}

fn string(value: &str, name: &str, max_bytes: usize) -> Result<String, String> {
    match json::text_of(value) {
        Some(text) if text.len() > max_bytes => Err(format!("{name}: at most {max_bytes} bytes")),
        Some(text) => Ok(text.into_owned()),
        None if value.starts_with('"') => Err(format!("{name} has half of a surrogate pair in it")),
        None => Err(format!("{name} must be a string")),
    }
}

/// As many whole characters of the beginning as fit.
fn beginning(text: &str, max_bytes: usize) -> &str {
    let end = text.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= max_bytes).last();
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Idle,
    Thinking,
    Streaming,
    Error,
}

impl Status {
    /// Whether a message is being answered.
    pub(super) fn is_busy(self) -> bool {
        matches!(self, Self::Thinking | Self::Streaming)
    }

    /// Its name on the wire and on disk.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Thinking => "thinking",
            Self::Streaming => "streaming",
            Self::Error => "error",
        }
    }
}

/// What the server sends.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Frame<'a> {
    Established { client_id: &'a str },
    Resumed { session_id: &'a str, recovered: bool, missed: usize },
    Started { session_id: &'a str },
    Cancelled { session_id: &'a str },
    Status { session_id: &'a str, status: Status },
    Chunk { session_id: &'a str, content: &'a str },
    Complete { session_id: &'a str },
    Failed { session_id: &'a str, message: &'a str },
    Pong {},
    Error { message: &'a str },
    Other(Other<'a>),
}

/// What other code sends.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Other<'a> {
    #[serde(skip)]
    pub(super) kind: &'a str,
    pub(super) payload: &'a Value,
}

impl Frame<'_> {
    fn kind(&self) -> &str {
        match self {
            Self::Established { .. } => "connection:established",
            Self::Resumed { .. } => "session:resumed",
            Self::Started { .. } => "agent:started",
            Self::Cancelled { .. } => "agent:cancelled",
            Self::Status { .. } => "status:update",
            Self::Chunk { .. } => "stream:chunk",
            Self::Complete { .. } => "stream:complete",
            Self::Failed { .. } => "stream:error",
            Self::Pong {} => "pong",
            Self::Error { .. } => "error",
            Self::Other(other) => other.kind,
        }
    }

    /// The frame's text, without a number.
    pub(super) fn write(&self, now_ms: u64, correlation_id: Option<&str>) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            r#type: &'a str,
            payload: &'a Frame<'a>,
            timestamp: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            correlation_id: Option<&'a str>,
        }
        serde_json::to_string(&Envelope { r#type: self.kind(), payload: self, timestamp: now_ms, correlation_id })
    }
}

/// The same frame with its number.
pub(super) fn numbered(frame: &str, seq: u64) -> String {
    // It is an object with fields, so it ends in a brace.
    let fields = frame.strip_suffix('}').unwrap_or(frame);
    format!(r#"{fields},"seq":{seq}}}"#)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asks(text: &str) -> Result<Ask, String> {
        Request::parse(text).ask
    }

    #[test]
    fn requests_are_read() {
        let project = Project { project_id: "p".to_owned(), project_path: "/tmp/p".to_owned() };
        for (text, ask) in [
            (r#"{"type":"agent:start","payload":{"projectId":"p","projectPath":"/tmp/p","more":1}}"#, Ask::Start(project)),
            (
                r#"{"type":"agent:message","payload":{"content":" hi "},"timestamp":"?"}"#,
                Ask::Message { content: " hi ".to_owned() },
            ),
            (r#" {"payload":5,"type":"agent:cancel"}"#, Ask::Cancel),
            (r#"{"type":"agent:cancel"}"#, Ask::Cancel),
            (r#"{"type":"\u0070ing","payload":null,"more":[]}"#, Ask::Ping),
        ] {
            assert_eq!(asks(text), Ok(ask), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "x".repeat(MAX_PROJECT_PATH_BYTES + 1);
        let long_path = format!(r#"{{"type":"agent:start","payload":{{"projectId":"p","projectPath":"{long}"}}}}"#);
        let long_id = format!(r#"{{"type":"agent:start","payload":{{"projectId":"{long}","projectPath":""}}}}"#);
        let long_message = format!(r#"{{"type":"agent:message","payload":{{"content":"{}"}}}}"#, "x".repeat(MAX_MESSAGE_BYTES));
        let unknown = format!(r#"{{"type":"{}é!"}}"#, "x".repeat(127));
        let repeated = format!("Unknown message type: {}", "x".repeat(127));
        let deep = format!(r#"{{"type":"agent:start","payload":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for (text, wrong) in [
            ("", INVALID),
            ("hi", INVALID),
            ("null", INVALID),
            (r#"["ping"]"#, INVALID),
            ("{}", INVALID),
            (r#"{"type":5}"#, INVALID),
            (r#"{"type":null}"#, INVALID),
            (r#"{"type":"ping""#, INVALID),
            (r#"{"type":"ping"} x"#, INVALID),
            (r#"{"type":"\ud800"}"#, INVALID),
            (&deep, "payload must be an object"),
            (r#"{"type":"nope"}"#, "Unknown message type: nope"),
            (r#"{"type":""}"#, "Unknown message type: "),
            (r#"{"type":"Ping"}"#, "Unknown message type: Ping"),
            (r#"{"type":"connection:established","payload":{"clientId":"x"}}"#, "Unknown message type: connection:established"),
            (&unknown, &repeated),
            (r#"{"type":"agent:start"}"#, "payload must be an object"),
            (r#"{"type":"agent:start","payload":["p","/"]}"#, "payload must be an object"),
            (r#"{"type":"agent:start","payload":{"projectPath":"/"}}"#, "projectId must be a string"),
            (r#"{"type":"agent:start","payload":{"projectId":7,"projectPath":"/"}}"#, "projectId must be a string"),
            (r#"{"type":"agent:start","payload":{"projectId":"p","projectPath":null}}"#, "projectPath must be a string"),
            (&long_id, "projectId: at most 256 bytes"),
            (&long_path, "projectPath: at most 4096 bytes"),
            (r#"{"type":"agent:message","payload":"hi"}"#, "payload must be an object"),
            (r#"{"type":"agent:message","payload":{"content":{}}}"#, "content must be a string"),
            (r#"{"type":"agent:message","payload":{"content":" \n"}}"#, "content must not be empty"),
            (r#"{"type":"agent:message","payload":{"content":"a\ud800"}}"#, "content has half of a surrogate pair in it"),
            (&long_message, "Message too long: the limit is 65536 bytes"),
            (r#"{"type":"ping","correlationId":7}"#, "correlationId must be a string"),
            (&format!(r#"{{"type":"ping","correlationId":"{long}"}}"#), "correlationId: at most 256 bytes"),
        ] {
            assert_eq!(asks(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn answers_carry_the_correlation_id_whatever_is_wrong() {
        let too_long = format!(r#"{{"correlationId":"a","payload":"{}","type":"ping"}}"#, "x".repeat(MAX_MESSAGE_BYTES));
        for text in [
            r#"{"type":"ping","correlationId":"a"}"#,
            r#"{"correlationId":"a"}"#,
            r#"{"type":7,"correlationId":"a"}"#,
            &too_long,
        ] {
            assert_eq!(Request::parse(text).correlation_id.as_deref(), Some("a"), "{text}");
        }
        assert_eq!(Request::parse(r#"{"type":"ping","correlationId":null}"#).correlation_id, None);
        assert_eq!(Request::parse(r#"{"type":"ping","correlationId":""}"#).correlation_id.as_deref(), Some(""));
    }

    #[test]
    fn frames_are_written() {
        let id = "s";
        for (frame, kind, payload) in [
            (Frame::Established { client_id: id }, "connection:established", json!({ "clientId": "s" })),
            (
                Frame::Resumed { session_id: id, recovered: true, missed: 2 },
                "session:resumed",
                json!({ "sessionId": "s", "recovered": true, "missed": 2 }),
            ),
            (Frame::Started { session_id: id }, "agent:started", json!({ "sessionId": "s" })),
            (Frame::Cancelled { session_id: id }, "agent:cancelled", json!({ "sessionId": "s" })),
            (
                Frame::Status { session_id: id, status: Status::Thinking },
                "status:update",
                json!({ "sessionId": "s", "status": "thinking" }),
            ),
            (Frame::Chunk { session_id: id, content: "a\n" }, "stream:chunk", json!({ "sessionId": "s", "content": "a\n" })),
            (Frame::Complete { session_id: id }, "stream:complete", json!({ "sessionId": "s" })),
            (Frame::Failed { session_id: id, message: "m" }, "stream:error", json!({ "sessionId": "s", "message": "m" })),
            (Frame::Pong {}, "pong", json!({})),
            (Frame::Error { message: "m" }, "error", json!({ "message": "m" })),
            (Frame::Other(Other { kind: "news", payload: &json!([1]) }), "news", json!([1])),
            (Frame::Other(Other { kind: "news", payload: &Value::Null }), "news", Value::Null),
        ] {
            let text = numbered(&frame.write(7, Some("c")).expect("JSON"), 3);
            let expected = json!({ "type": kind, "payload": payload, "timestamp": 7, "correlationId": "c", "seq": 3 });
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
        }
        let text = Frame::Pong {}.write(7, None).expect("JSON");
        assert_eq!(text, r#"{"type":"pong","payload":{},"timestamp":7}"#);
    }

    #[test]
    fn a_status_is_the_same_on_the_wire_and_on_disk() {
        for status in [Status::Idle, Status::Thinking, Status::Streaming, Status::Error] {
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.name());
        }
    }
}
