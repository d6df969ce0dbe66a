//! The row that holds an agent's state: the table of the JavaScript SDK, so that either can take over from the other.

use crate::error::StateError;
use crate::host::{HostError, SqlValue, Store};
use crate::message::Payload;
use crate::sql::migrate::{STATE, Tables};
use crate::sql::{MAX_VALUE_BYTES, lazy};
use crate::wire::server::StateFrame;

/// Row of the state. Written at every change, whole; at most one.
const ROW: &str = "cf_state_row_id";

/// Row that keeps what stood in [`ROW`] when it could not be read, so that nothing is lost for good. The newest only.
const UNREADABLE_ROW: &str = "cf_state_unreadable";

/// The stored text. `None` if nothing was ever stored; an untouched agent has not even the table.
pub(crate) fn read(tables: &Tables, store: &dyn Store) -> Result<Option<String>, HostError> {
    if !tables.find(store, &STATE)? {
        return Ok(None);
    }
    // The agent's own SQL may have dropped it.
    let rows = lazy::run(store, "SELECT state FROM cf_agents_state WHERE id = ?", &[ROW.into()])?;
    Ok(match rows.rows.into_iter().next().and_then(|row| row.into_iter().next()) {
        Some(SqlValue::Text(text)) => Some(text),
        // A row there is, and what it holds is no JSON text.
        Some(_) => Some(String::new()),
        None => None,
    })
}

/// Replaces the stored text by that in a [`StateFrame`], which `message` is.
pub(crate) fn write(tables: &Tables, store: &dyn Store, message: &Payload<'_>) -> Result<(), StateError> {
    let around = StateFrame::around();
    check_size(around.part_of(message))?;
    // The id is in the text: a parameter more is a string more for the platform to make.
    let sql = "INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES ('cf_state_row_id', ?)";
    tables.write(store, &STATE, || store.write_part(sql, message, around))?;
    Ok(())
}

/// Whether a state, JSON text, is small enough.
pub(crate) fn check_size(json: &str) -> Result<(), StateError> {
    match json.len() {
        size_bytes if size_bytes > MAX_STATE_BYTES => Err(StateError::TooLarge { size_bytes, limit_bytes: MAX_STATE_BYTES }),
        _ => Ok(()),
    }
}

/// Puts a text that could not be read out of the way.
pub(crate) fn set_aside(store: &dyn Store) -> Result<(), HostError> {
    store.run("DELETE FROM cf_agents_state WHERE id = ?", &[UNREADABLE_ROW.into()])?;
    store.run("UPDATE cf_agents_state SET id = ? WHERE id = ?", &[UNREADABLE_ROW.into(), ROW.into()])?;
    Ok(())
}

/// Largest state, in bytes of JSON: what a row may hold, less its id. That of a client may not be larger as it was sent, either.
pub const MAX_STATE_BYTES: usize = MAX_VALUE_BYTES - 64;
