//! Sockets that do not hibernate: the adapter listens to them itself.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use durable_agents_core::host::Host;
use durable_agents_core::{Close, Rest, Runtime};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use super::convert::Promised;
use super::host::WorkerHost;
use super::socket::{self, JsSocket};
use super::{convert, sys};

/// What an event of a socket needs. Its listeners hold it weakly, so that they keep nothing in memory.
pub(super) struct Events {
    pub(super) runtime: Runtime,
    pub(super) host: Rc<WorkerHost>,
    /// [`Events::listen`], if the agent has sockets that do not hibernate.
    pub(super) listen: Option<Listen>,
    heard: RefCell<Vec<Listeners>>,
    last: Cell<u64>,
}

/// Accepts a socket that does not hibernate.
pub(super) type Listen = fn(&Rc<Events>, Rc<JsSocket>) -> Result<Rc<JsSocket>, JsValue>;

type Listener = Closure<dyn Fn(sys::SocketEvent)>;

/// The listeners of one socket, for as long as it is open.
struct Listeners {
    number: u64,
    socket: Rc<JsSocket>,
    listeners: [(&'static str, Listener); 3],
    // Where the wasm has trapped, nobody listens any more, and the socket is closed.
    _watched: Promised,
}

impl Events {
    pub(super) fn new(runtime: Runtime, host: Rc<WorkerHost>, listen: Option<Listen>) -> Self {
        Self { runtime, host, listen, heard: RefCell::default(), last: Cell::new(0) }
    }

    /// Accepts a socket and hands its events to the runtime until it has ended.
    pub(super) fn listen(self: &Rc<Self>, socket: Rc<JsSocket>) -> Result<Rc<JsSocket>, JsValue> {
        let number = self.last.get() + 1;
        self.last.set(number);
        let listener = |handle: fn(&Self, u64, Rc<JsSocket>, &sys::SocketEvent)| {
            let (events, socket): (Weak<Self>, Weak<JsSocket>) = (Rc::downgrade(self), Rc::downgrade(&socket));
            Closure::own_assert_unwind_safe(move |event: sys::SocketEvent| {
                if let (Some(events), Some(socket)) = (events.upgrade(), socket.upgrade()) {
                    handle(&events, number, socket, &event);
                }
            })
        };
        let listeners: [(_, Listener); 3] =
            [("message", listener(Self::message)), ("close", listener(Self::close)), ("error", listener(Self::error))];
        for (event, listener) in &listeners {
            socket.socket.listen(event, listener.as_ref())?;
        }
        // Where the platform knows only array buffers, it does not know the property either.
        drop(socket.socket.set_binary_type("arraybuffer"));
        socket.socket.accept_here()?;
        let watched = Promised::to_watch(&socket.socket);
        self.heard.borrow_mut().push(Listeners { number, socket: Rc::clone(&socket), listeners, _watched: watched });
        Ok(socket)
    }

    fn message(&self, _: u64, socket: Rc<JsSocket>, event: &sys::SocketEvent) {
        let data = event.data().unwrap_or(JsValue::UNDEFINED);
        self.go_on(self.runtime.message(socket, socket::message(&data)));
    }

    fn close(&self, number: u64, socket: Rc<JsSocket>, event: &sys::SocketEvent) {
        let close = Close {
            code: event.code().unwrap_or(1006),
            reason: event.reason().unwrap_or_default(),
            was_clean: event.was_clean().unwrap_or(false),
        };
        self.stop(number);
        self.go_on(self.runtime.closed(socket, close));
    }

    fn error(&self, number: u64, socket: Rc<JsSocket>, event: &sys::SocketEvent) {
        let error = event.error().unwrap_or(JsValue::UNDEFINED);
        self.stop(number);
        self.go_on(self.runtime.socket_failed(socket, convert::message_of(&error)));
    }

    fn stop(&self, number: u64) {
        let mut heard = self.heard.borrow_mut();
        let place = heard.iter().position(|listeners| listeners.number == number);
        let ended = place.map(|place| heard.swap_remove(place));
        drop(heard);
        if let Some(Listeners { socket, listeners, .. }) = ended {
            for (event, listener) in &listeners {
                // It will not be called again either way.
                drop(socket.socket.unlisten(event, listener.as_ref()));
            }
        }
    }

    fn go_on(&self, rest: Option<Rest>) {
        if let Some(rest) = rest {
            self.host.spawn(rest);
        }
    }
}
