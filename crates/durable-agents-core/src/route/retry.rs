//! When to try a call to an object again.

/// How often and after how long the router tries again; see [`RoutingRetry::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingRetry {
    max_attempts: u32,
    base_delay_ms: u32,
    max_delay_ms: u32,
}

/// Why these are no retry options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum RetryError {
    #[error("routingRetry.maxAttempts must be >= 1")]
    NoAttempt,
    #[error("routingRetry.baseDelayMs must be > 0")]
    NoBaseDelay,
    #[error("routingRetry.maxDelayMs must be > 0")]
    NoMaxDelay,
    #[error("routingRetry.baseDelayMs must be <= maxDelayMs")]
    BaseAboveMax,
}

impl RoutingRetry {
    /// One attempt only.
    pub const OFF: Self = Self { max_attempts: 1, base_delay_ms: 100, max_delay_ms: 800 };

    /// At most `max_attempts` attempts, the first included. Before attempt n + 1 it waits a random part of
    /// `base_delay_ms` × 2ⁿ⁻¹, and of `max_delay_ms` at most. The default is 3, 100 and 800.
    ///
    /// # Errors
    /// [`RetryError`], naming the option that is out of range.
    pub fn new(max_attempts: u32, base_delay_ms: u32, max_delay_ms: u32) -> Result<Self, RetryError> {
        match (max_attempts, base_delay_ms, max_delay_ms) {
            (0, _, _) => Err(RetryError::NoAttempt),
            (_, 0, _) => Err(RetryError::NoBaseDelay),
            (_, _, 0) => Err(RetryError::NoMaxDelay),
            (_, base, max) if base > max => Err(RetryError::BaseAboveMax),
            _ => Ok(Self { max_attempts, base_delay_ms, max_delay_ms }),
        }
    }

    pub(super) fn max_attempts(self) -> u32 {
        self.max_attempts
    }

    /// Wait after attempt `attempt`, from 1, for a `random` from 0 to 1.
    pub(super) fn delay_ms(self, attempt: u32, random: f64) -> u32 {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1)).saturating_mul(self.base_delay_ms);
        let limit = doubled.min(self.max_delay_ms);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a u32 is one")]
        let delay_ms = (f64::from(limit) * random).floor() as u32;
        delay_ms
    }
}

impl Default for RoutingRetry {
    fn default() -> Self {
        Self { max_attempts: 3, ..Self::OFF }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_named() {
        assert!(RoutingRetry::new(1, 1, 1).is_ok());
        for (options, text) in [
            ((0, 1, 1), "routingRetry.maxAttempts must be >= 1"),
            ((1, 0, 1), "routingRetry.baseDelayMs must be > 0"),
            ((1, 1, 0), "routingRetry.maxDelayMs must be > 0"),
            ((1, 2, 1), "routingRetry.baseDelayMs must be <= maxDelayMs"),
        ] {
            let error = RoutingRetry::new(options.0, options.1, options.2).expect_err(text);
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let retry = RoutingRetry::new(9, 100, 800).expect("valid");
        assert_eq!([1, 2, 3, 4, 5, 40].map(|attempt| retry.delay_ms(attempt, 0.999_999)), [99, 199, 399, 799, 799, 799]);
        assert_eq!(retry.delay_ms(3, 0.5), 200);
        assert_eq!(retry.delay_ms(3, 0.0), 0);
    }
}
