//! What users of worlds see.

use std::collections::HashSet;
use std::time::Duration;

use agents_worker::iso;
use agents_worker::world::{
    KEPT_AFTER_LEAVING, MAX_CHATS, MAX_CONNECTIONS, MAX_CONTENT_BYTES, MAX_MESSAGE_BYTES, MAX_MESSAGES, MAX_WORLDS, WorldAgent,
};
use durable_agents::Close;
use durable_agents::http::{Body, Method, Request, StatusCode};
use durable_agents::testing::{Client, Collected, MemoryHost, Object, Streaming};
use serde_json::{Value, json};

use crate::chat_completions::{self, Exchange, Exchanges, Stream};

/// All scenarios of this file, for `$each!`.
macro_rules! world_scenarios {
    ($each:ident) => {
        $each! {
            a_newcomer_is_told_who_it_is_and_what_there_is
            protocol_frames_come_first_and_only_for_who_asks_for_them
            selecting_a_world_clones_its_template_once
            a_world_stays_persistent_once_it_is
            a_world_may_bear_the_name_of_a_template
            a_selection_that_cannot_be_refuses_with_its_code
            every_agent_answers
            who_is_addressed_answers
            a_message_to_nobody_known_is_neither_stored_nor_answered
            a_message_needs_a_world_and_words
            the_conversation_goes_on
            an_agent_hears_the_newest_forty_messages
            events_come_to_those_who_subscribed
            a_chat_is_told_in_order
            an_event_nobody_knows_subscribes_to_nothing
            an_agent_is_changed_for_good
            a_change_that_cannot_be_changes_nothing
            a_reload_reads_what_is_stored
            what_is_no_message_is_refused_and_the_socket_stays_open
            a_ping_is_answered
            a_user_without_a_valid_id_is_shown_out
            a_model_that_fails_is_an_error_of_its_agent_alone
            who_leaves_stops_what_was_asked
            only_so_many_chats_run_at_once
            only_so_many_chats_over_http_run_at_once
            health_tells_of_this_user
            every_message_is_counted_once
            templates_are_read_over_http
            an_own_world_is_read_over_http
            a_chat_over_http_is_a_stream_of_events
            a_chat_with_a_template_leaves_it_as_it_was
            a_chat_over_http_that_cannot_begin_says_why
            a_model_that_fails_over_http_is_an_error_event
            who_stops_reading_stops_the_chat
            other_paths_and_methods_are_refused
            a_user_reaches_no_other_users_worlds
            worlds_that_are_not_persistent_go_ten_minutes_after_the_last_connection
            a_visit_in_between_begins_the_ten_minutes_anew
            a_crash_does_not_keep_worlds_for_ever
            a_user_who_leaves_nothing_behind_is_forgotten
            only_so_many_worlds_messages_and_connections_are_kept
        }
    };
}
pub(crate) use world_scenarios;

const ADA: &str = "0123456789abcdef0123456789abcdef";
const BOB: &str = "b0b00000-0000-4000-8000-00000000b0b0";

fn user(host: &MemoryHost, id: &str) -> Object {
    host.agent::<WorldAgent>(id)
}

/// One connection of a user, which knows the shape of every frame.
struct Visit {
    host: MemoryHost,
    client: Client,
    asked: u32,
    ids: HashSet<String>,
}

impl Visit {
    /// A connection that has read its welcome.
    fn new(host: &MemoryHost, id: &str) -> Self {
        Self::welcomed(host, id).0
    }

    fn welcomed(host: &MemoryHost, id: &str) -> (Self, Value) {
        // Answers are complete without waiting, unless a scenario wants it otherwise.
        host.set_var("MODEL_DELAY_MS", "0");
        let client = user(host, id).connect("");
        let mut visit = Self { host: host.clone(), client, asked: 0, ids: HashSet::new() };
        let welcome = visit.frame("status", None);
        (visit, welcome)
    }

    /// A connection that has selected a world of its own.
    fn in_world(host: &MemoryHost, id: &str, world: &str) -> Self {
        let mut visit = Self::new(host, id);
        visit.ask("world_select", json!({ "worldName": world }), "world_selected");
        visit
    }

    /// Sends a request, and returns its id.
    fn begin(&mut self, kind: &str, payload: Value) -> String {
        self.asked += 1;
        let id = format!("request-{}", self.asked);
        self.client
            .send_json(&json!({ "id": id, "type": kind, "timestamp": iso::utc(self.host.now_ms()), "payload": payload }));
        id
    }

    /// The next frame's type, `replyTo` and payload, after a look at its envelope.
    fn next(&mut self) -> (String, Value, Value) {
        let frame = self.client.next_json();
        let mut fields: Vec<&str> = frame.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.retain(|field| *field != "replyTo");
        fields.sort_unstable();
        assert_eq!(fields, ["id", "payload", "timestamp", "type"], "{frame}");
        assert_eq!(frame["timestamp"], iso::utc(self.host.now_ms()), "{frame}");
        let id = frame["id"].as_str().expect("an id").to_owned();
        assert!(!id.is_empty() && self.ids.insert(id), "an id of its own: {frame}");
        (frame["type"].as_str().expect("a type").to_owned(), frame["replyTo"].clone(), frame["payload"].clone())
    }

    /// The payload of the next frame, which must be that.
    fn frame(&mut self, kind: &str, reply_to: Option<&str>) -> Value {
        let (got, reply, payload) = self.next();
        assert_eq!((got.as_str(), reply.as_str()), (kind, reply_to), "{payload}");
        payload
    }

    /// Asks, and returns the payload of the answer.
    fn ask(&mut self, kind: &str, payload: Value, answer: &str) -> Value {
        let id = self.begin(kind, payload);
        self.frame(answer, Some(&id))
    }

    /// Asks, and expects to be refused.
    fn refused(&mut self, kind: &str, payload: Value, code: &str) {
        let error = self.ask(kind, payload.clone(), "error");
        assert_eq!(error["code"], code, "{kind} {payload}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
        self.client.expect_no_frame();
    }

    fn event(&mut self, event: &str, world: &str) -> Value {
        let payload = self.frame("event_stream", None);
        assert_eq!((payload["event"].as_str(), payload["world"].as_str()), (Some(event), Some(world)), "{payload}");
        payload["data"].clone()
    }

    /// Everything that comes until nothing more does, as type and payload.
    fn rest(&mut self) -> Vec<(String, Value)> {
        let frames = self.client.texts();
        let parse = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        let kind = |frame: &Value| frame["type"].as_str().expect("a type").to_owned();
        frames.into_iter().map(parse).map(|frame| (kind(&frame), frame["payload"].clone())).collect()
    }
}

fn templates() -> Value {
    json!([
        {
            "name": "default-world",
            "description": "A helper who answers and a skeptic who asks what is wrong with the answer.",
            "agentCount": 2,
        },
        {
            "name": "story-world",
            "description": "A story that its reader steers, told by a narrator and two of its characters.",
            "agentCount": 3,
        },
    ])
}

fn default_agents() -> Value {
    json!([
        {
            "id": "helper",
            "name": "Helper",
            "systemPrompt": "You are Helper. Answer what the user asks, plainly and in a few sentences.",
            "model": "default",
            "status": "active",
        },
        {
            "id": "skeptic",
            "name": "Skeptic",
            "systemPrompt": "You are Skeptic. In one or two sentences, name what may be wrong or missing in what is being said.",
            "model": "default",
            "status": "active",
        },
    ])
}

/// What the scripted model says to that.
fn script(said: &str) -> String {
    format!("This is the scripted model: it understands nothing and repeats what you said. You said: {said}")
}

/// A model whose streams the scenario writes, one for each request, in order.
struct Server {
    host: MemoryHost,
    exchanges: Exchanges,
}

impl Server {
    fn new(host: &MemoryHost) -> Self {
        Self { host: host.clone(), exchanges: chat_completions::serve(host) }
    }

    /// The request of that number, once everything under way has arrived.
    fn exchange<T>(&self, index: usize, look: impl FnOnce(&Exchange) -> T) -> T {
        self.host.run_until_idle();
        look(&self.exchanges.borrow()[index])
    }

    fn answer<T>(&self, index: usize, look: impl FnOnce(&Stream) -> T) -> T {
        self.exchange(index, |exchange| look(&exchange.answer))
    }

    fn count(&self) -> usize {
        self.host.run_until_idle();
        self.exchanges.borrow().len()
    }

    fn asked(&self, index: usize) -> Value {
        self.exchange(index, |exchange| exchange.ask.clone())
    }

    fn piece(&self, index: usize, content: &str) {
        self.answer(index, |answer| answer.piece(content));
    }

    fn end(&self, index: usize) {
        self.answer(index, Stream::end);
    }

    /// Ends the stream before the answer has ended.
    fn cut(&self, index: usize) {
        self.answer(index, |answer| answer.0.close_channel());
    }

    fn is_aborted(&self, index: usize) -> bool {
        self.answer(index, |answer| answer.0.is_closed())
    }
}

pub(crate) fn a_newcomer_is_told_who_it_is_and_what_there_is(host: &MemoryHost) {
    for id in [ADA, BOB] {
        let (mut visit, welcome) = Visit::welcomed(host, id);
        let connection = welcome["connectionId"].as_str().expect("an id");
        assert_eq!(welcome, json!({ "userId": id, "connectionId": connection, "worlds": [], "templates": templates() }));
        visit.client.expect_no_frame();
    }
    let mut ada = Visit::new(host, ADA);
    ada.ask(
        "world_select",
        json!({ "worldName": "mine", "templateName": "story-world", "persistent": true }),
        "world_selected",
    );
    host.advance(Duration::from_millis(1));
    ada.ask("world_select", json!({ "worldName": "also-mine" }), "world_selected");
    let worlds = json!([
        { "name": "mine", "templateName": "story-world", "persistent": true, "agentCount": 3 },
        { "name": "also-mine", "templateName": "default-world", "persistent": false, "agentCount": 2 },
    ]);
    assert_eq!(Visit::welcomed(host, ADA).1["worlds"], worlds);
    assert_eq!(Visit::welcomed(host, BOB).1["worlds"], json!([]));
}

pub(crate) fn protocol_frames_come_first_and_only_for_who_asks_for_them(host: &MemoryHost) {
    let mut asker = user(host, ADA).connect("?protocol=true");
    assert_eq!(asker.greeting().len(), 2, "identity and MCP servers, no state");
    assert_eq!(asker.next_json()["type"], "status");
    for query in ["", "?protocol=false", "?protocol=1"] {
        let mut other = user(host, ADA).connect(query);
        assert_eq!(other.greeting(), [""; 0], "{query}");
        assert_eq!(other.next_json()["type"], "status");
    }
    asker.set_state(&json!({ "worlds": [] }));
    assert_eq!(asker.next_json()["type"], "cf_agent_state_error");
}

pub(crate) fn selecting_a_world_clones_its_template_once(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    let agents = default_agents();
    let expected = json!({ "worldName": "w", "templateName": "default-world", "agents": agents, "persistent": false });
    assert_eq!(ada.ask("world_select", json!({ "worldName": "w" }), "world_selected"), expected);
    let changes = json!({ "agentId": "helper", "changes": { "name": "Changed" } });
    ada.ask("agent_update", changes, "agent_updated");
    let again = ada.ask("world_select", json!({ "worldName": "w", "templateName": "story-world" }), "world_selected");
    assert_eq!((&again["agents"][0]["name"], &again["templateName"]), (&json!("Changed"), &json!("default-world")));
    let other = ada.ask("world_select", json!({ "worldName": "other" }), "world_selected");
    assert_eq!(other["agents"], agents, "the template is as it was");
    ada.client.expect_no_frame();
}

pub(crate) fn a_world_stays_persistent_once_it_is(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    let mut select = |persistent: Value| {
        let selected = ada.ask("world_select", json!({ "worldName": "w", "persistent": persistent }), "world_selected");
        selected["persistent"].clone()
    };
    assert_eq!(select(Value::Null), false);
    assert_eq!(select(json!(true)), true);
    assert_eq!(select(json!(false)), true);
}

pub(crate) fn a_world_may_bear_the_name_of_a_template(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    let payload = json!({ "worldName": "default-world", "templateName": "story-world" });
    let selected = ada.ask("world_select", payload, "world_selected");
    assert_eq!(selected["templateName"], "story-world");
    ada.ask("agent_update", json!({ "agentId": "captain", "changes": { "name": "Ahab" } }), "agent_updated");
    assert_eq!(Visit::welcomed(host, BOB).1["templates"], templates());
    let read = user(host, ADA).get("/worlds/default-world/agents").json();
    assert_eq!(read[1]["name"], "Ahab");
}

pub(crate) fn a_selection_that_cannot_be_refuses_with_its_code(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    for name in [
        json!(""),
        json!("."),
        json!(".."),
        json!("../default-world"),
        json!("a/b"),
        json!("a\\b"),
        json!("a.b"),
        json!("a b"),
        json!("%2e%2e"),
        json!("a\u{0}"),
        json!("wörld"),
        json!("x".repeat(65)),
        json!(5),
        json!(["a"]),
        Value::Null,
    ] {
        ada.refused("world_select", json!({ "worldName": name }), "invalid_name");
    }
    ada.refused("world_select", json!({}), "invalid_name");
    ada.refused("world_select", json!({ "worldName": "w", "templateName": "no-world" }), "unknown_template");
    ada.refused("world_select", json!({ "worldName": "w", "templateName": 5 }), "invalid_message");
    ada.refused("world_select", json!({ "worldName": "w", "persistent": "yes" }), "invalid_message");
    ada.refused("chat_send", json!({ "content": "hello" }), "no_world_selected");
    assert_eq!(Visit::welcomed(host, ADA).1["worlds"], json!([]), "nothing half-done stays");
    ada.ask("world_select", json!({ "worldName": "x".repeat(64) }), "world_selected");
}

pub(crate) fn every_agent_answers(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    let id = ada.begin("chat_send", json!({ "content": "hello", "sender": "ada" }));
    for (agent, name) in [("helper", "Helper"), ("skeptic", "Skeptic")] {
        let response = ada.frame("chat_response", Some(&id));
        let message_id = response["messageId"].as_str().expect("an id");
        let expected = json!({ "agent": agent, "agentName": name, "content": script("hello"), "messageId": message_id });
        assert_eq!(response, expected);
    }
    ada.client.expect_no_frame();
}

pub(crate) fn who_is_addressed_answers(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    for (content, agents) in [
        ("@Skeptic really?", &["skeptic"][..]),
        ("what does @helper say?", &["helper"]),
        ("@Skeptic and @Helper!", &["helper", "skeptic"]),
        ("me@example.com", &["helper", "skeptic"]),
    ] {
        let id = ada.begin("chat_send", json!({ "content": content }));
        for agent in agents {
            assert_eq!(ada.frame("chat_response", Some(&id))["agent"], *agent, "{content}");
        }
        ada.client.expect_no_frame();
    }
}

pub(crate) fn a_message_to_nobody_known_is_neither_stored_nor_answered(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    ada.ask("event_subscribe", json!({ "events": ["*"] }), "status");
    ada.refused("chat_send", json!({ "content": "@Helper, ask @Nobody" }), "unknown_agent");
    assert_eq!(user(host, ADA).sql("SELECT count(*) FROM world_messages", ()).one::<u32>().expect("SQL"), 0);
}

pub(crate) fn a_message_needs_a_world_and_words(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    ada.refused("chat_send", json!({ "content": "hello" }), "no_world_selected");
    ada.ask("world_select", json!({ "worldName": "w" }), "world_selected");
    for (payload, code) in [
        (json!({}), "invalid_message"),
        (json!({ "content": 5 }), "invalid_message"),
        (json!({ "content": " \n" }), "invalid_message"),
        (json!({ "content": "hello", "sender": 5 }), "invalid_message"),
        (json!({ "content": "hello", "sender": "a\u{7}" }), "invalid_message"),
        (json!({ "content": "hello", "sender": "x".repeat(65) }), "invalid_message"),
        (json!({ "content": "x".repeat(MAX_CONTENT_BYTES + 1) }), "too_large"),
    ] {
        ada.refused("chat_send", payload, code);
    }
    let longest = format!("@helper {}", "x".repeat(MAX_CONTENT_BYTES - 8));
    ada.ask("chat_send", json!({ "content": longest }), "chat_response");
}

pub(crate) fn the_conversation_goes_on(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    let id = ada.begin("chat_send", json!({ "content": "first" }));
    ada.client.expect_no_frame();
    for (index, answer) in [(0, "yes"), (1, "no")] {
        server.piece(index, answer);
        server.end(index);
        assert_eq!(ada.frame("chat_response", Some(&id))["content"], answer);
    }
    ada.begin("chat_send", json!({ "content": "@Skeptic why?" }));
    ada.client.expect_no_frame();
    let asked = server.asked(2);
    let system = "You are Skeptic. In one or two sentences, name what may be wrong or missing in what is being said.";
    let messages = json!([
        { "role": "system", "content": system },
        { "role": "user", "content": "first" },
        { "role": "user", "content": "Helper: yes" },
        { "role": "assistant", "content": "no" },
        { "role": "user", "content": "@Skeptic why?" },
    ]);
    assert_eq!(asked, json!({ "model": "small", "messages": messages, "stream": true }));
}

pub(crate) fn an_agent_hears_the_newest_forty_messages(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
        INSERT INTO world_messages (world, id, sender, content, timestamp) SELECT 'w', i, 'user', i, 0 FROM n";
    user(host, ADA).sql(fill, ()).execute().expect("SQL");
    ada.begin("chat_send", json!({ "content": "@helper hello" }));
    ada.client.expect_no_frame();
    let asked = server.asked(0);
    let heard: Vec<&Value> = asked["messages"].as_array().expect("a list").iter().map(|message| &message["content"]).collect();
    assert_eq!((heard.len(), heard[1], heard[40]), (41, &json!("12"), &json!("@helper hello")), "the system prompt and those");
}

pub(crate) fn events_come_to_those_who_subscribed(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    let mut second = Visit::new(host, ADA);
    let subscribe = |visit: &mut Visit, events: Value, unsubscribe: bool| {
        visit.ask("event_subscribe", json!({ "events": events, "unsubscribe": unsubscribe }), "status")["subscribed"].clone()
    };
    assert_eq!(subscribe(&mut second, json!(["world", "message"]), false), json!(["message", "world"]));
    let messages = |visit: &mut Visit| {
        let kinds: Vec<String> =
            visit.rest().into_iter().map(|(kind, payload)| format!("{kind} {}", payload["event"])).collect();
        kinds
    };
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    ada.client.expect_no_frame();
    let said = second.event("message", "w");
    assert_eq!((&said["sender"], &said["content"], said.get("agent")), (&json!("user"), &json!("@helper hello"), None));
    let answered = second.event("message", "w");
    let id = answered["messageId"].as_str().expect("an id");
    let (content, timestamp) = (script("@helper hello"), host.now_ms());
    let expected =
        json!({ "messageId": id, "sender": "Helper", "agent": "helper", "content": content, "timestamp": timestamp });
    assert_eq!(answered, expected);
    second.client.expect_no_frame();

    ada.ask("world_select", json!({ "worldName": "v" }), "world_selected");
    assert_eq!(second.event("world", "v"), json!({ "action": "selected", "agents": default_agents() }));
    assert_eq!(subscribe(&mut second, json!(["message"]), true), json!(["world"]));
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    second.client.expect_no_frame();
    assert_eq!(subscribe(&mut second, json!(["*"]), false), json!(["message", "chunk", "agent_status", "world"]));
    ada.ask("world_reload", json!({}), "world_reloaded");
    assert_eq!(messages(&mut second), [r#"event_stream "world""#]);
    assert_eq!(subscribe(&mut second, json!(["*"]), true), json!([]));
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    second.client.expect_no_frame();
    assert_eq!(subscribe(&mut ada, json!([]), false), json!([]));
}

pub(crate) fn a_chat_is_told_in_order(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    ada.ask("event_subscribe", json!({ "events": ["*"] }), "status");
    let id = ada.begin("chat_send", json!({ "content": "@helper hello", "sender": "ada" }));
    assert_eq!(ada.event("message", "w")["sender"], "ada");
    let doing = |status: &str| json!({ "agent": "helper", "agentName": "Helper", "status": status });
    assert_eq!(ada.event("agent_status", "w"), doing("thinking"));
    ada.client.expect_no_frame();
    server.piece(0, "We");
    assert_eq!(ada.event("agent_status", "w"), doing("streaming"));
    let chunk = ada.event("chunk", "w");
    let message_id = chunk["messageId"].clone();
    assert_eq!(chunk, json!({ "agent": "helper", "agentName": "Helper", "messageId": message_id, "content": "We" }));
    host.advance(Duration::from_secs(5));
    server.piece(0, "ll.");
    assert_eq!(ada.event("chunk", "w")["content"], "ll.");
    server.end(0);
    let said = ada.event("message", "w");
    assert_eq!((&said["content"], &said["messageId"]), (&json!("Well."), &message_id));
    assert_eq!(ada.event("agent_status", "w"), doing("idle"));
    let response = ada.frame("chat_response", Some(&id));
    assert_eq!((&response["content"], &response["messageId"]), (&json!("Well."), &message_id));
    ada.client.expect_no_frame();
}

pub(crate) fn an_event_nobody_knows_subscribes_to_nothing(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    ada.refused("event_subscribe", json!({ "events": ["world", "weather"] }), "unknown_event");
    ada.refused("event_subscribe", json!({ "events": ["Message"] }), "unknown_event");
    for payload in
        [json!({}), json!({ "events": "world" }), json!({ "events": [5] }), json!({ "events": ["world"], "unsubscribe": 1 })]
    {
        ada.refused("event_subscribe", payload, "invalid_message");
    }
    ada.ask("world_reload", json!({}), "world_reloaded");
    ada.client.expect_no_frame();
}

pub(crate) fn an_agent_is_changed_for_good(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w");
    let mut second = Visit::in_world(host, ADA, "w");
    second.ask("event_subscribe", json!({ "events": ["world"] }), "status");
    let changes = json!({ "name": "Dr. Who", "systemPrompt": "", "model": "other", "status": "busy" });
    let updated = ada.ask("agent_update", json!({ "agentId": "helper", "changes": changes }), "agent_updated");
    let agent = json!({ "id": "helper", "name": "Dr. Who", "systemPrompt": "", "model": "other", "status": "busy" });
    assert_eq!(updated, json!({ "agent": agent }));
    assert_eq!(second.event("world", "w"), json!({ "action": "updated", "agent": agent }));
    assert_eq!(user(host, ADA).get("/worlds/w/agents").json()[0], agent);
    assert_eq!(ada.ask("chat_send", json!({ "content": "@dr. who?" }), "chat_response")["agentName"], "Dr. Who");
    ada.ask("world_select", json!({ "worldName": "v" }), "world_selected");
    let elsewhere = json!({ "worldName": "w", "agentId": "helper", "changes": { "name": "Helper" } });
    assert_eq!(ada.ask("agent_update", elsewhere, "agent_updated")["agent"]["name"], "Helper");
    let unchanged = ada.ask("agent_update", json!({ "agentId": "helper", "changes": {} }), "agent_updated");
    assert_eq!(unchanged["agent"], default_agents()[0]);
}

pub(crate) fn a_change_that_cannot_be_changes_nothing(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    ada.refused("agent_update", json!({ "agentId": "helper", "changes": {} }), "no_world_selected");
    ada.ask("world_select", json!({ "worldName": "w" }), "world_selected");
    ada.ask("event_subscribe", json!({ "events": ["*"] }), "status");
    for changes in [
        json!({ "name": "New", "id": "new" }),
        json!({ "name": "New", "color": "red" }),
        json!({ "name": "" }),
        json!({ "name": " New" }),
        json!({ "name": "a\nb" }),
        json!({ "name": "x".repeat(65) }),
        json!({ "name": 5 }),
        json!({ "name": null }),
        json!({ "status": "" }),
        json!({ "model": "x".repeat(129) }),
        json!({ "systemPrompt": "x".repeat(8 * 1024 + 1) }),
    ] {
        ada.refused("agent_update", json!({ "agentId": "helper", "changes": changes }), "invalid_field");
    }
    for (payload, code) in [
        (json!({ "agentId": "nobody", "changes": {} }), "unknown_agent"),
        (json!({ "agentId": "Helper", "changes": {} }), "unknown_agent"),
        (json!({ "changes": {} }), "invalid_message"),
        (json!({ "agentId": "helper" }), "invalid_message"),
        (json!({ "agentId": "helper", "changes": ["name"] }), "invalid_message"),
        (json!({ "agentId": "helper", "changes": {}, "templateName": "default-world" }), "forbidden"),
        (json!({ "agentId": "helper", "changes": {}, "worldName": "default-world" }), "forbidden"),
        (json!({ "agentId": "helper", "changes": {}, "worldName": "other" }), "unknown_world"),
        (json!({ "agentId": "helper", "changes": {}, "worldName": "../w" }), "invalid_name"),
    ] {
        ada.refused("agent_update", payload, code);
    }
    Server::new(host);
    let payload = json!({ "agentId": "helper", "changes": { "name": "New", "model": "expensive" } });
    ada.refused("agent_update", payload, "invalid_field");
    assert_eq!(ada.ask("world_reload", json!({}), "world_reloaded")["agents"], default_agents());
}

pub(crate) fn a_reload_reads_what_is_stored(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    ada.refused("world_reload", json!({}), "no_world_selected");
    ada.refused("world_reload", json!({ "worldName": "w" }), "unknown_world");
    ada.refused("world_reload", json!({ "worldName": "default-world" }), "unknown_world");
    ada.refused("world_reload", json!({ "worldName": "a/b" }), "invalid_name");
    ada.ask("world_select", json!({ "worldName": "w" }), "world_selected");
    let rename = "UPDATE world_worlds SET agents = replace(agents, 'Helper\"', 'Renamed\"') WHERE name = 'w'";
    user(host, ADA).sql(rename, ()).execute().expect("SQL");
    for payload in [json!({}), json!({ "worldName": "w" })] {
        let reloaded = ada.ask("world_reload", payload, "world_reloaded");
        assert_eq!((&reloaded["worldName"], &reloaded["agents"][0]["name"]), (&json!("w"), &json!("Renamed")));
    }
}

pub(crate) fn what_is_no_message_is_refused_and_the_socket_stays_open(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    let too_large = format!("\"{}\"", "x".repeat(MAX_MESSAGE_BYTES));
    for (text, reply_to, code) in [
        ("", None, "invalid_message"),
        ("hello", None, "invalid_message"),
        ("[]", None, "invalid_message"),
        ("null", None, "invalid_message"),
        ("{", None, "invalid_message"),
        ("{}", None, "invalid_message"),
        (r#"{"type":"ping"}"#, None, "invalid_message"),
        (r#"{"type":"ping","id":5}"#, None, "invalid_message"),
        (r#"{"type":"ping","id":""}"#, None, "invalid_message"),
        (r#"{"id":"a"}"#, Some("a"), "invalid_message"),
        (r#"{"id":"a","type":5}"#, Some("a"), "invalid_message"),
        (r#"{"id":"a","type":"ping","payload":[]}"#, Some("a"), "invalid_message"),
        (r#"{"id":"a","type":"dance"}"#, Some("a"), "unknown_type"),
        (r#"{"id":"a","type":"","payload":{}}"#, Some("a"), "unknown_type"),
        (&too_large, None, "too_large"),
    ] {
        ada.client.send(text);
        assert_eq!(ada.frame("error", reply_to)["code"], code, "{text:.80}");
    }
    ada.client.send(b"{}".to_vec());
    assert_eq!(ada.frame("error", None)["code"], "invalid_message");
    let long_id = json!({ "id": "x".repeat(129), "type": "ping" });
    ada.client.send_json(&long_id);
    assert_eq!(ada.frame("error", None)["code"], "invalid_message");
    assert!(ada.client.is_open());
}

pub(crate) fn a_ping_is_answered(host: &MemoryHost) {
    let mut ada = Visit::new(host, ADA);
    assert_eq!(ada.ask("ping", Value::Null, "pong"), json!({}));
    ada.client.send(r#"{"id":"p","type":"ping"}"#);
    assert_eq!(ada.frame("pong", Some("p")), json!({}));
}

pub(crate) fn a_user_without_a_valid_id_is_shown_out(host: &MemoryHost) {
    let shown_out = |client: &mut Client| {
        let error = client.next_json();
        assert_eq!((&error["type"], &error["payload"]["code"]), (&json!("error"), &json!("invalid_user")));
        assert_eq!(client.close_event(), Close { code: 4400, reason: "invalid_user".to_owned(), was_clean: true });
    };
    for name in ["lobby", "../x", "0123456789abcdef0123456789abcdeg", &ADA[1..], "a%2fb"] {
        let object = user(host, name);
        let mut client = object.connect("");
        client.send(r#"{"id":"a","type":"world_select","payload":{"worldName":"w"}}"#);
        shown_out(&mut client);
        client.expect_no_frame();
        let answer = object.get("/health");
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!("invalid_user")), "{name}");
        let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
        assert_eq!(tables, 0, "nothing is left of {name}");
    }
    shown_out(&mut user(host, ADA).connect(&format!("?user={BOB}")));
    user(host, ADA).connect(&format!("?user={ADA}")).next_json();
}

pub(crate) fn a_model_that_fails_is_an_error_of_its_agent_alone(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    ada.ask("event_subscribe", json!({ "events": ["agent_status"] }), "status");
    let id = ada.begin("chat_send", json!({ "content": "hello" }));
    for (agent, name) in [("helper", "Helper"), ("skeptic", "Skeptic")] {
        assert_eq!(ada.event("agent_status", "w"), json!({ "agent": agent, "agentName": name, "status": "thinking" }));
    }
    server.piece(0, "lost");
    assert_eq!(ada.event("agent_status", "w")["status"], "streaming");
    server.cut(0);
    assert_eq!(ada.event("agent_status", "w"), json!({ "agent": "helper", "agentName": "Helper", "status": "error" }));
    let error = json!({ "code": "model_failed", "message": "The model's answer broke off", "agent": "helper" });
    assert_eq!(ada.frame("error", Some(&id)), error);
    server.piece(1, "kept");
    server.end(1);
    assert_eq!(
        (ada.event("agent_status", "w")["status"].clone(), ada.event("agent_status", "w")["status"].clone()),
        ("streaming".into(), "idle".into())
    );
    assert_eq!(ada.frame("chat_response", Some(&id))["content"], "kept");
    ada.client.expect_no_frame();
    let kept: Vec<String> = user(host, ADA).sql("SELECT content FROM world_messages ORDER BY seq", ()).all().expect("SQL");
    assert_eq!(kept, ["hello", "kept"]);
    host.set_var("MODEL", "nonsense");
    ada.refused("chat_send", json!({ "content": "hello" }), "model_failed");
    let messages: u32 = user(host, ADA).sql("SELECT count(*) FROM world_messages", ()).one().expect("SQL");
    assert_eq!(messages, 2, "what nobody can answer is not stored");
}

pub(crate) fn who_leaves_stops_what_was_asked(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    let mut second = Visit::in_world(host, ADA, "w");
    second.ask("event_subscribe", json!({ "events": ["agent_status"] }), "status");
    second.begin("chat_send", json!({ "content": "@skeptic hello" }));
    assert_eq!(second.event("agent_status", "w")["status"], "thinking");
    ada.begin("chat_send", json!({ "content": "@helper hello" }));
    assert_eq!(second.event("agent_status", "w")["agent"], "helper");
    server.piece(1, "lost");
    assert_eq!(second.event("agent_status", "w")["status"], "streaming");
    ada.client.close(1000, "");
    assert_eq!(second.event("agent_status", "w"), json!({ "agent": "helper", "agentName": "Helper", "status": "idle" }));
    assert!(server.is_aborted(1));
    assert!(!server.is_aborted(0), "what others asked goes on");
    second.client.cut();
    host.run_until_idle();
    assert!(server.is_aborted(0));
    let kept: u32 = user(host, ADA).sql("SELECT count(*) FROM world_messages WHERE agent IS NOT NULL", ()).one().expect("SQL");
    assert_eq!(kept, 0, "half an answer is none");
}

pub(crate) fn only_so_many_chats_run_at_once(host: &MemoryHost) {
    let server = Server::new(host);
    let mut ada = Visit::in_world(host, ADA, "w");
    for _ in 0..MAX_CHATS {
        ada.begin("chat_send", json!({ "content": "@helper hello" }));
    }
    let busy = "4 messages of yours are being answered: send this one again when one of them has been";
    let refused = ada.ask("chat_send", json!({ "content": "@helper hello" }), "error");
    assert_eq!(refused, json!({ "code": "busy", "message": busy }));
    let chat = json!({ "message": "@helper hello" });
    let answer = user(host, ADA).post("/worlds/w/chat", "application/json", chat.to_string());
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (429, &json!("busy")));
    assert_eq!(server.count(), MAX_CHATS);
    server.end(2);
    assert_eq!(ada.frame("chat_response", Some("request-4"))["content"], "");
    ada.begin("chat_send", json!({ "content": "@helper hello" }));
    ada.client.expect_no_frame();
    assert_eq!(server.count(), MAX_CHATS + 1);
}

pub(crate) fn only_so_many_chats_over_http_run_at_once(host: &MemoryHost) {
    let server = Server::new(host);
    let nobody = user(host, BOB);
    let request = || {
        let body = json!({ "message": "@helper hello" }).to_string();
        Request::new(Method::POST, "https://example.com/worlds/default-world/chat", body)
    };
    let mut streams: Vec<_> = (0..MAX_CHATS).map(|_| nobody.stream(request())).collect();
    assert!(streams.iter().all(|stream| stream.response().status == StatusCode::OK));
    refused(&nobody.request(request()), 429, "busy");
    for stream in &mut streams {
        assert_eq!(stream.try_next_piece(), None);
    }
    assert_eq!(server.count(), MAX_CHATS);
    server.end(0);
    while streams[0].next_piece().is_some() {}
    assert_eq!(nobody.stream(request()).response().status, StatusCode::OK);
}

pub(crate) fn health_tells_of_this_user(host: &MemoryHost) {
    let health = |id: &str| user(host, id).get(&format!("https://example.com/health?user={id}")).json();
    let unknown = health(ADA);
    let never = json!({ "connections": 0, "messagesReceived": 0, "messagesSent": 0, "lastActivity": null, "uptimeMs": unknown["websocket"]["uptimeMs"] });
    let expected =
        json!({ "status": "ok", "scope": "user", "timestamp": iso::utc(host.now_ms()), "websocket": never, "worlds": 0 });
    assert_eq!(unknown, expected);
    let tables: u32 =
        user(host, ADA).sql("SELECT count(*) FROM sqlite_master WHERE name LIKE 'world%'", ()).one().expect("SQL");
    assert_eq!(tables, 0, "looking leaves nothing behind");

    let mut ada = Visit::in_world(host, ADA, "w");
    let mut second = Visit::new(host, ADA);
    second.ask("event_subscribe", json!({ "events": ["message"] }), "status");
    host.advance(Duration::from_secs(7));
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    let at = iso::utc(host.now_ms());
    host.advance(Duration::from_secs(1));
    let known = health(ADA);
    let websocket = &known["websocket"];
    assert_eq!((&websocket["connections"], &known["worlds"]), (&json!(2), &json!(1)));
    // Two welcomes, three replies, two events.
    assert_eq!((&websocket["messagesReceived"], &websocket["messagesSent"]), (&json!(3), &json!(7)));
    assert_eq!((&websocket["lastActivity"], &known["timestamp"]), (&json!(at), &json!(iso::utc(host.now_ms()))));
    assert!(websocket["uptimeMs"].as_u64().expect("a number") <= 8_000);
    assert_eq!(health(BOB)["websocket"]["messagesReceived"], 0);
    assert_eq!(user(host, ADA).get("/health").json()["scope"], "user", "the agent's own path is its user's");
}

pub(crate) fn every_message_is_counted_once(host: &MemoryHost) {
    let counted = || {
        let health = user(host, ADA).get("/health").json();
        let count = |name| health["websocket"][name].as_u64().expect("a number");
        let last = health["websocket"]["lastActivity"].clone();
        (count("messagesReceived"), count("messagesSent"), last)
    };
    let expect = |received, sent, at_ms| assert_eq!(counted(), (received, sent, json!(iso::utc(at_ms))));
    let (mut ada, mut second) = (Visit::new(host, ADA), Visit::new(host, ADA));
    expect(0, 2, host.now_ms());
    host.advance(Duration::from_secs(1));
    for _ in 0..3 {
        ada.ask("ping", json!({}), "pong");
        second.refused("dance", json!({}), "unknown_type");
    }
    expect(6, 8, host.now_ms());
    ada.ask("world_select", json!({ "worldName": "w" }), "world_selected");
    ada.ask("event_subscribe", json!({ "events": ["world"] }), "status");
    expect(8, 10, host.now_ms());
    let at_ms = host.now_ms();
    host.advance(Duration::from_secs(1));
    second.client.close(1000, "");
    host.run_until_idle();
    expect(8, 10, at_ms);
    // Somebody who leaves while it is being answered.
    let server = Server::new(host);
    ada.ask("ping", json!({}), "pong");
    ada.begin("chat_send", json!({ "content": "@helper hello" }));
    host.run_until_idle();
    assert_eq!(server.count(), 1);
    ada.client.close(1000, "");
    host.run_until_idle();
    expect(10, 11, host.now_ms());
}

pub(crate) fn templates_are_read_over_http(host: &MemoryHost) {
    let ada = user(host, ADA);
    for url in ["/worlds", "https://example.com/worlds", &format!("https://example.com/worlds?user={ADA}")] {
        let answer = ada.get(url);
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.json(), templates(), "{url}");
    }
    assert_eq!(ada.get("https://example.com/worlds/default-world/agents").json(), default_agents());
    assert_eq!(ada.get("https://example.com/worlds/story-world/agents").json().as_array().map(Vec::len), Some(3));
    refused(&ada.get("https://example.com/worlds/nowhere/agents"), 404, "unknown_world");
}

fn refused(answer: &Collected, status: u16, code: &str) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["code"]), (status, &json!(code)), "{body}");
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
}

pub(crate) fn an_own_world_is_read_over_http(host: &MemoryHost) {
    let ada = user(host, ADA);
    let url = |world: &str| format!("https://example.com/worlds/{world}/agents?user={ADA}");
    refused(&ada.get(&url("default-world")), 404, "unknown_world");
    let mut visit = Visit::new(host, ADA);
    for world in ["w", ADA] {
        visit.ask("world_select", json!({ "worldName": world, "templateName": "story-world" }), "world_selected");
        assert_eq!(ada.get(&url(world)).json().as_array().map(Vec::len), Some(3), "{world}");
        assert_eq!(ada.get(&format!("/worlds/{world}/agents")).json().as_array().map(Vec::len), Some(3), "{world}");
    }
    refused(&ada.get(&url("default-world")), 404, "unknown_world");
}

/// Asks for a chat over HTTP.
fn chat(object: &Object, url: &str, body: &Value) -> Collected {
    object.post(url, "application/json", body.to_string())
}

/// The events of a stream, as name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |text: &str| {
        let (name, data) = text.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("a name");
        (name.to_owned(), serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON"))
    };
    text.split_terminator("\n\n").map(event).collect()
}

pub(crate) fn a_chat_over_http_is_a_stream_of_events(host: &MemoryHost) {
    let server = Server::new(host);
    let mut listener = Visit::in_world(host, ADA, "w");
    listener.ask("event_subscribe", json!({ "events": ["message"] }), "status");
    let url = format!("https://example.com/worlds/w/chat?user={ADA}");
    let request = Request::new(Method::POST, &url, json!({ "message": "@Helper hello", "sender": "ada" }).to_string());
    let mut stream = user(host, ADA).stream(request);
    assert_eq!(stream.response().status, StatusCode::OK);
    let header = |name: &str| stream.response().headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(stream.try_next_piece(), None, "the model has said nothing yet");
    let next = |stream: &mut Streaming| {
        let piece = stream.next_piece().expect("an event");
        events(std::str::from_utf8(&piece).expect("text")).remove(0)
    };
    server.piece(0, "We");
    let chunk = |content: &str| ("chunk".to_owned(), json!({ "agent": "helper", "agentName": "Helper", "content": content }));
    assert_eq!(next(&mut stream), chunk("We"));
    server.piece(0, "ll\n\n.");
    assert_eq!(next(&mut stream), chunk("ll\n\n."));
    server.end(0);
    let (name, complete) = next(&mut stream);
    let id = &complete["messageId"];
    let expected = json!({ "agent": "helper", "agentName": "Helper", "content": "Well\n\n.", "messageId": id });
    assert_eq!((name.as_str(), &complete), ("complete", &expected));
    assert_eq!(next(&mut stream), ("done".to_owned(), json!({})));
    assert_eq!(stream.next_piece(), None);
    assert_eq!(listener.event("message", "w")["sender"], "ada");
    assert_eq!(&listener.event("message", "w")["messageId"], id);
}

pub(crate) fn a_chat_with_a_template_leaves_it_as_it_was(host: &MemoryHost) {
    host.set_var("MODEL_DELAY_MS", "0");
    let nobody = user(host, BOB);
    for _ in 0..2 {
        let answer = chat(&nobody, "https://example.com/worlds/default-world/chat", &json!({ "message": "hello" }));
        assert_eq!(answer.status, 200);
        let events = events(answer.text());
        let complete: Vec<&Value> = events.iter().filter(|(name, _)| name == "complete").map(|(_, data)| data).collect();
        let contents: Vec<&Value> = complete.iter().map(|data| &data["content"]).collect();
        assert_eq!(contents, [&json!(script("hello")), &json!(script("hello"))]);
        assert_eq!(events.last(), Some(&("done".to_owned(), json!({}))));
    }
    let tables: u32 = nobody.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!(tables, 0, "nothing is left of it");
    refused(&chat(&nobody, "https://example.com/worlds/nowhere/chat", &json!({ "message": "hello" })), 404, "unknown_world");
}

pub(crate) fn a_chat_over_http_that_cannot_begin_says_why(host: &MemoryHost) {
    Visit::in_world(host, ADA, "w");
    let ada = user(host, ADA);
    for (world, body, status, code) in [
        ("w", json!({}), 400, "invalid_message"),
        ("w", json!({ "message": 5 }), 400, "invalid_message"),
        ("w", json!({ "message": "" }), 400, "invalid_message"),
        ("w", json!([]), 400, "invalid_message"),
        ("w", json!({ "message": "hello", "sender": [] }), 400, "invalid_message"),
        ("w", json!({ "message": "@nobody" }), 404, "unknown_agent"),
        ("w", json!({ "message": "x".repeat(MAX_CONTENT_BYTES + 1) }), 413, "too_large"),
        ("w", json!({ "message": "x".repeat(MAX_MESSAGE_BYTES) }), 413, "too_large"),
        ("v", json!({ "message": "hello" }), 404, "unknown_world"),
        ("default-world", json!({ "message": "hello" }), 404, "unknown_world"),
        ("..%2fw", json!({ "message": "hello" }), 404, "invalid_name"),
    ] {
        refused(&chat(&ada, &format!("/worlds/{world}/chat"), &body), status, code);
    }
    refused(&ada.post("/worlds/w/chat", "application/json", "{"), 400, "invalid_message");
    host.set_var("MODEL", "nonsense");
    refused(&chat(&ada, "/worlds/w/chat", &json!({ "message": "hello" })), 502, "model_failed");
    assert_eq!(ada.sql("SELECT count(*) FROM world_messages", ()).one::<u32>().expect("SQL"), 0);
}

pub(crate) fn a_model_that_fails_over_http_is_an_error_event(host: &MemoryHost) {
    let server = Server::new(host);
    let _visit = Visit::in_world(host, ADA, "w");
    let request = Request::new(Method::POST, &user(host, ADA).url("/worlds/w/chat"), json!({ "message": "hello" }).to_string());
    let mut stream = user(host, ADA).stream(request);
    stream.try_next_piece();
    server.cut(0);
    server.piece(1, "kept");
    server.end(1);
    let mut text = String::new();
    while let Some(piece) = stream.next_piece() {
        text.push_str(std::str::from_utf8(&piece).expect("text"));
    }
    let names: Vec<String> = events(&text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["error", "chunk", "complete", "done"]);
    let error = json!({ "code": "model_failed", "message": "The model's answer broke off", "agent": "helper" });
    assert_eq!(events(&text)[0].1, error);
}

pub(crate) fn who_stops_reading_stops_the_chat(host: &MemoryHost) {
    let server = Server::new(host);
    let mut listener = Visit::in_world(host, ADA, "w");
    listener.ask("event_subscribe", json!({ "events": ["agent_status"] }), "status");
    let body = json!({ "message": "@helper hello" }).to_string();
    let mut stream = user(host, ADA).stream(Request::new(Method::POST, &user(host, ADA).url("/worlds/w/chat"), body));
    stream.try_next_piece();
    server.piece(0, "We");
    stream.next_piece();
    assert_eq!([(); 2].map(|()| listener.event("agent_status", "w")["status"].clone()), ["thinking", "streaming"]);
    drop(stream);
    server.piece(0, "lost");
    host.run_until_idle();
    assert!(server.is_aborted(0));
    let seen = listener.rest();
    assert_eq!(seen.last().map(|(_, payload)| payload["data"]["status"].clone()), Some(json!("idle")));
    let kept: u32 = user(host, ADA).sql("SELECT count(*) FROM world_messages", ()).one().expect("SQL");
    assert_eq!(kept, 1, "the question, and no half of an answer");
}

pub(crate) fn other_paths_and_methods_are_refused(host: &MemoryHost) {
    let ada = user(host, ADA);
    for path in ["", "/worlds/w", "/worlds/w/agents/helper", "/ws", "/Health", "/worlds/a/b/agents"] {
        refused(&ada.get(path), 404, "not_found");
    }
    for (method, path, allow) in [
        (Method::POST, "/health", "GET, HEAD"),
        (Method::PUT, "/worlds", "GET, HEAD"),
        (Method::DELETE, "/worlds/default-world/agents", "GET, HEAD"),
        (Method::GET, "/worlds/default-world/chat", "POST"),
    ] {
        let answer = ada.request(Request::new(method, &ada.url(path), Body::Empty));
        refused(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    assert_eq!(ada.request(Request::new(Method::HEAD, &ada.url("/health"), Body::Empty)).status, 200);
}

pub(crate) fn a_user_reaches_no_other_users_worlds(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "secret");
    ada.ask("agent_update", json!({ "agentId": "helper", "changes": { "systemPrompt": "the secret" } }), "agent_updated");
    ada.ask("chat_send", json!({ "content": "@helper the secret" }), "chat_response");
    let before = everything(host, ADA);

    let mut bob = Visit::in_world(host, BOB, "own");
    bob.ask("event_subscribe", json!({ "events": ["*"] }), "status");
    for name in ["secret", ADA] {
        bob.refused("world_reload", json!({ "worldName": name }), "unknown_world");
        bob.refused(
            "agent_update",
            json!({ "worldName": name, "agentId": "helper", "changes": { "name": "x" } }),
            "unknown_world",
        );
    }
    let paths = [
        format!("{ADA}/secret"),
        format!("../{ADA}/secret"),
        format!("..%2F{ADA}%2Fsecret"),
        format!("{ADA}%2fsecret"),
        format!("{ADA}.secret"),
        "./secret".to_owned(),
        "secret%00".to_owned(),
        "secret' OR '1'='1".to_owned(),
        "%73ecret".to_owned(),
        format!("\\..\\{ADA}\\secret"),
        format!("{ADA}:secret"),
        "*".to_owned(),
        "%".to_owned(),
    ];
    for path in &paths {
        bob.refused("world_select", json!({ "worldName": path }), "invalid_name");
        bob.refused("world_reload", json!({ "worldName": path }), "invalid_name");
        bob.refused("agent_update", json!({ "worldName": path, "agentId": "helper", "changes": {} }), "invalid_name");
    }
    // A name that is taken elsewhere is free here, and what is made under it is bob's own.
    let own = bob.ask("world_select", json!({ "worldName": "secret" }), "world_selected");
    assert_eq!(own["agents"], default_agents());
    bob.event("world", "secret");
    bob.begin("chat_send", json!({ "content": "@helper mine" }));
    assert!(bob.rest().iter().all(|(_, payload)| !payload.to_string().contains("the secret")));
    ada.client.expect_no_frame();

    let as_bob = user(host, BOB);
    for url in [
        format!("https://example.com/worlds/secret/agents?user={ADA}"),
        format!("https://example.com/worlds/secret/agents?user={BOB}%00{ADA}"),
        format!("/worlds/secret/agents?user={ADA}"),
        format!("/health?user={ADA}"),
    ] {
        refused(&as_bob.get(&url), 400, "invalid_user");
    }
    for path in &paths {
        let answer = as_bob.get(&format!("/worlds/{path}/agents"));
        assert!(!answer.text().contains("the secret"), "{path}");
        assert_eq!(answer.status, 404, "{path}");
    }
    refused(&as_bob.get(&format!("/worlds/{ADA}/agents")), 404, "unknown_world");
    assert_eq!(as_bob.get("/worlds/secret/agents").json(), default_agents());
    assert_eq!(everything(host, ADA), before);
}

/// All that is stored of a user's worlds.
fn everything(host: &MemoryHost, id: &str) -> Vec<(String, String)> {
    let select = "SELECT name, agents FROM world_worlds UNION ALL SELECT world, content FROM world_messages";
    user(host, id).sql(select, ()).all().expect("SQL")
}

/// Names of the worlds that are there.
fn worlds(host: &MemoryHost, id: &str) -> Vec<String> {
    user(host, id).sql("SELECT name FROM world_worlds ORDER BY name", ()).all().unwrap_or_default()
}

pub(crate) fn worlds_that_are_not_persistent_go_ten_minutes_after_the_last_connection(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "fleeting");
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    ada.ask("world_select", json!({ "worldName": "lasting", "persistent": true }), "world_selected");
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    let mut second = Visit::new(host, ADA);
    host.advance(KEPT_AFTER_LEAVING * 3);
    ada.client.close(1000, "");
    host.advance(KEPT_AFTER_LEAVING * 3);
    assert_eq!(worlds(host, ADA), ["fleeting", "lasting"], "somebody is here");
    second.client.close(1000, "");
    host.advance(KEPT_AFTER_LEAVING - Duration::from_secs(2));
    assert_eq!(worlds(host, ADA), ["fleeting", "lasting"]);
    host.advance(Duration::from_secs(4));
    assert_eq!(worlds(host, ADA), ["lasting"]);
    let left: Vec<String> = user(host, ADA).sql("SELECT DISTINCT world FROM world_messages", ()).all().expect("SQL");
    assert_eq!(left, ["lasting"]);
    assert_eq!(user(host, ADA).alarm_ms(), None, "nothing is left to do");
    let mut ada = Visit::new(host, ADA);
    ada.refused("world_reload", json!({ "worldName": "fleeting" }), "unknown_world");
    ada.ask("world_reload", json!({ "worldName": "lasting" }), "world_reloaded");
}

pub(crate) fn a_visit_in_between_begins_the_ten_minutes_anew(host: &MemoryHost) {
    Visit::in_world(host, ADA, "w").client.close(1000, "");
    host.advance(KEPT_AFTER_LEAVING - Duration::from_secs(10));
    Visit::new(host, ADA).client.close(1000, "");
    host.advance(KEPT_AFTER_LEAVING - Duration::from_secs(10));
    assert_eq!(worlds(host, ADA), ["w"]);
    host.advance(Duration::from_secs(20));
    assert_eq!(worlds(host, ADA), [""; 0]);
}

pub(crate) fn a_crash_does_not_keep_worlds_for_ever(host: &MemoryHost) {
    let _ada = Visit::in_world(host, ADA, "w");
    host.advance(KEPT_AFTER_LEAVING * 2);
    host.run_until_idle();
    user(host, ADA).crash();
    host.advance(KEPT_AFTER_LEAVING * 2);
    assert_eq!(worlds(host, ADA), [""; 0]);
}

pub(crate) fn a_user_who_leaves_nothing_behind_is_forgotten(host: &MemoryHost) {
    Visit::new(host, ADA).client.close(1000, "");
    host.advance(KEPT_AFTER_LEAVING + Duration::from_secs(20));
    let tables: u32 = user(host, ADA).sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!((tables, user(host, ADA).alarm_ms()), (0, None));
    assert_eq!(Visit::welcomed(host, ADA).1["worlds"], json!([]), "a new user");
}

pub(crate) fn only_so_many_worlds_messages_and_connections_are_kept(host: &MemoryHost) {
    let mut ada = Visit::in_world(host, ADA, "w0");
    let object = user(host, ADA);
    for index in 1..MAX_WORLDS {
        let copy = "INSERT INTO world_worlds SELECT ?, template, persistent, agents, created_at_ms FROM world_worlds WHERE name = 'w0'";
        object.sql(copy, (format!("w{index}"),)).execute().expect("SQL");
    }
    ada.refused("world_select", json!({ "worldName": "one-more" }), "too_many_worlds");
    ada.ask("world_select", json!({ "worldName": "w5" }), "world_selected");

    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO world_messages (world, id, sender, content, timestamp) SELECT 'w5', i, 'user', i, 0 FROM n";
    object.sql(fill, (MAX_MESSAGES,)).execute().expect("SQL");
    ada.ask("chat_send", json!({ "content": "@helper hello" }), "chat_response");
    let kept: (u64, u64) = object
        .sql("SELECT count(*), min(CAST(id AS INTEGER)) FROM world_messages WHERE length(id) < 9", ())
        .one()
        .expect("SQL");
    assert_eq!(kept, (MAX_MESSAGES - 2, 3), "the oldest two went for the two that came");

    let mut others: Vec<Visit> = (1..MAX_CONNECTIONS).map(|_| Visit::new(host, ADA)).collect();
    let mut one_more = user(host, ADA).connect("");
    assert_eq!(one_more.close_event().code, 1013);
    others.pop().expect("one").client.close(1000, "");
    Visit::new(host, ADA);
}
