//! What people in a chat room see.

use agents_worker::room::{ChatRoom, MAX_MESSAGE_BYTES, MAX_NAME_BYTES};
use durable_agents::Close;
use durable_agents::http::StatusCode;
use durable_agents::testing::{Client, MemoryHost, Object};
use serde_json::{Value, json};

/// All scenarios of this file, for `$each!`.
macro_rules! room_scenarios {
    ($each:ident) => {
        $each! {
            others_hear_of_a_newcomer_who_hears_nothing
            a_message_reaches_everyone
            a_message_is_a_frame_or_plain_text
            what_is_no_message_is_refused
            the_others_hear_of_a_leave
            two_connections_with_one_name_come_and_go_apart
            a_name_that_is_missing_is_anonymous
            a_name_that_is_too_long_or_unprintable_is_refused_unheard
            there_is_no_state
            without_protocol_frames_the_room_is_the_same
            it_has_nothing_over_http
            whoever_asks_is_told_how_many_are_here
        }
    };
}
pub(crate) use room_scenarios;

fn room(host: &MemoryHost) -> Object {
    host.agent::<ChatRoom>("den")
}

/// The frame of that type by that user at this time.
fn frame(host: &MemoryHost, kind: &str, user: &str) -> Value {
    json!({ "type": kind, "user": user, "timestamp": host.now_ms() })
}

fn message(host: &MemoryHost, user: &str, text: &str) -> Value {
    json!({ "type": "message", "user": user, "text": text, "timestamp": host.now_ms() })
}

pub(crate) fn others_hear_of_a_newcomer_who_hears_nothing(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada");
    ada.expect_no_frame();
    let mut bob = room.connect("?username=bob");
    bob.expect_no_frame();
    assert_eq!(ada.next_json(), frame(host, "join", "bob"));
    room.connect("?username=J%C3%BCrgen+A").expect_no_frame();
    assert_eq!(ada.next_json(), frame(host, "join", "Jürgen A"));
    assert_eq!(bob.next_json(), frame(host, "join", "Jürgen A"));
}

pub(crate) fn a_message_reaches_everyone(host: &MemoryHost) {
    let room = room(host);
    let (mut ada, mut bob) = (room.connect("?username=ada"), room.connect("?username=bob"));
    ada.frames();
    host.advance(std::time::Duration::from_millis(1_234));
    ada.send(r#"{"type":"message","text":"hello","more":1}"#);
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.next_json(), message(host, "ada", "hello"));
        client.expect_no_frame();
    }
}

pub(crate) fn a_message_is_a_frame_or_plain_text(host: &MemoryHost) {
    let mut ada = room(host).connect("?username=ada");
    for (sent, text) in
        [(r#"{"type":"message","text":""}"#, ""), ("hello", "hello"), ("{incomplete", "{incomplete"), ("42", "42"), ("", "")]
    {
        ada.send(sent);
        assert_eq!(ada.next_json(), message(host, "ada", text), "{sent}");
    }
}

pub(crate) fn what_is_no_message_is_refused(host: &MemoryHost) {
    let room = room(host);
    let (mut ada, mut bob) = (room.connect("?username=ada"), room.connect("?username=bob"));
    ada.frames();
    let invalid = json!({ "type": "error", "message": "Invalid message format" });
    for text in ["{}", r#"{"type":"message"}"#, r#"{"type":"message","text":5}"#, r#"{"type":"join","user":"eve"}"#] {
        ada.send(text);
        assert_eq!(ada.next_json(), invalid, "{text}");
    }
    ada.send(b"bytes".to_vec());
    assert_eq!(ada.next_json(), invalid);
    bob.expect_no_frame();

    let longest = "x".repeat(MAX_MESSAGE_BYTES);
    ada.send(&longest);
    assert_eq!(ada.next_json(), message(host, "ada", &longest));
    ada.send(format!("{longest}x"));
    assert_eq!(ada.next_json(), json!({ "type": "error", "message": "Message too long: the limit is 8192 bytes" }));
    assert_eq!(bob.texts().len(), 1);
}

pub(crate) fn the_others_hear_of_a_leave(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada");
    for lose in [
        |client: &mut Client| client.close(4000, "bye"),
        Client::close_without_code,
        Client::cut,
        |client: &mut Client| {
            client.fail("protocol error");
        },
    ] {
        let mut bob = room.connect("?username=bob");
        assert_eq!(ada.next_json(), frame(host, "join", "bob"));
        lose(&mut bob);
        assert_eq!(ada.next_json(), frame(host, "leave", "bob"));
        ada.expect_no_frame();
        bob.expect_no_frame();
    }
}

pub(crate) fn two_connections_with_one_name_come_and_go_apart(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada");
    let mut twin = room.connect("?username=ada");
    assert_eq!(ada.next_json(), frame(host, "join", "ada"));
    twin.close(1000, "");
    assert_eq!(ada.next_json(), frame(host, "leave", "ada"));
}

pub(crate) fn a_name_that_is_missing_is_anonymous(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada");
    for query in ["", "?username=", "?name=bob"] {
        room.connect(query).close(1000, "");
        assert_eq!(ada.next_json(), frame(host, "join", "anonymous"), "{query}");
        assert_eq!(ada.next_json(), frame(host, "leave", "anonymous"), "{query}");
    }
}

pub(crate) fn a_name_that_is_too_long_or_unprintable_is_refused_unheard(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada");
    let reason = "username: at most 128 bytes, no control characters".to_owned();
    for name in ["x".repeat(MAX_NAME_BYTES + 1), "a%00b".to_owned()] {
        let mut client = room.connect(&format!("?username={name}"));
        assert_eq!(client.close_event(), Close { code: 1008, reason: reason.clone(), was_clean: true });
        client.send("still here?");
        ada.expect_no_frame();
    }
}

pub(crate) fn there_is_no_state(host: &MemoryHost) {
    let mut ada = room(host).connect("?username=ada");
    let types: Vec<Value> =
        ada.greeting().iter().map(|frame| serde_json::from_str::<Value>(frame).expect("JSON")["type"].clone()).collect();
    assert_eq!(types, ["cf_agent_identity", "cf_agent_mcp_servers"]);
    for state in [Value::Null, json!({})] {
        ada.set_state(&state);
        assert_eq!(ada.next_json()["type"], "cf_agent_state_error");
    }
}

pub(crate) fn without_protocol_frames_the_room_is_the_same(host: &MemoryHost) {
    let room = room(host);
    let mut quiet = room.connect("?username=quiet&protocol=false");
    assert_eq!(quiet.greeting(), [""; 0]);
    let mut ada = room.connect("?username=ada&protocol=true");
    assert_eq!(ada.greeting().len(), 2);
    ada.send("hello");
    ada.close(1000, "");
    assert_eq!(quiet.next_json(), frame(host, "join", "ada"));
    assert_eq!(quiet.next_json(), message(host, "ada", "hello"));
    assert_eq!(quiet.next_json(), frame(host, "leave", "ada"));
}

pub(crate) fn it_has_nothing_over_http(host: &MemoryHost) {
    assert_eq!(room(host).get("").status, StatusCode::NOT_FOUND);
}

pub(crate) fn whoever_asks_is_told_how_many_are_here(host: &MemoryHost) {
    let room = room(host);
    let mut ada = room.connect("?username=ada&protocol=false");
    let mut twin = room.connect("?username=ada");
    room.connect("?username=bob").cut();
    ada.frames();
    for (client, guests) in [(&mut ada, 2), (&mut twin, 2)] {
        client.frames();
        client.send_json(&json!({ "type": "rpc", "id": "1", "method": "stats", "args": [] }));
        let result = json!({ "guests": guests, "users": 1 });
        assert_eq!(client.next_json(), json!({ "type": "rpc", "id": "1", "success": true, "done": true, "result": result }));
    }
}
