//! Rows of a query on their way in: all texts of a batch as one, and numbers that say what they are.

use std::vec::IntoIter;

use durable_agents_core::host::{Rows, SqlValue};
use durable_agents_core::sql::is_safe_integer;
use wasm_bindgen::JsValue;

use super::convert::{bytes_of, to_count};
use super::glue;

/// Kinds of cells, as in `glue.js`; any other is nothing.
const NUMBER: u64 = 1;
const TEXT: u64 = 2;
const BLOB: u64 = 3;

/// What the last query has found.
// Not a part of what the first start of an object runs through.
#[inline(never)]
pub(super) fn rows() -> Result<Rows, JsValue> {
    let mut cells = Cells::next_batch()?;
    let (written, width, count) = (to_count(cells.number()), length(cells.number()), length(cells.number()));
    let mut columns = Vec::with_capacity(width);
    for _ in 0..width {
        if let SqlValue::Text(name) = cells.next()? {
            columns.push(name);
        }
    }
    // Names of columns are counted too.
    let height = count.checked_div(width).unwrap_or_default().saturating_sub(1);
    let mut rows = Vec::with_capacity(height);
    for _ in 0..height {
        let mut row = Vec::with_capacity(width);
        for _ in 0..width {
            row.push(cells.next()?);
        }
        rows.push(row);
    }
    Ok(Rows { columns, rows, written })
}

/// A batch of cells, and after it the next.
struct Cells {
    numbers: IntoIter<f64>,
    texts: String,
    // Where the next text begins.
    text: usize,
}

impl Cells {
    fn next_batch() -> Result<Self, JsValue> {
        Ok(Self { numbers: glue::next_cells()?.into_iter(), texts: glue::batch_text()?, text: 0 })
    }

    fn next(&mut self) -> Result<SqlValue, JsValue> {
        if self.numbers.len() == 0 {
            *self = Self::next_batch()?;
        }
        Ok(match to_count(self.number()) {
            NUMBER => number(self.number()),
            TEXT => SqlValue::Text(self.text()),
            BLOB => SqlValue::Blob(bytes_of(&glue::next_blob()?)),
            _ => SqlValue::Null,
        })
    }

    fn number(&mut self) -> f64 {
        self.numbers.next().unwrap_or_default()
    }

    fn text(&mut self) -> String {
        let units = length(self.number());
        let rest = self.texts.get(self.text..).unwrap_or_default();
        let text = rest.get(..utf8_length(rest, units)).unwrap_or_default();
        self.text += text.len();
        text.to_owned()
    }
}

/// How many bytes of UTF-8 the first units of UTF-16 of a text are.
fn utf8_length(text: &str, units: usize) -> usize {
    if text.as_bytes().get(..units).is_some_and(<[u8]>::is_ascii) {
        return units;
    }
    let mut left = units;
    let is_in = |letter: &char| left.checked_sub(letter.len_utf16()).map(|rest| left = rest).is_some();
    text.chars().take_while(is_in).map(char::len_utf8).sum()
}

fn number(number: f64) -> SqlValue {
    // JavaScript does not tell 1.0 from 1.
    if is_safe_integer(number) {
        #[allow(clippy::cast_possible_truncation, reason = "a whole number in the safe range")]
        SqlValue::Integer(number as i64)
    } else {
        SqlValue::Real(number)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length in memory, and the cast saturates")]
fn length(length: f64) -> usize {
    length as usize
}
