//! Rows of a query on their way in: all texts of a batch as one, and numbers that say what they are.

use std::vec::IntoIter;

use durable_agents_core::host::{Rows, SqlValue};
use wasm_bindgen::JsValue;

use super::convert::bytes_of;
use super::glue;
use super::store::to_count;

/// Integers up to here are exact as JavaScript numbers.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// What a cell is: see `glue.js`, which has them in this order.
enum Kind {
    Null,
    Number,
    Text,
    Blob,
}

impl Kind {
    fn of(number: f64) -> Self {
        match to_count(number) {
            1 => Self::Number,
            2 => Self::Text,
            3 => Self::Blob,
            _ => Self::Null,
        }
    }
}

/// What the last query has found.
// Not a part of what the first start of an object runs through.
#[inline(never)]
pub(super) fn rows() -> Result<Rows, JsValue> {
    let mut batch = Batch::next()?;
    let (written, width, count) = (to_count(batch.number()), length(batch.number()), length(batch.number()));
    let mut cells = Cells { batch, left: count };
    let mut columns = Vec::with_capacity(width);
    for _ in 0..width {
        columns.extend(match cells.next()? {
            Some(SqlValue::Text(name)) => Some(name),
            _ => None,
        });
    }
    let mut rows = Vec::with_capacity(cells.left / width.max(1));
    while cells.left > 0 {
        let mut row = Vec::with_capacity(width);
        for _ in 0..width.max(1) {
            row.extend(cells.next()?);
        }
        rows.push(row);
    }
    Ok(Rows { columns, rows, written })
}

/// All that is left, batch after batch.
struct Cells {
    batch: Batch,
    left: usize,
}

impl Cells {
    fn next(&mut self) -> Result<Option<SqlValue>, JsValue> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if self.batch.is_over() {
            self.batch = Batch::next()?;
        }
        self.batch.cell().map(Some)
    }
}

/// Some cells.
struct Batch {
    numbers: IntoIter<f64>,
    texts: String,
    // Where the next text begins.
    text: usize,
}

impl Batch {
    fn next() -> Result<Self, JsValue> {
        Ok(Self { numbers: glue::next_cells()?.into_iter(), texts: glue::batch_text()?, text: 0 })
    }

    fn is_over(&self) -> bool {
        self.numbers.len() == 0
    }

    fn number(&mut self) -> f64 {
        self.numbers.next().unwrap_or_default()
    }

    fn cell(&mut self) -> Result<SqlValue, JsValue> {
        Ok(match Kind::of(self.number()) {
            Kind::Null => SqlValue::Null,
            Kind::Number => number(self.number()),
            Kind::Text => SqlValue::Text(self.text()),
            Kind::Blob => SqlValue::Blob(bytes_of(&glue::next_blob()?)),
        })
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
    if number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER {
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
