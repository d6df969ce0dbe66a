//! One object's database: SQLite with the platform's limits.

use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, ErrorCode};

use crate::host::{HostError, Rows, SqlValue, Store};
use crate::sql::{MAX_PARAMS, MAX_SAFE_INTEGER};

/// What workerd sets, so that the documented 2 MB of a value fit with the row around them.
const MAX_ROW_BYTES: i32 = 2_200_000;

/// Source: <https://developers.cloudflare.com/durable-objects/platform/limits/>
const MAX_STATEMENT_BYTES: i32 = 100_000;

/// Statements that the platform keeps for itself, by their first word.
const FORBIDDEN: [&str; 9] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM"];

#[derive(Debug)]
pub(super) struct Disk {
    connection: Connection,
}

impl Disk {
    pub(super) fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens a database in memory");
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_STATEMENT_BYTES),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, i32::try_from(MAX_PARAMS).expect("a small number")),
            (Limit::SQLITE_LIMIT_COLUMN, 100),
        ] {
            connection.set_limit(limit, value).expect("the limit is below SQLite's own");
        }
        Self { connection }
    }

    /// Runs one statement. With `atomic`, the first that writes opens a transaction, which [`commit`](Self::commit) or
    /// [`rollback`](Self::rollback) ends.
    pub(super) fn run(&self, sql: &str, params: &[SqlValue], atomic: bool) -> Result<Rows, HostError> {
        if is_forbidden(sql) {
            return Err(HostError::new("not authorized: SQLITE_AUTH"));
        }
        let mut statement = self.connection.prepare(sql).map_err(host_error)?;
        if statement.parameter_count() != params.len() {
            return Err(HostError::new("Wrong number of parameter bindings for SQL query."));
        }
        if atomic && !statement.readonly() && self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN").map_err(host_error)?;
        }
        let changes_before = self.connection.total_changes();
        for (index, param) in params.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, to_sqlite(param)).map_err(host_error)?;
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = Vec::new();
        let mut cursor = statement.raw_query();
        while let Some(row) = cursor.next().map_err(host_error)? {
            let value = |index| row.get_ref(index).map(from_sqlite).map_err(host_error);
            rows.push((0..columns.len()).map(value).collect::<Result<_, _>>()?);
        }
        drop(cursor);
        Ok(Rows { columns, rows, written: self.connection.total_changes() - changes_before })
    }

    /// Drops everything, as the platform does.
    pub(super) fn delete_all(&self, atomic: bool) -> Result<(), HostError> {
        let named =
            "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        for row in self.run(named, &[], atomic)?.rows {
            if let [SqlValue::Text(kind), SqlValue::Text(name)] = row.as_slice() {
                self.run(&format!("DROP {kind} \"{}\"", name.replace('"', "\"\"")), &[], atomic)?;
            }
        }
        Ok(())
    }

    pub(super) fn commit(&self) -> Result<(), HostError> {
        self.end("COMMIT")
    }

    pub(super) fn rollback(&self) {
        self.end("ROLLBACK").expect("a transaction can always be rolled back");
    }

    fn end(&self, sql: &str) -> Result<(), HostError> {
        // SQLite rolls back on its own after some failures, a full disk for instance.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch(sql).map_err(host_error)
    }
}

/// Outside of events: what a test looks at and alters itself.
impl Store for Disk {
    fn run(&self, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError> {
        Self::run(self, sql, params, false)
    }

    fn size_bytes(&self) -> u64 {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).unwrap_or_default();
        u64::from(pragma("page_count")) * u64::from(pragma("page_size"))
    }
}

fn is_forbidden(sql: &str) -> bool {
    let word = sql.trim_start().split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    FORBIDDEN.iter().any(|forbidden| word.eq_ignore_ascii_case(forbidden))
}

/// Numbers reach the platform's SQLite as JavaScript has them: all of them doubles.
#[allow(clippy::cast_precision_loss, reason = "the platform's loss, to be seen in tests")]
fn to_sqlite(value: &SqlValue) -> ToSqlOutput<'_> {
    match value {
        SqlValue::Null => ToSqlOutput::Owned(Value::Null),
        SqlValue::Integer(integer) => ToSqlOutput::Owned(Value::Real(*integer as f64)),
        SqlValue::Real(real) => ToSqlOutput::Owned(Value::Real(*real)),
        SqlValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        SqlValue::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "the platform's loss, to be seen in tests")]
fn from_sqlite(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(integer) if integer.unsigned_abs() > MAX_SAFE_INTEGER.unsigned_abs() => {
            SqlValue::Real(integer as f64)
        }
        ValueRef::Integer(integer) => SqlValue::Integer(integer),
        ValueRef::Real(real) => SqlValue::Real(real),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

/// SQLite's words with the name of the code behind them, as the platform has it.
fn host_error(error: Error) -> HostError {
    let name = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => "SQLITE_CONSTRAINT",
        Some(ErrorCode::TooBig) => "SQLITE_TOOBIG",
        Some(ErrorCode::DiskFull) => "SQLITE_FULL",
        Some(ErrorCode::TypeMismatch) => "SQLITE_MISMATCH",
        Some(ErrorCode::ParameterOutOfRange) => "SQLITE_RANGE",
        _ => "SQLITE_ERROR",
    };
    let message = match error {
        Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg)) => msg,
        other => other.to_string(),
    };
    HostError::new(format!("{message}: {name}"))
}
