//! What goes over the socket.

use std::borrow::Cow;

use durable_agents::json;
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::Complete;
use super::refusal::{Code, Refusal};
use super::store::{self, Said};
use super::templates::{self, Persona};
use crate::iso;

/// Longest message, in bytes as it comes over the socket or as the body of a request.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Longest id of a message, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// What a client asks.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) payload: Payload,
}

/// The fields of what a client sent.
#[derive(Debug, PartialEq)]
pub(super) struct Payload(Map<String, Value>);

impl Ask {
    /// Reads a message. What is wrong with one comes with its id, as far as it has one.
    pub(super) fn parse(message: &Message) -> Result<Self, (Option<String>, Refusal)> {
        let invalid = |message: &str| Refusal::new(Code::InvalidMessage, message);
        if message.len() > MAX_MESSAGE_BYTES {
            let message = format!("A message has at most {MAX_MESSAGE_BYTES} bytes");
            return Err((None, Refusal::new(Code::TooLarge, message)));
        }
        let fields = message.as_text().and_then(|text| json::fields(text, ["id", "type", "payload"]));
        let [id, kind, payload] = fields.ok_or_else(|| (None, invalid("A message is a JSON object")))?;
        let text_of = |value: Option<&str>| value.and_then(json::text_of).map(Cow::into_owned);
        let Some(id) = text_of(id).filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES) else {
            return Err((None, invalid(&format!("id must be a string of 1 to {MAX_ID_BYTES} bytes"))));
        };
        let Some(kind) = text_of(kind) else {
            return Err((Some(id), invalid("type must be a string")));
        };
        match payload.filter(|payload| *payload != "null") {
            None => Ok(Self { id, kind, payload: Payload(Map::new()) }),
            Some(payload) if payload.starts_with('{') => match serde_json::from_str(payload) {
                Ok(payload) => Ok(Self { id, kind, payload: Payload(payload) }),
                Err(wrong) => Err((Some(id), invalid(&format!("payload cannot be read: {wrong}")))),
            },
            Some(_) => Err((Some(id), invalid("payload must be an object"))),
        }
    }

    /// Whether what it asks for is written into the database.
    pub(super) fn writes(&self) -> bool {
        matches!(self.kind.as_str(), "world_select" | "chat_send" | "agent_update")
    }
}

impl Payload {
    /// Reads a request's body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let fields = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str(text).ok());
        fields.map(Self).ok_or_else(|| Refusal::new(Code::InvalidMessage, "The body must be a JSON object"))
    }

    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A field that may be left out.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, Refusal> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::new(Code::InvalidMessage, format!("{field} must be a string"))),
        }
    }

    /// A field that must be there.
    pub(super) fn needed_text(&self, field: &str) -> Result<&str, Refusal> {
        self.text(field)?.ok_or_else(|| Refusal::new(Code::InvalidMessage, format!("{field} is missing")))
    }

    /// A field that is `false` where it is left out.
    pub(super) fn flag(&self, field: &str) -> Result<bool, Refusal> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refusal::new(Code::InvalidMessage, format!("{field} must be true or false"))),
        }
    }
}

/// What the server sends.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Frame<'a> {
    Welcome { user_id: &'a str, connection_id: &'a str, worlds: &'a [store::Summary], templates: &'a [templates::Summary] },
    WorldSelected { world_name: &'a str, template_name: &'a str, agents: &'a [Persona], persistent: bool },
    ChatResponse(&'a Complete),
    AgentUpdated { agent: &'a Persona },
    WorldReloaded { world_name: &'a str, agents: &'a [Persona] },
    Subscribed { subscribed: &'a [Topic] },
    Pong {},
    Error(&'a Refusal),
    Event { event: Topic, world: &'a str, data: News<'a> },
}

/// What an event tells.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum News<'a> {
    Message(&'a Said),
    Chunk { agent: &'a str, agent_name: &'a str, message_id: &'a str, content: &'a str },
    AgentStatus { agent: &'a str, agent_name: &'a str, status: Activity },
    World { action: &'static str, agents: &'a [Persona] },
    Agent { action: &'static str, agent: &'a Persona },
}

impl Frame<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Welcome { .. } | Self::Subscribed { .. } => "status",
            Self::WorldSelected { .. } => "world_selected",
            Self::ChatResponse(_) => "chat_response",
            Self::AgentUpdated { .. } => "agent_updated",
            Self::WorldReloaded { .. } => "world_reloaded",
            Self::Pong {} => "pong",
            Self::Error(_) => "error",
            Self::Event { .. } => "event_stream",
        }
    }

    /// The frame's text. `id` is its own, `reply_to` that of the request it answers.
    pub(super) fn to_text(&self, id: String, now_ms: u64, reply_to: Option<&str>) -> serde_json::Result<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            id: String,
            r#type: &'a str,
            timestamp: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            reply_to: Option<&'a str>,
            payload: &'a Frame<'a>,
        }
        serde_json::to_string(&Envelope { id, r#type: self.kind(), timestamp: iso::utc(now_ms), reply_to, payload: self })
    }
}

impl News<'_> {
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Message(_) => Topic::Message,
            Self::Chunk { .. } => Topic::Chunk,
            Self::AgentStatus { .. } => Topic::AgentStatus,
            Self::World { .. } | Self::Agent { .. } => Topic::World,
        }
    }
}

/// What a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Topic {
    /// Every chat message, users' included.
    Message,
    /// Every piece of an answer.
    Chunk,
    /// What an agent is doing.
    AgentStatus,
    /// A world was selected, updated or reloaded.
    World,
}

impl Topic {
    pub(super) const ALL: [Self; 4] = [Self::Message, Self::Chunk, Self::AgentStatus, Self::World];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Chunk => "chunk",
            Self::AgentStatus => "agent_status",
            Self::World => "world",
        }
    }

    /// The topics of a list of names, of which `*` is all.
    pub(super) fn named(names: &Value) -> Result<Vec<Self>, Refusal> {
        let wrong = || Refusal::new(Code::InvalidMessage, "events must be a list of names");
        let mut topics = Vec::new();
        for name in names.as_array().ok_or_else(wrong)? {
            let name = name.as_str().ok_or_else(wrong)?;
            let known = Self::ALL.into_iter().filter(|topic| name == "*" || name == topic.name());
            let before = topics.len();
            topics.extend(known);
            if topics.len() == before {
                return Err(Refusal::new(Code::UnknownEvent, format!("There is no event {name:?}")));
            }
        }
        Ok(topics)
    }
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Activity {
    Idle,
    Thinking,
    Streaming,
    Error,
}
