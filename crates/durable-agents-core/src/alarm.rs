//! The one alarm of an object: what it is set to, and what happens when it goes off.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::agent::Agent;
use crate::context::Context;
use crate::error::Result;
use crate::host::HostError;
use crate::instance::Entity;
use crate::schedule::table;
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::{DESTROYING, QUEUES, SCHEDULES, STRIKES, Tables};
use crate::task::{DESTROY, TaskError};
use crate::time::millis;
use crate::{destroy, queue};

/// How long after a push the alarm looks after the queue, in case the object was lost in the meantime.
const QUEUE_CHECK_MS: u64 = 10_000;

/// How soon the alarm comes back to what is due and could not be done now.
pub(crate) const AGAIN_MS: u64 = 2_000;

/// Longest rest after a failure of the platform. The first is [`AGAIN_MS`], each next one twice as long.
const MAX_REST_MS: u64 = 900_000;

/// So many failures of the platform or ends of the object in a row, over two and a half hours, are not the platform's any more: the
/// job is given up.
pub(crate) const MAX_SETBACKS: u64 = 20;

/// How often the alarm goes off at most for leases.
const MIN_KEEP_ALIVE_MS: u64 = 1_000;

/// The last moment that the platform has a date for.
pub(crate) const MAX_TIME_MS: u64 = 8_640_000_000_000_000;

/// What memory knows of the background work.
#[derive(Debug, Default)]
pub(crate) struct Background {
    pub(crate) tables: Tables,
    pub(crate) leases: Cell<usize>,
    pub(crate) is_queue_running: Cell<bool>,
    // Not if all that the queue does is to find that its first item waits.
    pub(crate) is_item_running: Cell<bool>,
    // The first item that was pushed since the queue was seen to be empty: neither it nor what is behind it has been begun.
    pub(crate) first_pushed: RefCell<Option<String>>,
    armed: Cell<Armed>,
    // Between the alarm's going off and its work: the start that it may have caused.
    is_ringing: Cell<bool>,
    // When it last went off, in Unix milliseconds.
    pub(crate) rang_at_ms: Cell<u64>,
    pub(crate) are_schedules_running: Cell<bool>,
    // This instance has lived through the run of a schedule, and noted how it ended.
    pub(crate) has_run_schedules: Cell<bool>,
    // The schedule whose callback runs, if it is one that runs once.
    pub(crate) running_once: RefCell<Option<String>>,
    queue_check: Deadline,
    lease_check: Deadline,
    is_destroyed: Cell<bool>,
    is_emptied: Cell<bool>,
    is_starting: Cell<bool>,
    warned: RefCell<Vec<String>>,
}

/// A moment that stays where it is, however often the alarm is set, until the alarm has gone off or nothing waits for it any more.
#[derive(Debug, Default)]
struct Deadline(Cell<Option<u64>>);

impl Deadline {
    fn keep_or(&self, at_ms: u64) -> u64 {
        let at_ms = self.0.get().unwrap_or(at_ms);
        self.0.set(Some(at_ms));
        at_ms
    }

    fn clear(&self) {
        self.0.set(None);
    }
}

/// How long what the platform has failed rests after that many failures in a row.
pub(crate) fn rest_ms(setbacks: u64) -> u64 {
    let doublings = u32::try_from(setbacks.saturating_sub(1)).unwrap_or(u32::MAX);
    2_u64.checked_pow(doublings).map_or(MAX_REST_MS, |factor| AGAIN_MS.saturating_mul(factor)).min(MAX_REST_MS)
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

    /// Whether its storage is being emptied, so that whatever is written now would stay.
    pub(crate) fn is_emptied(&self) -> bool {
        self.is_emptied.get()
    }

    pub(crate) fn set_emptied(&self) {
        self.is_emptied.set(true);
    }

    /// The schedule that runs once and runs now.
    pub(crate) fn running_once(&self) -> Option<String> {
        self.running_once.borrow().clone()
    }

    pub(crate) fn set_starting(&self, starting: bool) {
        self.is_starting.set(starting);
    }

    /// Whether a schedule of that callback was made by the start hook, for the first time in this wake.
    pub(crate) fn warns_of(&self, callback: &str) -> bool {
        let mut warned = self.warned.borrow_mut();
        let is_new = self.is_starting.get() && !warned.iter().any(|known| known == callback);
        if is_new {
            warned.push(callback.to_owned());
        }
        is_new
    }
}

impl Shell {
    /// Sets the alarm to what the tables and leases want: never later than the earliest of it.
    pub(crate) fn arm(&self) -> Result<(), HostError> {
        self.set_alarm(self.next_alarm(false)?)
    }

    /// The same where something was taken away: an alarm that could not be set goes off too early at worst, for nothing.
    pub(crate) fn arm_or_log(&self) {
        self.log_unarmed(self.arm());
    }

    /// Says that an alarm could not be set, where nobody else would.
    pub(crate) fn log_unarmed(&self, armed: Result<(), HostError>) {
        if let Err(error) = armed {
            self.log_failure("set alarm", None, &error.into());
        }
    }

    /// The same after something has failed that may fail again: what is overdue waits as long again as it has waited already, within
    /// limits. If not even that can be found out, the alarm looks again later.
    pub(crate) fn arm_after_failure(&self) -> Result<(), HostError> {
        let at_ms = self.next_alarm(true).unwrap_or_else(|_| Some(self.host.now_ms() + MAX_REST_MS));
        self.background.armed.set(Armed::Unknown);
        self.set_alarm(at_ms)
    }

    /// Sets the alarm at the beginning of a wake, if earlier ones have left anything: an alarm that is given up by the platform, or
    /// that the JavaScript SDK never set, is set then. Not if it is the alarm that wakes the object; its end sets it.
    pub(crate) fn arm_on_wake(&self) -> Result<(), HostError> {
        let Background { tables, armed, is_ringing, .. } = &self.background;
        if armed.get() == Armed::Unknown && !is_ringing.get() && (tables.has(&SCHEDULES) || tables.has(&QUEUES)) {
            self.arm()?;
        }
        Ok(())
    }

    /// Sets the alarm to what the tables and leases want, whatever memory believes it is set to.
    pub(crate) fn arm_anew(&self) -> Result<(), HostError> {
        self.background.armed.set(Armed::Unknown);
        self.arm()
    }

    /// Has the alarm go off then, if it would not before. Looks at no table unless memory does not know what the alarm is set to.
    pub(crate) fn arm_by(&self, at_ms: u64) -> Result<(), HostError> {
        let at_ms = at_ms.max(self.host.now_ms() + 1);
        let armed = match self.background.armed.get() {
            Armed::Known(armed) => armed,
            Armed::Unknown => self.next_alarm(false)?,
        };
        self.set_alarm(Some(armed.map_or(at_ms, |armed| armed.min(at_ms))))
    }

    /// Has the alarm look after the queue.
    pub(crate) fn arm_for_queue(&self) -> Result<(), HostError> {
        self.arm_by_deadline(&self.background.queue_check, QUEUE_CHECK_MS)
    }

    /// Has the alarm be the event that keeps the object from being dropped.
    pub(crate) fn arm_for_lease(&self) -> Result<(), HostError> {
        self.arm_by_deadline(&self.background.lease_check, self.keep_alive_ms())
    }

    fn arm_by_deadline(&self, deadline: &Deadline, from_now_ms: u64) -> Result<(), HostError> {
        let at_ms = deadline.keep_or(self.host.now_ms() + from_now_ms);
        self.arm_by(at_ms)?;
        // Nothing waits for it before this returns, so that a look at the tables may have cleared it.
        deadline.keep_or(at_ms);
        Ok(())
    }

    fn keep_alive_ms(&self) -> u64 {
        millis(self.options.keep_alive_interval).max(MIN_KEEP_ALIVE_MS)
    }

    fn set_alarm(&self, at_ms: Option<u64>) -> Result<(), HostError> {
        if self.background.is_destroyed() {
            // The alarm that is set finishes what was begun.
            return Ok(());
        }
        let at_ms = at_ms.map(|at_ms| at_ms.min(MAX_TIME_MS));
        if self.background.armed.get() != Armed::Known(at_ms) {
            self.background.armed.set(Armed::Unknown);
            self.host.set_alarm(at_ms)?;
            self.background.armed.set(Armed::Known(at_ms));
        }
        Ok(())
    }

    /// The alarm has gone off. Memory does not know what the platform makes of it: it may repeat it, and a crash certainly has it
    /// repeated, as long as nobody sets another.
    fn alarm_has_gone_off(&self) {
        self.background.armed.set(Armed::Unknown);
        self.background.rang_at_ms.set(self.host.now_ms());
        self.background.queue_check.clear();
        self.background.lease_check.clear();
    }

    /// Everything was deleted, the alarm too.
    pub(crate) fn alarm_is_gone(&self) {
        self.background.armed.set(Armed::Known(None));
    }

    fn next_alarm(&self, after_failure: bool) -> Result<Option<u64>, HostError> {
        let (background, store) = (&self.background, self.host.store());
        let now_ms = self.host.now_ms();
        let mut next = None;
        let mut want = |at_ms: u64| next = Some(next.map_or(at_ms, |next: u64| next.min(at_ms)));
        background.tables.look_once(store)?;
        if background.tables.has(&DESTROYING) {
            want(now_ms + AGAIN_MS);
        }
        if let Some(at_ms) = (self.next_run)(self, after_failure)? {
            want(at_ms);
        }
        if background.leases.get() > 0 {
            want(background.lease_check.keep_or(now_ms + self.keep_alive_ms()).max(now_ms + 1));
        } else {
            background.lease_check.clear();
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
        Ok(Cells::only_count(rows).unwrap_or_default())
    }

    /// An alarm has gone well, so that the next strike is the first again.
    pub(crate) fn forget_strikes(&self) -> Result<(), HostError> {
        self.background.tables.drop(self.host.store(), &STRIKES)
    }

    /// Counts one more, and says how many there are. At the limit the count begins anew.
    pub(crate) fn strike(&self) -> Result<u64, HostError> {
        let (tables, store) = (&self.background.tables, self.host.store());
        let strikes = self.strikes()? + 1;
        if self.is_out(strikes) {
            self.forget_strikes()?;
            return Ok(strikes);
        }
        tables.ensure(store, &STRIKES)?;
        store.run("DELETE FROM cf_agents_alarm_strikes", &[])?;
        store.run("INSERT INTO cf_agents_alarm_strikes (strikes) VALUES (?)", &[strikes.into()])?;
        Ok(strikes)
    }

    /// Whether so many failures for want of memory are enough.
    pub(crate) fn is_out(&self, strikes: u64) -> bool {
        strikes >= u64::from(self.options.max_alarm_memory_limit_strikes)
    }
}

/// When the schedules or the queue of an agent with callbacks want the alarm, in Unix milliseconds.
pub(crate) fn next_run(shell: &Shell, after_failure: bool) -> Result<Option<u64>, HostError> {
    let (background, store) = (&shell.background, shell.host.store());
    let now_ms = shell.host.now_ms();
    let mut schedule_ms = None;
    if background.tables.has(&SCHEDULES)
        && let Some(time_s) = table::earliest(store, now_ms / 1_000, shell.options.hung_schedule_timeout.as_secs())?
    {
        let time_ms = time_s.saturating_mul(1_000);
        let at_ms = next_attempt_ms(now_ms, time_ms, after_failure);
        let others_run = background.are_schedules_running.get() || background.is_ringing.get();
        // What is due while others run comes after them.
        schedule_ms = Some(if others_run && !after_failure { at_ms.max(now_ms + AGAIN_MS) } else { at_ms });
    }
    let wait = if background.tables.has(&QUEUES) { queue::first_wait(store)? } else { None };
    // One that runs is looked after, whatever else has failed and however long it would wait in case the object does not survive it: an
    // object without events is dropped.
    let is_waiting = !background.is_item_running.get();
    let queue_ms = match wait {
        Some(wait) if after_failure && is_waiting => Some(now_ms + as_long_again(now_ms, wait.since_ms, QUEUE_CHECK_MS)),
        Some(wait) if wait.until_ms > now_ms && is_waiting => Some(wait.until_ms),
        Some(_) => Some(background.queue_check.keep_or(now_ms + QUEUE_CHECK_MS).max(now_ms + 1)),
        None => {
            background.queue_check.clear();
            background.first_pushed.take();
            None
        }
    };
    Ok(schedule_ms.into_iter().chain(queue_ms).min())
}

/// How long what has been due since `since_ms` waits after a failure.
fn as_long_again(now_ms: u64, since_ms: u64, at_least_ms: u64) -> u64 {
    now_ms.saturating_sub(since_ms).clamp(at_least_ms, MAX_REST_MS)
}

/// When what is due since `time_ms`, or will be, is next to be tried.
pub(crate) fn next_attempt_ms(now_ms: u64, time_ms: u64, after_failure: bool) -> u64 {
    time_ms.max(now_ms + if after_failure { as_long_again(now_ms, time_ms, AGAIN_MS) } else { 1 })
}

impl<A: Agent> Context<A> {
    /// Does what the alarm does, here and now: runs the schedules that are due, and has the queue go on.
    ///
    /// Does nothing if the alarm is at it already.
    ///
    /// # Errors
    /// Where the alarm would have failed and been repeated by the platform.
    pub async fn run_due(&self) -> Result<()> {
        Rc::clone(&self.instance).run_due().await
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
///
/// However it ends, an alarm is set for what is left: the platform repeats one that failed six times and no more.
pub(crate) fn ring(
    entity: Rc<dyn Entity>,
    start: impl Future<Output = Result<()>> + 'static,
) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let shell = entity.shell();
        if shell.background.is_destroyed() {
            return Ok(());
        }
        shell.alarm_has_gone_off();
        shell.background.is_ringing.set(true);
        let woken = wake(shell, start).await;
        shell.background.is_ringing.set(false);
        match woken {
            Ok(true) => Rc::clone(&entity).run_due().await,
            Ok(false) => Ok(()),
            Err(error) => {
                shell.log_unarmed(shell.arm_after_failure());
                Err(error)
            }
        }
    })
}

/// Whether there is anything to do after it.
async fn wake(shell: &Shell, start: impl Future<Output = Result<()>>) -> Result<bool> {
    shell.background.tables.look_once(shell.host.store())?;
    if destroy::is_pending(shell) {
        destroy::finish(shell).await?;
        return Ok(false);
    }
    start.await?;
    Ok(true)
}
