//! Leases that keep the platform from dropping an object while work goes on beside its events.

use std::future::Future;
use std::rc::Rc;

use crate::agent::Agent;
use crate::context::Context;
use crate::instance::Entity;
use crate::task::TaskError;

/// Keeps the platform from dropping an object in which work goes on. Dropping it releases it.
///
/// The platform drops an object 70 to 140 s after its last event, even if something in it still waits for a timer or for an answer from
/// outside. While a lease is held, the object's alarm goes off every
/// [`keep_alive_interval`](crate::AgentOptions::keep_alive_interval), which is an event.
///
/// It does not keep an object in which nothing goes on: that hibernates 10 s after its last event, before the alarm goes off, and the
/// lease is lost. So it belongs into the work that it is for, as [`Context::keep_alive_while`] has it. It lives in memory only, so
/// that a deploy or a crash ends it too. The object wakes without it, at the latest by the alarm that was set last, which does nothing
/// then.
///
/// Source: <https://developers.cloudflare.com/durable-objects/concepts/durable-object-lifecycle/>
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
        if leases == 0 {
            shell.arm_or_log();
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
    /// Keeps the platform from dropping the object while work goes on in it, until the lease is released; an object in which nothing
    /// goes on hibernates all the same, and the lease is lost: see [`KeepAlive`]. Leases add up.
    ///
    /// An object in memory is on the bill, and each alarm is a request and a write.
    ///
    /// # Errors
    /// [`TaskError::Destroyed`], [`TaskError::Store`].
    pub fn keep_alive(&self) -> Result<KeepAlive, TaskError> {
        lease(Rc::clone(&self.instance) as _)
    }

    /// Holds a [lease](KeepAlive) while `work` runs, and returns what it returns. A crash, a deploy or an eviction ends both.
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
