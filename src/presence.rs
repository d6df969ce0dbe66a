//! PresenceAgent: who is here.
//!
//! Route `/agents/presence-agent/:name?name=…`; with `?protocol=false` no `cf_agent_*` frame is sent. Without a name one is `anonymous`.
//!
//! | When | Frame | To |
//! |---|---|---|
//! | somebody connects or leaves | `{"type":"presence","users":{id:{"name","joinedAt","lastSeen"}}}` | everyone, the newcomer included |
//! | text `ping` | text `pong`, and the sender's `lastSeen` is now | the sender |
//! | anything else | `{"type":"error","message":"Invalid message format"}` | the sender |
//!
//! `users` is keyed by connection id; times are in milliseconds. A name over [`MAX_NAME_BYTES`], or with control characters, and an id
//! with control characters are refused with close code 1008; who comes after [`MAX_USERS`] others gets 1013, upon which the official
//! client tries again later.
//!
//! An id proves nothing: the list tells everybody all ids, and whoever connects with the `_pk` of another takes that one's place in the
//! list, with a name and times of its own, until it leaves. Where the list is to be trusted, key it by a user that a token names, as
//! [`hub`](crate::hub) does.
//!
//! Each user is the state of a connection, kept in the socket's attachment. The list is made of the open connections whenever it is
//! sent, so there is nothing that could be out of date after hibernation or a crash, and nothing to clean up.

use std::rc::Rc;

use durable_agents::prelude::*;
use serde::{Deserialize, Serialize, Serializer};

/// Longest name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// Most connections of one instance. Everyone is told of everyone, so a change costs the square of it: at 200 users 4 MB of frames with
/// ids that the framework chose and short names. At most it is 34 MB: with ids of 256 bytes and the longest names, if both are all
/// quotes, which JSON doubles.
pub const MAX_USERS: usize = 200;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct PresenceAgent;

/// Who a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name it gave itself.
    pub name: String,
    /// When it connected, in milliseconds.
    pub joined_at: u64,
    /// When it last sent `ping`, or else connected, in milliseconds.
    pub last_seen: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame<'a> {
    Presence {
        #[serde(serialize_with = "by_id")]
        users: &'a [(String, Rc<User>)],
    },
    Error {
        message: &'static str,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn by_id<S: Serializer>(users: &&[(String, Rc<User>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(users.iter().map(|(id, user)| (id, &**user)))
}

impl PresenceAgent {
    fn announce(&self, cx: &Context<Self>) -> Result<()> {
        let mut users: Vec<(String, Rc<User>)> = Vec::new();
        for connection in cx.connections() {
            let Ok(Some(user)) = connection.state() else { continue };
            match users.iter_mut().find(|(id, _)| id == connection.id()) {
                None => users.push((connection.id().to_owned(), user)),
                // While a reconnect overlaps, two connections have one id: the newer one is the user.
                Some((_, twin)) if twin.joined_at <= user.joined_at => *twin = user,
                Some(_) => {}
            }
        }
        cx.broadcast(serde_json::to_string(&Frame::Presence { users: &users })?, &[]);
        Ok(())
    }
}

#[agent]
impl Agent for PresenceAgent {
    type ConnectionState = User;

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() != Some("false"))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let name = match request.url().query_param("name") {
            Some(name) if !name.is_empty() => name.into_owned(),
            _ => "anonymous".to_owned(),
        };
        if name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            connection.close(1008, &format!("name: at most {MAX_NAME_BYTES} bytes, no control characters"))?;
            return Ok(());
        }
        // In JSON, one of them takes six times as much, and everybody gets it.
        if connection.id().contains(char::is_control) {
            connection.close(1008, "_pk: no control characters")?;
            return Ok(());
        }
        if cx.connections().count() > MAX_USERS {
            connection.close(1013, "Too many people are here")?;
            return Ok(());
        }
        let now = cx.now_ms();
        connection.set_state(User { name, joined_at: now, last_seen: now })?;
        self.announce(cx)
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let Some(user) = connection.state()? else { return Ok(()) };
        if message.as_text() == Some("ping") {
            connection.set_state(User { last_seen: cx.now_ms(), ..User::clone(&user) })?;
            connection.send("pong")?;
        } else {
            connection.send_json(&Frame::Error { message: "Invalid message format" })?;
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        // Who was refused was never here.
        match connection.state()? {
            Some(_) => self.announce(cx),
            None => Ok(()),
        }
    }
}
