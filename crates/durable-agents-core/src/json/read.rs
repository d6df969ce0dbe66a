//! JSON text that is read, into types of authors.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::Error;
use serde_json::de::StrRead;

use crate::brief::brief_json_error;

/// Reads all of the text.
///
/// As `serde_json` does, except that the members of a struct have names: it would also take an array, in whose place nobody writes one,
/// and what reads that would be compiled for each type. Structs within are read as `serde_json` reads them.
///
/// # Errors
/// It is no JSON, or does not fit `T`: words that repeat a part of the text, but no more than a bit of it.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Named(&mut json)).map_err(brief_json_error)?;
    json.end()?;
    Ok(value)
}

struct Named<'j, 'de>(&'j mut serde_json::Deserializer<StrRead<'de>>);

macro_rules! as_it_is {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.0.$method($($argument,)* visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Named<'_, 'de> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_map(visitor)
    }

    as_it_is! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    struct Point {
        x: i32,
        #[serde(default)]
        y: i32,
    }

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    struct Pair(i32, Point);

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    struct Wrapped(Point);

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(rename_all = "lowercase")]
    enum Shape {
        Dot,
        At(Point),
    }

    /// What `serde_json` makes of it, which is the same.
    fn same<'de, T: Deserialize<'de> + std::fmt::Debug + PartialEq>(text: &'de str) -> Option<T> {
        let (ours, plain) = (read::<T>(text), serde_json::from_str::<T>(text));
        assert_eq!(ours.as_ref().map_err(ToString::to_string), plain.as_ref().map_err(ToString::to_string), "{text}");
        ours.ok()
    }

    #[test]
    fn members_of_a_struct_have_names() {
        assert_eq!(same::<Point>(r#" {"y": 2, "x": 1, "z": 3} "#), Some(Point { x: 1, y: 2 }));
        for text in [r#"{"x":"1"}"#, "{}", "{", "1", r#"{"x":1} 2"#, r#"{"x":1,"x":2}"#] {
            assert_eq!(same::<Point>(text), None, "{text}");
        }
        let error = read::<Point>("[1,2]").expect_err("no object").to_string();
        assert_eq!(error, "invalid type: sequence, expected struct Point at line 1 column 0");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn a_number_is_the_one_that_was_written(number in prop_oneof![0.0..1.0_f64, -1e4..1e4_f64, any::<f64>()]) {
            prop_assume!(number.is_finite());
            let text = format!("{number:?}");
            let read = read::<f64>(&text).expect("a number");
            prop_assert_eq!(read.to_bits(), number.to_bits(), "{}", text);
            prop_assert_eq!(serde_json::to_string(&read).expect("JSON").parse(), Ok(number));
        }
    }

    #[test]
    fn all_else_is_read_as_serde_json_does() {
        let point = || Point { x: 1, y: 0 };
        assert_eq!(same(r#"[2,{"x":1}]"#), Some(Pair(2, point())));
        assert_eq!(same(r#"{"x":1}"#), Some(Some(point())));
        assert_eq!(same::<Option<Point>>("null"), Some(None));
        assert_eq!(same(r#"[{"x":1},[1]]"#), Some(vec![point(), point()]));
        assert_eq!(same(r#"{"x":1}"#), Some(Wrapped(point())));
        assert_eq!(same(r#"{"x":1}"#), Some(BTreeMap::from([("x".to_owned(), 1)])));
        assert_eq!(same(r#""dot""#), Some(Shape::Dot));
        assert_eq!(same(r#"{"at":{"x":1}}"#), Some(Shape::At(point())));
        assert_eq!(same(r#"[true,"a",2,0.5]"#), Some((true, 'a', 2_u128, 0.5_f64)));
        assert_eq!(same(r#"{"a":[null,1.5]}"#), Some(serde_json::json!({"a": [null, 1.5]})));
        assert_eq!(same("null"), Some(()));
        assert_eq!(same(r#""a""#), Some("a"));
    }
}
