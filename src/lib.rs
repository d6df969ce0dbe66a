//! The deployable worker: entry point, routes and the shipped agents.
//!
//! Each agent is one file, with a folder if it is large, meant to be copied; [`auth`] goes with those that check tokens, [`model`] with
//! those that find words, [`iso`] and [`hex`] with those that write times and digests.

pub mod auth;
pub mod chat;
pub mod counter;
pub mod hex;
pub mod hub;
pub mod iso;
pub mod model;
pub mod presence;
pub mod rest;
pub mod room;
pub mod routes;
pub mod secure;
pub mod session;
pub mod world;

use durable_agents::Result;
use worker::{Context, Env, Request, Response};

// The guides' examples compile.
#[cfg(doctest)]
#[doc = include_str!("../docs/auth.md")]
struct AuthGuide;

#[cfg(doctest)]
#[doc = include_str!("../docs/hub-agent.md")]
struct HubGuide;

#[cfg(doctest)]
#[doc = include_str!("../docs/models.md")]
struct ModelsGuide;

#[cfg(doctest)]
#[doc = include_str!("../docs/session-agent.md")]
struct SessionGuide;

#[durable_agents::fetch(routes::options)]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    match world::front::respond(&request, &env).await? {
        Some(response) => Ok(response),
        // With its content type, which `Response::error` leaves out.
        None => Ok(Response::ok("Not found")?.with_status(404)),
    }
}
