//! What an agent's code can reach.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::agent::{Agent, Source};
use crate::connection::Connection;
use crate::demand;
use crate::error::StateError;
use crate::host::{Host, HostError, Level};
use crate::http::{Request, Response};
use crate::instance::{Entity, Instance};
use crate::link::Link;
use crate::message::Payload;
use crate::route::sub_path;
use crate::rpc::Trace;
use crate::sql::{Params, Query};
use crate::stub::AgentStub;

/// An agent's way to its state, connections, storage and surroundings, in one event.
///
/// Cheap to clone, and may be kept by work that outlives the event.
pub struct Context<A: Agent> {
    pub(crate) instance: Rc<Instance<A>>,
    // The connection this event belongs to: if it is readonly, so is the event.
    pub(crate) origin: Option<Rc<Link>>,
    // Whether the event is a call on that connection.
    pub(crate) is_call: bool,
    // What it belongs to, if another agent's call caused it.
    pub(crate) trace: Option<Rc<Trace>>,
}

impl<A: Agent> Context<A> {
    /// Name of this instance, as it was addressed: not percent-decoded.
    pub fn name(&self) -> &str {
        self.instance.shell.name()
    }

    /// What follows this instance's name in the path of `request`: `history` for `/agents/chat-agent/lobby/history`.
    ///
    /// Not percent-decoded, without slashes at its ends. The whole path where it does not hold the name, as in a request that another
    /// agent sent. See [`route::sub_path`](crate::route::sub_path) for names that a path holds more than once.
    pub fn sub_path<'r>(&self, request: &'r Request) -> &'r str {
        sub_path(request.path(), self.instance.shell.segment(), self.name())
    }

    /// The state: what was set last, or else the initial state, which is set by this.
    ///
    /// # Errors
    /// [`StateError::Unset`] where there is neither; [`StateError::Store`].
    pub fn state(&self) -> Result<Rc<A::State>, StateError> {
        self.try_state()?.ok_or(StateError::Unset)
    }

    /// The state, or `None` where nothing was set and there is no initial state.
    ///
    /// # Errors
    /// [`StateError::Store`]; [`StateError::Rejected`] if validation refuses the initial state.
    pub fn try_state(&self) -> Result<Option<Rc<A::State>>, StateError> {
        Ok(self.instance.state()?.map(|stored| stored.value))
    }

    /// Replaces the state: validate, persist, broadcast to every protocol connection, then
    /// [`on_state_changed`](Agent::on_state_changed), which begins before this returns.
    ///
    /// # Errors
    /// - [`StateError::Readonly`]: this event belongs to a readonly connection.
    /// - [`StateError::Rejected`]: validation refused it.
    /// - [`StateError::TooLarge`], [`StateError::Shape`], [`StateError::Store`].
    ///
    /// After any of them nothing has changed and nobody was told.
    pub fn set_state(&self, next: A::State) -> Result<(), StateError> {
        self.check_writable()?;
        self.instance.commit_state(next, Source::Server, self.trace.clone())
    }

    /// Changes the state in place: `change` gets a copy, which is [set](Self::set_state) afterwards.
    ///
    /// `change` cannot wait, so nothing comes between reading and writing.
    ///
    /// # Errors
    /// Those of [`state`](Self::state) and [`set_state`](Self::set_state).
    pub fn update_state<T>(&self, change: impl FnOnce(&mut A::State) -> T) -> Result<T, StateError> {
        self.check_writable()?;
        let mut next = A::State::clone(&*self.state()?);
        let result = change(&mut next);
        self.instance.commit_state(next, Source::Server, self.trace.clone())?;
        Ok(result)
    }

    /// Forgets the copy of the state in memory, so that the next look reads storage. For code that wrote the row itself.
    pub fn reload_state(&self) {
        self.instance.forget_state();
    }

    fn check_writable(&self) -> Result<(), StateError> {
        match &self.origin {
            Some(link) if link.flags().readonly => Err(StateError::Readonly),
            _ => Ok(()),
        }
    }

    /// A statement for this object's SQLite database. Nothing runs before one of the query's methods is called.
    ///
    /// Tables whose names begin with `cf_` belong to the framework.
    pub fn sql<'a>(&'a self, sql: &'a str, params: impl Params) -> Query<'a> {
        let shell = &self.instance.shell;
        shell.background.tables.doubt();
        Query::new(shell.store(), sql, params)
    }

    /// All open connections, in no particular order.
    pub fn connections(&self) -> impl Iterator<Item = Connection<A>> {
        self.handles(self.instance.shell.open_links(None))
    }

    /// The open connections with that tag; an id is a tag.
    pub fn connections_tagged(&self, tag: &str) -> impl Iterator<Item = Connection<A>> {
        self.handles(self.instance.shell.open_links(Some(tag)))
    }

    /// The open connection with that id. While a reconnect overlaps, the newest.
    pub fn connection(&self, id: &str) -> Option<Connection<A>> {
        self.instance.shell.open_link(id).map(|link| self.instance.connection(link))
    }

    fn handles(&self, links: Vec<Rc<Link>>) -> impl Iterator<Item = Connection<A>> + use<A> {
        let instance = Rc::clone(&self.instance);
        links.into_iter().map(move |link| instance.connection(link))
    }

    /// The connection that called, in a call over a socket. `None` everywhere else: in hooks, and in a call from Rust.
    pub fn caller(&self) -> Option<Connection<A>> {
        let link = self.origin.as_ref().filter(|_| self.is_call)?;
        Some(self.instance.connection(Rc::clone(link)))
    }

    /// Sends text or bytes to every open connection whose id is not in `without`: readonly ones and those without protocol
    /// messages included. A connection that fails stops nothing.
    pub fn broadcast<'a>(&self, message: impl Into<Payload<'a>>, without: &[&str]) {
        self.instance.shell.broadcast(message.into(), |link| !without.contains(&link.id()));
    }

    /// Sends text or bytes to these connections, and says how many of them took it. One that has gone stops nothing.
    ///
    /// For many recipients this is faster than sending to each: the platform's form of the message is made once.
    pub fn send_to<'a>(&self, connections: impl IntoIterator<Item = Connection<A>>, message: impl Into<Payload<'a>>) -> usize {
        let payload = message.into().for_many();
        connections.into_iter().filter(|connection| connection.link.send(&payload).is_ok()).count()
    }

    /// A variable or secret of the worker, as text.
    pub fn var(&self, name: &str) -> Option<String> {
        demand::VAR.note();
        self.platform().var(name)
    }

    /// The agent `B` of that name, bound under its class name. Nothing is sent before the stub is used.
    pub fn agent<B: Agent>(&self, name: &str) -> AgentStub<B> {
        AgentStub::new(Rc::clone(&self.instance) as Rc<dyn Entity>, self.trace.clone(), B::CLASS, name)
    }

    /// Sends `request` to its URL, outside of the worker. An error status is an answer like any other.
    ///
    /// What was written before is on disk before the request leaves. There is no time limit but the platform's. Whoever drops the
    /// future, or the response's body before its end, aborts the exchange.
    ///
    /// # Errors
    /// [`HostError`]: no answer came. A body that breaks off says so itself, with [`BodyError::Cut`](crate::http::BodyError::Cut).
    pub async fn fetch(&self, request: Request) -> Result<Response, HostError> {
        demand::FETCH_URL.note();
        // The answer's body may go out as it comes in.
        demand::STREAM.note();
        self.platform().fetch_url(request).await
    }

    /// Runs `work` beside the current event. Errors in it are its own business; a panic ends the work alone.
    pub fn wait_until(&self, work: impl Future<Output = ()> + 'static) {
        self.instance.spawn("wait_until", async move {
            work.await;
            Ok(())
        });
    }

    /// Ends after `duration`. It keeps the object in memory: for anything longer than a moment, use a schedule.
    pub async fn sleep(&self, duration: Duration) {
        self.platform().sleep(duration).await;
    }

    /// Unix time in milliseconds. On workerd it stands still while code runs.
    pub fn now_ms(&self) -> u64 {
        self.platform().now_ms()
    }

    /// A random UUID.
    pub fn uuid(&self) -> String {
        self.instance.shell.uuid()
    }

    /// Writes one line about this instance to the log, which begins with its class and its name.
    pub fn log(&self, level: Level, line: &str) {
        self.instance.shell.log(level, line);
    }

    /// The platform beneath. For adapters and their extensions. Its storage takes what is written while the agent is being destroyed,
    /// which may outlive it; [`sql`](Self::sql) does not.
    pub fn host(&self) -> &dyn Host {
        demand::note_all();
        self.platform()
    }

    /// The same, for what has noted what it demands.
    pub(crate) fn platform(&self) -> &dyn Host {
        &*self.instance.shell.host
    }

    /// The adapter itself: see [`Host::as_any`].
    pub fn adapter(&self) -> &dyn Any {
        self.platform().as_any()
    }

    /// What [`host`](Self::host) is, to keep: for code that outlives the event and is the same for every agent.
    pub fn host_handle(&self) -> Rc<dyn Host> {
        demand::note_all();
        Rc::clone(&self.instance.shell.host)
    }
}

impl<A: Agent> Clone for Context<A> {
    fn clone(&self) -> Self {
        let Self { instance, origin, is_call, trace } = self;
        Self { instance: Rc::clone(instance), origin: origin.clone(), is_call: *is_call, trace: trace.clone() }
    }
}

impl<A: Agent> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} {:?})", A::CLASS, self.name())
    }
}
