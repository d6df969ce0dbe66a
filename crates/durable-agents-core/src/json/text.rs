//! Texts as string literals, and back.
//!
//! What `serde_json` needs for a string brings along what it needs for everything else, 10 KB of wasm, and not every agent has something
//! else to read.

use std::borrow::Cow;

use super::special;

/// The text of a string literal, without a copy if nothing in it is escaped. `None` if `value` is no string, or has a half of a surrogate
/// pair in it, which is no text in Rust.
pub fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.get(1..value.len().checked_sub(1)?)?;
    // Compared as bytes: a message has half a dozen of them, and patterns of the standard library would be calls here.
    if value.as_bytes().first() != Some(&b'"') || value.as_bytes().last() != Some(&b'"') {
        return None;
    }
    if special(inner.as_bytes(), 0) >= inner.len() {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(inner).map(Cow::Owned)
}

/// The same of what stands between the quotation marks.
fn unescaped(inner: &str) -> Option<String> {
    let (plain, mut rest) = split_at_special(inner)?;
    let mut text = String::with_capacity(inner.len());
    text.push_str(plain);
    while !rest.is_empty() {
        let (character, behind) = unescape(rest)?;
        let (plain, next) = split_at_special(behind)?;
        text.push(character);
        text.push_str(plain);
        rest = next;
    }
    Some(text)
}

/// What comes before the first character that may not stand in a literal as it is, and the rest.
fn split_at_special(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(special(text.as_bytes(), 0).min(text.len()))
}

/// The character that an escape at the beginning of `text` stands for, and what comes behind it.
fn unescape(text: &str) -> Option<(char, &str)> {
    let mut rest = text.strip_prefix('\\')?.chars();
    let character = match rest.next()? {
        same @ ('"' | '\\' | '/') => same,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unescape_unit(rest.as_str()),
        _ => return None,
    };
    Some((character, rest.as_str()))
}

/// The same behind `\u`. Half of a pair of surrogates stands for nothing.
fn unescape_unit(text: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, rest));
    }
    let (second, rest) = unit(rest.strip_prefix("\\u")?)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, rest))
}

/// Four hexadecimal digits.
fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let unit = digits.chars().try_fold(0, |unit, digit| Some(unit << 4 | digit.to_digit(16)?))?;
    Some((unit, rest))
}

/// The string literal of a text, as a serializer writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_quoted(&mut json, text);
    json
}

/// The same at the end of a text.
pub(crate) fn push_quoted(json: &mut String, mut text: &str) {
    json.push('"');
    while let Some((plain, rest)) = split_at_special(text) {
        json.push_str(plain);
        let mut rest = rest.chars();
        let Some(character) = rest.next() else { break };
        push_escaped(json, character);
        text = rest.as_str();
    }
    json.push('"');
}

fn push_escaped(json: &mut String, character: char) {
    let short = match character {
        '"' | '\\' => character,
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        _ => {
            let digit = |value: u32| char::from_digit(value & 0xf, 16).unwrap_or('0');
            let code = u32::from(character);
            json.push_str("\\u00");
            json.extend([digit(code >> 4), digit(code)]);
            return;
        }
    };
    json.extend(['\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Pieces of which literals are made, and of which much that is none can be.
    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "\"",
            "a",
            "\\",
            "\\\"",
            "\\/",
            "\\b",
            "\\n",
            "\\x",
            "u",
            "\\u",
            "00",
            "41",
            "\\u00e9",
            "\\uD83D",
            "\\ude00",
            "\\udc00",
            "d8",
            "+1",
            "é",
            "😀",
            "\n",
            "\u{7f}",
            "long enough for eight at a time",
        ])
    }

    fn is_same(value: &str) {
        let read = serde_json::from_str::<String>(value).ok();
        assert_eq!(text_of(value).as_deref(), read.as_deref(), "{value}");
    }

    #[test]
    fn every_character_is_written_as_serde_writes_it_and_read_again() {
        for code in 0..0x11_0000 {
            let Some(character) = char::from_u32(code) else { continue };
            // One in a thousand of those that nothing is special about.
            if code > 0x2100 && !code.is_multiple_of(1009) {
                continue;
            }
            let text = format!("a{character}{character}b");
            let json = quoted(&text);
            assert_eq!(Some(&json), serde_json::to_string(&text).ok().as_ref());
            assert_eq!(text_of(&json).as_deref(), Some(&*text), "{json}");
        }
        assert_eq!(quoted(""), r#""""#);
    }

    #[test]
    fn what_needs_no_escape_is_not_copied() {
        assert!(matches!(text_of(r#""a é""#), Some(Cow::Borrowed("a é"))));
        for value in [
            "",
            "\"",
            "a",
            "\"a",
            "a\"",
            " \"a\"",
            r#""a\""#,
            r#""a"b""#,
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\ud83d""#,
        ] {
            assert_eq!(text_of(value), None, "{value}");
        }
        assert_eq!(text_of(r#""\ud83D\uDe00""#).as_deref(), Some("😀"));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(7),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_literal_is_read_as_serde_reads_it(pieces in vec(piece(), 0..7)) {
            is_same(&format!("\"{}\"", pieces.concat()));
        }
    }
}
