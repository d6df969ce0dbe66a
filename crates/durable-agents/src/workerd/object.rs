//! The class that workerd constructs, behind the shell that `#[agent]` makes.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use durable_agents_core::host::{Host, HostError, Level, Socket, Surroundings as _, Upgrade};
use durable_agents_core::http::{Response, StatusCode};
use durable_agents_core::{Agent, Close, Reply, Rest, Runtime};
use futures::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{answer, host_error, message_of, promise, promise_of_end};
use super::host::WorkerHost;
use super::listen::{Events, Listen};
use super::socket::{self, JsSocket};
use super::{body, glue, panic, sys};

/// One instance of a Durable Object class. One method for each handler of the class.
///
/// A handler that does not wait answers with its value; only one that waits costs a promise.
pub struct Object {
    events: Rc<Events>,
    // Of the message that was received last.
    rest: Cell<Option<Rest>>,
}

// What a panic could leave half done is behind the core's wall around hooks.
impl UnwindSafe for Object {}
impl RefUnwindSafe for Object {}

impl Object {
    /// An instance of `A`; `state` and `env` are what the platform constructs the class with.
    pub fn new<A: Agent>(state: JsValue, env: JsValue) -> Self {
        panic::install_hook();
        glue::lend();
        let host = Rc::new(WorkerHost::new(state.unchecked_into(), env));
        let runtime = Runtime::new::<A>(Rc::clone(&host) as Rc<dyn Host>);
        // Known when the agent is compiled, so that what listens is there for agents alone that do.
        let listen = if A::OPTIONS.hibernates() { None } else { Some(Events::listen as Listen) };
        Self { events: Rc::new(Events::new(runtime, host, listen)), rest: Cell::default() }
    }

    /// `fetch`.
    pub fn fetch(&self, request: JsValue) -> JsValue {
        let request = body::request_from_js(request.unchecked_into(), !self.events.runtime.has_started());
        let upgrade = if request.is_upgrade() { Some(JsUpgrade::new(&self.events)) } else { None };
        match self.events.runtime.fetch(request, upgrade.clone().map(|upgrade| upgrade as Rc<dyn Upgrade>)) {
            // Not even the plain answer could be made: the promise tells the platform.
            Ok(reply) => {
                reply_to_js(&self.events, reply, upgrade).unwrap_or_else(|exception| Promise::reject(&exception).into())
            }
            Err(rest) => reply_by_and_by(Rc::clone(&self.events), rest, upgrade),
        }
    }

    /// `webSocketMessage`.
    pub fn web_socket_message(&self, socket: JsValue, message: JsValue) -> JsValue {
        rest(self.events.runtime.message(hibernating(socket), socket::message(&message)))
    }

    /// `webSocketMessage`, without a value of JavaScript: the message is in the memory that [`glue::lend`] has lent, and `key` is the
    /// socket's. See `durable-object.js`, which knows the answers.
    pub fn receive(&self, key: f64, taken: f64) -> u32 {
        let (Some(key), Some(message)) = (socket::key_of(key), glue::taken(taken)) else { return UNKNOWN };
        match self.events.runtime.message_by_key(key, message) {
            Ok(None) => DONE,
            Ok(rest) => {
                self.rest.set(rest);
                WAITS
            }
            Err(_) => UNKNOWN,
        }
    }

    /// The promise of the message that has just been received and waits.
    pub fn rest(&self) -> JsValue {
        rest(self.rest.take())
    }

    /// `webSocketClose`.
    pub fn web_socket_close(&self, socket: JsValue, code: u16, reason: String, was_clean: bool) -> JsValue {
        rest(self.events.runtime.closed(hibernating(socket), Close { code, reason, was_clean }))
    }

    /// `webSocketError`.
    pub fn web_socket_error(&self, socket: JsValue, error: JsValue) -> JsValue {
        rest(self.events.runtime.socket_failed(hibernating(socket), message_of(&error)))
    }

    /// `alarm`.
    pub fn alarm(&self) -> JsValue {
        let rung = self.events.runtime.alarm();
        answer(Box::pin(async move {
            match rung.await {
                Ok(()) => Ok(JsValue::UNDEFINED),
                // The platform repeats an alarm whose promise is rejected.
                Err(error) => Err(js_sys::Error::new(&format!("{error:#}")).into()),
            }
        }))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.runtime.fmt(f)
    }
}

/// Answers of [`Object::receive`]: handled; the rest is to be fetched; the socket has to be shown.
const DONE: u32 = 0;
const WAITS: u32 = 1;
const UNKNOWN: u32 = 2;

/// What `fetch` returns for a reply; `upgrade` is what the request had.
fn reply_to_js(events: &Events, reply: Reply, upgrade: Option<Rc<JsUpgrade>>) -> Result<JsValue, JsValue> {
    let response = match (reply, upgrade) {
        (Reply::Response(response), _) => body::response_to_js(response),
        (Reply::Switched, Some(upgrade)) => upgrade.switched(),
        (Reply::Switched, None) => Err(JsValue::from_str("there is no upgrade")),
        // Of JavaScript's own making, so that nothing of the instance waits with it.
        (Reply::Never, _) => return glue::never(),
    };
    response.or_else(|exception| instead_of_unfit(events, &exception)).map(JsValue::from)
}

// Not a part of what the first request runs through, all of which has to be compiled before its answer.
#[inline(never)]
fn reply_by_and_by(events: Rc<Events>, rest: LocalBoxFuture<'static, Reply>, upgrade: Option<Rc<JsUpgrade>>) -> JsValue {
    promise(Box::pin(async move { reply_to_js(&events, rest.await, upgrade) })).into()
}

/// The answer where the platform does not take the agent's.
#[cold]
#[inline(never)]
fn instead_of_unfit(events: &Events, exception: &JsValue) -> Result<sys::Response, JsValue> {
    events.host.log(Level::Error, &format!("the answer is none that the platform can send: {}", message_of(exception)));
    body::response_to_js(Response::text("Internal Server Error").with_status(StatusCode::INTERNAL_SERVER_ERROR))
}

/// What a handler returns that has done what it could at once.
fn rest(rest: Option<Rest>) -> JsValue {
    rest.map_or(JsValue::UNDEFINED, |rest| promise_of_end(rest).into())
}

fn hibernating(socket: JsValue) -> Rc<dyn Socket> {
    Rc::new(JsSocket::new(socket.unchecked_into()))
}

/// A handshake: the pair of sockets is made when it is accepted.
struct JsUpgrade {
    events: Rc<Events>,
    accepted: OnceCell<sys::WebSocketPair>,
}

impl JsUpgrade {
    fn new(events: &Rc<Events>) -> Rc<Self> {
        Rc::new(Self { events: Rc::clone(events), accepted: OnceCell::new() })
    }

    fn try_accept(&self, tags: &[String], hibernate: bool) -> Result<Rc<dyn Socket>, JsValue> {
        let state = &self.events.host.state;
        let pair = match tags {
            _ if !hibernate => sys::WebSocketPair::new()?,
            [tag] => sys::accept_tagged(state, tag)?,
            tags => sys::accept(state, tags.iter().map(|tag| JsValue::from_str(tag)).collect())?,
        };
        let mut server = Rc::new(JsSocket::new(sys::server_end(&pair)?));
        if !hibernate {
            match self.events.listen {
                Some(listen) => server = listen(&self.events, server)?,
                // A connection that is refused: there is nothing to hear.
                None => server.socket.accept_here()?,
            }
        }
        // A handshake is accepted once.
        let _ = self.accepted.set(pair);
        Ok(server)
    }

    fn switched(&self) -> Result<sys::Response, JsValue> {
        match self.accepted.get() {
            Some(pair) => glue::switched(pair),
            None => Err(JsValue::from_str("the upgrade was not accepted")),
        }
    }
}

impl Upgrade for JsUpgrade {
    fn accept(&self, tags: &[String], hibernate: bool) -> Result<Rc<dyn Socket>, HostError> {
        self.try_accept(tags, hibernate).map_err(host_error)
    }
}
