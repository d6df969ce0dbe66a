//! Methods that run by name, later: what schedules and the queue have in common.
//!
//! A [`Handler`] is one row of an agent's table of such methods, a [`Callback`] is how its code names one, with the type of the
//! payload it takes. `#[callback]` on a method makes both.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::agent::Agent;
use crate::context::Context;
use crate::error::Result;
use crate::host::HostError;
use crate::json;
use crate::retry::{RetryOptions, RetryOptionsError};
use crate::schedule::CronError;
use crate::sql::MAX_VALUE_BYTES;

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

impl<A> Callback<A, ()> {
    /// [`Context::destroy`] as a callback: an agent that ends itself at a time of its choice.
    pub const DESTROY: Self = Self::new(DESTROY);
}

/// Name of the callback that every agent has.
pub(crate) const DESTROY: &str = "destroy";

impl<A, P> Clone for Callback<A, P> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

impl<A, P> From<&Self> for Callback<A, P> {
    fn from(callback: &Self) -> Self {
        callback.clone()
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
        json::read(&self.payload).map_err(|wrong| PayloadError { reason: wrong.to_string() }.into())
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOrigin {
    /// A schedule.
    Schedule,
    /// An item of the queue.
    Queue,
}

impl RunOrigin {
    /// Its name on disk and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Queue => "queue",
        }
    }
}

/// A stored payload does not fit the type that its callback takes now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload does not fit its type: {reason}")]
pub struct PayloadError {
    /// What does not fit, and where.
    pub reason: String,
}

/// Why something was not scheduled or queued, or could not be looked up. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The agent has no callback of that name.
    #[error("{}", no_such_callback(name))]
    NoSuchCallback {
        /// The name.
        name: String,
    },
    /// A delay that is no number, or infinite.
    #[error("the delay must be a finite number of seconds")]
    DelayNotFinite,
    /// An interval of zero or less, or none that is a number.
    #[error("intervalSeconds must be a positive number")]
    IntervalNotPositive,
    /// An interval beyond [`MAX_INTERVAL_SECONDS`](crate::schedule::MAX_INTERVAL_SECONDS).
    #[error("intervalSeconds cannot exceed {} seconds (30 days)", crate::schedule::MAX_INTERVAL_SECONDS)]
    IntervalTooLong,
    /// The cron text is none, or never matches.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The retry options make no sense.
    #[error(transparent)]
    Retry(#[from] RetryOptionsError),
    /// The payload cannot be written as JSON.
    #[error("payload cannot be written as JSON: {reason}")]
    Payload {
        /// What is wrong with it.
        reason: String,
    },
    /// The payload is larger than a row may be.
    #[error("payload is {size_bytes} bytes of JSON, limit is {limit_bytes}")]
    PayloadTooLarge {
        /// Its size, in bytes of JSON.
        size_bytes: usize,
        /// What a row may hold.
        limit_bytes: usize,
    },
    /// The agent is being destroyed.
    #[error("{}", DESTROYED)]
    Destroyed,
    /// Storage failed.
    #[error("storage failed: {0}")]
    Store(#[from] HostError),
}

// Words that agents without background work need too, which do without the rest of it.

pub(crate) const DESTROYED: &str = "the agent is being destroyed";

pub(crate) fn no_such_callback(name: &str) -> String {
    format!("this.{name} is not a function")
}

/// Largest payload, in bytes of JSON: what a row may hold, less what stands beside it.
pub const MAX_PAYLOAD_BYTES: usize = MAX_VALUE_BYTES - 16 * 1_024;

/// Writes a payload as it is stored.
pub(crate) fn payload_json(payload: &impl Serialize) -> Result<String, TaskError> {
    let json = serde_json::to_string(payload).map_err(|wrong| TaskError::Payload { reason: wrong.to_string() })?;
    if json.len() > MAX_PAYLOAD_BYTES {
        return Err(TaskError::PayloadTooLarge { size_bytes: json.len(), limit_bytes: MAX_PAYLOAD_BYTES });
    }
    Ok(json)
}

/// A stored payload as a value; a text that is no JSON as a string.
pub(crate) fn payload_value(json: Option<&str>) -> Value {
    json.map_or(Value::Null, |json| serde_json::from_str(json).unwrap_or_else(|_| json.into()))
}

/// Stored retry options; those that cannot be read count for nothing.
pub(crate) fn stored_retry(json: Option<&str>) -> Option<RetryOptions> {
    serde_json::from_str(json?).ok()
}

/// Retry options as they are stored.
pub(crate) fn retry_json(retry: Option<RetryOptions>) -> Option<String> {
    retry.and_then(|retry| serde_json::to_string(&retry).ok())
}
