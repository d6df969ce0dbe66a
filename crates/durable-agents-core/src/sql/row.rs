//! A row as something serde can read.

use std::fmt;
use std::vec;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
// Not serde's own: that of a reader of JSON is there already, with its way of writing numbers.
use serde_json::{Error, Value};

use super::{MAX_SAFE_INTEGER, is_safe_integer};
use crate::host::SqlValue;

/// A row: a map of its columns, a sequence of its values, or, if there is one column and the type is neither, that value.
pub(super) struct RowDeserializer<'a> {
    columns: &'a [String],
    next: usize,
    values: vec::IntoIter<SqlValue>,
    pending: Option<SqlValue>,
}

impl<'a> RowDeserializer<'a> {
    pub(super) fn new(columns: &'a [String], row: Vec<SqlValue>) -> Self {
        Self { columns, next: 0, values: row.into_iter(), pending: None }
    }

    fn only(mut self) -> Result<ValueDeserializer<'a>, Error> {
        match (self.columns, self.values.next()) {
            ([column], Some(value)) => Ok(ValueDeserializer { column, value }),
            (columns, _) => Err(Error::custom(format_args!("{} columns where one value was expected", columns.len()))),
        }
    }
}

macro_rules! single_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for RowDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _name: &str, _len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    single_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option
    }

    forward_to_deserialize_any! { i128 u128 unit unit_struct map struct identifier ignored_any }
}

impl<'de> MapAccess<'de> for RowDeserializer<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let (Some(column), Some(value)) = (self.columns.get(self.next), self.values.next()) else { return Ok(None) };
        self.pending = Some(value);
        let key: StrDeserializer<'_, Error> = column.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let column = self.columns.get(self.next).map_or("", String::as_str);
        self.next += 1;
        let value = self.pending.take().unwrap_or(SqlValue::Null);
        seed.deserialize(ValueDeserializer { column, value })
    }
}

impl<'de> SeqAccess<'de> for RowDeserializer<'_> {
    type Error = Error;

    // Compiled once for each type of value, not once more for each place in each tuple.
    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let (Some(column), Some(value)) = (self.columns.get(self.next), self.values.next()) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(ValueDeserializer { column, value }).map(Some)
    }
}

/// One value; its errors name the column.
struct ValueDeserializer<'a> {
    column: &'a str,
    value: SqlValue,
}

#[cold]
fn in_column(column: &str, reason: &dyn fmt::Display) -> Error {
    Error::custom(format_args!("column {column}: {reason}"))
}

impl ValueDeserializer<'_> {
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Whole numbers come back as floating point where the platform has only one kind of number.
        let integer = match self.value {
            SqlValue::Integer(integer) => integer,
            #[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number within ±2^63")]
            SqlValue::Real(real) if real.fract() == 0.0 && real.abs() < 9.2e18 => real as i64,
            _ => return self.any(visitor),
        };
        if integer.unsigned_abs() > MAX_SAFE_INTEGER.unsigned_abs() {
            return Err(in_column(
                self.column,
                &format_args!("integer {integer} is beyond ±{MAX_SAFE_INTEGER}, store it as text"),
            ));
        }
        visitor.visit_i64(integer).map_err(|error: Error| in_column(self.column, &error))
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read = match self.value {
            SqlValue::Null => visitor.visit_unit(),
            SqlValue::Integer(integer) => visitor.visit_i64(integer),
            SqlValue::Real(real) => visitor.visit_f64(real),
            SqlValue::Text(text) => visitor.visit_string(text),
            SqlValue::Blob(bytes) => visitor.visit_byte_buf(bytes),
        };
        read.map_err(|error: Error| in_column(self.column, &error))
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.integer(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for ValueDeserializer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            // An untyped reader gets whole numbers as such. Beyond the safe range nobody can tell a rounded integer from a large
            // real number, and it has not said which it wants.
            SqlValue::Real(real) if is_safe_integer(real) => self.integer(visitor),
            SqlValue::Real(real) if real.fract() == 0.0 => Err(in_column(
                self.column,
                &format_args!(
                    "{} is beyond ±{MAX_SAFE_INTEGER} and may be a rounded integer: read it as f64, or store it as text",
                    Value::from(real)
                ),
            )),
            _ => self.any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    // SQLite has no booleans; what is written as one is stored as 0 or 1.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            SqlValue::Integer(0) => visitor.visit_bool(false),
            SqlValue::Integer(1) => visitor.visit_bool(true),
            SqlValue::Real(0.0) => visitor.visit_bool(false),
            SqlValue::Real(1.0) => visitor.visit_bool(true),
            _ => self.any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            SqlValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    // An enum without fields is stored as the text of its variant.
    fn deserialize_enum<V: Visitor<'de>>(self, _: &str, _: &[&str], visitor: V) -> Result<V::Value, Error> {
        match self.value {
            SqlValue::Text(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(in_column(self.column, &"a variant's name was expected")),
        }
    }

    // A list of numbers is read from a blob.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            SqlValue::Blob(bytes) => visitor.visit_seq(serde::de::value::SeqDeserializer::new(bytes.into_iter())),
            _ => self.any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(columns: &[&str], row: Vec<SqlValue>) -> Result<T, String> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        T::deserialize(RowDeserializer::new(&columns, row)).map_err(|error| error.to_string())
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Cron,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        id: u32,
        name: Option<String>,
        done: bool,
        kind: Kind,
        score: f64,
        data: Vec<u8>,
    }

    #[test]
    fn a_row_is_a_struct_a_tuple_or_a_single_value() {
        let columns = ["id", "name", "done", "kind", "score", "data"];
        let row = vec![
            SqlValue::Real(7.0),
            SqlValue::Null,
            SqlValue::Integer(1),
            SqlValue::Text("cron".into()),
            SqlValue::Integer(2),
            SqlValue::Blob(vec![1, 255]),
        ];
        let expected = Row { id: 7, name: None, done: true, kind: Kind::Cron, score: 2.0, data: vec![1, 255] };
        assert_eq!(read(&columns, row), Ok(expected));
        assert_eq!(read(&["a", "b"], vec![SqlValue::Integer(1), "x".into()]), Ok((1_i64, "x".to_owned())));
        assert_eq!(read(&["n"], vec![SqlValue::Real(3.0)]), Ok(3_i64));
        assert_eq!(read(&["n"], vec![SqlValue::Null]), Ok(None::<i64>));
    }

    #[test]
    fn what_does_not_fit_names_the_column() {
        let error = read::<(i64,)>(&["n"], vec![SqlValue::Real(9_007_199_254_740_992.0)]).expect_err("beyond");
        assert!(error.starts_with("column n: integer 9007199254740992 is beyond"), "{error}");
        assert_eq!(read::<f64>(&["n"], vec![SqlValue::Real(1e300)]), Ok(1e300));
        let error = read::<(serde_json::Value,)>(&["n"], vec![SqlValue::Real(9_007_199_254_740_992.0)]).expect_err("which?");
        assert!(error.starts_with("column n: 9007199254740992.0 is beyond ±"), "{error}");
        assert!(error.contains("may be a rounded integer"), "{error}");
        let error = read::<(String,)>(&["n"], vec![SqlValue::Real(0.5)]).expect_err("no text");
        assert_eq!(error, "column n: invalid type: floating point `0.5`, expected a string");
        let error = read::<(u8,)>(&["n"], vec![SqlValue::Integer(256)]).expect_err("too large for u8");
        assert!(error.starts_with("column n: "), "{error}");
        assert!(read::<i64>(&["a", "b"], vec![SqlValue::Null, SqlValue::Null]).is_err());
    }
}
