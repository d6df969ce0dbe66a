//! How much a client may send.
//!
//! A [`TokenBucket`] for messages and one for their bytes, a largest message, and strikes: each message that is refused is one, and
//! after some of them the connection is closed with 1008, upon which the official clients do not come back. What a connection has
//! used stands in its attachment, beside the agent's own connection state, so it survives hibernation and is gone with the socket.
//!
//! Call [`Connection::enforce`] in [`should_handle_message`](Agent::should_handle_message), which sees protocol frames as well:
//!
//! ```
//! use durable_agents_core::limits::{Limits, Rate};
//! # use durable_agents_core::{Agent, Connection, Context, Message, Result};
//! # struct Chat;
//! const LIMITS: Limits = Limits::new().messages(Rate::per_second(20, 10)).strikes(3);
//!
//! impl Agent for Chat {
//! #   type State = ();
//! #   type ConnectionState = ();
//! #   type Props = ();
//! #   const CLASS: &'static str = "Chat";
//! #   fn new(_: &Context<Self>) -> Self { Self }
//!     fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
//!         Ok(connection.enforce(&LIMITS, message)?)
//!     }
//! }
//! ```
//!
//! An agent with a protocol of its own asks [`Connection::admit`] and answers in its own words.
//!
//! # Cost
//! Each message writes the attachment once, whatever else of it the hook changes: in the platform's memory, nothing on disk. Answers
//! that the platform gives by itself (see [liveness](crate::liveness)) are not counted, because the agent does not see them.

use std::time::Duration;

use crate::agent::Agent;
use crate::connection::Connection;
use crate::error::AttachmentError;
use crate::message::Message;
use crate::meter::Meter;

mod bucket;
mod limiter;

pub use bucket::{Rate, TokenBucket};
pub use limiter::Limiter;

/// Most strikes that can be set: each takes room in the attachment.
pub const MAX_STRIKES: u8 = 8;

/// The close code of a connection that had its last strike.
pub const CLOSE_CODE: u16 = 1008;

/// How much one sender may send. A plain value, best a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) messages: Rate,
    pub(crate) bytes: Rate,
    pub(crate) max_message_bytes: usize,
    pub(crate) strikes: u8,
    pub(crate) strike_expiry: Duration,
    pub(crate) policy: Policy,
}

/// What [`Connection::enforce`] does about a refused message. Whatever it is, the last strike closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Sends `{"error":"…"}` with the text of the [`Reason`]; to a call or a state, what [`Connection::refuse`] sends.
    Tell,
    /// Says nothing.
    Drop,
    /// Closes at once, with 1008 and the text of the [`Reason`].
    Close,
}

/// Why a message was refused. Its text is meant for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No token for another message.
    #[error("Too many messages")]
    Messages,
    /// No tokens for that many bytes.
    #[error("Too many bytes")]
    Bytes,
    /// Over [`Limits::max_message_bytes`].
    #[error("Message is too large")]
    Size,
    /// The agent does not take it, whatever the limits say.
    #[error("Invalid message")]
    Content,
}

/// A message that is over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which limit.
    pub reason: Reason,
    /// Whether it was the last strike: close the connection, with [`CLOSE_CODE`].
    pub is_last: bool,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            messages: Rate::per_second(20, 10),
            bytes: Rate::per_second(256 * 1024, 64 * 1024),
            max_message_bytes: 64 * 1024,
            strikes: 3,
            strike_expiry: Duration::from_secs(60),
            policy: Policy::Tell,
        }
    }

    /// How many messages. Default: 20 at once, 10 more a second.
    #[must_use]
    pub const fn messages(mut self, rate: Rate) -> Self {
        self.messages = rate;
        self
    }

    /// How many bytes of messages, text as UTF-8. Default: 256 KiB at once, 64 KiB more a second.
    ///
    /// A message larger than the burst never passes.
    #[must_use]
    pub const fn bytes(mut self, rate: Rate) -> Self {
        self.bytes = rate;
        self
    }

    /// The largest message, in bytes. Default: 64 KiB.
    #[must_use]
    pub const fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Which strike is the last. Default: the third. 0: none is; at most [`MAX_STRIKES`].
    #[must_use]
    pub const fn strikes(mut self, strikes: u8) -> Self {
        self.strikes = if strikes > MAX_STRIKES { MAX_STRIKES } else { strikes };
        self
    }

    /// For how long a strike counts. Default: 60 s.
    #[must_use]
    pub const fn strike_expiry(mut self, expiry: Duration) -> Self {
        self.strike_expiry = expiry;
        self
    }

    /// What [`Connection::enforce`] does. Default: [`Policy::Tell`].
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// Limits: see [`limits`](self).
impl<A: Agent> Connection<A> {
    /// Counts a message of this connection. `Some`: it is over a limit, and counts as a strike; what to do about it is up to the
    /// caller, also about the last strike.
    ///
    /// # Errors
    /// - [`AttachmentError::Closed`]: the connection has ended.
    pub fn admit(&self, limits: &Limits, message: &Message) -> Result<Option<Refusal>, AttachmentError> {
        self.count(|limiter, now_ms| limiter.admit(limits, message.len(), now_ms).err())
    }

    /// Counts a strike against this connection for a message that was none the agent takes, with [`Reason::Content`].
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit).
    pub fn strike(&self, limits: &Limits) -> Result<Refusal, AttachmentError> {
        self.count(|limiter, now_ms| limiter.strike(limits, Reason::Content, now_ms))
    }

    /// Counts a message of this connection, and does what the limits' [`Policy`] says if it is over one. Returns whether to handle
    /// it.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit).
    pub fn enforce(&self, limits: &Limits, message: &Message) -> Result<bool, AttachmentError> {
        let Some(refusal) = self.admit(limits, message)? else { return Ok(true) };
        let reason = refusal.reason.to_string();
        // A client that has gone meanwhile need not be told.
        if limits.policy == Policy::Tell && !self.refuse(message, &reason) {
            let _ = self.send(format!(r#"{{"error":"{reason}"}}"#));
        }
        if refusal.is_last || limits.policy == Policy::Close {
            let _ = self.close(CLOSE_CODE, &reason);
        }
        Ok(false)
    }

    fn count<T>(&self, count: impl FnOnce(&mut Limiter, u64) -> T) -> Result<T, AttachmentError> {
        let mut meter = Meter::of(&self.link);
        let outcome = count(&mut meter.limiter, self.instance.shell.host.now_ms());
        meter.store(&self.link)?;
        Ok(outcome)
    }
}
