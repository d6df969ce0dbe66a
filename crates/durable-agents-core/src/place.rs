//! Where in a JSON text something does not fit.

use std::fmt::{self, Display, Formatter};

use crate::brief::brief;

/// Longest path, in bytes. Keys are as long as somebody outside has made them.
const MAX_PATH_BYTES: usize = 256;

/// Most steps of a path; how deep what nobody asked for is nested has no limit.
const MAX_STEPS: usize = 64;

/// The error's text, with the path of the value that it is about: `order.lines[2].price: invalid type: …`.
///
/// The path is looked for in the text once reading has failed, so that reading itself is the plain one. The error's own text is taken
/// for short.
pub(crate) fn with_path(json: &str, error: &serde_json::Error) -> String {
    match brief(MAX_PATH_BYTES, format_args!("{}", path(json, offset(json, error)))) {
        path if path.is_empty() => error.to_string(),
        path => format!("{path}: {error}"),
    }
}

/// How many bytes had been read when the error was found.
fn offset(json: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    json.split_inclusive('\n').take(lines_before).map(str::len).sum::<usize>() + error.column()
}

/// One step into an array or an object.
enum Step<'j> {
    Index(usize),
    /// The key as it is written; `None` before there is one.
    Key(Option<&'j str>),
}

/// The outer steps, and how many there are in all.
struct Path<'j> {
    steps: Vec<Step<'j>>,
    depth: usize,
}

impl<'j> Path<'j> {
    fn enter(&mut self, step: Step<'j>) {
        if self.depth < MAX_STEPS {
            self.steps.push(step);
        }
        self.depth += 1;
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.steps.truncate(self.depth);
    }

    /// The innermost, unless it is too deep.
    fn last(&mut self) -> Option<&mut Step<'j>> {
        if self.depth > MAX_STEPS { None } else { self.steps.last_mut() }
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for step in &self.steps {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(Some(key)) if is_first => f.write_str(key)?,
                Step::Key(Some(key)) => write!(f, ".{key}")?,
                Step::Key(None) => continue,
            }
            is_first = false;
        }
        f.write_str(if self.depth > MAX_STEPS { "…" } else { "" })
    }
}

/// The path of the value that was being read when the first `offset` bytes had been.
fn path(json: &str, offset: usize) -> Path<'_> {
    let mut path = Path { steps: Vec::new(), depth: 0 };
    let mut string_start = None;
    let mut is_escaped = false;
    for (at, byte) in json.bytes().enumerate().take(offset) {
        if let Some(start) = string_start {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    string_start = None;
                    // A string is a key where there is none yet.
                    if let Some(Step::Key(key @ None)) = path.last() {
                        *key = json.get(start..at);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(at + 1),
            b'{' => path.enter(Step::Key(None)),
            b'[' => path.enter(Step::Index(0)),
            b'}' | b']' => path.leave(),
            b',' => match path.last() {
                Some(Step::Key(key)) => *key = None,
                Some(Step::Index(index)) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "what matters is whether it can be read")]
    struct Order {
        name: String,
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "what matters is whether it can be read")]
    struct Line {
        price: u32,
    }

    #[test]
    fn the_path_is_that_of_the_value_that_does_not_fit() {
        for (json, expected) in [
            (r#"{"name":5,"lines":[]}"#, "name: invalid type: integer"),
            (r#"{"name":"a","lines":[{"price":1},{"price":"2"}]}"#, "lines[1].price: invalid type: string"),
            (r#"{"name":"a","lines":[{"price":{"a":1}}]}"#, "lines[0].price: invalid type: map"),
            (r#"{"name":"a","lines":[{"price":1},{}]}"#, "lines[1]: missing field `price`"),
            (r#"{"name":"a","lines":[1]}"#, "lines[0]: invalid type: integer"),
            ("{\"name\":\"é\\\"],\",\n \"lines\" :\n [ {\"price\": -1 } ]}", "lines[0].price: invalid value"),
            (r#"{"name":"a"}"#, "missing field `lines`"),
            ("[]", "invalid length 0"),
            ("5", "invalid type: integer"),
            ("", "EOF while parsing"),
        ] {
            let error = serde_json::from_str::<Order>(json).expect_err("does not fit");
            let text = with_path(json, &error);
            assert!(text.starts_with(expected), "{json}: {text}");
        }
    }

    #[test]
    fn a_path_is_bounded_however_deep_a_text_is_nested_and_however_long_its_keys_are() {
        let with_path = |json: &str| with_path(json, &serde_json::from_str::<Order>(json).expect_err("does not fit"));
        // What nobody asked for is skipped, and may be nested deeper than what is read.
        let (open, close) = ("[{\"a\":".repeat(100_000), "}]".repeat(100_000));
        let text = with_path(&format!(r#"{{"b":{open}1{close},"name":5}}"#));
        assert!(text.starts_with("name: invalid type"), "{text}");
        let text = with_path(&format!(r#"{{"b":{open}1!{close},"name":5}}"#));
        let steps = format!("b{}[0]…: ", "[0].a".repeat(31));
        assert!(text.starts_with(&steps), "{text}");
        assert_eq!(path(&open, open.len()).steps.len(), MAX_STEPS);

        let long = "k".repeat(1_000_000);
        let text = with_path(&format!(r#"{{"{long}":!}}"#));
        assert!(text.starts_with("kkk") && text.contains("kkk: expected value") && text.len() < 400, "{text}");
    }
}
