//! The cells of a row, one after the other: how the framework reads its own tables.

use std::vec;

use crate::host::{Rows, SqlValue};

/// What is left of a row. A cell that holds something else than was asked for counts as empty.
pub(crate) struct Cells(vec::IntoIter<SqlValue>);

impl Cells {
    pub(crate) fn new(row: Vec<SqlValue>) -> Self {
        Self(row.into_iter())
    }

    /// The number that a query for one number has found.
    pub(crate) fn only_count(rows: Rows) -> Option<u64> {
        rows.rows.into_iter().next().and_then(|row| Self::new(row).count())
    }

    pub(crate) fn next(&mut self) -> Option<SqlValue> {
        self.0.next()
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        match self.next() {
            Some(SqlValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn real(&mut self) -> Option<f64> {
        match self.next() {
            #[allow(clippy::cast_precision_loss, reason = "the platform has doubles only")]
            Some(SqlValue::Integer(integer)) => Some(integer as f64),
            Some(SqlValue::Real(real)) => Some(real),
            _ => None,
        }
    }

    /// A whole number that is not negative; a fraction is cut off.
    pub(crate) fn count(&mut self) -> Option<u64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, at zero too")]
        self.real().map(|real| real as u64)
    }
}
