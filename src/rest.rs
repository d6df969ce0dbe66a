//! RestAgent: an agent over plain HTTP.
//!
//! Route `/agents/rest-agent/:name/…`. Answers are JSON; a failed one is `{"error"}`.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET …/status` | `{"status":"ok","connections":N}`: how many WebSockets are open |
//! | `POST …/data` with JSON | `{"received":true}`; 400 if it is no JSON, 413 over [`MAX_DATA_BYTES`] |
//! | `POST …/upload`, a `multipart/form-data` with a file in field `file` | `{"filename","size"}`; 400 without one, 413 over [`MAX_UPLOAD_BYTES`] |
//! | another method | 405 with `Allow` |
//! | another path | 404 |
//! | `OPTIONS` on any path | 204 with the CORS headers |
//!
//! Pages of any origin may call it: every answer carries `Access-Control-Allow-Origin: *`. That is safe because nothing here goes by
//! cookies. What is sent is looked at and not kept, so nothing can grow.

use durable_agents::http::{BodyError, FormField, HeaderName, HeaderValue, header};
use durable_agents::prelude::*;
use serde::Serialize;
use serde::de::IgnoredAny;

/// Longest JSON that is taken: 1 MiB.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// Largest form that is taken: 16 MiB. A form is read into memory, where an object has 128 MB for everything.
pub const MAX_UPLOAD_BYTES: usize = 16 * 1024 * 1024;

const CORS: [(HeaderName, HeaderValue); 4] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS")),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type")),
    (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
];

/// See the [module](self).
#[derive(Debug, Default)]
pub struct RestAgent;

#[derive(Serialize)]
struct Status {
    status: &'static str,
    connections: usize,
}

#[derive(Serialize)]
struct Received {
    received: bool,
}

#[derive(Serialize)]
struct Uploaded<'a> {
    filename: &'a str,
    size: usize,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

#[agent]
impl Agent for RestAgent {
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let path = cx.sub_path(&request).to_owned();
        let answer = match (path.as_str(), request.method()) {
            (_, &Method::OPTIONS) => preflight(),
            ("status", &Method::GET) => Response::json(&Status { status: "ok", connections: cx.connections().count() })?,
            ("status", _) => wrong_method("GET, OPTIONS")?,
            ("data", &Method::POST) => data(request).await?,
            ("upload", &Method::POST) => upload(request).await?,
            ("data" | "upload", _) => wrong_method("POST, OPTIONS")?,
            _ => refusal(StatusCode::NOT_FOUND, "Not found")?,
        };
        let [(name, value), ..] = CORS;
        Ok(answer.with_header(name, value))
    }
}

fn preflight() -> Response {
    let mut answer = Response::empty(StatusCode::NO_CONTENT);
    answer.headers.extend(CORS);
    answer
}

async fn data(mut request: Request) -> Result<Response> {
    let body = match request.take_body().bytes_up_to(MAX_DATA_BYTES).await {
        Ok(body) => body,
        Err(BodyError::TooLarge { .. }) => return too_large(MAX_DATA_BYTES),
        Err(cut) => return Err(cut.into()),
    };
    // Any JSON will do. An agent with a use for it would read it into a type of its own.
    match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(_) => Ok(Response::json(&Received { received: true })?),
        Err(_) => refusal(StatusCode::BAD_REQUEST, "The body is not JSON"),
    }
}

async fn upload(request: Request) -> Result<Response> {
    let announced = request.header("content-length").and_then(|length| length.parse().ok());
    if announced.is_some_and(|size: usize| size > MAX_UPLOAD_BYTES) {
        return too_large(MAX_UPLOAD_BYTES);
    }
    let form = match request.form_data().await {
        Ok(form) => form,
        Err(BodyError::TooLarge { .. }) => return too_large(MAX_UPLOAD_BYTES),
        Err(BodyError::Form(_)) => return refusal(StatusCode::BAD_REQUEST, "The body is not a form"),
        Err(cut) => return Err(cut.into()),
    };
    match form.get("file") {
        // A form may come without its length.
        Some(FormField::File { content, .. }) if content.len() > MAX_UPLOAD_BYTES => too_large(MAX_UPLOAD_BYTES),
        Some(FormField::File { filename, content, .. }) => Ok(Response::json(&Uploaded { filename, size: content.len() })?),
        Some(FormField::Text(_)) => refusal(StatusCode::BAD_REQUEST, "Field \"file\" is not a file"),
        None => refusal(StatusCode::BAD_REQUEST, "Field \"file\" is missing"),
    }
}

fn too_large(limit_bytes: usize) -> Result<Response> {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("The body is larger than {limit_bytes} bytes"))
}

fn wrong_method(allowed: &'static str) -> Result<Response> {
    let answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")?;
    Ok(answer.with_header(header::ALLOW, HeaderValue::from_static(allowed)))
}

fn refusal(status: StatusCode, error: &str) -> Result<Response> {
    Ok(Response::json(&Refusal { error })?.with_status(status))
}
