//! Waiting for somebody to leave.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// Those who want to be woken when something has ended.
#[derive(Debug, Default)]
pub(crate) struct Farewells {
    // In the order of their tickets: a map is more code than all that is done here.
    waiting: RefCell<Vec<(u64, Waker)>>,
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
        for (_, waker) in self.waiting.take() {
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
        let mut waker = (self.ticket, waker.clone());
        let mut waiting = self.farewells.waiting.borrow_mut();
        match place(&waiting, self.ticket) {
            Ok(place) => waiting.get_mut(place).into_iter().for_each(|earlier| std::mem::swap(earlier, &mut waker)),
            Err(place) => return waiting.insert(place, waker),
        }
        drop(waiting);
        // After the borrow: dropping the last handle of a task runs anything.
        drop(waker);
    }
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut waiting = self.farewells.waiting.borrow_mut();
        let left = place(&waiting, self.ticket).ok().map(|place| waiting.remove(place));
        drop(waiting);
        drop(left);
    }
}

fn place(waiting: &[(u64, Waker)], ticket: u64) -> Result<usize, usize> {
    waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket)
}
