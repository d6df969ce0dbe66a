//! A worker with one agent that says hello: the least that one weighs.

use durable_agents::prelude::*;

/// Says hello, and sends back what it is told.
#[derive(Debug, Default)]
pub struct HelloAgent;

#[agent]
impl Agent for HelloAgent {
    async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        connection.send(message)?;
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        Ok(Response::text(format!("Hello from {}!", cx.name())))
    }
}

#[durable_agents::fetch]
async fn not_found(_: worker::Request, _: worker::Env, _: worker::Context) -> Result<worker::Response> {
    Ok(worker::Response::error("Not found", 404)?)
}
