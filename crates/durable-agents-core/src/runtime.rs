//! The order of things: one method for each event of the platform.

mod calls;
mod fault;

pub(crate) use calls::{Serve, ServeCode};

use std::rc::Rc;

use fault::{Nameless, OF_CLIENTS, level_of, level_of_refusal};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::agent::{Agent, Close};
use crate::attachment::Flags;
use crate::close;
use crate::eager::begin;
use crate::error::{CONNECT_FAILED, Error, REQUEST_FAILED, Result, StateError, error};
use crate::guard::Hook;
use crate::host::{Host, HostError, Level, Socket, Upgrade};
use crate::http::{Request, Response, StatusCode};
use crate::instance::{Entity, Instance, Plan, tell};
use crate::lifecycle::{Barred, Overflow, Room, Waiting};
use crate::link::{Link, Phase};
use crate::message::Message;
use crate::rpc::{Incoming, Trace};
use crate::shell::Shell;
use crate::stub::INTERNAL_HEADERS;
use crate::tags::TagError;
use crate::wire::client::ClientFrame;
use crate::{alarm, destroy, orphans, wire};

/// What an HTTP request ended in.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Response(Response),
    /// The upgrade was accepted: answer `101` with the client's end of the socket.
    Switched,
    /// No answer, ever: the object's memory is about to go, and the request with it, untouched. Its sender hears of that from the
    /// platform, and the router tries again, with a fresh instance; an answer from here would be the last word.
    Never,
}

/// Work that has begun and waits.
pub type Rest = LocalBoxFuture<'static, ()>;

/// One instance of an agent, driven by an adapter.
///
/// Every method may be called at any time, also while others wait; none of them panics, whatever the agent does.
#[derive(Clone)]
pub struct Runtime {
    entity: Rc<dyn Entity>,
}

impl Runtime {
    /// An instance of `A` that has not started; its first event starts it.
    pub fn new<A: Agent>(host: Rc<dyn Host>) -> Self {
        Self { entity: Rc::new(Instance::<A>::new(host)) }
    }

    /// Whether the agent has started, so that no request has to bring it props. For adapters.
    pub fn has_started(&self) -> bool {
        self.shell().started.get()
    }

    /// An HTTP request, with the socket to accept if it is an upgrade.
    ///
    /// # Errors
    /// No error: the rest of the work, if it has to wait.
    pub fn fetch(
        &self,
        mut request: Request,
        upgrade: Option<Rc<dyn Upgrade>>,
    ) -> Result<Reply, LocalBoxFuture<'static, Reply>> {
        let call = calls::incoming(&mut request);
        // Props are for the start, and nobody else is to see them.
        let is_open = self.is_open();
        let props = if is_open { None } else { request.props() };
        request.hide_headers(&INTERNAL_HEADERS);
        let upgrade = upgrade.filter(|_| request.is_upgrade());
        if call.is_some() || upgrade.is_some() || !is_open {
            return begin(self.clone().fetch_by_and_by(request, call, upgrade, props));
        }
        self.ask(request)
    }

    /// Asks an agent that has started.
    // Not a part of what the first request runs through, all of which has to be compiled before its answer.
    #[inline(never)]
    fn ask(&self, request: Request) -> Result<Reply, LocalBoxFuture<'static, Reply>> {
        let is_head = request.is_head();
        match begin(Rc::clone(&self.entity).on_request(request)) {
            Ok(outcome) => Ok(self.reply(is_head, outcome)),
            Err(rest) => {
                let runtime = self.clone();
                Err(Box::pin(async move { runtime.reply(is_head, rest.await) }))
            }
        }
    }

    /// What takes more than to ask the agent.
    fn fetch_by_and_by(
        self,
        request: Request,
        call: Option<Option<Incoming>>,
        upgrade: Option<Rc<dyn Upgrade>>,
        props: Option<String>,
    ) -> LocalBoxFuture<'static, Reply> {
        match (call, upgrade) {
            (Some(call), _) => Box::pin(async move { self.call_from_code(call, request, props).await }),
            (None, Some(upgrade)) => Box::pin(async move { self.open(request, props, &*upgrade).await }),
            (None, None) => Box::pin(async move {
                let is_head = request.is_head();
                match self.pass(props, None).await {
                    Ok(()) => self.reply(is_head, Rc::clone(&self.entity).on_request(request).await),
                    Err(Barred::StartFailed) => Reply::Response(failed(REQUEST_FAILED)),
                    Err(Barred::Destroyed) => Reply::Never,
                }
            }),
        }
    }

    /// A message on a socket that hibernates, or on one whose adapter listens itself.
    ///
    /// Handled here and now; what is returned is the rest of the work, if it has to wait. Most messages never do, and need no future.
    #[must_use = "the rest of the work is still to be done"]
    pub fn message(&self, socket: Rc<dyn Socket>, message: Message) -> Option<Rest> {
        self.hear(self.shell().resolve(&socket)?, message)
    }

    /// The same on the socket that was [given](Socket::set_key) that key.
    ///
    /// # Errors
    /// The message as it was: memory has no such socket, so that the adapter has to show it.
    pub fn message_by_key(&self, key: u64, message: Message) -> Result<Option<Rest>, Message> {
        match self.shell().links.find(key) {
            Some(link) => Ok(self.hear(link, message)),
            None => Err(message),
        }
    }

    /// A socket has closed, or its peer wants to. Handled like a [message](Self::message).
    #[must_use = "the rest of the work is still to be done"]
    pub fn closed(&self, socket: Rc<dyn Socket>, close: Close) -> Option<Rest> {
        self.ended(&socket, Waiting::Close(close))
    }

    /// A socket failed; `message` is the platform's. Handled like a [message](Self::message).
    #[must_use = "the rest of the work is still to be done"]
    pub fn socket_failed(&self, socket: Rc<dyn Socket>, message: String) -> Option<Rest> {
        self.ended(&socket, Waiting::Error(message))
    }

    /// The alarm has gone off. An error makes the platform repeat it.
    pub fn alarm(&self) -> LocalBoxFuture<'static, Result<()>> {
        let runtime = self.clone();
        alarm::ring(Rc::clone(&self.entity), async move { Ok(runtime.pass(None, None).await?) })
    }

    fn shell(&self) -> &Shell {
        self.entity.shell()
    }

    fn room(&self) -> &Room {
        &self.shell().room
    }

    /// Whether an event need not wait for others.
    fn is_open(&self) -> bool {
        let shell = self.shell();
        shell.started.get() && !shell.gate.is_busy() && !shell.background.is_destroyed()
    }

    /// Lets one event through, after the start it may have to cause.
    async fn pass(&self, props: Option<String>, trace: Option<&Rc<Trace>>) -> Result<(), Barred> {
        if self.is_open() {
            return Ok(());
        }
        let shell = self.shell();
        let _turn = shell.gate.enter().await;
        // Not before: the start that it waited for may have been the end of the agent.
        if shell.background.is_destroyed() {
            return Err(Barred::Destroyed);
        }
        if shell.started.get() {
            return Ok(());
        }
        if let Err(error) = self.start(props, trace.cloned()).await {
            self.report("on_start", trace.map(|trace| &**trace), error);
            self.entity.discard();
            return Err(Barred::StartFailed);
        }
        shell.started.set(true);
        if shell.background.tables.has_jobs() {
            Rc::clone(&self.entity).resume();
        }
        Ok(())
    }

    async fn start(&self, props: Option<String>, trace: Option<Rc<Trace>>) -> Result<()> {
        if !self.shell().learn_name() {
            return Err(Nameless.into());
        }
        // What earlier wakes have left behind: an end that was interrupted, and background work without an alarm.
        let shell = self.shell();
        shell.background.tables.look_once(shell.host.store())?;
        if destroy::is_pending(shell) {
            // In a box, as it is rare: what every start runs through has to be compiled before the first answer.
            destroy::finish(shell).boxed_local().await?;
        }
        shell.arm_on_wake()?;
        if shell.background.tables.has_sdk_jobs() {
            orphans::warn_of_sdk_jobs(shell);
        }
        Rc::clone(&self.entity).create()?;
        shell.background.set_starting(true);
        let started = Rc::clone(&self.entity).on_start(props, trace).await;
        shell.background.set_starting(false);
        started
    }

    fn reply(&self, is_head: bool, outcome: Result<Response>) -> Reply {
        let mut response = outcome.unwrap_or_else(|error| {
            self.report("on_request", None, error);
            failed(REQUEST_FAILED)
        });
        if is_head {
            response.leave_out_body();
        }
        Reply::Response(response)
    }

    async fn open(&self, request: Request, props: Option<String>, upgrade: &dyn Upgrade) -> Reply {
        // A transport that we would answer in another language than the client speaks.
        if request.url().query_param("__agents_transport").is_some_and(|transport| transport != "cf-websocket") {
            let refusal = Response::text("Unsupported transport: use cf-websocket");
            return Reply::Response(refusal.with_status(StatusCode::BAD_REQUEST));
        }
        match self.pass(props, None).await {
            Ok(()) => {}
            Err(Barred::StartFailed) => return refuse(upgrade, CONNECT_FAILED),
            Err(Barred::Destroyed) => return Reply::Never,
        }
        let shell = self.shell();
        let id = match request.url().query_param("_pk") {
            Some(id) if !id.is_empty() => id.into_owned(),
            _ => shell.random_id(),
        };
        let request = Rc::new(request);
        let link = Rc::new(Link::planned(id, request.url().as_str().to_owned(), shell.next_serial()));

        // Everything that may refuse is asked before the socket is accepted: a refused connection leaves nothing behind.
        let greeting = match self.plan(&link, &request).await {
            Ok(greeting) => greeting,
            Err(error) => {
                let told = error.downcast_ref::<TagError>().map(ToString::to_string);
                self.report_of(&link, "connect", error);
                return refuse(upgrade, told.as_deref().unwrap_or(CONNECT_FAILED));
            }
        };
        let accepted = upgrade.accept(link.tags().as_slice(), shell.options.hibernate);
        let socket = match accepted {
            Ok(socket) => socket,
            Err(error) => {
                self.report_of(&link, "accept", error.into());
                return Reply::Response(failed(CONNECT_FAILED));
            }
        };
        if let Err(error) = link.accepted(Rc::clone(&socket)) {
            self.report_of(&link, "accept", error.into());
            abandon(&*socket, CONNECT_FAILED);
            return Reply::Switched;
        }
        shell.links.insert(Rc::clone(&link));
        if let Some(frames) = greeting {
            shell.send_all(&link, &frames);
        }

        let connected = Rc::clone(&self.entity).on_connect(Rc::clone(&link), request).await;
        match connected {
            Ok(()) => link.set_phase(Phase::Open),
            Err(error) => {
                link.set_phase(Phase::Leaving);
                link.inbox.borrow_mut().drop_messages(self.room());
                abandon(&*socket, CONNECT_FAILED);
                self.report_of(&link, "on_connect", error);
            }
        }
        self.drain(&link);
        Reply::Switched
    }

    /// Decides everything about a new connection, and returns the frames it is greeted with.
    async fn plan(&self, link: &Rc<Link>, request: &Rc<Request>) -> Result<Option<String>> {
        // An id that cannot be a tag is refused before anyone has to look at it; there are no other tags yet.
        link.tags().check()?;
        let Plan { readonly, no_protocol } = Rc::clone(&self.entity).plan(Rc::clone(link), Rc::clone(request)).await?;
        link.set_flags(Flags { readonly, no_protocol, ..link.flags() })?;
        if no_protocol {
            return Ok(None);
        }
        // The last thing before the socket is accepted, so that no change comes between.
        let state = Rc::clone(&self.entity).state_frame()?;
        let shell = self.shell();
        let identity = shell.options.send_identity_on_connect.then(|| (shell.name(), shell.segment()));
        Ok(Some(wire::server::greeting(identity, state.as_deref())))
    }

    /// Handles what waited for the connect hook or the start: each begins in order, none waits for the end of another.
    fn drain(&self, link: &Rc<Link>) {
        loop {
            let Some(event) = link.inbox.borrow_mut().pop(self.room()) else { return };
            if let Some(rest) = self.handle(Rc::clone(link), event) {
                self.shell().host.spawn(rest);
            }
        }
    }

    fn keep(&self, link: &Rc<Link>, event: Waiting) {
        if matches!(event, Waiting::Message(_)) && !link.is_listed() {
            return;
        }
        let kept = link.inbox.borrow_mut().push(event, self.room());
        if kept == Err(Overflow) {
            let (code, reason) = close::INBOX_FULL;
            self.shell().log_error(OF_CLIENTS, "connect", Some(link), None, &error!("{reason}"));
            link.inbox.borrow_mut().drop_messages(self.room());
            // Closed already is what we want.
            let _ = link.close(code, reason);
        }
    }

    fn ended(&self, socket: &Rc<dyn Socket>, event: Waiting) -> Option<Rest> {
        let Some(link) = self.shell().resolve(socket) else {
            // Not ours, or refused while connecting: all it needs is an answer.
            if let Waiting::Close(close) = event {
                answer_close(&**socket, &close);
            }
            return None;
        };
        match link.phase() {
            Phase::Gone => return None,
            Phase::Opening => {
                self.keep(&link, event);
                return None;
            }
            // From here on no list and no broadcast has it, whatever else runs before the hook.
            Phase::Planned | Phase::Open | Phase::Leaving => link.set_phase(Phase::Leaving),
        }
        if self.is_open() { self.handle(link, event) } else { self.wait(link, event) }
    }

    /// Keeps an event until the agent has started and has begun with what came before on that connection.
    // Not a part of what every message runs through.
    #[cold]
    #[inline(never)]
    fn wait(&self, link: Rc<Link>, event: Waiting) -> Option<Rest> {
        let is_first = link.inbox.borrow().is_empty();
        self.keep(&link, event);
        if !is_first || link.inbox.borrow().is_empty() {
            return None;
        }
        // One for all that wait on that connection: however many they are, it is one place at the gate.
        let runtime = self.clone();
        rest_of(async move {
            while runtime.pass(None, None).await.is_err() {
                // The start was for the first of them, which has failed with it; the next one tries again. After the end of the
                // agent that is over at once for all of them.
                let first = link.inbox.borrow_mut().pop(runtime.room());
                if let Some(end @ (Waiting::Close(_) | Waiting::Error(_))) = first {
                    runtime.bury(&link, end.as_close());
                }
                if link.inbox.borrow().is_empty() {
                    return;
                }
            }
            let first = link.inbox.borrow_mut().pop(runtime.room());
            let rest = first.and_then(|event| runtime.handle(Rc::clone(&link), event));
            runtime.drain(&link);
            if let Some(rest) = rest {
                rest.await;
            }
        })
    }

    /// Handles an event of a connection that has been let through.
    fn handle(&self, link: Rc<Link>, event: Waiting) -> Option<Rest> {
        let close = match event {
            Waiting::Message(message) => return self.handle_message(link, message),
            // It has ended before.
            Waiting::Close(_) | Waiting::Error(_) if !self.leave(&link) => return None,
            Waiting::Close(close) => close,
            Waiting::Error(message) => {
                self.report_at(OF_CLIENTS, &link, "socket", HostError::new(message.clone()).into());
                // The platform sends no close event after an error.
                Close { code: 1006, reason: message, was_clean: false }
            }
        };
        let handled = Rc::clone(&self.entity).on_close(Rc::clone(&link), close.clone());
        self.after(handled, move |runtime, outcome| {
            if let Err(error) = outcome {
                runtime.report_of(&link, "on_close", error);
            }
            runtime.bury(&link, Some(&close));
        })
    }

    /// Whether this is the first end of that connection.
    fn leave(&self, link: &Link) -> bool {
        let first = link.phase() != Phase::Gone;
        link.set_phase(Phase::Gone);
        first
    }

    /// Answers the close frame, if there is one, and forgets the connection.
    fn bury(&self, link: &Rc<Link>, close: Option<&Close>) {
        link.set_phase(Phase::Gone);
        if let (Some(close), Some(socket)) = (close, link.socket()) {
            answer_close(&**socket, close);
        }
        self.shell().links.remove(link);
    }

    /// Handles a message if its connection is open by now, and keeps it if that is still opening or the agent has not started.
    fn hear(&self, link: Rc<Link>, message: Message) -> Option<Rest> {
        match link.phase() {
            Phase::Open if self.is_open() => return self.handle_message(link, message),
            Phase::Open => return self.wait(link, Waiting::Message(message)),
            Phase::Opening => self.keep(&link, Waiting::Message(message)),
            Phase::Planned | Phase::Leaving | Phase::Gone => {}
        }
        None
    }

    fn handle_message(&self, link: Rc<Link>, message: Message) -> Option<Rest> {
        // After the agent has closed it, what was still under way is not for the agent any more.
        if !link.is_heard() {
            return None;
        }
        match Rc::clone(&self.entity).should_handle_message(&link, &message) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                self.report_of(&link, "should_handle_message", error);
                return None;
            }
        }
        let frame = match &message {
            Message::Text(text) => wire::client::parse(text),
            Message::Binary(_) => ClientFrame::App,
        };
        match frame {
            ClientFrame::State(json) => {
                self.client_state(link, json);
                None
            }
            ClientFrame::Rpc(call) => {
                let call = self.look_up(&link, call, &message)?;
                self.call_from_client(link, call, message)
            }
            ClientFrame::App => {
                let handled = Rc::clone(&self.entity).on_message(Rc::clone(&link), message);
                self.after(handled, move |runtime, outcome| {
                    if let Err(error) = outcome {
                        runtime.report_of(&link, "on_message", error);
                    }
                })
            }
        }
    }

    /// Begins `work` and hands its outcome to `then`: at once, unless it has to wait.
    fn after<T: 'static>(&self, work: Hook<T>, then: impl FnOnce(&Self, Result<T>) + 'static) -> Option<Rest> {
        match begin(work) {
            Ok(outcome) => {
                then(self, outcome);
                None
            }
            Err(rest) => {
                let runtime = self.clone();
                Some(Box::pin(async move { then(&runtime, rest.await) }))
            }
        }
    }

    fn client_state(&self, link: Rc<Link>, json: &str) {
        let refused = if link.flags().readonly {
            StateError::Readonly.to_string()
        } else {
            match Rc::clone(&self.entity).set_client_state(Rc::clone(&link), json) {
                Ok(()) => return,
                Err(error) => {
                    self.shell().log_error(level_of_refusal(&error), wire::STATE, Some(&link), None, &error.into());
                    "State update rejected".to_owned()
                }
            }
        };
        self.shell().send(&link, &wire::server::state_error(&refused).into());
    }

    /// Logs a failure of one connection and tells its error hook, for which nobody waits.
    fn report_of(&self, link: &Rc<Link>, event: &str, error: Error) {
        self.report_at(level_of(&error, Some(link)), link, event, error);
    }

    fn report_at(&self, level: Level, link: &Rc<Link>, event: &str, error: Error) {
        self.shell().log_error(level, event, Some(link), None, &error);
        let (entity, link) = (Rc::clone(&self.entity), Rc::clone(link));
        self.shell().begin(Box::pin(async move {
            if let Err(error) = Rc::clone(&entity).on_connection_error(Rc::clone(&link), error).await {
                entity.shell().log_failure("on_connection_error", Some(&link), &error);
            }
        }));
    }

    /// Logs any other failure and tells the error hook, for which nobody waits.
    fn report(&self, event: &str, trace: Option<&Trace>, error: Error) {
        self.shell().log_error(level_of(&error, None), event, None, trace, &error);
        tell(&self.entity, error);
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({} {:?})", self.shell().class, self.shell().name())
    }
}

/// Begins `work`, and returns what is left of it.
fn rest_of(work: impl Future<Output = ()> + 'static) -> Option<Rest> {
    begin(Box::pin(work)).err()
}

fn failed(text: &'static str) -> Response {
    Response::text(text).with_status(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Answers an upgrade that failed before its socket was accepted: the client is told on a socket that belongs to nobody.
fn refuse(upgrade: &dyn Upgrade, error: &str) -> Reply {
    // The platform ends a socket that hibernates ten seconds late if it was closed before the handshake was over.
    match upgrade.accept(&[], false) {
        Ok(socket) => {
            abandon(&*socket, error);
            Reply::Switched
        }
        Err(_) => Reply::Response(failed(CONNECT_FAILED)),
    }
}

/// Tells the client why, and closes.
fn abandon(socket: &dyn Socket, error: &str) {
    let (code, reason) = close::SETUP_FAILED;
    // A client that has left already need not be told.
    let _ = socket.send(&wire::server::connect_error(error).into());
    let _ = socket.close(Some(code), reason);
}

fn answer_close(socket: &dyn Socket, close: &Close) {
    if let Some(code) = close::answer_to(close.code) {
        // Refused where we closed first, or where the platform has answered already.
        let reason = if code.is_some() { close.reason.as_str() } else { "" };
        let _ = socket.close(code, reason);
    }
}
