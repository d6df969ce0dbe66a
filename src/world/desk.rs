//! Where frames leave and chats are admitted, all of them counted.

use std::cell::Cell;
use std::rc::Rc;

use durable_agents::host::Level;
use durable_agents::prelude::*;

use super::frames::{Frame, News};
use super::refusal::{Code, Refusal};
use super::{WorldAgent, store};

/// Most chats of one user at the same time.
pub const MAX_CHATS: usize = 4;

/// What an agent and its chats share.
#[derive(Debug, Default)]
pub(super) struct Desk {
    // Since they were last written down.
    received: Cell<u64>,
    sent: Cell<u64>,
    chats: Cell<usize>,
}

/// Room for one chat, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Rc<Desk>);

impl Seat {
    pub(super) fn take(desk: &Rc<Desk>) -> Result<Self, Refusal> {
        let taken = desk.chats.get();
        if taken >= MAX_CHATS {
            return Err(Refusal::new(Code::Busy, format!("{MAX_CHATS} messages are being answered already")));
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
    pub(super) fn count_received(&self) {
        self.received.set(self.received.get() + 1);
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
            self.sent.set(self.sent.get() + 1);
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
                self.sent.set(self.sent.get() + 1);
            }
        }
        Ok(())
    }

    /// Writes the counts down. Left for the next time if that fails, as no request fails for its statistics.
    pub(super) fn settle(&self, cx: &Context<WorldAgent>) {
        let (received, sent) = (self.received.take(), self.sent.take());
        if received + sent == 0 {
            return;
        }
        if let Err(error) = store::count(cx, received, sent) {
            cx.log(Level::Warn, &format!("statistics could not be written: {error}"));
            self.received.set(self.received.get() + received);
            self.sent.set(self.sent.get() + sent);
        }
    }
}
