//! The class that workerd constructs, behind the shell that `#[agent]` makes.

use std::cell::OnceCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use durable_agents_core::host::{Host, HostError, Level, Socket, Surroundings as _, Upgrade};
use durable_agents_core::http::{Response, StatusCode};
use durable_agents_core::{Agent, Close, Reply, Runtime, begin};
use futures::future::LocalBoxFuture;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{answer, host_error, message_of, promise_of_end};
use super::host::WorkerHost;
use super::listen::Events;
use super::socket::{self, JsSocket};
use super::{body, panic, sys};

/// One instance of a Durable Object class. One method for each handler of the class.
///
/// A handler that does not wait answers with its value; only one that waits costs a promise.
pub struct Object(Rc<Events>);

// What a panic could leave half done is behind the core's wall around hooks.
impl UnwindSafe for Object {}
impl RefUnwindSafe for Object {}

impl Object {
    /// An instance of `A`; `state` and `env` are what the platform constructs the class with.
    pub fn new<A: Agent>(state: JsValue, env: JsValue) -> Self {
        panic::install_hook();
        let host = Rc::new(WorkerHost::new(state.unchecked_into(), env));
        let runtime = Runtime::new::<A>(Rc::clone(&host) as Rc<dyn Host>);
        Self(Rc::new(Events::new(runtime, host)))
    }

    /// `fetch`.
    pub fn fetch(&self, request: JsValue) -> JsValue {
        let upgrade = Rc::new(JsUpgrade { events: Rc::clone(&self.0), client: OnceCell::new() });
        let request = body::request_from_js(request.unchecked_into());
        let reply = self.0.runtime.fetch(request, Some(Rc::clone(&upgrade) as Rc<dyn Upgrade>));
        answer(Box::pin(async move {
            let response = match reply.await {
                Reply::Response(response) => body::response_to_js(response),
                Reply::Switched => upgrade.switched(),
            };
            let response = response.or_else(|exception| {
                let line = format!("the answer is none that the platform can send: {}", message_of(&exception));
                upgrade.events.host.log(Level::Error, &line);
                body::response_to_js(Response::text("Internal Server Error").with_status(StatusCode::INTERNAL_SERVER_ERROR))
            });
            response.map(JsValue::from)
        }))
    }

    /// `webSocketMessage`.
    pub fn web_socket_message(&self, socket: JsValue, message: JsValue) -> JsValue {
        run(self.0.runtime.message(hibernating(socket), socket::message(&message)))
    }

    /// `webSocketClose`.
    pub fn web_socket_close(&self, socket: JsValue, code: u16, reason: String, was_clean: bool) -> JsValue {
        run(self.0.runtime.closed(hibernating(socket), Close { code, reason, was_clean }))
    }

    /// `webSocketError`.
    pub fn web_socket_error(&self, socket: JsValue, error: JsValue) -> JsValue {
        run(self.0.runtime.socket_failed(hibernating(socket), message_of(&error)))
    }

    /// `alarm`.
    pub fn alarm(&self) -> JsValue {
        let rung = self.0.runtime.alarm();
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
        self.0.runtime.fmt(f)
    }
}

fn run(work: LocalBoxFuture<'static, ()>) -> JsValue {
    match begin(work) {
        Ok(()) => JsValue::UNDEFINED,
        Err(rest) => promise_of_end(rest).into(),
    }
}

fn hibernating(socket: JsValue) -> Rc<dyn Socket> {
    Rc::new(JsSocket(socket.unchecked_into()))
}

/// A handshake: the pair of sockets is made when it is accepted.
struct JsUpgrade {
    events: Rc<Events>,
    client: OnceCell<sys::WebSocket>,
}

impl JsUpgrade {
    fn try_accept(&self, tags: &[&str], hibernate: bool) -> Result<Rc<dyn Socket>, JsValue> {
        let pair = sys::WebSocketPair::new()?;
        let client = pair.client()?;
        let mut server = Rc::new(JsSocket(pair.server()?));
        if hibernate {
            let tags = tags.iter().map(|&tag| JsValue::from_str(tag)).collect();
            self.events.host.state.accept(&server.0, tags)?;
        } else {
            server = self.events.listen(server)?;
        }
        // A handshake is accepted once.
        let _ = self.client.set(client);
        Ok(server)
    }

    fn switched(&self) -> Result<sys::Response, JsValue> {
        match self.client.get() {
            Some(client) => body::switched(client),
            None => Err(JsValue::from_str("the upgrade was not accepted")),
        }
    }
}

impl Upgrade for JsUpgrade {
    fn accept(&self, tags: &[&str], hibernate: bool) -> Result<Rc<dyn Socket>, HostError> {
        self.try_accept(tags, hibernate).map_err(host_error)
    }
}
