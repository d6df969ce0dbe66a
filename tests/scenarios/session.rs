//! What clients of a session see.

use std::time::Duration;

use agents_worker::session::{SessionAgent, SessionAgentCalls as _};
use durable_agents::prelude::*;
use durable_agents::testing::{Client, MemoryHost, Object};
use serde_json::{Value, json};

use crate::chat_completions::{self, Exchange, Exchanges, Stream};

/// All scenarios of this file, for `$each!`.
macro_rules! session_scenarios {
    ($each:ident) => {
        $each! {
            a_newcomer_is_told_an_id_that_nobody_can_guess
            frames_are_envelopes
            protocol_frames_come_first_and_only_where_asked_for
            a_message_is_answered_in_a_stream
            the_scripted_model_answers_where_nothing_is_configured
            the_project_is_what_the_model_is_told_about
            what_was_said_goes_along_with_the_next_message
            starting_again_forgets_what_was_said
            a_message_before_the_start_runs_nothing
            a_second_message_is_refused_and_the_first_goes_on
            after_a_cancel_no_chunk_follows
            a_cancel_before_the_first_word_leaves_no_question_behind
            a_cancel_with_nothing_running_is_answered
            a_start_during_a_stream_cancels_it_first
            a_failing_model_costs_one_answer
            what_is_no_request_is_refused
            pings_are_answered
            a_client_that_comes_back_gets_what_it_missed
            a_stream_goes_on_while_nobody_is_connected
            a_last_seq_that_says_nothing_gets_all_that_is_kept
            an_unknown_session_is_a_new_one
            the_newer_of_two_sockets_wins
            sessions_are_apart
            a_session_belongs_to_its_instance
            an_id_of_a_connection_opens_no_session
            a_stranger_reaches_nothing_by_the_frameworks_protocol
            other_code_reaches_one_session_or_all
            other_code_is_told_what_it_may_not_send
            a_destroyed_session_is_gone
            it_has_nothing_over_http
        }
    };
}
pub(crate) use session_scenarios;

/// A model outside of the worker, which says what the test lets it say.
pub(crate) struct Upstream(Exchanges);

impl Upstream {
    pub(crate) fn of(host: &MemoryHost) -> Self {
        Self(chat_completions::serve(host))
    }

    fn newest<T>(&self, look: impl FnOnce(&Exchange) -> T) -> T {
        look(self.0.borrow().last().expect("somebody has asked"))
    }

    /// An exchange that was aborted hears nothing.
    fn tell(&self, tell: impl FnOnce(&Stream)) {
        if !self.is_aborted() {
            self.newest(|exchange| tell(&exchange.answer));
        }
    }

    pub(crate) fn say(&self, words: &str) {
        self.tell(|answer| answer.piece(words));
    }

    pub(crate) fn end(&self) {
        self.tell(Stream::end);
    }

    pub(crate) fn cut(&self) {
        self.newest(|exchange| exchange.answer.0.close_channel());
    }

    /// How often it has been asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.borrow().len()
    }

    /// Role and content of what it was asked last.
    fn messages(&self) -> Vec<(String, String)> {
        let message = |message: &Value| (text(&message["role"]), text(&message["content"]));
        self.newest(|exchange| exchange.ask["messages"].as_array().expect("messages").iter().map(message).collect())
    }

    /// The same without the system prompt.
    pub(crate) fn conversation(&self) -> Vec<(String, String)> {
        self.messages().into_iter().filter(|(role, _)| role != "system").collect()
    }

    /// The system prompt of what it was asked last.
    fn system(&self) -> String {
        self.messages().into_iter().find(|(role, _)| role == "system").expect("a system prompt").1
    }

    /// Whether nobody listens to the newest answer any more.
    pub(crate) fn is_aborted(&self) -> bool {
        self.newest(|exchange| exchange.answer.0.is_closed())
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

pub(crate) fn agent(host: &MemoryHost) -> Object {
    host.agent::<SessionAgent>("desk")
}

/// A client with a new session, and the session's id.
pub(crate) fn join(agent: &Object) -> (Client, String) {
    let mut client = agent.connect("");
    let established = client.next_json();
    assert_eq!(established["type"], "connection:established");
    let id = text(&established["payload"]["clientId"]);
    (client, id)
}

/// The same, after `agent:start`.
pub(crate) fn started(agent: &Object) -> (Client, String) {
    let (mut client, id) = join(agent);
    start(&mut client);
    assert_eq!(told(&mut client), "1 agent:started");
    (client, id)
}

/// A client that comes back, and what it is told of that.
pub(crate) fn resume(agent: &Object, id: &str, last_seq: &str) -> (Client, String) {
    let mut client = agent.connect(&format!("?sessionId={id}{last_seq}"));
    assert_eq!(client.next_json()["payload"]["clientId"], id);
    let resumed = told(&mut client);
    (client, resumed)
}

pub(crate) fn start(client: &mut Client) {
    client.send_json(&json!({ "type": "agent:start", "payload": { "projectId": "p", "projectPath": "/srv/p" } }));
}

pub(crate) fn ask(client: &mut Client, content: &str, correlation_id: &str) {
    client.send_json(&json!({ "type": "agent:message", "payload": { "content": content }, "correlationId": correlation_id }));
}

pub(crate) fn cancel(client: &mut Client, correlation_id: &str) {
    client.send_json(&json!({ "type": "agent:cancel", "correlationId": correlation_id }));
}

/// The next frame in short.
pub(crate) fn told(client: &mut Client) -> String {
    short(&client.next_json())
}

/// All frames that are there, in short.
pub(crate) fn all_told(client: &mut Client) -> Vec<String> {
    client.texts().iter().map(|text| short(&serde_json::from_str(text).expect("JSON"))).collect()
}

/// `seq type what @correlationId`, without what the frame does not have.
fn short(frame: &Value) -> String {
    let payload = &frame["payload"];
    let what = match frame["type"].as_str().expect("a type") {
        "status:update" => text(&payload["status"]),
        "stream:chunk" => text(&payload["content"]),
        "stream:error" | "error" => text(&payload["message"]),
        "session:resumed" => {
            let recovered = if payload["recovered"] == true { "all of" } else { "what is left:" };
            format!("{recovered} {}", payload["missed"])
        }
        "agent:started" | "agent:cancelled" | "stream:complete" | "pong" => String::new(),
        _ => payload.to_string(),
    };
    let seq = frame.get("seq").map(ToString::to_string);
    let correlation_id = frame.get("correlationId").map(|id| format!("@{}", text(id)));
    let parts = [seq, Some(text(&frame["type"])), Some(what).filter(|what| !what.is_empty()), correlation_id];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(crate) fn a_newcomer_is_told_an_id_that_nobody_can_guess(host: &MemoryHost) {
    let agent = agent(host);
    let ((_ada, a), (_bob, b)) = (join(&agent), join(&agent));
    for id in [&a, &b] {
        assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    }
    assert_ne!(a, b);
}

pub(crate) fn frames_are_envelopes(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let mut client = agent(host).connect("");
    let now = host.now_ms();
    let established = client.next_json();
    let id = established["payload"]["clientId"].clone();
    let envelope = json!({ "type": "connection:established", "payload": { "clientId": id }, "timestamp": now });
    assert_eq!(established, envelope);

    host.advance(Duration::from_millis(1_234));
    let now = host.now_ms();
    client.send(
        r#"{"type":"agent:start","payload":{"projectId":"p","projectPath":"/"},"timestamp":1,"correlationId":"a","more":[]}"#,
    );
    let frame = |kind: &str, payload: Value, seq: u32, correlation_id: &str| json!({ "type": kind, "payload": payload, "timestamp": now, "correlationId": correlation_id, "seq": seq });
    assert_eq!(client.next_json(), frame("agent:started", json!({ "sessionId": id }), 1, "a"));
    ask(&mut client, "hi", "b");
    let status = |status: &str| json!({ "sessionId": id, "status": status });
    assert_eq!(client.next_json(), frame("status:update", status("thinking"), 2, "b"));
    client.expect_no_frame();
    upstream.say("Hello");
    assert_eq!(client.next_json(), frame("status:update", status("streaming"), 3, "b"));
    assert_eq!(client.next_json(), frame("stream:chunk", json!({ "sessionId": id, "content": "Hello" }), 4, "b"));
    upstream.end();
    assert_eq!(client.next_json(), frame("stream:complete", json!({ "sessionId": id }), 5, "b"));
    assert_eq!(client.next_json(), frame("status:update", status("idle"), 6, "b"));
    cancel(&mut client, "c");
    assert_eq!(client.next_json(), frame("agent:cancelled", json!({ "sessionId": id }), 7, "c"));
    assert_eq!(client.next_json(), frame("status:update", status("idle"), 8, "c"));
    client.send(r#"{"type":"ping","correlationId":"d"}"#);
    assert_eq!(client.next_json(), json!({ "type": "pong", "payload": {}, "timestamp": now, "correlationId": "d" }));
    client.send("?");
    let error = json!({ "type": "error", "payload": { "message": "Invalid message format" }, "timestamp": now });
    assert_eq!(client.next_json(), error);
}

pub(crate) fn protocol_frames_come_first_and_only_where_asked_for(host: &MemoryHost) {
    let agent = agent(host);
    for query in ["", "?protocol=false", "?protocol=1", "?protocol="] {
        let mut client = agent.connect(query);
        assert_eq!(client.greeting(), [""; 0], "{query}");
        assert!(told(&mut client).starts_with("connection:established"), "{query}");
    }
    let mut client = agent.connect("?protocol=true");
    let types: Vec<Value> =
        client.greeting().iter().map(|frame| serde_json::from_str::<Value>(frame).expect("JSON")["type"].clone()).collect();
    assert_eq!(types, ["cf_agent_identity", "cf_agent_mcp_servers"]);
    assert!(told(&mut client).starts_with("connection:established"));
}

pub(crate) fn a_message_is_answered_in_a_stream(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "hi", "m");
    assert_eq!(all_told(&mut client), ["2 status:update thinking @m"]);
    upstream.say("Hel");
    assert_eq!(all_told(&mut client), ["3 status:update streaming @m", "4 stream:chunk Hel @m"]);
    for piece in ["lo", "\n", " \u{1f980}"] {
        upstream.say(piece);
    }
    assert_eq!(all_told(&mut client), ["5 stream:chunk lo @m", "6 stream:chunk \n @m", "7 stream:chunk  \u{1f980} @m"]);
    upstream.end();
    assert_eq!(all_told(&mut client), ["8 stream:complete @m", "9 status:update idle @m"]);

    client.send(r#"{"type":"agent:message","payload":{"content":"again"}}"#);
    upstream_ends_without_a_word(host, &upstream);
    let frames = ["10 status:update thinking", "11 status:update streaming", "12 stream:complete", "13 status:update idle"];
    assert_eq!(all_told(&mut client), frames);
}

fn upstream_ends_without_a_word(host: &MemoryHost, upstream: &Upstream) {
    host.run_until_idle();
    upstream.end();
}

pub(crate) fn the_scripted_model_answers_where_nothing_is_configured(host: &MemoryHost) {
    host.set_var("MODEL_DELAY_MS", "20");
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "What is this?", "m");
    assert_eq!(told(&mut client), "2 status:update thinking @m");
    host.advance(Duration::from_secs(60));
    let mut frames =
        client.texts().into_iter().map(|text| serde_json::from_str::<Value>(&text).expect("JSON")).collect::<Vec<_>>();
    let end: Vec<String> = frames.split_off(frames.len() - 2).iter().map(|frame| text(&frame["type"])).collect();
    assert_eq!(end, ["stream:complete", "status:update"]);
    assert_eq!(frames.remove(0)["payload"]["status"], "streaming");
    assert!(frames.len() > 5, "piece by piece");
    let answer: String = frames.iter().map(|frame| text(&frame["payload"]["content"])).collect();
    assert!(answer.contains("scripted") && answer.ends_with("What is this?"), "{answer}");
}

/// Asks, lets the model answer, and reads to the end.
pub(crate) fn converse(host: &MemoryHost, upstream: &Upstream, client: &mut Client, question: &str, answer: &str) {
    ask(client, question, "m");
    host.run_until_idle();
    upstream.say(answer);
    upstream.end();
    assert!(all_told(client).last().is_some_and(|last| last.ends_with("status:update idle @m")));
}

pub(crate) fn turns(said: &[&str]) -> Vec<(String, String)> {
    let roles = ["user", "assistant"].into_iter().cycle();
    roles.zip(said).map(|(role, said)| (role.to_owned(), (*said).to_owned())).collect()
}

pub(crate) fn the_project_is_what_the_model_is_told_about(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = join(&agent(host));
    let payload = json!({ "projectId": "p\"1", "projectPath": "/srv/ü" });
    client.send_json(&json!({ "type": "agent:start", "payload": payload }));
    assert_eq!(told(&mut client), "1 agent:started");
    converse(host, &upstream, &mut client, "hi", "hello");
    assert_eq!(upstream.system(), r#"You are working on the project "p\"1" in "/srv/ü"."#);
}

pub(crate) fn what_was_said_goes_along_with_the_next_message(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    converse(host, &upstream, &mut client, "My name is Ada.", "Hello Ada.");
    assert_eq!(upstream.conversation(), turns(&["My name is Ada."]));
    converse(host, &upstream, &mut client, "What is my name?", "Ada.");
    assert_eq!(upstream.conversation(), turns(&["My name is Ada.", "Hello Ada.", "What is my name?"]));
}

pub(crate) fn starting_again_forgets_what_was_said(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, id) = started(&agent(host));
    converse(host, &upstream, &mut client, "My name is Ada.", "Hello Ada.");
    client.send_json(&json!({
        "type": "agent:start", "payload": { "projectId": "q", "projectPath": "/srv/q" }, "correlationId": "again",
    }));
    let started = client.next_json();
    assert_eq!((short(&started).as_str(), &started["payload"]["sessionId"]), ("7 agent:started @again", &json!(id)));
    converse(host, &upstream, &mut client, "What is my name?", "Who knows.");
    assert_eq!(upstream.conversation(), turns(&["What is my name?"]));
}

pub(crate) fn a_message_before_the_start_runs_nothing(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = join(&agent(host));
    ask(&mut client, "hi", "m");
    assert_eq!(all_told(&mut client), ["error No agent is running: send agent:start first @m"]);
    assert_eq!(upstream.asked(), 0);
    start(&mut client);
    assert_eq!(told(&mut client), "1 agent:started");
}

pub(crate) fn a_second_message_is_refused_and_the_first_goes_on(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "first", "1");
    ask(&mut client, "second", "2");
    assert_eq!(all_told(&mut client), ["2 status:update thinking @1", "error A message is already being answered @2"]);
    upstream.say("a");
    ask(&mut client, "third", "3");
    let frames = all_told(&mut client);
    assert_eq!(frames, ["3 status:update streaming @1", "4 stream:chunk a @1", "error A message is already being answered @3"]);
    upstream.end();
    assert_eq!(all_told(&mut client), ["5 stream:complete @1", "6 status:update idle @1"]);
    assert_eq!((upstream.asked(), upstream.conversation()), (1, turns(&["first"])));
}

pub(crate) fn after_a_cancel_no_chunk_follows(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "Count to ten.", "m");
    host.run_until_idle();
    upstream.say("one");
    assert_eq!(all_told(&mut client).len(), 3);
    // Both are under way at once.
    cancel(&mut client, "c");
    upstream.say(" two");
    let mut frames = all_told(&mut client);
    let after = frames.iter().position(|frame| frame.contains("agent:cancelled @c")).expect("cancelled");
    let after = frames.split_off(after);
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(after[1].ends_with("status:update idle @c"), "{after:?}");
    assert!(upstream.is_aborted());
    upstream.say(" three");
    upstream.end();
    client.expect_no_frame();

    // What was said is part of the conversation.
    converse(host, &upstream, &mut client, "Go on.", "eleven");
    let said = upstream.conversation();
    assert_eq!((said.len(), said[0].1.as_str(), said[2].1.as_str()), (3, "Count to ten.", "Go on."));
    assert!(said[1].1.starts_with("one"), "{said:?}");
}

pub(crate) fn a_cancel_before_the_first_word_leaves_no_question_behind(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "Never mind.", "m");
    cancel(&mut client, "c");
    let frames = ["2 status:update thinking @m", "3 agent:cancelled @c", "4 status:update idle @c"];
    assert_eq!(all_told(&mut client), frames);
    converse(host, &upstream, &mut client, "Hello?", "Yes.");
    assert_eq!(upstream.conversation(), turns(&["Hello?"]));
}

pub(crate) fn a_cancel_with_nothing_running_is_answered(host: &MemoryHost) {
    let (mut client, _) = join(&agent(host));
    cancel(&mut client, "c");
    assert_eq!(all_told(&mut client), ["1 agent:cancelled @c", "2 status:update idle @c"]);
    start(&mut client);
    client.send(r#"{"type":"agent:cancel","payload":{"whatever":1}}"#);
    assert_eq!(all_told(&mut client), ["3 agent:started", "4 agent:cancelled", "5 status:update idle"]);
}

pub(crate) fn a_start_during_a_stream_cancels_it_first(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "first", "m");
    host.run_until_idle();
    upstream.say("one");
    assert_eq!(all_told(&mut client).len(), 3);
    client.send(r#"{"type":"agent:start","payload":{"projectId":"p","projectPath":"/"},"correlationId":"s"}"#);
    let frames = ["5 agent:cancelled @s", "6 status:update idle @s", "7 agent:started @s"];
    assert_eq!(all_told(&mut client), frames);
    assert!(upstream.is_aborted());
    converse(host, &upstream, &mut client, "second", "two");
    assert_eq!(upstream.conversation(), turns(&["second"]));
}

pub(crate) fn a_failing_model_costs_one_answer(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    ask(&mut client, "first", "a");
    host.run_until_idle();
    upstream.say("half an");
    upstream.cut();
    let frames = all_told(&mut client);
    assert_eq!(frames[3..], ["5 stream:error The model's answer broke off @a", "6 status:update error @a"]);

    host.set_var("MODEL_NAME", "");
    ask(&mut client, "second", "b");
    let frames = ["7 status:update thinking @b", "8 stream:error The model is not configured @b", "9 status:update error @b"];
    assert_eq!(all_told(&mut client), frames);

    host.set_var("MODEL_NAME", "told");
    converse(host, &upstream, &mut client, "third", "yes");
    assert_eq!(upstream.conversation(), turns(&["first", "half an", "third"]), "without what got no word of an answer");

    host.set_var("MODEL_NAME", "");
    ask(&mut client, "fourth", "d");
    assert_eq!(all_told(&mut client).len(), 3);
    start(&mut client);
    let after_an_error = all_told(&mut client);
    assert_eq!(after_an_error, ["18 agent:started", "19 status:update idle"]);
}

pub(crate) fn what_is_no_request_is_refused(host: &MemoryHost) {
    let upstream = Upstream::of(host);
    let (mut client, _) = started(&agent(host));
    for (sent, error) in [
        ("hi", "error Invalid message format"),
        ("", "error Invalid message format"),
        ("Ping", "error Invalid message format"),
        ("[1]", "error Invalid message format"),
        (r#"{"payload":{},"correlationId":"c"}"#, "error Invalid message format @c"),
        (r#"{"type":7,"correlationId":"c"}"#, "error Invalid message format @c"),
        (r#"{"type":"agent:stop","correlationId":"c"}"#, "error Unknown message type: agent:stop @c"),
        (r#"{"type":"rpc"}"#, "error Unknown message type: rpc"),
        (r#"{"type":"agent:start","correlationId":"c"}"#, "error payload must be an object @c"),
        (r#"{"type":"agent:start","payload":{"projectId":"p"}}"#, "error projectPath must be a string"),
        (r#"{"type":"agent:message","payload":{"content":["hi"]}}"#, "error content must be a string"),
    ] {
        client.send(sent);
        assert_eq!(all_told(&mut client), [error], "{sent}");
    }
    client.send(b"ping".to_vec());
    assert_eq!(all_told(&mut client), ["error Invalid message format"]);
    converse(host, &upstream, &mut client, "Still here?", "Yes.");
}

pub(crate) fn pings_are_answered(host: &MemoryHost) {
    let (mut client, _) = join(&agent(host));
    client.send("ping");
    assert_eq!(client.next_text(), "pong");
    client.send(r#"{"type":"ping"}"#);
    client.send(r#"{"type":"ping","payload":{"a":1},"correlationId":"p"}"#);
    assert_eq!(all_told(&mut client), ["pong", "pong @p"]);
}

pub(crate) fn a_client_that_comes_back_gets_what_it_missed(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let (mut client, id) = started(&agent);
    converse(host, &upstream, &mut client, "hi", "hello");
    client.cut();
    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=3");
    assert_eq!(resumed, "session:resumed all of 3");
    let frames = ["4 stream:chunk hello @m", "5 stream:complete @m", "6 status:update idle @m"];
    assert_eq!(all_told(&mut client), frames);
    client.send(r#"{"type":"ping"}"#);
    assert_eq!(told(&mut client), "pong");
    converse(host, &upstream, &mut client, "and now?", "now");
    assert_eq!(upstream.conversation(), turns(&["hi", "hello", "and now?"]));
    client.close(1000, "");

    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=11");
    assert_eq!(resumed, "session:resumed all of 0");
    client.expect_no_frame();
}

pub(crate) fn a_stream_goes_on_while_nobody_is_connected(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let (mut client, id) = started(&agent);
    ask(&mut client, "hi", "m");
    host.run_until_idle();
    upstream.say("a");
    assert_eq!(all_told(&mut client).len(), 3);
    client.cut();
    host.run_until_idle();
    upstream.say("b");
    host.advance(Duration::from_secs(20));
    upstream.say("c");
    host.run_until_idle();
    assert!(!upstream.is_aborted());

    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=4");
    assert_eq!(resumed, "session:resumed all of 2");
    assert_eq!(all_told(&mut client), ["5 stream:chunk b @m", "6 stream:chunk c @m"]);
    upstream.say("d");
    assert_eq!(all_told(&mut client), ["7 stream:chunk d @m"]);
    client.cut();
    host.run_until_idle();
    upstream.end();
    host.run_until_idle();
    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=7");
    assert_eq!(resumed, "session:resumed all of 2");
    assert_eq!(all_told(&mut client), ["8 stream:complete @m", "9 status:update idle @m"]);
}

pub(crate) fn a_last_seq_that_says_nothing_gets_all_that_is_kept(host: &MemoryHost) {
    let agent = agent(host);
    let (mut client, id) = started(&agent);
    cancel(&mut client, "c");
    assert_eq!(all_told(&mut client).len(), 2);
    for (last_seq, resumed) in [
        ("", "all of 3"),
        ("&lastSeq=0", "all of 3"),
        ("&lastSeq=1", "all of 2"),
        ("&lastSeq=01", "all of 2"),
        ("&lastSeq=3", "all of 0"),
        ("&lastSeq=4", "what is left: 3"),
        ("&lastSeq=99999999999999999999999", "what is left: 3"),
        ("&lastSeq=-1", "what is left: 3"),
        ("&lastSeq=1.0", "what is left: 3"),
        ("&lastSeq=1e0", "what is left: 3"),
        ("&lastSeq=NaN", "what is left: 3"),
        ("&lastSeq=null", "what is left: 3"),
        ("&lastSeq=", "what is left: 3"),
    ] {
        let (mut client, told) = resume(&agent, &id, last_seq);
        assert_eq!(told, format!("session:resumed {resumed}"), "{last_seq}");
        let missed: usize = resumed.rsplit(' ').next().expect("a number").parse().expect("a number");
        let frames = ["1 agent:started", "2 agent:cancelled @c", "3 status:update idle @c"];
        assert_eq!(all_told(&mut client), frames[3 - missed..], "{last_seq}");
    }
}

pub(crate) fn an_unknown_session_is_a_new_one(host: &MemoryHost) {
    let agent = agent(host);
    let (_ada, id) = started(&agent);
    for unknown in
        ["0".repeat(32), id.to_uppercase(), format!("{id}0"), id[1..].to_owned(), "x".repeat(5_000), "%00".to_owned()]
    {
        let mut client = agent.connect(&format!("?sessionId={unknown}&lastSeq=0"));
        let new = text(&client.next_json()["payload"]["clientId"]);
        assert!(new != id && new != unknown, "{unknown}");
        let resumed = client.next_json();
        let payload = json!({ "sessionId": new, "recovered": false, "missed": 0 });
        assert_eq!((&resumed["type"], &resumed["payload"]), (&json!("session:resumed"), &payload), "{unknown}");
        start(&mut client);
        assert_eq!(all_told(&mut client), ["1 agent:started"], "{unknown}");
    }
    let mut client = agent.connect("?sessionId=&lastSeq=1");
    assert_eq!(client.next_json()["type"], "connection:established");
    client.expect_no_frame();
}

pub(crate) fn the_newer_of_two_sockets_wins(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let (mut older, id) = started(&agent);
    ask(&mut older, "hi", "m");
    assert_eq!(told(&mut older), "2 status:update thinking @m");
    let (mut newer, resumed) = resume(&agent, &id, "&lastSeq=2");
    assert_eq!(resumed, "session:resumed all of 0");
    let close = older.close_event();
    assert_eq!((close.code, close.reason.as_str()), (4409, "Session resumed elsewhere"));
    older.send(r#"{"type":"agent:cancel"}"#);
    upstream.say("a");
    upstream.end();
    assert_eq!(all_told(&mut newer).len(), 4);
    older.expect_no_frame();
    assert!(newer.is_open());

    // Three that come at once: the last one stays.
    let [mut first, mut second, mut third] = [1, 2, 3].map(|_| agent.dial(&format!("?sessionId={id}&lastSeq=6")).start());
    assert!(third.is_open());
    for replaced in [&mut newer, &mut first, &mut second] {
        assert_eq!(replaced.close_event().code, 4409);
    }
    ask(&mut third, "again", "n");
    assert_eq!(all_told(&mut third)[2..], ["7 status:update thinking @n"]);
}

pub(crate) fn sessions_are_apart(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let ((mut ada, a), (mut bob, b)) = (started(&agent), started(&agent));
    converse(host, &upstream, &mut ada, "I am Ada.", "Hello Ada.");
    bob.expect_no_frame();
    converse(host, &upstream, &mut bob, "Who am I?", "Bob?");
    assert_eq!(upstream.conversation(), turns(&["Who am I?"]));
    ask(&mut ada, "Wait.", "m");
    host.run_until_idle();
    // Ids in payloads are nobody's business.
    for sent in [
        json!({ "type": "agent:cancel", "payload": { "sessionId": a, "clientId": a }, "correlationId": "c" }),
        json!({ "type": "agent:cancel", "sessionId": a, "correlationId": "c" }),
    ] {
        bob.send_json(&sent);
        let cancelled = bob.next_json();
        assert_eq!((&cancelled["type"], &cancelled["payload"]["sessionId"]), (&json!("agent:cancelled"), &json!(b)));
        assert_eq!(bob.next_json()["payload"]["status"], "idle");
    }
    assert!(!upstream.is_aborted());
    upstream.say("Still.");
    upstream.end();
    assert_eq!(all_told(&mut ada).last().map(String::as_str), Some("11 status:update idle @m"));
    bob.expect_no_frame();
}

pub(crate) fn a_session_belongs_to_its_instance(host: &MemoryHost) {
    let (_ada, id) = started(&agent(host));
    // Names that are read in more ways than one are others all the same.
    for name in
        ["desk2", "Desk", "desk/", "/desk", "desk/desk", "..", "../desk", "desk%2F..", "desk%00", "%64esk", "desk.", " desk"]
    {
        let other = host.agent::<SessionAgent>(name);
        let mut bob = other.connect(&format!("?sessionId={id}&lastSeq=0"));
        assert_ne!(bob.next_json()["payload"]["clientId"], id, "{name}");
        assert_eq!(all_told(&mut bob), ["session:resumed what is left: 0"], "{name}");
    }
}

pub(crate) fn an_id_of_a_connection_opens_no_session(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let mut ada = agent.connect("?_pk=ada");
    let a = text(&ada.next_json()["payload"]["clientId"]);
    start(&mut ada);
    assert_eq!(told(&mut ada), "1 agent:started");
    // An id is a tag, and the agent finds sockets by the session's tag.
    let mut twin = agent.connect("?_pk=ada");
    let mut disguised = agent.connect(&format!("?_pk={a}"));
    for bob in [&mut twin, &mut disguised] {
        assert_ne!(bob.next_json()["payload"]["clientId"], a);
        bob.expect_no_frame();
    }
    converse(host, &upstream, &mut ada, "hi", "hello");
    twin.expect_no_frame();
    disguised.expect_no_frame();
    // Whoever comes back to the session closes the sockets of the session alone.
    let (_ada, _) = resume(&agent, &a, "");
    assert_eq!(ada.close_event().code, 4409);
    assert!(twin.is_open() && disguised.is_open());
}

pub(crate) fn a_stranger_reaches_nothing_by_the_frameworks_protocol(host: &MemoryHost) {
    let agent = agent(host);
    let (mut ada, a) = started(&agent);
    let calls = [
        json!({ "type": "rpc", "id": "1", "method": "send_to_client", "args": [a, "news", 1], "correlationId": "c" }),
        json!({ "type": "rpc", "id": "1", "method": "broadcast", "args": ["news", 1], "correlationId": "c" }),
        json!({ "type": "rpc", "id": "1", "method": "destroy_session", "args": [a], "correlationId": "c" }),
        json!({ "type": "rpc", "id": "1", "method": "heartbeat", "args": [], "correlationId": "c" }),
        json!({ "type": "cf_agent_state", "state": null, "correlationId": "c" }),
        json!({ "type": "cf_agent_state", "state": { "a": 1 }, "correlationId": "c" }),
    ];
    let (mut bob, _) = join(&agent);
    for call in &calls {
        bob.send_json(call);
        let unknown = format!("error Unknown message type: {} @c", text(&call["type"]));
        assert_eq!(all_told(&mut bob), [unknown]);
    }
    let mut eve = agent.connect("?protocol=true&scope=session:publish");
    assert!(told(&mut eve).starts_with("connection:established"));
    for call in &calls[..4] {
        let method = text(&call["method"]);
        assert!(eve.call(&method, &call["args"]).is_err(), "{method}");
    }
    for call in &calls[4..] {
        eve.send_json(call);
        assert_eq!(eve.next_json()["type"], "cf_agent_state_error");
    }
    for client in [&mut ada, &mut bob, &mut eve] {
        client.expect_no_frame();
        assert!(client.is_open());
    }
}

/// An agent that has something to say to sessions.
#[derive(Default)]
struct Announcer;

#[agent]
impl Agent for Announcer {
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let desk = cx.agent::<SessionAgent>("desk");
        let destroys = cx.sub_path(&request) == "destroy";
        let (to, kind, payload): (Option<String>, String, Value) = request.json().await?;
        let done = match to {
            Some(id) if destroys => desk.destroy_session(id).await.map(u64::from),
            Some(id) => desk.send_to_client(id, kind, payload).await.map(u64::from),
            None => desk.broadcast(kind, payload).await,
        };
        Ok(match done {
            Ok(count) => Response::text(count.to_string()),
            Err(error) => Response::text(error.to_string()),
        })
    }
}

/// Has another agent send a frame, to one session or to all.
pub(crate) fn announce(host: &MemoryHost, to: Option<&str>, kind: &str, payload: &Value) -> String {
    let body = json!([to, kind, payload]).to_string();
    host.agent::<Announcer>("a").post("/send", "application/json", body).text().to_owned()
}

pub(crate) fn destroy(host: &MemoryHost, id: &str) -> String {
    host.agent::<Announcer>("a").post("/destroy", "application/json", json!([id, "", null]).to_string()).text().to_owned()
}

pub(crate) fn other_code_reaches_one_session_or_all(host: &MemoryHost) {
    let agent = agent(host);
    assert_eq!(announce(host, None, "news", &json!(0)), "0");
    let ((mut ada, a), (mut bob, b)) = (started(&agent), join(&agent));
    assert_eq!(announce(host, Some(&a), "build:done", &json!({ "ok": true })), "1");
    let frame = ada.next_json();
    let expected = json!({ "type": "build:done", "payload": { "ok": true }, "timestamp": host.now_ms(), "seq": 2 });
    assert_eq!(frame, expected);
    bob.cut();
    assert_eq!(announce(host, None, "news", &json!([1])), "2");
    assert_eq!(announce(host, Some(&b), "news", &Value::Null), "1");
    assert_eq!(all_told(&mut ada), ["3 news [1]"]);
    let (mut bob, resumed) = resume(&agent, &b, "&lastSeq=0");
    assert_eq!(
        (resumed.as_str(), all_told(&mut bob)),
        ("session:resumed all of 2", vec!["1 news [1]".into(), "2 news null".into()])
    );
    for unknown in ["", "ada", &"0".repeat(32), &a.to_uppercase(), &format!("{a}/../{b}"), "%"] {
        assert_eq!(announce(host, Some(unknown), "news", &Value::Null), "0", "{unknown}");
    }
    ada.expect_no_frame();
    bob.expect_no_frame();
}

pub(crate) fn other_code_is_told_what_it_may_not_send(host: &MemoryHost) {
    let (mut ada, a) = join(&agent(host));
    let wrong_type = "type: 1 to 128 bytes";
    let too_large = "payload has 65537 bytes, limit is 65536";
    for (kind, payload, wrong) in [
        ("", Value::Null, wrong_type),
        (&*"x".repeat(129), Value::Null, wrong_type),
        ("news", json!("x".repeat(65_535)), too_large),
    ] {
        assert_eq!(announce(host, Some(&a), kind, &payload), wrong);
        assert_eq!(announce(host, None, kind, &payload), wrong);
    }
    ada.expect_no_frame();
    assert_eq!(announce(host, Some(&a), &"x".repeat(128), &json!("x".repeat(65_534))), "1");
    assert_eq!(ada.next_json()["seq"], 1);
}

pub(crate) fn a_destroyed_session_is_gone(host: &MemoryHost) {
    let agent = agent(host);
    let upstream = Upstream::of(host);
    let ((mut ada, a), (mut bob, b)) = (started(&agent), started(&agent));
    converse(host, &upstream, &mut ada, "hi", "hello");
    converse(host, &upstream, &mut bob, "hi", "hello");
    ask(&mut ada, "more", "m");
    host.run_until_idle();
    upstream.say("well");
    assert_eq!(all_told(&mut ada).len(), 3);
    assert_eq!(destroy(host, &a), "1");
    let close = ada.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1001, "Session destroyed"));
    ada.expect_no_frame();
    assert!(upstream.is_aborted());
    for table in ["sessions WHERE id", "session_history WHERE session", "cf_resume_log WHERE log"] {
        let count = format!("SELECT COUNT(*) FROM {table} = ?");
        let rows = |id: &str| agent.sql(&count, (id,)).one::<u64>().expect("a row");
        assert_eq!((rows(&a), rows(&b) > 0), (0, true), "{table}");
    }
    assert_eq!((destroy(host, &a).as_str(), announce(host, Some(&a), "news", &Value::Null).as_str()), ("0", "0"));
    let mut back = agent.connect(&format!("?sessionId={a}&lastSeq=0"));
    assert_ne!(back.next_json()["payload"]["clientId"], a);
    assert_eq!(all_told(&mut back), ["session:resumed what is left: 0"]);
    converse(host, &upstream, &mut bob, "still?", "yes");
}

pub(crate) fn it_has_nothing_over_http(host: &MemoryHost) {
    let agent = agent(host);
    let (_ada, id) = started(&agent);
    for rest in [String::new(), format!("/{id}"), format!("?sessionId={id}")] {
        assert_eq!(agent.get(&rest).status, StatusCode::NOT_FOUND, "{rest}");
    }
}
