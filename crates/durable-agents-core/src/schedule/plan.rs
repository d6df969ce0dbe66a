//! When a schedule runs, first and next.

use std::time::Duration;

use super::cron::{Cron, CronError};
use crate::task::TaskError;

/// Longest interval.
pub const MAX_INTERVAL_SECONDS: u64 = 2_592_000;

/// The last second that JavaScript has a date for. What is further away runs then, which is never.
const MAX_TIME_S: u64 = 8_640_000_000_000;

/// When something is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct When(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    After(f64),
    At(u64),
    Cron(String),
    Every(f64),
}

impl When {
    /// Once, after a while.
    #[must_use]
    pub const fn after(delay: Duration) -> Self {
        Self(Kind::After(delay.as_secs_f64()))
    }

    /// The same in seconds; zero or less is at the next occasion, and what is not finite is refused with
    /// [`TaskError::DelayNotFinite`].
    #[must_use]
    pub const fn after_seconds(delay_seconds: f64) -> Self {
        Self(Kind::After(delay_seconds))
    }

    /// Once, at that time, in Unix milliseconds; one that has passed is at the next occasion.
    #[must_use]
    pub const fn at_ms(time_ms: u64) -> Self {
        Self(Kind::At(time_ms))
    }

    /// Whenever the cron text matches, in UTC: minute, hour, day of month, month, weekday, with seconds before them if there are six
    /// fields. `@yearly @annually @monthly @weekly @daily @hourly @minutely` stand for the usual ones.
    #[must_use]
    pub fn cron(text: impl Into<String>) -> Self {
        Self(Kind::Cron(text.into()))
    }

    /// Again and again, the first time after one interval. Counts from the end of one run to the beginning of the next.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self(Kind::Every(interval.as_secs_f64()))
    }

    /// The same in seconds.
    #[must_use]
    pub const fn every_seconds(interval_seconds: f64) -> Self {
        Self(Kind::Every(interval_seconds))
    }
}

impl From<Duration> for When {
    /// After that delay.
    fn from(delay: Duration) -> Self {
        Self::after(delay)
    }
}

/// What kind of schedule it is.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Once, at a time.
    Scheduled,
    /// Once, after a delay.
    Delayed {
        /// The delay.
        delay_seconds: f64,
    },
    /// By a cron text.
    Cron {
        /// The text.
        cron: String,
    },
    /// At an interval.
    Interval {
        /// The interval.
        interval_seconds: f64,
    },
}

impl ScheduleKind {
    /// Its name on disk and on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Delayed { .. } => "delayed",
            Self::Cron { .. } => "cron",
            Self::Interval { .. } => "interval",
        }
    }

    /// Whether it runs more than once.
    pub const fn is_recurring(&self) -> bool {
        matches!(self, Self::Cron { .. } | Self::Interval { .. })
    }

    /// When it runs after a run that ended at `now_ms`, in Unix seconds. `None`: not again.
    pub(crate) fn next_time(&self, now_ms: u64) -> Result<Option<u64>, CronError> {
        Ok(match self {
            Self::Scheduled | Self::Delayed { .. } => None,
            Self::Cron { cron } => Some(Cron::parse(cron)?.next_after(now_ms / 1_000)?),
            Self::Interval { interval_seconds } => {
                // In whole seconds, or one below a second would be due again at once, for ever.
                Some(seconds_after(now_ms, *interval_seconds).max(now_ms / 1_000 + 1))
            }
        })
    }
}

impl When {
    /// What kind of schedule this makes, and its first time in Unix seconds.
    pub(crate) fn plan(self, now_ms: u64) -> Result<(ScheduleKind, u64), TaskError> {
        let kind = match self.0 {
            Kind::At(time_ms) => return Ok((ScheduleKind::Scheduled, (time_ms / 1_000).min(MAX_TIME_S))),
            Kind::After(seconds) if !seconds.is_finite() => return Err(TaskError::DelayNotFinite),
            Kind::After(delay_seconds) => {
                return Ok((ScheduleKind::Delayed { delay_seconds }, seconds_after(now_ms, delay_seconds)));
            }
            Kind::Cron(cron) => ScheduleKind::Cron { cron },
            Kind::Every(seconds) if seconds.is_nan() || seconds <= 0.0 => return Err(TaskError::IntervalNotPositive),
            #[allow(clippy::cast_precision_loss, reason = "a small constant")]
            Kind::Every(seconds) if seconds > MAX_INTERVAL_SECONDS as f64 => return Err(TaskError::IntervalTooLong),
            Kind::Every(interval_seconds) => ScheduleKind::Interval { interval_seconds },
        };
        let time_s = kind.next_time(now_ms)?.unwrap_or(now_ms / 1_000);
        Ok((kind, time_s))
    }
}

/// Whole Unix seconds, as the table has them: what begins within a second runs when that second begins.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Unix milliseconds fit an f64; the cast rounds down and saturates"
)]
fn seconds_after(now_ms: u64, seconds: f64) -> u64 {
    (((seconds * 1_000.0 + now_ms as f64) / 1_000.0) as u64).min(MAX_TIME_S)
}
