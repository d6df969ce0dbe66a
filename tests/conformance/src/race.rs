//! What a message may rely on that comes right after connecting.

use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Tags a connection when it connects, and tells with each message whether it is tagged.
#[derive(Debug, Default)]
pub struct TestRaceAgent;

/// State of a connection.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Tag {
    tagged: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "echo")]
struct Echo {
    tagged: bool,
}

#[agent]
impl Agent for TestRaceAgent {
    type State = Value;
    type ConnectionState = Tag;

    fn initial_state(&self) -> Option<Value> {
        Some(json!({"hello": "world"}))
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Request) -> Result<()> {
        Ok(connection.set_state(Tag { tagged: true })?)
    }

    async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, _: Message) -> Result<()> {
        let tagged = connection.state()?.is_some_and(|tag| tag.tagged);
        Ok(connection.send_json(&Echo { tagged })?)
    }
}
