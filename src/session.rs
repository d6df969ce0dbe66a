//! SessionAgent: an agent run over one socket, which goes on when the socket is lost.
//!
//! Route `/agents/session-agent/:name`. `docs/session-agent.md` has the frames, with examples. `cf_agent_*` frames go only to clients
//! that connect with `?protocol=true`.
//!
//! Frames are `{"type","payload","timestamp","correlationId"?}`, those of the server that are kept also have `seq`, counted for each
//! session from 1. A reply carries the request's `correlationId`.
//!
//! | From the client | Answer |
//! |---|---|
//! | `agent:start {projectId, projectPath}` | `agent:started {sessionId}`; what was said before is forgotten |
//! | `agent:message {content}` | `status:update thinking`, `streaming`, `stream:chunk {content}` …, `stream:complete`, `status:update idle`; on failure `stream:error {message}`, `status:update error` |
//! | `agent:cancel` | `agent:cancelled`, `status:update idle`; nothing of the answer follows |
//! | `ping` | `pong {}`; the bare text `ping` gets the bare text `pong`, from the runtime, without waking the agent |
//! | anything else | `error {message}` |
//!
//! A session is more than its socket: `connection:established {clientId}` tells its id, and whoever comes back with
//! `?sessionId=…&lastSeq=…` gets `session:resumed {sessionId, recovered, missed}`, then the frames it missed, then live ones. Kept are
//! the newest [`MAX_KEPT_FRAMES`] of a session, at most [`MAX_KEPT_BYTES`] of them, for [`KEPT_FRAME_AGE`]. The id is all that is
//! asked for: 128 random bits that only its client has been told.
//!
//! A session nobody has been connected to for [`SESSION_AGE_MS`] is forgotten. There are at most [`MAX_SESSIONS`]: for who comes after
//! them one is forgotten earlier that has nobody connected and nothing being answered, if it can be one in which nothing was said, and
//! that which was left longest ago. Where there is none, the newcomer gets 1013. An instance without connections sets no alarm, so what
//! it would forget stays on disk until somebody comes to it.
//!
//! An answer goes on while nobody is connected, but not over a crash or deploy of the object: the session then is told `stream:error`
//! and `status:update error`. What a model has said of a cancelled or failed answer is part of the conversation; a question that got
//! no word of an answer is not.
//!
//! A connection may send 500 requests at once and 50 more a second, pings not counted; one over that gets an `error`, and nothing else
//! happens.
//!
//! An instance answers up to [`MAX_ANSWERS`] messages at the same time, those of sessions whose clients have left included.
//!
//! Whoever reaches the instance may have the model answer, and nobody is asked for a token: see `docs/models.md` before it is one that
//! costs money.
//!
//! Once a period of [`HEARTBEAT`] the sockets that have shown no life for two are closed with 4008: 60 to 90 s after the last sign of it.
//! The alarm for it runs only while somebody is connected.

use std::rc::Rc;
use std::time::Duration;

use durable_agents::limits::{Limits, Rate};
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

mod arrival;
mod calls;
mod delivery;
mod frames;
mod run;
mod store;

use arrival::{asked_session, random_id, seen};
pub use calls::SessionAgentCalls;
use delivery::{emit, reply, set_status};
use frames::{Ask, Frame, INVALID, Project, Status};
use run::Runs;
use store::{Session, Store};

/// Most sessions of one instance.
pub const MAX_SESSIONS: usize = 1_000;

/// Most messages that one instance has answered at the same time. Each may hold a whole conversation in memory, of which an object has
/// 128 MB.
pub const MAX_ANSWERS: usize = 64;

/// How long a session is remembered while nobody is connected to it, in milliseconds.
pub const SESSION_AGE_MS: u64 = 24 * 60 * 60 * 1_000;

/// Most frames that are kept of a session.
pub const MAX_KEPT_FRAMES: u64 = 4_096;

/// Most bytes that they take. A frame that is larger is not kept.
pub const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// How long a frame is kept.
pub const KEPT_FRAME_AGE: Duration = Duration::from_secs(60 * 60);

/// Most questions, with their answers, that a model is reminded of.
pub const MAX_EXCHANGES: u64 = 50;

/// Most bytes that they take; the newest is kept whatever its size.
pub const MAX_HISTORY_BYTES: u64 = 512 * 1024;

/// Longest message, in bytes as it comes over the socket.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

// Every request reads from the disk, and most write to it. No strikes: whoever is too fast is told, and stays. The bytes are those of
// the largest messages at that rate, so that they are never what is too much.
const LIMITS: Limits = Limits::new()
    .messages(Rate::per_second(500, 50))
    .bytes(Rate::per_second(500 * MAX_MESSAGE_BYTES as u64, 50 * MAX_MESSAGE_BYTES as u64))
    .max_message_bytes(MAX_MESSAGE_BYTES)
    .strikes(0);

/// Longest correlation id, in bytes of UTF-8.
pub const MAX_CORRELATION_ID_BYTES: usize = 256;

/// Longest `projectId`, in bytes of UTF-8.
pub const MAX_PROJECT_ID_BYTES: usize = 256;

/// Longest `projectPath`, in bytes of UTF-8.
pub const MAX_PROJECT_PATH_BYTES: usize = 4_096;

/// Longest type of a frame that other code sends, in bytes of UTF-8.
pub const MAX_TYPE_BYTES: usize = 128;

/// Largest payload of a frame that other code sends, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// How often silent sockets are looked for, unless var `SESSION_HEARTBEAT_S` says otherwise: 1 to [`MAX_HEARTBEAT_S`].
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// Longest time between two looks, in seconds. With any other value in the var, [`HEARTBEAT`] holds.
pub const MAX_HEARTBEAT_S: u64 = 3_600;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct SessionAgent {
    runs: Rc<Runs>,
}

/// Which session a connection belongs to; kept in the socket's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// Id of the session.
    pub session_id: String,
}

/// Why a request was not done.
#[derive(Debug)]
enum Refusal {
    /// What is wrong with it.
    Told(String),
    /// The agent could not do it.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a client is told of a request that the agent could not do.
const NOT_DONE: &str = "The request could not be handled, try again";

impl SessionAgent {
    fn hear(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<()> {
        let request = match message {
            Message::Text(text) => frames::Request::parse(text),
            Message::Binary(_) => frames::Request { ask: Err(INVALID.to_owned()), correlation_id: None },
        };
        let (wrong, outcome) = match self.perform(cx, connection, message, &request) {
            Ok(()) => return Ok(()),
            Err(Refusal::Told(wrong)) => (wrong, Ok(())),
            Err(Refusal::Failed(error)) => (NOT_DONE.to_owned(), Err(error)),
        };
        reply(cx, connection, Frame::Error { message: &wrong }, request.correlation_id.as_deref())?;
        outcome
    }

    /// Does what a client asks for, and answers.
    fn perform(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        message: &Message,
        request: &frames::Request,
    ) -> Result<(), Refusal> {
        let correlation_id = request.correlation_id.as_deref();
        let ask = request.ask.as_ref().map_err(|wrong| Refusal::Told(wrong.clone()))?;
        if *ask != Ask::Ping && connection.admit(&LIMITS, message)?.is_some() {
            return Err(Refusal::Told("Too many requests, try again later".to_owned()));
        }
        match ask {
            // Without a look at the disk.
            Ask::Ping => reply(cx, connection, Frame::Pong {}, correlation_id)?,
            Ask::Start(project) => self.start(cx, &session_of(cx, connection)?, project, correlation_id)?,
            Ask::Cancel => self.cancel(cx, &session_of(cx, connection)?.id, correlation_id)?,
            Ask::Message { content } => {
                let session = session_of(cx, connection)?;
                let Some(project) = &session.project else {
                    return Err(Refusal::Told("No agent is running: send agent:start first".to_owned()));
                };
                if self.runs.is_answering(&session.id) {
                    return Err(Refusal::Told("A message is already being answered".to_owned()));
                }
                if self.runs.count() >= MAX_ANSWERS {
                    return Err(Refusal::Told("Too many messages are being answered, try again later".to_owned()));
                }
                run::begin(cx, &self.runs, &session, project, content.clone(), request.correlation_id.clone())?;
            }
        }
        Ok(())
    }

    fn start(&self, cx: &Context<Self>, session: &Session, project: &Project, correlation_id: Option<&str>) -> Result<()> {
        let id = &session.id;
        if self.runs.is_answering(id) {
            self.cancel(cx, id, correlation_id)?;
        }
        Store(cx).restart(id, project)?;
        emit(cx, id, Frame::Started { session_id: id }, correlation_id)?;
        if session.status == Status::Error {
            set_status(cx, id, Status::Idle, correlation_id)?;
        }
        Ok(())
    }

    fn cancel(&self, cx: &Context<Self>, id: &str, correlation_id: Option<&str>) -> Result<()> {
        // First, so that nothing of the answer comes after what is sent here.
        if let Some(stopped) = self.runs.stop(id).filter(|stopped| !stopped.answer.is_empty()) {
            Store(cx).remember(id, &stopped)?;
        }
        emit(cx, id, Frame::Cancelled { session_id: id }, correlation_id)?;
        set_status(cx, id, Status::Idle, correlation_id)
    }

    /// Tells the sessions whose answers ended with the object that they did.
    fn settle_interrupted(&self, cx: &Context<Self>) -> Result<()> {
        for Session { id, correlation_id, .. } in Store(cx).answering()? {
            let message = "The answer was interrupted: the agent was restarted";
            emit(cx, &id, Frame::Failed { session_id: &id, message }, correlation_id.as_deref())?;
            set_status(cx, &id, Status::Error, correlation_id.as_deref())?;
        }
        Ok(())
    }
}

/// The session that a connection belongs to.
fn session_of(cx: &Context<SessionAgent>, connection: &Connection<SessionAgent>) -> Result<Session, Refusal> {
    let session = match connection.state()? {
        Some(attached) => Store(cx).session(&attached.session_id)?,
        None => None,
    };
    session.ok_or_else(|| Refusal::Told("This session has ended".to_owned()))
}

#[agent]
impl Agent for SessionAgent {
    type ConnectionState = Attached;

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        Store(cx).create()?;
        self.settle_interrupted(cx)?;
        self.forget_old(cx)?;
        Ok(cx.set_auto_response(Some(("ping", "pong")))?)
    }

    /// Everything a client sends is a sign of life, whatever becomes of it.
    fn should_handle_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
        // Where a huge URL leaves no room for it in the attachment, the connection ends like a silent one.
        let _ = connection.note_life();
        if connection.is_protocol_enabled() {
            return Ok(true);
        }
        // To who has not asked for the framework's protocol, its frames are of unknown types, and their answers must not come.
        self.hear(cx, connection, message)?;
        Ok(false)
    }

    /// The first of the hooks that a connection meets: what it finds out, the others read.
    async fn connection_tags(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<Vec<String>> {
        let session_id = match asked_session(request.url()) {
            Some(id) => self.known(cx, &id)?.map(|session| session.id),
            None => None,
        };
        let session_id = session_id.unwrap_or_else(|| random_id(cx));
        connection.set_state(Attached { session_id: session_id.clone() })?;
        Ok(vec![session_id])
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() == Some("true"))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let Some(attached) = connection.state()? else { bail!("the connection has no session") };
        let id = &attached.session_id;
        self.start_heartbeat(cx)?;
        let asked = asked_session(request.url());
        if asked.as_ref() == Some(id) {
            return self.resume(cx, connection, id, seen(request.url()));
        }
        if !self.make_room(cx)? {
            connection.close(1013, "Too many sessions")?;
            return Ok(());
        }
        Store(cx).add(id)?;
        reply(cx, connection, Frame::Established { client_id: id }, None)?;
        if asked.is_some() {
            reply(cx, connection, Frame::Resumed { session_id: id, recovered: false, missed: 0 }, None)?;
        }
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        self.hear(cx, connection, &message)
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        let Some(attached) = connection.state()? else { return Ok(()) };
        self.leave(cx, &attached.session_id)?;
        self.stop_heartbeat_if_alone(cx)
    }
}
