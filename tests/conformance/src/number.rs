//! Numbers as JavaScript has them.

use std::time::Duration;

use serde_json::Number;

/// Largest integer that a float holds together with all below it: 2⁵³.
const MAX_INTEGER: f64 = 9_007_199_254_740_992.0;

/// A number in JSON: without a fraction where it has none, as `JSON.stringify` writes it.
pub(crate) fn json(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() <= MAX_INTEGER {
        #[allow(clippy::cast_possible_truncation, reason = "it is an integer that fits")]
        return Some((number as i64).into());
    }
    Number::from_f64(number)
}

/// That many milliseconds; none if they are negative.
pub(crate) fn millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default()
}
