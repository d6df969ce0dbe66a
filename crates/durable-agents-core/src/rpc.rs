//! Methods that can be called: by clients over their sockets, and by other agents.
//!
//! A [`Callable`] is one row of an agent's table of such methods; `#[callable]` makes it. The dispatch, and exactly one answer to every
//! call, are in the runtime.

mod args;
mod framework;
mod remote;
mod stream;

use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

pub use args::{Args, ArgumentError, argument, optional};
pub(crate) use framework::is_member;
pub(crate) use remote::{CALL_HEADER, CALL_URL, Hop, Incoming, Kind, Trace, answer_to_code, uuid};
pub use remote::{CallError, Calling, Remote, Stub, Transport, WireArgument, WireResult, array_of, typed};
pub(crate) use stream::Outlet;
pub use stream::{Stream, StreamError};

use crate::agent::Agent;
use crate::context::Context;
use crate::error::{Result, error};
use crate::json::Json;
use crate::task::Handler;

/// What a method answers: JSON, or nothing.
pub type Answer = Option<Json>;

/// One method that may be called, under its name on the wire.
pub struct Callable<A: Agent> {
    /// Name on the wire.
    pub name: &'static str,
    /// What it does, in a line; empty if nobody said.
    pub description: &'static str,
    /// What [`Agent::has_scope`] is asked for before a client's call; agents are not asked.
    pub scope: Option<&'static str>,
    /// Whether it answers by a [`Stream`].
    pub streaming: bool,
    /// Calls it. The context's state setter refuses if the caller is readonly.
    pub call: fn(Call<A>) -> LocalBoxFuture<'static, Result<Answer>>,
}

impl<A: Agent> Callable<A> {
    /// A method that everyone may call and that answers once.
    pub const fn new(name: &'static str, call: fn(Call<A>) -> LocalBoxFuture<'static, Result<Answer>>) -> Self {
        Self { name, description: "", scope: None, streaming: false, call }
    }

    /// The same with a description.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The same for clients that have that scope alone.
    #[must_use]
    pub const fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same, answering by a [`Stream`].
    #[must_use]
    pub const fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }
}

/// The methods of an agent, as its block of them declares: what `#[agent]` and `#[callable]` on an inherent `impl` make.
pub struct Methods<A: Agent> {
    /// For [`Agent::callables`].
    pub callables: &'static [Callable<A>],
    /// For [`Agent::callbacks`].
    pub callbacks: &'static [Handler<A>],
    /// For [`Agent::uncallable`].
    pub uncallable: &'static [&'static str],
}

impl<A: Agent> Methods<A> {
    /// Of an agent without such a block.
    pub const NONE: Self = Self { callables: &[], callbacks: &[], uncallable: &[] };
}

/// One call on its way to a method.
pub struct Call<A: Agent> {
    /// The agent.
    pub agent: Rc<A>,
    /// Its context in this call, which knows the [caller](Context::caller).
    pub cx: Context<A>,
    /// With what.
    pub args: Args,
    pub(crate) outlet: Option<Rc<Outlet>>,
}

impl<A: Agent> Call<A> {
    /// Where a streaming method sends its chunks and its end.
    ///
    /// # Errors
    /// The method is not declared as streaming.
    pub fn stream<T, F>(&self) -> Result<Stream<T, F>> {
        match &self.outlet {
            Some(outlet) => Ok(Stream::new(Rc::clone(outlet))),
            None => Err(error!("the method is not declared as streaming")),
        }
    }
}

/// Writes what a method returned.
///
/// # Errors
/// It cannot be written as JSON; the text says why.
pub fn answer<T: serde::Serialize>(value: &T) -> Result<Answer> {
    Ok(Some(Json::of(value)?))
}

impl<A: Agent> fmt::Debug for Callable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callable")
            .field("name", &self.name)
            .field("description", &self.description)
            .field("scope", &self.scope)
            .field("streaming", &self.streaming)
            .finish_non_exhaustive()
    }
}

impl<A: Agent> fmt::Debug for Methods<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Methods")
            .field("callables", &self.callables)
            .field("callbacks", &self.callbacks)
            .finish_non_exhaustive()
    }
}

impl<A: Agent> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?})", self.args)
    }
}
