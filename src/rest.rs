//! RestAgent: an agent over plain HTTP.
//!
//! Route `/agents/rest-agent/:name/…`. Answers are JSON; a failed one is `{"error"}`.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET …/status` | `{"status":"ok","connections":N}`: how many WebSockets are open |
//! | `POST …/data` with JSON | `{"received":true}`; 400 if it is no JSON, 413 over [`MAX_DATA_BYTES`] |
//! | `POST …/upload`, a `multipart/form-data` with a file in field `file` | `{"filename","size"}`; 400 without one, 413 over [`MAX_UPLOAD_BYTES`] |
//! | `GET …/uploads` | `{"uploads":[{"filename","size","uploadedAt","sha256"}]}`, newest first; `sha256` is `null` until the queue has come to it |
//! | `GET …/rooms/:room` | `{"room","guests","users"}`: what the [`ChatRoom`] of that name says of itself; 503 if it cannot answer now |
//! | `HEAD` where `GET` is | the same without the body |
//! | another method | 405 with `Allow` |
//! | another path | 404 |
//! | `OPTIONS` on any path | 204 with the CORS headers |
//!
//! Pages of any origin may call it: every answer carries `Access-Control-Allow-Origin: *`. That is safe because nothing here goes by
//! cookies. JSON is looked at and not kept; of the newest [`MAX_UPLOADS`] uploads what the list shows is kept, and their content until
//! its digest has been taken.

mod uploads;

use durable_agents::host::Level;
use durable_agents::http::{BodyError, FormField, HeaderName, HeaderValue, header};
use durable_agents::prelude::*;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::room::{ChatRoom, ChatRoomCalls as _, RoomStats};

pub use uploads::{MAX_UPLOADS, Upload};

/// Longest JSON that is taken: 1 MiB.
pub const MAX_DATA_BYTES: usize = 1024 * 1024;

/// Largest form that is taken: 16 MiB. A form is read into memory, where an object has 128 MB for everything.
pub const MAX_UPLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Longest name of an uploaded file, in bytes of UTF-8.
pub const MAX_FILENAME_BYTES: usize = 255;

/// Longest name of a room.
///
/// Source: names of objects, <https://developers.cloudflare.com/durable-objects/api/id/#name>
pub const MAX_ROOM_BYTES: usize = 1_024;

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
struct Uploads {
    uploads: Vec<Upload>,
}

#[derive(Serialize)]
struct Room<'a> {
    room: &'a str,
    #[serde(flatten)]
    stats: RoomStats,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

#[agent]
impl RestAgent {
    /// Takes the digest of an upload, away from the request that brought it.
    #[callback]
    async fn digest(&self, cx: &Context<Self>, upload: u64) -> Result<()> {
        uploads::digest(cx, upload).await
    }
}

#[agent]
impl Agent for RestAgent {
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let path = cx.sub_path(&request).to_owned();
        let answer = match (path.as_str(), request.effective_method()) {
            (_, &Method::OPTIONS) => preflight(),
            ("status", &Method::GET) => Response::json(&Status { status: "ok", connections: cx.connections().count() })?,
            ("status", _) => wrong_method("GET, HEAD, OPTIONS")?,
            ("data", &Method::POST) => data(request).await?,
            ("upload", &Method::POST) => upload(cx, request).await?,
            ("data" | "upload", _) => wrong_method("POST, OPTIONS")?,
            ("uploads", &Method::GET) => Response::json(&Uploads { uploads: uploads::newest(cx)? })?,
            ("uploads", _) => wrong_method("GET, HEAD, OPTIONS")?,
            (path, method) => match (path.strip_prefix("rooms/"), method) {
                (Some(name), &Method::GET) => room(cx, name).await?,
                (Some(_), _) => wrong_method("GET, HEAD, OPTIONS")?,
                (None, _) => refusal(StatusCode::NOT_FOUND, "Not found")?,
            },
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
    match std::str::from_utf8(&body).map(serde_json::from_str::<IgnoredAny>) {
        Ok(Ok(_)) => Ok(Response::json(&Received { received: true })?),
        _ => refusal(StatusCode::BAD_REQUEST, "The body is not JSON"),
    }
}

async fn room(cx: &Context<RestAgent>, room: &str) -> Result<Response> {
    if room.is_empty() || room.len() > MAX_ROOM_BYTES || room.contains('/') {
        return refusal(StatusCode::NOT_FOUND, "Not found");
    }
    let ask = async |_| Ok(cx.agent::<ChatRoom>(room).stats().await?);
    // Once more where the platform says that it may help; a room with too much to do is left alone.
    let may_help = |error: &Error, _| matches!(error.downcast_ref(), Some(CallError::Retryable(_)));
    match cx.retry_if(RetryOptions::new(), ask, may_help).await {
        Ok(stats) => Ok(Response::json(&Room { room, stats })?),
        Err(error) => {
            cx.log(Level::Warn, &format!("room={room:?} error={:?}", format!("{error:#}")));
            refusal(StatusCode::SERVICE_UNAVAILABLE, "The room does not answer")
        }
    }
}

async fn upload(cx: &Context<RestAgent>, request: Request) -> Result<Response> {
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
        Some(FormField::File { filename, .. }) if filename.len() > MAX_FILENAME_BYTES => {
            refusal(StatusCode::BAD_REQUEST, &format!("The name of the file is longer than {MAX_FILENAME_BYTES} bytes"))
        }
        Some(FormField::File { filename, content, .. }) => {
            let upload = uploads::keep(cx, filename, content)?;
            cx.queue(RestAgent::DIGEST, &upload)?;
            Ok(Response::json(&Uploaded { filename, size: content.len() })?)
        }
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
