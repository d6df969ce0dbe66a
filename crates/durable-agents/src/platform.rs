//! What an agent can reach of the platform beneath it.

use durable_agents_core::host::{HostError, Surroundings};
use durable_agents_core::http::Body;
use durable_agents_core::{Agent, Context, demand};
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;
use worker::worker_sys::DurableObjectState;

use crate::workerd::{WorkerEnv, WorkerHost, pieces};

/// Bindings and Durable Object state, for what the framework does not wrap. In the prelude.
///
/// Where an agent runs outside of workerd, in a native test for instance, there is neither: an error, which code under test can
/// meet without a panic. [`Context::var`] works everywhere.
pub trait Platform {
    /// All bindings: variables, secrets, KV, R2, D1, AI, queues, other objects.
    ///
    /// # Errors
    /// The agent does not run on workerd.
    fn env(&self) -> Result<worker::Env, HostError>;

    /// The Durable Object state: storage, alarms, sockets, hibernation's auto-response.
    ///
    /// Keys, tables and sockets of the framework are reachable too; whoever changes them has to know what they are for.
    ///
    /// # Errors
    /// The agent does not run on workerd.
    fn durable_state(&self) -> Result<worker::durable::State, HostError>;
}

impl<A: Agent> Platform for Context<A> {
    fn env(&self) -> Result<worker::Env, HostError> {
        Ok(host(self)?.around.env.clone().unchecked_into())
    }

    fn durable_state(&self) -> Result<worker::durable::State, HostError> {
        let state: JsValue = host(self)?.state.clone().into();
        Ok(state.unchecked_into::<DurableObjectState>().into())
    }
}

/// What the worker has outside of any agent, in a hook of the router for instance: the same that [`Context::host`] is inside of one.
pub fn surroundings(env: &worker::Env) -> impl Surroundings + use<> {
    WorkerEnv { env: AsRef::<JsValue>::as_ref(env).clone() }
}

/// A body that reads a stream of the platform. Dropped before its end, it cancels the stream.
pub fn body_of(stream: ReadableStream) -> Body {
    demand::STREAM.note();
    pieces(stream)
}

fn host<A: Agent>(cx: &Context<A>) -> Result<&WorkerHost, HostError> {
    cx.adapter().downcast_ref().ok_or_else(|| HostError::new("the agent does not run on workerd"))
}
