//! The rows behind the schedules, as time would leave them.
//!
//! The library's table, changed beneath it on purpose: no model for an agent.

use durable_agents::Schedule;
use durable_agents::prelude::*;

/// How long ago a stale schedule was due.
const STALE_S: u64 = 60;

/// Makes `schedule` one of that id and callback which was due a minute ago, and leaves the alarm where it is.
pub(super) fn make_stale<A: Agent>(cx: &Context<A>, schedule: &Schedule, id: &str, callback: &str) -> Result<()> {
    let time_s = cx.now_ms() / 1_000 - STALE_S;
    let update = "UPDATE OR REPLACE cf_agents_schedules SET id = ?, callback = ?, time = ? WHERE id = ?";
    cx.sql(update, (id, callback, time_s, &schedule.id)).execute()?;
    Ok(())
}

/// Makes `schedule` due, and leaves the alarm where it is.
pub(super) fn make_due<A: Agent>(cx: &Context<A>, schedule: &Schedule) -> Result<()> {
    let time_s = cx.now_ms() / 1_000 - 1;
    cx.sql("UPDATE cf_agents_schedules SET time = ? WHERE id = ?", (time_s, &schedule.id)).execute()?;
    Ok(())
}
