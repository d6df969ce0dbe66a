//! Agents of one behaviour or none, which are about their addresses.

use durable_agents::prelude::*;
use serde::Serialize;

/// Accepts connections.
#[derive(Debug, Default)]
pub struct TestCaseSensitiveAgent;

#[agent]
impl Agent for TestCaseSensitiveAgent {}

/// Accepts connections.
#[derive(Debug, Default)]
pub struct TestUserNotificationAgent;

#[agent]
impl Agent for TestUserNotificationAgent {}

/// Answers every request alike.
#[derive(Debug, Default)]
pub struct TestOAuthAgent;

#[agent]
impl Agent for TestOAuthAgent {
    async fn on_request(&self, _: &Context<Self>, _: Request) -> Result<Response> {
        Ok(Response::text("Test OAuth Agent"))
    }
}

/// Tells what a call knows of its surroundings.
#[derive(Debug, Default)]
pub struct TestConnectionUriAgent;

#[agent]
impl Agent for TestConnectionUriAgent {}

/// What a call knows of its surroundings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surroundings {
    has_connection: bool,
    connection_uri: Option<String>,
    has_request: bool,
    request_url: Option<String>,
}

#[callable(rename_all = "camelCase")]
impl TestConnectionUriAgent {
    fn get_connection_context(&self, cx: &Context<Self>) -> Result<Surroundings> {
        let caller = cx.caller();
        Ok(Surroundings {
            has_connection: caller.is_some(),
            connection_uri: caller.map(|caller| caller.uri().to_owned()),
            // A request is an argument of the hook it belongs to; a call over a socket has none.
            has_request: false,
            request_url: None,
        })
    }
}
