//! Methods that clients may call.
//!
//! A [`Callable`] is one row of an agent's table of such methods. The dispatch, and exactly one answer to every call, are in the
//! runtime; what fills the table and what else a method may do is the author's side.

use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::agent::Agent;
use crate::connection::Connection;
use crate::context::Context;
use crate::error::{Result, bail, error};

/// What a method answers: JSON, or nothing.
pub type Answer = Option<Box<RawValue>>;

/// One method that clients may call, under its name on the wire.
pub struct Callable<A: Agent> {
    /// Name on the wire.
    pub name: &'static str,
    /// Calls it. The context's state setter refuses if the caller is readonly.
    pub call: fn(Call<A>) -> LocalBoxFuture<'static, Result<Answer>>,
}

/// One call on its way to a method.
pub struct Call<A: Agent> {
    /// The agent.
    pub agent: Rc<A>,
    /// Its context in this event.
    pub cx: Context<A>,
    /// Who called.
    pub connection: Connection<A>,
    /// With what.
    pub args: Args,
}

/// Arguments of a call, not yet read.
#[derive(Debug)]
pub struct Args(pub(crate) Vec<Box<RawValue>>);

impl Args {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads one argument.
    ///
    /// # Errors
    /// It is missing or does not fit `T`; the text names the argument and what was expected.
    pub fn get<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T> {
        let Some(raw) = self.0.get(index) else { bail!("argument {name} is missing") };
        serde_json::from_str(raw.get()).map_err(|wrong| error!("argument {name}: {wrong}"))
    }
}

/// Writes what a method returned.
///
/// # Errors
/// It cannot be written as JSON; the text says why.
pub fn answer(value: &impl serde::Serialize) -> Result<Answer> {
    Ok(Some(serde_json::value::to_raw_value(value)?))
}

impl<A: Agent> fmt::Debug for Callable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callable({})", self.name)
    }
}

impl<A: Agent> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} arguments)", self.args.len())
    }
}
