//! Reaching an agent by its name, from the worker.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use durable_agents_core::host::{HostError, Level, Placement, Surroundings as _, Target};
use durable_agents_core::http::{self, HeaderValue};
use durable_agents_core::route::{Delivery, Route, RoutingRetry, deliver};
use durable_agents_core::rpc::{Answer, Calling, Remote, Stub, Transport};
use durable_agents_core::{Agent, PROPS_HEADER, encode_props};
use futures::future::LocalBoxFuture;
use worker::{Env, Request, Response};

use crate::platform::surroundings;
use crate::router::Worker;
use crate::workerd;

/// The agent `A` of that name, bound under its class name. Nothing is sent before the stub is used.
///
/// For URLs of one's own: a client's `basePath` leads here, and the path may be anything.
///
/// ```no_run
/// # use durable_agents::prelude::*;
/// # #[derive(Default)]
/// # struct Counter;
/// # #[agent]
/// # impl Agent for Counter {}
/// use durable_agents::get_agent_by_name;
///
/// async fn my_counter(request: worker::Request, env: &worker::Env, user: &str) -> Result<worker::Response> {
///     Ok(get_agent_by_name::<Counter>(env, user).fetch(&request).await?)
/// }
/// ```
pub fn get_agent_by_name<A: Agent>(env: &Env, name: &str) -> AgentByName<A> {
    AgentByName {
        env: env.clone(),
        target: Target { binding: A::CLASS.to_owned(), name: name.to_owned(), placement: Placement::default() },
        props: None,
        timeout: Remote::TIMEOUT,
        retry: RoutingRetry::default(),
        agent: PhantomData,
    }
}

/// The worker's way to one agent; see [`get_agent_by_name`]. Inside an agent it is [`Context::agent`](crate::Context::agent).
///
/// Its callable methods are methods of this, once the trait that [`#[callable]`](macro@crate::callable) makes is in scope.
#[must_use = "nothing is sent before `fetch` or a call"]
pub struct AgentByName<A: Agent> {
    env: Env,
    target: Target,
    props: Option<HeaderValue>,
    timeout: Duration,
    retry: RoutingRetry,
    agent: PhantomData<fn() -> A>,
}

impl<A: Agent> AgentByName<A> {
    /// The same agent under another binding than its class name.
    pub fn bound_as(mut self, binding: &str) -> Self {
        binding.clone_into(&mut self.target.binding);
        self
    }

    /// The same agent, placed. In another jurisdiction the same name is another instance.
    pub fn placed(mut self, placement: Placement) -> Self {
        self.target.placement = placement;
        self
    }

    /// Passes `props` to [`on_start`](Agent::on_start) if the next request wakes the agent.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn with_props(mut self, props: &A::Props) -> Result<Self, serde_json::Error> {
        self.props = Some(encode_props(props)?);
        Ok(self)
    }

    /// How long a call of a method waits for its answer. Default 30 seconds. [`fetch`](Self::fetch) has no limit of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often [`fetch`](Self::fetch) tries again where the platform says that it may help. Default: three attempts. A call of a
    /// method is made once: whether it has run already is not known.
    pub fn retry(mut self, retry: RoutingRetry) -> Self {
        self.retry = retry;
        self
    }

    /// Sends a request or an upgrade as it is, whatever its path; only internal headers are taken off.
    ///
    /// # Errors
    /// [`HostError`] as the last attempt met it. An answer with an error status is no error.
    pub async fn fetch(&self, request: &Request) -> Result<Response, HostError> {
        workerd::install_hook();
        let Target { binding, name, placement } = &self.target;
        let delivery = Delivery {
            route: &Route { binding: binding.clone(), name: name.clone() },
            placement: Some(placement),
            props: self.props.as_ref(),
            retry: self.retry,
            on_retry: None,
        };
        deliver(&Worker { env: self.env.as_ref() }, crate::router::same(request), &delivery).await
    }
}

impl<A: Agent> Stub for AgentByName<A> {
    type Agent = A;

    fn call_method<'w>(&'w self, method: &'w str, args: Result<String, serde_json::Error>) -> Calling<'w, Answer> {
        workerd::install_hook();
        let mut random = [0; 16];
        surroundings(&self.env).fill_random(&mut random);
        Box::pin(Remote::new(&self.target, self.timeout, random).call(self, method, args))
    }
}

impl<A: Agent> Transport for AgentByName<A> {
    fn send(&self, mut request: http::Request) -> LocalBoxFuture<'_, Result<http::Response, HostError>> {
        if let Some(props) = &self.props {
            request.set_header(PROPS_HEADER, props.clone());
        }
        workerd::fetch(self.env.as_ref(), &self.target, request)
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()> {
        workerd::sleep(duration)
    }

    fn log(&self, level: Level, line: &str) {
        workerd::write_log(level, line);
    }
}

impl<A: Agent> fmt::Debug for AgentByName<A> {
    // Props may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentByName({} {:?})", self.target.binding, self.target.name)
    }
}
