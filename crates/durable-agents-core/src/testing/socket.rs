//! A WebSocket: the server's end as the platform shows it, and the client's end as a browser would see it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use super::world::{Event, Slot, World};
use crate::agent::Close;
use crate::close;
use crate::host::{HostError, ReadyState, Socket, SocketError, Upgrade};
use crate::message::{Data, Message, Payload};
use crate::tags::{MAX_TAG_BYTES, MAX_TAGS};

/// Largest message that the platform delivers.
///
/// Source: <https://developers.cloudflare.com/durable-objects/platform/limits/>
pub(super) const MAX_MESSAGE_BYTES: usize = 33_554_432;

/// What the platform stores for a socket, after structured cloning, and what that adds to the bytes of an array.
const MAX_CLONED_BYTES: usize = 16_384;
const CLONE_BYTES: usize = 11;

/// Most hibernating sockets of one object.
///
/// Source: <https://developers.cloudflare.com/durable-objects/api/state/#acceptwebsocket>
const MAX_SOCKETS: usize = 32_768;

/// What the platform says of a connection that was cut.
const CUT: &str = "WebSocket disconnected without sending Close frame.";

/// Both ends of one WebSocket and what is between them.
#[derive(Default)]
pub(super) struct Pipe {
    // The server's end.
    accepted: RefCell<Option<Accepted>>,
    attachment: RefCell<Option<Vec<u8>>>,
    key: Cell<Option<(u64, u64)>>,
    // When the platform last answered a message by itself.
    pub(super) answered_ms: Cell<Option<u64>>,
    close_sent: Cell<bool>,
    close_received: Cell<bool>,
    lost: Cell<bool>,
    pub(super) broken: RefCell<Option<String>>,
    // Messages sent before the handshake reach the server as soon as it has accepted.
    early: bool,
    before_handshake: RefCell<VecDeque<Up>>,
    // The client's end.
    handshake: Cell<Handshake>,
    arriving: RefCell<VecDeque<Down>>,
    pub(super) client: Browser,
}

struct Accepted {
    slot: Weak<Slot>,
    tags: Vec<String>,
    hibernate: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Handshake {
    #[default]
    Pending,
    Done,
    Refused,
}

/// What the client sends.
#[derive(Debug)]
pub(super) enum Up {
    Message(Message),
    Close(Option<u16>, String),
    Cut,
    Fail(String),
    CloseAgain,
}

/// What the server sends.
enum Down {
    Message(Rc<Message>),
    Close(Option<u16>, String),
}

/// What the client has seen.
#[derive(Default)]
pub(super) struct Browser {
    // It has sent its close frame.
    closing: Cell<bool>,
    // A close frame came that it has not answered, because it is told to wait.
    pub(super) holds_answer: Cell<bool>,
    unanswered: RefCell<Option<(Option<u16>, String)>>,
    greeted: Cell<bool>,
    pub(super) greeting: RefCell<Vec<String>>,
    // Shared with all that got the same broadcast.
    pub(super) frames: RefCell<VecDeque<Rc<Message>>>,
    pub(super) close: RefCell<Option<Close>>,
}

impl Browser {
    pub(super) fn is_open(&self) -> bool {
        !self.closing.get() && self.close.borrow().is_none()
    }

    fn lose(&self, code: u16, reason: &str) {
        let lost = Close { code, reason: reason.to_owned(), was_clean: false };
        self.close.borrow_mut().get_or_insert(lost);
    }

    fn receive(&self, message: Rc<Message>) {
        if !self.is_open() {
            return;
        }
        match &*message {
            Message::Text(text) if !self.greeted.get() && is_greeting(text) => {
                self.greeted.set(text.contains("\"cf_agent_mcp_servers\""));
                self.greeting.borrow_mut().push(text.clone());
            }
            _ => {
                self.greeted.set(true);
                self.frames.borrow_mut().push_back(message);
            }
        }
    }
}

fn is_greeting(text: &str) -> bool {
    ["\"cf_agent_identity\"", "\"cf_agent_state\"", "\"cf_agent_mcp_servers\""]
        .iter()
        .any(|name| text.contains(&format!("\"type\":{name}")))
}

impl Pipe {
    pub(super) fn new(early: bool) -> Rc<Self> {
        Rc::new(Self { early, ..Self::default() })
    }

    pub(super) fn hibernates(&self) -> bool {
        self.accepted.borrow().as_ref().is_none_or(|accepted| accepted.hibernate)
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.accepted.borrow().as_ref().is_some_and(|accepted| accepted.tags.iter().any(|own| own == tag))
    }

    pub(super) fn handshake(&self) -> Handshake {
        self.handshake.get()
    }

    fn slot(&self) -> Option<Rc<Slot>> {
        self.accepted.borrow().as_ref()?.slot.upgrade()
    }

    fn ready_state(&self) -> ReadyState {
        match (self.lost.get(), self.close_sent.get(), self.close_received.get()) {
            (true, _, _) | (_, true, true) => ReadyState::Closed,
            (_, false, false) => ReadyState::Open,
            _ => ReadyState::Closing,
        }
    }

    fn leave_if_closed(self: &Rc<Self>) {
        if let Some(slot) = self.slot().filter(|_| self.ready_state() == ReadyState::Closed) {
            slot.pipes.borrow_mut().retain(|pipe| !Rc::ptr_eq(pipe, self));
        }
    }

    /// The client does something.
    pub(super) fn send_up(self: &Rc<Self>, world: &World, up: Up) {
        let is_open = self.client.is_open();
        let goes = match up {
            Up::Message(_) | Up::Close(..) => is_open,
            // Whoever has not answered a close frame yet can still be lost.
            Up::Cut | Up::Fail(_) => is_open || self.client.unanswered.borrow().is_some(),
            Up::CloseAgain => true,
        };
        if !goes {
            return;
        }
        match &up {
            Up::Message(_) => {}
            Up::Close(..) => self.client.closing.set(true),
            Up::Cut | Up::Fail(_) | Up::CloseAgain => self.client.lose(1006, ""),
        }
        self.before_handshake.borrow_mut().push_back(up);
        self.flush_up(world);
    }

    fn flush_up(self: &Rc<Self>, world: &World) {
        let Some(slot) = self.slot() else { return };
        if self.handshake.get() == Handshake::Done || self.early {
            for up in self.before_handshake.take() {
                world.push_event(Rc::clone(&slot), Event::Socket(Rc::clone(self), up));
            }
        }
    }

    /// The server has answered `101`.
    pub(super) fn finish_handshake(self: &Rc<Self>, world: &World) {
        self.handshake.set(Handshake::Done);
        // The client's side first: it has them ready before it looks at any frame of the server.
        self.flush_up(world);
        for down in self.arriving.take() {
            self.arrive(world, down);
        }
    }

    /// The server has answered something else, or nothing.
    pub(super) fn refuse_handshake(&self) {
        if self.handshake.get() == Handshake::Pending {
            self.handshake.set(Handshake::Refused);
            self.client.lose(1006, "");
        }
    }

    fn send_down(self: &Rc<Self>, world: &World, down: Down) {
        match self.handshake.get() {
            Handshake::Pending => self.arriving.borrow_mut().push_back(down),
            Handshake::Done => self.arrive(world, down),
            Handshake::Refused => {}
        }
    }

    fn arrive(self: &Rc<Self>, world: &World, down: Down) {
        match down {
            Down::Message(message) => self.client.receive(message),
            Down::Close(code, reason) => {
                if self.client.close.borrow().is_some() {
                    return;
                }
                self.client.close.replace(Some(Close { code: code.unwrap_or(1005), reason: reason.clone(), was_clean: true }));
                self.client.unanswered.replace(Some((code, reason)));
                if !self.client.holds_answer.get() {
                    self.answer_close(world);
                }
            }
        }
    }

    /// The client answers a close frame, unless it has sent its own already.
    pub(super) fn answer_close(self: &Rc<Self>, world: &World) {
        let Some((code, reason)) = self.client.unanswered.take() else { return };
        if let Some(slot) = self.slot().filter(|_| !self.client.closing.replace(true)) {
            world.push_event(slot, Event::Socket(Rc::clone(self), Up::Close(code, reason)));
        }
    }

    /// The object is gone and has taken its end along.
    pub(super) fn lose(&self) {
        self.lost.set(true);
        self.client.lose(1006, "");
    }

    /// What the platform answers by itself, if it does.
    fn auto_response(&self, message: &Message) -> Option<String> {
        let slot = self.slot().filter(|_| self.hibernates() && self.ready_state() == ReadyState::Open)?;
        let pair = slot.auto_response.borrow();
        pair.as_ref().filter(|(request, _)| message.as_text() == Some(request)).map(|(_, response)| response.clone())
    }

    /// What the client has sent reaches the server: what its runtime is told, if anything.
    pub(super) fn deliver(self: &Rc<Self>, world: &World, up: Up) -> Option<Told> {
        if (self.lost.get() || self.close_received.get()) && !matches!(up, Up::CloseAgain) {
            return None;
        }
        match up {
            Up::Message(message) if message.len() > MAX_MESSAGE_BYTES => {
                let text = format!("Message is too large: {} > {MAX_MESSAGE_BYTES}", message.len());
                self.send_down(world, Down::Close(Some(1009), text.clone()));
                self.lost.set(true);
                self.leave_if_closed();
                Some(Told::Failed(format!("WebSocket protocol error; protocolError.statusCode = 1009; {text}")))
            }
            Up::Message(message) => match self.auto_response(&message) {
                Some(answer) => {
                    self.answered_ms.set(Some(world.now_ms.get()));
                    self.send_down(world, Down::Message(Rc::new(Message::Text(answer))));
                    None
                }
                None => Some(Told::Message(message)),
            },
            Up::Close(code, reason) => {
                self.close_received.set(true);
                if world.auto_reply_to_close.get() && !self.close_sent.replace(true) {
                    if code.is_none_or(|code| close::check(code, "").is_ok()) {
                        self.send_down(world, Down::Close(code, reason.clone()));
                    } else {
                        self.client.lose(1006, "");
                    }
                }
                self.leave_if_closed();
                Some(Told::Closed(Close { code: code.unwrap_or(1005), reason, was_clean: true }))
            }
            Up::Cut | Up::CloseAgain => {
                self.lost.set(true);
                self.leave_if_closed();
                Some(Told::Closed(Close { code: 1006, reason: CUT.to_owned(), was_clean: false }))
            }
            Up::Fail(message) => {
                self.lost.set(true);
                self.leave_if_closed();
                Some(Told::Failed(message))
            }
        }
    }
}

/// An event of a socket, as the runtime gets it.
pub(super) enum Told {
    Message(Message),
    Closed(Close),
    Failed(String),
}

/// The server's end of a socket, for one wake of its object.
pub(super) struct ServerEnd {
    pub(super) pipe: Rc<Pipe>,
    pub(super) slot: Weak<Slot>,
    pub(super) wake: u64,
}

impl ServerEnd {
    /// The object, unless this wake of it is over.
    fn slot(&self) -> Option<Rc<Slot>> {
        self.slot.upgrade().filter(|slot| slot.is_awake(self.wake))
    }
}

impl Socket for ServerEnd {
    fn send(&self, payload: &Payload<'_>) -> Result<(), SocketError> {
        let Some(slot) = self.slot().filter(|_| self.pipe.ready_state() == ReadyState::Open) else {
            return Err(SocketError::Closed);
        };
        if let Some(fault) = &*self.pipe.broken.borrow() {
            return Err(SocketError::Platform(fault.clone()));
        }
        let convert = |data: &Data<'_>| Rc::new(to_message(data));
        let message = if payload.is_for_many() {
            let message = payload.converted(convert).cloned();
            message.ok_or_else(|| SocketError::Platform("the payload is of another platform".to_owned()))?
        } else {
            convert(payload.data())
        };
        let pipe = Rc::clone(&self.pipe);
        slot.emit(move |world| pipe.send_down(world, Down::Message(message)));
        Ok(())
    }

    fn close(&self, code: Option<u16>, reason: &str) -> Result<(), SocketError> {
        let Some(slot) = self.slot().filter(|_| !self.pipe.close_sent.get() && !self.pipe.lost.get()) else {
            return Err(SocketError::Closed);
        };
        match code {
            Some(code) => close::check(code, reason).map_err(|error| SocketError::Platform(error.to_string()))?,
            None if reason.is_empty() => {}
            None => return Err(SocketError::Platform("a close reason needs a close code".to_owned())),
        }
        self.pipe.close_sent.set(true);
        self.pipe.leave_if_closed();
        let (pipe, reason) = (Rc::clone(&self.pipe), reason.to_owned());
        slot.emit(move |world| pipe.send_down(world, Down::Close(code, reason)));
        Ok(())
    }

    fn ready_state(&self) -> ReadyState {
        if self.slot().is_none() { ReadyState::Closed } else { self.pipe.ready_state() }
    }

    fn attachment(&self) -> Option<Vec<u8>> {
        self.pipe.attachment.borrow().clone()
    }

    fn set_attachment(&self, bytes: &[u8]) -> Result<(), SocketError> {
        let Some(slot) = self.slot() else { return Err(SocketError::Closed) };
        let cloned_bytes = bytes.len() + CLONE_BYTES;
        if cloned_bytes > MAX_CLONED_BYTES {
            return Err(SocketError::Platform(format!(
                "A WebSocket 'attachment' cannot be larger than {MAX_CLONED_BYTES} bytes.'attachment' was {cloned_bytes} bytes."
            )));
        }
        self.pipe.attachment.replace(Some(bytes.to_vec()));
        slot.attachment_writes.set(slot.attachment_writes.get() + 1);
        Ok(())
    }

    fn key(&self) -> Option<u64> {
        self.pipe.key.get().filter(|(wake, _)| *wake == self.wake).map(|(_, key)| key)
    }

    fn set_key(&self, key: u64) {
        self.pipe.key.set(Some((self.wake, key)));
    }
}

fn to_message(data: &Data<'_>) -> Message {
    match data {
        Data::Text(text) => Message::Text(text.clone().into_owned()),
        Data::Binary(bytes) => Message::Binary(bytes.clone().into_owned()),
    }
}

/// A handshake that waits for the agent.
pub(super) struct Knock {
    pub(super) world: Weak<World>,
    pub(super) end: ServerEnd,
}

impl Upgrade for Knock {
    fn accept(&self, tags: &[String], hibernate: bool) -> Result<Rc<dyn Socket>, HostError> {
        let ServerEnd { pipe, wake, .. } = &self.end;
        let (Some(world), Some(slot)) = (self.world.upgrade(), self.end.slot()) else {
            return Err(HostError::new("the object has been reset"));
        };
        if pipe.accepted.borrow().is_some() {
            return Err(HostError::new("Cannot accept() a WebSocket that has already been accepted."));
        }
        if tags.len() > MAX_TAGS {
            return Err(HostError::new(format!("a Hibernatable WebSocket cannot have more than {MAX_TAGS} tags")));
        }
        if let Some(tag) = tags.iter().find(|tag| tag.len() > MAX_TAG_BYTES) {
            return Err(HostError::new(format!("\"{tag}\" is longer than the max tag length ({MAX_TAG_BYTES} characters).")));
        }
        if slot.pipes.borrow().len() >= MAX_SOCKETS {
            return Err(HostError::new(format!("only {MAX_SOCKETS} websockets can be accepted on a single Durable Object")));
        }
        pipe.accepted.replace(Some(Accepted { slot: Rc::downgrade(&slot), tags: tags.to_vec(), hibernate }));
        slot.pipes.borrow_mut().push(Rc::clone(pipe));
        pipe.flush_up(&world);
        Ok(Rc::new(ServerEnd { pipe: Rc::clone(pipe), slot: Rc::downgrade(&slot), wake: *wake }))
    }
}
