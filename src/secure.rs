//! SecureAgent: only for signed-in users, and some things only for admins.
//!
//! Route `/agents/secure-agent/:name?token=…`, or with a header `Authorization: Bearer …`. Tokens and their configuration are those of
//! [`auth`]; `dev:ada:admin` is an admin on a developer's machine.
//!
//! | When | Effect |
//! |---|---|
//! | connect without a good token | close 4001 `Unauthorized`; no other frame is sent before it |
//! | connect with one | `{"type":"authenticated","user":{"id","role"}}`, after the protocol frames |
//! | text `{"type":"admin_notice","message"}` from an admin | that frame, to all admins |
//! | the same from anybody else | `{"type":"error","message":"Forbidden"}` |
//! | another message | `{"type":"error","message":"Invalid message format"}` |
//! | `cf_agent_state` `{"announcement"}` from an admin | becomes the state, which everybody who is signed in sees |
//! | the same from anybody else | `cf_agent_state_error` `Connection is readonly` |
//! | the agent fails at something | `admin_notice` to all admins who are connected |
//!
//! There is no state, and no state frame, before the first announcement; it has at most [`MAX_ANNOUNCEMENT_BYTES`]. A message has at
//! most [`MAX_MESSAGE_BYTES`].
//!
//! The role is the token's claim and becomes a tag of the connection. A client can choose its id, and an id is a tag too, so whoever
//! was found by the tag is asked for the role once more.

use durable_agents::json;
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

use crate::auth;

/// Longest announcement, in bytes of UTF-8.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 4 * 1024;

/// Longest message, in bytes as it comes over the socket.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

const ADMIN: &str = "admin";

/// See the [module](self).
#[derive(Debug, Default)]
pub struct SecureAgent;

/// What everybody who is signed in may read, and admins may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// What admins want to be known.
    pub announcement: String,
}

/// Who a connection is; kept in the socket's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The token's `sub`.
    pub user_id: String,
    /// The token's `role`.
    pub role: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame<'a> {
    Authenticated { user: Identity<'a> },
    AdminNotice { message: &'a str },
    Error { message: &'static str },
}

#[derive(Serialize)]
struct Identity<'a> {
    id: &'a str,
    role: &'a str,
}

impl SecureAgent {
    fn notify_admins(&self, cx: &Context<Self>, message: &str) -> Result<()> {
        let notice = serde_json::to_string(&Frame::AdminNotice { message })?;
        for connection in cx.connections_tagged(ADMIN) {
            if is_admin(&connection)? {
                // One that has just left need not know.
                let _ = connection.send(&notice);
            }
        }
        Ok(())
    }
}

fn is_admin(connection: &Connection<SecureAgent>) -> Result<bool> {
    Ok(connection.state()?.is_some_and(|session| session.role == ADMIN))
}

#[agent]
impl Agent for SecureAgent {
    type State = Board;
    type ConnectionState = Session;

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        auth::log_configuration(cx);
        Ok(())
    }

    /// The first of the hooks that a connection meets: what it finds out, the others read.
    async fn connection_tags(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<Vec<String>> {
        let Ok(user) = auth::authenticate(cx, request).await else { return Ok(Vec::new()) };
        connection.set_state(Session { user_id: user.id, role: user.role.clone() })?;
        Ok(vec![user.role])
    }

    async fn should_connection_be_readonly(
        &self,
        _: &Context<Self>,
        connection: &Connection<Self>,
        _: &Request,
    ) -> Result<bool> {
        Ok(!is_admin(connection)?)
    }

    async fn should_send_protocol_messages(
        &self,
        _: &Context<Self>,
        connection: &Connection<Self>,
        _: &Request,
    ) -> Result<bool> {
        // They come before the connect hook, so without this a stranger would read the announcement before being shown out.
        Ok(connection.state()?.is_some())
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Request) -> Result<()> {
        match connection.state()? {
            Some(session) => {
                let user = Identity { id: &session.user_id, role: &session.role };
                connection.send_json(&Frame::Authenticated { user })?;
            }
            None => connection.close(4001, "Unauthorized")?,
        }
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text().and_then(parse) {
            Some(notice) if is_admin(connection)? => self.notify_admins(cx, &notice)?,
            Some(_) => connection.send_json(&Frame::Error { message: "Forbidden" })?,
            None => connection.send_json(&Frame::Error { message: "Invalid message format" })?,
        }
        Ok(())
    }

    fn validate_state_change(&self, _: &Context<Self>, next: &Board, _: &Source<Self>) -> Result<()> {
        if next.announcement.len() > MAX_ANNOUNCEMENT_BYTES {
            bail!("announcement has {} bytes, the limit is {MAX_ANNOUNCEMENT_BYTES}", next.announcement.len());
        }
        Ok(())
    }

    /// Whoever runs this learns of it while connected; what happened is in the log and stays there.
    async fn on_error(&self, cx: &Context<Self>, _: &Error) -> Result<()> {
        self.notify_admins(cx, "Something failed in this agent: see its log")
    }
}

/// The message of an admin notice.
fn parse(text: &str) -> Option<String> {
    if text.len() > MAX_MESSAGE_BYTES {
        return None;
    }
    let [kind, message] = json::fields(text, ["type", "message"])?;
    let is_notice = json::text_of(kind?)? == "admin_notice";
    if is_notice { Some(json::text_of(message?)?.into_owned()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_admin_notice_is_understood() {
        let longest = format!(r#"{{"type":"admin_notice","message":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES - 36));
        assert_eq!(longest.len(), MAX_MESSAGE_BYTES);
        for (text, understood) in [
            (r#"{"type":"admin_notice","message":"hi"}"#, true),
            (r#"{"message":"hi","type":"admin_notice","more":{}}"#, true),
            (r#"{"message":"hi","type":"admin_notice","more":["\ud83d",1e400]}"#, true),
            (r#"{"message":"\ud83d","type":"admin_notice"}"#, false),
            (&*longest, true),
            (&format!("{longest} "), false),
            (r#"{"type":"admin_notice"}"#, false),
            (r#"{"type":"admin_notice","message":5}"#, false),
            (r#"{"type":"adminNotice","message":"hi"}"#, false),
            (r#"["admin_notice",{"message":"hi"}]"#, false),
            ("{}", false),
            ("null", false),
            ("hi", false),
            ("", false),
        ] {
            assert_eq!(parse(text).is_some(), understood, "{text}");
        }
    }
}
