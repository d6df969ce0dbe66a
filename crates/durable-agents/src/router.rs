//! From the worker's `fetch` handler to an agent.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use durable_agents_core::Error;
use durable_agents_core::host::{HostError, Level, Target};
use durable_agents_core::http::{HeaderValue, Method};
use durable_agents_core::route::{self, Binding, Gateway};
use futures::future::LocalBoxFuture;
use js_sys::futures::JsFuture;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, Request, Response, web_sys};

use crate::workerd;

/// Options of [`route_agent_request`].
pub type RouteOptions<'a> = route::RouteOptions<'a, Request, Response, Error>;

/// What a hook of [`RouteOptions`] makes of a request.
pub type Before = route::Before<Request, Response>;

/// Routes a request to the agent its path names: `/agents/{class}/{name}[/rest…]`.
///
/// `Ok(None)` if the path is not an agent's: `request` is untouched then, and the worker can go on to its own routes.
///
/// ```no_run
/// use durable_agents::{Result, RouteOptions, route_agent_request};
/// use worker::{Context, Env, Request, Response, event};
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
///     if let Some(response) = route_agent_request(&request, &env, &RouteOptions::new()).await? {
///         return Ok(response);
///     }
///     Ok(Response::error("Not found", 404)?)
/// }
/// # fn main() {}
/// ```
///
/// # Errors
/// Those of a hook; [`HostError`] as the last attempt met it if the agent could not be reached.
pub async fn route_agent_request(request: &Request, env: &Env, options: &RouteOptions<'_>) -> Result<Option<Response>, Error> {
    workerd::install_hook();
    route::route(&Worker { env: env.as_ref() }, same(request), options).await
}

/// The worker, as the core's router sees it.
pub(crate) struct Worker<'a> {
    pub(crate) env: &'a JsValue,
}

/// Most bytes of a body that is kept for another attempt.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

impl Gateway for Worker<'_> {
    type Request = Request;
    type Response = Response;

    fn bindings(&self) -> Rc<Vec<Binding>> {
        workerd::bindings(self.env)
    }

    fn method(&self, request: &Request) -> Method {
        Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default()
    }

    fn path<'a>(&self, request: &'a Request) -> Cow<'a, str> {
        request.path().into()
    }

    fn header(&self, request: &Request, name: &str) -> Option<String> {
        request.inner().headers().get(name).ok().flatten()
    }

    fn set_request_header(&self, request: &mut Request, name: &str, value: Option<&HeaderValue>) -> Result<(), HostError> {
        // A copy, as headers of a request from outside cannot be changed. It takes over the body.
        *request = workerd::with_header(request.inner(), name, value).map_err(workerd::host_error)?.into();
        Ok(())
    }

    fn try_copy(&self, request: &Request) -> Option<Request> {
        let inner = request.inner();
        if inner.body().is_none() {
            // Sending it does not use it up.
            return Some(same(request));
        }
        let length: usize = self.header(request, "content-length")?.parse().ok()?;
        if length <= MAX_KEPT_BYTES { inner.clone().ok().map(Into::into) } else { None }
    }

    fn plain(&self, status: u16, text: &'static str) -> Response {
        workerd::plain(status, text).map_or_else(|_| Response::builder().with_status(status).empty(), Into::into)
    }

    fn with_response_headers<'h>(
        &self,
        response: Response,
        headers: &mut dyn Iterator<Item = (&'h str, &'h HeaderValue)>,
    ) -> Response {
        // A copy, as headers of an object's response cannot be changed.
        workerd::with_response_headers(response.into(), headers).into()
    }

    fn fetch(&self, target: &Target, request: Request) -> LocalBoxFuture<'_, Result<Response, HostError>> {
        let sent =
            workerd::namespace_stub(self.env, target).and_then(|stub| stub.fetch(request.inner()).map_err(workerd::host_error));
        Box::pin(async move {
            let response = JsFuture::from(sent?).await.map_err(workerd::host_error)?;
            Ok(response.unchecked_into::<web_sys::Response>().into())
        })
    }

    fn sleep_ms(&self, delay_ms: u32) -> LocalBoxFuture<'_, ()> {
        workerd::sleep(Duration::from_millis(delay_ms.into()))
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    fn log(&self, level: Level, line: &str) {
        workerd::write_log(level, line);
    }
}

/// Another handle of the same request.
pub(crate) fn same(request: &Request) -> Request {
    Clone::clone(request.inner()).into()
}
