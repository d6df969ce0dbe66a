//! What clients of a chat see.

use std::time::Duration;

use agents_worker::chat::{ChatAgent, ChatProps, MAX_MESSAGE_BYTES, MAX_USER_ID_BYTES};
use durable_agents::http::{HeaderValue, Method, Request, StatusCode, header};
use durable_agents::testing::{Client, MemoryHost, Object};
use durable_agents::{Close, PROPS_HEADER, encode_props};
use serde_json::{Value, json};

/// All scenarios of this file, for `$each!`.
macro_rules! chat_scenarios {
    ($each:ident) => {
        $each! {
            a_newcomer_is_welcomed_after_the_protocol_frames
            the_user_is_told_by_header_or_else_query
            everyone_hears_of_a_message_and_its_sender_gets_it_back
            a_message_may_name_its_sender
            what_is_no_message_is_refused_and_not_stored
            an_overlong_message_is_refused
            a_user_on_two_sockets_is_one_participant
            a_user_whose_connection_breaks_is_gone
            a_reconnect_that_overlaps_keeps_the_user_here
            a_client_whose_id_is_a_users_name_is_not_that_user
            clients_do_not_set_the_state
            without_protocol_frames_a_client_gets_answers_only
            a_user_id_that_is_too_long_or_unprintable_is_refused
            where_tokens_are_needed_strangers_see_nothing
            where_tokens_are_needed_the_token_is_the_user_and_the_sender
            where_tokens_are_needed_the_history_needs_one
            old_messages_leave_the_state_and_page_out_newest_first
            pages_stay_put_while_messages_arrive
            an_empty_chat_has_an_empty_history
            a_bad_page_is_refused_with_the_reason
            other_paths_and_methods_are_refused
            a_call_posts_like_a_message
            a_message_that_is_empty_or_overlong_cannot_be_posted
            an_export_has_the_whole_conversation_in_order
            old_messages_are_dropped_by_a_daily_schedule
            only_an_admin_closes_the_chat
        }
    };
}
pub(crate) use chat_scenarios;

fn lobby(host: &MemoryHost) -> Object {
    host.agent::<ChatAgent>("lobby")
}

/// Connects, and puts the frames of the connect aside.
pub(crate) fn join(chat: &Object, query: &str) -> Client {
    let mut client = chat.connect(query);
    client.frames();
    client
}

pub(crate) fn say(client: &mut Client, text: &str) {
    client.send_json(&json!({ "type": "chat", "text": text }));
}

/// Makes the chat keep so many messages in its state.
pub(crate) fn keep_in_state(chat: &Object, messages_in_state: usize) -> StatusCode {
    let props = encode_props(&ChatProps { messages_in_state }).expect("props");
    chat.request(Request::get(&chat.url("/history")).with_header(PROPS_HEADER, props)).status
}

fn participants(state_frame: &Value) -> Vec<&str> {
    assert_eq!(state_frame["type"], "cf_agent_state");
    let participants = state_frame["state"]["participants"].as_array().expect("participants");
    participants.iter().map(|id| id.as_str().expect("an id")).collect()
}

pub(crate) fn texts(messages: &Value) -> Vec<&str> {
    messages.as_array().expect("messages").iter().map(|message| message["text"].as_str().expect("a text")).collect()
}

/// The pages of the history from `before` on: the texts on each.
pub(crate) fn pages(chat: &Object, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut before = String::new();
    loop {
        let answer = chat.get(&format!("/history?{query}{before}"));
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let page = answer.json();
        pages.push(texts(&page["messages"]).into_iter().map(str::to_owned).collect());
        match &page["next"] {
            Value::Null => return pages,
            next => before = format!("&before={}", next.as_str().expect("a cursor")),
        }
    }
}

fn error(message: &str) -> Value {
    json!({ "type": "error", "message": message })
}

pub(crate) fn a_newcomer_is_welcomed_after_the_protocol_frames(host: &MemoryHost) {
    let chat = lobby(host);
    let mut ada = chat.connect("?userId=ada");
    let greeting: Vec<Value> = ada.greeting().iter().map(|frame| serde_json::from_str(frame).expect("JSON")).collect();
    assert_eq!(greeting[0]["agent"], "chat-agent");
    assert_eq!(greeting[0]["name"], "lobby");
    assert_eq!(greeting[1], json!({ "type": "cf_agent_state", "state": { "messages": [], "participants": [] } }));
    assert_eq!(greeting[2]["type"], "cf_agent_mcp_servers");
    assert_eq!(greeting.len(), 3);
    let state = json!({ "type": "cf_agent_state", "state": { "messages": [], "participants": ["ada"] } });
    assert_eq!(ada.next_json(), state);
    let welcome = json!({ "type": "welcome", "message": "Connected to chat", "participants": ["ada"] });
    assert_eq!(ada.next_json(), welcome);
    ada.expect_no_frame();

    let mut bob = chat.connect("?userId=bob");
    assert_eq!(participants(&ada.next_json()), ["ada", "bob"]);
    assert_eq!(participants(&bob.next_json()), ["ada", "bob"]);
    assert_eq!(bob.next_json()["participants"], json!(["ada", "bob"]));
    ada.expect_no_frame();
    bob.expect_no_frame();
}

pub(crate) fn the_user_is_told_by_header_or_else_query(host: &MemoryHost) {
    for (index, (header, query, expected)) in [
        (Some("ada"), "?userId=bob", "ada"),
        (Some(""), "?userId=bob", "bob"),
        (None, "?userId=J%C3%BCrgen%20A", "Jürgen A"),
        (None, "?userId=", "anonymous"),
        (None, "", "anonymous"),
    ]
    .into_iter()
    .enumerate()
    {
        let dial = host.agent::<ChatAgent>(&index.to_string()).dial(query);
        let mut client = if let Some(user) = header { dial.header("x-user-id", user) } else { dial }.connect();
        assert_eq!(participants(&client.next_json()), [expected], "{header:?} {query}");
    }
}

pub(crate) fn everyone_hears_of_a_message_and_its_sender_gets_it_back(host: &MemoryHost) {
    let chat = lobby(host);
    let (mut ada, mut bob) = (join(&chat, "?userId=ada"), join(&chat, "?userId=bob"));
    ada.frames();
    ada.send(r#"{"type":"chat","text":"hello","more":{"ignored":true}}"#);
    let state = ada.next_json();
    let message = &state["state"]["messages"][0];
    assert_eq!((&message["text"], &message["sender"]), (&json!("hello"), &json!("ada")));
    assert_eq!(message["timestamp"], host.now_ms());
    assert_eq!(message.as_object().expect("a message").len(), 4);
    let id = message["id"].as_str().expect("an id");
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id} is a UUID");
    assert_eq!(ada.next_json(), json!({ "type": "message_added", "message": message }));
    ada.expect_no_frame();
    assert_eq!(bob.next_json(), state);
    bob.expect_no_frame();

    say(&mut bob, "hi");
    let state = ada.next_json();
    assert_eq!(texts(&state["state"]["messages"]), ["hello", "hi"]);
    assert_ne!(state["state"]["messages"][1]["id"], id);
    // Who comes later finds both.
    let mut eve = chat.connect("?userId=eve");
    assert_eq!(texts(&eve.next_json()["state"]["messages"]), ["hello", "hi"]);
}

pub(crate) fn a_message_may_name_its_sender(host: &MemoryHost) {
    let chat = lobby(host);
    for (query, sender, expected) in [
        ("?userId=ada&protocol=false", json!("Ada L."), "Ada L."),
        ("?userId=ada&protocol=false", json!(""), "ada"),
        ("?userId=ada&protocol=false", Value::Null, "ada"),
        ("?protocol=false", json!("Ada"), "Ada"),
    ] {
        let mut client = join(&chat, query);
        client.send_json(&json!({ "type": "chat", "text": "hi", "sender": sender }));
        assert_eq!(client.next_json()["message"]["sender"], expected, "{query} {sender}");
    }
    let mut client = join(&chat, "?protocol=false");
    say(&mut client, "hi");
    assert_eq!(client.next_json()["message"]["sender"], "anonymous");
}

pub(crate) fn what_is_no_message_is_refused_and_not_stored(host: &MemoryHost) {
    let chat = lobby(host);
    let (mut ada, mut bob) = (join(&chat, "?userId=ada"), join(&chat, "?userId=bob"));
    ada.frames();
    for text in [
        "hello",
        "",
        "{incomplete",
        "null",
        "[]",
        "5",
        "{}",
        r#"{"type":"chat"}"#,
        r#"{"type":"chat","text":""}"#,
        r#"{"type":"chat","text":7}"#,
        r#"{"type":"chat","text":"hi","sender":7}"#,
        r#"{"type":"other","text":"hi"}"#,
        r#"{"text":"hi"}"#,
        r#"["chat","hi",null]"#,
    ] {
        ada.send(text);
        assert_eq!(ada.next_json(), error("Invalid message format"), "{text}");
    }
    ada.send(br#"{"type":"chat","text":"in bytes"}"#.to_vec());
    assert_eq!(ada.next_json(), error("Invalid message format"));
    ada.expect_no_frame();
    bob.expect_no_frame();
    assert_eq!(pages(&chat, ""), [[""; 0]]);
}

pub(crate) fn an_overlong_message_is_refused(host: &MemoryHost) {
    let chat = lobby(host);
    let mut ada = join(&chat, "?protocol=false");
    let around = json!({ "type": "chat", "text": "" }).to_string().len();
    let longest = "x".repeat(MAX_MESSAGE_BYTES - around);
    say(&mut ada, &longest);
    assert_eq!(ada.next_json()["message"]["text"], longest.as_str());
    say(&mut ada, &format!("{longest}x"));
    assert_eq!(ada.next_json(), error("Message too long: the limit is 8192 bytes"));
    ada.send(vec![0; MAX_MESSAGE_BYTES + 1]);
    assert_eq!(ada.next_json(), error("Message too long: the limit is 8192 bytes"));
    assert_eq!(pages(&chat, ""), [[longest]]);
}

pub(crate) fn a_user_on_two_sockets_is_one_participant(host: &MemoryHost) {
    let chat = lobby(host);
    let mut bob = join(&chat, "?userId=bob");
    let mut phone = join(&chat, "?userId=ada");
    assert_eq!(participants(&bob.next_json()), ["bob", "ada"]);
    let mut desk = chat.connect("?userId=ada");
    assert_eq!(desk.next_json()["participants"], json!(["bob", "ada"]));
    bob.expect_no_frame();

    phone.close(1000, "");
    bob.expect_no_frame();
    desk.close(1000, "");
    assert_eq!(participants(&bob.next_json()), ["bob"]);
    bob.expect_no_frame();
}

pub(crate) fn a_user_whose_connection_breaks_is_gone(host: &MemoryHost) {
    let chat = lobby(host);
    let mut bob = join(&chat, "?userId=bob");
    for lose in [Client::cut, Client::close_without_code, |client: &mut Client| client.fail("protocol error")] {
        let mut ada = join(&chat, "?userId=ada");
        assert_eq!(participants(&bob.next_json()), ["bob", "ada"]);
        lose(&mut ada);
        assert_eq!(participants(&bob.next_json()), ["bob"]);
        bob.expect_no_frame();
    }
}

pub(crate) fn a_reconnect_that_overlaps_keeps_the_user_here(host: &MemoryHost) {
    let chat = lobby(host);
    let mut bob = join(&chat, "?userId=bob");
    let mut old = join(&chat, "?userId=ada&_pk=same");
    bob.frames();
    let mut new = join(&chat, "?userId=ada&_pk=same");
    old.cut();
    bob.expect_no_frame();
    say(&mut new, "still here");
    assert_eq!(participants(&bob.next_json()), ["bob", "ada"]);
}

pub(crate) fn a_client_whose_id_is_a_users_name_is_not_that_user(host: &MemoryHost) {
    let chat = lobby(host);
    let mut bob = join(&chat, "?userId=bob&_pk=ada");
    let mut ada = join(&chat, "?userId=ada");
    assert_eq!(participants(&bob.next_json()), ["bob", "ada"]);
    ada.close(1000, "");
    assert_eq!(participants(&bob.next_json()), ["bob"]);
}

pub(crate) fn clients_do_not_set_the_state(host: &MemoryHost) {
    let chat = lobby(host);
    let (mut ada, mut bob) = (join(&chat, "?userId=ada"), join(&chat, "?userId=bob"));
    ada.frames();
    for state in [json!({ "messages": [], "participants": [] }), json!({ "messages": [] }), Value::Null] {
        ada.set_state(&state);
        assert_eq!(ada.next_json(), json!({ "type": "cf_agent_state_error", "error": "State update rejected" }));
    }
    bob.expect_no_frame();
    say(&mut bob, "hi");
    assert_eq!(participants(&ada.next_json()), ["ada", "bob"]);
}

pub(crate) fn without_protocol_frames_a_client_gets_answers_only(host: &MemoryHost) {
    let chat = lobby(host);
    let mut quiet = chat.connect("?userId=quiet&protocol=false");
    assert_eq!(quiet.greeting(), [""; 0]);
    assert_eq!(quiet.next_json()["type"], "welcome");
    let mut ada = join(&chat, "?userId=ada&protocol=true");
    say(&mut ada, "hi");
    quiet.expect_no_frame();
    say(&mut quiet, "hi");
    assert_eq!(quiet.next_json()["type"], "message_added");
    quiet.expect_no_frame();
    assert_eq!(ada.texts().len(), 3, "a state for each message, and the sender's own");
}

pub(crate) fn a_user_id_that_is_too_long_or_unprintable_is_refused(host: &MemoryHost) {
    let chat = lobby(host);
    let mut bob = join(&chat, "?userId=bob");
    let reason = "user id: at most 128 bytes, no control characters".to_owned();
    for user in ["x".repeat(MAX_USER_ID_BYTES + 1), "%C3%BC".repeat(65), "a%0Ab".to_owned(), "%00".to_owned()] {
        let mut client = chat.connect(&format!("?userId={user}"));
        assert_eq!(client.close_event(), Close { code: 1008, reason: reason.clone(), was_clean: true }, "{user}");
        assert_eq!(client.greeting(), [""; 0]);
        client.expect_no_frame();
    }
    bob.expect_no_frame();
    join(&chat, &format!("?userId={}", "x".repeat(MAX_USER_ID_BYTES)));
    assert_eq!(participants(&bob.next_json()).len(), 2);
}

fn token_lobby(host: &MemoryHost) -> Object {
    host.set_var("CHAT_REQUIRE_TOKEN", "true");
    host.set_var("DEV_TOKENS", "true");
    lobby(host)
}

pub(crate) fn where_tokens_are_needed_strangers_see_nothing(host: &MemoryHost) {
    let chat = token_lobby(host);
    let mut ada = join(&chat, "?token=dev:ada");
    say(&mut ada, "secret");
    ada.frames();
    for query in ["", "?userId=ada", "?token=", "?token=ada", "?token=dev:", "?token=a.b.c"] {
        let mut stranger = chat.connect(query);
        let unauthorized = Close { code: 4001, reason: "Unauthorized".to_owned(), was_clean: true };
        assert_eq!(stranger.close_event(), unauthorized, "{query}");
        assert_eq!(stranger.greeting(), [""; 0], "{query}");
        stranger.expect_no_frame();
    }
    ada.expect_no_frame();
}

pub(crate) fn where_tokens_are_needed_the_token_is_the_user_and_the_sender(host: &MemoryHost) {
    let chat = token_lobby(host);
    let mut ada = chat.dial("?userId=eve").header("authorization", "Bearer dev:ada").connect();
    assert_eq!(participants(&ada.next_json()), ["ada"]);
    ada.frames();
    ada.send_json(&json!({ "type": "chat", "text": "hi", "sender": "eve" }));
    assert_eq!(ada.next_json()["state"]["messages"][0]["sender"], "ada");
}

pub(crate) fn where_tokens_are_needed_the_history_needs_one(host: &MemoryHost) {
    let chat = token_lobby(host);
    for (query, status) in [("", 401), ("?token=eve", 401), ("?token=dev:ada", 200)] {
        let answer = chat.get(&format!("/history{query}"));
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"), "{query}");
    }
    assert_eq!(chat.get("/history").json(), json!({ "error": "Unauthorized" }));
}

pub(crate) fn old_messages_leave_the_state_and_page_out_newest_first(host: &MemoryHost) {
    let chat = lobby(host);
    assert_eq!(keep_in_state(&chat, 3), StatusCode::OK);
    let mut ada = join(&chat, "?protocol=false");
    for text in ["1", "2", "3", "4", "5", "6", "7"] {
        say(&mut ada, text);
        assert_eq!(ada.next_json()["message"]["text"], text);
    }
    let mut bob = chat.connect("?userId=bob");
    assert_eq!(texts(&bob.next_json()["state"]["messages"]), ["5", "6", "7"]);

    assert_eq!(pages(&chat, ""), [["7", "6", "5", "4", "3", "2", "1"]]);
    assert_eq!(pages(&chat, "limit=7"), [["7", "6", "5", "4", "3", "2", "1"]]);
    assert_eq!(pages(&chat, "limit=6"), [&["7", "6", "5", "4", "3", "2"][..], &["1"]]);
    assert_eq!(pages(&chat, "limit=3"), [&["7", "6", "5"][..], &["4", "3", "2"], &["1"]]);
    assert_eq!(pages(&chat, "limit=2"), [&["7", "6"][..], &["5", "4"], &["3", "2"], &["1"]]);
    // A message is the same wherever it is kept.
    let newest_in_table = chat.get("/history?limit=1&before=5").json();
    let message = &newest_in_table["messages"][0];
    assert_eq!((&message["text"], &message["sender"]), (&json!("4"), &json!("anonymous")));
    assert_eq!(message["timestamp"], host.now_ms());
    assert_eq!(message.as_object().expect("a message").len(), 4);
    assert_eq!(newest_in_table["next"], "4");
}

pub(crate) fn pages_stay_put_while_messages_arrive(host: &MemoryHost) {
    let chat = lobby(host);
    keep_in_state(&chat, 2);
    let mut ada = join(&chat, "?protocol=false");
    for text in ["1", "2", "3", "4"] {
        say(&mut ada, text);
    }
    ada.frames();
    let page = chat.get("/history?limit=1").json();
    assert_eq!(texts(&page["messages"]), ["4"]);
    for text in ["5", "6", "7"] {
        say(&mut ada, text);
    }
    ada.frames();
    let next = page["next"].as_str().expect("a cursor");
    assert_eq!(texts(&chat.get(&format!("/history?before={next}")).json()["messages"]), ["3", "2", "1"]);
}

pub(crate) fn an_empty_chat_has_an_empty_history(host: &MemoryHost) {
    let answer = lobby(host).get("/history");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({ "messages": [], "next": null }));
}

pub(crate) fn a_bad_page_is_refused_with_the_reason(host: &MemoryHost) {
    let chat = lobby(host);
    let limit = "limit must be a whole number from 1 to 100";
    let before = r#"before must be the "next" of another page"#;
    for (query, expected) in [
        ("limit=0", limit),
        ("limit=101", limit),
        ("limit=-1", limit),
        ("limit=ten", limit),
        ("limit=", limit),
        ("before=newest", before),
        ("before=", before),
        ("before=-1&limit=0", before),
    ] {
        let answer = chat.get(&format!("/history?{query}"));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.json(), json!({ "error": expected }), "{query}");
    }
}

pub(crate) fn other_paths_and_methods_are_refused(host: &MemoryHost) {
    let chat = lobby(host);
    for (method, path, status) in [
        (Method::GET, "", 404),
        (Method::GET, "/other", 404),
        (Method::GET, "/history/more", 404),
        (Method::POST, "/other", 404),
        (Method::POST, "/history", 405),
        (Method::DELETE, "/history", 405),
    ] {
        let answer = chat.request(Request::new(method.clone(), &chat.url(path), ""));
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD"), "{method} {path}");
    }
    let [mut get, head] =
        [Method::GET, Method::HEAD].map(|method| chat.request(Request::new(method, &chat.url("/history"), "")));
    assert_eq!(head.text(), "");
    // The platform says of a body how long it is.
    get.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(get.body.len()));
    assert_eq!((head.status, head.headers), (get.status, get.headers));
    // An instance may have any name, that of a path or of its class too.
    for name in ["history", "chat-agent", "agents"] {
        let chat = host.agent::<ChatAgent>(name);
        assert_eq!((chat.get("").status, chat.get("/history").status), (StatusCode::NOT_FOUND, StatusCode::OK), "{name}");
    }
}

pub(crate) fn call(client: &mut Client, method: &str, args: &Value) {
    client.send_json(&json!({ "type": "rpc", "id": "1", "method": method, "args": args }));
}

/// The next frame that answers a call, past the state frames that it caused.
pub(crate) fn reply(client: &mut Client) -> Value {
    loop {
        let frame = client.next_json();
        if frame["type"] == "rpc" {
            return frame;
        }
    }
}

pub(crate) fn a_call_posts_like_a_message(host: &MemoryHost) {
    let chat = lobby(host);
    let mut ada = join(&chat, "?userId=ada");
    let mut bob = join(&chat, "?userId=bob&protocol=false");
    call(&mut ada, "post", &json!(["hello"]));
    let posted = reply(&mut ada);
    let message = &posted["result"];
    assert_eq!((&message["text"], &message["sender"]), (&json!("hello"), &json!("ada")), "{posted}");
    call(&mut bob, "post", &json!(["hi", "Bobby"]));
    assert_eq!(reply(&mut bob)["result"]["sender"], "Bobby");
    let history = chat.get("/history").json();
    assert_eq!(history["messages"][1], *message);
    assert_eq!(history["messages"][0]["text"], "hi");
}

pub(crate) fn a_message_that_is_empty_or_overlong_cannot_be_posted(host: &MemoryHost) {
    let chat = lobby(host);
    let mut ada = join(&chat, "?userId=ada&protocol=false");
    for (args, error) in [
        (json!([" \n"]), "Message is empty".to_owned()),
        (json!(["x".repeat(MAX_MESSAGE_BYTES)]), format!("Message too long: the limit is {MAX_MESSAGE_BYTES} bytes")),
    ] {
        call(&mut ada, "post", &args);
        assert_eq!(reply(&mut ada)["error"], error);
    }
    assert_eq!(chat.get("/history").json()["messages"], json!([]));
}

pub(crate) fn an_export_has_the_whole_conversation_in_order(host: &MemoryHost) {
    let chat = lobby(host);
    keep_in_state(&chat, 2);
    let mut ada = join(&chat, "?userId=ada&protocol=false");
    for number in 1..=5 {
        say(&mut ada, &number.to_string());
    }
    ada.frames();
    call(&mut ada, "export", &json!([]));
    let (page, end) = (reply(&mut ada), reply(&mut ada));
    assert_eq!(texts(&page["result"]), ["1", "2", "3", "4", "5"]);
    assert_eq!(end, json!({ "type": "rpc", "id": "1", "success": true, "done": true, "result": null }));
    call(&mut ada, "export", &json!([3]));
    assert_eq!(texts(&reply(&mut ada)["result"]), ["4", "5"]);
    assert_eq!(reply(&mut ada)["result"], Value::Null);
}

pub(crate) fn old_messages_are_dropped_by_a_daily_schedule(host: &MemoryHost) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let chat = lobby(host);
    keep_in_state(&chat, 1);
    let mut ada = join(&chat, "?userId=ada&protocol=false");
    let schedules = || chat.sql("SELECT COUNT(*) FROM cf_agents_schedules", ()).one::<u64>().expect("a table");
    for text in ["1", "2", "3"] {
        say(&mut ada, text);
    }
    assert_eq!(schedules(), 1);
    host.advance(DAY * 30);
    say(&mut ada, "4");
    host.advance(DAY * 61);
    // Nothing is left to drop, so nobody looks every day.
    assert_eq!(schedules(), 0);
    // The first two are too old; the third, as old as they, holds the place of those in the state.
    say(&mut ada, "5");
    let history = chat.get("/history").json();
    assert_eq!(texts(&history["messages"]), ["5", "4", "3"]);
    // With the next message that leaves the state it begins anew.
    assert_eq!(schedules(), 1);
}

pub(crate) fn only_an_admin_closes_the_chat(host: &MemoryHost) {
    host.set_var("CHAT_REQUIRE_TOKEN", "true");
    host.set_var("DEV_TOKENS", "true");
    let chat = lobby(host);
    let mut ada = join(&chat, "?token=dev:ada");
    let mut root = join(&chat, "?token=dev:root:chat:admin&protocol=false");
    say(&mut ada, "hello");
    ada.frames();
    call(&mut ada, "closeChat", &json!([]));
    assert_eq!(reply(&mut ada)["error"], "Method closeChat requires scope chat:admin");
    root.frames();
    call(&mut root, "closeChat", &json!([]));
    for client in [&mut ada, &mut root] {
        assert_eq!(client.close_event(), Close { code: 1001, reason: "Durable Object destroyed".to_owned(), was_clean: true });
    }
    let mut ada = chat.connect("?token=dev:ada&protocol=false");
    assert_eq!(ada.next_json()["participants"], json!(["ada"]));
    assert_eq!(chat.get("/history?token=dev:ada").json()["messages"], json!([]));
}
