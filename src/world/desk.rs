//! Where frames leave and chats are admitted, all of them counted.

use std::cell::Cell;
use std::rc::Rc;

use durable_agents::host::Level;
use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

use super::frames::{Frame, News};
use super::refusal::{Code, Refusal};
use super::{Visitor, WorldAgent, store};

/// Most chats of one user at the same time.
pub const MAX_CHATS: usize = 4;

/// Frames that came and went, and when the last one did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) last_ms: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
            last_ms: self.last_ms.max(other.last_ms),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What an agent and its chats share.
///
/// Its counts outlast hibernation: at the end of an event they go into the database if the event has written there anyway, and
/// otherwise, a ping's for instance, into the attachment of its connection, which costs nothing on disk. From there they go into the
/// database with the connection's next event that writes, or when it closes. What a crash of the object loses is what its connections
/// carried, and never what was said.
#[derive(Debug, Default)]
pub(super) struct Desk {
    // Since the end of the last event.
    counts: Cell<Counts>,
    chats: Cell<usize>,
}

/// Room for one chat, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Rc<Desk>);

impl Seat {
    pub(super) fn take(desk: &Rc<Desk>) -> Result<Self, Refusal> {
        let taken = desk.chats.get();
        if taken >= MAX_CHATS {
            let message =
                format!("{MAX_CHATS} messages of yours are being answered: send this one again when one of them has been");
            return Err(Refusal::new(Code::Busy, message));
        }
        desk.chats.set(taken + 1);
        Ok(Self(Rc::clone(desk)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.chats.set(self.0.chats.get().saturating_sub(1));
    }
}

impl Desk {
    fn count(&self, more: Counts) {
        self.counts.set(self.counts.get().plus(more));
    }

    pub(super) fn count_received(&self, cx: &Context<WorldAgent>) {
        self.count(Counts { received: 1, last_ms: cx.now_ms(), ..Counts::default() });
    }

    fn count_sent(&self, cx: &Context<WorldAgent>) {
        self.count(Counts { sent: 1, last_ms: cx.now_ms(), ..Counts::default() });
    }

    /// Sends a frame to a client. One who has left misses nothing.
    pub(super) fn send(
        &self,
        cx: &Context<WorldAgent>,
        connection: &Connection<WorldAgent>,
        reply_to: Option<&str>,
        frame: &Frame<'_>,
    ) -> Result<()> {
        if connection.send(frame.to_text(cx.uuid(), cx.now_ms(), reply_to)?).is_ok() {
            self.count_sent(cx);
        }
        Ok(())
    }

    /// Sends an error to a client.
    pub(super) fn refuse(
        &self,
        cx: &Context<WorldAgent>,
        connection: &Connection<WorldAgent>,
        reply_to: Option<&str>,
        refusal: &Refusal,
    ) -> Result<()> {
        self.send(cx, connection, reply_to, &Frame::Error(refusal))
    }

    /// Tells all who subscribed to it of an event.
    pub(super) fn tell(&self, cx: &Context<WorldAgent>, world: &str, data: News<'_>) -> Result<()> {
        let event = data.topic();
        let listens = |connection: &Connection<WorldAgent>| {
            connection.state().is_ok_and(|visitor| visitor.is_some_and(|visitor| visitor.topics.contains(&event)))
        };
        let listeners: Vec<_> = cx.connections().filter(listens).collect();
        if listeners.is_empty() {
            return Ok(());
        }
        let frame = Frame::Event { event, world, data }.to_text(cx.uuid(), cx.now_ms(), None)?;
        for listener in listeners {
            if listener.send(&frame).is_ok() {
                self.count_sent(cx);
            }
        }
        Ok(())
    }

    /// Has a connection carry the counts. One that cannot, because it has closed for instance, leaves them to the database.
    pub(super) fn hand_over(&self, cx: &Context<WorldAgent>, connection: &Connection<WorldAgent>) {
        let counts = self.counts.get();
        let carried = connection.update_state(|visitor| {
            let visitor = visitor.unwrap_or_default();
            Visitor { counts: visitor.counts.plus(counts), ..visitor }
        });
        match carried {
            Ok(()) => self.counts.set(Counts::default()),
            Err(_) => self.settle(cx),
        }
    }

    /// Takes back what a connection carries, to be settled. One that has closed has given it back already.
    pub(super) fn take_back(&self, connection: &Connection<WorldAgent>) {
        let Ok(Some(visitor)) = connection.state() else { return };
        if visitor.counts.is_nothing() {
            return;
        }
        if connection.set_state(Visitor { counts: Counts::default(), ..Visitor::clone(&visitor) }).is_ok() {
            self.count(visitor.counts);
        }
    }

    /// The same of a connection that is closing, whose attachment takes nothing any more.
    pub(super) fn inherit(&self, visitor: &Visitor) {
        self.count(visitor.counts);
    }

    /// Writes the counts down. Left for the next time if that fails, as no request fails for its statistics.
    pub(super) fn settle(&self, cx: &Context<WorldAgent>) {
        let counts = self.counts.take();
        if counts.is_nothing() {
            return;
        }
        if let Err(error) = store::count(cx, &counts) {
            cx.log(Level::Warn, &format!("statistics could not be written: {error}"));
            self.count(counts);
        }
    }
}
