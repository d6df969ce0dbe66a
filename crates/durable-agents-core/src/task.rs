//! Methods that run by name, later: what schedules and the queue have in common.
//!
//! A [`Handler`] is one row of an agent's table of such methods, a [`Callback`] is how its code names one, with the type of the
//! payload it takes. `#[callback]` on a method makes both.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::agent::Agent;
use crate::context::Context;
use crate::error::Result;

/// Name of a method of `A` that takes a payload `P`.
///
/// `#[callback]` on `async fn remind(…)` makes the constant `REMIND`; [`named`](Self::named) is for names that are known only at
/// run time.
pub struct Callback<A, P> {
    name: Cow<'static, str>,
    types: PhantomData<fn(&A, P)>,
}

impl<A, P> Callback<A, P> {
    /// The callback of a marked method. Its name on disk.
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// The callback of that name. That there is one, and that it takes a `P`, is checked when it is scheduled or queued, and when it
    /// runs.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), types: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<A, P> Clone for Callback<A, P> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

impl<A, P> fmt::Debug for Callback<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({})", self.name)
    }
}

/// One method that schedules and the queue may run, under its name on disk.
pub struct Handler<A: Agent> {
    /// Name on disk.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(Task<A>) -> LocalBoxFuture<'static, Result<()>>,
}

impl<A: Agent> fmt::Debug for Handler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handler({})", self.name)
    }
}

/// One run of a [`Handler`].
pub struct Task<A: Agent> {
    /// The agent.
    pub agent: Rc<A>,
    /// Its context: no connection, no request.
    pub cx: Context<A>,
    /// What runs, and why.
    pub run: Run,
    pub(crate) payload: Rc<str>,
}

impl<A: Agent> Task<A> {
    /// Reads the payload.
    ///
    /// # Errors
    /// [`PayloadError`]: it is not a `P`. The runtime keeps such a task among the dead letters instead of trying again.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P> {
        serde_json::from_str(&self.payload).map_err(|wrong| PayloadError { reason: wrong.to_string() }.into())
    }
}

impl<A: Agent> fmt::Debug for Task<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({:?})", self.run)
    }
}

/// What a callback may ask about its own run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Id of the schedule or queue item.
    pub id: String,
    /// Name of the callback.
    pub callback: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where it comes from.
    pub origin: RunOrigin,
}

/// What caused a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOrigin {
    /// A schedule.
    Schedule,
    /// An item of the queue.
    Queue,
}

/// A stored payload does not fit the type that its callback takes now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload does not fit its type: {reason}")]
pub struct PayloadError {
    /// What does not fit, and where.
    pub reason: String,
}
