//! Trying again: how often, how long to wait in between, and which failures are the platform's.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::agent::Agent;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::{Host, HostError};
use crate::rpc::CallError;
use crate::task::PayloadError;

/// How often something is tried and how long to wait in between. What is not set is the agent's own, and else 3 attempts, 100 ms
/// and 3,000 ms.
///
/// After attempt n it waits for a random part of `base_delay × 2ⁿ`, or of `max_delay` if that is less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryOptions {
    /// Attempts in all, the first one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_delay_ms: Option<u64>,
    /// In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
}

impl RetryOptions {
    /// Nothing set.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_attempts: None, base_delay_ms: None, max_delay_ms: None }
    }

    /// Attempts in all, the first one included.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Half of what the first wait is at most.
    #[must_use]
    pub const fn base_delay_ms(mut self, delay_ms: u64) -> Self {
        self.base_delay_ms = Some(delay_ms);
        self
    }

    /// Longest wait.
    #[must_use]
    pub const fn max_delay_ms(mut self, delay_ms: u64) -> Self {
        self.max_delay_ms = Some(delay_ms);
        self
    }

    /// These where they are set, `defaults` elsewhere.
    pub(crate) const fn or(self, defaults: Self) -> Self {
        const fn first<T: Copy>(value: Option<T>, default: Option<T>) -> Option<T> {
            if value.is_some() { value } else { default }
        }
        Self {
            max_attempts: first(self.max_attempts, defaults.max_attempts),
            base_delay_ms: first(self.base_delay_ms, defaults.base_delay_ms),
            max_delay_ms: first(self.max_delay_ms, defaults.max_delay_ms),
        }
    }
}

/// Retry options that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryOptionsError {
    /// No attempt at all, or less.
    #[error("retry.maxAttempts must be >= 1")]
    NoAttempt,
    /// A part of an attempt.
    #[error("retry.maxAttempts must be an integer")]
    FractionOfAttempt,
    /// No time between attempts, or less.
    #[error("retry.baseDelayMs must be > 0")]
    NoBaseDelay,
    /// No time between attempts, or less.
    #[error("retry.maxDelayMs must be > 0")]
    NoMaxDelay,
    /// The shortest wait is longer than the longest, once the defaults are filled in.
    #[error("retry.baseDelayMs must be <= retry.maxDelayMs")]
    BaseOverMax,
}

/// Options with nothing left open, and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) max_attempts: u32,
    base_delay_ms: u64,
    max_delay_ms: u64,
}

impl Policy {
    const DEFAULT: Self = Self { max_attempts: 3, base_delay_ms: 100, max_delay_ms: 3_000 };

    /// `options`, then those of the class, then the defaults, field by field.
    pub(crate) fn new(options: Option<RetryOptions>, class: RetryOptions) -> Result<Self, RetryOptionsError> {
        let options = options.unwrap_or_default().or(class);
        let policy = Self {
            max_attempts: options.max_attempts.unwrap_or(Self::DEFAULT.max_attempts),
            base_delay_ms: options.base_delay_ms.unwrap_or(Self::DEFAULT.base_delay_ms),
            max_delay_ms: options.max_delay_ms.unwrap_or(Self::DEFAULT.max_delay_ms),
        };
        match policy {
            Self { max_attempts: 0, .. } => Err(RetryOptionsError::NoAttempt),
            Self { base_delay_ms: 0, .. } => Err(RetryOptionsError::NoBaseDelay),
            Self { max_delay_ms: 0, .. } => Err(RetryOptionsError::NoMaxDelay),
            Self { base_delay_ms, max_delay_ms, .. } if base_delay_ms > max_delay_ms => Err(RetryOptionsError::BaseOverMax),
            policy => Ok(policy),
        }
    }

    /// The same for options that were stored, which may be another program's: those that make no sense count for nothing.
    pub(crate) fn stored(options: Option<RetryOptions>, class: RetryOptions) -> Self {
        Self::new(options, class).or_else(|_| Self::new(None, class)).unwrap_or(Self::DEFAULT)
    }

    /// How long to wait after that attempt, counted from 1; `random` is at least 0 and below 1.
    pub(crate) fn wait_after(&self, attempt: u32, random: f64) -> Duration {
        let longest_ms = 1_u64.checked_shl(attempt).map_or(u64::MAX, |factor| self.base_delay_ms.saturating_mul(factor));
        let longest_ms = longest_ms.min(self.max_delay_ms);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a number that was a u64, rounded down"
        )]
        let wait_ms = (longest_ms as f64 * random) as u64;
        Duration::from_millis(wait_ms)
    }

    pub(crate) async fn rest_after(&self, attempt: u32, host: &dyn Host) {
        host.sleep(self.wait_after(attempt, random_unit(host))).await;
    }
}

/// From 0 to 1, 1 excluded.
#[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
fn random_unit(host: &dyn Host) -> f64 {
    let mut bytes = [0; 8];
    host.fill_random(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

impl<'de> Deserialize<'de> for RetryOptions {
    /// Numbers that JSON can hold and a retry cannot are told apart, with the texts of [`RetryOptionsError`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Given {
            max_attempts: Option<f64>,
            base_delay_ms: Option<f64>,
            max_delay_ms: Option<f64>,
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be positive; the cast saturates"
        )]
        fn delay<E: serde::de::Error>(delay_ms: Option<f64>, none: RetryOptionsError) -> Result<Option<u64>, E> {
            match delay_ms {
                Some(delay_ms) if delay_ms <= 0.0 => Err(E::custom(none)),
                delay_ms => Ok(delay_ms.map(|delay_ms| delay_ms.ceil() as u64)),
            }
        }
        let given = Given::deserialize(deserializer)?;
        let max_attempts = match given.max_attempts {
            Some(attempts) if attempts < 1.0 => return Err(D::Error::custom(RetryOptionsError::NoAttempt)),
            Some(attempts) if attempts.fract() != 0.0 => return Err(D::Error::custom(RetryOptionsError::FractionOfAttempt)),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number, and the cast saturates"
            )]
            attempts => attempts.map(|attempts| attempts as u32),
        };
        Ok(Self {
            max_attempts,
            base_delay_ms: delay(given.base_delay_ms, RetryOptionsError::NoBaseDelay)?,
            max_delay_ms: delay(given.max_delay_ms, RetryOptionsError::NoMaxDelay)?,
        })
    }
}

impl<A: Agent> Context<A> {
    /// Does `work` until it succeeds, at most as often as `options` say. It is given the number of the attempt, from 1.
    ///
    /// Waits in memory, in between: for anything that must outlive the event, [queue](Self::queue) it.
    ///
    /// # Errors
    /// The last error of `work`; [`RetryOptionsError`] before the first attempt.
    pub async fn retry<T>(&self, options: RetryOptions, work: impl AsyncFnMut(u32) -> Result<T>) -> Result<T> {
        self.retry_if(options, work, |_, _| true).await
    }

    /// The same, as long as `again` agrees. It is given the error and the number of the attempt that would come next.
    ///
    /// # Errors
    /// The last error of `work`; [`RetryOptionsError`] before the first attempt.
    pub async fn retry_if<T>(
        &self,
        options: RetryOptions,
        mut work: impl AsyncFnMut(u32) -> Result<T>,
        mut again: impl FnMut(&Error, u32) -> bool,
    ) -> Result<T> {
        let policy = Policy::new(Some(options), A::OPTIONS.retry)?;
        let mut attempt = 1;
        loop {
            match work(attempt).await {
                Err(error) if attempt < policy.max_attempts && again(&error, attempt + 1) => {
                    policy.rest_after(attempt, self.platform()).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Whose fault a failure is, as far as its type and words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The callback's own, or that of what it called.
    Own,
    /// The platform's, which may be over at the next attempt.
    Transient,
    /// The platform has replaced this instance by a newer one: nothing that it tries will work any more.
    Superseded,
    /// The object needed more memory than it has. It will again.
    Memory,
}

/// Ends up deeper than any chain that was built on purpose.
const MAX_CAUSES: usize = 8;

impl Fault {
    /// Looks through the causes too: whoever wraps an error of the platform means it.
    ///
    /// The platform says what happened in words only, those of [`HostError`] and of a call that did not come through. The same words
    /// in any other error are somebody else's, a user's for instance.
    pub(crate) fn of(error: &Error) -> Self {
        // It repeats a part of the payload.
        if error.chain().take(MAX_CAUSES).any(|cause| cause.is::<PayloadError>()) {
            return Self::Own;
        }
        error.chain().take(MAX_CAUSES).map(Self::of_one).find(|fault| *fault != Self::Own).unwrap_or(Self::Own)
    }

    fn of_one(error: &(dyn std::error::Error + 'static)) -> Self {
        let host = error.downcast_ref::<HostError>();
        let words = match (host, error.downcast_ref::<CallError>().and_then(CallError::platform_words)) {
            (Some(host), _) => &host.message,
            (None, Some(words)) => words,
            (None, None) => return Self::Own,
        };
        let words = words.to_ascii_lowercase();
        let says = |phrase| words.contains(phrase);
        let flagged = host.is_some_and(|error| error.retryable && !error.overloaded);
        if says("exceeded its memory limit") {
            Self::Memory
        } else if says("reset because its code was updated") || says("this script has been upgraded") {
            Self::Superseded
        } else if says("network connection lost")
            || says("durable object storage caused object to be reset")
            || flagged && !says("durable object is overloaded")
        {
            Self::Transient
        } else {
            Self::Own
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::error;
    use crate::host::HostFault;
    use crate::sql::SqlError;

    #[test]
    fn c164_options_out_of_range_are_told_apart() {
        let read = |options| serde_json::from_value::<RetryOptions>(options).map_err(|error| error.to_string());
        for (options, text) in [
            (json!({"maxAttempts": 0}), "retry.maxAttempts must be >= 1"),
            (json!({"maxAttempts": -1}), "retry.maxAttempts must be >= 1"),
            (json!({"maxAttempts": 2.7}), "retry.maxAttempts must be an integer"),
            (json!({"baseDelayMs": 0}), "retry.baseDelayMs must be > 0"),
            (json!({"maxDelayMs": -5}), "retry.maxDelayMs must be > 0"),
        ] {
            assert_eq!(read(options), Err(text.to_owned()));
        }
        let options = RetryOptions::new().max_attempts(7).base_delay_ms(200);
        assert_eq!(read(json!({"maxAttempts": 7, "baseDelayMs": 200})), Ok(options));
        assert_eq!(serde_json::to_value(options).ok(), Some(json!({"maxAttempts": 7, "baseDelayMs": 200})));
    }

    #[test]
    fn c164_a_policy_is_checked_when_the_defaults_are_filled_in() {
        let class = RetryOptions::new().max_delay_ms(50);
        let of = |options| Policy::new(Some(options), class);
        assert_eq!(of(RetryOptions::new()), Err(RetryOptionsError::BaseOverMax));
        assert_eq!(of(RetryOptions::new().base_delay_ms(5_000).max_delay_ms(5_000)).map(|policy| policy.max_attempts), Ok(3));
        assert_eq!(of(RetryOptions::new().max_attempts(0)), Err(RetryOptionsError::NoAttempt));
        let plain = Policy::new(Some(RetryOptions::new().base_delay_ms(5_000)), RetryOptions::new());
        assert_eq!(plain, Err(RetryOptionsError::BaseOverMax));
        assert_eq!(Policy::stored(Some(RetryOptions::new().max_attempts(0)), RetryOptions::new()), Policy::DEFAULT);
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let policy = Policy::DEFAULT;
        let wait_ms = |attempt, random| policy.wait_after(attempt, random).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 5, 64, 1_000].map(|attempt| wait_ms(attempt, 0.999_999)),
            [199, 399, 799, 1_599, 2_999, 2_999, 2_999]
        );
        assert_eq!([0.0, 0.25, 0.5].map(|random| wait_ms(1, random)), [0, 50, 100]);
    }

    #[test]
    fn the_platforms_failures_are_known_by_their_words_at_any_depth() {
        for (words, fault) in [
            ("Durable Object reset because its code was updated.", Fault::Superseded),
            ("This script has been upgraded. Please send a new request to connect to the new version.", Fault::Superseded),
            ("Network connection lost.", Fault::Transient),
            ("Internal error in Durable Object storage caused object to be reset; reference = x", Fault::Transient),
            ("Internal error while starting up Durable Object storage caused object to be reset.", Fault::Transient),
            ("Durable Object's isolate exceeded its memory limit and was reset.", Fault::Memory),
            ("Internal error caused object to be reset", Fault::Own),
            ("Your subscription script has been upgraded to the new plan.", Fault::Own),
        ] {
            let platforms = || HostError::new(words);
            assert_eq!(Fault::of(&platforms().into()), fault, "{words}");
            assert_eq!(Fault::of(&Error::from(platforms()).context("SQL query failed")), fault, "{words}");
            assert_eq!(Fault::of(&SqlError::Store(platforms()).into()), fault, "{words}");
            assert_eq!(Fault::of(&CallError::Host(words.to_owned()).into()), fault, "{words}");
            // The same words of anybody else.
            assert_eq!(Fault::of(&error!("{words}")), Fault::Own, "{words}");
            assert_eq!(Fault::of(&CallError::Method(words.to_owned()).into()), Fault::Own, "{words}");
            assert_eq!(Fault::of(&PayloadError { reason: words.to_owned() }.into()), Fault::Own, "{words}");
        }
        let flagged =
            |overloaded| HostError::from(HostFault { retryable: true, overloaded, ..HostFault::new("internal error") });
        assert_eq!(Fault::of(&flagged(false).into()), Fault::Transient);
        assert_eq!(Fault::of(&Error::from(flagged(false)).context("call failed")), Fault::Transient);
        assert_eq!(Fault::of(&flagged(true).into()), Fault::Own);
    }
}
