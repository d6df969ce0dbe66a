//! What clients of a counter see, whether or not the object was in memory all the time.

use agents_worker::counter::Counter;
use durable_agents::testing::{Client, MemoryHost, Object};
use serde_json::{Value, json};

/// All scenarios of this file, for `$each!`.
macro_rules! counter_scenarios {
    ($each:ident) => {
        $each! {
            it_begins_at_zero
            an_increment_reaches_everyone_and_is_answered
            its_methods_count_too
            asking_changes_nothing
            those_without_protocol_frames_hear_of_changes_too
            a_client_may_set_any_count_that_javascript_can_hold
            it_stops_where_javascript_would_round
            anything_else_is_refused
        }
    };
}
pub(crate) use counter_scenarios;

const UNKNOWN: &str = "Unknown command: send increment or get";

fn counter(host: &MemoryHost) -> Object {
    host.agent::<Counter>("a")
}

fn state(count: i64) -> Value {
    json!({ "type": "cf_agent_state", "state": { "count": count } })
}

/// The count of a `count` frame, whose `sinceWake` an eviction changes.
fn next_count(client: &mut Client) -> Value {
    let frame = client.next_json();
    assert_eq!(frame["type"], "count");
    assert!(frame["sinceWake"].is_u64());
    assert_eq!(frame.as_object().map(serde_json::Map::len), Some(3));
    frame["count"].clone()
}

pub(crate) fn it_begins_at_zero(host: &MemoryHost) {
    let mut client = counter(host).connect("");
    let greeting = client.greeting();
    assert_eq!(greeting.len(), 3);
    assert_eq!(serde_json::from_str::<Value>(&greeting[1]).expect("JSON"), state(0));
    client.expect_no_frame();
}

pub(crate) fn its_methods_count_too(host: &MemoryHost) {
    let counter = counter(host);
    let (mut ada, mut bob) = (counter.connect(""), counter.connect(""));
    assert_eq!(ada.call("increment", &json!([])), Ok(json!(1)));
    assert_eq!(bob.call("increment", &json!([])), Ok(json!(2)));
    assert_eq!([ada.next_json(), ada.next_json()], [state(1), state(2)]);
    assert_eq!(ada.call("get", &json!([])), Ok(json!(2)));
    ada.set_state(&json!({ "count": 9_007_199_254_740_991_i64 }));
    assert_eq!(ada.call("increment", &json!([])), Err("The counter is full".to_owned()));
}

pub(crate) fn an_increment_reaches_everyone_and_is_answered(host: &MemoryHost) {
    let counter = counter(host);
    let (mut ada, mut bob) = (counter.connect(""), counter.connect(""));
    for count in 1..=3 {
        ada.send("increment");
        assert_eq!(ada.next_json(), state(count));
        assert_eq!(next_count(&mut ada), count);
        ada.expect_no_frame();
        assert_eq!(bob.next_json(), state(count));
        bob.expect_no_frame();
    }
}

pub(crate) fn asking_changes_nothing(host: &MemoryHost) {
    let counter = counter(host);
    let (mut ada, mut bob) = (counter.connect(""), counter.connect(""));
    ada.send("get");
    assert_eq!(next_count(&mut ada), 0);
    ada.send("increment");
    ada.send("get");
    ada.send("get");
    ada.next_json();
    for _ in 0..3 {
        assert_eq!(next_count(&mut ada), 1);
    }
    ada.expect_no_frame();
    assert_eq!(bob.texts().len(), 1);
}

pub(crate) fn those_without_protocol_frames_hear_of_changes_too(host: &MemoryHost) {
    let counter = counter(host);
    let mut quiet = counter.connect("?protocol=false");
    assert_eq!(quiet.greeting(), [""; 0]);
    let mut ada = counter.connect("?protocol=true");
    ada.send("increment");
    assert_eq!(next_count(&mut quiet), 1);
    quiet.send("increment");
    assert_eq!(next_count(&mut quiet), 2, "once, although it was the one to ask");
    quiet.expect_no_frame();
    ada.set_state(&json!({ "count": 7 }));
    assert_eq!(next_count(&mut quiet), 7);
    quiet.send("get");
    assert_eq!(next_count(&mut quiet), 7);
    quiet.expect_no_frame();
}

pub(crate) fn a_client_may_set_any_count_that_javascript_can_hold(host: &MemoryHost) {
    let counter = counter(host);
    let (mut ada, mut bob) = (counter.connect(""), counter.connect(""));
    for count in [0, 5, 9_007_199_254_740_991] {
        ada.set_state(&json!({ "count": count }));
        assert_eq!(bob.next_json(), state(count));
    }
    for refused in [
        json!({ "count": -1 }),
        json!({ "count": 9_007_199_254_740_992_i64 }),
        json!({ "count": 1.5 }),
        json!({}),
        json!(5),
        Value::Null,
    ] {
        ada.set_state(&refused);
        let error = json!({ "type": "cf_agent_state_error", "error": "State update rejected" });
        assert_eq!(ada.next_json(), error, "{refused}");
    }
    bob.expect_no_frame();
}

pub(crate) fn it_stops_where_javascript_would_round(host: &MemoryHost) {
    let mut ada = counter(host).connect("");
    ada.set_state(&json!({ "count": 9_007_199_254_740_991_i64 }));
    ada.send("increment");
    assert_eq!(ada.next_json(), json!({ "type": "error", "message": "The counter is full" }));
    ada.send("get");
    assert_eq!(next_count(&mut ada), 9_007_199_254_740_991_i64);
}

pub(crate) fn anything_else_is_refused(host: &MemoryHost) {
    let mut ada = counter(host).connect("");
    for text in ["", "Increment", "increment ", "decrement", "{}"] {
        ada.send(text);
        assert_eq!(ada.next_json(), json!({ "type": "error", "message": UNKNOWN }), "{text}");
    }
    ada.send(b"increment".to_vec());
    assert_eq!(ada.next_json(), json!({ "type": "error", "message": UNKNOWN }));
    ada.send("get");
    assert_eq!(next_count(&mut ada), 0);
}
