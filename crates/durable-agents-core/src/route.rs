//! From a request to the agent it is for.
//!
//! The order of the steps is here; what a request and a response are, and how to reach an object, is the adapter's
//! [`Gateway`].

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::host::{HostError, Level, Placement, Target};
use crate::stub::{INTERNAL_HEADERS, PROPS_HEADER};

mod cors;
mod path;
mod retry;

pub use cors::Cors;
pub use path::{PathMatch, kebab, match_path, sub_path};
pub use retry::{RetryError, RoutingRetry};

/// What the router needs of the world around it.
///
/// Requests and responses are types of the platform's own crate, so what the router asks of them is asked of the gateway.
pub trait Gateway {
    /// A request, as the platform has it.
    type Request;
    /// A response, as the platform has it.
    type Response;

    /// Names of the Durable Object bindings, in the order the environment lists them.
    fn bindings(&self) -> Rc<[String]>;

    /// The method of a request.
    fn method(&self, request: &Self::Request) -> Method;

    /// The path of a request's URL, not decoded.
    fn path<'a>(&self, request: &'a Self::Request) -> Cow<'a, str>;

    /// One header of a request.
    fn header(&self, request: &Self::Request, name: &HeaderName) -> Option<String>;

    /// Replaces one header of a request, or takes it away.
    ///
    /// # Errors
    /// The platform refused; nobody may be sent the request then.
    fn set_request_header(
        &self,
        request: &mut Self::Request,
        name: &HeaderName,
        value: Option<&HeaderValue>,
    ) -> Result<(), HostError>;

    /// A copy for another attempt, or `None` if keeping one would mean keeping a large or endless body.
    fn try_copy(&self, request: &Self::Request) -> Option<Self::Request>;

    /// A response with a text, or without a body if it is empty.
    fn plain(&self, status: u16, text: &'static str) -> Self::Response;

    /// Replaces one header of a response.
    fn set_response_header(&self, response: &mut Self::Response, name: &HeaderName, value: &HeaderValue);

    /// Sends `request` to an object.
    fn fetch(&self, target: &Target, request: Self::Request) -> LocalBoxFuture<'_, Result<Self::Response, HostError>>;

    /// Ends after so many milliseconds.
    fn sleep_ms(&self, delay_ms: u32) -> LocalBoxFuture<'_, ()>;

    /// A random number from 0 to 1, 1 excluded.
    fn random(&self) -> f64;

    /// Writes one line to the log.
    fn log(&self, level: Level, line: &str);
}

/// What a hook makes of a request.
#[derive(Debug)]
pub enum Before<Req, Res> {
    /// This request goes on: the same, or a changed one. Another URL does not make it another agent's.
    Forward(Req),
    /// This is the answer; the object is not woken.
    Respond(Res),
}

/// Which agent a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name of the binding.
    pub binding: String,
    /// Instance name, still percent-encoded.
    pub name: String,
}

/// A hook of the router.
pub type BeforeHook<'a, Req, Res, E> = Box<dyn Fn(Req, Route) -> LocalBoxFuture<'a, Result<Before<Req, Res>, E>> + 'a>;

/// One failed attempt that will be followed by another.
#[derive(Debug)]
pub struct RetryNotice<'a> {
    /// What failed.
    pub error: &'a HostError,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How many there will be at most.
    pub max_attempts: u32,
    /// Milliseconds until the next one.
    pub delay_ms: u32,
    /// For whom.
    pub route: &'a Route,
}

type RetryObserver<'a> = Box<dyn Fn(&RetryNotice<'_>) + 'a>;

/// How the router works.
pub struct RouteOptions<'a, Req, Res, E> {
    prefix: Cow<'a, str>,
    default_binding: Option<Cow<'a, str>>,
    cors: Cors,
    props: Option<HeaderValue>,
    placement: Placement,
    retry: RoutingRetry,
    before_connect: Option<BeforeHook<'a, Req, Res, E>>,
    before_request: Option<BeforeHook<'a, Req, Res, E>>,
    on_retry: Option<RetryObserver<'a>>,
}

impl<'a, Req, Res, E> RouteOptions<'a, Req, Res, E> {
    /// Prefix `agents`, no CORS, no hooks, no default agent, three attempts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefix: Cow::Borrowed("agents"),
            default_binding: None,
            cors: Cors::Off,
            props: None,
            placement: Placement::default(),
            retry: RoutingRetry::default(),
            before_connect: None,
            before_request: None,
            on_retry: None,
        }
    }

    /// First segments of the path, `api/agents` for instance; an empty text means `agents`. With a slash at either end it matches
    /// nothing.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Cow<'a, str>>) -> Self {
        let prefix = prefix.into();
        if !prefix.is_empty() {
            self.prefix = prefix;
        }
        self
    }

    /// Binding of the agent that `/agents/:name[/…]` reaches whenever the first segment is not the name of a bound agent.
    #[must_use]
    pub fn default_agent(mut self, binding: impl Into<Cow<'a, str>>) -> Self {
        self.default_binding = Some(binding.into());
        self
    }

    /// Headers for browsers on other origins. Default: none.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Props for the start of the agent, as [`encode_props`](crate::encode_props) makes them.
    #[must_use]
    pub fn props(mut self, props: HeaderValue) -> Self {
        self.props = Some(props);
        self
    }

    /// Where the agent lives.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// How often to try again where the platform says that it may help.
    #[must_use]
    pub fn retry(mut self, retry: RoutingRetry) -> Self {
        self.retry = retry;
        self
    }

    /// Looks at every upgrade before its agent is woken.
    #[must_use]
    pub fn on_before_connect<F>(mut self, hook: impl Fn(Req, Route) -> F + 'a) -> Self
    where
        F: Future<Output = Result<Before<Req, Res>, E>> + 'a,
    {
        self.before_connect = Some(Box::new(move |request, route| Box::pin(hook(request, route))));
        self
    }

    /// Looks at every other request before its agent is woken.
    #[must_use]
    pub fn on_before_request<F>(mut self, hook: impl Fn(Req, Route) -> F + 'a) -> Self
    where
        F: Future<Output = Result<Before<Req, Res>, E>> + 'a,
    {
        self.before_request = Some(Box::new(move |request, route| Box::pin(hook(request, route))));
        self
    }

    /// Is told of every failed attempt that is followed by another.
    #[must_use]
    pub fn on_retry(mut self, observe: impl Fn(&RetryNotice<'_>) + 'a) -> Self {
        self.on_retry = Some(Box::new(observe));
        self
    }
}

impl<Req, Res, E> Default for RouteOptions<'_, Req, Res, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Req, Res, E> fmt::Debug for RouteOptions<'_, Req, Res, E> {
    // Props may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteOptions")
            .field("prefix", &self.prefix)
            .field("default_binding", &self.default_binding)
            .field("cors", &self.cors)
            .field("placement", &self.placement)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Routes a request: `Ok(None)` if its path is not an agent's.
///
/// # Errors
/// That of a hook; that of the platform, as the last attempt met it.
pub async fn route<G: Gateway, E: From<HostError>>(
    gateway: &G,
    mut request: G::Request,
    options: &RouteOptions<'_, G::Request, G::Response, E>,
) -> Result<Option<G::Response>, E> {
    let default = options.default_binding.as_deref();
    let route = match match_path(&gateway.path(&request), &options.prefix, &gateway.bindings(), default) {
        PathMatch::Elsewhere => return Ok(None),
        PathMatch::UnknownClass => return Ok(Some(gateway.plain(400, "Invalid request"))),
        PathMatch::Agent(route) => route,
    };
    let cors = options.cors.headers();
    if cors.is_some() && gateway.method(&request) == Method::OPTIONS {
        return Ok(Some(with_headers(gateway, gateway.plain(200, ""), cors)));
    }
    let upgrade = is_upgrade(gateway, &request);
    // Before the hook, so that neither it nor the agent takes a client's word for the router's.
    strip_internal_headers(gateway, &mut request)?;
    let cors = cors.filter(|_| !upgrade);
    let hook = if upgrade { &options.before_connect } else { &options.before_request };
    if let Some(hook) = hook {
        match hook(request, route.clone()).await? {
            Before::Forward(forwarded) => request = forwarded,
            Before::Respond(response) => return Ok(Some(with_headers(gateway, response, cors))),
        }
    }
    let delivery = Delivery {
        route: &route,
        placement: &options.placement,
        props: options.props.as_ref(),
        retry: options.retry,
        on_retry: options.on_retry.as_deref(),
    };
    let response = delivery.run(gateway, request).await?;
    Ok(Some(with_headers(gateway, response, cors)))
}

/// Sends a request to an object by its name, as the router does once it knows which.
///
/// Internal headers of `request` are taken off first, so that a request from outside can be handed on as it is.
///
/// # Errors
/// That of the platform, as the last attempt met it.
pub async fn deliver<G: Gateway>(
    gateway: &G,
    mut request: G::Request,
    delivery: &Delivery<'_>,
) -> Result<G::Response, HostError> {
    strip_internal_headers(gateway, &mut request)?;
    delivery.run(gateway, request).await
}

/// Where a request goes, and how hard to try.
pub struct Delivery<'a> {
    /// To whom.
    pub route: &'a Route,
    /// Where that agent lives.
    pub placement: &'a Placement,
    /// Props for its start, as [`encode_props`](crate::encode_props) makes them.
    pub props: Option<&'a HeaderValue>,
    /// How often to try again where the platform says that it may help.
    pub retry: RoutingRetry,
    /// Is told of every failed attempt that is followed by another.
    pub on_retry: Option<&'a dyn Fn(&RetryNotice<'_>)>,
}

impl Delivery<'_> {
    async fn run<G: Gateway>(&self, gateway: &G, mut request: G::Request) -> Result<G::Response, HostError> {
        if let Some(props) = self.props {
            gateway.set_request_header(&mut request, &PROPS_HEADER, Some(props))?;
        }
        let Route { binding, name } = self.route;
        let target = Target { binding: binding.clone(), name: name.clone(), placement: self.placement.clone() };
        let max_attempts = self.retry.max_attempts();
        let mut next = Some(request);
        for attempt in 1..=max_attempts {
            let Some(current) = next.take() else { break };
            next = if attempt < max_attempts { gateway.try_copy(&current) } else { None };
            let error = match gateway.fetch(&target, current).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // An overloaded object is not helped by another call.
            if !error.retryable || error.overloaded || next.is_none() {
                return Err(error);
            }
            let delay_ms = self.retry.delay_ms(attempt, gateway.random());
            let line = format!("attempt {attempt} of {max_attempts} to reach {binding} failed, next in {delay_ms} ms: {error}");
            gateway.log(Level::Warn, &line);
            if let Some(observe) = self.on_retry {
                observe(&RetryNotice { error: &error, attempt, max_attempts, delay_ms, route: self.route });
            }
            gateway.sleep_ms(delay_ms).await;
        }
        Err(HostError::new("no attempt was made"))
    }
}

impl fmt::Debug for Delivery<'_> {
    // Props may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("route", self.route).field("placement", self.placement).finish_non_exhaustive()
    }
}

/// Whether a request asks for a WebSocket.
fn is_upgrade<G: Gateway>(gateway: &G, request: &G::Request) -> bool {
    gateway.header(request, &http::header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Takes away the headers that only a router or a stub may set.
fn strip_internal_headers<G: Gateway>(gateway: &G, request: &mut G::Request) -> Result<(), HostError> {
    for name in &INTERNAL_HEADERS {
        // Looked for first, because a request that has to be changed has to be copied.
        if gateway.header(request, name).is_some() {
            gateway.set_request_header(request, name, None)?;
        }
    }
    Ok(())
}

fn with_headers<G: Gateway>(gateway: &G, mut response: G::Response, headers: Option<&HeaderMap>) -> G::Response {
    for (name, value) in headers.into_iter().flatten() {
        gateway.set_response_header(&mut response, name, value);
    }
    response
}
