//! Words with a bound: an error repeats what does not fit, however long somebody outside has made it.

use std::fmt::{Arguments, Result, Write};

/// Longest text of an error about JSON that was sent by somebody outside, in bytes.
pub(crate) const MAX_JSON_ERROR_BYTES: usize = 1_024;

/// Longest text of an error that is logged or kept, in bytes.
pub(crate) const MAX_ERROR_BYTES: usize = 4_096;

/// The text, or its beginning and its end if it has more than `limit_bytes`, which it has then at most. What is left out is not copied.
pub(crate) fn brief(limit_bytes: usize, text: Arguments<'_>) -> String {
    let mut brief = Brief { limit_bytes, text: String::new() };
    // Writing fails only if what is written does, which then has said what it could.
    let _ = brief.write_fmt(text);
    brief.shorten_above(limit_bytes);
    brief.text
}

/// An error in reading JSON as it is, unless it is too long.
#[cold]
#[inline(never)]
pub(crate) fn brief_json_error(error: serde_json::Error) -> serde_json::Error {
    let text = brief(MAX_JSON_ERROR_BYTES, format_args!("{error}"));
    if text.len() <= MAX_JSON_ERROR_BYTES / 2 {
        return error;
    }
    // It may have been cut. Line and column are at the end, from where they are read back.
    serde::de::Error::custom(format_args!("{text}"))
}

/// Stands for what was left out.
const CUT: &str = "…";

struct Brief {
    limit_bytes: usize,
    text: String,
}

impl Write for Brief {
    fn write_str(&mut self, text: &str) -> Result {
        if text.len() > self.limit_bytes {
            self.text.push_str(&cut(self.limit_bytes, text));
        } else {
            self.text.push_str(text);
        }
        // Not each time: most of what is written is short.
        self.shorten_above(4 * self.limit_bytes);
        Ok(())
    }
}

impl Brief {
    fn shorten_above(&mut self, bytes: usize) {
        if self.text.len() > bytes {
            self.text = cut(self.limit_bytes, &self.text);
        }
    }
}

/// The beginning and the end of a text that is longer: the end is where an error says what was expected, and where.
fn cut(limit_bytes: usize, text: &str) -> String {
    let end_bytes = limit_bytes / 4;
    let (beginning, end) = (limit_bytes.saturating_sub(end_bytes + CUT.len()), text.len().saturating_sub(end_bytes));
    // No character is longer than four bytes.
    let beginning = (0..4).find_map(|less| text.get(..beginning.saturating_sub(less))).unwrap_or_default();
    let end = (0..4).find_map(|more| text.get(end + more..)).unwrap_or_default();
    [beginning, CUT, end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_keeps_its_beginning_and_its_end() {
        for (text, expected) in [
            ("", ""),
            ("12345678", "12345678"),
            ("123456ü", "123456ü"),
            ("123456789", "123…89"),
            ("12üüü789", "12…89"),
            ("123456789ü", "123…ü"),
            ("12345678🦀", "123…"),
            ("1234567ü", "123…ü"),
        ] {
            assert_eq!(brief(8, format_args!("{text}")), expected, "{text}");
        }
        // However it comes: letter by letter, in one piece, or both.
        let digits = "0123456789".repeat(1_000);
        for pieces in [digits.split_inclusive("").collect(), vec![&*digits], vec!["0123", &digits, "6", "789"]] {
            let mut brief = Brief { limit_bytes: 8, text: String::new() };
            for piece in pieces {
                brief.write_str(piece).expect("is a string");
                assert!(brief.text.len() <= 4 * brief.limit_bytes, "{}", brief.text);
            }
            brief.shorten_above(8);
            assert_eq!(brief.text, "012…89");
        }
        let long = "x".repeat(1_000_000);
        assert_eq!(brief(MAX_ERROR_BYTES, format_args!("{long}{long}")).len(), MAX_ERROR_BYTES);
    }

    #[test]
    fn an_error_that_is_too_long_still_says_what_was_expected_and_where() {
        let json = format!("\n \"{}\"", "\u{7f}".repeat(100_000));
        let error = brief_json_error(serde_json::from_str::<u32>(&json).expect_err("does not fit"));
        assert_eq!((error.line(), error.column()), (2, 100_003));
        let text = error.to_string();
        assert!(text.starts_with(r#"invalid type: string "\u{7f}\u{7f}"#) && text.len() <= MAX_JSON_ERROR_BYTES, "{text}");
        assert!(text.ends_with(r#"\u{7f}", expected u32 at line 2 column 100003"#), "{text}");
        let short = brief_json_error(serde_json::from_str::<u32>("{").expect_err("does not fit"));
        assert_eq!(short.to_string(), "invalid type: map, expected u32 at line 1 column 0");
    }
}
