//! Reaching an agent by its name, from the worker.

use std::fmt;
use std::marker::PhantomData;

use durable_agents_core::host::{HostError, Placement};
use durable_agents_core::http::HeaderValue;
use durable_agents_core::route::{Delivery, Route, RoutingRetry, deliver};
use durable_agents_core::{Agent, encode_props};
use worker::{Env, Request, Response};

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
        route: Route { binding: A::CLASS.to_owned(), name: name.to_owned() },
        placement: Placement::default(),
        props: None,
        retry: RoutingRetry::default(),
        agent: PhantomData,
    }
}

/// The worker's way to one agent; see [`get_agent_by_name`]. Inside an agent it is [`Context::agent`](crate::Context::agent).
#[must_use = "nothing is sent before `fetch`"]
pub struct AgentByName<A: Agent> {
    env: Env,
    route: Route,
    placement: Placement,
    props: Option<HeaderValue>,
    retry: RoutingRetry,
    agent: PhantomData<fn() -> A>,
}

impl<A: Agent> AgentByName<A> {
    /// The same agent under another binding than its class name.
    pub fn bound_as(mut self, binding: &str) -> Self {
        binding.clone_into(&mut self.route.binding);
        self
    }

    /// The same agent, placed. In another jurisdiction the same name is another instance.
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = placement;
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

    /// How often to try again where the platform says that it may help. Default: three attempts.
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
        let delivery = Delivery {
            route: &self.route,
            placement: &self.placement,
            props: self.props.as_ref(),
            retry: self.retry,
            on_retry: None,
        };
        deliver(&Worker { env: self.env.as_ref() }, crate::router::same(request), &delivery).await
    }
}

impl<A: Agent> fmt::Debug for AgentByName<A> {
    // Props may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentByName({} {:?})", self.route.binding, self.route.name)
    }
}
