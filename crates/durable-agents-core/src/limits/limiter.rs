//! What one sender has used of its limits.

use serde::{Deserialize, Serialize};

use super::bucket::TokenBucket;
use super::{Limits, Reason, Refusal};
use crate::time::millis;

/// What one sender has used of its [`Limits`].
///
/// A plain value: [`Connection::admit`](crate::Connection::admit) keeps one in the connection's attachment; for anything else than
/// a connection, keep it where it belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limiter {
    #[serde(rename = "m")]
    messages: TokenBucket,
    #[serde(rename = "b")]
    bytes: TokenBucket,
    // Unix milliseconds, oldest first: those that have not expired, and at most `MAX_STRIKES`.
    #[serde(rename = "s")]
    strikes_ms: Vec<u64>,
}

impl Limiter {
    /// A sender that has used nothing.
    pub const fn new() -> Self {
        Self { messages: TokenBucket::new(), bytes: TokenBucket::new(), strikes_ms: Vec::new() }
    }

    /// Counts a message.
    ///
    /// # Errors
    /// [`Refusal`]: it is over a limit, has used nothing of the others, and is a [strike](Self::strike).
    pub fn admit(&mut self, limits: &Limits, size_bytes: usize, now_ms: u64) -> Result<(), Refusal> {
        let size = u64::try_from(size_bytes).unwrap_or(u64::MAX);
        if size_bytes > limits.max_message_bytes {
            return Err(self.strike(limits, Reason::Size, now_ms));
        }
        let mut messages = self.messages;
        if !messages.take(limits.messages, 1, now_ms) {
            return Err(self.strike(limits, Reason::Messages, now_ms));
        }
        if !self.bytes.take(limits.bytes, size, now_ms) {
            return Err(self.strike(limits, Reason::Bytes, now_ms));
        }
        self.messages = messages;
        Ok(())
    }

    /// Counts a strike against the sender: with [`Reason::Content`], for a message that it should not have sent.
    pub fn strike(&mut self, limits: &Limits, reason: Reason, now_ms: u64) -> Refusal {
        let expiry_ms = millis(limits.strike_expiry);
        self.strikes_ms.retain(|at_ms| now_ms.saturating_sub(*at_ms) < expiry_ms);
        if limits.strikes == 0 {
            return Refusal { reason, is_last: false };
        }
        let is_last = self.strikes_ms.len() + 1 >= usize::from(limits.strikes);
        // The last one ends the connection, so nobody needs to remember it.
        if !is_last {
            self.strikes_ms.push(now_ms);
        }
        Refusal { reason, is_last }
    }

    pub(crate) fn is_untouched(&self) -> bool {
        *self == Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{MAX_STRIKES, Rate};
    use super::*;

    const LIMITS: Limits = Limits::new()
        .messages(Rate::per_second(3, 1))
        .bytes(Rate::per_second(100, 10))
        .max_message_bytes(60)
        .strikes(3)
        .strike_expiry(Duration::from_secs(60));

    #[test]
    fn each_limit_refuses_for_its_own_reason_and_takes_nothing_of_the_others() {
        let mut limiter = Limiter::new();
        assert_eq!(limiter.admit(&LIMITS, 60, 0), Ok(()));
        let refusal = limiter.admit(&LIMITS, 61, 0).expect_err("too large");
        assert_eq!(refusal, Refusal { reason: Reason::Size, is_last: false });
        let refusal = limiter.admit(&LIMITS, 41, 0).expect_err("too many bytes");
        assert_eq!(refusal, Refusal { reason: Reason::Bytes, is_last: false });
        assert_eq!(limiter.admit(&LIMITS, 40, 0), Ok(()));
        assert_eq!(limiter.admit(&LIMITS, 0, 0), Ok(()));
        let refusal = limiter.admit(&LIMITS, 0, 0).expect_err("too many messages");
        assert_eq!(refusal, Refusal { reason: Reason::Messages, is_last: true });
    }

    #[test]
    fn strikes_expire_one_by_one() {
        for (times_s, last) in [
            (&[0, 0, 0][..], &[false, false, true][..]),
            (&[0, 30, 59], &[false, false, true]),
            (&[0, 30, 60, 89, 91], &[false, false, false, true, false]),
            (&[0, 60, 120, 180], &[false, false, false, false]),
        ] {
            let mut limiter = Limiter::new();
            for (&at_s, &last) in times_s.iter().zip(last) {
                assert_eq!(limiter.strike(&LIMITS, Reason::Content, at_s * 1_000).is_last, last, "{times_s:?} {at_s}");
            }
        }
    }

    #[test]
    fn the_number_of_strikes_that_are_kept_is_bounded() {
        for (strikes, last_at) in [(0, None), (1, Some(1)), (MAX_STRIKES, Some(8)), (u8::MAX, Some(8))] {
            let limits = LIMITS.strikes(strikes);
            let mut limiter = Limiter::new();
            let last = (1..=100).find(|_| limiter.strike(&limits, Reason::Content, 0).is_last);
            assert_eq!(last, last_at, "{strikes}");
            assert!(limiter.strikes_ms.len() < usize::from(MAX_STRIKES));
        }
    }

    #[test]
    fn as_json_it_is_small_when_it_is_largest() {
        let limits = Limits::new().strikes(MAX_STRIKES);
        let mut limiter = Limiter::new();
        let now_ms = 1_700_000_000_000;
        for _ in 0..20 {
            assert_eq!(limiter.admit(&limits, 10_000, now_ms), Ok(()));
        }
        for _ in 0..20 {
            assert!(limiter.admit(&limits, 10_000, now_ms).is_err());
        }
        let json = serde_json::to_string(&limiter).expect("JSON");
        assert!(json.len() <= 170, "{} {json}", json.len());
        assert_eq!(serde_json::from_str::<Limiter>(&json).expect("JSON"), limiter);
    }
}
