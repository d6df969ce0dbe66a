//! The rows of `cf_agents_schedules`. Those of sub-agents, which have an owner, are not looked at.

use super::{Schedule, ScheduleFilter, ScheduleKind};
use crate::host::{HostError, Rows, SqlValue, Store};
use crate::retry::RetryOptions;
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::SCHEDULES;
use crate::task::{payload_value, retry_json, stored_retry};

/// A row, with what only the runtime needs.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) callback: String,
    pub(crate) payload: Option<String>,
    pub(crate) kind: ScheduleKind,
    pub(crate) time_s: u64,
    pub(crate) retry: Option<String>,
    /// When the run that has not ended yet began, in Unix seconds.
    pub(crate) running_since_s: Option<u64>,
    /// How many failures of the platform in a row have put it off, and ends of the object.
    pub(crate) setbacks: u64,
    /// The same of failures for want of memory.
    pub(crate) strikes: u64,
}

impl Row {
    pub(crate) fn into_schedule(self) -> Schedule {
        Schedule {
            payload: payload_value(self.payload.as_deref()),
            retry: stored_retry(self.retry.as_deref()),
            id: self.id,
            callback: self.callback,
            time: self.time_s,
            kind: self.kind,
        }
    }
}

const COLUMNS: &str = "id, callback, payload, type, time, delayInSeconds, cron, intervalSeconds, retry_options, running, \
                       execution_started_at, setbacks, strikes";

fn read(rows: Rows) -> impl Iterator<Item = Row> {
    rows.rows.into_iter().map(|row| {
        let mut cells = Cells::new(row);
        let (id, callback) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
        let (payload, kind, time_s) = (cells.text(), cells.text(), cells.count().unwrap_or_default());
        let (delay, cron, interval) = (cells.real(), cells.text(), cells.real());
        let kind = match kind.as_deref() {
            Some("cron") => ScheduleKind::Cron { cron: cron.unwrap_or_default() },
            Some("interval") => ScheduleKind::Interval { interval_seconds: interval.unwrap_or_default() },
            Some("delayed") => ScheduleKind::Delayed { delay_seconds: delay.unwrap_or_default() },
            _ => ScheduleKind::Scheduled,
        };
        let (retry, running, since) = (cells.text(), cells.count(), cells.count());
        let running_since_s = running.filter(|running| *running != 0).map(|_| since.unwrap_or_default());
        let (setbacks, strikes) = (cells.count().unwrap_or_default(), cells.count().unwrap_or_default());
        Row { id, callback, payload, kind, time_s, retry, running_since_s, setbacks, strikes }
    })
}

/// Whether there can be any row.
pub(crate) fn exists(shell: &Shell) -> Result<bool, HostError> {
    shell.background.tables.find(shell.host.store(), &SCHEDULES)
}

pub(crate) fn insert(store: &dyn Store, row: &Row, now_ms: u64) -> Result<(), HostError> {
    let (delay, cron, interval) = match &row.kind {
        ScheduleKind::Scheduled => (None, None, None),
        ScheduleKind::Delayed { delay_seconds } => (Some(*delay_seconds), None, None),
        ScheduleKind::Cron { cron } => (None, Some(cron), None),
        ScheduleKind::Interval { interval_seconds } => (None, None, Some(*interval_seconds)),
    };
    let params = [
        row.id.as_str().into(),
        row.callback.as_str().into(),
        row.payload.clone().into(),
        row.kind.name().into(),
        row.time_s.into(),
        delay.into(),
        cron.into(),
        interval.into(),
        row.retry.clone().into(),
        (now_ms / 1_000).into(),
    ];
    store.run(
        "INSERT OR REPLACE INTO cf_agents_schedules (id, callback, payload, type, time, delayInSeconds, cron, \
         intervalSeconds, retry_options, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &params,
    )?;
    Ok(())
}

/// The oldest row that asks for the same: what that means differs from kind to kind. One that runs once and is `running` is on its
/// way out: it does not do what is asked for now. The SDK stores no payload where there is none, instead of null.
pub(crate) fn find_same(store: &dyn Store, row: &Row, running: Option<String>) -> Result<Option<Row>, HostError> {
    let (condition, value): (&str, SqlValue) = match &row.kind {
        ScheduleKind::Cron { cron } => ("AND cron = ?", cron.into()),
        ScheduleKind::Interval { interval_seconds } => ("AND intervalSeconds = ?", (*interval_seconds).into()),
        // The time is not looked at: the earlier one stays.
        ScheduleKind::Scheduled | ScheduleKind::Delayed { .. } => ("AND id IS NOT ?", running.into()),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM cf_agents_schedules WHERE owner_path IS NULL AND type = ? AND callback = ? \
         AND COALESCE(payload, 'null') = ? {condition} ORDER BY rowid LIMIT 1"
    );
    let params = [row.kind.name().into(), row.callback.as_str().into(), row.payload.clone().into(), value];
    Ok(read(store.run(&sql, &params)?).next())
}

pub(crate) fn get(store: &dyn Store, id: &str) -> Result<Option<Row>, HostError> {
    let sql = format!("SELECT {COLUMNS} FROM cf_agents_schedules WHERE id = ? AND owner_path IS NULL");
    Ok(read(store.run(&sql, &[id.into()])?).next())
}

pub(crate) fn list(store: &dyn Store, filter: &ScheduleFilter) -> Result<Vec<Row>, HostError> {
    let mut sql = format!("SELECT {COLUMNS} FROM cf_agents_schedules WHERE owner_path IS NULL");
    let mut params = Vec::new();
    let mut and = |condition: &str, value: Option<SqlValue>| {
        if let Some(value) = value {
            sql.push_str(condition);
            params.push(value);
        }
    };
    and(" AND id = ?", filter.id.as_ref().map(Into::into));
    and(" AND type = ?", filter.kind.as_ref().map(Into::into));
    and(" AND callback = ?", filter.callback.as_ref().map(Into::into));
    and(" AND time >= ?", filter.start_s.map(Into::into));
    and(" AND time <= ?", filter.end_s.map(Into::into));
    sql.push_str(" ORDER BY time, rowid");
    Ok(read(store.run(&sql, &params)?).collect())
}

/// Whether there was one.
pub(crate) fn delete(store: &dyn Store, id: &str) -> Result<bool, HostError> {
    let deleted = store.run("DELETE FROM cf_agents_schedules WHERE id = ? AND owner_path IS NULL", &[id.into()])?;
    Ok(deleted.written > 0)
}

/// Ids of the rows that are due, in due order, each with its callback if it runs only once.
pub(crate) fn due(store: &dyn Store, now_s: u64) -> Result<Vec<(String, Option<String>)>, HostError> {
    let rows = store.run(
        "SELECT id, CASE WHEN type IN ('scheduled', 'delayed') THEN callback END FROM cf_agents_schedules \
         WHERE time <= ? AND owner_path IS NULL ORDER BY time, rowid",
        &[now_s.into()],
    )?;
    let read = |row| {
        let mut cells = Cells::new(row);
        (cells.text().unwrap_or_default(), cells.text())
    };
    Ok(rows.rows.into_iter().map(read).collect())
}

/// The earliest time at which something may run, in Unix seconds. A running interval may when it counts as hung, which it does at once
/// if it began in the future.
pub(crate) fn earliest(store: &dyn Store, now_s: u64, hung_after_s: u64) -> Result<Option<u64>, HostError> {
    let rows = store.run(
        "SELECT MIN(CASE WHEN running <> 0 AND execution_started_at <= ? \
         THEN MAX(time, execution_started_at + ?) ELSE time END) FROM cf_agents_schedules WHERE owner_path IS NULL",
        &[now_s.into(), hung_after_s.into()],
    )?;
    Ok(Cells::only_count(rows))
}

/// Before a run of an interval.
pub(crate) fn set_running(store: &dyn Store, id: &str, now_s: u64) -> Result<(), HostError> {
    let params = [now_s.into(), id.into()];
    store.run("UPDATE cf_agents_schedules SET running = 1, execution_started_at = ? WHERE id = ?", &params)?;
    Ok(())
}

/// After a run that the object has survived, or instead of one.
pub(crate) fn set_time(store: &dyn Store, id: &str, time_s: u64) -> Result<(), HostError> {
    let params = [time_s.into(), id.into()];
    store.run(
        "UPDATE cf_agents_schedules SET time = ?, running = 0, execution_started_at = NULL, setbacks = 0 WHERE id = ?",
        &params,
    )?;
    Ok(())
}

/// After a run that the platform has failed, or before one that the object may not survive, with how many such runs of either sort
/// there were in a row.
pub(crate) fn put_off(store: &dyn Store, id: &str, time_s: u64, (setbacks, strikes): (u64, u64)) -> Result<(), HostError> {
    let params = [time_s.into(), setbacks.into(), strikes.into(), id.into()];
    store.run("UPDATE cf_agents_schedules SET time = ?, setbacks = ?, strikes = ? WHERE id = ?", &params)?;
    Ok(())
}

/// A row for a run at `time_s` of what was given up before.
pub(crate) fn once(id: String, callback: String, payload: Option<String>, retry: Option<String>, time_s: u64) -> Row {
    let kind = ScheduleKind::Delayed { delay_seconds: 0.0 };
    Row { id, callback, payload, kind, time_s, retry, running_since_s: None, setbacks: 0, strikes: 0 }
}

impl Row {
    /// A row that is not stored yet.
    pub(crate) fn new(
        id: String,
        callback: &str,
        payload: String,
        (kind, time_s): (ScheduleKind, u64),
        retry: Option<RetryOptions>,
    ) -> Self {
        let (callback, retry) = (callback.to_owned(), retry_json(retry));
        Self { id, callback, payload: Some(payload), kind, time_s, retry, running_since_s: None, setbacks: 0, strikes: 0 }
    }
}
