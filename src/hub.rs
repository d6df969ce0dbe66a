//! HubAgent: status, notifications and presence for signed-in users.
//!
//! Route `/agents/hub-agent/:name?token=…`, or with a header `Authorization: Bearer …`. Tokens and their configuration are those of
//! [`auth`]. A client speaks the hub's own protocol, `{"type","data"?,"timestamp"}`, and gets `cf_agent_*` frames only with
//! `?protocol=true`, before all others.
//!
//! | Frame | Direction | Data, and what happens |
//! |---|---|---|
//! | `auth` | to the client | `{"success","userId"?}`, the first frame; a guest, without a good token, stays and gets what is public |
//! | `ping`, `pong` | both | a ping is answered; the server pings every 30 s, and closes with 4008 who was silent for 60 s |
//! | `agent_status` | to users | `{"agentName","state","currentTask"?,"progress"?}`; a newcomer gets the newest of each agent |
//! | `chat_message` | to users | `{"conversationId","messageId","content","sender","timestamp"}`, if they have joined the conversation |
//! | `notification` | to all | `{"level","message"}`; or to one user, on all of that user's sockets |
//! | `user_presence` | to the server | `"online"`, `"away"` or `"busy"` |
//! | `user_presence` | to users | `{"userId","status"}`; `offline` 5 s after the last socket has closed; a newcomer gets everyone's |
//! | `subscribe`, `unsubscribe` | to the server | `{"conversationId"}`; `?conversation=…` joins on connect, in the URL's order |
//! | `subscribed`, `unsubscribed` | to the client | `{"conversationId"}`, the answers |
//! | `error` | to the client | `{"error"}`; the socket stays open unless it says `closing` |
//!
//! A text message `ping` is answered with `pong` by the platform, without waking the hub, and counts as life like any message.
//!
//! A connection may send 20 messages and 256 KiB at once, 10 messages and 64 KiB more a second, and no message over 64 KiB (var
//! `HUB_MAX_MESSAGE_BYTES`). A message over that, or an invalid one, is a strike; the third within 60 s closes with 1008.
//!
//! | HTTP | Scope | Body, and answer |
//! |---|---|---|
//! | `POST …/agent-status` | [`PUBLISH`] | the data of that frame; `{"delivered": sockets}` |
//! | `POST …/chat-message` | [`PUBLISH`] | the data of that frame, `timestamp` being optional; the same |
//! | `POST …/notification` | [`PUBLISH`] | `{"level","message","user"?}`; the same |
//! | `GET …/metrics` | [`METRICS`] | JSON, or Prometheus' text where `Accept` asks for `text/plain` |
//!
//! Other agents call the same through [`HubAgentCalls`].
//!
//! Who knows the id of a conversation may join it: make it one that nobody guesses.

use std::cell::Cell;

use durable_agents::http::{BodyError, HeaderValue, Url, header};
use durable_agents::limits::{Limits, Rate, Reason, Refusal};
use durable_agents::prelude::*;
use durable_agents::{AttachmentError, host};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth;

mod frames;
mod metrics;
mod publish;
mod roster;

pub use frames::{MAX_CONVERSATION_ID_BYTES, Status};
pub use metrics::Traffic;
pub use publish::{
    AgentState, AgentStatus, ChatMessage, FieldError, Level, MAX_AGENTS, MAX_NAME_BYTES, MAX_TASK_BYTES, MAX_TEXT_BYTES,
    Notification,
};
pub use roster::SILENT;

use frames::{Frame, Said};

/// Scope of those who may publish.
pub const PUBLISH: &str = "hub:publish";

/// Scope of those who may read the metrics.
pub const METRICS: &str = "hub:metrics";

/// Most conversations that one connection can be in.
pub const MAX_CONVERSATIONS: usize = 16;

/// Longest message, in bytes as it comes over the socket, unless var `HUB_MAX_MESSAGE_BYTES` says otherwise.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1_024;

/// Longest body of a request.
pub const MAX_BODY_BYTES: usize = 64 * 1_024;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct HubAgent {
    // As the worker's variables have them; read at every start.
    limits: Cell<Limits>,
}

/// Who a connection is; kept in the socket's attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Visitor {
    /// The token's `sub`. `None`: a guest.
    pub user_id: Option<String>,
    /// Whether the token's scopes hold [`PUBLISH`].
    pub may_publish: bool,
    /// What the user says of this device.
    pub status: Status,
    /// The conversations that it has joined.
    pub conversations: Vec<String>,
    /// What it has said and was told.
    pub traffic: Traffic,
}

impl Visitor {
    fn is_signed_in(&self) -> bool {
        self.user_id.is_some()
    }

    fn is(&self, user: &str) -> bool {
        self.user_id.as_deref() == Some(user)
    }
}

#[agent]
impl HubAgent {
    /// Tells all users what an agent is doing. Returns how many sockets that were.
    #[callable(scope = "hub:publish")]
    pub fn broadcast_agent_status(&self, cx: &Context<Self>, status: AgentStatus) -> Result<usize> {
        self.publish_status(cx, &status)
    }

    /// Gives a message to those who have joined its conversation. Returns how many sockets that were.
    #[callable(scope = "hub:publish")]
    pub fn broadcast_chat_message(&self, cx: &Context<Self>, message: ChatMessage) -> Result<usize> {
        self.publish_chat(cx, message)
    }

    /// Shows a notification to a user, or to everyone. Returns how many sockets that were.
    #[callable(scope = "hub:publish")]
    pub fn send_notification(&self, cx: &Context<Self>, level: Level, message: String, user: Option<String>) -> Result<usize> {
        self.publish_notification(cx, &Notification::new(level, message, user)?)
    }

    #[callback]
    fn settle(&self, cx: &Context<Self>) -> Result<()> {
        self.settle_roster(cx)
    }

    #[callback]
    fn look(&self, cx: &Context<Self>) -> Result<()> {
        self.look_for_life(cx)
    }

    /// Sends a frame to one connection and counts it. One that has gone meanwhile need not be told.
    fn tell(&self, cx: &Context<Self>, connection: &Connection<Self>, frame: &Frame<'_>) -> Result<()> {
        if connection.send(frame.to_text(cx.now_ms())?).is_ok() {
            self.count(connection, &Traffic { messages_out: 1, ..Traffic::default() });
        }
        Ok(())
    }

    fn refuse(&self, cx: &Context<Self>, connection: &Connection<Self>, error: &str) -> Result<()> {
        self.tell(cx, connection, &Frame::Error { error })
    }

    /// Tells a client of the strike that it got for a message; the last one ends the connection.
    fn strike(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message, refusal: Refusal) -> Result<()> {
        let rate_limited = u64::from(matches!(refusal.reason, Reason::Messages | Reason::Bytes));
        self.count(connection, &Traffic { dropped: 1, rate_limited, ..Traffic::default() });
        let error = match refusal.reason {
            Reason::Messages => "Too many messages",
            Reason::Bytes => "Too many bytes",
            Reason::Size => "Message too large",
            Reason::Content => "Invalid message format",
        };
        let words = if refusal.is_last { format!("{error}, closing") } else { error.to_owned() };
        if !connection.is_protocol_enabled() || !connection.refuse(message, &words) {
            self.refuse(cx, connection, &words)?;
        }
        if refusal.is_last {
            self.dismiss(cx, connection, durable_agents::limits::CLOSE_CODE, error)?;
        }
        Ok(())
    }

    fn hear(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<()> {
        let Some(visitor) = connection.state()? else { return Ok(()) };
        match message.as_text().and_then(Said::parse) {
            Some(Said::Ping) => self.tell(cx, connection, &Frame::Pong),
            Some(Said::Pong) => Ok(()),
            Some(_) if !visitor.is_signed_in() => self.refuse(cx, connection, "Not authenticated"),
            Some(Said::Presence(status)) => self.change_status(cx, connection, status),
            Some(Said::Subscribe(conversation)) => self.subscribe(cx, connection, &visitor, &conversation),
            Some(Said::Unsubscribe(conversation)) => self.unsubscribe(cx, connection, &visitor, &conversation),
            None => self.strike(cx, connection, message, connection.strike(&self.limits.get())?),
        }
    }

    fn subscribe(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        visitor: &Visitor,
        conversation: &str,
    ) -> Result<()> {
        if !visitor.conversations.iter().any(|joined| joined == conversation) {
            if visitor.conversations.len() >= MAX_CONVERSATIONS {
                let error = format!("Too many conversations: the limit is {MAX_CONVERSATIONS}, unsubscribe from one first");
                return self.refuse(cx, connection, &error);
            }
            let mut joined = visitor.clone();
            joined.conversations.push(conversation.to_owned());
            match connection.set_state(joined) {
                Err(AttachmentError::TooLarge { .. }) => return self.refuse(cx, connection, NO_ROOM),
                joined => joined?,
            }
        }
        self.tell(cx, connection, &Frame::Subscribed { conversation_id: conversation })
    }

    fn unsubscribe(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        visitor: &Visitor,
        conversation: &str,
    ) -> Result<()> {
        let mut left = visitor.clone();
        left.conversations.retain(|joined| joined != conversation);
        connection.set_state(left)?;
        self.tell(cx, connection, &Frame::Unsubscribed { conversation_id: conversation })
    }

    async fn publish(&self, cx: &Context<Self>, path: &str, mut request: Request) -> Result<Response> {
        let body = match request.take_body().bytes_up_to(MAX_BODY_BYTES).await {
            Ok(body) => body,
            Err(BodyError::TooLarge { .. }) => {
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {MAX_BODY_BYTES} bytes"));
            }
            Err(cut) => return Err(cut.into()),
        };
        let body: Option<Value> = std::str::from_utf8(&body).ok().and_then(|text| serde_json::from_str(text).ok());
        let body = body.unwrap_or_default();
        let delivered = match path {
            "agent-status" => AgentStatus::try_from(body).map(|status| self.publish_status(cx, &status)),
            "chat-message" => ChatMessage::try_from(body).map(|message| self.publish_chat(cx, message)),
            _ => Notification::try_from(body).map(|notification| self.publish_notification(cx, &notification)),
        };
        match delivered {
            Ok(delivered) => Ok(Response::json(&Delivered { delivered: delivered? })?),
            Err(wrong) => bad_field(&wrong),
        }
    }
}

#[agent]
impl Agent for HubAgent {
    type ConnectionState = Visitor;

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        auth::log_configuration(cx);
        Self::create_statuses(cx)?;
        Self::create_totals(cx)?;
        self.limits.set(limits(cx));
        Ok(cx.set_auto_response(Some(("ping", "pong")))?)
    }

    /// The first of the hooks that a connection meets: what it finds out, the others read.
    async fn connection_tags(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<Vec<String>> {
        let Ok(user) = auth::authenticate(cx, request).await else {
            connection.set_state(Visitor::default())?;
            return Ok(Vec::new());
        };
        let Named { conversations, .. } = Named::of(request.url());
        let may_publish = user.has_scope(PUBLISH);
        let tag = roster::tag_of(&user.id);
        connection.set_state(Visitor { user_id: Some(user.id), may_publish, conversations, ..Visitor::default() })?;
        Ok(vec![tag])
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() == Some("true"))
    }

    /// The hub has no state, and takes none from a client.
    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        Ok(true)
    }

    async fn has_scope(&self, _: &Context<Self>, connection: &Connection<Self>, scope: &str) -> Result<bool> {
        Ok(scope == PUBLISH && connection.state()?.is_some_and(|visitor| visitor.may_publish))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        self.watch(cx)?;
        let Some(visitor) = connection.state()? else { return Ok(()) };
        let user_id = visitor.user_id.as_deref();
        self.tell(cx, connection, &Frame::Auth { success: user_id.is_some(), user_id })?;
        if user_id.is_some() {
            for error in Named::of(request.url()).errors() {
                self.refuse(cx, connection, &error)?;
            }
            let mut news = Self::statuses(cx)?;
            news.extend(self.arrive(cx, connection)?);
            let told = news.into_iter().take_while(|frame| connection.send(frame).is_ok()).count();
            self.count(connection, &Traffic { messages_out: told as u64, ..Traffic::default() });
        }
        Ok(())
    }

    fn should_handle_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
        connection.note_life()?;
        self.count(connection, &Traffic { messages_in: 1, ..Traffic::default() });
        if let Some(refusal) = connection.admit(&self.limits.get(), message)? {
            self.strike(cx, connection, message, refusal)?;
            return Ok(false);
        }
        if connection.is_protocol_enabled() {
            return Ok(true);
        }
        // Whoever does not ask for the framework's protocol does not speak it either: its frames are as invalid as any others.
        self.hear(cx, connection, message)?;
        Ok(false)
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        self.hear(cx, connection, &message)
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        Self::close_account(cx, connection)?;
        self.depart(cx, connection)
    }

    /// The framework keeps the socket open and says nothing to the client, who would wait for an answer in vain.
    async fn on_connection_error(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Error) -> Result<()> {
        self.refuse(cx, connection, "The message could not be handled, try again")
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let path = cx.sub_path(&request).to_owned();
        let (method, allowed, scope) = match &*path {
            "agent-status" | "chat-message" | "notification" => (Method::POST, "POST", PUBLISH),
            "metrics" => (Method::GET, "GET, HEAD", METRICS),
            _ => return refusal(StatusCode::NOT_FOUND, "Not found"),
        };
        if *request.effective_method() != method {
            let answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")?;
            return Ok(answer.with_header(header::ALLOW, HeaderValue::from_static(allowed)));
        }
        match auth::authenticate(cx, &request).await {
            Err(_) => {
                let answer = refusal(StatusCode::UNAUTHORIZED, "Unauthorized")?;
                Ok(answer.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Ok(user) if !user.has_scope(scope) => refusal(StatusCode::FORBIDDEN, &format!("The token needs scope {scope}")),
            Ok(_) if scope == METRICS => Self::metrics(cx, &request),
            Ok(_) => self.publish(cx, &path, request).await,
        }
    }
}

/// Nearly all of what a connection keeps is the address that it came by.
const NO_ROOM: &str = "No room for another conversation: unsubscribe from one, or connect with a shorter URL";

/// The conversations that a URL names.
#[derive(Debug, Default)]
struct Named {
    /// Those that are joined: the first ones.
    conversations: Vec<String>,
    are_too_many: bool,
    are_invalid: bool,
}

impl Named {
    fn of(url: &Url) -> Self {
        let mut named = Self::default();
        for (_, id) in url.query_pairs().filter(|(name, _)| name == "conversation") {
            if !frames::is_conversation_id(&id) {
                named.are_invalid = true;
            } else if !named.conversations.iter().any(|joined| *joined == id) {
                match named.conversations.len() < MAX_CONVERSATIONS {
                    true => named.conversations.push(id.into_owned()),
                    false => named.are_too_many = true,
                }
            }
        }
        named
    }

    /// What a client is told of those that are not joined.
    fn errors(&self) -> impl Iterator<Item = String> {
        let too_many = || format!("Too many conversations in the URL: only the first {MAX_CONVERSATIONS} are joined");
        let invalid = || {
            format!(
                "Invalid conversation in the URL: an id has 1 to {MAX_CONVERSATION_ID_BYTES} bytes and no control characters"
            )
        };
        self.are_too_many.then(too_many).into_iter().chain(self.are_invalid.then(invalid))
    }
}

#[derive(Serialize)]
struct Delivered {
    delivered: usize,
}

/// The limits of one connection.
fn limits(cx: &Context<HubAgent>) -> Limits {
    let configured = cx.var("HUB_MAX_MESSAGE_BYTES");
    let max_bytes = configured.as_deref().map_or(Ok(MAX_MESSAGE_BYTES), str::parse).unwrap_or_else(|_| {
        cx.log(host::Level::Error, "HUB_MAX_MESSAGE_BYTES is no number of bytes");
        MAX_MESSAGE_BYTES
    });
    // The largest message has to fit into a full bucket.
    let burst_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX).max(256 * 1_024);
    Limits::new()
        .messages(Rate::per_second(20, 10))
        .bytes(Rate::per_second(burst_bytes, 64 * 1_024))
        .max_message_bytes(max_bytes)
        .strikes(3)
}

fn refusal(status: StatusCode, error: &str) -> Result<Response> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
    }
    Ok(Response::json(&Body { error })?.with_status(status))
}

fn bad_field(wrong: &FieldError) -> Result<Response> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: String,
        field: &'a str,
    }
    let body = Body { error: wrong.to_string(), field: wrong.field };
    Ok(Response::json(&body)?.with_status(StatusCode::BAD_REQUEST))
}
