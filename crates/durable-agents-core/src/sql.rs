//! SQL with typed parameters and rows.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Error;

use crate::host::{HostError, Rows, SqlValue, Store};

pub(crate) mod cells;
pub(crate) mod lazy;
pub(crate) mod migrate;
mod row;

use row::RowDeserializer;

/// Largest integer that a query takes or returns, either sign: 2⁵³ − 1.
///
/// The platform's SQLite hands integers over as JavaScript numbers. A larger one would be rounded, so it is an error instead.
/// Source: <https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/#exec>
pub const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Whether a number of JavaScript is an integer that nothing was rounded to.
pub fn is_safe_integer(number: f64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "the last integer that is exact")]
    let max = MAX_SAFE_INTEGER as f64;
    number.fract() == 0.0 && number.abs() <= max
}

/// Most parameters of one statement.
///
/// Source: <https://developers.cloudflare.com/durable-objects/platform/limits/>
pub const MAX_PARAMS: usize = 100;

/// Largest text, blob or row.
///
/// Source: <https://developers.cloudflare.com/durable-objects/platform/limits/>
pub const MAX_VALUE_BYTES: usize = 2_000_000;

/// Why a query gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// A parameter cannot be stored as it is.
    #[error("parameter {index}: integer {value} is beyond ±{MAX_SAFE_INTEGER}, store it as text")]
    IntegerTooLarge {
        /// Which parameter, from 1.
        index: usize,
        /// Its value.
        value: i64,
    },
    /// Too many parameters.
    #[error("{count} parameters given, limit is {MAX_PARAMS}")]
    TooManyParams {
        /// How many were given.
        count: usize,
    },
    /// SQLite refused.
    #[error("query failed: {0}")]
    Store(#[from] HostError),
    /// A row does not fit the type.
    #[error("row {index} does not fit its type: {reason}")]
    Shape {
        /// Which row, from 0.
        index: usize,
        /// Column and cause.
        reason: String,
    },
    /// Exactly one row was wanted.
    #[error("{count} rows where one was expected")]
    NotOne {
        /// How many there were.
        count: usize,
    },
}

/// A statement with its parameters. Nothing has run until one of its methods is called.
#[must_use = "a query does nothing until it is run"]
pub struct Query<'a> {
    store: &'a dyn Store,
    sql: &'a str,
    params: Vec<SqlValue>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(store: &'a dyn Store, sql: &'a str, params: impl Params) -> Self {
        Self { store, sql, params: params.into_values() }
    }

    /// Runs it for its effect.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn execute(self) -> Result<(), SqlError> {
        self.run().map(drop)
    }

    /// Runs it for its effect, and returns how many rows it inserted, changed or deleted. Of no meaning for `CREATE` and its like.
    ///
    /// Takes a second statement if there were any: [`execute`](Self::execute) is for whoever does not need the number.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn changes(self) -> Result<u64, SqlError> {
        let store = self.store;
        let written = self.run()?.written;
        if written == 0 {
            return Ok(0);
        }
        // The platform counts entries of indexes too; SQLite itself knows the rows.
        let changes = store.run("SELECT changes()", &[])?.rows.pop().and_then(|mut row| row.pop());
        match changes {
            Some(SqlValue::Integer(changes)) => Ok(u64::try_from(changes).unwrap_or(written)),
            _ => Ok(written),
        }
    }

    /// All rows. `T` is a struct with a field for each column, a tuple, or, for a single column, its value.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn all<T: DeserializeOwned>(self) -> Result<Vec<T>, SqlError> {
        let mut all = Vec::new();
        self.each(&mut |row| {
            all.push(T::deserialize(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// What reading rows of any type has in common, compiled once.
    fn each(self, read: &mut dyn FnMut(RowDeserializer<'_>) -> Result<(), Error>) -> Result<(), SqlError> {
        let Rows { columns, rows, .. } = self.run()?;
        for (index, row) in rows.into_iter().enumerate() {
            let row = read(RowDeserializer::new(&columns, row));
            row.map_err(|error| SqlError::Shape { index, reason: error.to_string() })?;
        }
        Ok(())
    }

    /// The only row.
    ///
    /// # Errors
    /// [`SqlError::NotOne`] for none or several, and the others.
    pub fn one<T: DeserializeOwned>(self) -> Result<T, SqlError> {
        self.optional()?.ok_or(SqlError::NotOne { count: 0 })
    }

    /// The only row, if there is one.
    ///
    /// # Errors
    /// [`SqlError::NotOne`] for several, and the others.
    pub fn optional<T: DeserializeOwned>(self) -> Result<Option<T>, SqlError> {
        let mut rows = self.all()?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            count => Err(SqlError::NotOne { count }),
        }
    }

    fn run(self) -> Result<Rows, SqlError> {
        if self.params.len() > MAX_PARAMS {
            return Err(SqlError::TooManyParams { count: self.params.len() });
        }
        for (index, param) in self.params.iter().enumerate() {
            if let SqlValue::Integer(value) = *param
                && value.unsigned_abs() > MAX_SAFE_INTEGER.unsigned_abs()
            {
                return Err(SqlError::IntegerTooLarge { index: index + 1, value });
            }
        }
        Ok(self.store.run(self.sql, &self.params)?)
    }
}

/// Parameters of a statement: `()`, a tuple of up to eight values, an array, a slice or a `Vec`.
pub trait Params {
    /// The values, in order.
    fn into_values(self) -> Vec<SqlValue>;
}

impl Params for () {
    fn into_values(self) -> Vec<SqlValue> {
        Vec::new()
    }
}

impl<T: Into<SqlValue>> Params for Vec<T> {
    fn into_values(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<SqlValue>, const N: usize> Params for [T; N] {
    fn into_values(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! params_of_tuples {
    ($(($($name:ident),+))*) => {$(
        impl<$($name: Into<SqlValue>),+> Params for ($($name,)+) {
            fn into_values(self) -> Vec<SqlValue> {
                #[allow(non_snake_case, reason = "the type parameters name the fields")]
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    )*};
}

params_of_tuples! {
    (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H)
}

macro_rules! sql_value_from {
    ($($from:ty => |$value:ident| $into:expr),* $(,)?) => {$(
        impl From<$from> for SqlValue {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}

sql_value_from! {
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
    &String => |value| Self::Text(value.clone()),
    &[u8] => |value| Self::Blob(value.to_vec()),
    Vec<u8> => |value| Self::Blob(value),
    bool => |value| Self::Integer(value.into()),
    i32 => |value| Self::Integer(value.into()),
    u32 => |value| Self::Integer(value.into()),
    i64 => |value| Self::Integer(value),
    // Above the largest `i64` it is beyond the safe range anyway, and is refused with it.
    u64 => |value| Self::Integer(i64::try_from(value).unwrap_or(i64::MAX)),
    usize => |value| Self::Integer(i64::try_from(value).unwrap_or(i64::MAX)),
    f64 => |value| Self::Real(value),
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Debug for Query<'_> {
    // Parameters may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({:?}, {} parameters)", self.sql, self.params.len())
    }
}
