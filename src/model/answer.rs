//! A streamed answer, from bytes to pieces of text: what both APIs have in common.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use durable_agents::host::Host;
use durable_agents::http::{Body, BodyError};
use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::{self, LocalBoxStream, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::Value;

use super::sse::{Event, Events, MAX_BYTES};
use super::{MAX_ANSWER_BYTES, ModelError, Pieces};

/// Most bytes of a stream, whatever is in it: text comes with its envelope, and a reasoning model with its thoughts.
const MAX_STREAM_BYTES: usize = 64 * MAX_ANSWER_BYTES;

/// Reads the answer that `opening` begins. `timeout` is for the first event, opening included, and for each one after it. `secret`
/// will be in no error.
pub(super) fn read(
    host: Rc<dyn Host>,
    timeout: Duration,
    secret: Option<String>,
    opening: LocalBoxFuture<'static, Result<Body, ModelError>>,
) -> Pieces {
    let opened = async move {
        let mut silence = host.sleep(timeout);
        let body = match select(opening, &mut silence).await {
            Either::Left((body, _)) => body?.into_stream(),
            Either::Right(_) => return Err(ModelError::Silent(timeout)),
        };
        Ok(Reading { host, timeout, silence, body, events: Events::default(), stream_bytes: 0, answer_bytes: 0, over: false })
    };
    let pieces = stream::once(opened).map_ok(|reading| stream::try_unfold(reading, Reading::next)).try_flatten();
    pieces.map_err(move |error| presentable(error, secret.as_deref())).boxed_local()
}

struct Reading {
    host: Rc<dyn Host>,
    timeout: Duration,
    silence: LocalBoxFuture<'static, ()>,
    body: LocalBoxStream<'static, Result<Bytes, BodyError>>,
    events: Events,
    stream_bytes: usize,
    answer_bytes: usize,
    over: bool,
}

impl Reading {
    /// The next piece, with what is left to read. An end that was not announced is an error.
    async fn next(mut self) -> Result<Option<(String, Self)>, ModelError> {
        while !self.over {
            let event = self.event().await?;
            self.silence = self.host.sleep(self.timeout);
            let part = Part::of(&event)?;
            self.over = part.is_last;
            self.answer_bytes += part.text.len();
            if self.answer_bytes > MAX_ANSWER_BYTES {
                return Err(ModelError::TooLong);
            }
            if !part.text.is_empty() {
                return Ok(Some((part.text, self)));
            }
        }
        Ok(None)
    }

    async fn event(&mut self) -> Result<Event, ModelError> {
        loop {
            if let Some(event) = self.events.pop() {
                return Ok(event);
            }
            let bytes = match select(self.body.next(), &mut self.silence).await {
                Either::Left((None, _)) => return Err(ModelError::Cut("the stream ended early".to_owned())),
                Either::Left((Some(bytes), _)) => bytes.map_err(|error| ModelError::Cut(error.to_string()))?,
                Either::Right(_) => return Err(ModelError::Silent(self.timeout)),
            };
            self.stream_bytes += bytes.len();
            if self.stream_bytes > MAX_STREAM_BYTES {
                return Err(ModelError::TooLong);
            }
            let too_long = |_| ModelError::Malformed(format!("one event has more than {MAX_BYTES} bytes"));
            self.events.push(&bytes).map_err(too_long)?;
        }
    }
}

/// What one event adds to the answer.
#[derive(Debug, Default, PartialEq)]
struct Part {
    text: String,
    is_last: bool,
}

/// One event, as the chat-completions API has it, or else as Workers AI's own models do.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    response: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

impl Part {
    fn of(event: &Event) -> Result<Self, ModelError> {
        if event.data.trim() == "[DONE]" {
            return Ok(Self { is_last: true, ..Self::default() });
        }
        if event.kind == "error" {
            return Err(ModelError::Failed(detail(event.data.as_bytes())));
        }
        let chunk: Chunk = serde_json::from_str(&event.data).map_err(|error| ModelError::Malformed(error.to_string()))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(ModelError::Failed(words_of(&error)));
        }
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(Self { text: text_of(chunk.response), is_last: false });
        };
        let text = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        Ok(Self { text, is_last: choice.finish_reason.is_some_and(|reason| !reason.is_empty()) })
    }
}

/// Workers AI sends a token that is a number as a number.
fn text_of(response: Option<Value>) -> String {
    match response {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}

/// What an error's body says.
pub(super) fn detail(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => words_of(value.get("error").unwrap_or(&value)),
        Err(_) => text.into_owned(),
    }
}

fn words_of(error: &Value) -> String {
    let words = error.as_str().or_else(|| error.get("message").and_then(Value::as_str));
    words.map_or_else(|| error.to_string(), str::to_owned)
}

/// Most characters of what the other side says about an error.
const MAX_DETAIL_CHARS: usize = 300;

/// Makes one short line of what the other side says, without the secret that some servers repeat.
fn presentable(mut error: ModelError, secret: Option<&str>) -> ModelError {
    let (ModelError::Unreachable(words)
    | ModelError::Refused { detail: words, .. }
    | ModelError::Failed(words)
    | ModelError::Malformed(words)
    | ModelError::Cut(words)) = &mut error
    else {
        return error;
    };
    let told = secret.map_or_else(|| words.clone(), |secret| words.replace(secret, "***"));
    *words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_DETAIL_CHARS) {
        words.truncate(end);
        words.push('…');
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, data: &str) -> Result<Part, ModelError> {
        Part::of(&Event { kind: kind.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn both_dialects_are_understood() {
        for (data, text, is_last) in [
            (r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, "", false),
            (r#"{"choices":[{"delta":{"content":" Hi"}}],"usage":null}"#, " Hi", false),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "", true),
            (r#"{"choices":[{"delta":{"content":"!"},"finish_reason":"length"}]}"#, "!", true),
            (r#"{"choices":[{"delta":null,"finish_reason":""}]}"#, "", false),
            (r#"{"choices":[],"usage":{"total_tokens":3}}"#, "", false),
            (r#"{"response":" Hi","p":"abc"}"#, " Hi", false),
            (r#"{"response":42}"#, "42", false),
            (r#"{"response":null,"usage":{}}"#, "", false),
            ("{}", "", false),
            (" [DONE]", "", true),
        ] {
            assert_eq!(part("", data), Ok(Part { text: text.to_owned(), is_last }), "{data}");
        }
    }

    #[test]
    fn errors_in_the_stream_are_errors() {
        for (kind, data, expected) in [
            ("", r#"{"error":{"message":"out of memory","code":500}}"#, "out of memory"),
            ("", r#"{"error":"busy"}"#, "busy"),
            ("", r#"{"error":{"code":7}}"#, r#"{"code":7}"#),
            ("error", r#"{"message":"gone"}"#, "gone"),
            ("error", "plain words", "plain words"),
        ] {
            assert_eq!(part(kind, data), Err(ModelError::Failed(expected.to_owned())), "{data}");
        }
        for data in ["", "no JSON", "[]", r#"{"choices":5}"#, r#"{"choices":[{"delta":{"content":5}}]}"#] {
            assert!(matches!(part("", data), Err(ModelError::Malformed(_))), "{data}");
        }
    }

    #[test]
    fn what_the_other_side_says_becomes_one_short_line_without_the_secret() {
        let page = detail(b"<html>\n  502 Bad sk-1\n</html>");
        let refused = |detail: String| ModelError::Refused { status: 502, detail };
        assert_eq!(presentable(refused(page), Some("sk-1")), refused("<html> 502 Bad *** </html>".to_owned()));
        let long = "ü".repeat(MAX_DETAIL_CHARS);
        assert_eq!(presentable(ModelError::Cut(format!("{long}x")), None), ModelError::Cut(format!("{long}…")));
        assert_eq!(presentable(ModelError::Cut(format!("{long}sk-1"),), Some("sk-1")), ModelError::Cut(format!("{long}…")));
        assert_eq!(presentable(ModelError::TooLong, Some("sk-1")), ModelError::TooLong);
    }
}
