//! The end of an instance: everything it has stored goes, whatever comes between.
//!
//! A marker on disk says that it has begun. Whoever wakes the object after that finishes it first, before the agent is made; the
//! deletion itself takes all tables at once, the marker with them.

use std::rc::Rc;
use std::time::Duration;

use crate::agent::Agent;
use crate::close;
use crate::context::Context;
use crate::error::Result;
use crate::guard::guard;
use crate::host::{HostError, Rows, SqlValue, Store};
use crate::instance::{Entity, Hook};
use crate::link::{Link, Phase};
use crate::shell::Shell;
use crate::sql::migrate::DESTROYING;
use crate::task::DESTROYED;

/// When the alarm finishes what was interrupted, if nothing else wakes the object before.
const SAFETY_MS: u64 = 10_000;

/// What the platform tells those who wait for the object when it goes.
pub(crate) const REASON: &str = "the agent was destroyed";

/// Whether an earlier wake, or this one, has begun to destroy the object.
pub(crate) fn is_pending(shell: &Shell) -> bool {
    shell.background.tables.has(&DESTROYING)
}

/// The storage of an agent that is being destroyed: it refuses everything.
pub(crate) struct Closed;

impl Store for Closed {
    fn run(&self, _: &str, _: &[SqlValue]) -> Result<Rows, HostError> {
        Err(HostError::new(DESTROYED))
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}

/// Has the end come. Once this returns it will.
pub(crate) fn begin(entity: &Rc<dyn Entity>) -> Result<(), HostError> {
    let shell = entity.shell();
    if shell.background.is_destroyed() {
        return Ok(());
    }
    // The alarm first: if the marker fails, nothing has happened; the other way round the next wake would end what was told to go on.
    shell.arm_by(shell.host.now_ms() + SAFETY_MS)?;
    shell.background.tables.ensure(shell.host.store(), &DESTROYING)?;
    shell.background.set_destroyed();
    let entity = Rc::clone(entity);
    let host = Rc::clone(&shell.host);
    host.spawn(Box::pin(async move {
        let shell = entity.shell();
        // The event that asked for it gets its answer out.
        shell.host.sleep(Duration::ZERO).await;
        shell.background.set_emptied();
        if let Err(error) = shell.host.delete_all().await {
            shell.log_failure("destroy", None, &error.into());
        }
        // Not before: a client that hears of it comes back at once, and is to find a fresh instance.
        close_all(shell);
        shell.host.sleep(Duration::ZERO).await;
        // Whatever else is under way would write into the emptied storage.
        shell.host.abort(REASON);
    }));
    Ok(())
}

/// The same as a callback.
pub(crate) fn begin_hook(entity: Rc<dyn Entity>) -> Hook<()> {
    guard(async move { Ok(begin(&entity)?) })
}

/// Does what is left of it at the beginning of a wake: there is no agent yet, and nothing else is under way.
pub(crate) async fn finish(shell: &Shell) -> Result<(), HostError> {
    close_all(shell);
    shell.host.delete_all().await?;
    shell.background.tables.forget();
    shell.spans.forget_all();
    shell.alarm_is_gone();
    Ok(())
}

fn close_all(shell: &Shell) {
    let (code, reason) = close::DESTROYED;
    shell.complete_links();
    let mut links: Vec<Rc<Link>> = Vec::new();
    shell.links.for_each(|link| links.push(Rc::clone(link)));
    for link in links {
        // One that is closed already has what it needs.
        let _ = link.close(code, reason);
        // Its agent is gone, and the next one never knew it.
        link.set_phase(Phase::Gone);
        shell.links.remove(&link);
    }
}

impl<A: Agent> Context<A> {
    /// Ends this instance: its connections are closed with 1001 `Durable Object destroyed`, and everything it has stored is deleted,
    /// SQL tables of its own and the alarm included. Whoever reaches it next finds a fresh instance.
    ///
    /// Once this returns it will happen, whatever fails or crashes. The rest of the event may still answer, but must not wait: as soon
    /// as it does, the deletion follows and the object's memory is dropped, with all that is under way in it.
    ///
    /// # Errors
    /// Storage refused; nothing has happened then.
    pub async fn destroy(&self) -> Result<()> {
        begin_hook(Rc::clone(&self.instance) as _).await
    }
}
