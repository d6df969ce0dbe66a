//! JSON text that is checked and taken apart, and of which nothing is read: [`fields`] for frames of an agent's own.
//!
//! Every frame of the protocol goes through here, and most of it only has to be well formed: its id stands in the answer as it came, its
//! arguments are read by the method, its state by the agent. With raw values of `serde_json`, which reads whatever is to be read, a short
//! call would take half as many instructions again, and a string is looked at byte by byte there. That feature of `serde_json` stays off:
//! with it an object that has its private name in it is no value like others.

mod read;
mod text;

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub(crate) use read::read;
pub use text::text_of;
pub(crate) use text::{push_quoted, quoted};

/// JSON text that is well formed.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Writes a value.
    ///
    /// # Errors
    /// It cannot be written as JSON; the text says why.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self)
    }

    /// Takes a text that has been written elsewhere. `None` if it is no JSON.
    pub fn parse(text: String) -> Option<Self> {
        let from = start(text.as_bytes(), 0);
        let to = start(text.as_bytes(), end_of_value(text.as_bytes(), from));
        (to == text.len()).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Json> for String {
    fn from(Json(text): Json) -> Self {
        text
    }
}

/// As the value that it is, of whatever type: for the result of a method that another agent calls.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        read::<Value>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The values of those members of an object that have these names, as JSON text; of repeated names the last one counts. `None` if `text`
/// is no JSON object.
///
/// For frames of which some members matter: one pass, and nothing is copied. All else has to be well formed, as for `JSON.parse`, and may
/// be what Rust has no value for: numbers of any size, any depth, halves of surrogate pairs. Strings are read by [`text_of`], anything
/// else by `serde_json`.
///
/// ```
/// use durable_agents_core::json::{fields, text_of};
///
/// let frame = r#"{"type": "say", "text": "a\u00e9", "at": 1e999}"#;
/// let [kind, text, to] = fields(frame, ["type", "text", "to"]).expect("an object");
/// assert_eq!(kind.and_then(text_of).as_deref(), Some("say"));
/// assert_eq!(text.and_then(text_of).as_deref(), Some("aé"));
/// assert_eq!(to, None);
/// ```
pub fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut values = [None; N];
    take_fields(text, &names, &mut values)?;
    Some(values)
}

/// Compiled once, however many names there are.
fn take_fields<'a>(text: &'a str, names: &[&str], values: &mut [Option<&'a str>]) -> Option<()> {
    members(text, |key, value| {
        // The name of a member that has a half of a surrogate pair in it is none of these.
        let Some(name) = text_of(key) else { return };
        for (place, _) in values.iter_mut().zip(names).filter(|(_, wanted)| name == **wanted) {
            *place = Some(value);
        }
    })
}

/// Calls `each` with the name, a literal, and the value of each member of the object that `text` is. `None` if it is none; some of what
/// begins like one may have been handed over then.
pub(crate) fn members<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    list(text, (b'{', b'}'), |at| {
        let bytes = text.as_bytes();
        let (end_of_key, start) = key(bytes, at);
        let end = end_of_value(bytes, start);
        each(text.get(at..end_of_key)?, text.get(start..end)?);
        Some(end)
    })
}

/// The same with each element of an array.
pub(crate) fn elements<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    list(text, (b'[', b']'), |at| {
        let end = end_of_value(text.as_bytes(), at);
        each(text.get(at..end)?);
        Some(end)
    })
}

/// Fills `values` with the elements of an array, and tells how many there are in all. `None` if it is none.
pub(crate) fn take_apart<'a>(text: &'a str, values: &mut [Option<&'a str>]) -> Option<usize> {
    let mut count = 0;
    elements(text, |value| {
        if let Some(place) = values.get_mut(count) {
            *place = Some(value);
        }
        count += 1;
    })?;
    Some(count)
}

/// All of the text: what `item` finds the end of, given its start, several times with commas between, or not at all.
fn list(text: &str, (begin, end): (u8, u8), mut item: impl FnMut(usize) -> Option<usize>) -> Option<()> {
    let text = text.as_bytes();
    let mut at = start(text, 0);
    if text.get(at) != Some(&begin) {
        return None;
    }
    at = start(text, at + 1);
    if text.get(at) != Some(&end) {
        loop {
            at = start(text, item(at)?);
            match text.get(at) {
                Some(b',') => at = start(text, at + 1),
                Some(byte) if *byte == end => break,
                _ => return None,
            }
        }
    }
    if start(text, at + 1) == text.len() { Some(()) } else { None }
}

/// A place behind the end of every text: nothing comes there, so that whoever looks on from there finds nothing either.
const NOWHERE: usize = usize::MAX - 1;

/// Where what comes after white space begins.
fn start(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Where a member's name ends, and where its value begins.
fn key(text: &[u8], at: usize) -> (usize, usize) {
    if text.get(at) != Some(&b'"') {
        return (NOWHERE, NOWHERE);
    }
    let end = end_of_string(text, at + 1);
    let colon = start(text, end);
    (end, if text.get(colon) == Some(&b':') { start(text, colon + 1) } else { NOWHERE })
}

/// Where the value ends that begins at `at`, or [`NOWHERE`].
fn end_of_value(text: &[u8], mut at: usize) -> usize {
    let mut around = Nesting::default();
    loop {
        at = match text.get(at) {
            Some(b'"') => end_of_string(text, at + 1),
            Some(byte @ (b'[' | b'{')) => {
                let is_object = *byte == b'{';
                at = start(text, at + 1);
                if text.get(at) != Some(if is_object { &b'}' } else { &b']' }) {
                    around.begin(is_object);
                    if is_object {
                        at = key(text, at).1;
                    }
                    continue;
                }
                at + 1
            }
            Some(b'-' | b'0'..=b'9') => end_of_number(text, at),
            Some(b't') => end_of_word(text, at, b"true"),
            Some(b'f') => end_of_word(text, at, b"false"),
            Some(b'n') => end_of_word(text, at, b"null"),
            _ => return NOWHERE,
        };
        // Here a value has ended, and with it perhaps what it stands in.
        loop {
            let Some(is_object) = around.is_object() else { return at };
            at = start(text, at);
            match text.get(at) {
                Some(b',') => {
                    at = start(text, at + 1);
                    if is_object {
                        at = key(text, at).1;
                    }
                    break;
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ => return NOWHERE,
            }
            around.end();
            at += 1;
        }
    }
}

/// `at` is behind the quotation mark.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    loop {
        at = special(text, at);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at = end_of_escape(text, at + 1),
            _ => return NOWHERE,
        }
    }
}

/// Where the next byte is that may not stand in a string as it is: a quotation mark, a backslash or a control character. The end of the
/// text, or behind it, if there is none.
fn special(text: &[u8], mut at: usize) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // Eight at a time. The highest bit of a byte is set where it was below what is taken from it, up to the first such byte.
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
        let found = (below(word, b' ') | is(b'"') | is(b'\\')) & (EACH << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, ..b' ' | b'"' | b'\\')) {
        at += 1;
    }
    at
}

fn end_of_escape(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at + 1,
        Some(b'u') if text.get(at + 1..at + 5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => at + 5,
        _ => NOWHERE,
    }
}

fn end_of_number(text: &[u8], mut at: usize) -> usize {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    // A number that begins with a zero has no digit after it.
    at = if text.get(at) == Some(&b'0') { at + 1 } else { end_of_digits(text, at) };
    if text.get(at) == Some(&b'.') {
        at = end_of_digits(text, at + 1);
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = end_of_digits(text, at);
    }
    at
}

/// One digit at least.
fn end_of_digits(text: &[u8], mut at: usize) -> usize {
    let first = at;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    if at == first { NOWHERE } else { at }
}

fn end_of_word(text: &[u8], at: usize, word: &[u8]) -> usize {
    let end = at + word.len();
    if text.get(at..end) == Some(word) { end } else { NOWHERE }
}

/// The arrays and objects that a place is in: a bit for each, the innermost lowest. Any depth, as a client chooses it, in an eighth of the
/// bytes that it takes to send.
#[derive(Default)]
struct Nesting {
    bits: u64,
    depth: usize,
    // Full ones.
    outer: Vec<u64>,
}

impl Nesting {
    fn begin(&mut self, is_object: bool) {
        if self.depth == 64 {
            self.outer.push(self.bits);
            self.depth = 0;
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn end(&mut self) {
        self.bits >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(bits) = self.outer.pop()
        {
            self.bits = bits;
            self.depth = 64;
        }
    }

    /// Whether the innermost is an object; `None` outside of all.
    fn is_object(&self) -> Option<bool> {
        if self.depth == 0 { None } else { Some(self.bits & 1 == 1) }
    }
}

/// Whether anything in a literal is escaped.
pub(crate) fn is_escaped(literal: &str) -> bool {
    literal.as_bytes().contains(&b'\\')
}

/// A string literal as a serializer writes it: most are already, and one with a half of a surrogate pair stays as it is. `None` if
/// `value`, which is well formed, is no string.
pub(crate) fn literal(value: &str) -> Option<Cow<'_, str>> {
    match text_of(value) {
        Some(Cow::Owned(text)) => Some(Cow::Owned(quoted(&text))),
        _ => value.starts_with('"').then_some(Cow::Borrowed(value)),
    }
}

/// The text of a string literal, or what stands between its quotation marks where there is a half of a surrogate pair in it. `None` if
/// `value`, which is well formed, is no string.
pub(crate) fn text_or_source(value: &str) -> Option<Cow<'_, str>> {
    text_of(value).or_else(|| value.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_value(text: &str) -> bool {
        let mut whole = None;
        // In an array, which adds nothing that could be missing.
        let array = format!("[{text}]");
        let is_array = elements(&array, |value| whole = Some(value.len())).is_some();
        is_array && whole == Some(text.trim_matches([' ', '\t', '\n', '\r']).len())
    }

    #[test]
    fn values_are_those_of_json() {
        for text in [
            "0",
            "-0",
            "10",
            "1.5",
            "-1.50e+10",
            "1E5",
            "0e0",
            "true",
            "false",
            "null",
            "\"\"",
            "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "\"\\ud800 \\u00Ff\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1,[2,{}],{\"a\":[]}]",
            " \t\r\n{ \"a\" : 1 , \"\" : [ null ] } ",
        ] {
            assert!(is_value(text), "{text}");
        }
        for text in [
            "",
            " ",
            "-",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "--1",
            "tru",
            "True",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{",
            "{]",
            "{1:2}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "1 2",
            "\u{c}1",
            "[1]]",
        ] {
            assert!(!is_value(text), "{text}");
        }
    }

    #[test]
    fn values_are_as_deep_as_the_sender_likes() {
        for depth in [1, 63, 64, 65, 128, 129, 1_000] {
            let is_object = |level: usize| level.is_multiple_of(3);
            let begin: String = (0..depth).map(|level| if is_object(level) { "{\"a\":" } else { "[" }).collect();
            let end: String = (0..depth).rev().map(|level| if is_object(level) { '}' } else { ']' }).collect();
            assert!(is_value(&format!("{begin}1{end}")), "{depth}");
            for place in 0..end.len() {
                let other = if end.get(place..=place) == Some("}") { "]" } else { "}" };
                let mut wrong = end.clone();
                wrong.replace_range(place..=place, other);
                assert!(!is_value(&format!("{begin}1{wrong}")), "{depth} {place}");
            }
            assert!(!is_value(&format!("{begin}1{}", end.get(1..).unwrap_or_default())), "{depth}");
        }
    }

    #[test]
    fn what_is_taken_out_is_the_text_as_it_stands() {
        let mut pairs = Vec::new();
        let text = " { \"a\\u0062\" : [1, \"}\"] , \"c\":2} ";
        assert_eq!(members(text, |key, value| pairs.push((key, value))), Some(()));
        assert_eq!(pairs, [(r#""a\u0062""#, r#"[1, "}"]"#), ("\"c\"", "2")]);
        let mut values = Vec::new();
        assert_eq!(elements(" [ 1 , {\"a\": [ ]} ]", |value| values.push(value)), Some(()));
        assert_eq!(values, ["1", "{\"a\": [ ]}"]);
    }

    #[test]
    fn objects_and_arrays_are_whole_or_nothing() {
        for (text, is_object, is_array) in [
            ("{}", true, false),
            ("[ ]", false, true),
            ("{\"a\":1}", true, false),
            ("[1]", false, true),
            ("", false, false),
            ("1", false, false),
            ("{} {}", false, false),
            ("[1,]", false, false),
            ("{\"a\":1,}", false, false),
            ("{\"a\":1]", false, false),
            ("[1}", false, false),
            ("[1] 2", false, false),
        ] {
            let found = (members(text, |_, _| {}).is_some(), elements(text, |_| {}).is_some());
            assert_eq!(found, (is_object, is_array), "{text}");
        }
    }

    #[test]
    fn literals_are_written_as_they_would_be_by_a_serializer() {
        for (value, text, best, source) in [
            (r#""a b""#, Some("a b"), Some(r#""a b""#), Some("a b")),
            (r#""""#, Some(""), Some(r#""""#), Some("")),
            (r#""\u0061\/\"""#, Some("a/\""), Some(r#""a/\"""#), Some("a/\"")),
            (r#""\u0061\ud800""#, None, Some(r#""\u0061\ud800""#), Some(r"\u0061\ud800")),
            ("5", None, None, None),
            ("[\"a\"]", None, None, None),
        ] {
            let found = (text_of(value), literal(value), text_or_source(value));
            assert_eq!((found.0.as_deref(), found.1.as_deref(), found.2.as_deref()), (text, best, source), "{value}");
        }
    }

    #[test]
    fn every_byte_that_needs_an_escape_is_found_wherever_it_stands() {
        for length in 0..20 {
            let plain = "é~ \u{7f}".chars().cycle().take(length).collect::<String>();
            assert_eq!(special(plain.as_bytes(), 0), plain.len(), "{plain}");
            for (place, _) in plain.char_indices() {
                for byte in (0..b' ').chain([b'"', b'\\']).map(char::from) {
                    let (before, after) = plain.split_at(place);
                    assert_eq!(special(format!("{before}{byte}{after}").as_bytes(), 0), place, "{byte:?}");
                }
            }
        }
    }

    /// Pieces of which JSON is made, and of which much that is none can be.
    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "0", "1", "-", ".", "e", "E+", "12", "true", "false",
            "null", "nul", " ", "\n", "\\", "\\n", "\\u00", "41", "\\ud800", "é", "\u{1}", "\u{7f}",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(7),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_text_is_a_value_exactly_if_serde_says_so(pieces in vec(piece(), 0..9)) {
            let text = pieces.concat();
            prop_assert_eq!(is_value(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }
    }
}
