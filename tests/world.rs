//! WorldAgent: what its users see.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/chat_completions.rs"]
mod chat_completions;
#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/world.rs"]
mod scenarios;
use agents_worker::world::WorldAgent;
use durable_agents::MAX_ATTACHMENT_BYTES;
use durable_agents::testing::{Client, MemoryHost, Object};
use plain::plain;
use serde_json::{Value, json};

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

/// Asks, and returns the answer's type and payload.
fn ask(client: &mut Client, kind: &str, payload: Value) -> (String, Value) {
    client.send_json(&json!({ "id": "1", "type": kind, "payload": payload }));
    let answer = client.next_json();
    (answer["type"].as_str().expect("a type").to_owned(), answer["payload"].clone())
}

/// Asks, and returns the code of the error that answers.
fn refused(client: &mut Client, kind: &str, payload: Value) -> Value {
    let (answer, error) = ask(client, kind, payload);
    assert_eq!(answer, "error", "{error}");
    client.expect_no_frame();
    error["code"].clone()
}

/// Each of the user's worlds, and whether it is persistent.
fn worlds(user: &Object) -> Vec<(String, bool)> {
    user.sql("SELECT name, persistent FROM world_worlds ORDER BY name", ()).all().expect("SQL")
}

/// A connection whose attachment has no room for a long name.
fn connect_with_full_attachment(user: &Object) -> Client {
    let pad = MAX_ATTACHMENT_BYTES - user.url("?pad=").len() - 100;
    let mut client = user.connect(&format!("?pad={}", "x".repeat(pad)));
    assert_eq!(client.next_json()["type"], "status");
    client
}

#[test]
fn a_selection_that_its_connection_cannot_keep_changes_no_world() {
    let host = MemoryHost::new();
    let user = host.agent::<WorldAgent>("0123456789abcdef0123456789abcdef");
    let mut client = connect_with_full_attachment(&user);
    let name = "w".repeat(64);
    assert_eq!(refused(&mut client, "world_select", json!({ "worldName": name })), "too_large");
    assert_eq!(worlds(&user), []);
    let mut other = user.connect("");
    other.texts();
    assert_eq!(ask(&mut other, "world_select", json!({ "worldName": name })).0, "world_selected");
    assert_eq!(refused(&mut client, "world_select", json!({ "worldName": name, "persistent": true })), "too_large");
    assert_eq!(worlds(&user), [(name, false)]);
    assert_eq!(refused(&mut client, "world_reload", json!({})), "no_world_selected");
    assert_eq!(ask(&mut client, "world_select", json!({ "worldName": "w" })).0, "world_selected");
}

#[test]
fn a_selection_that_cannot_be_stored_selects_nothing() {
    let host = MemoryHost::new();
    let user = host.agent::<WorldAgent>("0123456789abcdef0123456789abcdef");
    let mut client = user.connect("");
    client.texts();
    assert_eq!(ask(&mut client, "world_select", json!({ "worldName": "w" })).0, "world_selected");
    for (statement, name) in
        [("INSERT INTO world_worlds", "v"), ("INTO cf_agents_schedules", "v"), ("UPDATE world_worlds", "w")]
    {
        user.refuse_storage(Some(statement));
        let payload = json!({ "worldName": name, "persistent": name == "w" });
        assert_eq!(refused(&mut client, "world_select", payload), "internal", "{statement}");
        user.refuse_storage(None);
        assert_eq!(worlds(&user), [("w".to_owned(), false)], "{statement}");
        assert_eq!(ask(&mut client, "world_reload", json!({})).1["worldName"], "w", "{statement}");
        let schedules: u32 = user.sql("SELECT count(*) FROM cf_agents_schedules", ()).one().expect("SQL");
        assert_eq!(schedules, 1, "{statement}");
    }
}

#[test]
fn a_message_that_cannot_be_answered_is_not_kept() {
    let host = MemoryHost::new();
    let user = host.agent::<WorldAgent>("0123456789abcdef0123456789abcdef");
    let mut client = user.connect("");
    client.texts();
    assert_eq!(ask(&mut client, "world_select", json!({ "worldName": "w" })).0, "world_selected");
    user.refuse_storage(Some("FROM world_messages WHERE world = ? ORDER BY seq DESC LIMIT ?"));
    assert_eq!(refused(&mut client, "chat_send", json!({ "content": "hello" })), "internal");
    user.refuse_storage(None);
    assert_eq!(user.sql("SELECT count(*) FROM world_messages", ()).one::<u32>().expect("SQL"), 0);
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_to_do() {
    let host = MemoryHost::new();
    host.set_var("MODEL", "openai");
    host.set_var("MODEL_URL", "https://model.example/v1/chat/completions");
    host.set_var("MODEL_NAME", "small");
    let user = host.agent::<WorldAgent>("0123456789abcdef0123456789abcdef");
    let mut client = user.connect("");
    client.texts();
    let mut told = |kind: &str, payload: Value| ask(&mut client, kind, payload).1["message"].clone();
    assert_eq!(told("chat_send", json!({ "content": "hello" })), "Select a world first, with world_select");
    let name = "A world's name is 1 to 64 of the characters A-Z, a-z, 0-9, - and _";
    assert_eq!(told("world_select", json!({ "worldName": "Zoë" })), name);
    assert_eq!(told("world_select", json!({ "worldName": "w" })), Value::Null);
    let templates = "Templates cannot be changed: name a world of your own, and no template";
    assert_eq!(told("agent_update", json!({ "templateName": "w" })), templates);
    for (field, value, message) in [
        ("colour", json!("red"), r#"There is no field "colour": name, systemPrompt, model and status can be changed"#),
        (
            "name",
            json!(" Ada"),
            "name must be a text of 1 to 64 bytes, without control characters, and without blanks at either end",
        ),
        (
            "status",
            json!("a\nb"),
            "status must be a text of 1 to 64 bytes, without control characters, and without blanks at either end",
        ),
        ("systemPrompt", json!(5), "systemPrompt must be a text of 0 to 8192 bytes"),
        ("model", json!("large"), r#"There is no model "large" here; "default" always is one"#),
    ] {
        assert_eq!(told("agent_update", json!({ "agentId": "helper", "changes": { field: value } })), message);
    }
    host.set_var("MODEL", "nonsense");
    assert_eq!(told("agent_update", json!({ "agentId": "helper", "changes": { "model": "default" } })), Value::Null);
}

#[test]
fn another_users_id_is_not_called_an_invalid_one() {
    let host = MemoryHost::new();
    let told = |user: &str, query: &str| {
        let user = host.agent::<WorldAgent>(user);
        let answer = user.get(&format!("health{query}"));
        assert_eq!(answer.status, 400);
        answer.json()["error"].clone()
    };
    let (ada, bob) = ("0123456789abcdef0123456789abcdef", "b0b00000-0000-4000-8000-00000000b0b0");
    let another = "This address is one user's, and ?user= names another: leave it out";
    assert_eq!(told(ada, &format!("?user={bob}")), another);
    let invalid = "A user id is 32 hexadecimal digits or a UUID";
    for (user, query) in [(ada, "?user=bob"), (ada, "?user="), ("bob", ""), ("bob", "?user=bob")] {
        assert_eq!(told(user, query), invalid, "{user} {query}");
    }
}
