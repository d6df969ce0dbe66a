//! What goes when its user has gone.

use durable_agents::ScheduleFilter;
use durable_agents::prelude::*;

use super::{KEPT_AFTER_LEAVING, WorldAgent, store};

#[agent]
impl WorldAgent {
    /// Drops what is not persistent, once nobody has been here for [`KEPT_AFTER_LEAVING`].
    #[callback]
    async fn clean_up(&self, cx: &Context<Self>) -> Result<()> {
        if cx.connections().next().is_some() {
            // After a crash nobody tells us that they have left, so there is always a next time.
            return expect_leaving(cx);
        }
        store::drop_clones(cx)?;
        if store::worlds(cx)? == 0 {
            // Nothing is left to come back to: most users come once.
            cx.destroy().await?;
        }
        Ok(())
    }
}

/// Has the user's things looked after, [`KEPT_AFTER_LEAVING`] from now and not before.
pub(super) fn expect_leaving(cx: &Context<WorldAgent>) -> Result<()> {
    let before = cx.schedules(&ScheduleFilter::new().callback(WorldAgent::CLEAN_UP.name()))?;
    // The new one comes first: where it cannot be made, those of before still do their work.
    if !store::is_lasting(cx)? {
        cx.schedule(KEPT_AFTER_LEAVING, WorldAgent::CLEAN_UP, &())?;
    }
    for earlier in before {
        cx.cancel_schedule(&earlier.id)?;
    }
    Ok(())
}
