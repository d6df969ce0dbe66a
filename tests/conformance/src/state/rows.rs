//! The rows behind the state, as an older version of the agent may have left them.
//!
//! The library's table, changed beneath it on purpose: no model for an agent.

use durable_agents::prelude::*;

/// The state as JSON text.
const STATE: &str = "cf_state_row_id";

/// What early versions of the JavaScript SDK wrote beside it.
const WAS_CHANGED: &str = "cf_state_was_changed";

/// No JSON.
pub(crate) const CORRUPTED: &str = "this is not valid json{{{";

/// Ids of the rows that belong to the state, sorted. Other rows of the table are the library's own.
pub(crate) fn ids<A: Agent>(cx: &Context<A>) -> Result<Vec<String>> {
    create_table(cx)?;
    Ok(cx.sql("SELECT id FROM cf_agents_state WHERE id IN (?, ?) ORDER BY id", (STATE, WAS_CHANGED)).all()?)
}

/// Replaces the state's text, and leaves what memory knows of it.
pub(crate) fn write_state<A: Agent>(cx: &Context<A>, json: &str) -> Result<()> {
    write(cx, STATE, json)
}

pub(crate) fn write_was_changed<A: Agent>(cx: &Context<A>) -> Result<()> {
    write(cx, WAS_CHANGED, "true")
}

pub(crate) fn delete_was_changed<A: Agent>(cx: &Context<A>) -> Result<()> {
    delete(cx, WAS_CHANGED)
}

/// Leaves the old row without the state it belongs to, and memory without either.
pub(crate) fn orphan_was_changed<A: Agent>(cx: &Context<A>) -> Result<()> {
    delete_state(cx)?;
    write_was_changed(cx)
}

/// Removes the state, from memory too.
pub(crate) fn delete_state<A: Agent>(cx: &Context<A>) -> Result<()> {
    delete(cx, STATE)?;
    cx.reload_state();
    Ok(())
}

fn write<A: Agent>(cx: &Context<A>, id: &str, text: &str) -> Result<()> {
    create_table(cx)?;
    cx.sql("INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES (?, ?)", (id, text)).execute()?;
    Ok(())
}

fn delete<A: Agent>(cx: &Context<A>, id: &str) -> Result<()> {
    create_table(cx)?;
    cx.sql("DELETE FROM cf_agents_state WHERE id = ?", (id,)).execute()?;
    Ok(())
}

/// The library makes the table when it first stores a state.
fn create_table<A: Agent>(cx: &Context<A>) -> Result<()> {
    cx.sql("CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)", ()).execute()?;
    Ok(())
}
