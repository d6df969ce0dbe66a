//! The port: everything the core asks of the world it runs in.
//!
//! Two adapters implement it: `durable-agents` for workerd, [`testing`](crate::testing) for plain `cargo test`. An adapter
//! translates and decides nothing; whatever the protocol says is decided above this line.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::http::{Request, Response};
use crate::message::{Data, Payload};
use crate::signature::VerifyingKey;

/// What the platform offers to all code: in an object, and in the worker that no object has been asked for yet.
pub trait Surroundings {
    /// Unix time in milliseconds. On workerd it stands still while code runs.
    fn now_ms(&self) -> u64;

    /// Fills `bytes` with randomness that is fit for identifiers nobody may guess.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Writes one line to the log of the platform.
    fn log(&self, level: Level, line: &str);

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()>;

    /// A variable or secret of the worker, as text; one that is a JSON value, as its JSON. `None` if there is none of that name.
    fn var(&self, name: &str) -> Option<String>;

    /// Whether `signature` is what the holder of the key made for `data`. Time does not tell how much of it is right.
    ///
    /// # Errors
    /// The platform can do nothing with that key. A wrong signature is no error.
    fn verify(&self, key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>>;
}

/// One object instance's view of its platform.
///
/// Created by the adapter for each wake, and dropped with the object's memory.
pub trait Host: Surroundings + 'static {
    /// Name the object was addressed by.
    ///
    /// `None` for an id that was not made from a name, and for names over 1,024 bytes, which the platform does not hand out.
    fn name(&self) -> Option<String>;

    /// The object's SQLite database.
    fn store(&self) -> &dyn Store;

    /// The alarm clock of this object.
    ///
    /// # Errors
    /// Whatever the platform reports; nothing has changed then.
    fn set_alarm(&self, at_ms: Option<u64>) -> Result<(), HostError>;

    /// When the alarm goes off, in Unix milliseconds. `None` while its handler runs, unless that has set it again.
    fn alarm(&self) -> LocalBoxFuture<'static, Result<Option<u64>, HostError>>;

    /// Deletes everything that the object has stored, all of its tables and the alarm, and ends when that is on disk.
    fn delete_all(&self) -> LocalBoxFuture<'static, Result<(), HostError>>;

    /// Ends this wake: the object's memory is dropped, and with it everything that is under way. Its next event makes a new one.
    fn abort(&self, reason: &str);

    /// Sockets accepted for hibernation, in any ready state; with a tag, only those accepted with it.
    ///
    /// Sockets accepted with `hibernate = false` are not in it.
    ///
    /// # Errors
    /// Whatever the platform reports.
    fn sockets(&self, tag: Option<&str>) -> Result<Vec<Rc<dyn Socket>>, HostError>;

    /// Has the platform answer text messages that are exactly the first of the pair with the second, on every hibernating socket,
    /// without waking the object; `None` ends that. Holds until the object is reset.
    ///
    /// At most [`MAX_AUTO_RESPONSE_CHARS`](crate::liveness::MAX_AUTO_RESPONSE_CHARS) each.
    ///
    /// # Errors
    /// Whatever the platform reports; what was set before holds.
    fn set_auto_response(&self, pair: Option<(&str, &str)>) -> Result<(), HostError>;

    /// When the platform last answered a message of that socket by itself, in Unix milliseconds. Survives hibernation.
    fn auto_response_ms(&self, socket: &dyn Socket) -> Option<u64>;

    /// Runs `work` to its end beside the current event, and keeps the object in memory for it.
    fn spawn(&self, work: LocalBoxFuture<'static, ()>);

    /// Sends `request` to another agent.
    fn fetch_agent(&self, target: &Target, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>>;

    /// Sends `request` to its URL, outside of the worker.
    ///
    /// Dropping the future, or the body of the response before its end, ends the exchange: the other side is told at once.
    fn fetch_url(&self, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>>;

    /// The adapter itself, for its own extensions of [`Context`](crate::Context).
    fn as_any(&self) -> &dyn Any;
}

/// One instance of one agent class, and where it should live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the Durable Object binding.
    pub binding: String,
    /// Instance name.
    pub name: String,
    /// Jurisdiction and location hint.
    pub placement: Placement,
}

/// Where an object may live and where it should be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Jurisdiction in which the id is made, `eu` for instance. The same name in another jurisdiction is another instance.
    pub jurisdiction: Option<String>,
    /// `wnam enam sam weur eeur apac oc afr me`; matters for the first contact only.
    pub location_hint: Option<String>,
}

/// A WebSocket handshake that the platform has handed over and that nobody has answered yet.
pub trait Upgrade {
    /// Accepts the server's end of the socket.
    ///
    /// `tags` are checked by the caller: at most ten, each 1–256 characters. With `hibernate`, events reach the runtime through
    /// the object's own handlers; without, the adapter subscribes to them and the object stays in memory. It need not subscribe where
    /// the agent hibernates: such a socket is there to be told why it is refused, and closed at once.
    ///
    /// # Errors
    /// Whatever the platform reports, for instance too many sockets. Nothing has been accepted then.
    fn accept(&self, tags: &[String], hibernate: bool) -> Result<Rc<dyn Socket>, HostError>;
}

/// Stands between frames that are handed over as one text: no JSON has it, as it would have to be escaped in there.
pub const FRAME_SEPARATOR: char = '\u{1e}';

/// The server's end of an accepted WebSocket.
pub trait Socket: Any {
    /// Queues a message.
    ///
    /// # Errors
    /// [`SocketError::Closed`] once either side has begun to close.
    fn send(&self, payload: &Payload<'_>) -> Result<(), SocketError>;

    /// Queues several texts, in order: what `frames` has between its [`FRAME_SEPARATOR`]s.
    ///
    /// # Errors
    /// The same. What comes before the failure is queued.
    fn send_all(&self, frames: &str) -> Result<(), SocketError> {
        frames.split(FRAME_SEPARATOR).try_for_each(|frame| self.send(&frame.into()))
    }

    /// Begins or answers the close handshake. `None` sends a close frame without a code.
    ///
    /// # Errors
    /// [`SocketError::Closed`] if that has been done already.
    fn close(&self, code: Option<u16>, reason: &str) -> Result<(), SocketError>;

    /// Where the socket stands, as the platform tells it.
    fn ready_state(&self) -> ReadyState;

    /// The bytes stored last, also by an earlier incarnation of the object.
    fn attachment(&self) -> Option<Vec<u8>>;

    /// Stores bytes that survive hibernation; at most [`MAX_ATTACHMENT_BYTES`](crate::attachment::MAX_ATTACHMENT_BYTES), which the
    /// caller has checked.
    ///
    /// # Errors
    /// Whatever the platform reports; the earlier bytes stay.
    fn set_attachment(&self, bytes: &[u8]) -> Result<(), SocketError>;

    /// The key that [`set_key`](Self::set_key) left on this very socket during this wake.
    fn key(&self) -> Option<u64>;

    /// Marks the socket, so that its next event finds its record without decoding the attachment. Below 2⁵³.
    fn set_key(&self, key: u64);
}

/// The `readyState` of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// Messages pass both ways.
    Open,
    /// One side has sent its close frame.
    Closing,
    /// Nothing passes any more.
    Closed,
}

/// The object's SQLite database. All calls are synchronous, as they are on the platform.
///
/// Writes between two await points reach the disk together or not at all.
pub trait Store {
    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// SQLite's own message.
    fn run(&self, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError>;

    /// Runs one statement that returns no rows, and does not ask what came of it.
    ///
    /// # Errors
    /// SQLite's own message.
    fn write(&self, sql: &str, params: &[SqlValue]) -> Result<(), HostError> {
        self.run(sql, params).map(drop)
    }

    /// The same with a part of a message as the statement's only parameter. A message for many sockets is converted for all of them and
    /// for this once.
    ///
    /// # Errors
    /// SQLite's own message.
    fn write_part(&self, sql: &str, message: &Payload<'_>, around: Around) -> Result<(), HostError> {
        self.write(sql, &[around.part_of(message).into()])
    }

    /// Bytes that the database takes on disk.
    fn size_bytes(&self) -> u64;
}

/// What of a text message is no part of what is stored: how many characters at its beginning and at its end, all of them ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// At the beginning.
    pub before: usize,
    /// At the end.
    pub after: usize,
}

impl Around {
    /// The part that is stored; nothing of what is no text, or too short.
    pub fn part_of<'m>(self, message: &'m Payload<'_>) -> &'m str {
        let Data::Text(text) = message.data() else { return "" };
        text.len().checked_sub(self.after).and_then(|end| text.get(self.before..end)).unwrap_or_default()
    }
}

/// A value that SQLite stores.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are SQLite's own")]
pub enum SqlValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// Rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the columns, in order. Where there is no row, they may be missing.
    pub columns: Vec<String>,
    /// One vector a row, as long as `columns`.
    pub rows: Vec<Vec<SqlValue>>,
    /// Rows that this statement wrote: 0 if none, otherwise as the platform counts them, which may include entries of indexes.
    pub written: u64,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the console's own")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Something the platform refused or could not do.
///
/// What it says are the fields of [`HostFault`], which are read as if they were its own. They are elsewhere so that a result that may be
/// this error, of which there are many, is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError(Box<HostFault>);

/// What a [`HostError`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFault {
    /// The platform's own words. For the log, never for a client.
    pub message: String,
    /// Whether the platform says that the same call may succeed if it is made again.
    pub retryable: bool,
    /// Whether the object refused because it has too much to do: making the call again would add to it.
    pub overloaded: bool,
    /// Whether the object has lost its memory, and what it was doing with it.
    pub reset: bool,
    /// Whether there is no binding of the name that was asked for.
    pub unbound: bool,
}

impl HostError {
    /// A failure that the platform gave no hints about.
    pub fn new(message: impl Into<String>) -> Self {
        HostFault::new(message).into()
    }
}

impl HostFault {
    /// Without hints. The others: `HostFault { retryable: true, ..HostFault::new("network connection lost") }`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl Deref for HostError {
    type Target = HostFault;

    fn deref(&self) -> &HostFault {
        &self.0
    }
}

impl From<HostFault> for HostError {
    fn from(fault: HostFault) -> Self {
        Self(Box::new(fault))
    }
}

impl From<HostError> for HostFault {
    fn from(error: HostError) -> Self {
        *error.0
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HostError {}

/// Why a socket did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The peer has gone or one side has begun to close: a state, not a fault.
    #[error("connection is closed")]
    Closed,
    /// The platform refused for a reason of its own.
    #[error("socket failed: {0}")]
    Platform(String),
}
