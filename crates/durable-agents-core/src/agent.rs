//! The trait an author implements.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::http::{Request, Response, StatusCode};
use crate::message::Message;
use crate::retry::RetryOptions;
use crate::rpc::Callable;
use crate::task::Handler;

/// A stateful agent: one instance for each name, with its own storage, sockets and thread of control.
///
/// Implement it with `#[agent]` on the `impl` block: the attribute fills in what is not written (types default to `()`, `new`
/// to [`Default`], `CLASS` to the struct's name) and exports the Durable Object class.
///
/// # How hooks run
/// - One at a time in the sense of one thread, interleaved at every `.await`. What must not be torn apart goes between two of them.
/// - [`on_start`](Self::on_start) ends before anything else begins; [`on_connect`](Self::on_connect) ends before that connection's
///   first [`on_message`](Self::on_message). Until then messages wait: at most 1,024 of a connection, and about 32 MiB of all connections
///   of the instance. Who sends more is closed with 1013, and what else of it waits is dropped.
/// - An error or a panic costs the event it happened in, and nothing else: it is logged with its place, the error hook named
///   below is told, and the client sees what the protocol says and no internals.
/// - What a client can cause alone is logged as information, so that nobody fills the log of errors from outside: a state that is
///   refused, an id or URL without room, messages beyond the bounds, a connection that breaks or is gone when something is sent to it.
///   Calls that cannot be made are answered and not logged. An error of a hook's own is logged as an error, whatever it is about: what
///   is wrong with a message is best told to its sender.
/// - Fields of the struct are memory: gone at hibernation, eviction and deploy. What must survive goes into the state, into a
///   connection's state or into SQL.
#[allow(async_fn_in_trait, reason = "an object lives on one thread; its futures are never sent")]
pub trait Agent: Sized + 'static {
    /// State shared with every client, persisted as JSON. `()`: an agent without, whatever [`initial_state`](Self::initial_state) says;
    /// setting it fails with [`StateError::Unset`](crate::StateError::Unset).
    type State: Serialize + DeserializeOwned + Clone + 'static;

    /// State of one connection, persisted as JSON in its attachment: survives hibernation, gone when the socket closes.
    type ConnectionState: Serialize + DeserializeOwned + Clone + 'static;

    /// What a caller may pass when it addresses the agent by name; reaches [`on_start`](Self::on_start).
    type Props: Serialize + DeserializeOwned + Clone + 'static;

    /// Name of the exported class, `class_name` in `wrangler.toml`.
    const CLASS: &'static str;

    /// Options that hold for every instance.
    const OPTIONS: AgentOptions = AgentOptions::new();

    /// Which hooks this agent implements; the others are never called, and cost no code. `#[agent]` fills it in.
    const HOOKS: Hooks = Hooks::ALL;

    /// Builds the struct, once per wake. The context can read the name and storage; there is no connection yet.
    fn new(cx: &Context<Self>) -> Self;

    /// State until the first [`set_state`](Context::set_state). `None`: no state, and no state frame.
    ///
    /// Runs when the state is first read or a protocol connection arrives; the result is validated, persisted, broadcast and
    /// reported like any other change.
    fn initial_state(&self) -> Option<Self::State> {
        None
    }

    /// Methods that clients and other agents may call, by name. `#[agent]` fills it in from the block of marked methods.
    ///
    /// Where it is a constant and empty, the agent does without the code that runs them; where it has up to four methods and none of them
    /// streams, or none has a scope, without the code for that.
    fn callables() -> &'static [Callable<Self>] {
        &[]
    }

    /// Names of methods that exist and may not be called, so that a caller is told so. `#[agent]` fills it in, likewise.
    fn uncallable() -> &'static [&'static str] {
        &[]
    }

    /// Methods that schedules and the queue may run, by name. `#[agent]` fills it in, likewise.
    ///
    /// Where it is a constant and empty, the agent does without the code that runs them; what an earlier version has left goes to the
    /// dead letters.
    fn callbacks() -> &'static [Handler<Self>] {
        &[]
    }

    /// Once per wake, before anything else reaches the agent.
    ///
    /// `props` are those of the call that caused the wake. If it fails, that event fails, and the next one builds a new struct and
    /// tries again. Errors go to [`on_error`](Self::on_error).
    async fn on_start(&self, cx: &Context<Self>, props: Option<Self::Props>) -> Result<()> {
        let _ = (cx, props);
        Ok(())
    }

    /// An HTTP request that is no WebSocket upgrade. The default answers 404 `Not implemented`.
    ///
    /// Sees the original method, URL, headers and body; the answer to a `HEAD` goes out without its body, see
    /// [`effective_method`](Request::effective_method). Errors go to [`on_error`](Self::on_error), the client gets a plain 500.
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let _ = (cx, request);
        Ok(not_implemented())
    }

    /// A WebSocket was accepted; `request` is the upgrade request.
    ///
    /// The client gets its `101` when this ends: the official client gives up after 4 s. Protocol frames have been queued before
    /// it, so what is sent here arrives after them. If it fails, the client gets an `error` frame and close code 1011;
    /// [`on_connection_error`](Self::on_connection_error) is told and [`on_close`](Self::on_close) still runs.
    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let _ = (cx, connection, request);
        Ok(())
    }

    /// Whether a message is looked at at all, protocol frames included: the place for [limits](crate::limits) and for taking note
    /// of [life](crate::liveness).
    ///
    /// Not `async`: it decides about each message in order, after [`on_connect`](Self::on_connect) and before anything is parsed.
    /// `false` drops the message. An error drops it too and goes to [`on_connection_error`](Self::on_connection_error).
    fn should_handle_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
        let _ = (cx, connection, message);
        Ok(true)
    }

    /// A text or binary message that is no protocol frame.
    ///
    /// Messages of one connection enter in order; one that waits lets later ones pass. Errors go to
    /// [`on_connection_error`](Self::on_connection_error), the socket stays open.
    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let _ = (cx, connection, message);
        Ok(())
    }

    /// Exactly once for each connection whose [`on_connect`](Self::on_connect) began, however it ended.
    ///
    /// The connection's state is still readable; it is no longer in lists and broadcasts. After a crash of the whole process it
    /// does not run: there is nobody left to run it.
    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, close: &Close) -> Result<()> {
        let _ = (cx, connection, close);
        Ok(())
    }

    /// The socket failed, or a hook of that connection returned an error or panicked. It has been logged already.
    async fn on_connection_error(&self, cx: &Context<Self>, connection: &Connection<Self>, error: &Error) -> Result<()> {
        let _ = (cx, connection, error);
        Ok(())
    }

    /// Any other failure: a request, [`on_start`](Self::on_start), [`on_state_changed`](Self::on_state_changed). It has been logged
    /// already, and decides nothing about others.
    async fn on_error(&self, cx: &Context<Self>, error: &Error) -> Result<()> {
        let _ = (cx, error);
        Ok(())
    }

    /// Tags under which [`connections_tagged`](Context::connections_tagged) finds this connection; its id always is one.
    ///
    /// Runs before the socket is accepted: connection state can be set here, nothing can be sent. At most 9, each 1–256 bytes;
    /// otherwise the connect fails with a text that names the tag and the limit.
    async fn connection_tags(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<Vec<String>> {
        let _ = (cx, connection, request);
        Ok(Vec::new())
    }

    /// Whether `cf_agent_*` frames go to this connection, now and after hibernation. Runs before the socket is accepted.
    async fn should_send_protocol_messages(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<bool> {
        let _ = (cx, connection, request);
        Ok(true)
    }

    /// Whether this connection may not change the state, by its own frame or through what it calls. Runs before the socket is
    /// accepted; [`Connection::set_readonly`] changes it later.
    async fn should_connection_be_readonly(
        &self,
        cx: &Context<Self>,
        connection: &Connection<Self>,
        request: &Request,
    ) -> Result<bool> {
        let _ = (cx, connection, request);
        Ok(false)
    }

    /// Whether `connection` may call methods marked with `scope = "…"`. The default refuses.
    ///
    /// Runs before each such call. A caller without the scope gets `Method X requires scope S`, and nothing of the method runs; an
    /// error reaches it as if the method had failed with it. Calls from other agents and from the worker are not asked about: they
    /// are the application's own code.
    async fn has_scope(&self, cx: &Context<Self>, connection: &Connection<Self>, scope: &str) -> Result<bool> {
        let _ = (cx, connection, scope);
        Ok(false)
    }

    /// Refuses a state by returning an error: nothing is persisted, nothing broadcast.
    ///
    /// Not `async`, so that nothing comes between the check and the write. A client whose frame was refused gets
    /// `cf_agent_state_error`; server code gets [`StateError::Rejected`](crate::StateError::Rejected).
    ///
    /// The context has the state that `next` would replace. The [initial state](Self::initial_state) is validated too, and replaces none:
    /// [`cx.try_state()`](Context::try_state) is `None` then, and [`cx.state()`](Context::state) an error.
    fn validate_state_change(&self, cx: &Context<Self>, next: &Self::State, source: &Source<Self>) -> Result<()> {
        let _ = (cx, next, source);
        Ok(())
    }

    /// After a state was persisted and broadcast. An error undoes nothing and goes to [`on_error`](Self::on_error).
    ///
    /// It begins before the setter returns; what it awaits outlives the event. Setting the state here without a condition is an
    /// endless loop.
    async fn on_state_changed(&self, cx: &Context<Self>, state: &Self::State, source: &Source<Self>) -> Result<()> {
        let _ = (cx, state, source);
        Ok(())
    }
}

/// Options of an agent class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentOptions {
    pub(crate) hibernate: bool,
    pub(crate) send_identity_on_connect: bool,
    pub(crate) hung_schedule_timeout: Duration,
    pub(crate) keep_alive_interval: Duration,
    pub(crate) retry: RetryOptions,
    pub(crate) max_alarm_memory_limit_strikes: u32,
}

impl AgentOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            hibernate: true,
            send_identity_on_connect: true,
            hung_schedule_timeout: Duration::from_secs(30),
            keep_alive_interval: Duration::from_secs(30),
            retry: RetryOptions::new(),
            max_alarm_memory_limit_strikes: 3,
        }
    }

    /// Whether the object may leave memory while sockets stay open. Default `true`.
    ///
    /// `false` keeps it in memory, and on the bill, for as long as a socket is open; an eviction then closes all of them, and so does a trap
    /// of the wasm, with 1011.
    #[must_use]
    pub const fn hibernate(mut self, hibernate: bool) -> Self {
        self.hibernate = hibernate;
        self
    }

    /// What [`hibernate`](Self::hibernate) has set. For adapters.
    pub const fn hibernates(&self) -> bool {
        self.hibernate
    }

    /// Whether a new protocol connection is told the instance's name and class. Default `true`.
    ///
    /// Without it, `ready` of the official client never resolves; state and calls work.
    #[must_use]
    pub const fn send_identity_on_connect(mut self, send: bool) -> Self {
        self.send_identity_on_connect = send;
        self
    }

    /// How long a run of an interval that was cut may seem to go on before it counts as hung, and the interval runs again. Default 30 s;
    /// whole seconds. One that seems to have begun in the future, by another clock, counts as hung at once. A run that is still in memory
    /// is not cut.
    #[must_use]
    pub const fn hung_schedule_timeout(mut self, timeout: Duration) -> Self {
        self.hung_schedule_timeout = timeout;
        self
    }

    /// How often the alarm goes off while a [keep-alive lease](crate::KeepAlive) is held. Default 30 s, at least 1 s. 70 s or more are
    /// too long: the platform may have dropped the object by then.
    #[must_use]
    pub const fn keep_alive_interval(mut self, interval: Duration) -> Self {
        self.keep_alive_interval = interval;
        self
    }

    /// Retry options of schedules, queue items and [`Context::retry`] that say nothing of their own. Default 3 attempts, 100 ms,
    /// 3,000 ms.
    #[must_use]
    pub const fn retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }

    /// How often a schedule that runs once or an item of the queue, or alarms in a row, may fail for want of memory before what failed
    /// last is put among the dead letters.
    /// Default 3.
    #[must_use]
    pub const fn max_alarm_memory_limit_strikes(mut self, strikes: u32) -> Self {
        self.max_alarm_memory_limit_strikes = strikes;
        self
    }
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer of an agent without a request hook.
pub(crate) fn not_implemented() -> Response {
    Response::text("Not implemented").with_status(StatusCode::NOT_FOUND)
}

/// A set of hooks.
///
/// An agent has a dozen hooks and implements a few. What the others would do is known, so nothing is built or run for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hooks(u16);

#[allow(missing_docs, reason = "each is the hook of its name")]
impl Hooks {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(u16::MAX);
    pub const ON_START: Self = Self(1);
    pub const ON_REQUEST: Self = Self(1 << 1);
    pub const ON_CONNECT: Self = Self(1 << 2);
    pub const ON_MESSAGE: Self = Self(1 << 3);
    pub const ON_CLOSE: Self = Self(1 << 4);
    pub const ON_CONNECTION_ERROR: Self = Self(1 << 5);
    pub const ON_ERROR: Self = Self(1 << 6);
    pub const CONNECTION_TAGS: Self = Self(1 << 7);
    pub const SHOULD_SEND_PROTOCOL_MESSAGES: Self = Self(1 << 8);
    pub const SHOULD_CONNECTION_BE_READONLY: Self = Self(1 << 9);
    pub const ON_STATE_CHANGED: Self = Self(1 << 10);
    pub const HAS_SCOPE: Self = Self(1 << 11);
    pub const SHOULD_HANDLE_MESSAGE: Self = Self(1 << 12);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who changed the state.
#[derive(Debug)]
pub enum Source<A: Agent> {
    /// Code of the agent.
    Server,
    /// A client, by a state frame on this connection.
    Connection(Connection<A>),
}

impl<A: Agent> Source<A> {
    /// Id of the connection, or `server`.
    pub fn id(&self) -> &str {
        match self {
            Self::Server => "server",
            Self::Connection(connection) => connection.id(),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code: the peer's, 1005 if it gave none, 1006 if the connection was lost.
    pub code: u16,
    /// The reason; empty if none was given.
    pub reason: String,
    /// Whether both sides shook hands.
    pub was_clean: bool,
}
