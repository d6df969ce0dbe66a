//! WorldAgent: what its users see.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/chat_completions.rs"]
mod chat_completions;
#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/world.rs"]
mod scenarios;
use agents_worker::world::WorldAgent;
use durable_agents::testing::MemoryHost;
use plain::plain;
use serde_json::json;

scenarios::world_scenarios!(plain);

#[test]
fn a_ping_writes_nothing_into_the_database() {
    let host = MemoryHost::new();
    let user = host.agent::<WorldAgent>("0123456789abcdef0123456789abcdef");
    let mut client = user.connect("");
    client.texts();
    let before = user.storage_calls();
    for id in ["1", "2", "3"] {
        client.send_json(&json!({ "id": id, "type": "ping" }));
        assert_eq!(client.next_json()["type"], "pong");
    }
    assert_eq!(user.storage_calls(), before);
}
