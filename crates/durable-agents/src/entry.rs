//! The worker's own `fetch`, as `#[durable_agents::fetch]` exports it.

use std::cell::OnceCell;
use std::fmt::Display;

use durable_agents_core::host::{HostError, Level};
use durable_agents_core::http::Url;
use durable_agents_core::route::{Route, route_again};
use futures::future::LocalBoxFuture;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Context, Env, IntoResponse, Request, web_sys};

use crate::router::{RouteOptions, Worker, route_agent_request};
use crate::workerd::kept::with_kept;
use crate::workerd::{self, glue};

/// Makes the options of one request.
type Options = fn(&Env) -> RouteOptions<'_>;

/// An answer, or what went wrong: for the log.
type Outcome = Result<web_sys::Response, String>;

/// A request for an agent goes to that agent, and any other to `otherwise`.
///
/// Most go to an agent as they are. Such a request is passed on without a future, and its answer without a look at it.
pub fn fetch<F>(request: JsValue, env: JsValue, context: JsValue, options: Options, otherwise: F) -> JsValue
where
    F: FnOnce(Request, Env, Context) -> LocalBoxFuture<'static, Outcome> + 'static,
{
    workerd::install_hook();
    let (request, env): (web_sys::Request, Env) = (request.unchecked_into(), env.unchecked_into());
    match hand_over(&request, &env, options) {
        Some(promise) => promise,
        None => route(request, env, context, options, otherwise),
    }
}

// Not a part of what most requests run through.
#[inline(never)]
fn route<F>(request: web_sys::Request, env: Env, context: JsValue, options: Options, otherwise: F) -> JsValue
where
    F: FnOnce(Request, Env, Context) -> LocalBoxFuture<'static, Outcome> + 'static,
{
    answer(Box::pin(async move {
        let request = Request::from(request);
        let routed = route_agent_request(&request, &env, &options(&env)).await;
        match routed {
            Ok(Some(response)) => outcome(Ok::<_, HostError>(response)),
            Ok(None) => otherwise(request, env, Context::new(context.unchecked_into())).await,
            Err(error) => Err(format!("{error:#}")),
        }
    }))
}

/// What the author's function returned.
pub fn outcome(result: Result<impl IntoResponse, impl Display>) -> Outcome {
    let raw = result.map_err(|error| format!("{error:#}"))?.into_raw();
    raw.map_err(|error| {
        let error: Box<dyn std::error::Error> = error.into();
        error.to_string()
    })
}

fn answer(work: LocalBoxFuture<'static, Outcome>) -> JsValue {
    workerd::answer(Box::pin(async {
        let response = work.await.or_else(|error| {
            workerd::write_log(Level::Error, &error);
            workerd::plain(500, "Internal Server Error")
        });
        Ok(response.map_or_else(JsValue::from, JsValue::from))
    }))
}

/// The promise of an agent's answer. `None` if the request needs more than to be handed over, or is for no agent.
fn hand_over(request: &web_sys::Request, env: &Env, options: Options) -> Option<JsValue> {
    let (of_request, bindings) = (options(env), workerd::bindings(env.as_ref()));
    glue::with_url(request, |url| {
        let (binding, name) = of_request.straight(Url::path_of(url), &bindings)?;
        let start = name.as_ptr().addr().saturating_sub(url.as_ptr().addr());
        prepare(options);
        // What throws here throws on the longer way too, where it is reported.
        let sent = with_kept(binding, |binding| glue::hand_over(env.as_ref(), binding, start..start + name.len(), request));
        sent.ok().filter(|promise| !promise.is_undefined())
    })
}

type Again = Closure<dyn Fn(JsValue, JsValue, JsValue, String, String) -> JsValue>;

/// Tells JavaScript, once, what to do after a hand-over that failed.
fn prepare(options: Options) {
    thread_local! {
        static AGAIN: OnceCell<Again> = const { OnceCell::new() };
    }
    AGAIN.with(|again| {
        // A worker has one entry point, so the options are always those of the first call.
        again.get_or_init(|| {
            let again: Again = Closure::own_assert_unwind_safe(move |error, spare, env, binding, name| {
                go_on(error, spare, env, Route { binding, name }, options)
            });
            // If this fails, nothing is handed over.
            drop(glue::prepare(again.as_ref()));
            again
        });
    });
}

/// After a first attempt that failed with `error`; `spare` is a request for another, or `undefined`.
fn go_on(error: JsValue, spare: JsValue, env: JsValue, route: Route, options: Options) -> JsValue {
    let error = workerd::host_error(error);
    answer(Box::pin(async move {
        if spare.is_undefined() {
            return Err(error.to_string());
        }
        let request = Request::from(spare.unchecked_into::<web_sys::Request>());
        let env: Env = env.unchecked_into();
        outcome(route_again(&Worker { env: env.as_ref() }, request, &route, &options(&env), error).await)
    }))
}

#[cfg(test)]
mod tests {
    use durable_agents_core::INTERNAL_HEADERS;

    #[test]
    fn javascript_knows_the_internal_headers_in_their_order() {
        let script = include_str!("workerd/glue.js");
        let list = script.split_once("const INTERNAL = [").and_then(|(_, rest)| rest.split_once(']')).expect("it has a list").0;
        let names: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(names, INTERNAL_HEADERS);
    }
}
