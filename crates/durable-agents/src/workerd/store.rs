//! The object's database.

use std::cell::OnceCell;

use durable_agents_core::Payload;
use durable_agents_core::host::{Around, HostError, Rows, SqlValue, Store};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{bytes_of, host_error};
use super::kept::with_kept;
use super::{glue, sys};

/// Integers up to here are exact as JavaScript numbers.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

pub(super) struct SqlStore {
    state: sys::State,
    sql: OnceCell<sys::Sql>,
}

impl SqlStore {
    pub(super) fn new(state: sys::State) -> Self {
        Self { state, sql: OnceCell::new() }
    }

    fn sql(&self) -> Result<&sys::Sql, JsValue> {
        match self.sql.get() {
            Some(sql) => Ok(sql),
            None => {
                let sql = sys::sql_of(&self.state)?;
                Ok(self.sql.get_or_init(|| sql))
            }
        }
    }

    fn try_run(&self, sql: &str, params: &[SqlValue]) -> Result<Rows, JsValue> {
        let written = with_kept(sql, |statement| glue::query(self.sql()?, statement, all_to_js(params)))?;
        if written.is_nan() { rows() } else { Ok(Rows { columns: Vec::new(), rows: Vec::new(), written: to_count(written) }) }
    }
}

/// What the last query has found.
// Not a part of what the first start of an object runs through.
#[inline(never)]
fn rows() -> Result<Rows, JsValue> {
    let mut table = glue::table()?.into_iter();
    let mut count = || table.next().and_then(|count| count.as_f64()).unwrap_or(0.0);
    let (written, width) = (to_count(count()), count() as usize);
    let columns: Vec<_> = table.by_ref().take(width).filter_map(|name| name.as_string()).collect();
    let mut rows = Vec::with_capacity(table.len() / width.max(1));
    let mut cells = table.map(from_js);
    while let Some(first) = cells.next() {
        rows.push(std::iter::once(first).chain(cells.by_ref().take(width.saturating_sub(1))).collect());
    }
    Ok(Rows { columns, rows, written })
}

impl Store for SqlStore {
    fn run(&self, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError> {
        self.try_run(sql, params).map_err(host_error)
    }

    fn write(&self, sql: &str, params: &[SqlValue]) -> Result<(), HostError> {
        with_kept(sql, |statement| glue::run(self.sql()?, statement, all_to_js(params))).map_err(host_error)
    }

    fn write_part(&self, sql: &str, message: &Payload<'_>, around: Around) -> Result<(), HostError> {
        let Some(text) = message.converted(glue::converted) else {
            return Err(HostError::new("the message was made by another adapter"));
        };
        with_kept(sql, |statement| glue::run_part(self.sql()?, statement, text, around)).map_err(host_error)
    }

    fn size_bytes(&self) -> u64 {
        self.sql().and_then(sys::Sql::database_size).map_or(0, to_count)
    }
}

fn all_to_js(params: &[SqlValue]) -> Vec<JsValue> {
    // A first request has none, and need not have the rest compiled.
    if params.is_empty() { Vec::new() } else { params.iter().map(to_js).collect() }
}

fn to_js(value: &SqlValue) -> JsValue {
    match value {
        SqlValue::Null => JsValue::NULL,
        #[allow(clippy::cast_precision_loss, reason = "the core lets no integer pass that is not exact")]
        SqlValue::Integer(value) => JsValue::from_f64(*value as f64),
        SqlValue::Real(value) => JsValue::from_f64(*value),
        SqlValue::Text(value) => JsValue::from_str(value),
        SqlValue::Blob(value) => Uint8Array::from(value.as_slice()).into(),
    }
}

fn from_js(value: JsValue) -> SqlValue {
    if let Some(number) = value.as_f64() {
        // JavaScript does not tell 1.0 from 1.
        return if number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER {
            #[allow(clippy::cast_possible_truncation, reason = "a whole number in the safe range")]
            SqlValue::Integer(number as i64)
        } else {
            SqlValue::Real(number)
        };
    }
    if let Some(text) = value.as_string() {
        return SqlValue::Text(text);
    }
    match value.dyn_into::<js_sys::ArrayBuffer>() {
        Ok(buffer) => SqlValue::Blob(bytes_of(&buffer)),
        Err(_) => SqlValue::Null,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and the cast saturates")]
fn to_count(count: f64) -> u64 {
    count as u64
}
