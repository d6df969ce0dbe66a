//! The schedules that are due, which run one after the other when the alarm goes off.

use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::table::{self, Row};
use crate::alarm::{AGAIN_MS, Background, MAX_SETBACKS, rest_ms};
use crate::attempt::{Job, Outcome};
use crate::error::{Error, Result};
use crate::host::{HostError, Level};
use crate::instance::{Entity, report};
use crate::retry::Fault;
use crate::shell::Shell;
use crate::sql::migrate::SCHEDULES;
use crate::task::RunOrigin;
use crate::{dead_letter, queue};

/// How long what ran out of memory waits, times the number of strikes.
const MEMORY_REST_S: u64 = 10;

/// So many one-shot schedules of one callback at once look like a mistake.
const MANY: usize = 10;

/// The right to run the schedules that are due; one at a time has it. However it ends, also by being dropped in the middle, the
/// alarm comes back for what is left.
struct Turn {
    entity: Rc<dyn Entity>,
    is_over: bool,
}

impl Turn {
    /// `None`: another has it.
    fn take(entity: &Rc<dyn Entity>) -> Option<Self> {
        let is_taken = entity.shell().background.are_schedules_running.replace(true);
        (!is_taken).then(|| Self { entity: Rc::clone(entity), is_over: false })
    }

    fn end(mut self, outcome: Result<()>) -> Result<()> {
        let armed = self.give_back(outcome.is_err());
        // The error that came first says more.
        outcome.and_then(|()| Ok(armed?))
    }

    fn give_back(&mut self, has_failed: bool) -> Result<(), HostError> {
        self.is_over = true;
        let shell = self.entity.shell();
        shell.background.are_schedules_running.set(false);
        shell.background.running_once.take();
        if has_failed { shell.arm_after_failure() } else { shell.arm() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            let armed = self.give_back(false);
            self.entity.shell().log_unarmed(armed);
        }
    }
}

/// Everything that the alarm of an agent with callbacks does once that has started.
pub(crate) fn run(entity: Rc<dyn Entity>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let shell = entity.shell();
        if shell.background.is_destroyed() {
            return Ok(());
        }
        shell.background.tables.find(shell.host.store(), &SCHEDULES)?;
        queue::resume(&entity);
        let Some(turn) = Turn::take(&entity) else {
            // Whoever runs them runs what is due now as well, or comes back for it.
            shell.arm()?;
            return Ok(());
        };
        let outcome = run_due(&entity).await;
        if outcome.is_err() {
            // How one ended may not be on disk.
            shell.background.has_run_schedules.set(false);
        }
        turn.end(outcome)
    })
}

async fn run_due(entity: &Rc<dyn Entity>) -> Result<()> {
    let shell = entity.shell();
    let store = shell.host.store();
    let mut failure = None;
    let mut has_struck = false;
    let mut is_wary = false;
    if shell.background.tables.has(&SCHEDULES) {
        let due = table::due(store, shell.host.now_ms() / 1_000)?;
        warn_of_many(shell, &due);
        for (done, (id, _)) in due.iter().enumerate() {
            if shell.background.is_destroyed() {
                return Ok(());
            }
            // It may have been cancelled or put off by what ran before it.
            let Some(row) = table::get(store, id)?.filter(|row| row.time_s <= shell.host.now_ms() / 1_000) else { continue };
            if is_running(shell, &row) {
                continue;
            }
            let is_suspect = is_suspect(shell, &row);
            is_wary |= is_suspect;
            match run_row(entity, row, is_suspect).await? {
                Next::Row => {}
                Next::RowAfter(error) => failure = Some(failure.unwrap_or(error)),
                Next::Nothing(error) => return Err(error),
                Next::Struck => {
                    has_struck = true;
                    break;
                }
            }
            shell.breathe(done, is_wary).await;
        }
    }
    if !has_struck && !shell.background.is_destroyed() {
        shell.forget_strikes()?;
    }
    failure.map_or(Ok(()), Err)
}

fn warn_of_many(shell: &Shell, due: &[(String, Option<String>)]) {
    let mut callbacks: Vec<&str> = due.iter().filter_map(|(_, callback)| callback.as_deref()).collect();
    callbacks.sort_unstable();
    let counts = callbacks.chunk_by(|a, b| a == b).filter_map(|same| Some((same.first()?, same.len())));
    for (callback, count) in counts.filter(|(_, count)| *count >= MANY) {
        let line = format!(
            "{count} schedules that run once are due for {callback:?}: if on_start makes them, it does \
             so at every wake",
        );
        shell.log(Level::Warn, line);
    }
}

/// What to do after a row.
enum Next {
    Row,
    /// The same, but the alarm has failed.
    RowAfter(Error),
    /// Nothing that this instance tries will succeed.
    Nothing(Error),
    /// Memory is scarce.
    Struck,
}

/// Whether the run of an interval, of which an instance has not noted the end, may still go on.
fn is_running(shell: &Shell, row: &Row) -> bool {
    let Some(since_s) = row.running_since_s else { return false };
    // One that began in the future has no age: its clock was another, and the instance that it ran in is gone.
    let running_s = (shell.host.now_ms() / 1_000).checked_sub(since_s);
    if running_s.is_some_and(|running_s| running_s < shell.options.hung_schedule_timeout.as_secs()) {
        return true;
    }
    let Row { id, callback, .. } = row;
    let line = match running_s {
        Some(running_s) => {
            format!("schedule {id} of {callback:?} has been running for {running_s} s, counts as hung and runs again")
        }
        None => format!("schedule {id} of {callback:?} began in the future, counts as hung and runs again"),
    };
    shell.log(Level::Warn, line);
    false
}

/// Whether an object may have ended in the middle of its run: it did not end well the last time, or it is the first that this
/// instance runs and the alarm came so late that one for it may have gone off before. The platform repeats one after [`AGAIN_MS`] or
/// more.
fn is_suspect(shell: &Shell, row: &Row) -> bool {
    let Background { rang_at_ms, has_run_schedules, .. } = &shell.background;
    let late_ms = rang_at_ms.get().saturating_sub(row.time_s.saturating_mul(1_000));
    row.running_since_s.is_some() || row.setbacks + row.strikes > 0 || late_ms >= AGAIN_MS && !has_run_schedules.get()
}

async fn run_row(entity: &Rc<dyn Entity>, row: Row, is_suspect: bool) -> Result<Next> {
    let shell = entity.shell();
    let store = shell.host.store();
    let is_recurring = row.kind.is_recurring();
    let Row { id, callback, payload, kind, retry, setbacks, strikes, .. } = row;
    let job = Job { origin: RunOrigin::Schedule, id, callback, payload, retry };
    if setbacks >= MAX_SETBACKS && !is_recurring {
        // Only a run that it has not survived leaves it here.
        dead_letter::give_up_fatal(entity, &job, setbacks)?;
        return Ok(Next::Row);
    }
    if is_suspect {
        // The setback is counted before the run, whose end corrects it; others get their turn before the next one.
        let retry_ms = shell.host.now_ms() + rest_ms(setbacks + strikes + 1);
        // One end may be a deploy's: an occurrence is not given up for it.
        let next_s = if setbacks > 0 { kind.next_time(retry_ms).ok().flatten() } else { None };
        let retry_s = next_s.unwrap_or(retry_ms / 1_000);
        table::put_off(store, &job.id, retry_s, (setbacks + 1, strikes))?;
        if !job.settle(shell).await? {
            return Ok(Next::Row);
        }
    }
    if kind.name() == "interval" {
        table::set_running(store, &job.id, shell.host.now_ms() / 1_000)?;
    }
    if !is_recurring {
        shell.background.running_once.replace(Some(job.id.clone()));
    }
    shell.background.has_run_schedules.set(true);
    let outcome = job.run(entity).await;
    shell.background.running_once.take();
    if shell.background.is_destroyed() {
        return Ok(Next::Row);
    }
    // From here to the end nothing is awaited: what the callback wrote last and what becomes of its row are one. Reports come last,
    // because the error hook may put back what was given up.
    let (error, attempts) = match outcome {
        Outcome::Done if !is_recurring => {
            table::delete(store, &job.id)?;
            return Ok(Next::Row);
        }
        Outcome::Done => (None, 0),
        Outcome::Platform { fault, error, attempts } if !is_recurring => {
            return put_off(entity, &job, fault, error, (attempts, setbacks, strikes));
        }
        Outcome::Platform { error, attempts, .. } | Outcome::Failed { error, attempts } => (Some(error), attempts),
    };
    let mut errors = Vec::from_iter(error);
    match kind.next_time(shell.host.now_ms()) {
        Ok(Some(time_s)) => table::set_time(store, &job.id, time_s)?,
        Ok(None) => {
            if let Some(error) = errors.first() {
                dead_letter::park(shell, &job, error, attempts)?;
            }
        }
        // A cron text that is over, or that another program wrote and nobody understands.
        Err(wrong) => {
            let error = Error::from(wrong);
            dead_letter::park(shell, &job, &error, 0)?;
            errors.push(error);
        }
    }
    for error in errors {
        report(entity, &job.label(), error);
    }
    Ok(Next::Row)
}

/// What becomes of a schedule that runs once and met a failure of the platform: it tries again later, or is given up.
fn put_off(
    entity: &Rc<dyn Entity>,
    job: &Job,
    fault: Fault,
    error: Error,
    (attempts, setbacks, strikes): (u32, u64, u64),
) -> Result<Next> {
    let shell = entity.shell();
    let (store, now_s) = (shell.host.store(), shell.host.now_ms() / 1_000);
    if fault == Fault::Memory {
        let strikes = strikes + 1;
        // Either it alone has failed too often, or the alarm has, whatever it ran.
        if shell.is_out(strikes.max(shell.strike()?)) {
            dead_letter::give_up(entity, job, error, attempts)?;
        } else {
            shell.log_failure(&job.label(), None, &error);
            table::put_off(store, &job.id, now_s + strikes * MEMORY_REST_S, (setbacks, strikes))?;
        }
        return Ok(Next::Struck);
    }
    let setbacks = setbacks + 1;
    if setbacks >= MAX_SETBACKS {
        dead_letter::give_up(entity, job, error, attempts)?;
        return Ok(Next::Row);
    }
    shell.log_failure(&job.label(), None, &error);
    table::put_off(store, &job.id, now_s + rest_ms(setbacks) / 1_000, (setbacks, strikes))?;
    Ok(if fault == Fault::Superseded { Next::Nothing(error) } else { Next::RowAfter(error) })
}
