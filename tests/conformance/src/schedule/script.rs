//! What a callback does at each of its attempts.

use std::cell::{Cell, RefCell};

use durable_agents::host::{HostError, HostFault};
use durable_agents::prelude::*;
use serde::Deserialize;

/// Steps to follow, one for each attempt. In memory.
#[derive(Debug, Default)]
pub(super) struct Script {
    steps: RefCell<Vec<Step>>,
    calls: Cell<usize>,
}

/// One attempt.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) message: String,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Succeed,
    Throw,
    ThrowRetryable,
    ThrowWrapped,
}

impl Script {
    pub(super) fn load(&self, steps: Vec<Step>) {
        self.steps.replace(steps);
        self.calls.set(0);
    }

    /// How many attempts there were since it was loaded.
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// The next attempt; past the end all succeed.
    pub(super) fn play(&self) -> Result<()> {
        let step = self.steps.borrow().get(self.calls.get()).cloned();
        self.calls.set(self.calls.get() + 1);
        match step {
            None | Some(Step { kind: Kind::Succeed, .. }) => Ok(()),
            Some(Step { kind: Kind::Throw, message }) => Err(HostError::new(message).into()),
            Some(Step { kind: Kind::ThrowRetryable, message }) => {
                Err(HostError::from(HostFault { retryable: true, ..HostFault::new(message) }).into())
            }
            Some(Step { kind: Kind::ThrowWrapped, message }) => {
                let wrapper = format!("SQL query failed: {message}");
                Err(Error::from(HostError::new(message)).context(wrapper))
            }
        }
    }
}
