//! Frames of the hub's own protocol, and what clients may say.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::publish::{AgentStatus, ChatMessage, Notification};

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
        serde_json::to_string(&Envelope { frame: self, timestamp: Timestamp(now_ms).to_string() })
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

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    conversation_id: String,
}

impl Said {
    /// `None` for anything that clients do not say.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Envelope { kind, data } = envelope(text)?;
        let conversation = || Some(data_of::<Subscription>(data)?.conversation_id).filter(|id| is_conversation_id(id));
        match &*kind {
            "ping" => Some(Self::Ping),
            "pong" => Some(Self::Pong),
            "user_presence" => Some(Self::Presence(data_of(data)?)),
            "subscribe" => Some(Self::Subscribe(conversation()?)),
            "unsubscribe" => Some(Self::Unsubscribe(conversation()?)),
            _ => None,
        }
    }
}

/// Whether a text is for the framework: a state of the agent, or a call of one of its methods.
pub(super) fn is_protocol_frame(text: &str) -> bool {
    envelope(text).is_some_and(|Envelope { kind, .. }| kind == "rpc" || kind.starts_with("cf_agent_"))
}

pub(super) fn is_conversation_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_CONVERSATION_ID_BYTES && !id.contains(char::is_control)
}

fn envelope(text: &str) -> Option<Envelope<'_>> {
    // Fields in a list would fit as well.
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

fn data_of<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(data?.get()).ok()
}

/// A moment in Unix milliseconds, written as ISO 8601 in UTC, as JavaScript's `toISOString` does.
pub(super) struct Timestamp(pub(super) u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
    }
}

/// Year, month and day, so many days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0, a leap day is the last of its year and all months but the last have a pattern of lengths.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
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
    fn frames_of_the_framework_are_known_by_their_type() {
        for (text, is_protocol) in [
            (r#"{"type":"cf_agent_state","state":1}"#, true),
            (r#"{"id":"1","type":"rp\u0063"}"#, true),
            (r#"{"type":"ping","data":"cf_agent_state"}"#, false),
            ("cf_agent_state", false),
        ] {
            assert_eq!(is_protocol_frame(text), is_protocol, "{text}");
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

    #[test]
    fn timestamps_know_leap_years() {
        for (at_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_798_761_599_001, "2026-12-31T23:59:59.001Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(at_ms).to_string(), expected);
        }
    }
}
