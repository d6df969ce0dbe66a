//! The agent that the benchmark measures.
//!
//! Nothing in it is there for the benchmark's sake: it is what anybody would write, in a worker with this one agent.

use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

/// Sends back, broadcasts, adds, and shares a small state.
#[derive(Debug, Default)]
pub struct BenchAgent;

/// What its clients share.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Shared {
    count: u64,
    text: String,
}

/// The answer to a request.
#[derive(Debug, Serialize)]
struct Health {
    ok: bool,
    agent: &'static str,
}

#[agent]
impl Agent for BenchAgent {
    type State = Shared;

    fn initial_state(&self) -> Option<Shared> {
        Some(Shared::default())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some(text) if text.starts_with("broadcast:") => cx.broadcast(message, &[]),
            _ => connection.send(message)?,
        }
        Ok(())
    }

    async fn on_request(&self, _: &Context<Self>, _: Request) -> Result<Response> {
        Ok(Response::json(&Health { ok: true, agent: "bench-agent" })?)
    }
}

#[agent]
impl BenchAgent {
    // Any number that JavaScript has, and whole ones without a fraction, as there.
    #[callable]
    fn add(&self, a: f64, b: f64) -> Result<f64> {
        Ok(a + b)
    }
}

#[durable_agents::fetch]
async fn not_found(_: worker::Request, _: worker::Env, _: worker::Context) -> Result<worker::Response> {
    Ok(worker::Response::error("Not found", 404)?)
}
