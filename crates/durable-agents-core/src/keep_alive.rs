//! Leases that keep an object in memory for work that takes longer than its event.

use std::future::Future;
use std::rc::Rc;

use crate::agent::Agent;
use crate::context::Context;
use crate::instance::Entity;
use crate::task::TaskError;

/// While it is held, the object's alarm goes off every [`keep_alive_interval`](crate::AgentOptions::keep_alive_interval), and the
/// platform does not take the object for idle.
///
/// It lives in memory only: an object that is lost all the same, by a deploy or a crash, wakes without it. Dropping it releases it.
#[must_use = "dropped, it is released"]
pub struct KeepAlive(Rc<dyn Entity>);

impl KeepAlive {
    /// Releases it, as dropping does.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        let shell = self.0.shell();
        let leases = shell.background.leases.get().saturating_sub(1);
        shell.background.leases.set(leases);
        if leases == 0
            && let Err(error) = shell.arm()
        {
            shell.log_failure("release keep-alive", None, &error.into());
        }
    }
}

impl std::fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeepAlive")
    }
}

fn lease(entity: Rc<dyn Entity>) -> Result<KeepAlive, TaskError> {
    let shell = entity.shell();
    if shell.background.is_destroyed() {
        return Err(TaskError::Destroyed);
    }
    shell.arm_for_lease()?;
    shell.background.leases.set(shell.background.leases.get() + 1);
    Ok(KeepAlive(entity))
}

impl<A: Agent> Context<A> {
    /// Keeps the object in memory until the lease is released. Leases add up.
    ///
    /// It costs what an object in memory costs, for as long as it is held.
    ///
    /// # Errors
    /// [`TaskError::Destroyed`], [`TaskError::Store`].
    pub fn keep_alive(&self) -> Result<KeepAlive, TaskError> {
        lease(Rc::clone(&self.instance) as _)
    }

    /// Keeps the object in memory while `work` runs, and returns what it returns.
    ///
    /// # Errors
    /// Those of [`keep_alive`](Self::keep_alive), before `work` begins.
    pub async fn keep_alive_while<T>(&self, work: impl Future<Output = T>) -> Result<T, TaskError> {
        let lease = self.keep_alive()?;
        let done = work.await;
        lease.release();
        Ok(done)
    }

    /// How many leases are held.
    pub fn keep_alive_count(&self) -> usize {
        self.instance.shell.background.leases.get()
    }
}
