//! Exchanges that a plan spells out frame by frame, with an agent of any kind.
//!
//! What is said is text; what has to come back is given as JSON, see [`matches`]. In names of instances, so in paths, `{slice}` stands for
//! four digits that no other slice has, `{lane}` for twelve that no other lane has: together with others they make a UUID.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures_util::future::try_join_all;
use hyper::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::client::{Client, excerpt};
use crate::http::HttpClient;
use crate::lane::Lane;
use crate::plan::{Rehearsal, Run, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// How often a rehearsal plays what it plays: a frame too many is found by what comes next.
const PLAYED: u32 = 3;

/// A slice that is no round.
const REHEARSAL: &str = "9999";

/// One conversation, over and over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    /// Where the sockets are opened.
    path: String,
    /// How many of them. The first one speaks, all of them are sent the same.
    #[serde(default = "one")]
    sockets: usize,
    /// What each is sent before anything is said.
    #[serde(default)]
    greeting: Vec<Value>,
    /// What comes once all of them are open, before the first operation.
    #[serde(default)]
    opening: Vec<Turn>,
    /// One operation.
    turns: Vec<Turn>,
    /// Whether opening and closing the sockets is part of the operation, or comes before and after all of them.
    #[serde(default)]
    is_visit: bool,
}

/// Something that is said, and all that comes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    #[serde(default)]
    send: Option<String>,
    #[serde(default)]
    request: Option<HttpTurn>,
    /// What each socket is sent then, up to the frame that ends it.
    #[serde(default)]
    frames: Vec<Value>,
}

/// A request over a kept connection beside the sockets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTurn {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    status: u16,
    answer: Value,
}

impl Turn {
    /// What it is, for people.
    fn said(&self) -> &str {
        let path = self.request.as_ref().map(|request| request.path.as_str());
        self.send.as_deref().or(path).unwrap_or("nothing")
    }
}

const fn one() -> usize {
    1
}

/// Who plays the client's part.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    slice: String,
    lane: String,
    sockets: Vec<Client>,
    http: Option<HttpClient>,
}

impl<'a> Player<'a> {
    pub(crate) async fn enter(server: &'a Server, exchange: &'a Exchange, slice: &str, lane: usize) -> Result<Self> {
        let needs_http = exchange.opening.iter().chain(&exchange.turns).any(|turn| turn.request.is_some());
        let http = if needs_http { Some(HttpClient::connect(server).await?) } else { None };
        let (slice, lane) = (slice.to_owned(), format!("{lane:012}"));
        let mut player = Self { server, exchange, slice, lane, sockets: Vec::new(), http };
        if !exchange.is_visit {
            player.open().await?;
        }
        Ok(player)
    }

    /// Does it once, and looks at every frame that comes of it.
    pub(crate) async fn play(&mut self) -> Result<()> {
        if self.exchange.is_visit {
            self.open().await?;
        }
        for turn in &self.exchange.turns {
            self.take(turn).await?;
        }
        if self.exchange.is_visit {
            for code in try_join_all(self.sockets.drain(..).map(Client::close)).await? {
                ensure!(code == 1000, "closed with {code}");
            }
        }
        Ok(())
    }

    /// The sockets that are still open.
    pub(crate) fn leave(self) -> Vec<Client> {
        self.sockets
    }

    async fn open(&mut self) -> Result<()> {
        let path = self.named(&self.exchange.path);
        for _ in 0..self.exchange.sockets {
            let mut socket = Client::open(self.server, &path).await?;
            hear(&mut socket, &self.exchange.greeting).await.context("the greeting")?;
            self.sockets.push(socket);
        }
        for turn in &self.exchange.opening {
            self.take(turn).await?;
        }
        Ok(())
    }

    async fn take(&mut self, turn: &Turn) -> Result<()> {
        if let Some(text) = &turn.send {
            let speaker = self.sockets.first_mut().context("there is no socket to send on")?;
            speaker.send(Message::text(text.as_str())).await?;
        }
        if let Some(request) = &turn.request {
            self.ask(request).await?;
        }
        for socket in &mut self.sockets {
            hear(socket, &turn.frames).await.with_context(|| format!("after {}", excerpt(&turn.said())))?;
        }
        Ok(())
    }

    async fn ask(&mut self, turn: &HttpTurn) -> Result<()> {
        let mut request = Request::builder().method(turn.method.as_str()).uri(self.named(&turn.path));
        for (name, value) in &turn.headers {
            request = request.header(name, value);
        }
        let http = self.http.as_mut().context("there is no connection for requests")?;
        let answer = http.ask(request, Bytes::copy_from_slice(turn.body.as_bytes())).await?;
        let body: Value = serde_json::from_slice(&answer.body).with_context(|| format!("{answer:?}"))?;
        ensure!(answer.status.as_u16() == turn.status && matches(&turn.answer, &body), "unexpected {answer:?}");
        Ok(())
    }

    fn named(&self, path: &str) -> String {
        path.replace("{slice}", &self.slice).replace("{lane}", &self.lane)
    }
}

/// Reads as many messages as are wanted, each of which has to match.
async fn hear(socket: &mut Client, wanted: &[Value]) -> Result<()> {
    for wanted in wanted {
        let text = socket.receive_text().await?;
        let got = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
        ensure!(matches(wanted, &got), "expected {wanted}, got {}", excerpt(&text));
    }
    Ok(())
}

/// Whether `got` has all that is wanted of it. Of an object's fields those are looked at that `wanted` has; anything else has to be equal.
/// Text that is no JSON is a JSON string here.
fn matches(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.iter().all(|(key, wanted)| got.get(key).is_some_and(|got| matches(wanted, got)))
        }
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| matches(wanted, got))
        }
        _ => wanted == got,
    }
}

/// Plays each run's exchange a few times, in all its lanes.
pub(crate) async fn rehearse(rehearsal: &Rehearsal) -> Result<()> {
    for run in &rehearsal.runs {
        let played = timeout(PATIENCE, rehearse_one(run)).await.unwrap_or_else(|_| Err(anyhow!("no answer")));
        played.with_context(|| run.scenario.name.clone())?;
    }
    Ok(())
}

async fn rehearse_one(Run { server, scenario }: &Run) -> Result<()> {
    let mut lanes = Lane::open(server, &scenario.operation, scenario.lanes, REHEARSAL).await?;
    for _ in 0..PLAYED {
        try_join_all(lanes.iter_mut().map(Lane::run)).await?;
    }
    for lane in lanes {
        lane.close().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::matches;

    #[test]
    fn an_answer_needs_the_fields_that_are_wanted_and_may_have_more() {
        let got = json!({"type": "pong", "seq": 3, "list": [{"id": "a", "more": 1}, {"id": "b"}]});
        for wanted in [json!({}), json!({"type": "pong"}), json!({"list": [{"id": "a"}, {}]})] {
            assert!(matches(&wanted, &got), "{wanted}");
        }
        for wanted in [
            json!({"type": "ping"}),
            json!({"other": null}),
            json!({"list": [{"id": "a"}]}),
            json!({"list": [{"id": "b"}, {"id": "a"}]}),
            json!("pong"),
            json!([]),
        ] {
            assert!(!matches(&wanted, &got), "{wanted}");
        }
    }
}
