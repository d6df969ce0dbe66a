//! The row that holds an agent's state: the table of the JavaScript SDK, so that either can take over from the other.

use crate::error::StateError;
use crate::host::{HostError, SqlValue, Store};
use crate::sql::{MAX_VALUE_BYTES, lazy};

/// Row of the state. Written at every change, whole; at most one.
const ROW: &str = "cf_state_row_id";

/// Row that keeps what stood in [`ROW`] when it could not be read, so that nothing is lost for good. The newest only.
const UNREADABLE_ROW: &str = "cf_state_unreadable";

// Written by the state setter only; two rows at most, 2 MB each at most.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)";

/// The stored text. `None` if nothing was ever stored; an untouched agent has not even the table.
pub(crate) fn read(store: &dyn Store) -> Result<Option<String>, HostError> {
    let rows = lazy::run(store, "SELECT state FROM cf_agents_state WHERE id = ?", &[ROW.into()])?;
    Ok(match rows.rows.into_iter().next().and_then(|row| row.into_iter().next()) {
        Some(SqlValue::Text(text)) => Some(text),
        // A row there is, and what it holds is no JSON text.
        Some(_) => Some(String::new()),
        None => None,
    })
}

/// Replaces the stored text.
pub(crate) fn write(store: &dyn Store, json: &str) -> Result<(), StateError> {
    if json.len() > MAX_STATE_BYTES {
        return Err(StateError::TooLarge { size_bytes: json.len(), limit_bytes: MAX_STATE_BYTES });
    }
    // The id is in the text: a parameter more is a string more for the platform to make.
    let sql = "INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES ('cf_state_row_id', ?)";
    lazy::write(store, CREATE, sql, &[json.into()])?;
    Ok(())
}

/// Puts a text that could not be read out of the way.
pub(crate) fn set_aside(store: &dyn Store) -> Result<(), HostError> {
    store.run("DELETE FROM cf_agents_state WHERE id = ?", &[UNREADABLE_ROW.into()])?;
    store.run("UPDATE cf_agents_state SET id = ? WHERE id = ?", &[UNREADABLE_ROW.into(), ROW.into()])?;
    Ok(())
}

/// Largest state, in bytes of JSON: what a row may hold, less its id.
pub const MAX_STATE_BYTES: usize = MAX_VALUE_BYTES - 64;
