//! What must wait for what: events for the start, those of a connection for its connect hook as well.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::agent::Close;
use crate::message::Message;
use crate::task::DESTROYED;

/// A queue at a door: one enters at a time, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    // Whoever is inside comes first. Tickets ascend.
    queue: RefCell<VecDeque<(u64, Option<Waker>)>>,
    next_ticket: Cell<u64>,
}

impl Gate {
    /// Whether somebody is inside or waiting.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    /// Waits for one's turn, which lasts until the returned value is dropped.
    // No `async fn`, whose code would be a part of whatever waits for it.
    pub(crate) fn enter(&self) -> Entering<'_> {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket.wrapping_add(1));
        self.queue.borrow_mut().push_back((ticket, None));
        Entering(Some(Turn { gate: self, ticket }))
    }

    /// Whether it is the turn of `ticket`; otherwise `waker` is told when it is.
    fn is_turn(&self, ticket: u64, waker: &Waker) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.front().is_some_and(|(first, _)| *first == ticket) {
            return true;
        }
        if let Some((_, kept)) = place_of(&queue, ticket).and_then(|place| queue.get_mut(place)) {
            *kept = Some(waker.clone());
        }
        false
    }
}

/// Where a ticket is in the queue, whose length must not count: all that wait look for theirs.
fn place_of(queue: &VecDeque<(u64, Option<Waker>)>, ticket: u64) -> Option<usize> {
    queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
}

/// A place in the queue whose turn has not come.
#[derive(Debug)]
pub(crate) struct Entering<'a>(Option<Turn<'a>>);

impl<'a> Future for Entering<'a> {
    type Output = Turn<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Turn<'a>> {
        match self.0.take_if(|turn| turn.gate.is_turn(turn.ticket, cx.waker())) {
            Some(turn) => Poll::Ready(turn),
            None => Poll::Pending,
        }
    }
}

/// A place in the queue of a [`Gate`]. Dropped at any time, also unfinished, it lets the next one pass.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    gate: &'a Gate,
    ticket: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.gate.queue.borrow_mut();
            if let Some(place) = place_of(&queue, self.ticket) {
                queue.remove(place);
            }
            queue.front_mut().and_then(|(_, waker)| waker.take())
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// Why an event does not reach the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    /// The start that it caused has failed, which has been reported.
    #[error("the agent could not start")]
    StartFailed,
    /// It is for a fresh instance.
    #[error("{}", DESTROYED)]
    Destroyed,
}

/// Most messages that wait on one connection for its connect hook or the start.
pub(crate) const MAX_INBOX_MESSAGES: usize = 1_024;

/// Most bytes of messages that wait so, on all connections of an instance: the largest single message the platform delivers, and a
/// quarter of an object's memory.
pub(crate) const MAX_INBOX_BYTES: usize = 32 * 1024 * 1024;

/// What a message takes in memory beside its own bytes, or a bit more.
const OVERHEAD_BYTES: usize = 64;

/// The place that an instance has for what waits in the inboxes of its connections.
#[derive(Debug, Default)]
pub(crate) struct Room {
    taken_bytes: Cell<usize>,
}

impl Room {
    /// Many small messages must not take more than a few large ones; those of one connection always have their overhead.
    const BYTES: usize = MAX_INBOX_BYTES + MAX_INBOX_MESSAGES * OVERHEAD_BYTES;

    fn take(&self, message: &Message) -> Result<(), Overflow> {
        let taken_bytes = self.taken_bytes.get().saturating_add(bytes_of(message));
        if taken_bytes > Self::BYTES {
            return Err(Overflow);
        }
        self.taken_bytes.set(taken_bytes);
        Ok(())
    }

    fn give_back(&self, message: &Message) {
        self.taken_bytes.set(self.taken_bytes.get().saturating_sub(bytes_of(message)));
    }
}

fn bytes_of(message: &Message) -> usize {
    message.len().saturating_add(OVERHEAD_BYTES)
}

/// What a connection's connect hook, or the start, has not let through yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    events: VecDeque<Waiting>,
}

/// One event of a connection that waits.
#[derive(Debug)]
pub(crate) enum Waiting {
    Message(Message),
    Close(Close),
    Error(String),
}

impl Waiting {
    /// What the peer or the platform said at the end, if it was no failure.
    pub(crate) fn as_close(&self) -> Option<&Close> {
        match self {
            Self::Close(close) => Some(close),
            Self::Message(_) | Self::Error(_) => None,
        }
    }
}

/// The inbox is full, or the room for all of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Inbox {
    /// Keeps an event. The end of a connection is always kept: there is one, and it must not be lost.
    pub(crate) fn push(&mut self, event: Waiting, room: &Room) -> Result<(), Overflow> {
        if let Waiting::Message(message) = &event {
            if self.events.len() >= MAX_INBOX_MESSAGES {
                return Err(Overflow);
            }
            room.take(message)?;
        }
        self.events.push_back(event);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn pop(&mut self, room: &Room) -> Option<Waiting> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            // Nothing may ever wait on that connection again.
            self.events = VecDeque::new();
        }
        if let Waiting::Message(message) = &event {
            room.give_back(message);
        }
        Some(event)
    }

    /// Forgets the messages and keeps the end of the connection.
    pub(crate) fn drop_messages(&mut self, room: &Room) {
        self.events.retain(|event| match event {
            Waiting::Message(message) => {
                room.give_back(message);
                false
            }
            Waiting::Close(_) | Waiting::Error(_) => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::task::noop_waker_ref;

    use super::*;

    #[test]
    fn one_enters_at_a_time_in_order_of_arrival() {
        let gate = Gate::default();
        let mut cx = Context::from_waker(noop_waker_ref());
        let (mut first, mut second, mut third) = (pin!(gate.enter()), pin!(gate.enter()), pin!(gate.enter()));
        let Poll::Ready(turn) = first.as_mut().poll(&mut cx) else { panic!("first waits") };
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(turn);
        assert!(third.as_mut().poll(&mut cx).is_pending(), "third overtook second");
        let Poll::Ready(turn) = second.as_mut().poll(&mut cx) else { panic!("second waits") };
        drop(turn);
        assert!(third.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn who_gives_up_waiting_blocks_nobody() {
        let gate = Gate::default();
        let mut cx = Context::from_waker(noop_waker_ref());
        let mut first = Box::pin(gate.enter());
        let Poll::Ready(turn) = first.as_mut().poll(&mut cx) else { panic!("first waits") };
        let mut second = Box::pin(gate.enter());
        let mut third = Box::pin(gate.enter());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(second);
        drop(turn);
        assert!(third.as_mut().poll(&mut cx).is_ready());
    }

    fn message(size_bytes: usize) -> Waiting {
        Waiting::Message(Message::Binary(vec![0; size_bytes]))
    }

    #[test]
    fn an_inbox_is_bounded_in_count_and_bytes_and_keeps_the_close() {
        let (mut inbox, room) = (Inbox::default(), Room::default());
        for _ in 0..MAX_INBOX_MESSAGES {
            assert_eq!(inbox.push(message(MAX_INBOX_BYTES / MAX_INBOX_MESSAGES), &room), Ok(()));
        }
        assert_eq!(inbox.push(message(0), &room), Err(Overflow));
        let close = Close { code: 1000, reason: String::new(), was_clean: true };
        assert_eq!(inbox.push(Waiting::Close(close), &room), Ok(()));
        inbox.drop_messages(&room);
        assert!(matches!(inbox.pop(&room), Some(Waiting::Close(_))));
        assert!(inbox.pop(&room).is_none());
        assert_eq!(room.taken_bytes.get(), 0);

        assert_eq!(inbox.push(message(MAX_INBOX_BYTES), &room), Ok(()));
        assert_eq!(inbox.push(message(Room::BYTES - MAX_INBOX_BYTES), &room), Err(Overflow));
        assert!(inbox.pop(&room).is_some());
        assert_eq!(inbox.push(message(Room::BYTES - MAX_INBOX_BYTES), &room), Ok(()));
    }

    #[test]
    fn all_inboxes_share_one_room_in_which_small_messages_count_as_well() {
        let room = Room::default();
        let mut inboxes: Vec<Inbox> = (0..1_000).map(|_| Inbox::default()).collect();
        let mut kept = 0;
        for inbox in &mut inboxes {
            kept += (0..MAX_INBOX_MESSAGES).map_while(|_| inbox.push(message(0), &room).ok()).count();
        }
        assert_eq!(kept, Room::BYTES / OVERHEAD_BYTES);
        assert!(size_of::<Waiting>() <= OVERHEAD_BYTES);
        for inbox in &mut inboxes {
            inbox.drop_messages(&room);
        }
        assert_eq!(room.taken_bytes.get(), 0);
    }
}
