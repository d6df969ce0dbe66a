//! The worlds' own addresses: what the worker answers itself, and which user's agent it asks otherwise.

use durable_agents::http::{Method, Url};
use durable_agents::{Result, get_agent_by_name, random_bytes};
use worker::{Env, Headers, Request, Response};

use super::http::{Answer, Route, health_of_worker, template};
use super::refusal::{Code, Refusal};
use super::templates::summaries;
use super::{WorldAgent, user};

/// Answers a request to one of the worlds' addresses. `None`: it is not one of theirs, and untouched.
///
/// What needs no user's data is answered here, without waking an agent.
///
/// # Errors
/// The platform's, if an agent could not be reached.
pub async fn respond(request: &Request, env: &Env) -> Result<Option<Response>> {
    let url = Url::parse(&request.inner().url());
    let mut segments = url.path().split('/').filter(|segment| !segment.is_empty());
    let response = match (segments.next(), segments.next()) {
        (Some("ws"), None) => connect(request, env, &url).await?,
        (Some("health" | "worlds"), _) => answer(request, env, &url).await?,
        _ => return Ok(None),
    };
    Ok(Some(response))
}

async fn connect(request: &Request, env: &Env, url: &Url) -> Result<Response> {
    if !request.headers().get("upgrade")?.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
        let response = send(Refusal::new(Code::UpgradeRequired, "This address is for WebSockets").into())?;
        // Said in a body too: a server of HTTP/1.1 that takes this header for its own leaves it out.
        response.headers().set("upgrade", "websocket")?;
        return Ok(response);
    }
    match url.query_param("user") {
        Some(id) if user::is_id(&id) => ask(request, env, &id).await,
        // A new user, or somebody to be shown out: an agent does that with everybody who names another user than its own.
        _ => ask(request, env, &new_user()?).await,
    }
}

async fn answer(request: &Request, env: &Env, url: &Url) -> Result<Response> {
    let user = url.query_param("user");
    if user.as_ref().is_some_and(|id| !user::is_id(id)) {
        return send(user::invalid_id().into());
    }
    let method = Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default();
    let route = match Route::of(&method, url.path()) {
        Ok(route) => route,
        Err(answer) => return send(answer),
    };
    let agents = |world: &str| template(world).map(|template| Answer::ok(&template.personas()));
    let answered: Result<Answer, Refusal> = match (&route, user) {
        (Route::Templates, _) => Ok(Answer::ok(&summaries())),
        (_, Some(id)) => return ask(request, env, &id).await,
        (Route::Health, None) => Ok(health_of_worker(worker::Date::now().as_millis())),
        (Route::Agents { world }, None) => agents(world),
        (Route::Chat { world }, None) => match template(world) {
            // Nobody comes back to it: an agent of its own, for this one chat.
            Ok(_) => return ask(request, env, &new_user()?).await,
            Err(refusal) => Err(refusal),
        },
    };
    send(answered.unwrap_or_else(Answer::from))
}

async fn ask(request: &Request, env: &Env, user: &str) -> Result<Response> {
    Ok(get_agent_by_name::<WorldAgent>(env, user).fetch(request).await?)
}

fn new_user() -> Result<String> {
    Ok(user::id_of(random_bytes()?))
}

fn send(answer: Answer) -> Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    if let Some(methods) = answer.allow {
        headers.set("allow", methods)?;
    }
    Ok(Response::builder().with_headers(headers).with_status(answer.status.as_u16()).fixed(answer.body.into()))
}
