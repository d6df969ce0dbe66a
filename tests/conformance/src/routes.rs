//! The paths of this worker, in the order in which they are tried.
//!
//! | Path | Behind it |
//! |---|---|
//! | `/500` | 500 `Internal Server Error` |
//! | `/api/agents/:class/:name[/…]` | that agent, without CORS |
//! | `/custom-sub/:parent/…`, `/spike-sub/:parent/…` | 400 if a part is missing; 404, as there are no sub-agents |
//! | `/custom-state/:name` | the [`TestStateAgent`] of that name, which sees the request as it came |
//! | `/user` | the [`TestStateAgent`] `auth-user`, likewise |
//! | `/agents/:class/:name[/…]` | that agent, with CORS |
//! | anything else | 404 `Not found` |

use durable_agents::{Cors, Result, RouteOptions, get_agent_by_name, route_agent_request};
use worker::{Context, Env, Request, Response, event};

use crate::state::TestStateAgent;

#[event(fetch)]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    let path = request.path();
    if path == "/500" {
        return text("Internal Server Error", 500);
    }
    if path.starts_with("/api/agents/") {
        return routed(&request, &env, &RouteOptions::new().prefix("api/agents")).await;
    }
    if let Some(target) = path.strip_prefix("/custom-sub/") {
        return sub_agent(target, "Bad custom-sub path");
    }
    if let Some(target) = path.strip_prefix("/spike-sub/") {
        return sub_agent(target, "Bad spike path");
    }
    if let Some(name) = path.strip_prefix("/custom-state/") {
        return state_agent(&request, &env, name).await;
    }
    if path == "/user" {
        return state_agent(&request, &env, "auth-user").await;
    }
    routed(&request, &env, &RouteOptions::new().cors(Cors::AllowAll)).await
}

async fn routed(request: &Request, env: &Env, options: &RouteOptions<'_>) -> Result<Response> {
    match route_agent_request(request, env, options).await? {
        Some(response) => Ok(response),
        None => text("Not found", 404),
    }
}

async fn state_agent(request: &Request, env: &Env, name: &str) -> Result<Response> {
    Ok(get_agent_by_name::<TestStateAgent>(env, name).fetch(request).await?)
}

/// Complete paths lead to agents whose children have an address of their own, which this library does not offer.
fn sub_agent(target: &str, complaint: &str) -> Result<Response> {
    match target.split_once('/') {
        Some((parent, rest)) if !parent.is_empty() && !rest.is_empty() => text("Not found", 404),
        _ => text(complaint, 400),
    }
}

fn text(text: &str, status: u16) -> Result<Response> {
    Ok(Response::ok(text)?.with_status(status))
}
