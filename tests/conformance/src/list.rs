//! Lists in an agent's memory.

use std::cell::RefCell;

/// What happened to an agent, in order, until it leaves memory.
#[derive(Debug)]
pub(crate) struct List<T>(RefCell<Vec<T>>);

impl<T: Clone> List<T> {
    pub(crate) fn push(&self, item: T) {
        self.0.borrow_mut().push(item);
    }

    /// A copy of it.
    pub(crate) fn items(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}
