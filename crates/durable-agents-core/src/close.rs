//! Close codes and reasons.

/// Longest reason, in bytes of UTF-8: what fits a control frame beside the code.
///
/// Source: RFC 6455 §5.5.
pub const MAX_REASON_BYTES: usize = 123;

/// A connect failed.
pub(crate) const SETUP_FAILED: (u16, &str) = (1011, "Uncaught exception during session setup");

/// More arrived before the connect hook or the start ended than anyone would wait for.
pub(crate) const INBOX_FULL: (u16, &str) = (1013, "Too many messages before the connection was ready");

/// The instance was destroyed.
pub(crate) const DESTROYED: (u16, &str) = (1001, "Durable Object destroyed");

/// Why a connection was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The code may not be sent.
    #[error("close code {code} may not be sent: use 1000, a registered 1001–1014 other than 1004–1006, or 3000–4999")]
    Code {
        /// The code that was given.
        code: u16,
    },
    /// The reason does not fit.
    #[error("close reason is {size_bytes} bytes long, limit is {MAX_REASON_BYTES}")]
    Reason {
        /// Length of the reason that was given.
        size_bytes: usize,
    },
}

/// Checks what an agent wants to close with.
///
/// The registered codes are allowed beside 1000 and 3000–4999, because they tell the official clients what to do next: 1008 ends
/// reconnecting, 1012 and 1013 ask for it.
///
/// # Errors
/// [`CloseError`].
pub fn check(code: u16, reason: &str) -> Result<(), CloseError> {
    if !is_sendable(code) {
        return Err(CloseError::Code { code });
    }
    if reason.len() > MAX_REASON_BYTES {
        return Err(CloseError::Reason { size_bytes: reason.len() });
    }
    Ok(())
}

/// How to answer a peer's close frame: `None` for silence, `Some(None)` for a frame without a code.
///
/// 1006 and 1015 were never on the wire. An answer to 1005 must not carry a code either, but without any answer the peer would
/// stay in its closing state until a timeout.
pub(crate) fn answer_to(code: u16) -> Option<Option<u16>> {
    match code {
        1005 => Some(None),
        code if is_sendable(code) => Some(Some(code)),
        _ => None,
    }
}

fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_unknown_codes_are_refused() {
        for code in [1000, 1001, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 4001, 4999] {
            assert_eq!(check(code, ""), Ok(()), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(check(code, ""), Err(CloseError::Code { code }), "{code}");
        }
    }

    #[test]
    fn a_reason_is_measured_in_bytes() {
        assert_eq!(check(1000, &"x".repeat(123)), Ok(()));
        assert_eq!(check(1000, &"ü".repeat(62)), Err(CloseError::Reason { size_bytes: 124 }));
    }

    #[test]
    fn an_answer_repeats_the_code_unless_it_is_reserved() {
        assert_eq!(answer_to(4000), Some(Some(4000)));
        assert_eq!(answer_to(1005), Some(None));
        for code in [1006, 1015, 0] {
            assert_eq!(answer_to(code), None, "{code}");
        }
    }
}
