//! Models: what agents get from each of them, whatever becomes of the other side.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use agents_worker::model::{self, ModelError, Prompt, Turn};
use bytes::Bytes;
use durable_agents::host::HostError;
use durable_agents::http::{HeaderValue, Headers, header};
use durable_agents::prelude::*;
use durable_agents::testing::{Client, MemoryHost};
use futures::StreamExt;
use futures::channel::oneshot;
use serde_json::{Value, json};

#[path = "support/chat_completions.rs"]
mod chat_completions;
use chat_completions::{BASE_URL, Stream};

/// Asks the model what it is sent, and sends what comes: pieces as they are, an end as `.`, an error as `!` with its texts.
#[derive(Default)]
struct Asker {
    stop: RefCell<Option<oneshot::Sender<()>>>,
}

#[agent]
impl Agent for Asker {
    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        Ok(false)
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let text = message.as_text().unwrap_or_default();
        if text == "stop" {
            self.stop.take();
            return Ok(());
        }
        let (name, text) = text.split_once('|').map_or((None, text), |(name, text)| (Some(name.to_owned()), text));
        let prompt = Prompt {
            model: name,
            system: "Be kind.".to_owned(),
            turns: vec![Turn::user("Hi"), Turn::assistant("Yes?"), Turn::user(text)],
        };
        let model = match model::configured(cx) {
            Ok(model) => model,
            Err(error) => return Ok(connection.send(shown(&error))?),
        };
        let (stop, stopped) = oneshot::channel();
        self.stop.replace(Some(stop));
        let connection = connection.clone();
        let answering = async move {
            let mut pieces = model.answer(prompt);
            while let Some(piece) = pieces.next().await {
                connection.send(piece.unwrap_or_else(|error| shown(&error)))?;
            }
            connection.send(".")
        };
        cx.wait_until(async move {
            futures::future::select(std::pin::pin!(answering), stopped).await;
        });
        Ok(())
    }
}

fn shown(error: &ModelError) -> String {
    format!("!{error} / {}", error.public())
}

/// A connection to an agent whose model is at [`BASE_URL`].
fn asker(host: &MemoryHost) -> Client {
    for (name, value) in [
        ("MODEL", "openai"),
        ("MODEL_BASE_URL", "https://model.test/v1/"),
        ("MODEL_NAME", "small"),
        ("MODEL_API_KEY", "sk-secret"),
        ("MODEL_TIMEOUT_S", "30"),
    ] {
        host.set_var(name, value);
    }
    host.agent::<Asker>("a").connect("")
}

/// What the server got, and how the test lets it go on.
struct Exchange {
    url: String,
    headers: Headers,
    body: Value,
    answer: oneshot::Sender<Result<Response, HostError>>,
}

/// A server that answers when the test says so.
#[derive(Clone, Default)]
struct Server(Rc<RefCell<Vec<Exchange>>>);

impl Server {
    fn new(host: &MemoryHost) -> Self {
        let server = Self::default();
        let exchanges = server.clone();
        host.serve_url(BASE_URL, move |request| {
            let exchanges = exchanges.clone();
            async move {
                let (url, headers) = (request.url().to_string(), request.headers());
                let body = request.json().await.expect("a request of the API");
                let (answer, answered) = oneshot::channel();
                exchanges.0.borrow_mut().push(Exchange { url, headers, body, answer });
                answered.await.expect("a test that answers")
            }
        });
        server
    }

    fn exchange(&self) -> Exchange {
        self.0.borrow_mut().pop().expect("a request has come")
    }

    /// Begins a streamed answer to the request that came last.
    fn stream(&self) -> Stream {
        let (stream, response) = Stream::begin();
        let response = response.with_header(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        assert!(self.exchange().answer.send(Ok(response)).is_ok(), "the agent waits for an answer");
        stream
    }
}

/// A client that has asked, and the server that has got the question.
fn asked(host: &MemoryHost) -> (Server, Client) {
    let server = Server::new(host);
    let mut client = asker(host);
    ask(&mut client);
    (server, client)
}

fn ask(client: &mut Client) {
    client.send("How?");
    client.expect_no_frame();
}

#[test]
fn without_configuration_a_script_speaks_word_by_word() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Asker>("a").connect("");
    client.send("hello there");
    assert_eq!(client.texts(), ["This "], "the rest takes time");
    host.advance(Duration::from_millis(20));
    assert_eq!(client.texts(), ["is "]);
    host.advance(Duration::from_secs(1));
    let rest = client.texts().concat();
    assert_eq!(rest, "the scripted model: it understands nothing and repeats what you said. You said: hello there.");
    client.send("anything|again");
    host.advance(Duration::from_secs(1));
    assert!(client.texts().concat().ends_with("You said: again."), "it goes by any name");
}

#[test]
fn a_script_can_be_stopped_between_two_words() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Asker>("a").connect("");
    client.send("hello");
    host.advance(Duration::from_millis(50));
    assert_eq!(client.texts().concat(), "This is the ");
    client.send("stop");
    host.advance(Duration::from_secs(10));
    client.expect_no_frame();
}

#[test]
fn the_pause_of_the_script_can_be_set() {
    let host = MemoryHost::new();
    host.set_var("MODEL_DELAY_MS", "0");
    let mut client = host.agent::<Asker>("a").connect("");
    client.send("hello");
    assert!(client.texts().concat().ends_with("You said: hello."));
}

#[test]
fn a_request_is_one_of_the_chat_completions_api() {
    let host = MemoryHost::new();
    let (server, _client) = asked(&host);
    let exchange = server.exchange();
    assert_eq!(exchange.url, "https://model.test/v1/chat/completions");
    assert_eq!(exchange.headers.get("authorization"), Some(&HeaderValue::from_static("Bearer sk-secret")));
    assert_eq!(exchange.headers.get("content-type"), Some(&HeaderValue::from_static("application/json")));
    let messages = json!([
        { "role": "system", "content": "Be kind." },
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": "Yes?" },
        { "role": "user", "content": "How?" },
    ]);
    assert_eq!(exchange.body, json!({ "model": "small", "messages": messages, "stream": true }));
}

#[test]
fn without_a_key_none_is_sent() {
    let host = MemoryHost::new();
    let server = Server::new(&host);
    let mut client = asker(&host);
    host.set_var("MODEL_API_KEY", "");
    ask(&mut client);
    assert!(!server.exchange().headers.contains_key("authorization"));
}

#[test]
fn pieces_arrive_as_they_come() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    stream.send("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    client.expect_no_frame();
    stream.piece("We");
    assert_eq!(client.texts(), ["We"]);
    // A piece that is cut within a character, and two pieces at once.
    let bytes =
        "data: {\"choices\":[{\"delta\":{\"content\":\"ll é\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"!\"}}]}\n\n";
    let at = bytes.find('é').expect("it is there") + 1;
    stream.send(Bytes::copy_from_slice(&bytes.as_bytes()[..at]));
    client.expect_no_frame();
    stream.send(Bytes::copy_from_slice(&bytes.as_bytes()[at..]));
    assert_eq!(client.texts(), ["ll é", "!"]);
    stream.send(": still here\n\n");
    stream.end();
    assert_eq!(client.texts(), ["."]);
    assert!(stream.0.is_closed(), "nobody reads on");
}

#[test]
fn a_reason_to_finish_is_an_end_too() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    stream.send("data: {\"choices\":[{\"delta\":{\"content\":\"Well\"},\"finish_reason\":\"stop\"}]}\n\n");
    assert_eq!(client.texts(), ["Well", "."]);
}

#[test]
fn a_stream_that_is_cut_is_an_error() {
    let host = MemoryHost::new();
    let server = Server::new(&host);
    let mut client = asker(&host);
    for (cut, error) in [
        (None, "!model's answer broke off: the stream ended early / The model's answer broke off"),
        (Some("connection reset"), "!model's answer broke off: body was cut: connection reset / The model's answer broke off"),
    ] {
        ask(&mut client);
        let stream = server.stream();
        stream.piece("We");
        stream.send("data: {\"choices\":[{\"delta\":{\"cont");
        if let Some(why) = cut {
            stream.cut(why);
        }
        drop(stream);
        assert_eq!(client.texts(), ["We", error, "."]);
    }
}

#[test]
fn a_refusal_tells_the_client_the_status_and_the_log_the_reason_without_the_key() {
    let host = MemoryHost::new();
    let server = Server::new(&host);
    let mut client = asker(&host);
    for (status, body, error) in [
        (
            StatusCode::UNAUTHORIZED,
            r#"{"error":{"message":"Incorrect key: sk-secret","type":"auth"}}"#,
            "!model refused with status 401: Incorrect key: *** / The model refused the request with status 401",
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            r#"{"message":"slow down"}"#,
            "!model refused with status 429: slow down / The model refused the request with status 429",
        ),
        (
            StatusCode::BAD_GATEWAY,
            "<html>\n502\n</html>",
            "!model refused with status 502: <html> 502 </html> / The model refused the request with status 502",
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "",
            "!model refused with status 503:  / The model refused the request with status 503",
        ),
    ] {
        ask(&mut client);
        let response = Response { status, body: body.into(), ..Response::default() };
        assert!(server.exchange().answer.send(Ok(response)).is_ok());
        assert_eq!(client.texts(), [error, "."]);
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    assert!(server.exchange().answer.send(Err(HostError::new("connection refused by sk-secret"))).is_ok());
    assert_eq!(
        client.texts(),
        ["!model could not be reached: connection refused by *** / The model could not be reached", "."]
    );
    host.set_var("MODEL_BASE_URL", "https://nowhere.test");
    client.send("How?");
    let [error, _] = &client.texts()[..] else { panic!("an error and an end") };
    assert!(error.starts_with("!model could not be reached: "), "{error}");
}

#[test]
fn what_is_no_stream_of_pieces_is_malformed() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let public = "The model's answer could not be understood";

    assert!(server.exchange().answer.send(Ok(Response::text("hello"))).is_ok());
    let kind = "its content type is \"text/plain;charset=UTF-8\" instead of an event stream";
    assert_eq!(client.texts(), [format!("!model's answer is malformed: {kind} / {public}"), ".".to_owned()]);

    for (data, reason) in [
        ("data: oops\n\n".to_owned(), "expected value at line 1 column 1"),
        ("x".repeat(1024 * 1024 + 1), "one event has more than 1048576 bytes"),
    ] {
        ask(&mut client);
        let stream = server.stream();
        stream.piece("We");
        stream.send(data);
        assert_eq!(
            client.texts(),
            ["We".to_owned(), format!("!model's answer is malformed: {reason} / {public}"), ".".to_owned()]
        );
        assert!(stream.0.is_closed(), "nobody reads on");
    }
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    stream.send("data: {\"error\":{\"message\":\"sk-secret is out of credit\"}}\n\n");
    assert_eq!(client.texts(), ["!model failed: *** is out of credit / The model failed", "."]);
    assert!(stream.0.is_closed());
}

#[test]
fn an_answer_without_end_is_refused() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    let piece = "x".repeat(100 * 1024);
    for _ in 0..3 {
        stream.piece(&piece);
    }
    let frames = client.texts();
    assert_eq!(frames[2..], ["!model's answer is longer than 262144 bytes / The model's answer is too long", "."]);
    assert!(stream.0.is_closed());
}

#[test]
fn so_is_a_stream_without_end_that_has_no_words() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    let comment = format!(": {}\n\n", "x".repeat(1_000_000));
    for _ in 0..16 {
        stream.send(comment.clone());
    }
    client.expect_no_frame();
    stream.send(comment);
    assert_eq!(client.texts(), ["!model's answer is longer than 262144 bytes / The model's answer is too long", "."]);
    assert!(stream.0.is_closed());
}

#[test]
fn silence_is_an_error_before_the_first_piece_and_after_it() {
    let host = MemoryHost::new();
    let server = Server::new(&host);
    let mut client = asker(&host);
    let silent = "!model was silent for 30 s / The model was silent for 30 s";

    client.send("No answer at all.");
    client.expect_no_frame();
    let exchange = server.exchange();
    host.advance(Duration::from_millis(29_999));
    client.expect_no_frame();
    assert!(!exchange.answer.is_canceled());
    host.advance(Duration::from_millis(1));
    assert_eq!(client.texts(), [silent, "."]);
    assert!(exchange.answer.is_canceled(), "the request is aborted");

    client.send("No piece, only comments.");
    client.expect_no_frame();
    host.advance(Duration::from_secs(20));
    let stream = server.stream();
    stream.send(": patience\n\n");
    host.advance(Duration::from_millis(9_999));
    client.expect_no_frame();
    host.advance(Duration::from_millis(1));
    assert_eq!(client.texts(), [silent, "."]);
    assert!(stream.0.is_closed(), "the request is aborted");

    client.send("A piece from time to time.");
    client.expect_no_frame();
    let stream = server.stream();
    for piece in ["a", "b", "c"] {
        host.advance(Duration::from_secs(29));
        stream.piece(piece);
        assert_eq!(client.texts(), [piece]);
    }
    host.advance(Duration::from_secs(30));
    assert_eq!(client.texts(), [silent, "."]);
}

#[test]
fn dropping_the_answer_aborts_the_request() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let exchange = server.exchange();
    client.send("stop");
    client.expect_no_frame();
    assert!(exchange.answer.is_canceled(), "before the answer");

    ask(&mut client);
    let stream = server.stream();
    stream.piece("We");
    assert_eq!(client.texts(), ["We"]);
    client.send("stop");
    client.expect_no_frame();
    assert!(stream.0.is_closed(), "within the answer");
}

#[test]
fn a_crash_aborts_the_request() {
    let host = MemoryHost::new();
    let (server, mut client) = asked(&host);
    let stream = server.stream();
    stream.piece("We");
    assert_eq!(client.texts(), ["We"]);
    host.agent::<Asker>("a").crash();
    assert!(stream.0.is_closed());
}

#[test]
fn only_names_that_are_offered_are_asked_for() {
    let host = MemoryHost::new();
    let server = Server::new(&host);
    let mut client = asker(&host);
    let refused = "!model \"big\" is not offered: MODEL_NAME and MODEL_ALLOWED say which are / This model is not offered";
    for (allowed, asked, sent) in [
        ("", "default", Some("small")),
        ("", "small", Some("small")),
        ("", "big", None),
        ("medium, big", "big", Some("big")),
        ("medium", "big", None),
        ("*", "big", Some("big")),
    ] {
        host.set_var("MODEL_ALLOWED", allowed);
        client.send(format!("{asked}|How?"));
        match sent {
            None => assert_eq!(client.texts(), [refused, "."], "{allowed}: {asked}"),
            Some(sent) => {
                client.expect_no_frame();
                assert_eq!(server.exchange().body["model"], sent, "{allowed}: {asked}");
            }
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_used_names_its_variable() {
    let host = MemoryHost::new();
    let mut client = asker(&host);
    let url = "MODEL_BASE_URL is no http or https URL without user, query and fragment";
    for (name, value, reason) in [
        ("MODEL", "gpt", "MODEL is \"gpt\": scripted, workers-ai or openai"),
        ("MODEL", "workers-ai", "the agent does not run on workerd"),
        ("MODEL_NAME", "", "MODEL_NAME is missing"),
        ("MODEL_BASE_URL", "model.test", url),
        ("MODEL_BASE_URL", "https://user:password@model.test", url),
        ("MODEL_BASE_URL", "https://model.test/v1?key=x", url),
        ("MODEL_TIMEOUT_S", "0", "MODEL_TIMEOUT_S is \"0\": a whole number from 1 to 600"),
        ("MODEL_TIMEOUT_S", "1.5", "MODEL_TIMEOUT_S is \"1.5\": a whole number from 1 to 600"),
    ] {
        asker(&host);
        host.set_var(name, value);
        client.send("How?");
        assert_eq!(client.texts(), [format!("!model is not configured: {reason} / The model is not configured")]);
    }
    asker(&host);
    host.set_var("MODEL_API_KEY", "sk-\u{7}secret");
    client.send("How?");
    let reason = "MODEL_API_KEY has characters that no header may have";
    assert_eq!(client.texts()[0], format!("!model is not configured: {reason} / The model is not configured"));
}
