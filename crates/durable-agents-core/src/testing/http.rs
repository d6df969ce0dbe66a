//! Requests and responses on their way between a test, the router and objects.

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use futures::{SinkExt, StreamExt, stream};
use http::{HeaderValue, Method, StatusCode, header};

use super::socket::Pipe;
use super::world::{Slot, World, reset};
use crate::demand;
use crate::host::{HostError, Level, Target};
use crate::http::{Body, BodyError, FormData, FormField, Headers, Request, RequestSource, Response};
use crate::route::{Binding, Gateway};

/// Headers and body of a request as an object gets it.
struct Sealed {
    headers: Headers,
    body: Body,
}

/// The request as it arrives elsewhere: what was set and removed is what it has.
pub(super) fn seal(mut request: Request) -> Request {
    let source = Sealed { headers: request.all_headers(), body: request.body_to_read() };
    Request::from_source(request.method().clone(), request.url().clone(), Box::new(source))
}

impl RequestSource for Sealed {
    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.headers.get_all(name).filter_map(|value| value.to_str().ok()).collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }

    fn headers(&self) -> Headers {
        self.headers.clone()
    }

    fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    fn form_data(&mut self) -> LocalBoxFuture<'static, Result<FormData, BodyError>> {
        demand::FORM_DATA.expect_noted();
        let content_type = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let body = self.take_body();
        Box::pin(async move {
            let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match kind.as_str() {
                "multipart/form-data" => multipart(&content_type, body.bytes().await?).await,
                "application/x-www-form-urlencoded" => {
                    let bytes = body.bytes().await?;
                    let field =
                        |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), FormField::Text(value.into_owned()));
                    Ok(FormData { fields: form_urlencoded::parse(&bytes).map(field).collect() })
                }
                _ => Err(BodyError::Form(format!("content type {content_type:?} is no form's"))),
            }
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

async fn multipart(content_type: &str, body: Bytes) -> Result<FormData, BodyError> {
    let broken = |error: multer::Error| BodyError::Form(error.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(whole, boundary);
    let mut fields = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        let content = field.bytes().await.map_err(broken)?;
        let field = match file {
            Some(filename) => FormField::File { filename, content_type, content },
            None => FormField::Text(String::from_utf8_lossy(&content).into_owned()),
        };
        fields.push((name, field));
    }
    Ok(FormData { fields })
}

/// A response on its way out of an object. A stream in it goes on being made inside the object, while somebody reads it.
pub(super) fn detach(world: &Rc<World>, slot: &Rc<Slot>, response: Response) -> Response {
    let Body::Stream(mut pieces) = response.body else { return response };
    demand::STREAM.expect_noted();
    let (mut pump, reader) = mpsc::channel(0);
    let work = async move {
        while let Some(piece) = pieces.next().await {
            // A failure means that the reader has gone, and with it all need for the rest.
            if pump.send(Some(piece)).await.is_err() {
                return;
            }
        }
        let _ = pump.send(None).await;
    };
    world.spawn(slot, "streaming a response".to_owned(), Box::pin(work));
    // The end is sent too: a stream without one has been cut.
    let body = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Some(Some(piece)) => Some((piece, Some(reader))),
            Some(None) => None,
            None => Some((Err(BodyError::Cut(reset().message.clone())), None)),
        }
    });
    Response { body: Body::arriving(body), ..response }
}

/// The router's surroundings, for one request.
pub(super) struct Door {
    pub(super) world: Rc<World>,
    pub(super) pipe: Option<Rc<Pipe>>,
}

impl Gateway for Door {
    type Request = Request;
    type Response = Response;

    fn bindings(&self) -> Rc<Vec<Binding>> {
        self.world.bindings.borrow().iter().map(|(name, _)| Binding::new(name.as_str())).collect::<Vec<_>>().into()
    }

    fn method(&self, request: &Request) -> Method {
        request.method().clone()
    }

    fn path<'a>(&self, request: &'a Request) -> Cow<'a, str> {
        Cow::Borrowed(request.path())
    }

    fn header(&self, request: &Request, name: &str) -> Option<String> {
        request.header(name)
    }

    fn set_request_header(&self, request: &mut Request, name: &str, value: Option<&HeaderValue>) -> Result<(), HostError> {
        match value {
            Some(value) => request.put_header(name.to_owned(), value.clone()),
            None => request.hide_header(name.to_owned()),
        }
        Ok(())
    }

    fn try_copy(&self, request: &Request) -> Option<Request> {
        let sealed = request.source().as_any().downcast_ref::<Sealed>()?;
        let body = match &sealed.body {
            Body::Empty => Body::Empty,
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Stream(_) => return None,
        };
        let source = Sealed { headers: request.all_headers(), body };
        Some(Request::from_source(request.method().clone(), request.url().clone(), Box::new(source)))
    }

    fn plain(&self, status: u16, text: &'static str) -> Response {
        let status = StatusCode::from_u16(status).expect("the router knows its statuses");
        if text.is_empty() { Response::empty(status) } else { Response::text(text).with_status(status) }
    }

    fn with_response_headers<'h>(
        &self,
        mut response: Response,
        headers: &mut dyn Iterator<Item = (&'h str, &'h HeaderValue)>,
    ) -> Response {
        headers.for_each(|(name, value)| response.headers.put(name.to_owned(), value.clone()));
        response
    }

    fn fetch(&self, target: &Target, request: Request) -> LocalBoxFuture<'_, Result<Response, HostError>> {
        let pipe = self.pipe.clone().filter(|_| request.is_upgrade());
        let answer = self.world.send_request(target, request, pipe);
        Box::pin(async move { answer?.await.unwrap_or_else(|_| Err(reset())) })
    }

    fn sleep_ms(&self, delay_ms: u32) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.world.sleep(Duration::from_millis(delay_ms.into()), true))
    }

    fn random(&self) -> f64 {
        self.world.random.unit()
    }

    fn log(&self, level: Level, line: &str) {
        self.world.write_log(level, line);
    }
}

/// An answer with all of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: Headers,
    /// All bytes of the body.
    pub body: Bytes,
}

impl Collected {
    /// The body as text. Panics if it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|error| panic!("the body is no text: {error}"))
    }

    /// The body as JSON. Panics if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("the body is no JSON: {error}: {:?}", self.body))
    }

    /// One header as text, or `None` if it is not there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(super) fn collect(world: &Rc<World>, response: Response) -> Result<Collected, BodyError> {
    let Response { status, headers, body } = response;
    let body = world.drive("the rest of the body", body.bytes())?;
    Ok(Collected { status, headers, body })
}
