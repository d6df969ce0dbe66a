//! One instance of one agent: the only place where the runtime meets the agent's type.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use futures::future::{Either, LocalBoxFuture, ready, select};
use serde::de::DeserializeOwned;

use crate::agent::{Agent, Close, Hooks, Source, not_implemented};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::{Error, Result, StateError, error};
use crate::guard::{guard, guard_sync};
use crate::host::Host;
use crate::http::{Request, Response};
use crate::link::Link;
use crate::message::Message;
use crate::place::with_path;
use crate::rpc::{self, Answer, Args, Call, Callable, Outlet, Trace};
use crate::runtime::{Runtime, Serve, ServeCode};
use crate::schedule::due;
use crate::shell::Shell;
use crate::stub::decode_props;
use crate::tags::Tags;
use crate::task::{Run, Task};
use crate::wire::server::StateFrame;
use crate::{alarm, json, orphans, queue, state};

pub(crate) use crate::guard::Hook;

/// An instance whose agent type has been forgotten: the runtime is compiled once, not once for each agent.
pub(crate) trait Entity: Any {
    fn shell(&self) -> &Shell;
    /// Builds the agent anew.
    fn create(self: Rc<Self>) -> Result<()>;
    /// Drops the agent, so that nothing reaches it before the next start.
    fn discard(&self);
    /// `props`: as they are in the header.
    fn on_start(self: Rc<Self>, props: Option<String>, trace: Option<Rc<Trace>>) -> Hook<()>;
    fn on_request(self: Rc<Self>, request: Request) -> Hook<Response>;
    fn on_connect(self: Rc<Self>, link: Rc<Link>, request: Rc<Request>) -> Hook<()>;
    fn should_handle_message(self: Rc<Self>, link: &Rc<Link>, message: &Message) -> Result<bool>;
    fn on_message(self: Rc<Self>, link: Rc<Link>, message: Message) -> Hook<()>;
    fn on_close(self: Rc<Self>, link: Rc<Link>, close: Close) -> Hook<()>;
    fn on_connection_error(self: Rc<Self>, link: Rc<Link>, error: Error) -> Hook<()>;
    fn on_error(self: Rc<Self>, error: Error) -> Hook<()>;
    /// Asks the agent about a new connection: its tags, which it has then, and what else it is.
    fn plan(self: Rc<Self>, link: Rc<Link>, request: Rc<Request>) -> Hook<Plan>;
    /// The state, after setting the initial state if need be.
    fn state_frame(self: Rc<Self>) -> Result<Option<Rc<StateFrame>>, StateError>;
    /// Sets the state as a client sent it.
    fn set_client_state(self: Rc<Self>, link: Rc<Link>, json: &str) -> Result<(), StateError>;
    /// Looks a method up by its name on the wire.
    fn find(&self, method: &str) -> Found;
    fn has_scope(self: Rc<Self>, link: Rc<Link>, scope: &'static str) -> Hook<bool>;
    /// Calls the method in that row of the table.
    fn call(self: Rc<Self>, row: usize, caller: Caller, args: Args) -> Hook<Answer>;
    /// Whether schedules and the queue may run a method of that name.
    fn has_callback(&self, name: &str) -> bool;
    /// `None`: no such method.
    fn run_callback(self: Rc<Self>, payload: Rc<str>, run: Run) -> Option<Hook<()>>;
    /// Runs what is due of schedules and has the queue go on, as the alarm does.
    fn run_due(self: Rc<Self>) -> LocalBoxFuture<'static, Result<()>>;
    /// Goes on, after a start, with what earlier wakes have left.
    fn resume(self: Rc<Self>);
}

/// What a new connection is, beside its tags.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) readonly: bool,
    pub(crate) no_protocol: bool,
}

/// What there is under a name.
pub(crate) enum Found {
    /// A callable method.
    Method(Method),
    /// Something that may not be called.
    Uncallable,
    Nothing,
}

/// What the runtime knows of a callable method.
#[derive(Clone, Copy)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) scope: Option<&'static str>,
    pub(crate) streaming: bool,
    /// Checks what is to be checked before a client's call, and runs it.
    pub(crate) serve: Serve,
    /// Runs it for a client that may call it.
    pub(crate) run: Serve,
    /// Runs it for another agent or the worker. The same for all; known from here, it is there only if there is a method.
    pub(crate) run_for_code: ServeCode,
    row: usize,
}

impl Method {
    pub(crate) fn row(self) -> usize {
        self.row
    }
}

/// Who calls a method.
pub(crate) enum Caller {
    /// A client; the outlet is there for a streaming method.
    Client(Rc<Link>, Option<Rc<Outlet>>),
    /// Another agent, or the worker.
    Code(Rc<Trace>),
}

pub(crate) struct Instance<A: Agent> {
    pub(crate) shell: Shell,
    agent: RefCell<Option<Rc<A>>>,
    state: RefCell<Cached<A::State>>,
}

/// What memory knows of the state row.
enum Cached<S> {
    Unread,
    Absent,
    Present(Stored<S>),
}

/// A state as it stands in storage: the value, and the frame with the JSON text of it.
pub(crate) struct Stored<S> {
    pub(crate) value: Rc<S>,
    frame: Rc<StateFrame>,
}

impl<S> Clone for Stored<S> {
    fn clone(&self) -> Self {
        Self { value: Rc::clone(&self.value), frame: Rc::clone(&self.frame) }
    }
}

impl<A: Agent> Instance<A> {
    pub(crate) fn new(host: Rc<dyn Host>) -> Self {
        let next_run = if has_callbacks::<A>() { alarm::next_run } else { orphans::next_run };
        let shell = Shell::new(host, A::CLASS, A::OPTIONS, next_run);
        Self { shell, agent: RefCell::new(None), state: RefCell::new(Cached::Unread) }
    }

    pub(crate) fn connection(self: &Rc<Self>, link: Rc<Link>) -> Connection<A> {
        Connection { link, instance: Rc::clone(self) }
    }

    fn context(self: &Rc<Self>, origin: Option<&Rc<Link>>) -> Context<A> {
        Context { instance: Rc::clone(self), origin: origin.cloned(), is_call: false, trace: None }
    }

    fn agent(&self) -> Result<Rc<A>> {
        self.agent.borrow().clone().ok_or_else(|| error!("the agent has not started"))
    }

    /// What every hook begins with.
    fn parts(self: &Rc<Self>, origin: Option<&Rc<Link>>) -> Result<(Rc<A>, Context<A>)> {
        Ok((self.agent()?, self.context(origin)))
    }

    /// What a hook about a connection begins with.
    fn parts_with(self: &Rc<Self>, link: Rc<Link>) -> Result<(Rc<A>, Context<A>, Connection<A>)> {
        let (agent, cx) = self.parts(Some(&link))?;
        let connection = self.connection(link);
        Ok((agent, cx, connection))
    }

    /// The state, after setting the initial state if need be.
    pub(crate) fn state(self: &Rc<Self>) -> Result<Option<Stored<A::State>>, StateError> {
        if !has_state::<A>() {
            return Ok(None);
        }
        match &*self.state.borrow() {
            Cached::Present(stored) => return Ok(Some(stored.clone())),
            Cached::Absent => return Ok(None),
            Cached::Unread => {}
        }
        let (tables, store) = (&self.shell.background.tables, self.shell.store());
        if let Some(json) = state::read(tables, store)? {
            match decode::<A::State>(&json) {
                Ok(value) => {
                    let stored = Stored { value: Rc::new(value), frame: Rc::new(StateFrame::new(&json)) };
                    self.state.replace(Cached::Present(stored.clone()));
                    return Ok(Some(stored));
                }
                Err(wrong) => {
                    self.shell.log_failure("read state", None, &wrong.into());
                    state::set_aside(store)?;
                }
            }
        }
        // Nobody to ask while the agent is being built.
        let Ok(agent) = self.agent() else { return Ok(None) };
        // The validation of the initial state may look at the state: there is none yet.
        self.state.replace(Cached::Absent);
        if let Err(refused) = self.commit_initial_state(&agent) {
            self.state.replace(Cached::Unread);
            return Err(refused);
        }
        // Not simply `initial`: a change hook may have set another by now.
        match &*self.state.borrow() {
            Cached::Present(stored) => Ok(Some(stored.clone())),
            Cached::Absent | Cached::Unread => Ok(None),
        }
    }

    fn commit_initial_state(self: &Rc<Self>, agent: &A) -> Result<(), StateError> {
        match guard_sync(|| Ok(agent.initial_state())).map_err(StateError::Rejected)? {
            Some(initial) => self.commit_state(initial, Source::Server, None),
            None => Ok(()),
        }
    }

    /// Forgets what memory knows of the state, so that the next look reads the row.
    pub(crate) fn forget_state(&self) {
        self.state.replace(Cached::Unread);
    }

    /// Validate, persist, remember, broadcast, report: in this order. See [`Shell::publish_state`].
    pub(crate) fn commit_state(
        self: &Rc<Self>,
        next: A::State,
        source: Source<A>,
        trace: Option<Rc<Trace>>,
    ) -> Result<(), StateError> {
        if !has_state::<A>() {
            return Err(StateError::Unset);
        }
        let origin = match &source {
            Source::Server => None,
            Source::Connection(connection) => Some(Rc::clone(&connection.link)),
        };
        let cx = Context { trace, ..self.context(origin.as_ref()) };
        let agent = self.agent().map_err(StateError::Rejected)?;
        guard_sync(|| agent.validate_state_change(&cx, &next, &source)).map_err(StateError::Rejected)?;
        let json = serde_json::to_string(&next).map_err(|error| StateError::Shape(error.to_string()))?;
        let next = Rc::new(next);
        self.shell.publish_state(&json, origin.as_ref(), &mut |frame| {
            self.state.replace(Cached::Present(Stored { value: Rc::clone(&next), frame }));
        })?;
        if !A::HOOKS.contains(Hooks::ON_STATE_CHANGED) {
            return Ok(());
        }
        self.spawn("on_state_changed", async move { agent.on_state_changed(&cx, &next, &source).await });
        Ok(())
    }

    /// Begins `work` at once, and goes on with it beside the current event if it has to wait. A failure goes to the error hook.
    pub(crate) fn spawn(self: &Rc<Self>, event: &'static str, work: impl Future<Output = Result<()>> + 'static) {
        let instance: Rc<dyn Entity> = Rc::clone(self) as _;
        self.shell.begin(Box::pin(async move {
            if let Err(error) = guard(work).await {
                report(&instance, event, error);
            }
        }));
    }
}

/// Whether its state is something. An agent without stays without, whatever an earlier version of it has stored.
fn has_state<A: Agent>() -> bool {
    TypeId::of::<A::State>() != TypeId::of::<()>()
}

/// Known when the agent is compiled, so that what depends on it is left out.
fn has_callbacks<A: Agent>() -> bool {
    !A::callbacks().is_empty()
}

/// The same of a method of some kind, as long as there are few to be called. A loop would not be compiled away.
fn may_have_callable<A: Agent>(is_such: impl Fn(&Callable<A>) -> bool) -> bool {
    match A::callables() {
        [] => false,
        [a] => is_such(a),
        [a, b] => is_such(a) || is_such(b),
        [a, b, c] => is_such(a) || is_such(b) || is_such(c),
        [a, b, c, d] => is_such(a) || is_such(b) || is_such(c) || is_such(d),
        [..] => true,
    }
}

/// Reads JSON; the error names the path of the field that does not fit.
fn decode<T: DeserializeOwned>(json: &str) -> Result<T, StateError> {
    json::read(json).map_err(|error| StateError::Shape(with_path(json, &error)))
}

/// Reads props as they are in the header. Compiled once for each type of them, which most agents have the same of.
fn read_props<P: DeserializeOwned>(value: &str) -> Result<P> {
    decode(&decode_props(value)?).map_err(|wrong| error!("props: {wrong}"))
}

/// A hook of the agent with its context and connection, or what the default would answer where the agent does not implement it:
/// what all the hooks below have in common.
macro_rules! hook {
    ($self:ident, $hook:ident or $default:expr, $link:expr, |$agent:ident, $cx:ident, $connection:ident| $body:expr) => {{
        if !A::HOOKS.contains(Hooks::$hook) {
            return Hook::default($default);
        }
        let parts = match $self.parts_with($link) {
            Ok(parts) => parts,
            Err(error) => return Hook::failed(error),
        };
        guard(async move {
            // In one piece, so that the future has one thing to let go of, whichever way it ends.
            let ($agent, $cx, $connection) = &parts;
            $body.await
        })
    }};
    ($self:ident, $hook:ident or $default:expr, |$agent:ident, $cx:ident| $body:expr) => {{
        if !A::HOOKS.contains(Hooks::$hook) {
            return Hook::default($default);
        }
        let parts = match $self.parts(None) {
            Ok(parts) => parts,
            Err(error) => return Hook::failed(error),
        };
        guard(async move {
            let ($agent, $cx) = &parts;
            $body.await
        })
    }};
}

impl<A: Agent> Entity for Instance<A> {
    fn shell(&self) -> &Shell {
        &self.shell
    }

    fn create(self: Rc<Self>) -> Result<()> {
        let cx = self.context(None);
        let agent = guard_sync(|| Ok(A::new(&cx)))?;
        self.agent.replace(Some(Rc::new(agent)));
        Ok(())
    }

    fn discard(&self) {
        self.agent.replace(None);
        self.forget_state();
    }

    fn on_start(self: Rc<Self>, props: Option<String>, trace: Option<Rc<Trace>>) -> Hook<()> {
        if !A::HOOKS.contains(Hooks::ON_START) {
            return Hook::default(());
        }
        Hook::begin(|| {
            let (agent, cx) = self.parts(None)?;
            let parts = (agent, Context { trace, ..cx });
            let props = props.map(|value| read_props(&value)).transpose()?;
            Ok(Box::pin(async move {
                let (agent, cx) = &parts;
                agent.on_start(cx, props).await
            }))
        })
    }

    fn on_request(self: Rc<Self>, request: Request) -> Hook<Response> {
        hook!(self, ON_REQUEST or not_implemented(), |agent, cx| agent.on_request(cx, request))
    }

    fn on_connect(self: Rc<Self>, link: Rc<Link>, request: Rc<Request>) -> Hook<()> {
        hook!(self, ON_CONNECT or (), link, |agent, cx, connection| agent.on_connect(cx, connection, &request))
    }

    fn should_handle_message(self: Rc<Self>, link: &Rc<Link>, message: &Message) -> Result<bool> {
        if !A::HOOKS.contains(Hooks::SHOULD_HANDLE_MESSAGE) {
            return Ok(true);
        }
        let (agent, cx, connection) = self.parts_with(Rc::clone(link))?;
        guard_sync(|| agent.should_handle_message(&cx, &connection, message))
    }

    fn on_message(self: Rc<Self>, link: Rc<Link>, message: Message) -> Hook<()> {
        hook!(self, ON_MESSAGE or (), link, |agent, cx, connection| agent.on_message(cx, connection, message))
    }

    fn on_close(self: Rc<Self>, link: Rc<Link>, close: Close) -> Hook<()> {
        hook!(self, ON_CLOSE or (), link, |agent, cx, connection| agent.on_close(cx, connection, &close))
    }

    fn on_connection_error(self: Rc<Self>, link: Rc<Link>, error: Error) -> Hook<()> {
        hook!(self, ON_CONNECTION_ERROR or (), link, |agent, cx, connection| {
            agent.on_connection_error(cx, connection, &error)
        })
    }

    fn on_error(self: Rc<Self>, error: Error) -> Hook<()> {
        // What failed may have been the making of the agent itself.
        if self.agent.borrow().is_none() {
            return Hook::default(());
        }
        hook!(self, ON_ERROR or (), |agent, cx| agent.on_error(cx, &error))
    }

    // One hook for the three: most agents have none of them.
    fn plan(self: Rc<Self>, link: Rc<Link>, request: Rc<Request>) -> Hook<Plan> {
        let has = |hook| A::HOOKS.contains(hook);
        let (has_tags, may_be_readonly) = (has(Hooks::CONNECTION_TAGS), has(Hooks::SHOULD_CONNECTION_BE_READONLY));
        let may_be_silent = has(Hooks::SHOULD_SEND_PROTOCOL_MESSAGES);
        if !has_tags && !may_be_readonly && !may_be_silent {
            return Hook::default(Plan::default());
        }
        let parts = match self.parts_with(link) {
            Ok(parts) => parts,
            Err(error) => return Hook::failed(error),
        };
        guard(async move {
            let (agent, cx, connection) = &parts;
            let link = &connection.link;
            if has_tags {
                let own = agent.connection_tags(cx, connection, &request).await?;
                link.set_tags(Tags::new(link.id(), own)?);
            }
            let readonly = may_be_readonly && agent.should_connection_be_readonly(cx, connection, &request).await?;
            let no_protocol = may_be_silent && !agent.should_send_protocol_messages(cx, connection, &request).await?;
            Ok(Plan { readonly, no_protocol })
        })
    }

    fn state_frame(self: Rc<Self>) -> Result<Option<Rc<StateFrame>>, StateError> {
        Ok(self.state()?.map(|stored| stored.frame))
    }

    fn set_client_state(self: Rc<Self>, link: Rc<Link>, json: &str) -> Result<(), StateError> {
        // `null` would fit `()`.
        if !has_state::<A>() {
            return Err(StateError::Unset);
        }
        // Before it is read: a value may take many times the bytes of its text.
        state::check_size(json)?;
        let next = decode(json)?;
        let source = Source::Connection(self.connection(link));
        self.commit_state(next, source, None)
    }

    fn find(&self, method: &str) -> Found {
        let rows = A::callables().iter().enumerate();
        for (row, &Callable { name, scope, streaming, .. }) in rows {
            if name == method {
                // As long as no method streams or has a scope, what that takes is not there.
                let run =
                    if streaming && may_have_callable::<A>(|method| method.streaming) { Runtime::stream } else { Runtime::run };
                let is_scoped = scope.is_some() && may_have_callable::<A>(|method| method.scope.is_some());
                let serve = if is_scoped { Runtime::run_if_allowed } else { run };
                return Found::Method(Method { name, scope, streaming, serve, run, run_for_code: Runtime::run_for_code, row });
            }
        }
        let is_callback = || A::callbacks().iter().any(|callback| callback.name == method);
        if A::uncallable().contains(&method) || rpc::is_member(method) || is_callback() {
            return Found::Uncallable;
        }
        Found::Nothing
    }

    fn has_scope(self: Rc<Self>, link: Rc<Link>, scope: &'static str) -> Hook<bool> {
        hook!(self, HAS_SCOPE or false, link, |agent, cx, connection| agent.has_scope(cx, connection, scope))
    }

    fn call(self: Rc<Self>, row: usize, caller: Caller, args: Args) -> Hook<Answer> {
        let nobody = self.context(None);
        let (cx, outlet) = match caller {
            Caller::Client(link, outlet) => (Context { origin: Some(link), is_call: true, ..nobody }, outlet),
            Caller::Code(trace) => (Context { trace: Some(trace), ..nobody }, None),
        };
        let listener = if may_have_callable::<A>(|method| method.streaming) { outlet.clone() } else { None };
        let call = Hook::begin(|| {
            let callable = A::callables().get(row).ok_or_else(|| error!("the table of methods has changed"))?;
            Ok((callable.call)(Call { agent: self.agent()?, cx, args, outlet }))
        });
        match listener {
            Some(outlet) => while_listening(call, outlet),
            None => call,
        }
    }

    fn has_callback(&self, name: &str) -> bool {
        A::callbacks().iter().any(|handler| handler.name == name)
    }

    fn run_callback(self: Rc<Self>, payload: Rc<str>, run: Run) -> Option<Hook<()>> {
        let handler = A::callbacks().iter().find(|handler| handler.name == run.callback)?;
        Some(Hook::begin(|| {
            let (agent, cx) = self.parts(None)?;
            Ok((handler.run)(Task { agent, cx, run, payload }))
        }))
    }

    // What runs callbacks is a tenth of the wasm of a worker with one agent: it is there if one of the worker's agents has any.
    fn run_due(self: Rc<Self>) -> LocalBoxFuture<'static, Result<()>> {
        if has_callbacks::<A>() { due::run(self) } else { Box::pin(ready(orphans::run(&(self as _)))) }
    }

    fn resume(self: Rc<Self>) {
        if has_callbacks::<A>() { queue::resume(&(self as _)) } else { orphans::report_recurring(&(self as _)) }
    }
}

/// A streaming method, until its caller leaves.
fn while_listening(call: Hook<Answer>, outlet: Rc<Outlet>) -> Hook<Answer> {
    guard(async move {
        // Inside the wall: what the method holds is dropped here if its caller leaves.
        match select(call, pin!(outlet.link().left())).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), method)) => {
                drop(method);
                Ok(None)
            }
        }
    })
}

/// Logs a failure that belongs to no connection and tells the error hook, for which nobody waits.
pub(crate) fn report(entity: &Rc<dyn Entity>, event: &str, error: Error) {
    entity.shell().log_failure(event, None, &error);
    tell(entity, error);
}

/// Tells the error hook of a failure, for which nobody waits.
pub(crate) fn tell(entity: &Rc<dyn Entity>, error: Error) {
    let entity = Rc::clone(entity);
    let shell = Rc::clone(&entity);
    shell.shell().begin(Box::pin(async move {
        if let Err(error) = Rc::clone(&entity).on_error(error).await {
            entity.shell().log_failure("on_error", None, &error);
        }
    }));
}
