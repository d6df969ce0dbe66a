//! Requests to the world outside of the worker.

use durable_agents_core::host::HostError;
use durable_agents_core::http::{Request, Response};
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use worker::web_sys::AbortController;

use super::body::{request_to_js, response_from_js};
use super::convert::host_error;
use super::sys;

/// Sends `request`. Dropped, it aborts; so does the body of what it returns, until it has ended.
pub(super) async fn fetch(request: Request) -> Result<Response, HostError> {
    let request = request_to_js(request)?;
    let exchange = Exchange(AbortController::new().map_err(host_error)?);
    let answered = sys::fetch_url(&request, &exchange.0).map_err(host_error)?;
    let response = JsFuture::from(answered).await.map_err(host_error)?;
    let mut response = response_from_js(response.unchecked_into());
    response.body = response.body.holding(exchange);
    Ok(response)
}

/// One request under way.
struct Exchange(AbortController);

impl Drop for Exchange {
    fn drop(&mut self) {
        // Does nothing once the exchange has ended.
        self.0.abort();
    }
}
