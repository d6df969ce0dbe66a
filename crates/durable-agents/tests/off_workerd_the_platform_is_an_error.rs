//! An agent that reaches for bindings runs under `cargo test` too: it gets an error to handle, not a panic.

use durable_agents::prelude::*;
use durable_agents::testing::MemoryHost;

#[derive(Default)]
struct Reaching;

#[agent]
impl Agent for Reaching {
    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        let reached = [cx.env().map(drop), cx.durable_state().map(drop)];
        Ok(Response::json(&reached.map(|result| result.map_err(|error| error.to_string())))?)
    }
}

#[test]
fn off_workerd_the_platform_is_an_error() {
    let answer = MemoryHost::new().agent::<Reaching>("a").get("");
    let error = serde_json::json!({"Err": "the agent does not run on workerd"});
    assert_eq!(answer.json(), serde_json::json!([error, error]));
}
