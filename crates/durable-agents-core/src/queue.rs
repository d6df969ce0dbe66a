//! The queue: callbacks that run one after the other, in the background, in the order in which they were pushed.

use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use crate::agent::Agent;
use crate::alarm::{MAX_SETBACKS, rest_ms};
use crate::attempt::{Job, Outcome};
use crate::context::Context;
use crate::dead_letter::{give_up, give_up_fatal};
use crate::host::{HostError, Rows, Store};
use crate::instance::Entity;
use crate::retry::{Fault, Policy, RetryOptions};
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::migrate::QUEUES;
use crate::task::{Callback, RunOrigin, TaskError, payload_json, payload_value, retry_json, stored_retry};

/// Shortest rest of an item after a failure of the platform.
const MIN_REST_MS: u64 = 10_000;

/// An item that waits in the queue, or runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueItem {
    /// Its id, random.
    pub id: String,
    /// Name of the callback.
    pub callback: String,
    /// What the callback gets.
    pub payload: Value,
    /// When it was pushed, in Unix seconds.
    pub created_at: u64,
    /// Retry options of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
}

const COLUMNS: &str = "id, callback, payload, retry_options, created_at";

/// The first item, with what only the runtime needs.
struct First {
    job: Job,
    /// How many failures of the platform in a row it has met, and ends of the object.
    setbacks: u64,
    /// The same of failures for want of memory.
    strikes: u64,
    /// When it may be tried again, in Unix milliseconds.
    retry_at_ms: u64,
}

/// How long the first item has waited and will wait.
pub(crate) struct Wait {
    pub(crate) since_ms: u64,
    /// 0: it need not.
    pub(crate) until_ms: u64,
}

fn read(rows: Rows) -> impl Iterator<Item = (Job, u64)> {
    rows.rows.into_iter().map(|row| {
        let mut cells = Cells::new(row);
        let job = Job::read(RunOrigin::Queue, &mut cells);
        (job, cells.count().unwrap_or_default())
    })
}

fn item((job, created_at): (Job, u64)) -> QueueItem {
    QueueItem {
        payload: payload_value(job.payload.as_deref()),
        retry: stored_retry(job.retry.as_deref()),
        id: job.id,
        callback: job.callback,
        created_at,
    }
}

fn exists(shell: &Shell) -> Result<bool, HostError> {
    shell.background.tables.find(shell.host.store(), &QUEUES)
}

/// The row numbers of SQLite grow with every push, also within one second.
fn first(store: &dyn Store) -> Result<Option<First>, HostError> {
    let rows = store.run(
        "SELECT id, callback, payload, retry_options, setbacks, strikes, retry_at_ms FROM cf_agents_queues ORDER BY rowid LIMIT 1",
        &[],
    )?;
    Ok(rows.rows.into_iter().next().map(|row| {
        let mut cells = Cells::new(row);
        let job = Job::read(RunOrigin::Queue, &mut cells);
        let mut count = || cells.count().unwrap_or_default();
        First { job, setbacks: count(), strikes: count(), retry_at_ms: count() }
    }))
}

pub(crate) fn get(store: &dyn Store, id: &str) -> Result<Option<QueueItem>, HostError> {
    let rows = store.run(&format!("SELECT {COLUMNS} FROM cf_agents_queues WHERE id = ?"), &[id.into()])?;
    Ok(read(rows).next().map(item))
}

/// `None`: the queue is empty.
pub(crate) fn first_wait(store: &dyn Store) -> Result<Option<Wait>, HostError> {
    let rows = store.run("SELECT created_at, retry_at_ms FROM cf_agents_queues ORDER BY rowid LIMIT 1", &[])?;
    Ok(rows.rows.into_iter().next().map(|row| {
        let mut cells = Cells::new(row);
        let since_ms = cells.count().unwrap_or_default().saturating_mul(1_000);
        Wait { since_ms, until_ms: cells.count().unwrap_or_default() }
    }))
}

/// Has an item wait after a run that the platform has failed, or before one that the object may not survive.
fn put_off(store: &dyn Store, id: &str, retry_at_ms: u64, (setbacks, strikes): (u64, u64)) -> Result<(), HostError> {
    let params = [retry_at_ms.into(), setbacks.into(), strikes.into(), id.into()];
    store.run("UPDATE cf_agents_queues SET retry_at_ms = ?, setbacks = ?, strikes = ? WHERE id = ?", &params)?;
    Ok(())
}

/// Whether there was one.
pub(crate) fn delete(store: &dyn Store, id: &str) -> Result<bool, HostError> {
    Ok(store.run("DELETE FROM cf_agents_queues WHERE id = ?", &[id.into()])?.written > 0)
}

/// Stores an item at the end of the queue, and has the queue run.
pub(crate) fn push(entity: &Rc<dyn Entity>, job: Job) -> Result<(), TaskError> {
    let shell = entity.shell();
    let (store, now_ms) = (shell.host.store(), shell.host.now_ms());
    shell.background.tables.ensure(store, &QUEUES)?;
    shell.arm_for_queue()?;
    let id = job.id.as_str().into();
    let params = [id, job.payload.into(), job.callback.into(), (now_ms / 1_000).into(), job.retry.into()];
    store.run(
        "INSERT INTO cf_agents_queues (id, payload, callback, created_at, retry_options) VALUES (?, ?, ?, ?, ?)",
        &params,
    )?;
    shell.background.first_pushed.borrow_mut().get_or_insert(job.id);
    begin(entity);
    Ok(())
}

/// Goes on with what an earlier wake has left in the queue.
pub(crate) fn resume(entity: &Rc<dyn Entity>) {
    if entity.shell().background.tables.has(&QUEUES) {
        begin(entity);
    }
}

/// Has the queue run, once the current event waits or ends, unless it does already. Not before the start has ended, nor after the
/// end has begun.
fn begin(entity: &Rc<dyn Entity>) {
    let shell = entity.shell();
    if !shell.started.get() || shell.background.is_destroyed() || shell.background.is_queue_running.replace(true) {
        return;
    }
    let entity = Rc::clone(entity);
    shell.host.spawn(Box::pin(async move {
        let shell = entity.shell();
        let worked = work(&entity).await;
        shell.background.is_queue_running.set(false);
        shell.background.is_item_running.set(false);
        match worked {
            Ok(()) => shell.arm_or_log(),
            Err(error) => {
                // The items stay, and the alarm comes back for them. The first one may have run.
                shell.log_failure("queue", None, &error.into());
                shell.background.first_pushed.take();
                shell.log_unarmed(shell.arm_after_failure());
            }
        }
    }));
}

async fn work(entity: &Rc<dyn Entity>) -> Result<(), HostError> {
    let shell = entity.shell();
    let store = shell.host.store();
    let background = &shell.background;
    let mut done = 0;
    let mut is_wary = false;
    while !background.is_destroyed() {
        let Some(First { job, setbacks, strikes, retry_at_ms }) = first(store)? else {
            background.first_pushed.take();
            return Ok(());
        };
        if retry_at_ms > shell.host.now_ms() {
            return Ok(());
        }
        if setbacks >= MAX_SETBACKS {
            // Only a run that it has not survived leaves it here.
            give_up_fatal(entity, &job, setbacks)?;
            // Nothing is held against the next one, which may take down the object and this with it.
            is_wary = true;
            shell.breathe(done, is_wary).await;
            done += 1;
            continue;
        }
        background.is_item_running.set(true);
        let is_left_over = done == 0 && background.first_pushed.borrow().as_ref() != Some(&job.id);
        if is_left_over || setbacks + strikes > 0 {
            // An object may have ended in the middle of it, and this one may: the setback is counted before the run, whose end
            // corrects it. What ends well after it is not to end with the object either.
            is_wary = true;
            let rest_ms = rest_ms(setbacks + strikes + 1).max(MIN_REST_MS);
            put_off(store, &job.id, shell.host.now_ms() + rest_ms, (setbacks + 1, strikes))?;
            if !job.settle(shell).await? {
                continue;
            }
        }
        let outcome = job.run(entity).await;
        if background.is_destroyed() {
            return Ok(());
        }
        // Nothing is awaited from the end of the callback to here: what it wrote last and the end of its item are one.
        match outcome {
            Outcome::Done => drop(delete(store, &job.id)?),
            Outcome::Failed { error, attempts } => give_up(entity, &job, error, attempts)?,
            Outcome::Platform { fault, error, attempts } => {
                let is_memory = fault == Fault::Memory;
                let (setbacks, strikes) = (setbacks + u64::from(!is_memory), strikes + u64::from(is_memory));
                if setbacks >= MAX_SETBACKS || shell.is_out(strikes) {
                    give_up(entity, &job, error, attempts)?;
                } else {
                    shell.log_failure(&job.label(), None, &error);
                    let rest_ms = rest_ms(setbacks + strikes).max(MIN_REST_MS);
                    put_off(store, &job.id, shell.host.now_ms() + rest_ms, (setbacks, strikes))?;
                    return Ok(());
                }
            }
        }
        shell.breathe(done, is_wary).await;
        done += 1;
    }
    Ok(())
}

impl<A: Agent> Context<A> {
    /// Pushes a callback onto the queue, and returns the id of the item.
    ///
    /// It is stored before this returns, and runs in the background: strictly after what was pushed before it, one at a time, at
    /// least once, with retries. If all of them fail, or if the object ends in the middle of its run again and again, it is among the
    /// [dead letters](Self::dead_letters) and the next one runs.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn queue<P: Serialize>(&self, callback: impl Into<Callback<A, P>>, payload: &P) -> Result<String, TaskError> {
        self.enqueue(callback.into().name(), payload_json(payload)?, None)
    }

    /// The same with retry options of its own.
    ///
    /// # Errors
    /// [`TaskError`].
    pub fn queue_with<P: Serialize>(
        &self,
        callback: impl Into<Callback<A, P>>,
        payload: &P,
        retry: RetryOptions,
    ) -> Result<String, TaskError> {
        self.enqueue(callback.into().name(), payload_json(payload)?, Some(retry))
    }

    fn enqueue(&self, callback: &str, payload: String, retry: Option<RetryOptions>) -> Result<String, TaskError> {
        let entity: Rc<dyn Entity> = Rc::clone(&self.instance) as _;
        enqueue(&entity, callback, payload, retry)
    }

    /// The item with that id, while it waits or runs.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn get_queue(&self, id: &str) -> Result<Option<QueueItem>, TaskError> {
        let shell = &self.instance.shell;
        Ok(if exists(shell)? { get(shell.host.store(), id)? } else { None })
    }

    /// The items whose payload is an object that has exactly this under that key, in order.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn get_queues(&self, key: &str, value: &Value) -> Result<Vec<QueueItem>, TaskError> {
        let mut items = all(&self.instance.shell)?;
        items.retain(|item| item.payload.get(key) == Some(value));
        Ok(items)
    }

    /// How many items wait or run.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn queue_len(&self) -> Result<u64, TaskError> {
        len(&self.instance.shell)
    }

    /// Takes an item back, and says whether it was there. If it runs it goes on, but is not tried again.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn dequeue(&self, id: &str) -> Result<bool, TaskError> {
        Ok(remove(&self.instance.shell, "id = ?", id)? > 0)
    }

    /// Takes all items back, and says how many there were.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn dequeue_all(&self) -> Result<u64, TaskError> {
        remove(&self.instance.shell, "? IS NOT NULL", "")
    }

    /// Takes all items of one callback back, and says how many there were.
    ///
    /// # Errors
    /// [`TaskError::Store`].
    pub fn dequeue_all_by_callback(&self, name: &str) -> Result<u64, TaskError> {
        remove(&self.instance.shell, "callback = ?", name)
    }
}

fn enqueue(entity: &Rc<dyn Entity>, callback: &str, payload: String, retry: Option<RetryOptions>) -> Result<String, TaskError> {
    let shell = entity.shell();
    shell.background.check_callback(&**entity, callback)?;
    Policy::new(retry, shell.options.retry)?;
    let id = shell.short_id();
    let (callback, payload, retry) = (callback.to_owned(), Some(payload), retry_json(retry));
    push(entity, Job { origin: RunOrigin::Queue, id: id.clone(), callback, payload, retry })?;
    Ok(id)
}

fn all(shell: &Shell) -> Result<Vec<QueueItem>, TaskError> {
    if !exists(shell)? {
        return Ok(Vec::new());
    }
    let rows = shell.host.store().run(&format!("SELECT {COLUMNS} FROM cf_agents_queues ORDER BY rowid"), &[])?;
    Ok(read(rows).map(item).collect())
}

fn len(shell: &Shell) -> Result<u64, TaskError> {
    if !exists(shell)? {
        return Ok(0);
    }
    let rows = shell.host.store().run("SELECT COUNT(*) FROM cf_agents_queues", &[])?;
    Ok(Cells::only_count(rows).unwrap_or_default())
}

fn remove(shell: &Shell, condition: &str, value: &str) -> Result<u64, TaskError> {
    if !exists(shell)? {
        return Ok(0);
    }
    // The platform counts entries of indexes too, so the rows themselves are counted.
    let sql = format!("DELETE FROM cf_agents_queues WHERE {condition} RETURNING id");
    let removed = shell.host.store().run(&sql, &[value.into()])?.rows.len();
    if removed > 0 {
        shell.arm_or_log();
    }
    Ok(u64::try_from(removed).unwrap_or(u64::MAX))
}
