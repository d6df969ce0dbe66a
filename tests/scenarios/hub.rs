//! What users, guests, services and intruders get from a hub.

use std::time::Duration;

use agents_worker::hub::{HubAgent, MAX_CONVERSATIONS, MAX_MESSAGE_BYTES};
use durable_agents::MAX_ATTACHMENT_BYTES;
use durable_agents::http::{HeaderValue, Method, Request, StatusCode, header};
use durable_agents::testing::{Client, Collected, MemoryHost, Object};
use serde_json::{Value, json};

use crate::tokens::{EC, OTHER_EC, SECRET, es256, hs256, jwk, jwks, jwt, unsigned};

/// All scenarios of this file, for `$each!`.
macro_rules! hub_scenarios {
    ($each:ident) => {
        $each! {
            a_user_is_told_who_it_is_and_who_is_here
            a_guest_stays_and_gets_what_is_public
            a_forged_token_makes_a_guest
            a_genuine_token_makes_a_user
            frames_of_the_framework_are_for_those_who_ask_for_them
            whoever_does_not_ask_for_the_framework_does_not_speak_to_it
            methods_are_for_clients_that_may_publish
            a_ping_is_answered
            users_see_what_agents_do_and_newcomers_the_newest
            a_message_reaches_those_who_joined_its_conversation
            a_connection_joins_so_many_conversations
            what_of_a_url_is_not_joined_is_said
            a_notification_reaches_everyone_or_one_user_on_every_socket
            others_see_when_a_user_is_away_busy_and_back
            devices_of_a_user_merge
            a_user_is_offline_some_time_after_the_last_socket_has_closed
            who_comes_back_in_time_was_never_gone
            too_many_messages_are_refused_and_the_third_strike_closes
            a_call_over_the_rate_is_answered
            who_fills_the_attachment_is_limited_all_the_same
            strikes_expire
            what_is_invalid_or_too_large_is_a_strike
            too_many_bytes_are_refused
            the_server_pings_and_shows_out_who_is_silent
            whatever_a_client_says_is_a_sign_of_life
            nobody_is_watched_when_nobody_is_there
            publishing_takes_a_token_with_its_scope
            a_bad_body_is_refused_by_its_field
            metrics_count_what_happened
            metrics_take_a_token_with_their_scope
            nobody_gets_what_is_for_others
        }
    };
}
pub(crate) use hub_scenarios;

/// A hub on a developer's machine.
fn hub(host: &MemoryHost) -> Object {
    host.set_var("DEV_TOKENS", "true");
    host.agent::<HubAgent>("office")
}

/// A frame without its timestamp, which it must have.
pub(crate) fn undated(mut frame: Value) -> Value {
    let timestamp = frame.as_object_mut().and_then(|frame| frame.remove("timestamp"));
    let timestamp = timestamp.as_ref().and_then(Value::as_str).unwrap_or_default();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp:?} {frame}");
    frame
}

pub(crate) fn next(client: &mut Client) -> Value {
    undated(client.next_json())
}

fn rest(client: &mut Client) -> Vec<Value> {
    client.texts().iter().map(|text| undated(serde_json::from_str(text).expect("JSON"))).collect()
}

pub(crate) fn frame(kind: &str, data: Value) -> Value {
    json!({ "type": kind, "data": data })
}

fn error(error: &str) -> Value {
    frame("error", json!({ "error": error }))
}

pub(crate) fn presence(user: &str, status: &str) -> Value {
    frame("user_presence", json!({ "userId": user, "status": status }))
}

/// Connects a user, and puts the frames of the connect aside.
pub(crate) fn sign_in(hub: &Object, user: &str) -> Client {
    let mut client = hub.connect(&format!("?token=dev:{user}"));
    assert_eq!(next(&mut client)["data"]["success"], true);
    client.frames();
    client
}

fn guest(hub: &Object) -> Client {
    let mut client = hub.connect("");
    assert_eq!(next(&mut client), frame("auth", json!({ "success": false })));
    client
}

pub(crate) fn request_as(hub: &Object, method: Method, path: &str, token: &str, body: &str) -> Collected {
    let mut request = Request::new(method, &hub.url(path), body.to_owned());
    if !token.is_empty() {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("a header");
        request.set_header(header::AUTHORIZATION, bearer);
    }
    hub.request(request)
}

/// Publishes as a service, and returns to how many sockets it went.
pub(crate) fn publish(hub: &Object, path: &str, body: &Value) -> u64 {
    let answer = request_as(hub, Method::POST, path, "dev:service:hub:publish", &body.to_string());
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.text());
    answer.json()["delivered"].as_u64().expect("a number")
}

fn say(client: &mut Client, kind: &str, data: Value) {
    client.send_json(&frame(kind, data));
}

fn subscribe(client: &mut Client, conversation: &str) {
    say(client, "subscribe", json!({ "conversationId": conversation }));
    assert_eq!(next(client), frame("subscribed", json!({ "conversationId": conversation })));
}

fn message(conversation: &str, content: &str) -> Value {
    json!({ "conversationId": conversation, "messageId": "m1", "content": content, "sender": "ada",
        "timestamp": "2026-11-21T08:00:00Z" })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn a_user_is_told_who_it_is_and_who_is_here(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = hub.connect("?token=dev:ada");
    assert_eq!(
        ada.next_text(),
        format!(r#"{{"type":"auth","data":{{"success":true,"userId":"ada"}},"timestamp":"{}"}}"#, "2023-11-14T22:13:20.000Z")
    );
    assert_eq!(rest(&mut ada), [presence("ada", "online")]);
    let mut bob = hub.dial("").header("authorization", "Bearer dev:bob").connect();
    assert_eq!(next(&mut bob), frame("auth", json!({ "success": true, "userId": "bob" })));
    assert_eq!(rest(&mut bob), [presence("ada", "online"), presence("bob", "online")]);
    assert_eq!(rest(&mut ada), [presence("bob", "online")]);
}

pub(crate) fn a_guest_stays_and_gets_what_is_public(host: &MemoryHost) {
    let hub = hub(host);
    let mut guest = hub.connect("?conversation=c1");
    assert_eq!(next(&mut guest), frame("auth", json!({ "success": false })));
    let mut ada = sign_in(&hub, "ada");
    say(&mut ada, "user_presence", json!("busy"));
    assert_eq!(next(&mut ada), presence("ada", "busy"));
    assert_eq!(publish(&hub, "agent-status", &json!({ "agentName": "a", "state": "idle" })), 1);
    assert_eq!(publish(&hub, "chat-message", &message("c1", "hello")), 0);
    assert_eq!(publish(&hub, "notification", &json!({ "level": "info", "message": "to ada", "user": "ada" })), 1);
    guest.expect_no_frame();
    assert_eq!(publish(&hub, "notification", &json!({ "level": "info", "message": "to all" })), 2);
    assert_eq!(next(&mut guest), frame("notification", json!({ "level": "info", "message": "to all" })));
    for (kind, data) in [
        ("user_presence", json!("online")),
        ("subscribe", json!({ "conversationId": "c1" })),
        ("unsubscribe", json!({ "conversationId": "c1" })),
    ] {
        say(&mut guest, kind, data);
        assert_eq!(next(&mut guest), error("Not authenticated"), "{kind}");
    }
    guest.send_json(&json!({ "type": "ping" }));
    assert_eq!(next(&mut guest), json!({ "type": "pong" }));
    assert!(guest.is_open());
}

pub(crate) fn a_forged_token_makes_a_guest(host: &MemoryHost) {
    host.set_var("JWT_ALGORITHM", "ES256");
    host.set_var("JWT_JWKS", &jwks(&[jwk("ec")]));
    host.set_var("JWT_SECRET", SECRET);
    host.set_var("JWT_AUDIENCE", "hub");
    let hub = host.agent::<HubAgent>("office");
    let now_s = host.now_ms() / 1_000;
    let claims = |changes: Value| {
        let mut claims = json!({ "sub": "ada", "aud": "hub", "exp": now_s + 600, "scope": "hub:publish hub:metrics" });
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims.to_string()
    };
    let (header, good) = (r#"{"alg":"ES256"}"#, claims(json!({})));
    let genuine = es256(EC, header, &good);
    let tampered =
        format!("{}.{}", unsigned(header, &claims(json!({ "sub": "eve" }))), genuine.rsplit('.').next().expect("parts"));
    for forged in [
        es256(OTHER_EC, header, &good),
        es256(OTHER_EC, r#"{"alg":"ES256","kid":"ec"}"#, &good),
        es256(EC, r#"{"alg":"ES256","kid":"another"}"#, &good),
        hs256(SECRET, r#"{"alg":"HS256"}"#, &good),
        hs256(jwk("ec").to_string(), r#"{"alg":"HS256"}"#, &good),
        format!("{}.", unsigned(r#"{"alg":"none"}"#, &good)),
        es256(EC, header, &claims(json!({ "exp": now_s - 61 }))),
        es256(EC, header, &claims(json!({ "nbf": now_s + 120 }))),
        es256(EC, header, &claims(json!({ "aud": "others" }))),
        es256(EC, header, &claims(json!({ "sub": "" }))),
        es256(EC, header, &json!({ "sub": "ada", "aud": "hub" }).to_string()),
        tampered,
        "dev:ada:hub:publish".to_owned(),
    ] {
        let mut client = hub.connect(&format!("?token={forged}&conversation=c1&userId=ada"));
        assert_eq!(rest(&mut client), [frame("auth", json!({ "success": false }))], "{forged}");
        for path in ["agent-status", "chat-message", "notification"] {
            assert_eq!(request_as(&hub, Method::POST, path, &forged, "{}").status, 401, "{path} {forged}");
        }
        assert_eq!(request_as(&hub, Method::GET, "metrics", &forged, "").status, 401, "{forged}");
        client.close(1000, "");
    }
    assert_eq!(request_as(&hub, Method::POST, "notification", &genuine, "{}").status, 400);
}

pub(crate) fn a_genuine_token_makes_a_user(host: &MemoryHost) {
    host.set_var("JWT_SECRET", SECRET);
    let hub = host.agent::<HubAgent>("office");
    let claims = json!({ "sub": "ada", "exp": host.now_ms() / 1_000 + 600, "scope": "a hub:metrics" });
    let token = jwt(&claims);
    let mut ada = hub.connect(&format!("?token={token}"));
    assert_eq!(next(&mut ada), frame("auth", json!({ "success": true, "userId": "ada" })));
    assert_eq!(request_as(&hub, Method::GET, "metrics", &token, "").status, 200);
    assert_eq!(request_as(&hub, Method::POST, "notification", &token, "{}").status, 403);
}

pub(crate) fn frames_of_the_framework_are_for_those_who_ask_for_them(host: &MemoryHost) {
    let hub = hub(host);
    for query in ["?token=dev:ada", "?token=dev:ada&protocol=false", "?token=dev:ada&protocol=1"] {
        assert_eq!(hub.connect(query).greeting(), [""; 0], "{query}");
    }
    for query in ["?protocol=true", "?token=dev:ada&protocol=true"] {
        let mut client = hub.connect(query);
        let types: Vec<Value> =
            client.greeting().iter().map(|text| serde_json::from_str::<Value>(text).expect("JSON")["type"].clone()).collect();
        assert_eq!(types, ["cf_agent_identity", "cf_agent_mcp_servers"], "{query}");
        assert_eq!(next(&mut client)["type"], "auth");
        client.frames();
        client.set_state(&json!(null));
        assert_eq!(client.next_json(), json!({ "type": "cf_agent_state_error", "error": "Connection is readonly" }));
    }
}

pub(crate) fn whoever_does_not_ask_for_the_framework_does_not_speak_to_it(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada:hub:publish");
    ada.set_state(&json!(null));
    assert_eq!(next(&mut ada), error("Invalid message format"));
    let args = json!(["info", "hello", null]);
    ada.send_json(&json!({ "type": "rpc", "id": "1", "method": "send_notification", "args": args }));
    assert_eq!(next(&mut ada), error("Invalid message format"));
    ada.expect_no_frame();
}

pub(crate) fn methods_are_for_clients_that_may_publish(host: &MemoryHost) {
    let hub = hub(host);
    let mut bob = sign_in(&hub, "bob");
    let status = json!([{ "agentName": "a", "state": "idle" }]);
    let chat = json!([message("c1", "hello")]);
    for token in ["", "token=dev:eve", "token=dev:eve:hub:metrics,hub:publishes"] {
        let mut client = hub.connect(&format!("?protocol=true&{token}"));
        for (method, args) in [
            ("broadcast_agent_status", &status),
            ("broadcast_chat_message", &chat),
            ("send_notification", &json!(["info", "hello"])),
        ] {
            assert!(client.call(method, args).is_err(), "{method} {token}");
        }
        for method in ["settle", "look", "publish", "on_start", "destroy", "tell"] {
            assert!(client.call(method, &json!([])).is_err(), "{method} {token}");
        }
        client.close(1000, "");
        bob.frames();
    }
    let mut service = hub.connect("?protocol=true&token=dev:service:hub:publish");
    bob.frames();
    assert_eq!(service.call("broadcast_agent_status", &status), Ok(json!(2)));
    assert_eq!(next(&mut bob), frame("agent_status", status[0].clone()));
    assert_eq!(service.call("send_notification", &json!(["info", "hello", "bob"])), Ok(json!(1)));
    assert_eq!(next(&mut bob), frame("notification", json!({ "level": "info", "message": "hello" })));
    let refused = service.call("broadcast_agent_status", &json!([{ "agentName": "a", "state": "asleep" }]));
    assert!(refused.as_ref().is_err_and(|text| text.contains("state: one of idle, working, stopped")), "{refused:?}");
    bob.expect_no_frame();
}

pub(crate) fn a_ping_is_answered(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    for ping in [json!({ "type": "ping" }), json!({ "type": "ping", "data": { "n": 1 }, "timestamp": "now" })] {
        ada.send_json(&ping);
        assert_eq!(next(&mut ada), json!({ "type": "pong" }));
    }
    ada.send_json(&json!({ "type": "pong" }));
    ada.expect_no_frame();
    ada.send("ping");
    assert_eq!(ada.next_text(), "pong");
}

pub(crate) fn users_see_what_agents_do_and_newcomers_the_newest(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    let working = json!({ "agentName": "b", "state": "working", "currentTask": "sum", "progress": 50 });
    let idle = json!({ "agentName": "a", "state": "idle" });
    let stopped = json!({ "agentName": "b", "state": "stopped", "progress": 99.5 });
    for status in [&working, &idle, &stopped] {
        assert_eq!(publish(&hub, "agent-status", status), 1);
        assert_eq!(next(&mut ada), frame("agent_status", status.clone()));
    }
    let mut bob = hub.connect("?token=dev:bob");
    assert_eq!(
        rest(&mut bob),
        [
            frame("auth", json!({ "success": true, "userId": "bob" })),
            frame("agent_status", idle),
            frame("agent_status", stopped),
            presence("ada", "online"),
            presence("bob", "online"),
        ]
    );
}

pub(crate) fn a_message_reaches_those_who_joined_its_conversation(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada&conversation=c1&conversation=c2&conversation=c1");
    let mut bob = sign_in(&hub, "bob");
    let mut eve = sign_in(&hub, "eve");
    bob.frames();
    subscribe(&mut bob, "c1");
    subscribe(&mut bob, "c1");
    for client in [&mut ada, &mut bob, &mut eve] {
        client.frames();
    }
    assert_eq!(publish(&hub, "chat-message", &message("c1", "hello")), 2);
    for client in [&mut ada, &mut bob] {
        assert_eq!(rest(client), [frame("chat_message", message("c1", "hello"))]);
    }
    assert_eq!(publish(&hub, "chat-message", &message("c2", "more")), 1);
    assert_eq!(next(&mut ada), frame("chat_message", message("c2", "more")));
    for _ in 0..2 {
        say(&mut bob, "unsubscribe", json!({ "conversationId": "c1" }));
        assert_eq!(next(&mut bob), frame("unsubscribed", json!({ "conversationId": "c1" })));
    }
    assert_eq!(publish(&hub, "chat-message", &message("c1", "again")), 1);
    assert_eq!(publish(&hub, "chat-message", &message("c3", "nobody")), 0);
    bob.expect_no_frame();
    eve.expect_no_frame();
    // Without a time of its own a message has the hub's.
    let mut undated_message = message("c2", "late");
    undated_message.as_object_mut().expect("an object").remove("timestamp");
    publish(&hub, "chat-message", &undated_message);
    let frame = rest(&mut ada).pop().expect("a frame");
    assert_eq!(frame["data"]["timestamp"], "2023-11-14T22:13:20.000Z");
}

pub(crate) fn a_connection_joins_so_many_conversations(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    for number in 0..MAX_CONVERSATIONS {
        subscribe(&mut ada, &format!("c{number}"));
    }
    host.advance(seconds(2));
    say(&mut ada, "subscribe", json!({ "conversationId": "one more" }));
    assert_eq!(next(&mut ada), error("Too many conversations: the limit is 16, unsubscribe from one first"));
    subscribe(&mut ada, "c0");
    say(&mut ada, "unsubscribe", json!({ "conversationId": "c1" }));
    assert_eq!(next(&mut ada)["type"], "unsubscribed");
    subscribe(&mut ada, "one more");
}

pub(crate) fn what_of_a_url_is_not_joined_is_said(host: &MemoryHost) {
    let hub = hub(host);
    let too_many = error("Too many conversations in the URL: only the first 16 are joined");
    let invalid = error("Invalid conversation in the URL: an id has 1 to 128 bytes and no control characters");
    let name = |numbers: std::ops::Range<usize>| -> String {
        numbers.rev().map(|number| format!("&conversation=d{number}")).collect()
    };
    let most = name(0..MAX_CONVERSATIONS);
    let long = "x".repeat(129);
    let sign_in = |query: &str| {
        let mut client = hub.connect(&format!("?token=dev:ada{query}"));
        let mut frames = rest(&mut client);
        assert_eq!(frames.remove(0), frame("auth", json!({ "success": true, "userId": "ada" })), "first of all");
        assert_eq!(frames.pop(), Some(presence("ada", "online")));
        frames
    };
    for (query, errors) in [
        (&*most, &[][..]),
        (&format!("{most}{most}"), &[]),
        (&format!("{most}&conversation=d16"), &[&too_many]),
        ("&conversation=", &[&invalid]),
        ("&conversation=a%0Ab&conversation=c&conversation=", &[&invalid]),
        (&format!("&conversation={long}&{most}&conversation=d16"), &[&too_many, &invalid]),
    ] {
        assert!(sign_in(query).iter().eq(errors.iter().copied()), "{query}");
    }
    let _bob = hub.connect(&format!("?token=dev:bob{}", name(100..101 + MAX_CONVERSATIONS)));
    let delivered = ["d116", "d101", "d100"].map(|conversation| publish(&hub, "chat-message", &message(conversation, "hello")));
    assert_eq!(delivered, [1, 1, 0], "of those that a URL names, the first");
}

pub(crate) fn a_notification_reaches_everyone_or_one_user_on_every_socket(host: &MemoryHost) {
    let hub = hub(host);
    let (mut phone, mut laptop) = (sign_in(&hub, "ada"), sign_in(&hub, "ada"));
    let mut bob = sign_in(&hub, "bob");
    let mut guest = guest(&hub);
    for client in [&mut phone, &mut laptop] {
        client.frames();
    }
    for level in ["info", "success", "warning", "error"] {
        assert_eq!(publish(&hub, "notification", &json!({ "level": level, "message": "m", "more": 1 })), 4);
        for client in [&mut phone, &mut laptop, &mut bob, &mut guest] {
            assert_eq!(rest(client), [frame("notification", json!({ "level": level, "message": "m" }))]);
        }
    }
    assert_eq!(publish(&hub, "notification", &json!({ "level": "info", "message": "m", "user": "ada" })), 2);
    for client in [&mut phone, &mut laptop] {
        assert_eq!(rest(client), [frame("notification", json!({ "level": "info", "message": "m" }))]);
    }
    assert_eq!(publish(&hub, "notification", &json!({ "level": "info", "message": "m", "user": "zoe" })), 0);
    bob.expect_no_frame();
    guest.expect_no_frame();
}

pub(crate) fn others_see_when_a_user_is_away_busy_and_back(host: &MemoryHost) {
    let hub = hub(host);
    let (mut ada, mut bob) = (sign_in(&hub, "ada"), sign_in(&hub, "bob"));
    ada.frames();
    for status in ["away", "busy", "online"] {
        say(&mut ada, "user_presence", json!(status));
        for client in [&mut ada, &mut bob] {
            assert_eq!(rest(client), [presence("ada", status)]);
        }
    }
    say(&mut ada, "user_presence", json!("online"));
    ada.expect_no_frame();
    bob.expect_no_frame();
    say(&mut ada, "user_presence", json!("away"));
    bob.frames();
    let mut cy = hub.connect("?token=dev:cy");
    assert_eq!(rest(&mut cy)[1..], [presence("ada", "away"), presence("bob", "online"), presence("cy", "online")]);
}

pub(crate) fn devices_of_a_user_merge(host: &MemoryHost) {
    let hub = hub(host);
    let mut bob = sign_in(&hub, "bob");
    let mut phone = sign_in(&hub, "ada");
    assert_eq!(next(&mut bob), presence("ada", "online"));
    let mut laptop = hub.connect("?token=dev:ada");
    assert_eq!(rest(&mut laptop)[1..], [presence("ada", "online"), presence("bob", "online")]);
    phone.expect_no_frame();
    say(&mut laptop, "user_presence", json!("busy"));
    bob.expect_no_frame();
    say(&mut phone, "user_presence", json!("away"));
    assert_eq!(next(&mut bob), presence("ada", "busy"));
    say(&mut laptop, "user_presence", json!("away"));
    assert_eq!(next(&mut bob), presence("ada", "away"));
    say(&mut laptop, "user_presence", json!("online"));
    assert_eq!(next(&mut bob), presence("ada", "online"));
    laptop.close(1000, "");
    assert_eq!(next(&mut bob), presence("ada", "away"));
    host.advance(seconds(6));
    bob.expect_no_frame();
}

pub(crate) fn a_user_is_offline_some_time_after_the_last_socket_has_closed(host: &MemoryHost) {
    let hub = hub(host);
    let mut bob = sign_in(&hub, "bob");
    let (mut phone, mut laptop) = (sign_in(&hub, "ada"), sign_in(&hub, "ada"));
    bob.frames();
    phone.close(1000, "");
    host.advance(seconds(10));
    bob.expect_no_frame();
    laptop.cut();
    host.advance(Duration::from_millis(4_900));
    bob.expect_no_frame();
    let mut cy = hub.connect("?token=dev:cy");
    assert_eq!(rest(&mut cy)[1], presence("ada", "online"), "still here");
    bob.frames();
    host.advance(Duration::from_millis(100));
    for client in [&mut bob, &mut cy] {
        assert_eq!(rest(client), [presence("ada", "offline")]);
    }
}

pub(crate) fn who_comes_back_in_time_was_never_gone(host: &MemoryHost) {
    let hub = hub(host);
    let mut bob = sign_in(&hub, "bob");
    let mut ada = sign_in(&hub, "ada");
    say(&mut ada, "user_presence", json!("busy"));
    bob.frames();
    ada.close(1000, "");
    host.advance(seconds(4));
    let mut ada = hub.connect("?token=dev:ada");
    assert_eq!(rest(&mut ada)[1..], [presence("ada", "online"), presence("bob", "online")]);
    assert_eq!(rest(&mut bob), [presence("ada", "online")], "a new socket is online");
    host.advance(seconds(10));
    bob.expect_no_frame();
}

pub(crate) fn too_many_messages_are_refused_and_the_third_strike_closes(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    let mut bob = sign_in(&hub, "bob");
    ada.frames();
    let mut pings = |count: usize| {
        for _ in 0..count {
            ada.send_json(&json!({ "type": "ping" }));
        }
        rest(&mut ada)
    };
    let pong = json!({ "type": "pong" });
    assert_eq!(pings(20), vec![pong.clone(); 20]);
    assert_eq!(pings(1), [error("Too many messages")]);
    host.advance(Duration::from_millis(100));
    assert_eq!(pings(1), [pong]);
    assert_eq!(pings(1), [error("Too many messages")]);
    assert_eq!(pings(3), [error("Too many messages, closing")]);
    let close = ada.close_event();
    assert_eq!((close.code, &*close.reason), (1008, "Too many messages"));
    bob.send_json(&json!({ "type": "ping" }));
    assert_eq!(next(&mut bob), json!({ "type": "pong" }), "others are not concerned");
}

pub(crate) fn a_call_over_the_rate_is_answered(host: &MemoryHost) {
    let hub = hub(host);
    let too_much = |query: &str| {
        let mut client = hub.connect(query);
        for _ in 0..20 {
            client.send_json(&json!({ "type": "ping" }));
        }
        client.frames();
        client.send_json(&json!({ "type": "rpc", "id": "c", "method": "getSnapshot", "args": [] }));
        client
    };
    let refused = json!({ "type": "rpc", "id": "c", "success": false, "error": "Too many messages" });
    assert_eq!(too_much("?token=dev:ada&protocol=true").next_json(), refused);
    // Who does not speak the framework's protocol makes no calls.
    assert_eq!(next(&mut too_much("?token=dev:bob")), error("Too many messages"));
}

pub(crate) fn who_fills_the_attachment_is_limited_all_the_same(host: &MemoryHost) {
    let hub = hub(host);
    let named: String = (0..MAX_CONVERSATIONS).map(|number| format!("&conversation=c{number}")).collect();
    let query = format!("?token=dev:ada{named}&pad=");
    let connect = |pad: usize| hub.connect(&format!("{query}{}", "x".repeat(pad)));
    let room = MAX_ATTACHMENT_BYTES - hub.url(&query).len();
    let pads: Vec<usize> = (room - 500..room).collect();
    let fitting = pads.partition_point(|pad| connect(*pad).is_open());
    assert!(fitting < pads.len(), "{fitting}");
    // The longest URL that is let in leaves no byte of the attachment free.
    let mut ada = connect(pads[fitting - 1]);
    ada.texts();
    say(&mut ada, "subscribe", json!({ "conversationId": "c" }));
    assert_eq!(next(&mut ada), error("Too many conversations: the limit is 16, unsubscribe from one first"));
    for _ in 0..25 {
        ada.send_json(&json!({ "type": "ping" }));
    }
    let mut expected = vec![json!({ "type": "pong" }); 19];
    expected.extend(["Too many messages", "Too many messages", "Too many messages, closing"].map(error));
    assert_eq!(rest(&mut ada), expected);
    assert_eq!(ada.close_event().code, 1008);
}

pub(crate) fn strikes_expire(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    for _ in 0..5 {
        for _ in 0..2 {
            ada.send("what?");
            assert_eq!(next(&mut ada), error("Invalid message format"));
        }
        for _ in 0..2 {
            host.advance(seconds(30));
            ada.send_json(&json!({ "type": "pong" }));
        }
        ada.frames();
    }
    assert!(ada.is_open());
}

pub(crate) fn what_is_invalid_or_too_large_is_a_strike(host: &MemoryHost) {
    let hub = hub(host);
    for last in ["", "{}", "[]", r#"{"type":"auth"}"#, r#"{"type":"user_presence","data":"offline"}"#] {
        let mut ada = sign_in(&hub, "ada");
        ada.send("x".repeat(MAX_MESSAGE_BYTES + 1));
        assert_eq!(next(&mut ada), error("Message too large"));
        ada.send(b"{\"type\":\"ping\"}".to_vec());
        assert_eq!(next(&mut ada), error("Invalid message format"));
        ada.send(last);
        assert_eq!(next(&mut ada), error("Invalid message format, closing"), "{last}");
        assert_eq!(ada.close_event().code, 1008);
    }
    host.set_var("HUB_MAX_MESSAGE_BYTES", "20");
    hub.evict();
    let mut ada = sign_in(&hub, "ada");
    ada.send(r#"{"type":"ping"     }"#);
    assert_eq!(next(&mut ada), json!({ "type": "pong" }));
    ada.send(r#"{"type":"ping"      }"#);
    assert_eq!(next(&mut ada), error("Message too large"));
}

pub(crate) fn too_many_bytes_are_refused(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    let ping = format!(r#"{{"type":"ping","data":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES - 25));
    assert_eq!(ping.len(), MAX_MESSAGE_BYTES);
    for expected in ["pong", "pong", "pong", "pong", "error"] {
        ada.send(&*ping);
        let frame = next(&mut ada);
        assert_eq!(frame["type"], expected);
        assert!(expected == "pong" || frame == error("Too many bytes"));
    }
    host.advance(seconds(1));
    ada.send(&*ping);
    assert_eq!(next(&mut ada), json!({ "type": "pong" }));
}

pub(crate) fn the_server_pings_and_shows_out_who_is_silent(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada");
    host.advance(seconds(10));
    let (mut bob, mut guest) = (sign_in(&hub, "bob"), guest(&hub));
    ada.frames();
    host.advance(seconds(19));
    for client in [&mut ada, &mut bob, &mut guest] {
        client.expect_no_frame();
    }
    host.advance(seconds(1));
    for client in [&mut ada, &mut bob, &mut guest] {
        assert_eq!(rest(client), [json!({ "type": "ping" })]);
    }
    ada.send_json(&json!({ "type": "pong" }));
    host.advance(seconds(30));
    for client in [&mut ada, &mut bob, &mut guest] {
        assert_eq!(rest(client), [json!({ "type": "ping" })]);
    }
    ada.send_json(&json!({ "type": "pong" }));
    host.advance(seconds(9));
    assert!(bob.is_open());
    host.advance(seconds(1));
    for client in [&mut bob, &mut guest] {
        let close = client.close_event();
        assert_eq!((close.code, &*close.reason), (4008, "No sign of life"));
    }
    ada.expect_no_frame();
    host.advance(seconds(5));
    assert_eq!(rest(&mut ada), [presence("bob", "offline")]);
    host.advance(seconds(15));
    assert_eq!(rest(&mut ada), [json!({ "type": "ping" })], "90 s after the first came");
}

pub(crate) fn whatever_a_client_says_is_a_sign_of_life(host: &MemoryHost) {
    let hub = hub(host);
    let says: [fn(&mut Client); 4] = [
        |client| client.send_json(&json!({ "type": "pong" })),
        |client| client.send_json(&json!({ "type": "ping" })),
        |client| client.send("ping"),
        |client| client.send_json(&json!({ "type": "user_presence", "data": "busy" })),
    ];
    let mut clients: Vec<Client> = (0..says.len()).map(|number| sign_in(&hub, &format!("u{number}"))).collect();
    let mut silent = sign_in(&hub, "silent");
    for round in 1..=3 {
        host.advance(seconds(40));
        for (client, say) in clients.iter_mut().zip(says) {
            say(client);
            assert!(client.is_open(), "round {round}");
        }
    }
    assert_eq!(silent.close_event().code, 4008);
}

pub(crate) fn nobody_is_watched_when_nobody_is_there(host: &MemoryHost) {
    let hub = hub(host);
    hub.get("");
    assert_eq!(hub.alarm_ms(), None);
    let mut ada = sign_in(&hub, "ada");
    assert!(hub.alarm_ms().is_some());
    ada.close(1000, "");
    host.advance(seconds(120));
    assert_eq!(hub.alarm_ms(), None);
    // And again, once, however many come.
    let clients: Vec<Client> = (0..5).map(|_| sign_in(&hub, "ada")).collect();
    assert_eq!(rows(&hub), 1);
    host.advance(seconds(31));
    assert_eq!(rows(&hub), 1);
    drop(clients);
}

fn rows(hub: &Object) -> u64 {
    hub.sql("SELECT COUNT(*) FROM cf_agents_schedules", ()).one().expect("a number")
}

pub(crate) fn publishing_takes_a_token_with_its_scope(host: &MemoryHost) {
    let hub = hub(host);
    let body = r#"{"level":"info","message":"m"}"#;
    for (method, path, token, status) in [
        (Method::POST, "notification", "dev:s:hub:publish", 200),
        (Method::POST, "notification", "dev:s:x,hub:publish", 200),
        (Method::POST, "notification", "", 401),
        (Method::POST, "notification", "nonsense", 401),
        (Method::POST, "notification", "dev:s", 403),
        (Method::POST, "notification", "dev:s:hub", 403),
        (Method::POST, "notification", "dev:s:hub:publisher", 403),
        (Method::POST, "notification", "dev:s:hub:metrics", 403),
        (Method::POST, "agent-status", "", 401),
        (Method::POST, "chat-message", "dev:s", 403),
        (Method::GET, "notification", "dev:s:hub:publish", 405),
        (Method::PUT, "agent-status", "dev:s:hub:publish", 405),
        (Method::DELETE, "chat-message", "", 405),
        (Method::HEAD, "notification", "dev:s:hub:publish", 405),
        (Method::POST, "metrics", "dev:s:hub:metrics", 405),
        (Method::HEAD, "metrics", "dev:s:hub:metrics", 200),
        (Method::HEAD, "metrics", "dev:s:hub:publish", 403),
        (Method::HEAD, "metrics", "", 401),
        (Method::POST, "", "dev:s:hub:publish", 404),
        (Method::POST, "notifications", "dev:s:hub:publish", 404),
    ] {
        let answer = request_as(&hub, method.clone(), path, token, body);
        assert_eq!(answer.status, status, "{method} {path} {token}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
        let allowed = if path == "metrics" { "GET, HEAD" } else { "POST" };
        assert_eq!(answer.header("allow"), (status == 405).then_some(allowed));
    }
}

pub(crate) fn a_bad_body_is_refused_by_its_field(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada&conversation=c1");
    for (path, body, status, field) in [
        ("agent-status", r#"{"state":"idle"}"#, 400, Some("agentName")),
        ("agent-status", r#"{"agentName":"a","state":"busy"}"#, 400, Some("state")),
        ("agent-status", r#"{"agentName":"a","state":"idle","progress":101}"#, 400, Some("progress")),
        ("chat-message", r#"{"messageId":"m","content":"x","sender":"a"}"#, 400, Some("conversationId")),
        ("chat-message", r#"{"conversationId":"c1","messageId":"m","sender":"a"}"#, 400, Some("content")),
        ("notification", r#"{"message":"m"}"#, 400, Some("level")),
        ("notification", r#"{"level":"info"}"#, 400, Some("message")),
        ("notification", r#"{"level":"info","message":"m","user":7}"#, 400, Some("user")),
        ("notification", "not JSON", 400, Some("body")),
        ("notification", "", 400, Some("body")),
        ("notification", "[]", 400, Some("body")),
        ("notification", &" ".repeat(64 * 1_024 + 1), 413, None),
    ] {
        let answer = request_as(&hub, Method::POST, path, "dev:s:hub:publish", body);
        assert_eq!(answer.status, status, "{path} {body}");
        let json = answer.json();
        assert_eq!(json.get("field").and_then(Value::as_str), field, "{path} {body}");
        assert!(field.is_none_or(|field| json["error"].as_str().is_some_and(|error| error.starts_with(field))), "{json}");
    }
    ada.expect_no_frame();
}

fn metrics(hub: &Object) -> Value {
    request_as(hub, Method::GET, "metrics", "dev:ops:hub:metrics", "").json()
}

pub(crate) fn metrics_count_what_happened(host: &MemoryHost) {
    let hub = hub(host);
    let numbers = |clients, authenticated, users, [messages_in, messages_out, dropped, rate_limited]: [u32; 4]| {
        json!({ "clients": clients, "authenticatedClients": authenticated, "users": users, "messagesIn": messages_in,
            "messagesOut": messages_out, "dropped": dropped, "rateLimited": rate_limited })
    };
    assert_eq!(metrics(&hub), numbers(0, 0, 0, [0; 4]));
    // Two frames for the first, three for the second, of whom the first is told.
    let (mut ada, mut bob) = (sign_in(&hub, "ada"), sign_in(&hub, "bob"));
    let mut guest = guest(&hub);
    assert_eq!(metrics(&hub), numbers(3, 2, 2, [0, 7, 0, 0]));
    guest.send("what?");
    guest.send_json(&json!({ "type": "ping" }));
    assert_eq!(metrics(&hub), numbers(3, 2, 2, [2, 9, 1, 0]));
    publish(&hub, "notification", &json!({ "level": "info", "message": "m" }));
    assert_eq!(metrics(&hub), numbers(3, 2, 2, [2, 12, 1, 0]));
    for _ in 0..21 {
        bob.send_json(&json!({ "type": "ping" }));
    }
    assert_eq!(metrics(&hub), numbers(3, 2, 2, [23, 33, 2, 1]));
    // Who leaves takes no counts along.
    guest.close(1000, "");
    bob.close(1000, "");
    host.run_until_idle();
    assert_eq!(metrics(&hub), numbers(1, 1, 2, [23, 33, 2, 1]), "bob may come back");
    host.advance(seconds(5));
    assert_eq!(metrics(&hub), numbers(1, 1, 1, [23, 34, 2, 1]));
    ada.frames();
    // Who is shown out is counted at once, whenever its client answers.
    ada.hold_close_answer();
    for _ in 0..3 {
        ada.send("what?");
    }
    assert_eq!(rest(&mut ada).len(), 3);
    assert_eq!(metrics(&hub), numbers(0, 0, 1, [26, 37, 5, 1]));
    ada.answer_close();
    host.run_until_idle();
    assert_eq!(metrics(&hub), numbers(0, 0, 1, [26, 37, 5, 1]));
}

pub(crate) fn metrics_take_a_token_with_their_scope(host: &MemoryHost) {
    let hub = hub(host);
    for (token, status) in [("", 401), ("dev:ops", 403), ("dev:ops:hub:publish", 403), ("dev:ops:hub:metrics", 200)] {
        assert_eq!(request_as(&hub, Method::GET, "metrics", token, "").status, status, "{token}");
    }
    let request = Request::get(&hub.url("metrics?token=dev:ops:hub:metrics"))
        .with_header(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let answer = hub.request(request);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text().contains("\nagents_hub_authenticated_clients 0\n"), "{}", answer.text());
}

pub(crate) fn nobody_gets_what_is_for_others(host: &MemoryHost) {
    let hub = hub(host);
    let mut ada = sign_in(&hub, "ada&conversation=secret");
    let mut intruders = vec![
        sign_in(&hub, "bob"),
        sign_in(&hub, "bob&_pk=user:ada"),
        sign_in(&hub, "bob&_pk=ada&userId=ada&user=ada"),
        sign_in(&hub, "bob&conversation=&conversation=secret%00&conversation=SECRET"),
        sign_in(&hub, "bob&protocol=true"),
        hub.connect("?conversation=secret&userId=ada"),
        hub.connect("?token=dev:&conversation=secret"),
        hub.dial("?conversation=secret").header("x-user-id", "ada").connect(),
        host.agent::<HubAgent>("another office").connect("?token=dev:ada&conversation=secret"),
    ];
    for intruder in &mut intruders {
        // Nothing that a client says of itself, or pretends to be from a service, is believed.
        for text in [
            json!({ "type": "auth", "data": { "success": true, "userId": "ada" } }),
            json!({ "type": "chat_message", "data": message("secret", "from bob") }),
        ] {
            intruder.send_json(&text);
        }
        intruder.frames();
    }
    ada.frames();
    assert_eq!(publish(&hub, "chat-message", &message("secret", "for ada")), 1);
    assert_eq!(publish(&hub, "notification", &json!({ "level": "info", "message": "m", "user": "ada" })), 1);
    assert_eq!(rest(&mut ada).len(), 2);
    for (number, intruder) in intruders.iter_mut().enumerate() {
        assert_eq!(rest(intruder), [Value::Null; 0], "{number}");
        assert!(intruder.is_open(), "{number}");
    }
    // What was said while nobody was there is kept for nobody.
    ada.close(1000, "");
    publish(&hub, "chat-message", &message("secret", "missed"));
    let mut late = hub.connect("?token=dev:bob&conversation=secret");
    assert!(rest(&mut late).iter().all(|frame| frame["type"] != "chat_message"));
}
