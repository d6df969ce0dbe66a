//! Spans of time in whole milliseconds, and moments in Unix milliseconds.

use std::time::Duration;

/// Whole milliseconds, and no more than can be added to a moment.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(u64::MAX / 2)
}

pub(crate) fn after(at_ms: u64, duration: Duration) -> u64 {
    at_ms.saturating_add(millis(duration))
}

/// That time or the next full second.
pub(crate) fn full_second(at_ms: u64) -> u64 {
    at_ms.div_ceil(1_000).saturating_mul(1_000)
}
