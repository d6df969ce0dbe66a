//! Streaming methods: several answers to one call.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Poll;

use serde::Serialize;

use crate::error::REQUEST_FAILED;
use crate::farewell::Farewells;
use crate::host::SocketError;
use crate::json::Json;
use crate::link::Link;
use crate::wire::server::{rpc_chunk, rpc_error, rpc_result};

/// The way back to the caller of a streaming method: chunks of `T`, then an end with a value of `F`, without one, or with an error.
///
/// The stream ends with the method at the latest: a method that returns without ending it ends it [without a value](Self::finish),
/// one that fails [with its error](Self::error). After the end every call here is an error and sends nothing, so exactly one end
/// reaches the caller.
///
/// Once the caller has gone, the method is dropped at its next `.await`, and [`send`](Self::send) is an error until then. There is no
/// backpressure: the platform does not tell how much of a socket's outbox has left. A method that produces faster than a client
/// reads fills the object's memory, so a long stream should pause, or have the client ask for each part.
pub struct Stream<T, F = T> {
    outlet: Rc<Outlet>,
    types: PhantomData<fn(T, F)>,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream has ended, or the caller has gone.
    #[error("stream is closed")]
    Closed,
    /// The value cannot be written as JSON. The stream is as it was.
    #[error("stream value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The platform refused for a reason of its own.
    #[error("socket failed: {0}")]
    Platform(String),
}

impl<T, F> Stream<T, F> {
    pub(crate) fn new(outlet: Rc<Outlet>) -> Self {
        Self { outlet, types: PhantomData }
    }

    /// Sends a chunk, a value or a reference to one.
    ///
    /// # Errors
    /// [`StreamError`]; nothing was sent.
    pub fn send(&self, chunk: impl Borrow<T>) -> Result<(), StreamError>
    where
        T: Serialize,
    {
        self.outlet.check_open()?;
        self.outlet.chunk(&Json::of(chunk.borrow())?)
    }

    /// Ends the stream with a value: the caller's call resolves to it.
    ///
    /// # Errors
    /// [`StreamError`]; nothing was sent. After [`StreamError::Json`] the stream is still open.
    pub fn end(&self, value: impl Borrow<F>) -> Result<(), StreamError>
    where
        F: Serialize,
    {
        self.outlet.check_open()?;
        self.outlet.end(Some(&Json::of(value.borrow())?))
    }

    /// Ends the stream without a value.
    ///
    /// # Errors
    /// [`StreamError`]; nothing was sent.
    pub fn finish(&self) -> Result<(), StreamError> {
        self.outlet.end(None)
    }

    /// Ends the stream with an error, whose text reaches the caller as it is.
    ///
    /// # Errors
    /// [`StreamError`]; nothing was sent.
    pub fn error(&self, text: &str) -> Result<(), StreamError> {
        self.outlet.fail(text)
    }

    /// Whether it has not ended and the caller is still there.
    pub fn is_open(&self) -> bool {
        self.outlet.is_open()
    }

    /// Ends once the stream has ended or the caller has gone. For work beside the method; the method itself is dropped then.
    pub async fn closed(&self) {
        let (of_caller, of_stream) = (self.outlet.link.farewells.join(), self.outlet.farewells.join());
        poll_fn(|cx| {
            if !self.outlet.is_open() {
                return Poll::Ready(());
            }
            of_caller.register(cx.waker());
            of_stream.register(cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl<T, F> Clone for Stream<T, F> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.outlet))
    }
}

impl<T, F> fmt::Debug for Stream<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

/// A [`Stream`] without its types: one call's way back to the socket it came from.
pub(crate) struct Outlet {
    link: Rc<Link>,
    // Of the call: a string, as JSON text.
    id: String,
    ended: Cell<bool>,
    // Told when this stream has ended. Those of the link are told when the caller leaves, and wake the streams of all its calls.
    farewells: Farewells,
}

impl Outlet {
    pub(crate) fn new(link: Rc<Link>, id: String) -> Self {
        Self { link, id, ended: Cell::new(false), farewells: Farewells::default() }
    }

    pub(crate) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.ended.get() && self.link.is_listed()
    }

    fn check_open(&self) -> Result<(), StreamError> {
        if self.is_open() { Ok(()) } else { Err(StreamError::Closed) }
    }

    fn chunk(&self, chunk: &Json) -> Result<(), StreamError> {
        self.send(rpc_chunk(&self.id, chunk))
    }

    pub(crate) fn end(&self, value: Option<&Json>) -> Result<(), StreamError> {
        self.send_last(rpc_result(&self.id, value))
    }

    pub(crate) fn fail(&self, text: &str) -> Result<(), StreamError> {
        self.send_last(rpc_error(&self.id, text))
    }

    fn send_last(&self, frame: String) -> Result<(), StreamError> {
        self.check_open()?;
        self.ended.set(true);
        self.farewells.say();
        let sent = self.send(frame);
        if matches!(sent, Err(StreamError::Platform(_))) {
            // Too long for the socket, for instance. The caller would wait for ever; if this fails too, there is no way to it.
            let _ = self.send(rpc_error(&self.id, REQUEST_FAILED));
        }
        sent
    }

    fn send(&self, frame: String) -> Result<(), StreamError> {
        self.link.send(&frame.into()).map_err(|error| match error {
            SocketError::Closed => StreamError::Closed,
            SocketError::Platform(message) => StreamError::Platform(message),
        })
    }
}
