//! Where in a JSON text something does not fit.

/// The error's text, with the path of the value that it is about: `order.lines[2].price: invalid type: …`.
///
/// The path is looked for in the text once reading has failed, so that reading itself is the plain one.
pub(crate) fn with_path(json: &str, error: &serde_json::Error) -> String {
    match path(json, offset(json, error)) {
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

/// The path of the value that was being read when the first `offset` bytes had been.
fn path(json: &str, offset: usize) -> String {
    let mut steps = Vec::new();
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
                    if let Some(Step::Key(key @ None)) = steps.last_mut() {
                        *key = json.get(start..at);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(at + 1),
            b'{' => steps.push(Step::Key(None)),
            b'[' => steps.push(Step::Index(0)),
            b'}' | b']' => drop(steps.pop()),
            b',' => match steps.last_mut() {
                Some(Step::Key(key)) => *key = None,
                Some(Step::Index(index)) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Key(Some(key)) => path.extend([if path.is_empty() { "" } else { "." }, key]),
            Step::Key(None) => {}
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
}
