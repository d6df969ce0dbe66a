//! Words with a bound: an error repeats what does not fit, however long somebody outside has made it.

use std::fmt::{Arguments, Result, Write};

/// Longest text of an error about JSON that was sent by somebody outside, in bytes.
pub(crate) const MAX_JSON_ERROR_BYTES: usize = 1_024;

/// Longest text of an error that is logged or kept, in bytes.
pub(crate) const MAX_ERROR_BYTES: usize = 4_096;

/// The text, or its beginning and its end if it has more than `limit_bytes`, which it has then at most. What is left out is not copied.
// The end too: that is where an error says what was expected, and where.
pub(crate) fn brief(limit_bytes: usize, text: Arguments<'_>) -> String {
    let mut brief = Brief { limit_bytes, beginning: String::new(), end: String::new(), is_cut: false };
    // Writing fails only if what is written does, which then has said what it could.
    let _ = brief.write_fmt(text);
    brief.finish()
}

/// An error in reading JSON as it is, unless it is too long.
#[cold]
#[inline(never)]
pub(crate) fn brief_json_error(error: serde_json::Error) -> serde_json::Error {
    let text = brief(MAX_JSON_ERROR_BYTES, format_args!("{error}"));
    // Line and column are at the end, from where they are read back.
    if text.contains(CUT) { serde::de::Error::custom(text) } else { error }
}

/// Stands for what was left out.
const CUT: &str = "…";

struct Brief {
    limit_bytes: usize,
    beginning: String,
    end: String,
    is_cut: bool,
}

impl Brief {
    fn end_bytes(&self) -> usize {
        self.limit_bytes / 4
    }

    fn beginning_bytes(&self) -> usize {
        self.limit_bytes.saturating_sub(self.end_bytes() + CUT.len())
    }

    /// Keeps the last of the end.
    fn cut(&mut self, bytes: usize) {
        let kept = last(&self.end, bytes);
        if kept.len() < self.end.len() {
            self.end = kept.to_owned();
            self.is_cut = true;
        }
    }

    fn finish(mut self) -> String {
        // As long as nothing is left out, nothing has to stand for it.
        self.cut(self.end_bytes() + CUT.len());
        if self.is_cut {
            self.cut(self.end_bytes());
            self.beginning.push_str(CUT);
        }
        self.beginning + &self.end
    }
}

impl Write for Brief {
    fn write_str(&mut self, text: &str) -> Result {
        let room = if self.end.is_empty() { self.beginning_bytes().saturating_sub(self.beginning.len()) } else { 0 };
        let (beginning, rest) = split(text, room);
        self.beginning.push_str(beginning);
        let kept = last(rest, self.end_bytes() + CUT.len());
        self.is_cut |= kept.len() < rest.len();
        self.end.push_str(kept);
        // Not each time: most of what is written is short.
        if self.end.len() > self.limit_bytes {
            self.cut(self.end_bytes() + CUT.len());
        }
        Ok(())
    }
}

/// The text in two, the first of at most so many bytes.
fn split(text: &str, bytes: usize) -> (&str, &str) {
    // No character is longer than four bytes.
    let at = bytes.min(text.len());
    (0..4).find_map(|less| text.split_at_checked(at.checked_sub(less)?)).unwrap_or(("", text))
}

/// The end of the text, of at most so many bytes.
fn last(text: &str, bytes: usize) -> &str {
    let at = text.len().saturating_sub(bytes);
    (0..4).find_map(|more| text.get(at + more..)).unwrap_or_default()
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
            let letters: Vec<char> = text.chars().collect();
            let mut piece_by_piece = Brief { limit_bytes: 8, beginning: String::new(), end: String::new(), is_cut: false };
            letters.iter().for_each(|letter| piece_by_piece.write_char(*letter).expect("is a string"));
            assert_eq!(piece_by_piece.finish(), expected, "{text}");
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
