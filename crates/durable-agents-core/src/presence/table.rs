//! The rows of those who have left a moment ago.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Leaver;
use crate::host::{HostError, SqlValue, Store};
use crate::sql::{Query, SqlError};

// One row for each user whose last connection has closed, until the grace period is over or the user is back: written once and
// deleted once. At most `MAX_LEAVERS`; `meta` is as large as the agent makes it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS cf_presence_leavers \
    (user TEXT PRIMARY KEY NOT NULL, meta TEXT NOT NULL, left_ms INTEGER NOT NULL) WITHOUT ROWID";

/// Most users in their grace period. Whoever leaves beyond it is gone at once.
pub const MAX_LEAVERS: u64 = 10_000;

pub(super) fn all<M: DeserializeOwned>(store: &dyn Store) -> Result<BTreeMap<String, Leaver<M>>, SqlError> {
    let rows = read(store, "SELECT user, meta, left_ms FROM cf_presence_leavers", Vec::new())?;
    Ok(rows.into_iter().filter_map(|(user, meta, left_ms)| Some((user, leaver(&meta, left_ms)?))).collect())
}

pub(super) fn one<M: DeserializeOwned>(store: &dyn Store, user: &str) -> Result<Option<Leaver<M>>, SqlError> {
    let rows = read(store, "SELECT user, meta, left_ms FROM cf_presence_leavers WHERE user = ?", vec![user.into()])?;
    Ok(rows.into_iter().next().and_then(|(_, meta, left_ms)| leaver(&meta, left_ms)))
}

/// What an earlier version of the agent stored may not fit any more: such a leaver is nobody.
fn leaver<M: DeserializeOwned>(meta: &str, left_ms: u64) -> Option<Leaver<M>> {
    Some(Leaver { meta: serde_json::from_str(meta).ok()?, left_ms })
}

/// `false`: there are too many, and nothing was written.
pub(super) fn insert<M: Serialize>(store: &dyn Store, user: &str, leaver: &Leaver<M>) -> Result<bool, SqlError> {
    let meta = serde_json::to_string(&leaver.meta).map_err(|error| SqlError::Store(HostError::new(error.to_string())))?;
    let sql = "INSERT OR REPLACE INTO cf_presence_leavers (user, meta, left_ms) \
        SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM cf_presence_leavers) < ?4";
    let params: [SqlValue; 4] = [user.into(), meta.into(), leaver.left_ms.into(), MAX_LEAVERS.into()];
    let written = match store.run(sql, &params) {
        Err(error) if is_no_such_table(&error) => {
            store.run(CREATE, &[])?;
            store.run(sql, &params)?
        }
        written => written?,
    };
    Ok(written.written > 0)
}

pub(super) fn delete(store: &dyn Store, user: &str) -> Result<(), SqlError> {
    store.run("DELETE FROM cf_presence_leavers WHERE user = ?", &[user.into()])?;
    Ok(())
}

/// Deletes who left by that time.
pub(super) fn delete_until(store: &dyn Store, left_ms: u64) -> Result<(), SqlError> {
    match store.run("DELETE FROM cf_presence_leavers WHERE left_ms <= ?", &[left_ms.into()]) {
        Err(error) if !is_no_such_table(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

type Row = (String, String, u64);

/// An agent nobody has left yet has not even the table.
fn read(store: &dyn Store, sql: &str, params: Vec<SqlValue>) -> Result<Vec<Row>, SqlError> {
    match Query::new(store, sql, params).all() {
        Err(SqlError::Store(error)) if is_no_such_table(&error) => Ok(Vec::new()),
        rows => rows,
    }
}

fn is_no_such_table(error: &HostError) -> bool {
    error.message.contains("no such table")
}
