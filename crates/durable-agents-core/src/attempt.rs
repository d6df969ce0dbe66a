//! One run of a callback in the background, with its retries.

use std::rc::Rc;
use std::time::Duration;

use crate::destroy;
use crate::error::Error;
use crate::host::{HostError, Store};
use crate::instance::Entity;
use crate::retry::{Fault, Policy};
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::task::{DESTROY, PayloadError, Run, RunOrigin, TaskError, stored_retry};

/// What is to run, as it is stored.
pub(crate) struct Job {
    pub(crate) origin: RunOrigin,
    pub(crate) id: String,
    pub(crate) callback: String,
    pub(crate) payload: Option<String>,
    pub(crate) retry: Option<String>,
}

/// What came of it.
pub(crate) enum Outcome {
    /// It succeeded, or nobody wants it any more.
    Done,
    /// It failed for good.
    Failed { error: Error, attempts: u32 },
    /// It failed, and that says nothing about the job.
    Platform { fault: Fault, error: Error, attempts: u32 },
}

impl Job {
    /// Reads id, callback, payload and retry options, in this order; what a query leaves out is not there.
    pub(crate) fn read(origin: RunOrigin, cells: &mut Cells) -> Self {
        let (id, callback) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
        Self { origin, id, callback, payload: cells.text(), retry: cells.text() }
    }

    /// Its name in the log.
    pub(crate) fn label(&self) -> String {
        format!("{} {} of {:?}", self.origin.name(), self.id, self.callback)
    }

    /// Where it waits.
    pub(crate) fn table(&self) -> &'static str {
        match self.origin {
            RunOrigin::Schedule => "cf_agents_schedules",
            RunOrigin::Queue => "cf_agents_queues",
        }
    }

    /// Whether it still does.
    pub(crate) fn is_there(&self, store: &dyn Store) -> Result<bool, HostError> {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?", self.table());
        let found = store.run(&sql, &[self.id.as_str().into()])?;
        Ok(!found.rows.is_empty())
    }

    /// Has what was noted before a run be on disk when it begins, and the alarm come back whatever becomes of the object. `false`:
    /// the job was taken back meanwhile.
    ///
    /// The platform commits when its event loop gets a turn. A callback that exceeds a limit before it waits for anything would take
    /// along what was written in the same turn.
    pub(crate) async fn settle(&self, shell: &Shell) -> Result<bool, HostError> {
        shell.arm()?;
        shell.host.sleep(Duration::ZERO).await;
        Ok(!shell.background.is_destroyed() && self.is_there(shell.host.store())?)
    }

    /// Runs it until it succeeds, is given up or taken back.
    pub(crate) async fn run(&self, entity: &Rc<dyn Entity>) -> Outcome {
        let shell = entity.shell();
        let policy = Policy::stored(stored_retry(self.retry.as_deref()), shell.options.retry);
        let payload: Rc<str> = self.payload.as_deref().unwrap_or("null").into();
        let mut attempts = 1;
        loop {
            let run = Run { id: self.id.clone(), callback: self.callback.clone(), attempt: attempts, origin: self.origin };
            let hook = match Rc::clone(entity).run_callback(Rc::clone(&payload), run) {
                Some(hook) => hook,
                None if self.callback == DESTROY => destroy::begin_hook(Rc::clone(entity)),
                None => {
                    let error = TaskError::NoSuchCallback { name: self.callback.clone() }.into();
                    return Outcome::Failed { error, attempts: 0 };
                }
            };
            let Err(error) = hook.await else { return Outcome::Done };
            if shell.background.is_destroyed() {
                return Outcome::Done;
            }
            let fault = Fault::of(&error);
            let is_last = attempts >= policy.max_attempts || error.is::<PayloadError>();
            match fault {
                // Another attempt here would only fail once more.
                Fault::Superseded | Fault::Memory => return Outcome::Platform { fault, error, attempts },
                Fault::Transient if is_last => return Outcome::Platform { fault, error, attempts },
                Fault::Own if is_last => return Outcome::Failed { error, attempts },
                Fault::Transient | Fault::Own => {}
            }
            policy.rest_after(attempts, &*shell.host).await;
            // If the database does not answer, the next attempt will find out.
            if shell.background.is_destroyed() || !self.is_there(shell.host.store()).unwrap_or(true) {
                return Outcome::Done;
            }
            attempts += 1;
        }
    }
}

impl Shell {
    /// Lets others in between two runs: now and then also those that the platform holds back, and always if the run before must be on
    /// disk when the next begins.
    pub(crate) async fn breathe(&self, done: usize, is_wary: bool) {
        const LONG_BREATH: usize = 32;
        if is_wary || done % LONG_BREATH == LONG_BREATH - 1 {
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
