//! From a request to the agent it is for.
//!
//! The order of the steps is here; what a request and a response are, and how to reach an object, is the adapter's
//! [`Gateway`].

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use http::{HeaderValue, Method};

use crate::host::{HostError, Level, Placement, Target};
use crate::http::{UPGRADE, is_websocket};
use crate::stub::{INTERNAL_HEADERS, PROPS};
use crate::{demand, destroy};

mod cors;
mod path;
mod retry;

use path::Found;

pub use cors::Cors;
pub use path::{Binding, PathMatch, kebab, match_path, sub_path};
pub use retry::{RetryError, RoutingRetry};

/// What the router needs of the world around it.
///
/// Requests and responses are types of the platform's own crate, so what the router asks of them is asked of the gateway.
pub trait Gateway {
    /// A request, as the platform has it.
    type Request;
    /// A response, as the platform has it.
    type Response;

    /// The Durable Object bindings, in the order the environment lists them.
    fn bindings(&self) -> Rc<Vec<Binding>>;

    /// The method of a request.
    fn method(&self, request: &Self::Request) -> Method;

    /// The path of a request's URL, not decoded.
    fn path<'a>(&self, request: &'a Self::Request) -> Cow<'a, str>;

    /// One header of a request.
    fn header(&self, request: &Self::Request, name: &str) -> Option<String>;

    /// Replaces one header of a request, or takes it away.
    ///
    /// # Errors
    /// The platform refused; nobody may be sent the request then.
    fn set_request_header(&self, request: &mut Self::Request, name: &str, value: Option<&HeaderValue>)
    -> Result<(), HostError>;

    /// A copy for another attempt, or `None` if keeping one would mean keeping a large or endless body.
    fn try_copy(&self, request: &Self::Request) -> Option<Self::Request>;

    /// A response with a text, or without a body if it is empty.
    fn plain(&self, status: u16, text: &'static str) -> Self::Response;

    /// Replaces headers of a response. One that the platform does not take is left out.
    fn with_response_headers<'h>(
        &self,
        response: Self::Response,
        headers: &mut dyn Iterator<Item = (&'h str, &'h HeaderValue)>,
    ) -> Self::Response;

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
    retry: RoutingRetry,
    // One box for all of them: options are made for each request.
    rare: Option<Box<RareOptions<'a, Req, Res, E>>>,
}

/// What few workers want.
struct RareOptions<'a, Req, Res, E> {
    cors: Cors,
    props: Option<HeaderValue>,
    placement: Placement,
    before_connect: Option<BeforeHook<'a, Req, Res, E>>,
    before_request: Option<BeforeHook<'a, Req, Res, E>>,
    hooked: Option<&'a [&'a str]>,
    on_retry: Option<RetryObserver<'a>>,
}

impl<Req, Res, E> Default for RareOptions<'_, Req, Res, E> {
    fn default() -> Self {
        Self {
            cors: Cors::Off,
            props: None,
            placement: Placement::default(),
            before_connect: None,
            before_request: None,
            hooked: None,
            on_retry: None,
        }
    }
}

impl<'a, Req, Res, E> RouteOptions<'a, Req, Res, E> {
    /// Prefix `agents`, no CORS, no hooks, no default agent, three attempts.
    #[must_use]
    pub fn new() -> Self {
        Self { prefix: Cow::Borrowed("agents"), default_binding: None, retry: RoutingRetry::default(), rare: None }
    }

    fn rare(&self) -> Option<&RareOptions<'a, Req, Res, E>> {
        self.rare.as_deref().filter(|_| demand::ROUTING.is_noted())
    }

    fn rare_mut(&mut self) -> &mut RareOptions<'a, Req, Res, E> {
        demand::ROUTING.note();
        self.rare.get_or_insert_default()
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
        self.rare_mut().cors = cors;
        self
    }

    /// Props for the start of the agent, as [`encode_props`](crate::encode_props) makes them.
    #[must_use]
    pub fn props(mut self, props: HeaderValue) -> Self {
        self.rare_mut().props = Some(props);
        self
    }

    /// Where the agent lives.
    #[must_use]
    pub fn placement(mut self, placement: Placement) -> Self {
        self.rare_mut().placement = placement;
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
        self.rare_mut().before_connect = Some(Box::new(move |request, route| Box::pin(hook(request, route))));
        self
    }

    /// Looks at every other request before its agent is woken.
    #[must_use]
    pub fn on_before_request<F>(mut self, hook: impl Fn(Req, Route) -> F + 'a) -> Self
    where
        F: Future<Output = Result<Before<Req, Res>, E>> + 'a,
    {
        self.rare_mut().before_request = Some(Box::new(move |request, route| Box::pin(hook(request, route))));
        self
    }

    /// Limits both hooks to requests for these bindings; without it they look at all. What no hook looks at can be handed on as it is,
    /// which takes much less.
    #[must_use]
    pub fn hooks_for(mut self, bindings: &'a [&'a str]) -> Self {
        self.rare_mut().hooked = Some(bindings);
        self
    }

    /// Is told of every failed attempt that is followed by another.
    #[must_use]
    pub fn on_retry(mut self, observe: impl Fn(&RetryNotice<'_>) + 'a) -> Self {
        self.rare_mut().on_retry = Some(Box::new(observe));
        self
    }

    /// The agent of a path, its binding and its name, if a request for it can be handed over as it is: no hook looks at it, no props
    /// go with it, nothing is done to the answer. For adapters, which can then do so without waiting; internal headers of the request
    /// are theirs to look for. The name is a part of `path`.
    ///
    /// If that attempt fails, [`route_again`] goes on.
    pub fn straight<'p>(&'p self, path: &'p str, bindings: &'p [Binding]) -> Option<(&'p str, &'p str)> {
        let is_plain = |rare: &RareOptions<'_, Req, Res, E>| {
            rare.cors.is_off() && rare.props.is_none() && rare.placement == Placement::default()
        };
        if !self.rare().is_none_or(is_plain) {
            return None;
        }
        match path::find(path, &self.prefix, bindings, self.default_binding.as_deref()) {
            Found::Agent { binding, name } if !self.may_be_hooked(binding) => Some((binding, name)),
            Found::Agent { .. } | Found::Elsewhere | Found::UnknownClass => None,
        }
    }

    fn may_be_hooked(&self, binding: &str) -> bool {
        let Some(rare) = self.rare() else { return false };
        let has_hook = rare.before_connect.is_some() || rare.before_request.is_some();
        has_hook && rare.hooked.is_none_or(|bindings| bindings.contains(&binding))
    }

    fn delivery<'d>(&'d self, route: &'d Route) -> Delivery<'d> {
        let rare = self.rare();
        Delivery {
            route,
            placement: rare.map(|rare| &rare.placement),
            props: rare.and_then(|rare| rare.props.as_ref()),
            retry: self.retry,
            on_retry: rare.and_then(|rare| rare.on_retry.as_deref()),
        }
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
            .field("cors", &self.rare.as_ref().map(|rare| &rare.cors))
            .field("placement", &self.rare.as_ref().map(|rare| &rare.placement))
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
    let rare = options.rare();
    let cors = rare.map_or(&Cors::Off, |rare| &rare.cors);
    if !cors.is_off() && gateway.method(&request) == Method::OPTIONS {
        return Ok(Some(with_headers(gateway, gateway.plain(200, ""), cors)));
    }
    // Asked only where it matters.
    let upgrade = rare.is_some() && is_upgrade(gateway, &request);
    // Before the hook, so that neither it nor the agent takes a client's word for the router's.
    strip_internal_headers(gateway, &mut request)?;
    let cors = if upgrade { &Cors::Off } else { cors };
    let hooked = rare.filter(|_| options.may_be_hooked(&route.binding));
    let hook = hooked.and_then(|rare| if upgrade { rare.before_connect.as_ref() } else { rare.before_request.as_ref() });
    if let Some(hook) = hook {
        match hook(request, route.clone()).await? {
            Before::Forward(forwarded) => request = forwarded,
            Before::Respond(response) => return Ok(Some(with_headers(gateway, response, cors))),
        }
    }
    let response = options.delivery(&route).run(gateway, request, None).await?;
    // Said here too, so that a worker without such options is built without what sets headers.
    Ok(Some(if cors.is_off() { response } else { with_headers(gateway, response, cors) }))
}

/// Goes on where the first attempt to hand over a [straight](RouteOptions::straight) request failed; `request` is a copy that has
/// not been used.
///
/// # Errors
/// That of the platform, as the last attempt met it.
pub async fn route_again<G: Gateway, E>(
    gateway: &G,
    request: G::Request,
    route: &Route,
    options: &RouteOptions<'_, G::Request, G::Response, E>,
    failed: HostError,
) -> Result<G::Response, HostError> {
    options.delivery(route).run(gateway, request, Some(failed)).await
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
    delivery.run(gateway, request, None).await
}

/// Where a request goes, and how hard to try.
pub struct Delivery<'a> {
    /// To whom.
    pub route: &'a Route,
    /// Where that agent lives. `None`: wherever the platform likes.
    pub placement: Option<&'a Placement>,
    /// Props for its start, as [`encode_props`](crate::encode_props) makes them.
    pub props: Option<&'a HeaderValue>,
    /// How often to try again where the platform says that it may help, or where the object was destroyed while it held a request that
    /// is safe to repeat.
    pub retry: RoutingRetry,
    /// Is told of every failed attempt that is followed by another.
    pub on_retry: Option<&'a dyn Fn(&RetryNotice<'_>)>,
}

impl Delivery<'_> {
    /// `failed` is the end of a first attempt that somebody else has made.
    fn run<'a, G: Gateway>(
        &'a self,
        gateway: &'a G,
        request: G::Request,
        failed: Option<HostError>,
    ) -> LocalBoxFuture<'a, Result<G::Response, HostError>>
    where
        G::Request: 'a,
    {
        // In a box, so that it is not part of the code of each that waits for it.
        Box::pin(self.attempts(gateway, request, failed))
    }

    async fn attempts<G: Gateway>(
        &self,
        gateway: &G,
        mut request: G::Request,
        mut failed: Option<HostError>,
    ) -> Result<G::Response, HostError> {
        if let Some(props) = self.props {
            gateway.set_request_header(&mut request, PROPS, Some(props))?;
        }
        let Route { binding, name } = self.route;
        let target =
            Target { binding: binding.clone(), name: name.clone(), placement: self.placement.cloned().unwrap_or_default() };
        let max_attempts = self.retry.max_attempts();
        let mut next = Some(request);
        for attempt in 1..=max_attempts {
            let Some(current) = next.take() else { break };
            let error = match failed.take() {
                Some(error) => {
                    next = Some(current);
                    error
                }
                None => {
                    next = if attempt < max_attempts { gateway.try_copy(&current) } else { None };
                    match gateway.fetch(&target, current).await {
                        Ok(response) => return Ok(response),
                        Err(error) => error,
                    }
                }
            };
            // An object that is being destroyed holds what reaches it until it is gone. The platform does not say whether it had begun
            // with this one before, so only what is safe to repeat finds the fresh instance.
            let is_safe = |request| matches!(gateway.method(request), Method::GET | Method::HEAD);
            let may_help = error.retryable || (error.message == destroy::REASON && next.as_ref().is_some_and(is_safe));
            // An overloaded object is not helped by another call.
            if !may_help || error.overloaded || next.is_none() || attempt == max_attempts {
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
        f.debug_struct("Delivery").field("route", self.route).field("placement", &self.placement).finish_non_exhaustive()
    }
}

/// Whether a request asks for a WebSocket.
fn is_upgrade<G: Gateway>(gateway: &G, request: &G::Request) -> bool {
    gateway.header(request, UPGRADE).is_some_and(|value| is_websocket(&value))
}

/// Takes away the headers that only a router or a stub may set.
fn strip_internal_headers<G: Gateway>(gateway: &G, request: &mut G::Request) -> Result<(), HostError> {
    for name in INTERNAL_HEADERS {
        // Looked for first, because a request that has to be changed has to be copied.
        if gateway.header(request, name).is_some() {
            gateway.set_request_header(request, name, None)?;
        }
    }
    Ok(())
}

fn with_headers<G: Gateway>(gateway: &G, response: G::Response, cors: &Cors) -> G::Response {
    match cors {
        Cors::Off => response,
        Cors::AllowAll => {
            gateway.with_response_headers(response, &mut cors::ALLOW_ALL.iter().map(|(name, value)| (*name, value)))
        }
        Cors::Headers(headers) => gateway.with_response_headers(response, &mut headers.iter()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt as _;

    use super::*;
    use crate::host::HostFault;

    type Options = RouteOptions<'static, &'static str, &'static str, HostError>;

    /// Requests and responses are texts; every attempt but the last fails.
    struct Flaky {
        failures: Cell<u32>,
        slept: Cell<u32>,
        method: Method,
    }

    impl Gateway for Flaky {
        type Request = &'static str;
        type Response = &'static str;

        fn bindings(&self) -> Rc<Vec<Binding>> {
            Rc::new(vec![Binding::new("Counter")])
        }

        fn method(&self, _: &&'static str) -> Method {
            self.method.clone()
        }

        fn path<'a>(&self, request: &'a &'static str) -> Cow<'a, str> {
            Cow::Borrowed(request)
        }

        fn header(&self, _: &&'static str, _: &str) -> Option<String> {
            None
        }

        fn set_request_header(&self, _: &mut &'static str, _: &str, _: Option<&HeaderValue>) -> Result<(), HostError> {
            Ok(())
        }

        fn try_copy(&self, request: &&'static str) -> Option<&'static str> {
            Some(request)
        }

        fn plain(&self, _: u16, text: &'static str) -> &'static str {
            text
        }

        fn with_response_headers<'h>(
            &self,
            response: &'static str,
            _: &mut dyn Iterator<Item = (&'h str, &'h HeaderValue)>,
        ) -> &'static str {
            response
        }

        fn fetch(&self, _: &Target, _: &'static str) -> LocalBoxFuture<'_, Result<&'static str, HostError>> {
            let left = self.failures.get();
            self.failures.set(left.saturating_sub(1));
            Box::pin(async move { if left == 0 { Ok("answer") } else { Err(busy()) } })
        }

        fn sleep_ms(&self, _: u32) -> LocalBoxFuture<'_, ()> {
            self.slept.set(self.slept.get() + 1);
            Box::pin(async {})
        }

        fn random(&self) -> f64 {
            0.5
        }

        fn log(&self, _: Level, _: &str) {}
    }

    fn busy() -> HostError {
        HostError::from(HostFault { retryable: true, ..HostFault::new("network connection lost") })
    }

    fn again(failures: u32, options: &Options, failed: HostError) -> (Result<&'static str, HostError>, u32) {
        again_with(Method::GET, failures, options, failed)
    }

    fn again_with(
        method: Method,
        failures: u32,
        options: &Options,
        failed: HostError,
    ) -> (Result<&'static str, HostError>, u32) {
        let gateway = Flaky { failures: Cell::new(failures), slept: Cell::new(0), method };
        let route = Route { binding: "Counter".to_owned(), name: "a".to_owned() };
        let outcome = route_again(&gateway, "/agents/counter/a", &route, options, failed).now_or_never();
        (outcome.expect("nothing waits"), gateway.slept.get())
    }

    #[test]
    fn a_first_attempt_made_elsewhere_counts() {
        assert_eq!(again(0, &Options::new(), busy()), (Ok("answer"), 1));
        assert_eq!(again(1, &Options::new(), busy()), (Ok("answer"), 2));
        assert_eq!(again(2, &Options::new(), busy()), (Err(busy()), 2));
        assert_eq!(again(0, &Options::new().retry(RoutingRetry::OFF), busy()), (Err(busy()), 0));
        let broken = HostError::new("broken");
        assert_eq!(again(0, &Options::new(), broken.clone()), (Err(broken), 0));
        let overloaded = HostError::from(HostFault { overloaded: true, ..busy().into() });
        assert_eq!(again(0, &Options::new(), overloaded.clone()), (Err(overloaded), 0));
    }

    #[test]
    fn what_met_an_object_at_its_end_finds_the_next_if_it_is_safe_to_repeat() {
        let destroyed = || HostError::from(HostFault { reset: true, ..HostFault::new(destroy::REASON) });
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(again_with(method, 0, &Options::new(), destroyed()), (Ok("answer"), 1));
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(again_with(method, 0, &Options::new(), destroyed()), (Err(destroyed()), 0));
        }
    }

    #[test]
    fn only_what_nothing_is_done_to_goes_straight() {
        let bindings = [Binding::new("Counter")];
        let route = |options: &Options, path| options.straight(path, &bindings).map(|(_, name)| name.to_owned());
        assert_eq!(route(&Options::new(), "/agents/counter/a/b"), Some("a".to_owned()));
        assert_eq!(route(&Options::new(), "/agents/nope/a"), None);
        assert_eq!(route(&Options::new(), "/other"), None);
        assert_eq!(route(&Options::new().default_agent("Counter"), "/agents/lobby"), Some("lobby".to_owned()));
        let eu = Placement { jurisdiction: Some("eu".to_owned()), location_hint: None };
        for options in [
            Options::new().cors(Cors::AllowAll),
            Options::new().props(HeaderValue::from_static("e30=")),
            Options::new().placement(eu),
            Options::new().on_before_connect(async |request, _| Ok(Before::Forward(request))),
            Options::new().on_before_request(async |request, _| Ok(Before::Forward(request))),
        ] {
            assert_eq!(route(&options, "/agents/counter/a"), None);
        }
    }
}
