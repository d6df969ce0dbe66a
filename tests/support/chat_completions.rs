//! A server that speaks the chat-completions API, whose answers a test writes piece by piece.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use durable_agents::http::{Body, BodyError, HeaderValue, Response, header};
use durable_agents::testing::MemoryHost;
use futures::channel::mpsc;
use serde_json::{Value, json};

pub(crate) const BASE_URL: &str = "https://model.test/v1";

/// The test's end of a streamed answer, which is closed once nobody reads it any more. Dropping it ends the stream.
pub(crate) struct Stream(pub(crate) mpsc::UnboundedSender<Result<Bytes, BodyError>>);

impl Stream {
    /// An answer without a word yet, and the response it comes in.
    pub(crate) fn begin() -> (Self, Response) {
        let (pieces, body) = mpsc::unbounded();
        let response = Response { body: Body::stream(body), ..Response::default() };
        (Self(pieces), response.with_header(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")))
    }

    pub(crate) fn send(&self, text: impl Into<Bytes>) {
        self.0.unbounded_send(Ok(text.into())).expect("the agent still reads");
    }

    pub(crate) fn piece(&self, content: &str) {
        self.send(format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": content } }] })));
    }

    pub(crate) fn end(&self) {
        self.send("data: [DONE]\n\n");
    }

    /// What a network that breaks makes of it.
    pub(crate) fn cut(&self, why: &str) {
        self.0.unbounded_send(Err(BodyError::Cut(why.to_owned()))).expect("the agent still reads");
    }
}

/// A request as it came, and its answer.
pub(crate) struct Exchange {
    pub(crate) ask: Value,
    pub(crate) answer: Stream,
}

/// Every request so far, in order.
pub(crate) type Exchanges = Rc<RefCell<Vec<Exchange>>>;

/// Serves the API at [`BASE_URL`], where agents of this world find their model from now on.
pub(crate) fn serve(host: &MemoryHost) -> Exchanges {
    for (name, value) in [("MODEL", "openai"), ("MODEL_BASE_URL", BASE_URL), ("MODEL_NAME", "small")] {
        host.set_var(name, value);
    }
    let exchanges = Exchanges::default();
    let served = Rc::clone(&exchanges);
    host.serve_url(&format!("{BASE_URL}/chat/completions"), move |request| {
        let served = Rc::clone(&served);
        async move {
            let ask = request.json().await.expect("a request of the API");
            let (answer, response) = Stream::begin();
            served.borrow_mut().push(Exchange { ask, answer });
            Ok(response)
        }
    });
    exchanges
}
