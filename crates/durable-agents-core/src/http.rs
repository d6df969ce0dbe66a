//! Requests and responses, with bodies that are bytes or streams.
//!
//! Methods, statuses, names and values of headers are the [`http`] crate's types. A request's headers and body stay with the platform
//! until somebody reads them, so an agent that looks at the path only pays for the path.

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use futures::{Stream, StreamExt};
pub use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::stub::PROPS;
use crate::{demand, json};

mod form;
mod headers;
mod url;

pub use form::{FormData, FormField};
pub use headers::Headers;
pub use url::Url;

/// Most bytes that [`Body::bytes`], [`Body::text`] and [`Body::json`] collect: 32 MiB.
///
/// An object has 128 MB of memory for everything. Larger bodies are for [`Body::into_stream`].
/// Source: <https://developers.cloudflare.com/durable-objects/platform/limits/>
pub const MAX_COLLECTED_BYTES: usize = 32 * 1024 * 1024;

// Names by which the framework knows headers itself: see `Headers`.
const CONTENT_LENGTH: &str = "content-length";
pub(crate) const CONTENT_TYPE: &str = "content-type";
pub(crate) const UPGRADE: &str = "upgrade";

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Collecting it would take more memory than allowed; read it as a stream.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The limit it met, in bytes.
        limit: usize,
    },
    /// It is no UTF-8.
    #[error("body is not UTF-8 text")]
    NotText,
    /// It is no JSON of the wanted shape.
    #[error("body is not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no form, or a broken one.
    #[error("body is not a form: {0}")]
    Form(String),
    /// The other side went away, or the platform gave up.
    #[error("body was cut: {0}")]
    Cut(String),
}

/// A body: nothing, bytes, or a stream of them.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// All of it at once.
    Bytes(Bytes),
    /// Piece by piece.
    Stream(Pieces),
}

/// A body that is a stream; [`Body::stream`] makes them.
pub struct Pieces(LocalBoxStream<'static, Result<Bytes, BodyError>>);

impl Stream for Pieces {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

impl Body {
    /// A body that is produced while it is sent.
    pub fn stream(pieces: impl Stream<Item = Result<Bytes, BodyError>> + 'static) -> Self {
        demand::STREAM.note();
        Self::arriving(pieces)
    }

    /// A body that comes from the platform. For adapters: whoever can send it on notes [`demand::STREAM`] first.
    pub fn arriving(pieces: impl Stream<Item = Result<Bytes, BodyError>> + 'static) -> Self {
        Self::Stream(Pieces(pieces.boxed_local()))
    }

    /// The same body, which keeps `guard` until it has ended or is dropped: whatever has to end with it goes into the guard's `Drop`.
    #[must_use]
    pub fn holding(self, guard: impl Sized + 'static) -> Self {
        if matches!(self, Self::Empty) {
            return Self::Empty;
        }
        Self::stream(futures::stream::unfold((self.into_stream(), guard), |(mut pieces, guard)| async {
            Some((pieces.next().await?, (pieces, guard)))
        }))
    }

    /// All bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] above [`MAX_COLLECTED_BYTES`]; [`BodyError::Cut`].
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        self.bytes_up_to(MAX_COLLECTED_BYTES).await
    }

    /// All bytes, if they are no more than `limit`.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], [`BodyError::Cut`].
    pub async fn bytes_up_to(self, limit: usize) -> Result<Bytes, BodyError> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Bytes(bytes) if bytes.len() > limit => Err(BodyError::TooLarge { limit }),
            Self::Bytes(bytes) => Ok(bytes),
            Self::Stream(mut pieces) => {
                let mut all = Vec::new();
                while let Some(piece) = pieces.next().await {
                    let piece = piece?;
                    if piece.len() > limit.saturating_sub(all.len()) {
                        return Err(BodyError::TooLarge { limit });
                    }
                    all.extend_from_slice(&piece);
                }
                Ok(all.into())
            }
        }
    }

    /// All of it as text.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), and [`BodyError::NotText`].
    pub async fn text(self) -> Result<String, BodyError> {
        String::from_utf8(self.bytes().await?.into()).map_err(|_| BodyError::NotText)
    }

    /// All of it as JSON.
    ///
    /// # Errors
    /// Those of [`text`](Self::text), and [`BodyError::Json`].
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, BodyError> {
        let bytes = self.bytes().await?;
        Ok(json::read(str::from_utf8(&bytes).map_err(|_| BodyError::NotText)?)?)
    }

    /// The body as a stream, whatever it was.
    pub fn into_stream(self) -> LocalBoxStream<'static, Result<Bytes, BodyError>> {
        match self {
            Self::Empty => futures::stream::empty().boxed_local(),
            Self::Bytes(bytes) => futures::stream::iter([Ok(bytes)]).boxed_local(),
            Self::Stream(pieces) => pieces.0,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// Where a request's headers and body are until somebody asks: the part of a [`Request`] that an adapter supplies.
pub trait RequestSource {
    /// One header; several of one name joined by `, `.
    fn header(&self, name: &str) -> Option<String>;
    /// All headers.
    fn headers(&self) -> Headers;
    /// The body; [`Body::Empty`] if there is none or it has been taken.
    fn take_body(&mut self) -> Body;
    /// The body as a form, `multipart/form-data` or `application/x-www-form-urlencoded`.
    fn form_data(&mut self) -> LocalBoxFuture<'static, Result<FormData, BodyError>>;
    /// The adapter's own form of the request.
    fn as_any(&self) -> &dyn std::any::Any;

    /// The `Upgrade` header. For adapters that know it without a look at the headers.
    fn upgrade(&self) -> Option<Cow<'static, str>> {
        self.header(UPGRADE).map(Cow::Owned)
    }

    /// The header with props for a start. For adapters that know without a look at the headers that there are none.
    fn props(&self) -> Option<String> {
        self.header(PROPS)
    }
}

/// Whether that is what an `Upgrade` header asks for.
pub(crate) fn is_websocket(upgrade: &str) -> bool {
    upgrade.eq_ignore_ascii_case("websocket")
}

/// A request, as it came from outside or as it goes to another agent.
pub struct Request {
    // In a box, because a request is handed on from hand to hand.
    parts: Box<Parts>,
}

struct Parts {
    method: Method,
    url: Url,
    // What was set or removed here, over what the source holds.
    set: Headers,
    // Names that are hidden: those that many requests have to hide, and others.
    hidden: &'static [&'static str],
    removed: Vec<Cow<'static, str>>,
    source: Box<dyn RequestSource>,
}

impl Parts {
    /// Whether there is more to headers than what the source holds.
    fn is_changed(&self) -> bool {
        !self.set.is_empty() || !self.hidden.is_empty() || !self.removed.is_empty()
    }

    fn removed_names(&self) -> impl Iterator<Item = &str> {
        self.hidden.iter().copied().chain(self.removed.iter().map(|name| &**name))
    }
}

impl Request {
    /// A request to send: to another agent, or in a test.
    ///
    /// `url` may be absolute or a path; a path is read as one of `https://agent`.
    pub fn new(method: Method, url: &str, body: impl Into<Body>) -> Self {
        let source = Box::new(Owned { body: body.into() });
        Self::from_source(method, Url::parse(url), source)
    }

    /// A `GET` to send.
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url, Body::Empty)
    }

    /// A `POST` to send, with `value` as its JSON body.
    ///
    /// # Errors
    /// `value` cannot be written as JSON.
    pub fn post_json(url: &str, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let mut request = Self::new(Method::POST, url, serde_json::to_vec(value)?);
        request.put_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// For adapters: a request whose headers and body are still with the platform.
    pub fn from_source(method: Method, url: Url, source: Box<dyn RequestSource>) -> Self {
        Self { parts: Box::new(Parts { method, url, set: Headers::new(), hidden: &[], removed: Vec::new(), source }) }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The method that decides what to answer: `GET` for a `HEAD`, which asks for the same without the body, and the method itself for
    /// any other.
    ///
    /// The body of an answer to a `HEAD` is dropped, so that an agent need not tell the two apart.
    /// Source: <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2>
    pub fn effective_method(&self) -> &Method {
        if self.is_head() { &Method::GET } else { self.method() }
    }

    pub(crate) fn is_head(&self) -> bool {
        *self.method() == Method::HEAD
    }

    /// The complete URL, as the client asked for it.
    pub fn url(&self) -> &Url {
        &self.parts.url
    }

    /// The path of the URL, still percent-encoded.
    pub fn path(&self) -> &str {
        self.parts.url.path()
    }

    /// One header as text; several of one name joined by `, `. `None` if it is not there or no text.
    pub fn header(&self, name: &str) -> Option<String> {
        if let Some(value) = self.parts.set.get(name) {
            return value.to_str().ok().map(str::to_owned);
        }
        if self.parts.removed_names().any(|removed| removed.eq_ignore_ascii_case(name)) {
            return None;
        }
        self.parts.source.header(name)
    }

    /// All headers. On workerd this copies every one of them; [`header`](Self::header) is cheaper for one or two.
    pub fn headers(&self) -> Headers {
        demand::HEADERS.note();
        self.all_headers()
    }

    /// The same, for what has noted the demand.
    pub(crate) fn all_headers(&self) -> Headers {
        let mut headers = self.parts.source.headers();
        for name in self.parts.removed_names() {
            headers.remove(name);
        }
        headers.overlay(&self.parts.set);
        headers
    }

    /// Replaces one header.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.parts.set.insert(name, value);
    }

    /// The same request with one header replaced.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.set_header(name, value);
        self
    }

    /// Takes one header away, so that nobody after this sees it.
    pub fn remove_header(&mut self, name: HeaderName) {
        self.hide_header(name.as_str().to_owned());
    }

    /// The same by a name in lower case.
    pub(crate) fn hide_header(&mut self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        self.parts.set.remove(&name);
        if !self.parts.removed_names().any(|removed| removed == name) {
            self.parts.removed.push(name);
        }
    }

    /// Takes headers away that every request may have.
    pub(crate) fn hide_headers(&mut self, names: &'static [&'static str]) {
        if self.parts.hidden.is_empty() {
            self.parts.hidden = names;
            if !self.parts.set.is_empty() {
                self.parts.set.remove_all(names);
            }
        } else {
            names.iter().for_each(|name| self.hide_header(*name));
        }
    }

    /// Replaces one header by a name in lower case.
    pub(crate) fn put_header(&mut self, name: impl Into<Cow<'static, str>>, value: HeaderValue) {
        self.parts.set.put(name, value);
    }

    /// What was [set](Self::set_header) on this request, and what was [removed](Self::remove_header). For adapters.
    pub fn header_changes(&self) -> (&Headers, impl Iterator<Item = &str>) {
        (&self.parts.set, self.parts.removed_names())
    }

    /// Whether this asks for a WebSocket: an `Upgrade` header of `websocket`, in any case.
    pub fn is_upgrade(&self) -> bool {
        let upgrade = if self.parts.is_changed() { self.header(UPGRADE).map(Cow::Owned) } else { self.parts.source.upgrade() };
        upgrade.is_some_and(|upgrade| is_websocket(&upgrade))
    }

    /// The header with props for a start.
    pub(crate) fn props(&self) -> Option<String> {
        if self.parts.is_changed() { self.header(PROPS) } else { self.parts.source.props() }
    }

    /// The body. Empty from the second call on.
    pub fn take_body(&mut self) -> Body {
        demand::STREAM.note();
        self.body_to_read()
    }

    /// The same, for those who do not send it on.
    pub(crate) fn body_to_read(&mut self) -> Body {
        self.parts.source.take_body()
    }

    /// The body as bytes, at most [`MAX_COLLECTED_BYTES`].
    ///
    /// # Errors
    /// Those of [`Body::bytes`].
    pub async fn bytes(mut self) -> Result<Bytes, BodyError> {
        self.body_to_read().bytes().await
    }

    /// The body as text, at most [`MAX_COLLECTED_BYTES`].
    ///
    /// # Errors
    /// Those of [`Body::text`].
    pub async fn text(mut self) -> Result<String, BodyError> {
        self.body_to_read().text().await
    }

    /// The body as JSON, at most [`MAX_COLLECTED_BYTES`].
    ///
    /// # Errors
    /// Those of [`Body::json`].
    pub async fn json<T: DeserializeOwned>(mut self) -> Result<T, BodyError> {
        self.body_to_read().json().await
    }

    /// The body as a form: `multipart/form-data` or `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// [`BodyError::Form`] for another content type or a broken form, [`BodyError::Cut`].
    pub async fn form_data(mut self) -> Result<FormData, BodyError> {
        demand::FORM_DATA.note();
        self.parts.source.form_data().await
    }

    /// The adapter's part. For adapters and their extensions.
    pub fn source(&self) -> &dyn RequestSource {
        self.parts.source.as_ref()
    }
}

impl fmt::Debug for Request {
    // No headers and no query: they carry tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method(), self.path())
    }
}

/// The body of a request that was made here; its headers are all set on the request itself.
struct Owned {
    body: Body,
}

impl RequestSource for Owned {
    fn header(&self, _: &str) -> Option<String> {
        None
    }

    fn headers(&self) -> Headers {
        Headers::new()
    }

    fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    fn form_data(&mut self) -> LocalBoxFuture<'static, Result<FormData, BodyError>> {
        Box::pin(async { Err(BodyError::Form("this request was made here and never sent".to_owned())) })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// An answer.
#[derive(Debug, Default)]
#[must_use]
pub struct Response {
    /// Status; 200 unless set.
    pub status: StatusCode,
    /// Headers.
    pub headers: Headers,
    /// Body.
    pub body: Body,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// `200` with `text/plain;charset=UTF-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of("text/plain;charset=UTF-8", text.into())
    }

    /// `200` with `application/json`.
    ///
    /// # Errors
    /// `value` cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::of("application/json", serde_json::to_vec(value)?))
    }

    /// The same answer with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one header replaced.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn of(content_type: &'static str, body: impl Into<Body>) -> Self {
        let headers = Headers::of(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { headers, body: body.into(), ..Self::default() }
    }

    /// Makes an answer to a `HEAD` of one to a `GET`. The platform would not send the body either, but it reads a stream to its end, and
    /// says nothing of the length of what comes from an object.
    #[cold]
    #[inline(never)]
    pub(crate) fn leave_out_body(&mut self) {
        if let Body::Bytes(bytes) = mem::take(&mut self.body)
            && !self.headers.contains_key(CONTENT_LENGTH)
        {
            self.headers.put(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
    }
}

impl From<http::Response<Body>> for Response {
    fn from(response: http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers.into(), body }
    }
}

impl From<Response> for http::Response<Body> {
    fn from(response: Response) -> Self {
        let mut converted = Self::new(response.body);
        *converted.status_mut() = response.status;
        *converted.headers_mut() = response.headers.into();
        converted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::PROPS_HEADER;

    /// As a request comes from outside, with these headers.
    struct Outside(Headers);

    impl RequestSource for Outside {
        fn header(&self, name: &str) -> Option<String> {
            self.0.get(name)?.to_str().ok().map(str::to_owned)
        }

        fn headers(&self) -> Headers {
            self.0.clone()
        }

        fn take_body(&mut self) -> Body {
            Body::Empty
        }

        fn form_data(&mut self) -> LocalBoxFuture<'static, Result<FormData, BodyError>> {
            Box::pin(async { Err(BodyError::NotText) })
        }

        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    const ONE: HeaderValue = HeaderValue::from_static("1");

    #[test]
    fn what_is_hidden_is_gone_whoever_has_set_it_and_may_be_set_again() {
        let outside = Headers::from_iter([(header::COOKIE, ONE), (header::ACCEPT, ONE), (header::RANGE, ONE)]);
        let mut request = Request::from_source(Method::GET, Url::parse("/"), Box::new(Outside(outside)));
        request.set_header(header::HOST, ONE);
        request.remove_header(header::RANGE);
        request.hide_headers(&["cookie", "host"]);
        request.hide_headers(&["host", "range"]);
        let seen = |request: &Request| {
            let one_by_one = ["Cookie", "Host", "Range", "Accept"].map(|name| request.header(name).is_some());
            assert_eq!(one_by_one, ["cookie", "host", "range", "accept"].map(|name| request.headers().contains_key(name)));
            one_by_one
        };
        assert_eq!(seen(&request), [false, false, false, true]);
        request.set_header(header::HOST, ONE);
        assert_eq!(seen(&request), [false, true, false, true]);
        let (set, removed) = request.header_changes();
        assert_eq!(
            (set.keys().collect::<Vec<_>>(), removed.collect::<Vec<_>>()),
            (vec!["host"], vec!["cookie", "host", "range"])
        );
    }

    #[test]
    fn upgrade_and_props_are_what_the_headers_are_after_all_changes() {
        let outside = || {
            let fields = [(header::UPGRADE, HeaderValue::from_static("WebSocket")), (PROPS_HEADER, ONE)];
            Request::from_source(Method::GET, Url::parse("/"), Box::new(Outside(Headers::from_iter(fields))))
        };
        let seen = |request: &Request| (request.is_upgrade(), request.props().is_some());
        assert_eq!(seen(&outside()), (true, true));

        let mut hidden = outside();
        hidden.hide_headers(&["upgrade", PROPS]);
        assert_eq!(seen(&hidden), (false, false));

        let mut removed = outside();
        removed.remove_header(header::UPGRADE);
        assert_eq!(seen(&removed), (false, true));

        let mut made = Request::get("/");
        assert_eq!(seen(&made), (false, false));
        made.set_header(header::UPGRADE, HeaderValue::from_static("websocket"));
        made.set_header(PROPS_HEADER, ONE);
        assert_eq!(seen(&made), (true, true));
    }
}
