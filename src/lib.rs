//! The deployable worker.
use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _cx: Context) -> Result<Response> {
    Response::ok("placeholder")
}
