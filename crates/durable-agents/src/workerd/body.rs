//! Requests, responses and their bodies.

use std::any::Any;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use bytes::Bytes;
use durable_agents_core::host::HostError;
use durable_agents_core::http::{
    Body, BodyError, FormData, FormField, HeaderValue, Headers, MAX_COLLECTED_BYTES, Method, Request, RequestSource, Response,
    StatusCode,
};
use durable_agents_core::{INTERNAL_HEADERS, demand};
use futures::future::LocalBoxFuture;
use futures::stream;
use js_sys::futures::JsFuture;
use js_sys::{ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys;

use super::convert::{bytes_of, host_error, lines, message_of};
use super::glue::{self, Head, Known};
use super::outgoing::stream_to_js;
use super::sys;

/// A body that says it is no longer than this is read in one piece, which takes one wait instead of one for each chunk.
const MAX_PIECE_BYTES: usize = 1024 * 1024;

const CONTENT_LENGTH: &str = "content-length";
const CONTENT_ENCODING: &str = "content-encoding";

/// Longest body that is looked at for being text.
const MAX_SHORT_BYTES: usize = 16 * 1024;

/// A request from the platform; one that `starts` an agent may have props. Its headers and body stay there until somebody asks.
pub(super) fn request_from_js(request: web_sys::Request, starts: bool) -> Request {
    let Head { url, method, upgrade, has_no_props } = glue::head(&request, starts).unwrap_or_else(|| Head::unknown(&request));
    let method = match method {
        Known::Usual(method) => method,
        Known::Unusual => unusual_method(&request),
    };
    let source = JsRequest { request, headers: OnceCell::new(), upgrade, has_no_props, taken: false };
    Request::from_source(method, url, Box::new(source))
}

#[cold]
#[inline(never)]
fn unusual_method(request: &web_sys::Request) -> Method {
    Method::from_bytes(request.method().as_bytes()).unwrap_or_default()
}

/// A request for another object: the platform's own, if this is one, so that its body never comes through here.
pub(super) fn request_to_js(mut request: Request) -> Result<web_sys::Request, HostError> {
    let from_outside = request.source().as_any().downcast_ref::<JsRequest>().filter(|source| !source.taken);
    let converted = if let Some(source) = from_outside {
        let (set, removed) = request.header_changes();
        let mut names = String::new();
        for name in removed {
            names.extend([name, "\n"]);
        }
        sys::changed(&source.request, &names, &head_of(set.iter()))
    } else {
        let head = head_of(request.headers().iter());
        let body = request.take_body();
        body_to_js(body).and_then(|body| sys::request(request.method().as_str(), request.url().as_str(), &head, &body))
    };
    converted.map_err(host_error)
}

/// An answer of another object.
pub(super) fn response_from_js(response: web_sys::Response) -> Response {
    let headers = headers_of(&response);
    // The length is that of the body as it was sent, and the platform hands out what was compressed in there.
    let is_compressed = headers.get(CONTENT_ENCODING).is_some();
    let length = headers.get(CONTENT_LENGTH).filter(|_| !is_compressed).and_then(|value| value.to_str().ok());
    let body = match response.body() {
        None => Body::Empty,
        Some(_) if is_one_piece(length) => one_piece(response.array_buffer()),
        Some(stream) => pieces(stream),
    };
    Response { status: StatusCode::from_u16(response.status()).unwrap_or_default(), headers, body }
}

/// An answer of this object.
pub(super) fn response_to_js(response: Response) -> Result<sys::Response, JsValue> {
    let Response { status, headers, body } = response;
    // Given a string, the platform makes up a content type where there is none.
    match headers.get("content-type").zip(short_text(&body)) {
        Some((content_type, text)) if headers.len() == 1 => respond_text(status, content_type, &headers, text),
        Some((_, text)) => respond(status, &headers, &JsValue::from_str(text)),
        None => respond_otherwise(status, &headers, body),
    }
}

fn respond(status: StatusCode, headers: &Headers, body: &JsValue) -> Result<sys::Response, JsValue> {
    sys::respond(status.as_u16(), &head_of(headers.iter()), body)
}

// Not a part of what every answer runs through.
#[inline(never)]
fn respond_otherwise(status: StatusCode, headers: &Headers, body: Body) -> Result<sys::Response, JsValue> {
    respond(status, headers, &body_to_js(body)?)
}

/// A body that is quicker as a string than as bytes.
fn short_text(body: &Body) -> Option<&str> {
    match body {
        Body::Bytes(bytes) if bytes.len() <= MAX_SHORT_BYTES => str::from_utf8(bytes).ok(),
        Body::Empty | Body::Bytes(_) | Body::Stream(_) => None,
    }
}

/// Most templates that are kept, and their longest content type.
const MAX_TEMPLATES: usize = 16;
const MAX_CONTENT_TYPE_BYTES: usize = 256;

/// An answer with a content type and no other header. From the second one like it on, it is made after a template.
fn respond_text(
    status: StatusCode,
    content_type: &HeaderValue,
    headers: &Headers,
    text: &str,
) -> Result<sys::Response, JsValue> {
    // One that has no template yet has been answered once.
    type Known = (StatusCode, HeaderValue, Option<sys::Response>);
    thread_local! {
        static TEMPLATES: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
    }
    TEMPLATES.with_borrow_mut(|templates| {
        let known = templates.iter_mut().find(|(its_status, its_type, _)| *its_status == status && its_type == content_type);
        if let Some((.., template)) = known {
            let template = match template {
                Some(template) => template,
                None => template.insert(respond(status, headers, &JsValue::NULL)?),
            };
            return glue::respond_like(template, text);
        }
        if content_type.len() <= MAX_CONTENT_TYPE_BYTES {
            templates.truncate(MAX_TEMPLATES - 1);
            templates.push((status, content_type.clone(), None));
        }
        respond(status, headers, &JsValue::from_str(text))
    })
}

/// An answer with a text, or without a body if that is empty.
pub(crate) fn plain(status: u16, text: &str) -> Result<web_sys::Response, JsValue> {
    let (head, body) = match text {
        "" => ("", JsValue::NULL),
        text => ("content-type\ntext/plain;charset=UTF-8\n", JsValue::from_str(text)),
    };
    sys::respond(status, head, &body).map(JsCast::unchecked_into)
}

/// A copy of a request with one header replaced or taken away; it takes over the body.
pub(crate) fn with_header(
    request: &web_sys::Request,
    name: &str,
    value: Option<&HeaderValue>,
) -> Result<web_sys::Request, JsValue> {
    match value {
        Some(value) => sys::changed(request, "", &head_of(std::iter::once((name, value)))),
        None => sys::changed(request, &[name, "\n"].concat(), ""),
    }
}

/// A copy of an answer with other headers; it takes over the body.
pub(crate) fn with_response_headers<'h>(
    response: web_sys::Response,
    headers: impl Iterator<Item = (&'h str, &'h HeaderValue)>,
) -> web_sys::Response {
    sys::with_headers(&response, &head_of(headers)).unwrap_or(response)
}

struct JsRequest {
    request: web_sys::Request,
    headers: OnceCell<web_sys::Headers>,
    // The header that every request is asked for.
    upgrade: Known<Option<&'static str>>,
    has_no_props: bool,
    taken: bool,
}

impl JsRequest {
    fn headers(&self) -> &web_sys::Headers {
        self.headers.get_or_init(|| self.request.headers())
    }

    fn length(&self) -> Option<String> {
        self.header(CONTENT_LENGTH)
    }
}

impl RequestSource for JsRequest {
    fn header(&self, name: &str) -> Option<String> {
        if let Known::Usual(upgrade) = self.upgrade
            && name.eq_ignore_ascii_case("upgrade")
        {
            return upgrade.map(str::to_owned);
        }
        self.headers().get(name).ok().flatten()
    }

    fn headers(&self) -> Headers {
        if demand::HEADERS.is_noted() { headers_of(&self.request) } else { Headers::new() }
    }

    fn take_body(&mut self) -> Body {
        if std::mem::replace(&mut self.taken, true) {
            return Body::Empty;
        }
        match self.request.body() {
            None => Body::Empty,
            Some(_) if is_one_piece(self.length().as_deref()) => one_piece(self.request.array_buffer()),
            Some(stream) => pieces(stream),
        }
    }

    fn form_data(&mut self) -> LocalBoxFuture<'static, Result<FormData, BodyError>> {
        if !demand::FORM_DATA.is_noted() {
            return Box::pin(async { Err(BodyError::Form(String::new())) });
        }
        let length = self.length().and_then(|length| length.parse().ok());
        let too_large = BodyError::TooLarge { limit: MAX_COLLECTED_BYTES };
        if length.is_some_and(|length: usize| length > MAX_COLLECTED_BYTES) {
            return Box::pin(async { Err(too_large) });
        }
        self.taken = true;
        // The platform reads a form into memory as a whole, however long it is.
        #[allow(clippy::cast_precision_loss, reason = "32 MiB")]
        let form = match length {
            Some(_) => sys::form(&self.request),
            None => sys::form_up_to(&self.request, MAX_COLLECTED_BYTES as f64),
        };
        Box::pin(async move {
            let fields = read_form(form).await.map_err(|exception| BodyError::Form(message_of(&exception)))?;
            fields.map(|fields| FormData { fields }).ok_or(too_large)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn upgrade(&self) -> Option<Cow<'static, str>> {
        match self.upgrade {
            Known::Usual(upgrade) => upgrade.map(Cow::Borrowed),
            Known::Unusual => self.header("upgrade").map(Cow::Owned),
        }
    }

    fn props(&self) -> Option<String> {
        let [props, ..] = INTERNAL_HEADERS;
        if self.has_no_props { None } else { self.header(props) }
    }
}

/// `None` if it is too large.
async fn read_form(form: Result<Promise, JsValue>) -> Result<Option<Vec<(String, FormField)>>, JsValue> {
    let form = JsFuture::from(form?).await?;
    if form.is_undefined() {
        return Ok(None);
    }
    let mut parts = sys::elements(&form)?.into_iter();
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let mut text = || parts.next().and_then(|part| part.as_string()).unwrap_or_default();
        let field = match value.as_string() {
            Some(text) => FormField::Text(text),
            None => FormField::File { filename: text(), content_type: text(), content: bytes_from_js(&value) },
        };
        fields.push((name.as_string().unwrap_or_default(), field));
    }
    Ok(Some(fields))
}

fn is_one_piece(content_length: Option<&str>) -> bool {
    content_length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length <= MAX_PIECE_BYTES)
}

/// A body that arrives as a whole.
fn one_piece(buffer: Result<Promise, JsValue>) -> Body {
    Body::arriving(stream::once(async move {
        let buffer = JsFuture::from(buffer.map_err(cut)?).await.map_err(cut)?;
        Ok(bytes_from_js(&buffer))
    }))
}

/// A body that arrives piece by piece.
pub(crate) fn pieces(stream: web_sys::ReadableStream) -> Body {
    match stream.unchecked_into::<sys::ReadableStream>().get_reader() {
        Err(exception) => Body::arriving(stream::iter([Err(cut(exception))])),
        Ok(reader) => Body::arriving(stream::unfold(Reading { reader, ended: false }, |mut reading| async {
            if reading.ended {
                return None;
            }
            let piece = reading.next().await;
            reading.ended = !matches!(piece, Ok(Some(_)));
            Some((piece.transpose()?, reading))
        })),
    }
}

struct Reading {
    reader: sys::Reader,
    ended: bool,
}

impl Reading {
    async fn next(&self) -> Result<Option<Bytes>, BodyError> {
        let piece = JsFuture::from(sys::read(&self.reader).map_err(cut)?).await.map_err(cut)?;
        Ok(if piece.is_undefined() { None } else { Some(bytes_from_js(&piece)) })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            // Tells the sender that nobody reads on. If it is too late for that, all the better.
            drop(self.reader.cancel());
        }
    }
}

pub(super) fn cut(exception: JsValue) -> BodyError {
    BodyError::Cut(message_of(&exception))
}

pub(super) fn bytes_from_js(value: &JsValue) -> Bytes {
    match value.dyn_ref::<Uint8Array>() {
        Some(array) => array.to_vec().into(),
        None => value.dyn_ref::<ArrayBuffer>().map(bytes_of).unwrap_or_default().into(),
    }
}

/// `null` if there is none.
pub(super) fn body_to_js(body: Body) -> Result<JsValue, JsValue> {
    match body {
        Body::Empty => Ok(JsValue::NULL),
        Body::Bytes(bytes) => Ok(Uint8Array::from(&*bytes).into()),
        Body::Stream(pieces) if demand::STREAM.is_noted() => stream_to_js(pieces),
        // Nothing in this worker makes one.
        Body::Stream(_) => Ok(JsValue::NULL),
    }
}

/// Names and values, each ended by a line feed, which neither can have.
fn head_of<'h>(headers: impl Iterator<Item = (&'h str, &'h HeaderValue)>) -> String {
    let mut head = String::with_capacity(64);
    for (name, value) in headers {
        for part in [name, "\n", &text_of(value), "\n"] {
            head.push_str(part);
        }
    }
    head
}

/// All headers of a request or an answer of the platform.
fn headers_of(message: &JsValue) -> Headers {
    let head = sys::head_of(message).unwrap_or_default();
    let mut headers = Headers::new();
    let mut lines = lines(&head);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append_platform(name, value);
        }
    }
    headers
}

/// The value as the platform takes it; bytes that are no UTF-8 as ISO 8859-1, which is what they were meant to be.
fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => from_latin1(value.as_bytes()).into(),
    }
}

#[cold]
#[inline(never)]
fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
