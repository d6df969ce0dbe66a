//! Frames of the hub's own protocol, and what clients may say.

use std::borrow::Cow;

use durable_agents::json;
use serde::{Deserialize, Serialize};

use super::publish::{AgentStatus, ChatMessage, Notification};
use crate::iso;

/// Longest id of a conversation, in bytes of UTF-8.
pub const MAX_CONVERSATION_ID_BYTES: usize = 128;

/// Whether a user is to be disturbed. Of several devices the one further down counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Status {
    Away,
    Busy,
    #[default]
    Online,
}

/// What the server sends, as `{"type","data","timestamp"}`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(super) enum Frame<'a> {
    Auth {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<&'a str>,
    },
    Ping,
    Pong,
    AgentStatus(&'a AgentStatus),
    ChatMessage(&'a ChatMessage),
    Notification(&'a Notification),
    UserPresence {
        user_id: &'a str,
        status: Presence,
    },
    Subscribed {
        conversation_id: &'a str,
    },
    Unsubscribed {
        conversation_id: &'a str,
    },
    Error {
        error: &'a str,
    },
}

/// What others hear of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Presence {
    Here(Status),
    Gone(Offline),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Offline {
    Offline,
}

impl Frame<'_> {
    /// Its text, at that time.
    pub(super) fn to_text(&self, now_ms: u64) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            #[serde(flatten)]
            frame: &'a Frame<'a>,
            timestamp: String,
        }
        serde_json::to_string(&Envelope { frame: self, timestamp: iso::utc(now_ms) })
    }
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Ping,
    Pong,
    Presence(Status),
    Subscribe(String),
    Unsubscribe(String),
}

impl Said {
    /// `None` for anything that clients do not say.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let [kind, data] = json::fields(text, ["type", "data"])?;
        let conversation = || {
            let [id] = json::fields(data?, ["conversationId"])?;
            json::text_of(id?).map(Cow::into_owned).filter(|id| is_conversation_id(id))
        };
        match &*json::text_of(kind?)? {
            "ping" => Some(Self::Ping),
            "pong" => Some(Self::Pong),
            "user_presence" => Some(Self::Presence(serde_json::from_str(data?).ok()?)),
            "subscribe" => Some(Self::Subscribe(conversation()?)),
            "unsubscribe" => Some(Self::Unsubscribe(conversation()?)),
            _ => None,
        }
    }
}

pub(super) fn is_conversation_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_CONVERSATION_ID_BYTES && !id.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_ping_show_presence_and_subscribe() {
        let conversation = |id: &str| format!(r#"{{"type":"subscribe","data":{{"conversationId":"{id}"}}}}"#);
        let id = |length| "x".repeat(length);
        for (text, expected) in [
            (r#"{"type":"ping"}"#, Some(Said::Ping)),
            (r#" {"timestamp":"2026-11-21T00:00:00.000Z","data":{"n":1},"type":"ping"} "#, Some(Said::Ping)),
            (r#"{"type":"pong","data":null}"#, Some(Said::Pong)),
            (r#"{"type":"user_presence","data":"online"}"#, Some(Said::Presence(Status::Online))),
            (r#"{"type":"user_presence","data":"away"}"#, Some(Said::Presence(Status::Away))),
            (r#"{"type":"user_presence","data":"busy"}"#, Some(Said::Presence(Status::Busy))),
            (r#"{"type":"user_presence","data":"offline"}"#, None),
            (r#"{"type":"user_presence","data":"Online"}"#, None),
            (r#"{"type":"user_presence"}"#, None),
            (&conversation("c 1"), Some(Said::Subscribe("c 1".to_owned()))),
            (r#"{"type":"unsubscribe","data":{"conversationId":"\u0063","more":1}}"#, Some(Said::Unsubscribe("c".to_owned()))),
            (&conversation(&id(128)), Some(Said::Subscribe(id(128)))),
            (&conversation(&id(129)), None),
            (&conversation(""), None),
            (&conversation(r"a\nb"), None),
            (r#"{"type":"subscribe","data":{"conversationId":7}}"#, None),
            (r#"{"type":"subscribe","data":"c"}"#, None),
            (r#"{"type":"subscribe"}"#, None),
            (r#"{"type":"agent_status","data":{}}"#, None),
            (r#"{"type":"chat_message","data":{}}"#, None),
            (r#"{"type":"rpc","id":"1","method":"m","args":[]}"#, None),
            (r#"{"id":"1","type":"rp\u0063"}"#, None),
            (r#"{"type":"cf_agent_state","state":1}"#, None),
            (r#"{"type":"PING"}"#, None),
            (r#"{"type":7}"#, None),
            (r#"["ping",null]"#, None),
            (r#"{"type":"ping"} x"#, None),
            ("{}", None),
            ("ping", None),
            ("", None),
        ] {
            assert_eq!(Said::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_frame_has_type_data_and_timestamp() {
        let at_ms = 1_700_000_000_123;
        for (frame, expected) in [
            (Frame::Pong, r#"{"type":"pong","timestamp":"2023-11-14T22:13:20.123Z"}"#),
            (
                Frame::Auth { success: false, user_id: None },
                r#"{"type":"auth","data":{"success":false},"timestamp":"2023-11-14T22:13:20.123Z"}"#,
            ),
            (
                Frame::UserPresence { user_id: "ada", status: Presence::Gone(Offline::Offline) },
                r#"{"type":"user_presence","data":{"userId":"ada","status":"offline"},"timestamp":"2023-11-14T22:13:20.123Z"}"#,
            ),
            (
                Frame::Subscribed { conversation_id: "c" },
                r#"{"type":"subscribed","data":{"conversationId":"c"},"timestamp":"2023-11-14T22:13:20.123Z"}"#,
            ),
        ] {
            assert_eq!(frame.to_text(at_ms).expect("JSON"), expected);
        }
    }
}
