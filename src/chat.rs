//! ChatAgent: a chat kept in agent state.
//!
//! Route `/agents/chat-agent/:name`, and as the worker's default agent `/agents/:name`. With `?protocol=false` no `cf_agent_*` frame is
//! sent.
//!
//! State: `{"messages":[{"id","text","sender","timestamp"}],"participants":[userId,…]}`. The newest [`MAX_IN_STATE`] messages are in
//! it, or as many as take [`MAX_BYTES_IN_STATE`]; older ones move to an SQL table, which keeps the newest [`MAX_IN_TABLE`] and, by a
//! daily schedule, drops what is older than [`MAX_AGE_DAYS`]. Timestamps are in milliseconds, ids are UUIDs.
//!
//! | When | Effect |
//! |---|---|
//! | connect | the user becomes a participant, then the newcomer gets `{"type":"welcome","message":"Connected to chat","participants"}` |
//! | text `{"type":"chat","text","sender"?}` | the message becomes part of the state, then the sender gets `{"type":"message_added","message"}` |
//! | any other message | `{"type":"error","message":"Invalid message format"}` to its sender |
//! | a message over [`MAX_MESSAGE_BYTES`] | `{"type":"error","message":"Message too long: …"}` to its sender |
//! | a message that could not be handled | `{"type":"error","message":"The message was not accepted, try again"}` to its sender |
//! | the user's last connection closes | the participant leaves |
//! | `cf_agent_state` from a client | `State update rejected`: the chat changes through messages |
//! | `GET …/history?before=&limit=` | `{"messages":[newest first],"next"}`; give `next` as `before` to get older ones, `null` ends it |
//!
//! Everybody else learns of a change by `cf_agent_state`.
//!
//! | Callable | Effect |
//! |---|---|
//! | `post(text, sender?)` | the same as the text `chat`; the result is the message. Other agents say who speaks with `sender`, or else it is [`SYSTEM`] |
//! | `export(after?)`, streaming | the conversation, oldest first, in lists of at most [`MAX_PAGE`] and no more than [`MAX_EXPORT`] messages, or the list that reaches [`MAX_EXPORT_BYTES`]; ends with what to give as `after` next, `null` at the end |
//! | `closeChat()`, scope [`ADMIN_SCOPE`] | everything is deleted, and every socket closed with 1001: no reply comes |
//!
//! The user's id is header `X-User-ID`, else query `userId`, else `anonymous`: at most [`MAX_USER_ID_BYTES`] without control characters,
//! or close code 1008. Where var `CHAT_REQUIRE_TOKEN` is `true`, a token is needed, as [`auth`] checks it, and its user is
//! the user and the sender, whatever else the client says; without a good one a connect ends with 4001 and the history answers 401.
//! Who comes after [`MAX_PARTICIPANTS`] others gets 1013, upon which the official client tries again later; so does a connection after
//! [`MAX_CONNECTIONS`] others, or after [`MAX_CONNECTIONS_OF_USER`] others of a user whose token was checked. Any other user id is
//! anybody's to take, so that a bound for it would let strangers keep its user out.
//!
//! A connection may send 1,000 messages at once and 20 more a second, calls included, and 64 MiB at once and 1 MiB more a second; what
//! is over that is not handled: `{"type":"error","message":"Too many messages, try again later"}`, or for a call the same as its error,
//! and for a state as that of `cf_agent_state_error`.
//! It may call `export` 10 times at once and 5 times more a second; what is over that gets `Too many exports, try again later`.

use std::borrow::Cow;
use std::cell::Cell;

use durable_agents::MAX_STATE_BYTES;
use durable_agents::host::Level;
use durable_agents::http::{HeaderValue, header};
use durable_agents::json;
use durable_agents::limits::{Limits, Rate, TokenBucket};
use durable_agents::prelude::*;
use durable_agents::sql::MAX_SAFE_INTEGER;
use serde::{Deserialize, Serialize};

mod history;

pub use history::{DEFAULT_PAGE, MAX_AGE_DAYS, MAX_IN_TABLE, MAX_PAGE};

use crate::auth;
use history::{Asked, Placed};

/// Messages in the state, unless [`ChatProps`] say otherwise.
pub const MAX_IN_STATE: usize = 200;

/// Most bytes that messages in the state may take, as JSON: every client gets the whole state at every message.
pub const MAX_BYTES_IN_STATE: usize = 256 * 1024;

/// Most messages that one call of `export` sends.
pub const MAX_EXPORT: usize = 500;

/// Bytes of texts and senders after which a call of `export` sends no further list.
pub const MAX_EXPORT_BYTES: usize = 512 * 1024;

// Everybody gets the state at every message, so what one connection says is paid for by all. No strikes: whoever is too fast is told,
// and stays. A message that is too long has an answer of its own, so that the bounds of bytes leave room for the largest there is.
const LIMITS: Limits = Limits::new()
    .messages(Rate::per_second(1_000, 20))
    .bytes(Rate::per_second(64 * 1024 * 1024, 1024 * 1024))
    .max_message_bytes(usize::MAX)
    .strikes(0);

// A call of some bytes has hundreds of KiB sent, which wait in memory for a client that does not read. Who exports a long conversation
// gets 2,500 messages of it a second.
const EXPORTS: Rate = Rate::per_second(10, 5);

const TOO_MANY: &str = "Too many messages, try again later";

/// Scope of a token whose user may close the chat.
pub const ADMIN_SCOPE: &str = "chat:admin";

/// Who speaks when code of the application says nothing of a sender.
pub const SYSTEM: &str = "system";

/// Longest message, in bytes as it comes over the socket.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// Most users who are here at once.
pub const MAX_PARTICIPANTS: usize = 1_000;

/// Most connections at once. More than participants: users have several devices, and a reconnect overlaps.
pub const MAX_CONNECTIONS: usize = 1_250;

/// Most connections of one user at once, where a token says who the user is.
pub const MAX_CONNECTIONS_OF_USER: usize = 32;

/// Longest user id, in bytes of UTF-8.
pub const MAX_USER_ID_BYTES: usize = auth::MAX_USER_ID_BYTES;

// The state always fits into its row, whatever clients send. JSON doubles what it must escape in a user id.
const _: () = {
    let participants = MAX_PARTICIPANTS * (2 * MAX_USER_ID_BYTES + r#""","#.len());
    assert!(MAX_BYTES_IN_STATE + participants + 64 <= MAX_STATE_BYTES);
};

// Written when somebody addresses the agent with props: one row.
const CREATE_SETTINGS: &str = "CREATE TABLE IF NOT EXISTS chat_settings (
    only INTEGER PRIMARY KEY CHECK (only = 0), in_state INTEGER NOT NULL
)";

/// See the [module](self).
#[derive(Debug, Default)]
pub struct ChatAgent {
    // How many messages stay in the state; a copy of the setting, made at every start.
    in_state: Cell<usize>,
    // Whether this wake knows that trimming is scheduled, so that it is not looked up at every message.
    is_trimming: Cell<bool>,
}

/// What code that addresses a chat by name can set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatProps {
    /// How many messages stay in the state: 1 to [`MAX_IN_STATE`]. Remembered until it is set again.
    pub messages_in_state: usize,
}

/// What everybody in the chat sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The newest messages, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Ids of the users who are here, in the order in which they came.
    pub participants: Vec<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// A UUID.
    pub id: String,
    /// What was said.
    pub text: String,
    /// Who said it.
    pub sender: String,
    /// When, in milliseconds.
    pub timestamp: u64,
}

/// Who a connection is; kept in the socket's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatUser {
    /// The user's id.
    pub user_id: String,
    /// Whether a token says so.
    pub verified: bool,
    /// Whether the token has [`ADMIN_SCOPE`].
    #[serde(default)]
    pub admin: bool,
    /// What is left of the exports that it may call.
    #[serde(default, skip_serializing_if = "is_full")]
    pub exports: TokenBucket,
}

fn is_full(bucket: &TokenBucket) -> bool {
    *bucket == TokenBucket::new()
}

/// What a client says.
struct Incoming {
    text: String,
    sender: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame<'a> {
    Welcome { message: &'static str, participants: &'a [String] },
    MessageAdded { message: &'a ChatMessage },
    Error { message: &'a str },
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Unauthorized,
    UserId,
}

impl ChatAgent {
    async fn user_of(&self, cx: &Context<Self>, request: &Request) -> Result<ChatUser, Refusal> {
        if requires_token(cx) {
            let user = auth::authenticate(cx, request).await.map_err(|_| Refusal::Unauthorized)?;
            let admin = user.scopes.iter().any(|scope| scope == ADMIN_SCOPE);
            return Ok(ChatUser { user_id: user.id, verified: true, admin, exports: TokenBucket::new() });
        }
        let given = |id: &String| !id.is_empty();
        let from_query = || request.url().query_param("userId").map(|id| id.into_owned()).filter(given);
        let user_id = request.header("x-user-id").filter(given).or_else(from_query);
        let user_id = user_id.unwrap_or_else(|| "anonymous".to_owned());
        if user_id.len() > MAX_USER_ID_BYTES || user_id.contains(char::is_control) {
            return Err(Refusal::UserId);
        }
        Ok(ChatUser { user_id, verified: false, admin: false, exports: TokenBucket::new() })
    }

    /// Makes the participants what the open connections say: after a crash nobody has told us who left.
    fn reconcile(&self, cx: &Context<Self>) -> Result<()> {
        let mut present = Vec::new();
        for connection in cx.connections() {
            // A state that cannot be read is that connection's trouble, and must not keep the agent from starting.
            if let Ok(Some(user)) = connection.state() {
                present.push(user.user_id.clone());
            }
        }
        present.sort_unstable();
        present.dedup();
        let known = cx.state()?;
        let mut participants: Vec<String> = Vec::with_capacity(present.len());
        participants.extend(known.participants.iter().filter(|id| present.binary_search(id).is_ok()).cloned());
        participants.extend(present.into_iter().filter(|id| !known.participants.contains(id)));
        if participants != known.participants {
            cx.update_state(|chat| chat.participants = participants)?;
        }
        Ok(())
    }

    /// Adds a message, and moves what is too old for the state to the table.
    fn append(&self, cx: &Context<Self>, message: ChatMessage) -> Result<()> {
        let mut chat = Chat::clone(&*cx.state()?);
        chat.messages.push(message);
        let too_many = too_many(&chat.messages, self.in_state.get());
        if too_many == 0 {
            return Ok(cx.set_state(chat)?);
        }
        let before = history::last_seq(cx)?;
        let moved = history::append(cx, chat.messages.drain(..too_many)).map_err(Error::from);
        if let Err(error) = moved.and_then(|()| Ok(cx.set_state(chat)?)) {
            // What did not leave the state must not be in the table too.
            history::take_back(cx, before)?;
            return Err(error);
        }
        // The message is there and everybody knows: its sender must not be told otherwise. The next one tries again.
        if let Err(error) = self.keep_tidy(cx) {
            cx.log(Level::Error, &format!("old messages could not be looked after: {error:#}"));
        }
        Ok(())
    }

    /// Has what is too much for the table deleted, now and daily.
    fn keep_tidy(&self, cx: &Context<Self>) -> Result<()> {
        history::delete_surplus(cx)?;
        if !self.is_trimming.get() {
            // Scheduled already it is the same one: schedules of this kind are not made twice.
            cx.schedule(When::cron("@daily"), Self::TRIM, &())?;
            self.is_trimming.set(true);
        }
        Ok(())
    }
}

#[agent(rename_all = "camelCase")]
impl ChatAgent {
    /// Adds a message; the result is the message as everybody sees it.
    #[callable]
    async fn post(&self, cx: &Context<Self>, text: String, sender: Option<String>) -> Result<ChatMessage> {
        let sender = sender.filter(|sender| !sender.is_empty());
        let sender = match cx.caller() {
            Some(connection) => match connection.state()? {
                Some(user) => sender_of(&user, sender),
                None => bail!("Unauthorized"),
            },
            None => sender.unwrap_or_else(|| SYSTEM.to_owned()),
        };
        if text.len().saturating_add(sender.len()) > MAX_MESSAGE_BYTES {
            bail!("Message too long: the limit is {MAX_MESSAGE_BYTES} bytes");
        }
        if text.trim().is_empty() {
            bail!("Message is empty");
        }
        let message = ChatMessage { id: cx.uuid(), text, sender, timestamp: cx.now_ms() };
        self.append(cx, message.clone())?;
        Ok(message)
    }

    /// Up to [`MAX_EXPORT`] messages from place `after` on, oldest first, in lists; fewer where they are long. Ends with where to go on
    /// from, or `null`.
    #[callable(streaming)]
    async fn export(
        &self,
        cx: &Context<Self>,
        stream: Stream<Vec<ChatMessage>, Option<u64>>,
        after: Option<u64>,
    ) -> Result<()> {
        if let Some(connection) = cx.caller() {
            take_export(cx, &connection)?;
        }
        let mut after = after.unwrap_or_default().min(MAX_SAFE_INTEGER.unsigned_abs());
        let mut room_bytes = MAX_EXPORT_BYTES;
        // What is sent waits in memory for a slow client, so there is an end to it.
        for _ in 0..MAX_EXPORT / MAX_PAGE {
            let page = history::after(cx, after)?;
            let Some(last) = page.last() else {
                stream.end(None)?;
                return Ok(());
            };
            after = last.seq;
            let size_bytes: usize = page.iter().map(|Placed { message, .. }| message.text.len() + message.sender.len()).sum();
            room_bytes = room_bytes.saturating_sub(size_bytes);
            stream.send(page.into_iter().map(|placed| placed.message).collect::<Vec<_>>())?;
            if room_bytes == 0 {
                break;
            }
        }
        stream.end(Some(after))?;
        Ok(())
    }

    /// Deletes everything and closes every socket.
    #[callable(scope = "chat:admin")]
    async fn close_chat(&self, cx: &Context<Self>) -> Result<()> {
        cx.destroy().await
    }

    /// Deletes what is too old, once a day for as long as there is something to delete some day.
    #[callback]
    async fn trim(&self, cx: &Context<Self>, run: &Run) -> Result<()> {
        history::delete_old(cx)?;
        if history::len(cx)? <= 1 {
            cx.cancel_schedule(&run.id)?;
            self.is_trimming.set(false);
        }
        Ok(())
    }
}

#[agent]
impl Agent for ChatAgent {
    type State = Chat;
    type ConnectionState = ChatUser;
    type Props = ChatProps;

    fn initial_state(&self) -> Option<Chat> {
        Some(Chat::default())
    }

    async fn on_start(&self, cx: &Context<Self>, props: Option<ChatProps>) -> Result<()> {
        if requires_token(cx) {
            auth::log_configuration(cx);
        }
        history::create(cx)?;
        cx.sql(CREATE_SETTINGS, ()).execute()?;
        if let Some(ChatProps { messages_in_state }) = props {
            if !(1..=MAX_IN_STATE).contains(&messages_in_state) {
                bail!("messagesInState must be from 1 to {MAX_IN_STATE}, not {messages_in_state}");
            }
            // The next wake has no props: it will be caused by a message, and that comes from nobody who has any.
            let remember = "INSERT OR REPLACE INTO chat_settings (only, in_state) VALUES (0, ?)";
            cx.sql(remember, (messages_in_state,)).execute()?;
        }
        self.in_state.set(cx.sql("SELECT in_state FROM chat_settings", ()).optional()?.unwrap_or(MAX_IN_STATE));
        self.reconcile(cx)
    }

    /// The first of the hooks that a connection meets: what it finds out, the others read. The user's id is the tag under which all
    /// connections of a user are found.
    async fn connection_tags(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<Vec<String>> {
        let Ok(user) = self.user_of(cx, request).await else { return Ok(Vec::new()) };
        connection.set_state(user.clone())?;
        Ok(vec![user.user_id])
    }

    async fn should_send_protocol_messages(
        &self,
        _: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<bool> {
        // They come before the connect hook, so without the first half a stranger would read the chat before being shown out.
        Ok(connection.state()?.is_some() && request.url().query_param("protocol").as_deref() != Some("false"))
    }

    fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
        if connection.admit(&LIMITS, message)?.is_none() {
            return Ok(true);
        }
        if !connection.refuse(message, TOO_MANY) {
            // One that has gone meanwhile need not be told.
            let _ = connection.send_json(&Frame::Error { message: TOO_MANY });
        }
        Ok(false)
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let Some(user) = connection.state()? else {
            match self.user_of(cx, request).await {
                Err(Refusal::UserId) => {
                    let reason = format!("user id: at most {MAX_USER_ID_BYTES} bytes, no control characters");
                    connection.close(1008, &reason)?;
                }
                _ => connection.close(4001, "Unauthorized")?,
            }
            return Ok(());
        };
        if cx.connections().count() > MAX_CONNECTIONS {
            connection.close(1013, "The chat is full")?;
            return Ok(());
        }
        if user.verified && connections_of(cx, &user.user_id).count() > MAX_CONNECTIONS_OF_USER {
            connection.close(1013, "Too many connections")?;
            return Ok(());
        }
        let chat = cx.state()?;
        if !chat.participants.contains(&user.user_id) {
            if chat.participants.len() >= MAX_PARTICIPANTS {
                connection.close(1013, "The chat is full")?;
                return Ok(());
            }
            cx.update_state(|chat| chat.participants.push(user.user_id.clone()))?;
        }
        let participants = &cx.state()?.participants;
        connection.send_json(&Frame::Welcome { message: "Connected to chat", participants })?;
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let Some(user) = connection.state()? else { return Ok(()) };
        if message.len() > MAX_MESSAGE_BYTES {
            let message = format!("Message too long: the limit is {MAX_MESSAGE_BYTES} bytes");
            connection.send_json(&Frame::Error { message: &message })?;
            return Ok(());
        }
        let Some(Incoming { text, sender }) = message.as_text().and_then(parse) else {
            connection.send_json(&Frame::Error { message: "Invalid message format" })?;
            return Ok(());
        };
        let sender = sender_of(&user, sender);
        let message = ChatMessage { id: cx.uuid(), text, sender, timestamp: cx.now_ms() };
        self.append(cx, message.clone())?;
        connection.send_json(&Frame::MessageAdded { message: &message })?;
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        let Some(user) = connection.state()? else { return Ok(()) };
        if connections_of(cx, &user.user_id).next().is_some() {
            return Ok(());
        }
        if cx.state()?.participants.contains(&user.user_id) {
            cx.update_state(|chat| chat.participants.retain(|id| *id != user.user_id))?;
        }
        Ok(())
    }

    /// The framework keeps the socket open and says nothing to the client, who would wait for `message_added` in vain.
    async fn on_connection_error(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Error) -> Result<()> {
        if connection.is_open() {
            connection.send_json(&Frame::Error { message: "The message was not accepted, try again" })?;
        }
        Ok(())
    }

    async fn has_scope(&self, _: &Context<Self>, connection: &Connection<Self>, scope: &str) -> Result<bool> {
        Ok(scope == ADMIN_SCOPE && connection.state()?.is_some_and(|user| user.admin))
    }

    fn validate_state_change(&self, _: &Context<Self>, _: &Chat, source: &Source<Self>) -> Result<()> {
        match source {
            Source::Server => Ok(()),
            Source::Connection(_) => bail!("the chat changes through messages"),
        }
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        if cx.sub_path(&request) != "history" {
            return refusal(StatusCode::NOT_FOUND, "Not found");
        }
        if request.effective_method() != Method::GET {
            let answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")?;
            return Ok(answer.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        if self.user_of(cx, &request).await == Err(Refusal::Unauthorized) {
            let answer = refusal(StatusCode::UNAUTHORIZED, "Unauthorized")?;
            return Ok(answer.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        match Asked::parse(request.url()) {
            Ok(asked) => Ok(Response::json(&history::page(cx, &asked)?)?),
            Err(wrong) => refusal(StatusCode::BAD_REQUEST, &wrong),
        }
    }
}

/// Who speaks: the user, unless it is one without a token and calls itself otherwise.
fn sender_of(user: &ChatUser, sender: Option<String>) -> String {
    sender.filter(|sender| !sender.is_empty() && !user.verified).unwrap_or_else(|| user.user_id.clone())
}

fn requires_token(cx: &Context<ChatAgent>) -> bool {
    cx.var("CHAT_REQUIRE_TOKEN").as_deref() == Some("true")
}

/// The open connections of a user.
fn connections_of(cx: &Context<ChatAgent>, user_id: &str) -> impl Iterator<Item = Connection<ChatAgent>> {
    // An id is a tag as well, and a client may choose one that is a user's.
    cx.connections_tagged(user_id)
        .filter(move |other| other.state().is_ok_and(|state| state.is_some_and(|other| other.user_id == user_id)))
}

/// Counts an export of a connection.
fn take_export(cx: &Context<ChatAgent>, connection: &Connection<ChatAgent>) -> Result<()> {
    let Some(user) = connection.state()? else { bail!("Unauthorized") };
    let mut user = ChatUser::clone(&user);
    if !user.exports.take(EXPORTS, 1, cx.now_ms()) {
        bail!("Too many exports, try again later");
    }
    Ok(connection.set_state(user)?)
}

/// How many of the oldest messages are too much for the state, which has room for `max` of them.
fn too_many(messages: &[ChatMessage], max: usize) -> usize {
    let mut room_bytes = MAX_BYTES_IN_STATE;
    let fits = |message: &&ChatMessage| {
        // A message that is no JSON would be no state either, so this never fails.
        let size_bytes = serde_json::to_vec(message).map_or(0, |json| json.len() + 1);
        let left = room_bytes.checked_sub(size_bytes);
        room_bytes = left.unwrap_or_default();
        left.is_some()
    };
    messages.len() - messages.iter().rev().take(max).take_while(fits).count()
}

fn parse(text: &str) -> Option<Incoming> {
    let [kind, text, sender] = json::fields(text, ["type", "text", "sender"])?;
    let text_of = |value| json::text_of(value).map(Cow::into_owned);
    let sender = match sender.filter(|sender| *sender != "null") {
        None => None,
        Some(sender) => Some(text_of(sender)?),
    };
    let text = text_of(text?).filter(|text| !text.trim().is_empty())?;
    (json::text_of(kind?)? == "chat").then_some(Incoming { text, sender })
}

fn refusal(status: StatusCode, error: &str) -> Result<Response> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
    }
    Ok(Response::json(&Body { error })?.with_status(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_an_object_with_a_type_and_a_text() {
        for (text, understood) in [
            (r#"{"type":"chat","text":"hi"}"#, true),
            (r#" {"text":"hi","sender":"ada","type":"chat","more":[]}"#, true),
            (r#"{"type":"chat","text":"hi","sender":null}"#, true),
            (r#"{"type":"chat","text":"hi","sender":5}"#, false),
            (r#"{"type":"chat","text":""}"#, false),
            (
                r#"{"type":"chat","text":" 
"}"#,
                false,
            ),
            (r#"{"type":"chat","text":null}"#, false),
            (r#"{"type":"chat"}"#, false),
            (r#"{"type":"Chat","text":"hi"}"#, false),
            (r#"{"type":5,"text":"hi"}"#, false),
            (r#"{"text":"hi"}"#, false),
            (r#"["chat","hi",null]"#, false),
            (r#"["chat",{"text":"hi"}]"#, false),
            (r#"{"type":"chat","text":"hi"} x"#, false),
            ("{incomplete", false),
            ("null", false),
            ("hi", false),
            ("", false),
        ] {
            assert_eq!(parse(text).is_some(), understood, "{text}");
        }
    }
}
