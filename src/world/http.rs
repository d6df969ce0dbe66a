//! What the worlds answer over HTTP.

use std::rc::Rc;

use bytes::Bytes;
use durable_agents::host::Level;
use durable_agents::http::{Body, BodyError, HeaderValue, header};
use durable_agents::prelude::*;
use futures::stream;
use serde::Serialize;

use super::chat::{Chat, Message, Place, Step};
use super::desk::{Counts, Desk};
use super::frames::{MAX_MESSAGE_BYTES, Payload};
use super::refusal::{Code, Refusal};
use super::templates::{Persona, Template, summaries};
use super::{WorldAgent, store, user};
use crate::iso;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Templates,
    Agents { world: String },
    Chat { world: String },
}

/// A status, methods for `Allow`, and JSON: what both the worker and the agents answer with.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) allow: Option<&'static str>,
    pub(super) body: String,
}

/// How the worker is, or a user's agent.
#[derive(Serialize)]
#[serde(untagged)]
enum Health {
    Worker { status: &'static str, scope: &'static str, timestamp: String, templates: usize },
    User { status: &'static str, scope: &'static str, timestamp: String, websocket: Sockets, worlds: u64 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sockets {
    connections: usize,
    uptime_ms: u64,
    messages_received: u64,
    messages_sent: u64,
    last_activity: Option<String>,
}

impl Route {
    /// The route of a path. Nothing in it is decoded: whatever needs escapes is no world's name.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Answer> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let route = match segments[..] {
            ["health"] => Self::Health,
            ["worlds"] => Self::Templates,
            ["worlds", world, "agents"] => Self::Agents { world: world.to_owned() },
            ["worlds", world, "chat"] => Self::Chat { world: world.to_owned() },
            _ => return Err(Refusal::new(Code::NotFound, "Not found").into()),
        };
        let (allowed, allow): (&[Method], _) = match route {
            Self::Chat { .. } => (&[Method::POST], "POST"),
            Self::Health | Self::Templates | Self::Agents { .. } => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        };
        if allowed.contains(method) {
            return Ok(route);
        }
        let wrong = Refusal::new(Code::MethodNotAllowed, "Method not allowed");
        Err(Answer { allow: Some(allow), ..wrong.into() })
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal { code, message, .. }: Refusal) -> Self {
        #[derive(Serialize)]
        struct Body {
            error: String,
            code: Code,
        }
        Self { status: code.status(), ..Self::ok(&Body { error: message, code }) }
    }
}

impl Answer {
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self { status: StatusCode::OK, allow: None, body: text(body) }
    }

    fn into_response(self) -> Response {
        let response = Response::text(self.body).with_status(self.status);
        let response = response.with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.allow {
            Some(methods) => response.with_header(header::ALLOW, HeaderValue::from_static(methods)),
            None => response,
        }
    }
}

/// The template of that name, for whoever is no user.
pub(super) fn template(name: &str) -> Result<&'static Template, Refusal> {
    let name = store::checked_name(name)?;
    Template::find(name).ok_or_else(|| Refusal::new(Code::UnknownWorld, format!("There is no world {name:?}")))
}

/// How the worker is. It knows nothing about connections: those are with the agents of their users.
pub(super) fn health_of_worker(now_ms: u64) -> Answer {
    Answer::ok(&Health::Worker { status: "ok", scope: "worker", timestamp: iso::utc(now_ms), templates: summaries().len() })
}

impl WorldAgent {
    /// Answers a request of this user's, or of nobody's, for whom there are only templates.
    pub(super) async fn respond(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let is_user = match user::claim(cx, &request) {
            Ok(is_user) => is_user,
            Err(refusal) => return Ok(Answer::from(refusal).into_response()),
        };
        let path = if user::is_own_path(&request) { cx.sub_path(&request) } else { request.path() };
        let route = match Route::of(request.method(), path) {
            Ok(route) => route,
            Err(answer) => return Ok(answer.into_response()),
        };
        let answered = match route {
            Route::Chat { world } => self.chat(cx, request, is_user, &world).await,
            Route::Health => self.health(cx).map(Answer::into_response),
            Route::Templates => Ok(Answer::ok(&summaries()).into_response()),
            Route::Agents { world } => agents(cx, is_user, &world).map(|agents| Answer::ok(&agents).into_response()),
        };
        answered.or_else(|error| Ok(Answer::from(error.downcast::<Refusal>()?).into_response()))
    }

    fn health(&self, cx: &Context<Self>) -> Result<Answer> {
        let carried = |connection: &Connection<Self>| connection.state().ok().flatten().map(|visitor| visitor.counts);
        let connections: Vec<_> = cx.connections().collect();
        let counts = connections.iter().filter_map(carried).fold(store::counts(cx)?, Counts::plus);
        let websocket = Sockets {
            connections: connections.len(),
            uptime_ms: cx.now_ms().saturating_sub(self.awake_since_ms.get()),
            messages_received: counts.received,
            messages_sent: counts.sent,
            last_activity: (!counts.is_nothing()).then(|| iso::utc(counts.last_ms)),
        };
        let (timestamp, worlds) = (iso::utc(cx.now_ms()), store::worlds(cx)?);
        Ok(Answer::ok(&Health::User { status: "ok", scope: "user", timestamp, websocket, worlds }))
    }

    async fn chat(&self, cx: &Context<Self>, mut request: Request, is_user: bool, world: &str) -> Result<Response> {
        let place = if is_user { Place::World(store::get(cx, world)?) } else { Place::Template(template(world)?) };
        let body = match request.take_body().bytes_up_to(MAX_MESSAGE_BYTES).await {
            Ok(body) => body,
            Err(BodyError::TooLarge { limit }) => {
                return Err(Refusal::new(Code::TooLarge, format!("The body has at most {limit} bytes")).into());
            }
            Err(cut) => return Err(cut.into()),
        };
        let message = Message::parse(&Payload::parse(&body)?, "message")?;
        let chat = Chat::begin(cx, &self.desk, place, message)?;
        let response = Response { body: events(cx.clone(), Rc::clone(&self.desk), chat), ..Response::default() };
        let response = response.with_header(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        Ok(response.with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
    }
}

/// The agents of a user's own world, or of a template for whoever is no user.
fn agents(cx: &Context<WorldAgent>, is_user: bool, world: &str) -> Result<Vec<Persona>> {
    Ok(if is_user { store::get(cx, world)?.agents } else { template(world)?.personas() })
}

/// A chat as server-sent events. A reader who goes away drops it, and with it the chat.
fn events(cx: Context<WorldAgent>, desk: Rc<Desk>, chat: Chat) -> Body {
    Body::stream(stream::unfold(Some(chat), move |chat| {
        let (cx, desk) = (cx.clone(), Rc::clone(&desk));
        async move {
            let mut chat = chat?;
            let events = match chat.next().await {
                Ok(Some(step)) => return Some((Ok(event_of(&step)), Some(chat))),
                Ok(None) => DONE.to_owned(),
                Err(error) => {
                    cx.log(Level::Error, &format!("a chat broke off: {error:#}"));
                    let (refusal, _) = Refusal::of(&error);
                    event("error", &refusal) + DONE
                }
            };
            desk.settle(&cx);
            Some((Ok(events.into()), None))
        }
    }))
}

fn event_of(step: &Step) -> Bytes {
    let event = match step {
        Step::Piece(piece) => event("chunk", piece),
        Step::Complete(complete) => event("complete", complete),
        Step::Failed(refusal) => event("error", refusal),
    };
    event.into()
}

fn event(name: &str, data: &impl Serialize) -> String {
    // JSON has no line breaks.
    format!("event: {name}\ndata: {}\n\n", text(data))
}

const DONE: &str = "event: done\ndata: {}\n\n";

fn text(value: &impl Serialize) -> String {
    // What is sent here can always be written as JSON.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_routes() {
        let world = |name: &str| name.to_owned();
        for (path, route) in [
            ("/health", Route::Health),
            ("/worlds", Route::Templates),
            ("//worlds/", Route::Templates),
            ("/worlds/a/agents", Route::Agents { world: world("a") }),
            ("worlds/%2e%2e/agents", Route::Agents { world: world("%2e%2e") }),
        ] {
            assert_eq!(Route::of(&Method::GET, path), Ok(route), "{path}");
        }
        assert_eq!(Route::of(&Method::POST, "/worlds/a/chat"), Ok(Route::Chat { world: world("a") }));
        for path in
            ["/", "", "/world", "/worlds/a", "/worlds/a/b/agents", "/worlds/a/agents/b", "/Worlds", "/healthy", "/health/x"]
        {
            assert_eq!(Route::of(&Method::GET, path).map_err(|answer| answer.status), Err(StatusCode::NOT_FOUND), "{path}");
        }
        for (method, path, allow) in [
            (Method::POST, "/health", "GET, HEAD"),
            (Method::DELETE, "/worlds", "GET, HEAD"),
            (Method::POST, "/worlds/a/agents", "GET, HEAD"),
            (Method::GET, "/worlds/a/chat", "POST"),
        ] {
            let answer = Route::of(&method, path).expect_err("refused");
            assert_eq!((answer.status, answer.allow), (StatusCode::METHOD_NOT_ALLOWED, Some(allow)), "{method} {path}");
        }
    }
}
