//! Tables that are made when something is first written to them: an object that never does has none of them.

use crate::host::{HostError, Rows, SqlValue, Store};

/// Runs a statement. Where there is no table yet, there are no rows.
pub(crate) fn run(store: &dyn Store, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError> {
    match store.run(sql, params) {
        Err(error) if is_no_such_table(&error) => Ok(Rows::default()),
        outcome => outcome,
    }
}

/// Runs a statement that writes. Where there is no table yet, `create` makes it.
pub(crate) fn write(store: &dyn Store, create: &str, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError> {
    write_with(store, create, || store.run(sql, params))
}

/// The same with a `write` of the caller's.
pub(crate) fn write_with<T>(store: &dyn Store, create: &str, write: impl Fn() -> Result<T, HostError>) -> Result<T, HostError> {
    match write() {
        Err(error) if is_no_such_table(&error) => {
            store.write(create, &[])?;
            write()
        }
        outcome => outcome,
    }
}

fn is_no_such_table(error: &HostError) -> bool {
    const WORDS: &[u8] = b"no such table";
    // The standard library's search takes 2 KB of wasm, to be quick in texts that are long.
    error.message.as_bytes().windows(WORDS.len()).any(|found| found == WORDS)
}
