//! What services tell the hub's clients.
//!
//! Each of the three is checked when it is read, whether it comes over HTTP or from another agent, so none that is wrong exists.

use std::ops::RangeInclusive;

use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::frames::{Frame, MAX_CONVERSATION_ID_BYTES};
use super::metrics::Traffic;
use super::roster::tag_of;
use super::{HubAgent, Visitor};
use crate::iso;

/// Longest name of an agent, id of a message, and name of a sender, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// Longest description of a task, in bytes of UTF-8.
pub const MAX_TASK_BYTES: usize = 1_024;

/// Longest text of a notification or a chat message, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 32 * 1_024;

/// Most agents whose status is kept. The one that has been silent for longest makes room for another.
pub const MAX_AGENTS: u64 = 1_000;

// Written at every status, read for every newcomer; at most `MAX_AGENTS` rows of some kilobytes.
const CREATE_STATUSES: &str = "CREATE TABLE IF NOT EXISTS hub_statuses (
    agent TEXT PRIMARY KEY, frame TEXT NOT NULL, at_ms INTEGER NOT NULL
) WITHOUT ROWID";

/// What an agent is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Value")]
pub struct AgentStatus {
    /// Which agent: 1 to [`MAX_NAME_BYTES`] bytes.
    pub agent_name: String,
    /// Whether it works.
    pub state: AgentState,
    /// What it works at: up to [`MAX_TASK_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_task: Option<String>,
    /// How far it has come: 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Number>,
}

/// Whether an agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum AgentState {
    Idle,
    Working,
    Stopped,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Value")]
pub struct ChatMessage {
    /// Which conversation: 1 to [`MAX_CONVERSATION_ID_BYTES`] bytes.
    pub conversation_id: String,
    /// The message's own id: 1 to [`MAX_NAME_BYTES`] bytes.
    pub message_id: String,
    /// What is said: up to [`MAX_TEXT_BYTES`].
    pub content: String,
    /// Who says it: 1 to [`MAX_NAME_BYTES`] bytes.
    pub sender: String,
    /// When, as the sender writes it: 1 to [`MAX_NAME_BYTES`] bytes. Without it, when the hub heard of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// Something to show to everyone, or to one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Notification {
    /// How serious it is.
    pub level: Level,
    /// What to show: 1 to [`MAX_TEXT_BYTES`].
    pub message: String,
    /// For whom: 1 to [`MAX_NAME_BYTES`] bytes. `None`: for everyone, guests included.
    #[serde(skip)]
    pub user: Option<String>,
}

/// How serious a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Info,
    Success,
    Warning,
    Error,
}

/// A field that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wanted}")]
pub struct FieldError {
    /// Which field, as on the wire; `body` if it is no object at all.
    pub field: &'static str,
    /// What belongs there.
    pub wanted: String,
}

/// The fields of a JSON object.
struct Fields(Map<String, Value>);

impl Fields {
    fn of(body: Value) -> Result<Self, FieldError> {
        match body {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(FieldError { field: "body", wanted: "a JSON object".to_owned() }),
        }
    }

    fn text(&self, field: &'static str, bytes: RangeInclusive<usize>) -> Result<String, FieldError> {
        fitting(field, self.0.get(field).and_then(Value::as_str), bytes)
    }

    fn name(&self, field: &'static str) -> Result<String, FieldError> {
        self.text(field, 1..=MAX_NAME_BYTES)
    }

    fn optional<T>(
        &self,
        field: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, FieldError>,
    ) -> Result<Option<T>, FieldError> {
        self.0.contains_key(field).then(|| read(self, field)).transpose()
    }

    fn one_of<T: Copy>(&self, field: &'static str, choices: &[(&'static str, T)]) -> Result<T, FieldError> {
        let text = self.0.get(field).and_then(Value::as_str);
        let choice = choices.iter().find(|(name, _)| Some(*name) == text).map(|(_, choice)| *choice);
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        choice.ok_or_else(|| FieldError { field, wanted: format!("one of {}", names()) })
    }

    fn percentage(&self, field: &'static str) -> Result<Number, FieldError> {
        let number = self.0.get(field).and_then(Value::as_number);
        let number = number.filter(|number| number.as_f64().is_some_and(|number| (0.0..=100.0).contains(&number)));
        number.cloned().ok_or_else(|| FieldError { field, wanted: "a number from 0 to 100".to_owned() })
    }
}

fn fitting(field: &'static str, text: Option<&str>, bytes: RangeInclusive<usize>) -> Result<String, FieldError> {
    let text = text.filter(|text| bytes.contains(&text.len())).map(str::to_owned);
    text.ok_or_else(|| FieldError { field, wanted: format!("a text of {} to {} bytes", bytes.start(), bytes.end()) })
}

impl TryFrom<Value> for AgentStatus {
    type Error = FieldError;

    fn try_from(body: Value) -> Result<Self, FieldError> {
        let fields = Fields::of(body)?;
        let states = [("idle", AgentState::Idle), ("working", AgentState::Working), ("stopped", AgentState::Stopped)];
        Ok(Self {
            agent_name: fields.name("agentName")?,
            state: fields.one_of("state", &states)?,
            current_task: fields.optional("currentTask", |fields, field| fields.text(field, 0..=MAX_TASK_BYTES))?,
            progress: fields.optional("progress", Fields::percentage)?,
        })
    }
}

impl TryFrom<Value> for ChatMessage {
    type Error = FieldError;

    fn try_from(body: Value) -> Result<Self, FieldError> {
        let fields = Fields::of(body)?;
        Ok(Self {
            conversation_id: fields.text("conversationId", 1..=MAX_CONVERSATION_ID_BYTES)?,
            message_id: fields.name("messageId")?,
            content: fields.text("content", 0..=MAX_TEXT_BYTES)?,
            sender: fields.name("sender")?,
            timestamp: fields.optional("timestamp", Fields::name)?,
        })
    }
}

impl TryFrom<Value> for Notification {
    type Error = FieldError;

    fn try_from(body: Value) -> Result<Self, FieldError> {
        let fields = Fields::of(body)?;
        let levels = [("info", Level::Info), ("success", Level::Success), ("warning", Level::Warning), ("error", Level::Error)];
        Ok(Self {
            level: fields.one_of("level", &levels)?,
            message: fields.text("message", 1..=MAX_TEXT_BYTES)?,
            // Whoever writes `null` where a user belongs means somebody, and certainly not everyone.
            user: fields.optional("user", Fields::name)?,
        })
    }
}

impl Notification {
    /// Checks what code puts together, as what comes over HTTP is checked.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn new(level: Level, message: String, user: Option<String>) -> Result<Self, FieldError> {
        let message = fitting("message", Some(&message), 1..=MAX_TEXT_BYTES)?;
        let user = user.map(|user| fitting("user", Some(&user), 1..=MAX_NAME_BYTES)).transpose()?;
        Ok(Self { level, message, user })
    }
}

impl HubAgent {
    pub(super) fn create_statuses(cx: &Context<Self>) -> Result<()> {
        cx.sql(CREATE_STATUSES, ()).execute()?;
        Ok(())
    }

    /// Keeps a status and tells everyone who is signed in; returns how many sockets that were.
    pub(super) fn publish_status(&self, cx: &Context<Self>, status: &AgentStatus) -> Result<usize> {
        let now_ms = cx.now_ms();
        let frame = Frame::AgentStatus(status).to_text(now_ms)?;
        let agent = &*status.agent_name;
        let update = "UPDATE hub_statuses SET frame = ?, at_ms = ? WHERE agent = ? RETURNING 1";
        let known: Option<u32> = cx.sql(update, (&*frame, now_ms, agent)).optional()?;
        if known.is_none() {
            let make_room = "DELETE FROM hub_statuses WHERE (SELECT COUNT(*) FROM hub_statuses) >= ?
                AND agent = (SELECT agent FROM hub_statuses ORDER BY at_ms, agent LIMIT 1)";
            cx.sql(make_room, (MAX_AGENTS,)).execute()?;
            cx.sql("INSERT INTO hub_statuses (agent, frame, at_ms) VALUES (?, ?, ?)", (agent, &*frame, now_ms)).execute()?;
        }
        self.deliver(cx, cx.connections(), frame, Visitor::is_signed_in)
    }

    /// The newest status of each agent, as it was sent then.
    pub(super) fn statuses(cx: &Context<Self>) -> Result<Vec<String>> {
        Ok(cx.sql("SELECT frame FROM hub_statuses ORDER BY agent", ()).all()?)
    }

    /// Gives a message to those who have joined its conversation.
    pub(super) fn publish_chat(&self, cx: &Context<Self>, mut message: ChatMessage) -> Result<usize> {
        let now_ms = cx.now_ms();
        message.timestamp.get_or_insert_with(|| iso::utc(now_ms));
        let frame = Frame::ChatMessage(&message).to_text(now_ms)?;
        self.deliver(cx, cx.connections(), frame, |visitor| visitor.conversations.contains(&message.conversation_id))
    }

    /// Shows a notification to its user on all of that user's sockets, or to everyone.
    pub(super) fn publish_notification(&self, cx: &Context<Self>, notification: &Notification) -> Result<usize> {
        let frame = Frame::Notification(notification).to_text(cx.now_ms())?;
        match &notification.user {
            None => self.deliver(cx, cx.connections(), frame, |_| true),
            // An id is a tag as well, and a client may choose one that looks like a user's.
            Some(user) => self.deliver(cx, cx.connections_tagged(&tag_of(user)), frame, |visitor| visitor.is(user)),
        }
    }

    /// Sends a frame to those connections that `is_for` picks, and counts them.
    pub(super) fn deliver(
        &self,
        cx: &Context<Self>,
        connections: impl Iterator<Item = Connection<Self>>,
        frame: String,
        is_for: impl Fn(&Visitor) -> bool,
    ) -> Result<usize> {
        let chosen = connections.filter(|connection| matches!(connection.state(), Ok(Some(visitor)) if is_for(&visitor)));
        let delivered = cx.send_to(chosen, frame);
        if delivered > 0 {
            Self::add_to_totals(cx, &Traffic { messages_out: delivered as u64, ..Traffic::default() })?;
        }
        Ok(delivered)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused<T: TryFrom<Value, Error = FieldError>>(body: Value) -> Option<&'static str> {
        T::try_from(body).err().map(|error| error.field)
    }

    #[test]
    fn what_is_published_is_checked_field_by_field() {
        let long = |bytes: usize| "x".repeat(bytes);
        for (body, expected) in [
            (json!({ "agentName": "a", "state": "idle" }), None),
            (json!({ "agentName": "a", "state": "working", "currentTask": "", "progress": 0, "more": [] }), None),
            (json!({ "agentName": "a", "state": "stopped", "progress": 99.5 }), None),
            (json!({ "agentName": long(128), "state": "idle", "currentTask": long(1_024), "progress": 100 }), None),
            (json!({ "state": "idle" }), Some("agentName")),
            (json!({ "agentName": "", "state": "idle" }), Some("agentName")),
            (json!({ "agentName": long(129), "state": "idle" }), Some("agentName")),
            (json!({ "agentName": 1, "state": "idle" }), Some("agentName")),
            (json!({ "agentName": "a" }), Some("state")),
            (json!({ "agentName": "a", "state": "Idle" }), Some("state")),
            (json!({ "agentName": "a", "state": "idle", "currentTask": null }), Some("currentTask")),
            (json!({ "agentName": "a", "state": "idle", "currentTask": long(1_025) }), Some("currentTask")),
            (json!({ "agentName": "a", "state": "idle", "progress": 100.1 }), Some("progress")),
            (json!({ "agentName": "a", "state": "idle", "progress": -1 }), Some("progress")),
            (json!({ "agentName": "a", "state": "idle", "progress": "50" }), Some("progress")),
            (json!(["a", "idle"]), Some("body")),
        ] {
            assert_eq!(refused::<AgentStatus>(body.clone()), expected, "{body}");
        }
        let message = |changes: Value| {
            let mut message = json!({ "conversationId": "c", "messageId": "m", "content": "", "sender": "ada" });
            for (field, value) in changes.as_object().into_iter().flatten() {
                message[field] = value.clone();
            }
            message
        };
        for (body, expected) in [
            (message(json!({})), None),
            (message(json!({ "timestamp": "2026-11-21T00:00:00Z", "content": long(MAX_TEXT_BYTES) })), None),
            (message(json!({ "conversationId": "" })), Some("conversationId")),
            (message(json!({ "messageId": null })), Some("messageId")),
            (message(json!({ "content": {} })), Some("content")),
            (message(json!({ "content": long(MAX_TEXT_BYTES + 1) })), Some("content")),
            (message(json!({ "sender": "" })), Some("sender")),
            (message(json!({ "timestamp": 5 })), Some("timestamp")),
        ] {
            assert_eq!(refused::<ChatMessage>(body.clone()), expected, "{body}");
        }
        for (body, expected) in [
            (json!({ "level": "info", "message": "m" }), None),
            (json!({ "level": "error", "message": "m", "user": "ada" }), None),
            (json!({ "message": "m" }), Some("level")),
            (json!({ "level": "fatal", "message": "m" }), Some("level")),
            (json!({ "level": "info" }), Some("message")),
            (json!({ "level": "info", "message": "" }), Some("message")),
            (json!({ "level": "info", "message": "m", "user": null }), Some("user")),
            (json!({ "level": "info", "message": "m", "user": "" }), Some("user")),
            (json!("m"), Some("body")),
        ] {
            assert_eq!(refused::<Notification>(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn a_status_goes_out_as_it_came_in() {
        let body = json!({ "agentName": "a", "state": "working", "currentTask": "t", "progress": 50 });
        let status = AgentStatus::try_from(body.clone()).expect("a status");
        assert_eq!(serde_json::to_value(&status).expect("JSON"), body);
        assert_eq!(serde_json::from_value::<AgentStatus>(body).expect("a status"), status);
    }
}
