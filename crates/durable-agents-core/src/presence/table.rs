//! The rows of those who have left a moment ago.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Leaver;
use crate::host::{HostError, SqlValue, Store};
use crate::sql::cells::Cells;
use crate::sql::{SqlError, lazy};

// One row for each user whose last connection has closed, until the grace period is over or the user is back: written once and
// deleted once. At most `MAX_LEAVERS`; `meta` is as large as the agent makes it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS cf_presence_leavers \
    (user TEXT PRIMARY KEY NOT NULL, meta TEXT NOT NULL, left_ms INTEGER NOT NULL) WITHOUT ROWID";

/// Most users in their grace period. Whoever leaves beyond it is gone at once.
pub const MAX_LEAVERS: u64 = 10_000;

pub(super) fn all<M: DeserializeOwned>(store: &dyn Store) -> Result<Vec<(String, Leaver<M>)>, SqlError> {
    let rows = lazy::run(store, "SELECT user, meta, left_ms FROM cf_presence_leavers", &[])?;
    Ok(rows.rows.into_iter().filter_map(leaver).collect())
}

pub(super) fn one<M: DeserializeOwned>(store: &dyn Store, user: &str) -> Result<Option<Leaver<M>>, SqlError> {
    let rows = lazy::run(store, "SELECT user, meta, left_ms FROM cf_presence_leavers WHERE user = ?", &[user.into()])?;
    Ok(rows.rows.into_iter().next().and_then(leaver).map(|(_, leaver)| leaver))
}

/// What an earlier version of the agent stored may not fit any more: such a leaver is nobody.
fn leaver<M: DeserializeOwned>(row: Vec<SqlValue>) -> Option<(String, Leaver<M>)> {
    let mut cells = Cells::new(row);
    let (user, meta, left_ms) = (cells.text()?, cells.text()?, cells.count()?);
    Some((user, Leaver { meta: serde_json::from_str(&meta).ok()?, left_ms }))
}

/// `false`: there are too many, and nothing was written.
pub(super) fn insert<M: Serialize>(store: &dyn Store, user: &str, leaver: &Leaver<M>) -> Result<bool, SqlError> {
    let meta = serde_json::to_string(&leaver.meta).map_err(|error| SqlError::Store(HostError::new(error.to_string())))?;
    let sql = "INSERT OR REPLACE INTO cf_presence_leavers (user, meta, left_ms) \
        SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM cf_presence_leavers) < ?4";
    let params: [SqlValue; 4] = [user.into(), meta.into(), leaver.left_ms.into(), MAX_LEAVERS.into()];
    Ok(lazy::write(store, CREATE, sql, &params)?.written > 0)
}

pub(super) fn delete(store: &dyn Store, user: &str) -> Result<(), SqlError> {
    store.run("DELETE FROM cf_presence_leavers WHERE user = ?", &[user.into()])?;
    Ok(())
}

/// Deletes who left by that time.
pub(super) fn delete_until(store: &dyn Store, left_ms: u64) -> Result<(), SqlError> {
    lazy::run(store, "DELETE FROM cf_presence_leavers WHERE left_ms <= ?", &[left_ms.into()])?;
    Ok(())
}
