//! What a client has missed while it was away.
//!
//! A [`ResumeLog`] keeps frames under a key, numbered and in SQLite, within [`ResumeLimits`]: for agents whose own protocol carries
//! the numbers. [`Resume`] is the same for any agent and any frames: a client that connects with `?resume` gets what the agent
//! [broadcasts](Resume::broadcast) wrapped and numbered, and what it missed when it comes back with `?resume=<epoch>.<seq>`. Clients
//! that do not ask see no difference, and as long as none asks, nothing is written.
//!
//! | Frame | When |
//! |---|---|
//! | `{"type":"da_resumed","epoch":"…","seq":12,"recovered":true,"missed":3,"lost":0}` | on connect; `missed` frames follow at once, the first of them after number `seq`; `lost` more are not kept any more |
//! | `{"type":"da_frame","seq":13,"text":"…"}`, or with `base64` for bytes | for each frame, missed or live |
//!
//! A client keeps `epoch` and the last `seq` that it has seen, and comes back with both. `recovered` is false where the frames that
//! follow are not all that it has missed: it should load anew what it shows.

use std::borrow::Cow;
use std::time::Duration;

use crate::agent::Agent;
use crate::attachment::Flags;
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Result;
use crate::http::{Request, Url};
use crate::link::Phase;
use crate::message::{Message, Payload};
use crate::sql::SqlError;
use crate::time::millis;
use crate::wire;

mod log;
mod span;

pub use log::{Logged, Replay, ResumeLog, Since};

use span::Interest;
pub(crate) use span::Spans;

/// How much of the past is kept for each key. A plain value, best a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeLimits {
    pub(crate) max_frames: u64,
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Duration,
}

impl ResumeLimits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_frames: 1_000, max_bytes: 1024 * 1024, max_age: Duration::from_secs(3_600) }
    }

    /// Most frames. Default: 1,000.
    #[must_use]
    pub const fn max_frames(mut self, frames: u64) -> Self {
        self.max_frames = frames;
        self
    }

    /// Most bytes of frames, text as UTF-8. Default: 1 MiB. All of it is in memory at once when a client has missed everything.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// For how long a frame is kept. Default: one hour.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }
}

impl Default for ResumeLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// Resuming for clients that ask for it. See [the module](self).
///
/// ```
/// use durable_agents_core::resume::{Resume, ResumeLimits};
/// # use durable_agents_core::http::Request;
/// # use durable_agents_core::{Agent, Connection, Context, Message, Result};
/// # struct News;
/// const RESUME: Resume = Resume::new(ResumeLimits::new());
///
/// impl Agent for News {
/// #   type State = ();
/// #   type ConnectionState = ();
/// #   type Props = ();
/// #   const CLASS: &'static str = "News";
/// #   fn new(_: &Context<Self>) -> Self { Self }
///     async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
///         RESUME.greet(cx, connection, request)
///     }
///
///     async fn on_message(&self, cx: &Context<Self>, _: &Connection<Self>, message: Message) -> Result<()> {
///         Ok(RESUME.broadcast(cx, message)?)
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    key: Cow<'static, str>,
    limits: ResumeLimits,
}

impl Resume {
    /// Resuming of what goes to everyone. Whoever may connect may ask for all that is kept, also for what was sent before it came.
    #[must_use]
    pub const fn new(limits: ResumeLimits) -> Self {
        Self { key: Cow::Borrowed(""), limits }
    }

    /// Resuming of what goes to some, a user or a room, with a log of its own. A connection belongs to one log.
    #[must_use]
    pub fn keyed(key: impl Into<Cow<'static, str>>, limits: ResumeLimits) -> Self {
        Self { key: key.into(), limits }
    }

    /// The log beneath.
    pub fn log<'a, A: Agent>(&'a self, cx: &'a Context<A>) -> ResumeLog<'a> {
        ResumeLog::new(cx, &*self.key, self.limits)
    }

    /// Gives a client that asked for it what it has missed; does nothing for any other. Call it in
    /// [`on_connect`](Agent::on_connect): until then, such a client gets no broadcast.
    ///
    /// # Errors
    /// [`SqlError`], [`AttachmentError`](crate::AttachmentError). A client that has gone again is none.
    pub fn greet<A: Agent>(&self, cx: &Context<A>, connection: &Connection<A>, request: &Request) -> Result<()> {
        let Some(asked) = request.url().query_param(PARAM) else { return Ok(()) };
        let log = self.log(cx);
        let epoch = log.epoch()?;
        log.note(Interest::Present)?;
        let replay = log.since(since(&asked, &epoch, log.newest_seq()?))?;
        let link = &connection.link;
        link.set_flags(Flags { resumes: true, ..link.flags() })?;
        let shell = &connection.instance.shell;
        shell.send(link, &wire::server::resumed(&epoch, &replay).into());
        for (seq, frame) in &replay.frames {
            shell.send(link, &wire::server::logged(*seq, frame).into());
        }
        Ok(())
    }

    /// Sends a frame to every open connection: logged and with its number to those that resume, as it is to the others.
    ///
    /// # Errors
    /// [`SqlError`]: nobody got it. A connection that fails stops nothing.
    pub fn broadcast<A: Agent>(&self, cx: &Context<A>, frame: impl Into<Message>) -> Result<(), SqlError> {
        self.send(cx, cx.connections(), frame)
    }

    /// The same to some connections: with a log of their own, and all of those that are open.
    ///
    /// # Errors
    /// Those of [`broadcast`](Self::broadcast).
    pub fn send<A: Agent>(
        &self,
        cx: &Context<A>,
        to: impl IntoIterator<Item = Connection<A>>,
        frame: impl Into<Message>,
    ) -> Result<(), SqlError> {
        let frame = frame.into();
        let (resuming, others): (Vec<_>, Vec<_>) = to.into_iter().partition(|connection| connection.link.flags().resumes);
        let log = self.log(cx);
        // First of all, so that nobody sees what the log does not have.
        if self.is_wanted(cx, &log, !resuming.is_empty())? {
            let logged = log.append(|_| frame.clone())?;
            let numbered = Payload::from(wire::server::logged(logged.seq, &logged.frame)).for_many();
            for connection in &resuming {
                connection.instance.shell.send(&connection.link, &numbered);
            }
        }
        let plain = Payload::from(&frame).for_many();
        for connection in others.iter().filter(|connection| !awaits_greeting(connection)) {
            connection.instance.shell.send(&connection.link, &plain);
        }
        Ok(())
    }

    /// Whether anybody may want the frame later: somebody resumes, or a frame has found nobody for the first time within the age to
    /// which frames are kept. When the last one left is not known: a crash or a deployment ends connections without an event.
    fn is_wanted<A: Agent>(&self, cx: &Context<A>, log: &ResumeLog<'_>, somebody_resumes: bool) -> Result<bool, SqlError> {
        match (log.interest()?, somebody_resumes) {
            // Somebody has cleared the log: a new epoch, of which those who come back will learn.
            (Interest::Never, true) => log.epoch().map(|_| true),
            (Interest::Never, false) => Ok(false),
            (_, true) => log.note(Interest::Present).map(|()| true),
            (Interest::Present, false) => log.note(Interest::AloneSince(cx.now_ms())).map(|()| true),
            (Interest::AloneSince(since_ms), false) => {
                let is_wanted = cx.now_ms().saturating_sub(since_ms) <= millis(self.limits.max_age);
                if !is_wanted {
                    log.clear()?;
                }
                Ok(is_wanted)
            }
        }
    }
}

/// The query parameter by which a client asks.
const PARAM: &str = "resume";

/// What a client has seen that asks with this text. An empty one is a newcomer, who has missed nothing.
fn since(asked: &str, epoch: &str, newest_seq: u64) -> Since {
    if asked.is_empty() {
        return Since::Seq(newest_seq);
    }
    match asked.rsplit_once('.') {
        Some((known, seq)) if known == epoch => Since::parse(Some(seq)),
        _ => Since::Unknown,
    }
}

/// Whether it asked to resume and its connect hook has not come to it yet: it will get the frame from the log.
fn awaits_greeting<A: Agent>(connection: &Connection<A>) -> bool {
    connection.link.phase() == Phase::Opening && Url::parse(connection.uri()).query_param(PARAM).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_it_has_seen() {
        for (asked, expected) in [
            ("", Since::Seq(7)),
            ("e.5", Since::Seq(5)),
            ("e.0", Since::Seq(0)),
            ("e.99", Since::Seq(99)),
            ("e.", Since::Unknown),
            ("e.x", Since::Unknown),
            ("e.-1", Since::Unknown),
            ("f.5", Since::Unknown),
            ("5", Since::Unknown),
            ("e.18446744073709551616", Since::Unknown),
        ] {
            assert_eq!(since(asked, "e", 7), expected, "{asked:?}");
        }
    }
}
