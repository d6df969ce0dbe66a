//! Waiting for somebody to leave.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

/// Those who want to be woken when something has ended.
#[derive(Debug, Default)]
pub(crate) struct Farewells {
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next_ticket: Cell<u64>,
}

impl Farewells {
    /// A place among those who wait.
    pub(crate) fn join(&self) -> Farewell<'_> {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket.wrapping_add(1));
        Farewell { farewells: self, ticket }
    }

    /// Wakes everybody, to look whether it was theirs.
    pub(crate) fn say(&self) {
        for waker in self.waiting.take().into_values() {
            waker.wake();
        }
    }
}

/// One who waits. Dropped at any time, it is forgotten.
#[derive(Debug)]
pub(crate) struct Farewell<'a> {
    farewells: &'a Farewells,
    ticket: u64,
}

impl Farewell<'_> {
    pub(crate) fn register(&self, waker: &Waker) {
        // Dropped after the borrow: dropping the last handle of a task runs anything.
        let _earlier = self.farewells.waiting.borrow_mut().insert(self.ticket, waker.clone());
    }
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let _waker = self.farewells.waiting.borrow_mut().remove(&self.ticket);
    }
}
