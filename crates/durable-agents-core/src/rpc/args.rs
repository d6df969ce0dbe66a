//! Arguments of a call: a JSON array that nobody has read yet.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::json;

/// Arguments of a call, by position. Not read before the method asks for them.
pub struct Args {
    // The message they came in, so that they are not copied out of it.
    text: String,
    array: Range<usize>,
}

/// Arguments that do not fit the method; the text names the argument and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgumentError(String);

impl Args {
    /// The JSON array at `array` in `text`.
    pub(crate) fn within(text: String, array: Range<usize>) -> Self {
        Self { text, array }
    }

    /// The JSON array that `json` is.
    pub(crate) fn new(json: String) -> Self {
        let array = 0..json.len();
        Self { text: json, array }
    }

    /// The JSON array.
    pub fn json(&self) -> &str {
        self.text.get(self.array.clone()).unwrap_or("[]")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.split(&mut []).unwrap_or_default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one argument by itself. For methods written by hand; too many arguments go unnoticed.
    ///
    /// # Errors
    /// It is missing or does not fit `T`.
    pub fn get<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, ArgumentError> {
        let mut values = vec![None; index.saturating_add(1)];
        self.split(&mut values)?;
        argument(values.pop().flatten(), name, "")
    }

    /// Takes the array apart into as many values, as JSON text, as the method takes; those that were not sent stay `None`.
    ///
    /// # Errors
    /// There are more of them; the text tells the method's `signature`.
    pub fn take<const N: usize>(&self, signature: &str) -> Result<[Option<&str>; N], ArgumentError> {
        let mut values = [None; N];
        let count = self.split(&mut values)?;
        if count > N {
            return Err(ArgumentError(format!("too many arguments: {signature} takes {N}, got {count}")));
        }
        Ok(values)
    }

    /// Fills `values` from the front, and tells how many there are in all.
    fn split<'a>(&'a self, values: &mut [Option<&'a str>]) -> Result<usize, ArgumentError> {
        json::take_apart(self.json(), values).ok_or_else(|| ArgumentError("arguments are no JSON array".to_owned()))
    }
}

impl fmt::Debug for Args {
    // What is in them may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} arguments", self.len())
    }
}

/// Reads an argument.
///
/// # Errors
/// It is missing or does not fit `T`; `expected` is how the method writes that type.
pub fn argument<T: DeserializeOwned>(value: Option<&str>, name: &str, expected: &str) -> Result<T, ArgumentError> {
    let value = value.ok_or_else(|| missing(name, expected))?;
    json::read(value).map_err(|wrong| unfit(name, &wrong))
}

/// Reads an argument that may be missing.
///
/// # Errors
/// It does not fit `T`.
pub fn optional<T: DeserializeOwned>(value: Option<&str>, name: &str) -> Result<Option<T>, ArgumentError> {
    match value {
        Some(value) => json::read(value).map_err(|wrong| unfit(name, &wrong)),
        None => Ok(None),
    }
}

fn missing(name: &str, expected: &str) -> ArgumentError {
    let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
    ArgumentError(format!("argument {name} is missing{expected}"))
}

fn unfit(name: &str, wrong: &serde_json::Error) -> ArgumentError {
    let text = wrong.to_string();
    // Line and column of a text that the caller has not written tell it nothing.
    let place = format!(" at line {} column {}", wrong.line(), wrong.column());
    let reason = text.strip_suffix(&place).unwrap_or(&text);
    ArgumentError(format!("argument {name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(json: &str) -> Args {
        Args::within(format!("x{json}y"), 1..json.len() + 1)
    }

    #[test]
    fn too_few_too_many_and_wrong_ones_are_named() {
        let take = |json: &str| {
            let args = args(json);
            let [a, b] = args.take("add(a: i64, b: Option<bool>)")?;
            Ok((argument::<i64>(a, "a", "i64")?, optional::<bool>(b, "b")?))
        };
        let wrong = |text: &str| Err(ArgumentError(text.to_owned()));
        assert_eq!(take("[1]"), Ok((1, None)));
        assert_eq!(take("[1, null]"), Ok((1, None)));
        assert_eq!(take("[1,true]"), Ok((1, Some(true))));
        assert_eq!(take("[]"), wrong("argument a is missing, expected i64"));
        assert_eq!(take("[1,2]"), wrong("argument b: invalid type: integer `2`, expected a boolean"));
        assert_eq!(take(r#"["1"]"#), wrong(r#"argument a: invalid type: string "1", expected i64"#));
        assert_eq!(take("[1,true,3]"), wrong("too many arguments: add(a: i64, b: Option<bool>) takes 2, got 3"));
    }

    #[test]
    fn what_is_no_array_is_an_error_and_not_a_fault() {
        for json in ["", "{}", "[", "[1,]", "[1]2", "1"] {
            assert!(args(json).take::<1>("m()").is_err(), "{json}");
            assert_eq!(args(json).len(), 0, "{json}");
        }
        assert_eq!((args(" [1, [2], {}] ").len(), args("[]").is_empty()), (3, true));
        assert_eq!(args("[1, [2]]").get::<Vec<u8>>(1, "list"), Ok(vec![2]));
    }
}
