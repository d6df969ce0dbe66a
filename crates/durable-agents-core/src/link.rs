//! One connection, as the runtime knows it: no agent type in it.

use std::any::Any;
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::attachment::{Attachment, Flags};
use crate::close;
use crate::error::{AttachmentError, ConnectionError};
use crate::farewell::Farewells;
use crate::guard;
use crate::host::{Host, ReadyState, Socket, SocketError};
use crate::lifecycle::Inbox;
use crate::message::Payload;
use crate::tags::Tags;

/// Lowest bits of a serial, which count the connections of one millisecond; above them is the time.
pub(crate) const SERIAL_COUNT_BITS: u32 = 10;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Being decided on; no socket yet.
    Planned,
    /// Accepted and listed; its connect hook has not ended, so its events wait.
    Opening,
    /// Its events are handled as they come.
    Open,
    /// The peer has begun to close, or the connect failed: not listed, close hook still due.
    Leaving,
    /// The close hook has begun or ended; nothing may happen any more.
    Gone,
}

/// Whether what memory knows of a connection is in its attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    Yes,
    /// It will be once the author's code gives control back.
    Soon,
    /// The platform refused when nobody was there to hear of it: whoever changes something next does.
    Refused,
}

thread_local! {
    /// Those that are to be saved soon.
    static UNSAVED: RefCell<Vec<Rc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// Writes the attachments that have changed since the author's code took control: once for each, whatever has changed how often.
///
/// Attachments outlast hibernation and nothing else, and hibernation comes between events only.
pub(crate) fn save_all() {
    if UNSAVED.with_borrow(|links| !links.is_empty()) {
        save_changed();
    }
}

// Not a part of what every event runs through.
#[inline(never)]
fn save_changed() {
    for link in UNSAVED.take() {
        link.save();
    }
}

pub(crate) struct Link {
    socket: OnceCell<Rc<dyn Socket>>,
    phase: Cell<Phase>,
    // The agent has closed it: over for the agent, though the peer has not answered yet.
    closed_here: Cell<bool>,
    flags: Cell<Flags>,
    serial: u64,
    tags: RefCell<Tags>,
    id: String,
    uri: String,
    state: RefCell<Option<String>>,
    // The state as the agent's own type, decoded at the first look.
    typed: RefCell<Option<Rc<dyn Any>>>,
    meter: RefCell<Option<String>>,
    // The same as who counts has it, once something was counted in this wake.
    typed_meter: RefCell<Option<Rc<dyn Any>>>,
    saved: Cell<Saved>,
    pub(crate) inbox: RefCell<Inbox>,
    // Told when it is no longer listed.
    pub(crate) farewells: Farewells,
}

impl Link {
    /// A connection that is being decided on.
    pub(crate) fn planned(id: String, uri: String, serial: u64) -> Self {
        Self {
            socket: OnceCell::new(),
            phase: Cell::new(Phase::Planned),
            closed_here: Cell::new(false),
            flags: Cell::default(),
            serial,
            tags: RefCell::new(Tags::stored(vec![id.clone()])),
            id,
            uri,
            state: RefCell::default(),
            typed: RefCell::default(),
            meter: RefCell::default(),
            typed_meter: RefCell::default(),
            saved: Cell::new(Saved::Yes),
            inbox: RefCell::default(),
            farewells: Farewells::default(),
        }
    }

    /// A connection that was accepted in an earlier wake. `None` if the socket is not ours.
    // Once a wake, and not a part of what every message runs through.
    #[inline(never)]
    pub(crate) fn restored(socket: Rc<dyn Socket>) -> Option<Self> {
        let attachment = Attachment::decode(&socket.attachment()?)?;
        let id = attachment.tags.as_slice().first()?.clone();
        let link = Self::planned(id, attachment.uri, attachment.serial);
        link.flags.set(attachment.flags);
        link.tags.replace(attachment.tags);
        link.state.replace(attachment.state);
        link.meter.replace(attachment.meter);
        link.phase.set(Phase::Open);
        // The agent may have closed it in an earlier wake, or its connect failed: its messages are not for the agent any more.
        link.closed_here.set(socket.ready_state() != ReadyState::Open);
        // The cell is new, so it is empty.
        let _ = link.socket.set(socket);
        Some(link)
    }

    /// Gives it its accepted socket, and writes the attachment.
    pub(crate) fn accepted(&self, socket: Rc<dyn Socket>) -> Result<(), AttachmentError> {
        let _ = self.socket.set(socket);
        self.phase.set(Phase::Opening);
        self.write(self.flags.get(), self.state.borrow().as_deref(), self.meter.borrow().as_deref())
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// When it was opened, in Unix milliseconds.
    pub(crate) fn connected_ms(&self) -> u64 {
        self.serial >> SERIAL_COUNT_BITS
    }

    pub(crate) fn tags(&self) -> Ref<'_, Tags> {
        self.tags.borrow()
    }

    pub(crate) fn set_tags(&self, tags: Tags) {
        self.tags.replace(tags);
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.borrow().as_slice().iter().any(|own| own == tag)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        if !self.is_listed() {
            self.farewells.say();
        }
    }

    pub(crate) fn socket(&self) -> Option<&Rc<dyn Socket>> {
        self.socket.get()
    }

    /// Whether it takes part in broadcasts, as far as the runtime has been told.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.phase.get(), Phase::Opening | Phase::Open) && !self.closed_here.get()
    }

    /// Whether a message of it is still for the agent, which has not closed it: also one that came before the peer's end and had to wait.
    pub(crate) fn is_heard(&self) -> bool {
        self.phase.get() != Phase::Gone && !self.closed_here.get()
    }

    fn listed_socket(&self) -> Option<&Rc<dyn Socket>> {
        self.socket.get().filter(|_| self.is_listed())
    }

    /// Ends once it is not listed any more.
    pub(crate) async fn left(&self) {
        let farewell = self.farewells.join();
        poll_fn(|cx| {
            if !self.is_listed() {
                return Poll::Ready(());
            }
            farewell.register(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Whether it takes part in lists: listed, and the platform says open too.
    pub(crate) fn is_open(&self) -> bool {
        self.listed_socket().is_some_and(|socket| socket.ready_state() == ReadyState::Open)
    }

    pub(crate) fn flags(&self) -> Flags {
        self.flags.get()
    }

    pub(crate) fn set_flags(self: &Rc<Self>, flags: Flags) -> Result<(), AttachmentError> {
        self.store(flags, self.state.borrow().as_deref(), self.meter.borrow().as_deref())?;
        self.flags.set(flags);
        Ok(())
    }

    /// Notes that presence has taken note of its end. A socket that has gone cannot store it, and need not.
    pub(crate) fn mark_departed(self: &Rc<Self>) {
        let flags = Flags { departed: true, ..self.flags.get() };
        let _ = self.set_flags(flags);
        self.flags.set(flags);
    }

    /// What limits and liveness have counted, as JSON text.
    pub(crate) fn with_meter<T>(&self, read: impl FnOnce(Option<&str>) -> T) -> T {
        read(self.meter.borrow().as_deref())
    }

    /// The same, decoded, if it was replaced in this wake.
    pub(crate) fn typed_meter(&self) -> Option<Rc<dyn Any>> {
        self.typed_meter.borrow().clone()
    }

    /// Replaces that, in the attachment and in memory.
    pub(crate) fn set_meter(self: &Rc<Self>, json: String, typed: Rc<dyn Any>) -> Result<(), AttachmentError> {
        if self.phase.get() == Phase::Gone {
            return Err(AttachmentError::Closed);
        }
        self.store(self.flags.get(), self.state.borrow().as_deref(), Some(&json))?;
        self.meter.replace(Some(json));
        self.typed_meter.replace(Some(typed));
        Ok(())
    }

    /// The state's JSON text.
    pub(crate) fn with_state<T>(&self, read: impl FnOnce(Option<&str>) -> T) -> T {
        read(self.state.borrow().as_deref())
    }

    pub(crate) fn typed_state(&self) -> Option<Rc<dyn Any>> {
        self.typed.borrow().clone()
    }

    pub(crate) fn set_typed_state(&self, typed: Rc<dyn Any>) {
        self.typed.replace(Some(typed));
    }

    /// Replaces the state, unless there is no room for it: what is read back survives.
    pub(crate) fn set_state(self: &Rc<Self>, json: Option<String>, typed: Option<Rc<dyn Any>>) -> Result<(), AttachmentError> {
        if self.phase.get() == Phase::Gone {
            return Err(AttachmentError::Closed);
        }
        self.store(self.flags.get(), json.as_deref(), self.meter.borrow().as_deref())?;
        self.state.replace(json);
        self.typed.replace(typed);
        Ok(())
    }

    pub(crate) fn send(&self, payload: &Payload<'_>) -> Result<(), SocketError> {
        self.listed_socket().ok_or(SocketError::Closed)?.send(payload)
    }

    pub(crate) fn send_all(&self, frames: &str) -> Result<(), SocketError> {
        self.listed_socket().ok_or(SocketError::Closed)?.send_all(frames)
    }

    pub(crate) fn close(&self, code: u16, reason: &str) -> Result<(), ConnectionError> {
        close::check(code, reason)?;
        let socket = self.listed_socket().ok_or(ConnectionError::Closed)?;
        // Its close hook may come after hibernation, and a socket that is closing need not take an attachment.
        self.save();
        socket.close(Some(code), reason)?;
        self.closed_here.set(true);
        self.farewells.say();
        Ok(())
    }

    /// Sees to it that this comes into the attachment, or says why it cannot.
    fn store(self: &Rc<Self>, flags: Flags, state: Option<&str>, meter: Option<&str>) -> Result<(), AttachmentError> {
        if !Attachment::fits_anyway(&self.tags.borrow(), &self.uri, state, meter) {
            // Rare enough to be made for this alone.
            Attachment::encode(flags, self.serial, &self.tags.borrow(), &self.uri, state, meter)?;
        }
        // Not accepted yet: it fits, and is written on accept.
        if self.socket.get().is_none() {
            return Ok(());
        }
        match self.saved.get() {
            Saved::Soon => Ok(()),
            Saved::Yes if guard::is_inside() => {
                self.saved.set(Saved::Soon);
                UNSAVED.with_borrow_mut(|unsaved| unsaved.push(Rc::clone(self)));
                Ok(())
            }
            Saved::Yes | Saved::Refused => self.write(flags, state, meter),
        }
    }

    fn write(&self, flags: Flags, state: Option<&str>, meter: Option<&str>) -> Result<(), AttachmentError> {
        let bytes = Attachment::encode(flags, self.serial, &self.tags.borrow(), &self.uri, state, meter)?;
        if let Some(socket) = self.socket.get() {
            socket.set_attachment(&bytes)?;
        }
        self.saved.set(Saved::Yes);
        Ok(())
    }

    /// Writes what is to be saved soon, if anything is.
    fn save(&self) {
        if self.saved.get() != Saved::Soon {
            return;
        }
        let written = self.write(self.flags.get(), self.state.borrow().as_deref(), self.meter.borrow().as_deref());
        // One that has ended needs nothing any more.
        let is_needed = self.is_listed();
        self.saved.set(if written.is_err() && is_needed { Saved::Refused } else { Saved::Yes });
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("id", &self.id).field("phase", &self.phase.get()).finish_non_exhaustive()
    }
}

/// The connections that are in memory: a cache of the platform's sockets and their attachments.
pub(crate) struct Links {
    host: Rc<dyn Host>,
    slots: RefCell<Vec<Option<Rc<Link>>>>,
    free: RefCell<Vec<usize>>,
    // Drawn for the first socket: many wakes have none.
    epoch: OnceCell<u64>,
    // Whether every socket of the platform is in here.
    complete: Cell<bool>,
}

/// Bits of a socket's key that hold the slot; the rest of the 53 that a JavaScript number can is the epoch.
const SLOT_BITS: u32 = 21;

/// Stands for a slot in the key of a socket whose connection has ended: its slot may be another's by now.
const ENDED: u64 = (1 << SLOT_BITS) - 1;

impl Links {
    pub(crate) fn new(host: Rc<dyn Host>) -> Self {
        Self { host, slots: RefCell::default(), free: RefCell::default(), epoch: OnceCell::new(), complete: Cell::new(false) }
    }

    /// What tells this wake, and its keys, from others; random.
    pub(crate) fn epoch(&self) -> u64 {
        *self.epoch.get_or_init(|| {
            let mut epoch = [0; 4];
            self.host.fill_random(&mut epoch);
            u32::from_le_bytes(epoch).into()
        })
    }

    pub(crate) fn insert(&self, link: Rc<Link>) {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        if let (Some(socket), Ok(number)) = (link.socket(), u64::try_from(slot)) {
            socket.set_key(self.epoch() << SLOT_BITS | number);
        }
        if let Some(place) = slots.get_mut(slot) {
            *place = Some(link);
        }
    }

    /// The record of a socket: from memory, or else from its attachment. `None` if the socket is not ours, or not any more.
    pub(crate) fn resolve(&self, socket: &Rc<dyn Socket>) -> Option<Rc<Link>> {
        if let Some(slot) = self.slot_of(socket) {
            return self.slots.borrow().get(slot)?.clone();
        }
        let link = Rc::new(Link::restored(Rc::clone(socket))?);
        self.insert(Rc::clone(&link));
        Some(link)
    }

    /// The record in memory whose socket has that key.
    pub(crate) fn find(&self, key: u64) -> Option<Rc<Link>> {
        self.slots.borrow().get(self.slot_at(key)?)?.clone()
    }

    fn slot_of(&self, socket: &Rc<dyn Socket>) -> Option<usize> {
        self.slot_at(socket.key()?)
    }

    fn slot_at(&self, key: u64) -> Option<usize> {
        // Before the first socket, no key is of this wake.
        if Some(&(key >> SLOT_BITS)) != self.epoch.get() {
            return None;
        }
        usize::try_from(key & ENDED).ok()
    }

    /// Forgets a connection that has ended, whatever else its socket reports during this wake.
    pub(crate) fn remove(&self, link: &Rc<Link>) {
        let Some(socket) = link.socket() else { return };
        let Some(slot) = self.slot_of(socket) else { return };
        socket.set_key(self.epoch() << SLOT_BITS | ENDED);
        if let Some(place) = self.slots.borrow_mut().get_mut(slot)
            && place.as_ref().is_some_and(|here| Rc::ptr_eq(here, link))
        {
            *place = None;
            self.free.borrow_mut().push(slot);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get()
    }

    pub(crate) fn set_complete(&self) {
        self.complete.set(true);
    }

    /// Calls `visit` with every record in memory. It must not insert or remove any.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Rc<Link>)) {
        for link in self.slots.borrow().iter().flatten() {
            visit(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::MAX_ATTACHMENT_BYTES;
    use crate::error::Result;
    use crate::guard::guard_sync;

    #[derive(Default)]
    struct Plug {
        attachments: RefCell<Vec<Vec<u8>>>,
        refuses: Cell<bool>,
    }

    impl Socket for Plug {
        fn send(&self, _: &Payload<'_>) -> Result<(), SocketError> {
            Ok(())
        }

        fn close(&self, _: Option<u16>, _: &str) -> Result<(), SocketError> {
            Ok(())
        }

        fn ready_state(&self) -> ReadyState {
            ReadyState::Open
        }

        fn attachment(&self) -> Option<Vec<u8>> {
            self.attachments.borrow().last().cloned()
        }

        fn set_attachment(&self, bytes: &[u8]) -> Result<(), SocketError> {
            if self.refuses.get() {
                return Err(SocketError::Platform("no".to_owned()));
            }
            self.attachments.borrow_mut().push(bytes.to_vec());
            Ok(())
        }

        fn key(&self) -> Option<u64> {
            None
        }

        fn set_key(&self, _: u64) {}
    }

    fn plugged() -> (Rc<Link>, Rc<Plug>) {
        let (link, plug) = (Rc::new(Link::planned("id".to_owned(), "https://h/".to_owned(), 7)), Rc::new(Plug::default()));
        link.accepted(Rc::clone(&plug) as _).expect("fits");
        (link, plug)
    }

    fn set(link: &Rc<Link>, json: &str) -> Result<(), AttachmentError> {
        link.set_state(Some(json.to_owned()), None)
    }

    fn stored(plug: &Rc<Plug>) -> Option<String> {
        Link::restored(Rc::clone(plug) as _).expect("ours").with_state(|state| state.map(str::to_owned))
    }

    #[test]
    fn what_a_hook_changes_is_written_once_when_it_gives_control_back() {
        let (link, plug) = plugged();
        let outcome: Result<()> = guard_sync(|| {
            for json in ["1", "2"] {
                // A hook within a hook gives nothing back.
                guard_sync(|| Ok(set(&link, json)?))?;
                link.set_meter("{}".to_owned(), Rc::new(()))?;
            }
            link.mark_departed();
            assert_eq!(plug.attachments.borrow().len(), 1);
            panic!("it writes what it had set")
        });
        assert!(outcome.is_err());
        assert_eq!((plug.attachments.borrow().len(), stored(&plug).as_deref()), (2, Some("2")));
        let restored = Link::restored(Rc::clone(&plug) as _).expect("ours");
        assert!(restored.flags().departed && restored.with_meter(|meter| meter == Some("{}")));
        // Who is in no hook writes at once.
        set(&link, "3").expect("fits");
        assert_eq!((plug.attachments.borrow().len(), stored(&plug).as_deref()), (3, Some("3")));
    }

    #[test]
    fn what_does_not_fit_is_refused_at_once_and_changes_nothing() {
        let (link, plug) = plugged();
        let outcome = guard_sync(|| {
            set(&link, "1")?;
            let refused = set(&link, &format!("\"{}\"", "x".repeat(MAX_ATTACHMENT_BYTES)));
            assert!(matches!(refused, Err(AttachmentError::TooLarge { .. })));
            Ok(link.with_state(|state| state.map(str::to_owned)))
        });
        assert_eq!(outcome.expect("no panic").as_deref(), Some("1"));
        assert_eq!(stored(&plug).as_deref(), Some("1"));
    }

    #[test]
    fn what_was_changed_before_closing_is_written_before() {
        let (link, plug) = plugged();
        let outcome: Result<()> = guard_sync(|| {
            set(&link, "1")?;
            link.close(1000, "")?;
            assert_eq!(stored(&plug).as_deref(), Some("1"));
            link.mark_departed();
            Ok(())
        });
        outcome.expect("open");
        // As it was accepted, before it closed, and because presence has taken note.
        assert_eq!(plug.attachments.borrow().len(), 3);
    }

    #[test]
    fn a_refusal_that_nobody_heard_is_heard_by_whoever_changes_something_next() {
        let (link, plug) = plugged();
        plug.refuses.set(true);
        guard_sync(|| Ok(set(&link, "1")?)).expect("nobody hears of it");
        let told = guard_sync(|| Ok(set(&link, "2")?)).expect_err("told");
        assert!(matches!(told.downcast_ref(), Some(AttachmentError::Platform(_))), "{told}");
        assert_eq!(link.with_state(|state| state.map(str::to_owned)).as_deref(), Some("1"));
        plug.refuses.set(false);
        guard_sync(|| Ok(set(&link, "3")?)).expect("fits");
        assert_eq!(stored(&plug).as_deref(), Some("3"));
    }
}
