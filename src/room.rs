//! ChatRoom: says to everyone what anyone says, and keeps nothing.
//!
//! Route `/agents/chat-room/:name?username=…`; with `?protocol=false` no `cf_agent_*` frame is sent. Without a name one is `anonymous`.
//!
//! | When | Frame | To |
//! |---|---|---|
//! | somebody connects | `{"type":"join","user","timestamp"}` | everyone else |
//! | somebody sends a message | `{"type":"message","user","text","timestamp"}` | everyone |
//! | somebody leaves | `{"type":"leave","user","timestamp"}` | everyone left |
//! | a message cannot be understood, or has more than [`MAX_MESSAGE_BYTES`] | `{"type":"error","message"}` | its sender |
//!
//! A message is `{"type":"message","text"}`, or any text that is no JSON object: then that is what was said. `timestamp` is in
//! milliseconds. A name over [`MAX_NAME_BYTES`], or with control characters, is refused with close code 1008.
//!
//! Callable: `stats()` → `{"guests","users"}`, how many connections and how many different names are here.
//!
//! There is no state, so nothing here can grow, and nothing is left after a crash that would have to be tidied up.

use durable_agents::json;
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

/// Longest name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// Longest message, in bytes as it comes over the socket.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct ChatRoom;

/// Who a connection is; kept in the socket's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The name it gave itself.
    pub user: String,
}

/// Who is here, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomStats {
    /// Connections that have joined.
    pub guests: usize,
    /// Different names among them.
    pub users: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame<'a> {
    Join { user: &'a str, timestamp: u64 },
    Message { user: &'a str, text: &'a str, timestamp: u64 },
    Leave { user: &'a str, timestamp: u64 },
    Error { message: &'a str },
}

#[callable]
impl ChatRoom {
    /// Who is here, in numbers.
    fn stats(&self, cx: &Context<Self>) -> Result<RoomStats> {
        // One whose state cannot be read is not counted, and is no reason to count none.
        let states = cx.connections().filter_map(|connection| connection.state().ok().flatten());
        let mut users: Vec<String> = states.map(|guest| guest.user.clone()).collect();
        let guests = users.len();
        users.sort_unstable();
        users.dedup();
        Ok(RoomStats { guests, users: users.len() })
    }
}

#[agent]
impl Agent for ChatRoom {
    type ConnectionState = Guest;

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() != Some("false"))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let user = match request.url().query_param("username") {
            Some(name) if !name.is_empty() => name.into_owned(),
            _ => "anonymous".to_owned(),
        };
        if user.len() > MAX_NAME_BYTES || user.contains(char::is_control) {
            connection.close(1008, &format!("username: at most {MAX_NAME_BYTES} bytes, no control characters"))?;
            return Ok(());
        }
        connection.set_state(Guest { user: user.clone() })?;
        let join = serde_json::to_string(&Frame::Join { user: &user, timestamp: cx.now_ms() })?;
        cx.broadcast(join, &[connection.id()]);
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let Some(guest) = connection.state()? else { return Ok(()) };
        if message.len() > MAX_MESSAGE_BYTES {
            let message = format!("Message too long: the limit is {MAX_MESSAGE_BYTES} bytes");
            connection.send_json(&Frame::Error { message: &message })?;
            return Ok(());
        }
        let Some(text) = message.as_text().and_then(said) else {
            connection.send_json(&Frame::Error { message: "Invalid message format" })?;
            return Ok(());
        };
        let frame = Frame::Message { user: &guest.user, text: &text, timestamp: cx.now_ms() };
        cx.broadcast(serde_json::to_string(&frame)?, &[]);
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        // Who was refused never joined.
        if let Some(guest) = connection.state()? {
            let leave = Frame::Leave { user: &guest.user, timestamp: cx.now_ms() };
            cx.broadcast(serde_json::to_string(&leave)?, &[]);
        }
        Ok(())
    }
}

/// What was said. `None` for a JSON object that is no message.
fn said(text: &str) -> Option<String> {
    // A brace alone makes no JSON.
    let Some([kind, said]) = json::fields(text, ["type", "text"]) else { return Some(text.to_owned()) };
    let is_message = json::text_of(kind?)? == "message";
    if is_message { Some(json::text_of(said?)?.into_owned()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_frame_or_plain_text() {
        for (text, expected) in [
            (r#"{"type":"message","text":"hi"}"#, Some("hi")),
            (r#" {"text":"hi","extra":1,"type":"message"}"#, Some("hi")),
            (r#"{"type":"message","text":""}"#, Some("")),
            ("hi", Some("hi")),
            ("", Some("")),
            ("{incomplete", Some("{incomplete")),
            (r#"{"type":"message","text":"#, Some(r#"{"type":"message","text":"#)),
            ("42", Some("42")),
            (r#"["message","hi"]"#, Some(r#"["message","hi"]"#)),
            (r#""hi""#, Some(r#""hi""#)),
            ("{}", None),
            (r#"{"type":"message"}"#, None),
            (r#"{"type":"message","text":5}"#, None),
            (r#"{"type":"other","text":"hi"}"#, None),
            (r#"{"text":"hi"}"#, None),
            (r#"{"type":"message","text":"hi","z":["\ud83d",1e400]}"#, Some("hi")),
            (r#"{"type":"message","text":"\ud83d"}"#, None),
        ] {
            assert_eq!(said(text).as_deref(), expected, "{text}");
        }
    }
}
