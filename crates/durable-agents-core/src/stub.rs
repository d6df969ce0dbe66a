//! Reaching another agent by its name.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::LocalBoxFuture;
use http::{HeaderName, HeaderValue};

use crate::agent::Agent;
use crate::demand;
use crate::host::{HostError, Level, Placement, Target};
use crate::http::{Request, Response};
use crate::instance::Entity;
use crate::rpc::{Answer, CALL_HEADER, Calling, Remote, Stub, Trace, Transport};

/// Header that carries props from the router or a stub to the object; never let in from outside.
pub const PROPS_HEADER: HeaderName = HeaderName::from_static(PROPS);

pub(crate) const PROPS: &str = "x-agents-lifecycle-props";

/// Headers with a meaning between router and object, which a client must not set.
///
/// No author sees them: a router of this framework takes them off, or leaves them to an object of this framework, which hides them. What
/// such an object takes at its word is the first of them, which no router lets in, and the second in a request of a URL that no route
/// leads to.
pub const INTERNAL_HEADERS: [&str; 7] = [
    PROPS,
    CALL_HEADER,
    "x-cf-agents-subagent-url",
    "x-partykit-namespace",
    "x-partykit-jurisdiction",
    "x-partykit-props",
    "x-partykit-room",
];

/// Props as the value of [`PROPS_HEADER`].
///
/// # Errors
/// They cannot be written as JSON.
pub fn encode_props(props: &impl serde::Serialize) -> Result<HeaderValue, serde_json::Error> {
    let encoded = BASE64_STANDARD.encode(serde_json::to_vec(props)?);
    // Base64 is made of characters that a header may hold.
    Ok(HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static("")))
}

/// The JSON text in a value of [`PROPS_HEADER`]: base64, or plain JSON as old callers send it.
///
/// # Errors
/// It is neither; the text says so and does not repeat the value.
pub(crate) fn decode_props(value: &str) -> Result<String, PropsError> {
    let value = value.trim();
    if value.starts_with(['{', '[']) {
        return Ok(value.to_owned());
    }
    let bytes = BASE64_STANDARD.decode(value).map_err(|_| PropsError)?;
    String::from_utf8(bytes).map_err(|_| PropsError)
}

/// Props that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("props are neither JSON nor base64 of it")]
pub(crate) struct PropsError;

/// An agent in another object, or in this one.
///
/// Its callable methods are methods of the stub, once the trait that `#[callable]` makes is in scope: `ChatCalls` for `Chat`.
pub struct AgentStub<B: Agent> {
    caller: Rc<dyn Entity>,
    // What the caller itself serves.
    trace: Option<Rc<Trace>>,
    target: Target,
    props: Option<HeaderValue>,
    timeout: Duration,
    agent: PhantomData<fn() -> B>,
}

impl<B: Agent> AgentStub<B> {
    pub(crate) fn new(caller: Rc<dyn Entity>, trace: Option<Rc<Trace>>, binding: &str, name: &str) -> Self {
        let target = Target { binding: binding.to_owned(), name: name.to_owned(), placement: Placement::default() };
        Self { caller, trace, target, props: None, timeout: Remote::TIMEOUT, agent: PhantomData }
    }

    /// The same agent under another binding than its class name.
    #[must_use]
    pub fn bound_as(mut self, binding: &str) -> Self {
        binding.clone_into(&mut self.target.binding);
        self
    }

    /// The same agent, placed. In another jurisdiction the same name is another instance.
    #[must_use]
    pub fn placed(mut self, placement: Placement) -> Self {
        self.target.placement = placement;
        self
    }

    /// Passes `props` to [`on_start`](Agent::on_start) if the next request wakes the agent.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn with_props(mut self, props: &B::Props) -> Result<Self, serde_json::Error> {
        self.props = Some(encode_props(props)?);
        Ok(self)
    }

    /// How long a call of a method waits for its answer. Default 30 seconds. [`fetch`](Self::fetch) has no limit of its own.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Name of the instance.
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Sends a request to [`on_request`](Agent::on_request) of that agent.
    ///
    /// Internal headers of `request` are taken off first, so that a request from outside can be handed on.
    ///
    /// # Errors
    /// [`HostError`] if the platform could not deliver it or the object was reset. An answer with an error status is no error.
    pub async fn fetch(&self, mut request: Request) -> Result<Response, HostError> {
        request.hide_headers(&INTERNAL_HEADERS);
        self.send(request).await
    }

    fn send(&self, mut request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        if let Some(props) = &self.props {
            request.put_header(PROPS, props.clone());
        }
        demand::FETCH_AGENT.note();
        // The answer's body may go out as it comes in.
        demand::STREAM.note();
        self.caller.shell().host.fetch_agent(&self.target, request)
    }
}

impl<B: Agent> Stub for AgentStub<B> {
    type Agent = B;

    fn call_method<'w>(&'w self, method: &'w str, args: Result<String, serde_json::Error>) -> Calling<'w, Answer> {
        let shell = self.caller.shell();
        let trace = Trace::of(self.trace.as_ref(), shell.hop(), || shell.uuid());
        let origin = format!("agent={} instance={:?} ", shell.class, shell.name());
        Box::pin(Remote::within(&self.target, self.timeout, trace, origin).call(self, method, args))
    }
}

impl<B: Agent> Transport for AgentStub<B> {
    fn send(&self, request: Request) -> LocalBoxFuture<'_, Result<Response, HostError>> {
        self.send(request)
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()> {
        self.caller.shell().host.sleep(duration)
    }

    fn log(&self, level: Level, line: &str) {
        self.caller.shell().host.log(level, line);
    }
}

impl<B: Agent> fmt::Debug for AgentStub<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentStub({} {:?})", self.target.binding, self.target.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn props_survive_the_header() {
        let props = serde_json::json!({"user": "Usuário"});
        let value = encode_props(&props).expect("JSON");
        let text = decode_props(value.to_str().expect("ASCII")).expect("props");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), props);
        assert_eq!(decode_props(" {\"a\":1} "), Ok("{\"a\":1}".to_owned()));
        assert_eq!(decode_props("%%%"), Err(PropsError));
    }
}
