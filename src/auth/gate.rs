//! Tokens at the router: who has no good one wakes no object.

use durable_agents::host::{Level, Surroundings as _};
use durable_agents::http::Url;
use durable_agents::{Before, Result, Route, surroundings};
use worker::{Env, Request, Response, ResponseBuilder, WebSocketPair};

use super::{check, token_of};

/// Lets a request with a good token through, for a hook of the router.
///
/// Any other is refused here: an upgrade with close code 4001 `Unauthorized`, anything else with 401. The agent checks for itself
/// once more what the user may do, as it may be reached in other ways too.
///
/// # Errors
/// The platform refused to answer.
pub async fn admit(request: Request, env: &Env, route: &Route) -> Result<Before> {
    let around = surroundings(env);
    let authorization = request.headers().get("authorization")?;
    let url = Url::parse(&request.inner().url());
    let Err(refusal) = check(&around, token_of(authorization.as_deref(), &url).as_deref()).await else {
        return Ok(Before::Forward(request));
    };
    let Route { binding, name, .. } = route;
    around.log(Level::Info, &format!("agent={binding} instance={name:?} token refused: {refusal}"));
    let is_upgrade = request.headers().get("upgrade")?.is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    Ok(Before::Respond(if is_upgrade { closed()? } else { unauthorized()? }))
}

fn unauthorized() -> Result<Response> {
    let answer = ResponseBuilder::new().with_status(401).with_header("www-authenticate", "Bearer")?;
    Ok(answer.with_header("content-type", "application/json")?.fixed(br#"{"error":"Unauthorized"}"#.to_vec()))
}

/// A browser is not told why a handshake failed, and the official client would dial again; a close code is told to both.
fn closed() -> Result<Response> {
    let WebSocketPair { client, server } = WebSocketPair::new()?;
    server.accept()?;
    server.close(Some(4001), Some("Unauthorized"))?;
    Ok(Response::from_websocket(client)?)
}
