//! What people see of each other.

use std::time::Duration;

use agents_worker::presence::{MAX_NAME_BYTES, PresenceAgent};
use durable_agents::Close;
use durable_agents::testing::{Client, MemoryHost, Object};
use serde_json::{Value, json};

/// All scenarios of this file, for `$each!`.
macro_rules! presence_scenarios {
    ($each:ident) => {
        $each! {
            everyone_sees_who_is_here_after_the_protocol_frames
            who_leaves_is_seen_no_more
            a_ping_is_answered_and_counts_as_seen
            anything_else_is_refused
            a_name_that_is_missing_is_anonymous
            a_name_that_is_too_long_or_unprintable_is_refused_unseen
            an_id_that_is_unprintable_is_refused_unseen
            while_a_reconnect_overlaps_the_newer_one_is_the_user
            without_protocol_frames_presence_is_the_same
        }
    };
}
pub(crate) use presence_scenarios;

fn place(host: &MemoryHost) -> Object {
    host.agent::<PresenceAgent>("office")
}

fn user(name: &str, joined_at: u64, last_seen: u64) -> Value {
    json!({ "name": name, "joinedAt": joined_at, "lastSeen": last_seen })
}

pub(crate) fn everyone_sees_who_is_here_after_the_protocol_frames(host: &MemoryHost) {
    let place = place(host);
    let start = host.now_ms();
    let mut ada = place.connect("?_pk=a&name=ada");
    assert_eq!(ada.greeting().len(), 2, "identity and MCP servers, no state");
    assert_eq!(ada.next_json(), json!({ "type": "presence", "users": { "a": user("ada", start, start) } }));
    host.advance(Duration::from_secs(5));
    let mut bob = place.connect("?_pk=b&name=bob");
    let both = json!({ "type": "presence", "users": {
        "a": user("ada", start, start),
        "b": user("bob", start + 5_000, start + 5_000),
    } });
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.next_json(), both);
        client.expect_no_frame();
    }
}

pub(crate) fn who_leaves_is_seen_no_more(host: &MemoryHost) {
    let place = place(host);
    let mut ada = place.connect("?_pk=a&name=ada");
    let alone = ada.next_json();
    for lose in [
        |client: &mut Client| client.close(1000, ""),
        Client::close_without_code,
        Client::cut,
        |client: &mut Client| {
            client.fail("protocol error");
        },
    ] {
        let mut bob = place.connect("?_pk=b&name=bob");
        assert_eq!(ada.next_json()["users"].as_object().map(serde_json::Map::len), Some(2));
        lose(&mut bob);
        assert_eq!(ada.next_json(), alone);
        ada.expect_no_frame();
    }
}

pub(crate) fn a_ping_is_answered_and_counts_as_seen(host: &MemoryHost) {
    let place = place(host);
    let start = host.now_ms();
    let (mut ada, mut bob) = (place.connect("?_pk=a&name=ada"), place.connect("?_pk=b&name=bob"));
    ada.frames();
    bob.frames();
    host.advance(Duration::from_secs(30));
    ada.send("ping");
    assert_eq!(ada.next_text(), "pong");
    ada.expect_no_frame();
    bob.expect_no_frame();

    bob.close(1000, "");
    assert_eq!(ada.next_json()["users"], json!({ "a": user("ada", start, start + 30_000) }));
}

pub(crate) fn anything_else_is_refused(host: &MemoryHost) {
    let place = place(host);
    let (mut ada, mut bob) = (place.connect("?name=ada"), place.connect("?name=bob"));
    ada.frames();
    bob.frames();
    for text in ["", "Ping", "hello", "{}", r#"{"type":"ping"}"#] {
        ada.send(text);
        assert_eq!(ada.next_json(), json!({ "type": "error", "message": "Invalid message format" }), "{text}");
    }
    ada.send(b"ping".to_vec());
    assert_eq!(ada.next_json()["type"], "error");
    bob.expect_no_frame();
}

pub(crate) fn a_name_that_is_missing_is_anonymous(host: &MemoryHost) {
    let place = place(host);
    for query in ["?_pk=a", "?_pk=a&name="] {
        assert_eq!(place.connect(query).next_json()["users"]["a"]["name"], "anonymous", "{query}");
    }
}

pub(crate) fn a_name_that_is_too_long_or_unprintable_is_refused_unseen(host: &MemoryHost) {
    let place = place(host);
    let mut ada = place.connect("?name=ada");
    ada.frames();
    let reason = "name: at most 128 bytes, no control characters".to_owned();
    for name in ["x".repeat(MAX_NAME_BYTES + 1), "a%0Db".to_owned()] {
        let mut client = place.connect(&format!("?name={name}"));
        assert_eq!(client.close_event(), Close { code: 1008, reason: reason.clone(), was_clean: true });
        client.expect_no_frame();
    }
    ada.expect_no_frame();
}

pub(crate) fn an_id_that_is_unprintable_is_refused_unseen(host: &MemoryHost) {
    let place = place(host);
    let mut ada = place.connect("?name=ada");
    ada.frames();
    let reason = "_pk: no control characters".to_owned();
    for id in ["%01".repeat(256), "a%0Ab".to_owned(), "%C2%85".to_owned()] {
        let mut client = place.connect(&format!("?_pk={id}&name=bob"));
        assert_eq!(client.close_event(), Close { code: 1008, reason: reason.clone(), was_clean: true });
        client.expect_no_frame();
    }
    ada.expect_no_frame();
}

pub(crate) fn while_a_reconnect_overlaps_the_newer_one_is_the_user(host: &MemoryHost) {
    let place = place(host);
    let mut ada = place.connect("?_pk=a&name=ada");
    let mut old = place.connect("?_pk=b&name=old");
    host.advance(Duration::from_secs(1));
    let mut new = place.connect("?_pk=b&name=new");
    assert_eq!(new.next_json()["users"]["b"]["name"], "new");
    ada.frames();
    old.cut();
    assert_eq!(ada.next_json()["users"]["b"]["name"], "new");
    ada.expect_no_frame();
}

pub(crate) fn without_protocol_frames_presence_is_the_same(host: &MemoryHost) {
    let place = place(host);
    let mut quiet = place.connect("?_pk=q&name=quiet&protocol=false");
    assert_eq!(quiet.greeting(), [""; 0]);
    assert_eq!(quiet.next_json()["users"]["q"]["name"], "quiet");
    place.connect("?_pk=a&name=ada&protocol=true");
    assert_eq!(quiet.next_json()["users"]["a"]["name"], "ada");
    quiet.send("ping");
    assert_eq!(quiet.next_text(), "pong");
}
