//! Dead letters: background work that was given up, kept until somebody decides.

use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use crate::agent::Agent;
use crate::attempt::Job;
use crate::brief::{MAX_ERROR_BYTES, brief};
use crate::context::Context;
use crate::error::{Error, error};
use crate::host::{HostError, Level};
use crate::instance::{Entity, report};
use crate::retry::RetryOptions;
use crate::schedule::table;
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::{DEAD_LETTERS, SCHEDULES};
use crate::task::{RunOrigin, TaskError, payload_value, stored_retry};
use crate::{queue, schedule};

/// Most dead letters of one agent. One more, and the oldest is forgotten; the log has its id, callback and error.
pub const MAX_DEAD_LETTERS: usize = 1_000;

/// Background work that was given up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Id of the schedule or queue item that it was.
    pub id: String,
    /// Which of the two.
    pub origin: RunOrigin,
    /// Name of the callback.
    pub callback: String,
    /// What the callback would get.
    pub payload: Value,
    /// Why it was given up: the last error, with its causes. Of one that is longer than 4 KiB, the beginning and the end.
    pub error: String,
    /// How often it was tried, in the run that was its last; of one that took the object down, how many runs there were. 0: there was
    /// no such callback, or no next time.
    pub attempts: u64,
    /// When it was given up, in Unix milliseconds.
    pub failed_at_ms: u64,
    /// Retry options of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
}

/// Moves a job from its table to the dead letters. Does nothing if it is not there any more.
pub(crate) fn park(shell: &Shell, job: &Job, error: &Error, attempts: u32) -> Result<(), HostError> {
    let (store, tables) = (shell.host.store(), &shell.background.tables);
    tables.ensure(store, &DEAD_LETTERS)?;
    let text = brief(MAX_ERROR_BYTES, format_args!("{error:#}"));
    let (table, id) = (job.table(), || job.id.as_str().into());
    let kept = store.run(
        &format!(
            "INSERT OR REPLACE INTO cf_agents_dead_letters (id, origin, callback, payload, retry_options, error, attempts, \
             failed_at_ms) SELECT id, ?, COALESCE(callback, ''), payload, retry_options, ?, ?, ? FROM {table} WHERE id = ?"
        ),
        &[job.origin.name().into(), text.into(), attempts.into(), shell.host.now_ms().into(), id()],
    )?;
    if kept.written == 0 {
        return Ok(());
    }
    // Only now: a failure in between must not lose it.
    store.run(&format!("DELETE FROM {table} WHERE id = ?"), &[id()])?;
    // The limit is in the text: a number of JavaScript would be 1000.0 in the line.
    let fallen = store.run(
        &format!(
            "DELETE FROM cf_agents_dead_letters WHERE rowid <= (SELECT rowid FROM cf_agents_dead_letters ORDER BY rowid DESC \
             LIMIT 1 OFFSET {MAX_DEAD_LETTERS}) RETURNING 'dead letter ' || id || ' of ' || json_quote(callback) || \
             ' is forgotten, there are more than {MAX_DEAD_LETTERS}: ' || json_quote(error)"
        ),
        &[],
    )?;
    for row in fallen.rows {
        shell.log(Level::Error, Cells::new(row).text().unwrap_or_default());
    }
    Ok(())
}

/// The same, and tells the error hook, which may put it back.
pub(crate) fn give_up(entity: &Rc<dyn Entity>, job: &Job, error: Error, attempts: u32) -> Result<(), HostError> {
    park(entity.shell(), job, &error, attempts)?;
    report(entity, &job.label(), error);
    Ok(())
}

/// The same of a job in the middle of which the object ended the last time, after so many setbacks in a row.
pub(crate) fn give_up_fatal(entity: &Rc<dyn Entity>, job: &Job, setbacks: u64) -> Result<(), HostError> {
    let error = error!(
        "the object ended in the middle of the run, the last of {setbacks} setbacks in a row: \
         it may take more memory or CPU time than the platform allows"
    );
    give_up(entity, job, error, u32::try_from(setbacks).unwrap_or(u32::MAX))
}

/// A dead letter as it is stored.
struct Row {
    job: Job,
    error: String,
    attempts: u64,
    failed_at_ms: u64,
}

fn select(shell: &Shell, condition: &str, id: Option<&str>) -> Result<Vec<Row>, HostError> {
    let store = shell.host.store();
    if !shell.background.tables.find(store, &DEAD_LETTERS)? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT origin, id, callback, payload, retry_options, error, attempts, failed_at_ms FROM cf_agents_dead_letters \
         {condition} ORDER BY rowid"
    );
    let params: Vec<_> = id.into_iter().map(Into::into).collect();
    let read = |row| {
        let mut cells = Cells::new(row);
        let origin = match cells.text().as_deref() {
            Some("schedule") => RunOrigin::Schedule,
            _ => RunOrigin::Queue,
        };
        let job = Job::read(origin, &mut cells);
        let error = cells.text().unwrap_or_default();
        let (attempts, failed_at_ms) = (cells.count().unwrap_or_default(), cells.count().unwrap_or_default());
        Row { job, error, attempts, failed_at_ms }
    };
    Ok(store.run(&sql, &params)?.rows.into_iter().map(read).collect())
}

fn delete(shell: &Shell, id: &str) -> Result<bool, HostError> {
    let store = shell.host.store();
    if !shell.background.tables.find(store, &DEAD_LETTERS)? {
        return Ok(false);
    }
    Ok(store.run("DELETE FROM cf_agents_dead_letters WHERE id = ?", &[id.into()])?.written > 0)
}

fn retry(entity: &Rc<dyn Entity>, id: &str) -> Result<bool, TaskError> {
    let shell = entity.shell();
    let Some(Row { job, .. }) = select(shell, "WHERE id = ?", Some(id))?.pop() else { return Ok(false) };
    shell.background.check_callback(&**entity, &job.callback)?;
    match job.origin {
        RunOrigin::Queue => queue::push(entity, job)?,
        RunOrigin::Schedule => {
            let (store, now_ms) = (shell.host.store(), shell.host.now_ms());
            shell.background.tables.ensure(store, &SCHEDULES)?;
            let row = schedule::table::once(job.id, job.callback, job.payload, job.retry, now_ms / 1_000);
            shell.arm_by(now_ms)?;
            table::insert(store, &row, now_ms)?;
        }
    }
    delete(shell, id)?;
    Ok(true)
}

impl<A: Agent> Context<A> {
    /// Background work that was given up, in the order in which that happened; at most [`MAX_DEAD_LETTERS`].
    ///
    /// A schedule that runs once and an item of the queue come here when all their attempts have failed, when their payload does
    /// not fit its type any more, or when their callback is gone. What recurs stays scheduled instead.
    ///
    /// So they do when the platform has failed them 20 times in a row, or when the object has ended in the middle of their run, because
    /// it exceeded its memory or CPU limit for instance. Such an end leaves nothing but the job that had begun, so it is counted by the
    /// next run: that of the first item which the object finds in its queue when it wakes, or of the first schedule, if that is due
    /// for 2 s or more when the alarm goes off. It is noted beforehand that the run did not end, for which others get their turn
    /// before it is tried again, and corrected when it does. Runs that nothing is held against cost no such write.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, TaskError> {
        let public = |row: Row| DeadLetter {
            payload: payload_value(row.job.payload.as_deref()),
            retry: stored_retry(row.job.retry.as_deref()),
            id: row.job.id,
            origin: row.job.origin,
            callback: row.job.callback,
            error: row.error,
            attempts: row.attempts,
            failed_at_ms: row.failed_at_ms,
        };
        Ok(select(&self.instance.shell, "", None)?.into_iter().map(public).collect())
    }

    /// Puts a dead letter back under its old id: at the end of the queue, or as a schedule that is due now. `false`: there is none.
    ///
    /// # Errors
    /// [`TaskError::NoSuchCallback`]: it stays where it is; [`TaskError::Store`].
    pub fn retry_dead_letter(&self, id: &str) -> Result<bool, TaskError> {
        retry(&(Rc::clone(&self.instance) as Rc<dyn Entity>), id)
    }

    /// Deletes a dead letter. `false`: there is none.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn discard_dead_letter(&self, id: &str) -> Result<bool, TaskError> {
        Ok(delete(&self.instance.shell, id)?)
    }
}
