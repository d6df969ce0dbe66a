//! Counter: what survives, and what does not.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use agents_worker::counter::Counter;
use durable_agents::testing::MemoryHost;
use serde_json::json;

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/counter.rs"]
mod scenarios;
use plain::plain;

scenarios::counter_scenarios!(plain);

#[test]
fn the_state_survives_an_eviction_and_the_plain_field_does_not() {
    let host = MemoryHost::new();
    let counter = host.agent::<Counter>("a");
    let mut client = counter.connect("?protocol=false");
    let mut after = |command: &str| {
        client.send(command);
        client.next_json()
    };
    let reply = |count: u32, since_wake: u32| json!({ "type": "count", "count": count, "sinceWake": since_wake });
    assert_eq!(after("increment"), reply(1, 1));
    assert_eq!(after("increment"), reply(2, 2));
    counter.evict();
    assert_eq!(after("get"), reply(2, 0));
    assert_eq!(after("increment"), reply(3, 1));
}

#[test]
fn the_state_survives_a_crash() {
    let host = MemoryHost::new();
    let counter = host.agent::<Counter>("a");
    let mut client = counter.connect("?protocol=false");
    client.send("increment");
    client.frames();
    counter.crash();
    let mut client = counter.connect("?protocol=false");
    client.send("get");
    assert_eq!(client.next_json(), json!({ "type": "count", "count": 1, "sinceWake": 0 }));
}

#[test]
fn a_refused_increment_is_not_counted() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Counter>("a").connect("?protocol=false");
    client.set_state(&json!({ "count": 9_007_199_254_740_991_i64 }));
    client.send("increment");
    client.send("get");
    let frames = client.texts();
    assert_eq!(frames.len(), 3, "{frames:?}");
    assert!(frames[2].contains(r#""sinceWake":0"#), "{frames:?}");
}
