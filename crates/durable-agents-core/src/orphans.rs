//! Background work that nobody here runs: that of an agent without callbacks, which is its own end and what earlier versions of it have
//! left, and jobs of the JavaScript SDK.
//!
//! An agent without callbacks is built without what runs schedules and the queue.

use std::rc::Rc;

use crate::alarm::{MAX_TIME_MS, next_attempt_ms};
use crate::attempt::Job;
use crate::dead_letter::give_up;
use crate::destroy;
use crate::error::{Error, Result, error};
use crate::host::{HostError, Level};
use crate::instance::{Entity, report};
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::{QUEUES, SCHEDULES, Table};
use crate::task::{DESTROY, RunOrigin, no_such_callback};

/// How many jobs one alarm gives up; the next alarm is for the rest.
const AT_ONCE: usize = 32;

/// Where there are jobs, in which column each has its time in Unix seconds, and how the first is found that is due at such a time.
/// A recurring schedule is none, unless it is the agent's end: whatever comes of it, it stays.
const JOBS: [(RunOrigin, &Table, &str, &str); 2] = [
    (
        RunOrigin::Schedule,
        &SCHEDULES,
        "time",
        "FROM cf_agents_schedules WHERE owner_path IS NULL AND (type IN ('scheduled', 'delayed') OR callback = 'destroy') \
         AND time <= ? ORDER BY time, rowid LIMIT 1",
    ),
    (RunOrigin::Queue, &QUEUES, "created_at", "FROM cf_agents_queues WHERE created_at <= ? ORDER BY rowid LIMIT 1"),
];

/// When the first of them wants the alarm, in Unix milliseconds.
pub(crate) fn next_run(shell: &Shell, after_failure: bool) -> Result<Option<u64>, HostError> {
    let mut earliest = None;
    for (_, table, time, first) in JOBS {
        if !shell.background.tables.has(table) {
            continue;
        }
        let rows = shell.host.store().run(&format!("SELECT {time} {first}"), &[(MAX_TIME_MS / 1_000).into()])?;
        let time_s = Cells::only_count(rows);
        earliest = earliest.into_iter().chain(time_s.map(|time_s| time_s.saturating_mul(1_000))).min();
    }
    let now_ms = shell.host.now_ms();
    Ok(earliest.map(|time_ms| next_attempt_ms(now_ms, time_ms, after_failure)))
}

/// What the alarm does once the agent has started.
///
/// # Errors
/// Storage failed; the alarm is set for another attempt.
pub(crate) fn run(entity: &Rc<dyn Entity>) -> Result<()> {
    let shell = entity.shell();
    if shell.background.is_destroyed() {
        return Ok(());
    }
    let settled = settle(entity);
    let armed = if settled.is_err() { shell.arm_after_failure() } else { shell.arm() };
    Ok(settled.and(armed)?)
}

fn settle(entity: &Rc<dyn Entity>) -> Result<(), HostError> {
    let shell = entity.shell();
    let (store, now_s) = (shell.host.store(), shell.host.now_ms() / 1_000);
    for (origin, table, _, first) in JOBS {
        if !shell.background.tables.find(store, table)? {
            continue;
        }
        let sql = format!("SELECT id, callback {first}");
        for _ in 0..AT_ONCE {
            let Some(row) = store.run(&sql, &[now_s.into()])?.rows.into_iter().next() else { break };
            let job = Job::read(origin, &mut Cells::new(row));
            if job.callback == DESTROY {
                return destroy::begin(entity);
            }
            give_up(entity, &job, Error::msg(no_such_callback(&job.callback)), 0)?;
        }
    }
    Ok(())
}

/// Tells the error hook, at a wake, of recurring schedules that nobody runs.
pub(crate) fn report_recurring(entity: &Rc<dyn Entity>) {
    let shell = entity.shell();
    if !shell.background.tables.has(&SCHEDULES) {
        return;
    }
    let found = shell.host.store().run(
        "SELECT COUNT(*) FROM cf_agents_schedules WHERE owner_path IS NULL AND type NOT IN ('scheduled', 'delayed') \
         AND callback IS NOT 'destroy'",
        &[],
    );
    let error = match found {
        Ok(rows) => match Cells::only_count(rows) {
            None | Some(0) => return,
            Some(count) => error!("{count} recurring schedules wait for callbacks, and the agent has none"),
        },
        Err(error) => error.into(),
    };
    report(entity, "schedule", error);
}

/// Says at the beginning of a wake that there are jobs which only newer JavaScript SDKs run, if there are.
#[inline(never)]
pub(crate) fn warn_of_sdk_jobs(shell: &Shell) {
    let jobs = shell.host.store().run("SELECT 1 FROM cf_agents_jobs LIMIT 1", &[]);
    if jobs.is_ok_and(|jobs| !jobs.rows.is_empty()) {
        shell.log(
            Level::Warn,
            "jobs of the JavaScript SDK are in cf_agents_jobs, which is not taken over: they do not run here",
        );
    }
}
