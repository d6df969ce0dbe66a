//! What an instance is apart from its agent's type.

use std::cell::{Cell, OnceCell};
use std::fmt::Write as _;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::agent::AgentOptions;
use crate::alarm::Background;
use crate::brief::{MAX_ERROR_BYTES, brief};
use crate::destroy::Closed;
use crate::eager::begin;
use crate::error::{Error, StateError};
use crate::host::{Host, HostError, Level, Socket, SocketError, Store};
use crate::lifecycle::{Gate, Room};
use crate::link::{Link, Links, SERIAL_COUNT_BITS};
use crate::message::Payload;
use crate::resume::Spans;
use crate::route::kebab;
use crate::rpc::{Hop, Trace, uuid};
use crate::state;
use crate::wire::server::StateFrame;

pub(crate) struct Shell {
    pub(crate) host: Rc<dyn Host>,
    pub(crate) class: &'static str,
    pub(crate) options: AgentOptions,
    /// When background work wants the alarm, in Unix milliseconds; after a failure, later.
    pub(crate) next_run: fn(&Self, bool) -> Result<Option<u64>, HostError>,
    pub(crate) links: Links,
    pub(crate) gate: Gate,
    pub(crate) room: Room,
    pub(crate) started: Cell<bool>,
    pub(crate) background: Background,
    pub(crate) spans: Spans,
    name: OnceCell<String>,
    segment: OnceCell<String>,
    last_serial: Cell<u64>,
}

impl Shell {
    pub(crate) fn new(
        host: Rc<dyn Host>,
        class: &'static str,
        options: AgentOptions,
        next_run: fn(&Self, bool) -> Result<Option<u64>, HostError>,
    ) -> Self {
        Self {
            links: Links::new(Rc::clone(&host)),
            host,
            class,
            options,
            next_run,
            gate: Gate::default(),
            room: Room::default(),
            started: Cell::new(false),
            background: Background::default(),
            spans: Spans::default(),
            name: OnceCell::new(),
            segment: OnceCell::new(),
            last_serial: Cell::new(0),
        }
    }

    /// Name of the instance; empty before the start.
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// What its class is called in a URL.
    pub(crate) fn segment(&self) -> &str {
        self.segment.get_or_init(|| kebab(self.class))
    }

    /// Learns the name. `false` if the platform does not know it.
    pub(crate) fn learn_name(&self) -> bool {
        if self.name.get().is_none()
            && let Some(name) = self.host.name()
        {
            // The cell was empty a line ago, and nobody else is on this thread.
            let _ = self.name.set(name);
        }
        self.name.get().is_some()
    }

    /// The storage for what the agent writes. While everything in it is being deleted it refuses: what is written then would be there
    /// when the next instance begins.
    pub(crate) fn store(&self) -> &dyn Store {
        if self.background.is_emptied() { &Closed } else { self.host.store() }
    }

    /// Writes a line about this instance to the log.
    pub(crate) fn log(&self, level: Level, what: impl std::fmt::Display) {
        self.host.log(level, &format!("agent={} instance={:?} {what}", self.class, self.name()));
    }

    /// Writes what went wrong here to the log, with all its causes.
    pub(crate) fn log_failure(&self, event: &str, link: Option<&Link>, error: &Error) {
        self.log_error(Level::Error, event, link, None, error);
    }

    /// The same of what may be somebody else's fault, or was caused by a call from another agent.
    pub(crate) fn log_error(&self, level: Level, event: &str, link: Option<&Link>, trace: Option<&Trace>, error: &Error) {
        let mut line = format!("event={event}");
        if let Some(link) = link {
            // Writing to a `String` cannot fail.
            let _ = write!(line, " connection={:?}", link.id());
        }
        if let Some(trace) = trace {
            let _ = write!(line, " request={}", trace.request);
        }
        // It may repeat what a client has sent, however long that was.
        let _ = write!(line, " error={:?}", brief(MAX_ERROR_BYTES, format_args!("{error:#}")));
        self.log(level, line);
    }

    /// Begins `work` at once, and goes on with it beside the current event if it has to wait.
    pub(crate) fn begin(&self, work: LocalBoxFuture<'static, ()>) {
        if let Err(rest) = begin(work) {
            self.host.spawn(rest);
        }
    }

    /// A number for a new connection, larger than those of all that were here before it.
    pub(crate) fn next_serial(&self) -> u64 {
        // Time, so that it grows over wakes; counted on within a millisecond.
        let serial = (self.host.now_ms() << SERIAL_COUNT_BITS).max(self.last_serial.get() + 1);
        self.last_serial.set(serial);
        serial
    }

    /// 21 characters that nobody can guess, for a connection whose client chose no id.
    pub(crate) fn random_id(&self) -> String {
        self.random_text::<21>()
    }

    /// 9 characters, for a schedule or queue item.
    pub(crate) fn short_id(&self) -> String {
        self.random_text::<9>()
    }

    fn random_text<const LENGTH: usize>(&self) -> String {
        // 64 characters, so that six random bits choose one without bias.
        const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
        let mut random = [0; LENGTH];
        self.host.fill_random(&mut random);
        let text = random.map(|byte| ALPHABET.get(usize::from(byte & 63)).copied().unwrap_or(b'_'));
        // All of the alphabet is ASCII.
        String::from_utf8(text.to_vec()).unwrap_or_default()
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&self) -> String {
        let mut random = [0; 16];
        self.host.fill_random(&mut random);
        uuid(random)
    }

    /// This agent in a chain of calls.
    pub(crate) fn hop(&self) -> Hop {
        Hop { class: self.class.to_owned(), name: self.name().to_owned(), wake: self.links.epoch() }
    }

    /// Open connections, those with `tag` only if one is given.
    pub(crate) fn open_links(&self, tag: Option<&str>) -> Vec<Rc<Link>> {
        let mut open = Vec::new();
        match tag {
            // The platform knows who has a tag without waking the others.
            Some(tag) if self.options.hibernate && !self.links.is_complete() => match self.host.sockets(Some(tag)) {
                Ok(sockets) => open.extend(sockets.iter().filter_map(|socket| self.links.resolve(socket))),
                Err(error) => self.log_failure("list connections", None, &error.into()),
            },
            _ => {
                self.complete_links();
                self.links.for_each(|link| {
                    if tag.is_none_or(|tag| link.has_tag(tag)) {
                        open.push(Rc::clone(link));
                    }
                });
            }
        }
        open.retain(|link| link.is_open());
        open
    }

    /// The newest open connection with that id.
    pub(crate) fn open_link(&self, id: &str) -> Option<Rc<Link>> {
        self.open_links(Some(id)).into_iter().filter(|link| link.id() == id).max_by_key(|link| link.serial())
    }

    /// Sends to every connection that `choose` picks. A socket that fails stops nothing.
    pub(crate) fn broadcast(&self, payload: Payload<'_>, choose: impl Fn(&Rc<Link>) -> bool) {
        self.complete_links();
        let payload = payload.for_many();
        self.links.for_each(|link| {
            if choose(link) {
                self.send(link, &payload);
            }
        });
    }

    /// Stores a state, JSON text, has it remembered and tells the others: in this order, so that a crash between any two shows nobody
    /// what was not stored.
    pub(crate) fn publish_state(
        &self,
        json: &str,
        origin: Option<&Rc<Link>>,
        remember: &mut dyn FnMut(Rc<StateFrame>),
    ) -> Result<(), StateError> {
        let frame = Rc::new(StateFrame::new(json));
        let message = Payload::from(frame.text()).for_many();
        state::write(&self.background.tables, self.store(), &message)?;
        remember(Rc::clone(&frame));
        // By socket, not by id: a twin under the same id wants to know.
        let is_origin = |link: &Rc<Link>| origin.is_some_and(|origin| Rc::ptr_eq(origin, link));
        self.broadcast(message, |link| !link.flags().no_protocol && !is_origin(link));
        Ok(())
    }

    /// Sends to one connection, if it is still there.
    pub(crate) fn send(&self, link: &Link, payload: &Payload<'_>) {
        self.log_unsent(link, link.send(payload));
    }

    /// Sends several frames to one connection, as [`Socket::send_all`] does.
    pub(crate) fn send_all(&self, link: &Link, frames: &str) {
        self.log_unsent(link, link.send_all(frames));
    }

    fn log_unsent(&self, link: &Link, sent: Result<(), SocketError>) {
        if let Err(SocketError::Platform(message)) = sent {
            self.log_failure("send", Some(link), &HostError::new(message).into());
        }
    }

    /// After a wake, brings in the connections that have had no event yet.
    pub(crate) fn complete_links(&self) {
        if self.links.is_complete() {
            return;
        }
        match self.host.sockets(None) {
            Ok(sockets) => {
                for socket in &sockets {
                    self.resolve(socket);
                }
                self.links.set_complete();
            }
            Err(error) => self.log_failure("list connections", None, &error.into()),
        }
    }

    pub(crate) fn resolve(&self, socket: &Rc<dyn Socket>) -> Option<Rc<Link>> {
        self.links.resolve(socket)
    }
}
