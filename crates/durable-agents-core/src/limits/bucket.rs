//! The token bucket: whole numbers, and the time as an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much may come at once, and how fast it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    burst: u64,
    refill: u64,
    every_ms: u64,
}

impl Rate {
    /// `burst` tokens at once, and `refill` more in each span of `every`, evenly: not all at its end.
    ///
    /// None of them is below 1, or below a millisecond: less counts as that. `every` is at most a year of 365 days.
    ///
    /// Where `burst` times the milliseconds of `every` is 2⁶⁴ or more, tokens come back slower than said, by the part of 2⁶⁴ ms that a
    /// whole burst takes to come back: a billionth at most for a burst of half a year.
    #[must_use]
    pub const fn new(burst: u64, refill: u64, every: Duration) -> Self {
        let every_ms = every.as_millis();
        let every_ms = if every_ms > MAX_EVERY_MS as u128 { MAX_EVERY_MS } else { at_least_one(every_ms as u64) };
        let (burst, refill) = (at_least_one(burst), at_least_one(refill));
        // So that a whole burst can be weighed.
        let longest_ms = u64::MAX / burst;
        if every_ms <= longest_ms {
            return Self { burst, refill, every_ms };
        }
        let refill = refill as u128 * longest_ms as u128 / every_ms as u128;
        Self { burst, refill: at_least_one(refill as u64), every_ms: longest_ms }
    }

    /// `burst` tokens at once, and `refill` more a second.
    #[must_use]
    pub const fn per_second(burst: u64, refill: u64) -> Self {
        Self::new(burst, refill, Duration::from_secs(1))
    }

    /// Most tokens at once.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// What `tokens` weigh, which are no more than the burst: a token weighs `every_ms`, so that a millisecond brings back exactly
    /// `refill` and nothing is rounded.
    const fn weight(&self, tokens: u64) -> u64 {
        tokens * self.every_ms
    }
}

/// Slower than one token a year is a mistake.
const MAX_EVERY_MS: u64 = 365 * 24 * 3_600 * 1_000;

const fn at_least_one(number: u64) -> u64 {
    if number == 0 { 1 } else { number }
}

/// What is left of a [`Rate`] at some time.
///
/// A plain value, full at first: keep it where it belongs. As JSON it is an array of two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket(
    // Weight of the tokens that are missing.
    u64,
    // When that was so, in Unix milliseconds.
    u64,
);

impl TokenBucket {
    /// A full bucket.
    pub const fn new() -> Self {
        Self(0, 0)
    }

    /// How many tokens there are at that time.
    pub const fn available(&self, rate: Rate, now_ms: u64) -> u64 {
        rate.weight(rate.burst).saturating_sub(self.missing(rate, now_ms)) / rate.every_ms
    }

    /// Takes `tokens`, or nothing if there are fewer: `false`.
    ///
    /// If the clock has gone back since the last time, nothing has come back meanwhile.
    #[must_use = "`false` means that nothing was taken"]
    pub const fn take(&mut self, rate: Rate, tokens: u64, now_ms: u64) -> bool {
        if tokens > rate.burst {
            return false;
        }
        match self.missing(rate, now_ms).checked_add(rate.weight(tokens)) {
            Some(after) if after <= rate.weight(rate.burst) => {
                *self = Self(after, now_ms);
                true
            }
            _ => false,
        }
    }

    const fn missing(&self, rate: Rate, now_ms: u64) -> u64 {
        let Self(missing, at_ms) = *self;
        missing.saturating_sub(now_ms.saturating_sub(at_ms).saturating_mul(rate.refill))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_700_000_000_000;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_what_comes_back() {
        for (rate, steps) in [
            // Milliseconds after the start, tokens wanted, whether they are given, tokens left.
            (
                Rate::per_second(2, 10),
                &[(0, 1, true, 1), (0, 1, true, 0), (0, 1, false, 0), (99, 1, false, 0), (100, 1, true, 0)][..],
            ),
            (
                Rate::per_second(20, 3),
                &[(0, 20, true, 0), (333, 1, false, 0), (334, 1, true, 0), (667, 1, true, 0), (1_000, 1, true, 0)],
            ),
            (Rate::new(1, 1, Duration::from_secs(60)), &[(0, 1, true, 0), (59_999, 1, false, 0), (60_000, 1, true, 0)]),
            (Rate::per_second(5, 1), &[(0, 6, false, 5), (0, 5, true, 0), (3_000, 0, true, 3), (3_600_000, 0, true, 5)]),
            // The clock goes back.
            (Rate::per_second(2, 1), &[(5_000, 2, true, 0), (0, 1, false, 0), (5_999, 1, false, 0), (6_000, 1, true, 0)]),
            (Rate::new(0, 0, Duration::ZERO), &[(0, 1, true, 0), (0, 1, false, 0), (1, 1, true, 0)]),
        ] {
            let mut bucket = TokenBucket::new();
            for &(at_ms, tokens, given, left) in steps {
                assert_eq!(bucket.take(rate, tokens, T0 + at_ms), given, "{rate:?} {at_ms} {tokens}");
                assert_eq!(bucket.available(rate, T0 + at_ms), left, "{rate:?} {at_ms} {tokens}");
            }
        }
    }

    #[test]
    fn numbers_that_make_no_sense_harm_nothing() {
        let rate = Rate::new(u64::MAX, u64::MAX, Duration::MAX);
        let mut bucket = TokenBucket(u64::MAX, u64::MAX);
        assert!(bucket.take(rate, 0, 0));
        assert!(TokenBucket::new().take(rate, u64::MAX, u64::MAX));
        assert!(!TokenBucket(u64::MAX, 0).take(Rate::per_second(1, 1), 1, 1));
    }

    #[test]
    fn a_burst_too_heavy_for_its_number_is_given_once() {
        const DAY: Duration = Duration::from_secs(86_400);
        for (burst, refill, every) in [
            (u64::MAX, 1, Duration::from_millis(1)),
            (u64::MAX, u64::MAX, Duration::MAX),
            (u64::MAX, 1_000, DAY),
            (u64::MAX / 3 + 1, 1, Duration::from_millis(3)),
            // Weighs all that a number holds.
            (u64::MAX / 3, 1, Duration::from_millis(3)),
            (1 << 30, 1 << 30, Duration::MAX),
            (10 << 30, 10 << 30, 30 * DAY),
        ] {
            let rate = Rate::new(burst, refill, every);
            let mut bucket = TokenBucket::new();
            if let Some(more) = burst.checked_add(1) {
                assert!(!bucket.take(rate, more, T0), "{rate:?}");
            }
            assert_eq!((rate.burst(), bucket.available(rate, T0)), (burst, burst), "{rate:?}");
            assert!(bucket.take(rate, burst, T0), "{rate:?}");
            assert_eq!(bucket.available(rate, T0), 0, "{rate:?}");
            assert!(!bucket.take(rate, 1, T0), "{rate:?}");
            assert!(!bucket.take(rate, burst, T0), "{rate:?}");
        }
    }

    #[test]
    fn a_burst_too_heavy_for_its_number_comes_back_at_its_rate() {
        const GIB: u64 = 1 << 30;
        const MONTH_MS: u64 = 30 * 86_400 * 1_000;
        let rate = Rate::new(10 * GIB, 10 * GIB, Duration::from_millis(MONTH_MS));
        let mut bucket = TokenBucket::new();
        assert!(bucket.take(rate, 10 * GIB, T0));
        for part in 1..=10 {
            let available = bucket.available(rate, T0 + MONTH_MS * part / 10);
            assert!((part * GIB - part * GIB / 1_000_000_000 - 2..=part * GIB).contains(&available), "{part} {available}");
        }
        assert_eq!(bucket.available(rate, T0 + MONTH_MS + 1), 10 * GIB);
    }

    #[test]
    fn it_is_stored_as_two_numbers() {
        let mut bucket = TokenBucket::new();
        assert!(bucket.take(Rate::per_second(20, 10), 3, T0));
        assert_eq!(serde_json::to_string(&bucket).expect("JSON"), "[3000,1700000000000]");
    }
}
