//! The object's database.

use std::cell::OnceCell;

use durable_agents_core::Payload;
use durable_agents_core::host::{Around, HostError, Rows, SqlValue, Store};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;

use super::convert::{host_error, to_count};
use super::kept::with_kept;
use super::{cells, glue, sys};

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
        if written.is_nan() {
            cells::rows()
        } else {
            Ok(Rows { columns: Vec::new(), rows: Vec::new(), written: to_count(written) })
        }
    }
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
