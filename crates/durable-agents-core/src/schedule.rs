//! Schedules: callbacks that run once or again and again, at a time that outlives the object's memory.

use std::rc::Rc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::agent::Agent;
use crate::context::Context;
use crate::host::Level;
use crate::instance::Entity;
use crate::retry::{Policy, RetryOptions};
use crate::sql::migrate::SCHEDULES;
use crate::task::{Callback, TaskError, payload_json};

mod cron;
pub(crate) mod due;
mod plan;
pub(crate) mod table;

pub use cron::CronError;
pub use plan::{MAX_INTERVAL_SECONDS, ScheduleKind, When};

use table::Row;

/// A schedule as it is stored. As JSON it is the record of the JavaScript SDK.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its id, random.
    pub id: String,
    /// Name of the callback.
    pub callback: String,
    /// What the callback gets.
    pub payload: Value,
    /// When it runs next, in Unix seconds. Of one that runs just now: when it was due or, if an object has ended in the middle of it
    /// before, when it would be tried again.
    pub time: u64,
    /// Once or again and again, and how.
    pub kind: ScheduleKind,
    /// Retry options of its own.
    pub retry: Option<RetryOptions>,
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("callback", &self.callback)?;
        map.serialize_entry("payload", &self.payload)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("type", self.kind.name())?;
        match &self.kind {
            ScheduleKind::Scheduled => {}
            ScheduleKind::Delayed { delay_seconds } => map.serialize_entry("delayInSeconds", &number(*delay_seconds))?,
            ScheduleKind::Cron { cron } => map.serialize_entry("cron", cron)?,
            ScheduleKind::Interval { interval_seconds } => {
                map.serialize_entry("intervalSeconds", &number(*interval_seconds))?;
            }
        }
        if let Some(retry) = &self.retry {
            map.serialize_entry("retry", retry)?;
        }
        map.end()
    }
}

/// A number as JavaScript writes it: whole ones without a fraction.
fn number(real: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number that is exact")]
    if real.fract() == 0.0 && real.abs() < 9e15 { (real as i64).into() } else { real.into() }
}

/// Options of [`Context::schedule_with`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleOptions {
    idempotent: Option<bool>,
    retry: Option<RetryOptions>,
}

impl ScheduleOptions {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { idempotent: None, retry: None }
    }

    /// Whether the same request again returns the schedule that is there already. Default: for cron and intervals.
    ///
    /// The same is: kind, callback and payload, and the cron text or the interval. The time of a schedule that runs once is not
    /// compared; the earlier one stays, unless it is the one whose callback asks.
    #[must_use]
    pub const fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = Some(idempotent);
        self
    }

    /// How often a run that fails is tried again. Default: as [`AgentOptions::retry`](crate::AgentOptions::retry) says.
    #[must_use]
    pub const fn retry(mut self, retry: RetryOptions) -> Self {
        self.retry = Some(retry);
        self
    }
}

/// Which schedules to list. All conditions must hold; without any, all are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) callback: Option<String>,
    pub(crate) start_s: Option<u64>,
    pub(crate) end_s: Option<u64>,
}

impl ScheduleFilter {
    /// All schedules.
    #[must_use]
    pub const fn new() -> Self {
        Self { id: None, kind: None, callback: None, start_s: None, end_s: None }
    }

    /// The one with that id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Those of that kind: `scheduled`, `delayed`, `cron` or `interval`.
    #[must_use]
    pub fn kind(mut self, name: impl Into<String>) -> Self {
        self.kind = Some(name.into());
        self
    }

    /// Those that run that callback.
    #[must_use]
    pub fn callback(mut self, name: impl Into<String>) -> Self {
        self.callback = Some(name.into());
        self
    }

    /// Those whose next run is then or later, in Unix seconds.
    #[must_use]
    pub const fn from_time(mut self, time_s: u64) -> Self {
        self.start_s = Some(time_s);
        self
    }

    /// Those whose next run is then or earlier, in Unix seconds.
    #[must_use]
    pub const fn to_time(mut self, time_s: u64) -> Self {
        self.end_s = Some(time_s);
        self
    }

    /// Those whose next run is in that range of Unix seconds, both ends included.
    #[must_use]
    pub const fn between(self, start_s: u64, end_s: u64) -> Self {
        self.from_time(start_s).to_time(end_s)
    }
}

impl<A: Agent> Context<A> {
    /// Schedules a callback: `when` is a [`Duration`](std::time::Duration) from now, or a [`When`].
    ///
    /// Stored, and the alarm set, before this returns: both reach the disk together with what else is written until the next
    /// `.await`. It runs at least once, with retries; if all of them fail, or if the object ends in the middle of its run again and
    /// again, it is among the [dead letters](Self::dead_letters).
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn schedule<P: Serialize>(
        &self,
        when: impl Into<When>,
        callback: impl Into<Callback<A, P>>,
        payload: &P,
    ) -> Result<Schedule, TaskError> {
        self.schedule_with(when, callback, payload, ScheduleOptions::new())
    }

    /// The same with options.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn schedule_with<P: Serialize>(
        &self,
        when: impl Into<When>,
        callback: impl Into<Callback<A, P>>,
        payload: &P,
        options: ScheduleOptions,
    ) -> Result<Schedule, TaskError> {
        let entity: Rc<dyn Entity> = Rc::clone(&self.instance) as _;
        create(&*entity, when.into(), callback.into().name(), payload_json(payload)?, options)
    }

    /// The schedule with that id, if it is still to run.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn get_schedule(&self, id: &str) -> Result<Option<Schedule>, TaskError> {
        let shell = &self.instance.shell;
        if !table::exists(shell)? {
            return Ok(None);
        }
        Ok(table::get(shell.host.store(), id)?.map(Row::into_schedule))
    }

    /// Schedules by their next run.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn schedules(&self, filter: &ScheduleFilter) -> Result<Vec<Schedule>, TaskError> {
        let shell = &self.instance.shell;
        if !table::exists(shell)? {
            return Ok(Vec::new());
        }
        Ok(table::list(shell.host.store(), filter)?.into_iter().map(Row::into_schedule).collect())
    }

    /// Takes a schedule back, and says whether it was there. A run that has begun goes on, but is not tried again.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn cancel_schedule(&self, id: &str) -> Result<bool, TaskError> {
        let shell = &self.instance.shell;
        if !table::exists(shell)? {
            return Ok(false);
        }
        let cancelled = table::delete(shell.host.store(), id)?;
        if cancelled {
            shell.arm_or_log();
        }
        Ok(cancelled)
    }
}

fn create(
    entity: &dyn Entity,
    when: When,
    callback: &str,
    payload: String,
    options: ScheduleOptions,
) -> Result<Schedule, TaskError> {
    let shell = entity.shell();
    let background = &shell.background;
    background.check_callback(entity, callback)?;
    Policy::new(options.retry, shell.options.retry)?;
    let (store, now_ms) = (shell.host.store(), shell.host.now_ms());
    let row = Row::new(shell.short_id(), callback, payload, when.plan(now_ms)?, options.retry);
    if !row.kind.is_recurring() && options.idempotent.is_none() && background.warns_of(callback) {
        let line = format!(
            "on_start schedules {callback:?} to run once, at every wake again: say whether that is \
             meant, with ScheduleOptions::idempotent",
        );
        shell.log(Level::Warn, line);
    }
    background.tables.ensure(store, &SCHEDULES)?;
    if options.idempotent.unwrap_or(row.kind.is_recurring())
        && let Some(same) = table::find_same(store, &row, background.running_once())?
    {
        // Whoever asks again may do so because the alarm was lost.
        shell.arm_anew()?;
        return Ok(same.into_schedule());
    }
    // The alarm first: one that goes off for nothing harms nobody.
    shell.arm_by(row.time_s.saturating_mul(1_000))?;
    table::insert(store, &row, now_ms)?;
    Ok(row.into_schedule())
}
