//! The one alarm of an object: what it is set to, and what it does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::agent::Agent;
use crate::attempt::{Job, Outcome};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::{HostError, Level};
use crate::instance::{Entity, report};
use crate::retry::Fault;
use crate::schedule::table::{self, Row};
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::{QUEUES, SCHEDULES, STRIKES, Tables};
use crate::task::{DESTROY, RunOrigin, TaskError};
use crate::{dead_letter, destroy, queue};

/// How long after a push the alarm looks after the queue, in case the object was lost in the meantime.
const QUEUE_CHECK_MS: u64 = 10_000;

/// How soon the alarm comes back to what is due and could not be done now.
const AGAIN_MS: u64 = 2_000;

/// How long what ran out of memory waits, times the number of strikes.
const MEMORY_REST_S: u64 = 10;

/// The last moment that the platform has a date for.
const MAX_TIME_MS: u64 = 8_640_000_000_000_000;

/// So many one-shot schedules of one callback at once look like a mistake.
const MANY: usize = 10;

/// What memory knows of the background work.
#[derive(Debug, Default)]
pub(crate) struct Background {
    pub(crate) tables: Tables,
    pub(crate) leases: Cell<usize>,
    pub(crate) is_queue_running: Cell<bool>,
    armed: Cell<Armed>,
    are_schedules_running: Cell<bool>,
    is_destroyed: Cell<bool>,
    is_starting: Cell<bool>,
    warned: RefCell<BTreeSet<String>>,
}

/// What the alarm is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Armed {
    #[default]
    Unknown,
    Known(Option<u64>),
}

impl Background {
    pub(crate) fn check_callback(&self, entity: &dyn Entity, name: &str) -> Result<(), TaskError> {
        if self.is_destroyed() {
            return Err(TaskError::Destroyed);
        }
        if name == DESTROY || entity.has_callback(name) {
            return Ok(());
        }
        Err(TaskError::NoSuchCallback { name: name.to_owned() })
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.is_destroyed.get()
    }

    pub(crate) fn set_destroyed(&self) {
        self.is_destroyed.set(true);
    }

    pub(crate) fn set_starting(&self, starting: bool) {
        self.is_starting.set(starting);
    }

    /// Whether a schedule of that callback was made by the start hook, for the first time in this wake.
    pub(crate) fn warns_of(&self, callback: &str) -> bool {
        self.is_starting.get() && self.warned.borrow_mut().insert(callback.to_owned())
    }
}

impl Shell {
    /// Sets the alarm to what the tables and leases want.
    pub(crate) fn arm(&self) -> Result<(), HostError> {
        self.set_alarm(self.next_alarm()?)
    }

    /// The same at the beginning of a wake, if earlier ones have left anything: an alarm that is given up by the platform, or that
    /// the JavaScript SDK never set, is set then. Not if it is the alarm that wakes the object; its run ends with it.
    pub(crate) fn arm_on_wake(&self) -> Result<(), HostError> {
        let tables = &self.background.tables;
        if self.background.armed.get() == Armed::Unknown && (tables.has(&SCHEDULES) || tables.has(&QUEUES)) {
            self.arm()?;
        }
        Ok(())
    }

    /// The same, whatever memory believes the alarm is set to.
    pub(crate) fn arm_anew(&self) -> Result<(), HostError> {
        self.background.armed.set(Armed::Unknown);
        self.arm()
    }

    /// Has the alarm go off then, if it would not before. Looks at no table.
    pub(crate) fn arm_by(&self, at_ms: u64) -> Result<(), HostError> {
        let at_ms = at_ms.max(self.host.now_ms() + 1);
        let armed = match self.background.armed.get() {
            Armed::Known(armed) => armed,
            Armed::Unknown => self.next_alarm()?,
        };
        self.set_alarm(Some(armed.map_or(at_ms, |armed| armed.min(at_ms))))
    }

    /// Has the alarm look after the queue.
    pub(crate) fn arm_for_queue(&self) -> Result<(), HostError> {
        self.arm_by(self.host.now_ms() + QUEUE_CHECK_MS)
    }

    /// Has the alarm keep the object in memory.
    pub(crate) fn arm_for_lease(&self) -> Result<(), HostError> {
        self.arm_by(self.host.now_ms() + millis(self.options.keep_alive_interval))
    }

    pub(crate) fn set_alarm(&self, at_ms: Option<u64>) -> Result<(), HostError> {
        let at_ms = at_ms.map(|at_ms| at_ms.min(MAX_TIME_MS));
        if self.background.armed.get() != Armed::Known(at_ms) {
            self.background.armed.set(Armed::Unknown);
            self.host.set_alarm(at_ms)?;
            self.background.armed.set(Armed::Known(at_ms));
        }
        Ok(())
    }

    /// The platform took the alarm away: it has gone off, or everything was deleted.
    pub(crate) fn alarm_is_gone(&self) {
        self.background.armed.set(Armed::Known(None));
    }

    fn next_alarm(&self) -> Result<Option<u64>, HostError> {
        let (background, store) = (&self.background, self.host.store());
        let now_ms = self.host.now_ms();
        let mut next = None;
        let mut want = |at_ms: u64| next = Some(next.map_or(at_ms, |next: u64| next.min(at_ms)));
        if background.tables.has(&SCHEDULES)
            && let Some(time_s) = table::earliest(store, self.options.hung_schedule_timeout.as_secs())?
        {
            // What is due while others run comes after them.
            let soonest_ms = now_ms + if background.are_schedules_running.get() { AGAIN_MS } else { 1 };
            want(time_s.saturating_mul(1_000).max(soonest_ms));
        }
        if background.tables.has(&QUEUES) && queue::has_items(store)? {
            want(now_ms + QUEUE_CHECK_MS);
        }
        if background.leases.get() > 0 {
            want(now_ms + millis(self.options.keep_alive_interval));
        }
        Ok(next)
    }

    /// How often in a row background work has run out of memory.
    fn strikes(&self) -> Result<u64, HostError> {
        let (tables, store) = (&self.background.tables, self.host.store());
        if !tables.has(&STRIKES) {
            return Ok(0);
        }
        let rows = store.run("SELECT MAX(strikes) FROM cf_agents_alarm_strikes", &[])?;
        Ok(rows.rows.into_iter().next().and_then(|row| Cells::new(row).count()).unwrap_or_default())
    }

    /// Background work has succeeded, so that the next strike is the first again.
    pub(crate) fn forget_strikes(&self) -> Result<(), HostError> {
        self.background.tables.drop(self.host.store(), &STRIKES)
    }

    /// Counts one more, and says how many there are. At the limit the count begins anew.
    fn strike(&self) -> Result<Strike, HostError> {
        let (tables, store) = (&self.background.tables, self.host.store());
        let strikes = self.strikes()? + 1;
        if strikes >= u64::from(self.options.max_alarm_memory_limit_strikes) {
            self.forget_strikes()?;
            return Ok(Strike::Out);
        }
        tables.ensure(store, &STRIKES)?;
        store.run("DELETE FROM cf_agents_alarm_strikes", &[])?;
        store.run("INSERT INTO cf_agents_alarm_strikes (strikes) VALUES (?)", &[strikes.into()])?;
        Ok(Strike::Again(strikes))
    }
}

impl Shell {
    /// Whether a failure of the platform is one too many for what met it.
    pub(crate) fn gives_up_after(&self, fault: Fault) -> Result<bool, HostError> {
        Ok(fault == Fault::Memory && matches!(self.strike()?, Strike::Out))
    }
}

enum Strike {
    Again(u64),
    Out,
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// Who runs what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// The platform, which repeats an alarm that failed unless it was set again meanwhile.
    Alarm,
    /// The agent itself.
    Agent,
}

/// Everything that the alarm does once the agent has started.
async fn run(entity: &Rc<dyn Entity>, caller: Caller) -> Result<()> {
    let shell = entity.shell();
    let background = &shell.background;
    background.tables.find(shell.host.store(), &SCHEDULES)?;
    queue::resume(entity);
    if background.are_schedules_running.replace(true) {
        // Whoever runs them runs what is due now as well, or comes back for it.
        shell.arm()?;
        return Ok(());
    }
    let outcome = run_due(entity).await;
    let armed = match &outcome {
        _ if background.is_destroyed() => Ok(()),
        Ok(()) => {
            background.are_schedules_running.set(false);
            shell.arm()
        }
        Err(_) if caller == Caller::Alarm && background.armed.get() == Armed::Known(None) => Ok(()),
        // What failed is still due and counts as running, so that it has a rest.
        Err(_) => shell.arm_anew(),
    };
    background.are_schedules_running.set(false);
    armed?;
    outcome
}

async fn run_due(entity: &Rc<dyn Entity>) -> Result<()> {
    let shell = entity.shell();
    let store = shell.host.store();
    let mut failure = None;
    let mut has_struck = false;
    if shell.background.tables.has(&SCHEDULES) {
        let due = table::due(store, shell.host.now_ms() / 1_000)?;
        warn_of_many(shell, &due);
        for (done, (id, _)) in due.iter().enumerate() {
            // It may have been cancelled or put off by what ran before it.
            let Some(row) = table::get(store, id)?.filter(|row| row.time_s <= shell.host.now_ms() / 1_000) else { continue };
            match run_row(entity, row).await? {
                Next::Row => {}
                Next::RowAfter(error) => failure = Some(failure.unwrap_or(error)),
                Next::Nothing(error) => return Err(error),
                Next::Struck => {
                    has_struck = true;
                    break;
                }
                Next::Destroyed => return Ok(()),
            }
            shell.breathe(done).await;
        }
    }
    // A queue that waits may have struck itself; it ends its own row of strikes.
    let is_queue_waiting = shell.background.tables.has(&QUEUES) && queue::has_items(store)?;
    if !has_struck && !is_queue_waiting {
        shell.forget_strikes()?;
    }
    failure.map_or(Ok(()), Err)
}

fn warn_of_many(shell: &Shell, due: &[(String, Option<String>)]) {
    let mut counts = BTreeMap::<&str, usize>::new();
    for callback in due.iter().filter_map(|(_, callback)| callback.as_deref()) {
        *counts.entry(callback).or_default() += 1;
    }
    for (callback, count) in counts.into_iter().filter(|(_, count)| *count >= MANY) {
        let line = format!(
            "agent={} instance={:?} {count} schedules that run once are due for {callback:?}: if on_start makes them, it does \
             so at every wake",
            shell.class,
            shell.name(),
        );
        shell.host.log(Level::Warn, &line);
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
    Destroyed,
}

async fn run_row(entity: &Rc<dyn Entity>, row: Row) -> Result<Next> {
    let shell = entity.shell();
    let store = shell.host.store();
    let now_s = shell.host.now_ms() / 1_000;
    if let Some(since_s) = row.running_since_s {
        if now_s.saturating_sub(since_s) < shell.options.hung_schedule_timeout.as_secs() {
            return Ok(Next::Row);
        }
        let line = format!(
            "agent={} instance={:?} schedule {} of {:?} has been running for {} s, counts as hung and runs again",
            shell.class,
            shell.name(),
            row.id,
            row.callback,
            now_s.saturating_sub(since_s),
        );
        shell.host.log(Level::Warn, &line);
    }
    let is_recurring = row.kind.is_recurring();
    if row.kind.name() == "interval" {
        table::set_running(store, &row.id, now_s)?;
    }
    let Row { id, callback, payload, kind, retry, .. } = row;
    let job = Job { origin: RunOrigin::Schedule, id, callback, payload, retry };
    let outcome = job.run(entity).await;
    if shell.background.is_destroyed() {
        return Ok(Next::Destroyed);
    }
    // From here to the end nothing is awaited: what the callback wrote last and what becomes of its row are one.
    let next = match outcome {
        Outcome::Done => Next::Row,
        Outcome::Platform { fault, error, attempts } if !is_recurring => {
            shell.log_failure(&job.label(), None, &error);
            match fault {
                Fault::Memory => match shell.strike()? {
                    Strike::Out => dead_letter::park(shell, &job, &error, attempts)?,
                    Strike::Again(strikes) => table::set_time(store, &job.id, now_s + strikes * MEMORY_REST_S)?,
                },
                Fault::Superseded => return Ok(Next::Nothing(error)),
                Fault::Transient | Fault::Own => return Ok(Next::RowAfter(error)),
            }
            return Ok(Next::Struck);
        }
        Outcome::Platform { error, .. } => {
            report(entity, &job.label(), None, error);
            Next::Row
        }
        Outcome::Failed { error, attempts } => {
            if !is_recurring {
                dead_letter::park(shell, &job, &error, attempts)?;
            }
            report(entity, &job.label(), None, error);
            Next::Row
        }
    };
    match kind.next_time(shell.host.now_ms()) {
        Ok(Some(time_s)) => table::set_time(store, &job.id, time_s)?,
        Ok(None) => drop(table::delete(store, &job.id)?),
        // A cron text that is over, or that another program wrote and nobody understands.
        Err(wrong) => {
            let error = Error::from(wrong);
            dead_letter::park(shell, &job, &error, 0)?;
            report(entity, &job.label(), None, error);
        }
    }
    Ok(next)
}

impl Shell {
    /// Lets others in between two runs: now and then also those that the platform holds back.
    pub(crate) async fn breathe(&self, done: usize) {
        const LONG_BREATH: usize = 32;
        if done % LONG_BREATH == LONG_BREATH - 1 {
            self.host.sleep(Duration::ZERO).await;
        } else {
            let mut is_over = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut is_over, true) {
                    return std::task::Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
        }
    }
}

impl<A: Agent> Context<A> {
    /// Does what the alarm does, here and now: runs the schedules that are due, and has the queue go on.
    ///
    /// Does nothing if the alarm is at it already.
    ///
    /// # Errors
    /// Where the alarm would have failed and been repeated by the platform.
    pub async fn run_due(&self) -> Result<()> {
        let entity: Rc<dyn Entity> = Rc::clone(&self.instance) as _;
        run(&entity, Caller::Agent).await
    }

    /// When the alarm of this object goes off, in Unix milliseconds. `None` while its handler runs, unless it was set again.
    ///
    /// # Errors
    /// Whatever the platform reports.
    pub async fn alarm_ms(&self) -> Result<Option<u64>, HostError> {
        self.instance.shell.host.alarm().await
    }

    /// Forgets what memory believes the alarm is set to, so that the next schedule sets it whatever it was. For code that set it
    /// itself.
    pub fn reload_alarm(&self) {
        self.instance.shell.background.armed.set(Armed::Unknown);
    }

    /// How often in a row background work has failed for want of memory. See
    /// [`max_alarm_memory_limit_strikes`](crate::AgentOptions::max_alarm_memory_limit_strikes).
    ///
    /// # Errors
    /// Whatever the platform reports.
    pub fn memory_limit_strikes(&self) -> Result<u64, HostError> {
        self.instance.shell.strikes()
    }
}

/// What the platform's alarm event does.
pub(crate) fn ring(
    entity: Rc<dyn Entity>,
    start: impl Future<Output = Result<()>> + 'static,
) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let shell = entity.shell();
        shell.alarm_is_gone();
        shell.background.tables.look_once(shell.host.store())?;
        if destroy::is_pending(shell) {
            return Ok(destroy::finish(shell).await?);
        }
        start.await?;
        run(&entity, Caller::Alarm).await
    })
}
