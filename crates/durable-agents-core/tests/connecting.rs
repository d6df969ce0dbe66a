//! From the handshake to the connect hook's own frames: checks C38–C58.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{
    CONNECT_FAILED, MCP, agent, identity, identity_before_state, note, notes, state, text, upgrade, with_and_without_auto_reply,
};
use durable_agents_core::http::{Request, StatusCode};
use durable_agents_core::testing::{EvictPlan, MemoryHost, Options};
use durable_agents_core::{AgentOptions, Close, Connection, Context, Error, Message, Result, bail};
use serde_json::{Value, json};

agent!(Counter: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!({"count": 0}))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        match request.url().query_param("do").as_deref() {
            Some("welcome") => connection.send("welcome")?,
            Some("wait") => cx.sleep(Duration::from_millis(500)).await,
            Some("refuse") => connection.close(4001, "Unauthorized")?,
            Some("greet-and-fail") => {
                connection.send("welcome")?;
                bail!("the token hunter2 is unknown");
            }
            Some("panic") => panic!("the token hunter2 is unknown"),
            _ => {}
        }
        note(format!("connected {} {:?}", connection.id(), request.url().query_param("name")));
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some("who") => connection.send(cx.connections().count().to_string())?,
            Some("all") => cx.broadcast("to all", &[]),
            Some("null") => cx.set_state(Value::Null)?,
            _ => note(text(&message)),
        }
        Ok(())
    }

    async fn on_close(&self, _: &Context<Self>, connection: &Connection<Self>, close: &Close) -> Result<()> {
        note(format!("closed {} {}", connection.id(), close.code));
        Ok(())
    }

    async fn on_connection_error(&self, _: &Context<Self>, connection: &Connection<Self>, error: &Error) -> Result<()> {
        note(format!("error {}: {error}", connection.id()));
        Ok(())
    }
);

agent!(Plain: (), (), (););

agent!(Anonymous: Value, (), ();
    const OPTIONS: AgentOptions = AgentOptions::new().send_identity_on_connect(false);

    fn initial_state(&self) -> Option<Value> {
        Some(json!(1))
    }
);

agent!(AnonymousPlain: (), (), ();
    const OPTIONS: AgentOptions = AgentOptions::new().send_identity_on_connect(false);
);

agent!(Suppressed: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!(1))
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        Ok(false)
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Request) -> Result<()> {
        connection.send("mine")?;
        Ok(())
    }
);

fn full_greeting() -> [String; 3] {
    [identity_before_state("a", "counter"), state(r#"{"count":0}"#), MCP.to_owned()]
}

#[test]
fn c38_c39_c45_c47_identity_state_and_mcp_in_this_order_and_nothing_else() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Counter>("a").connect("");
    assert_eq!(client.greeting(), full_greeting());
    client.expect_no_frame();
}

#[test]
fn c41_without_any_state_there_is_no_state_frame() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Plain>("a").connect("");
    assert_eq!(client.greeting(), [identity("a", "plain"), MCP.to_owned()]);
    client.expect_no_frame();
}

#[test]
fn c42_without_identity_the_state_comes_first_or_else_mcp() {
    let host = MemoryHost::new();
    assert_eq!(host.agent::<Anonymous>("a").connect("").greeting(), [state("1"), MCP.to_owned()]);
    assert_eq!(host.agent::<AnonymousPlain>("a").connect("").greeting(), [MCP]);
}

#[test]
fn c43_a_suppressed_connection_gets_the_hooks_own_frames_only() {
    let host = MemoryHost::new();
    let object = host.agent::<Suppressed>("a");
    let mut client = object.connect("");
    assert_eq!(client.greeting(), Vec::<String>::new());
    assert_eq!(client.texts(), ["mine"]);
    // The state was not even looked at, so it was not initialised either.
    assert_eq!(
        object.sql("SELECT count(*) FROM sqlite_master WHERE name = 'cf_agents_state'", ()).one::<u32>().expect("SQL"),
        0
    );
}

#[test]
fn c44_what_the_connect_hook_sends_comes_after_the_protocols_frames() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Counter>("a").connect("?do=welcome");
    assert_eq!(client.greeting(), full_greeting());
    assert_eq!(client.texts(), ["welcome"]);
}

#[test]
fn c46_a_state_that_disappeared_is_initialised_again_and_told_to_each_once() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut first = object.connect("");
    object.evict();
    object.sql("DELETE FROM cf_agents_state", ()).execute().expect("SQL");
    let mut second = object.connect("");
    assert_eq!(first.texts(), [state(r#"{"count":0}"#)]);
    assert_eq!(second.greeting(), full_greeting());
    second.expect_no_frame();
}

#[test]
fn c48_a_state_of_null_is_a_state() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    object.connect("").send("null");
    object.evict();
    let mut client = object.connect("");
    assert_eq!(client.greeting(), [identity_before_state("a", "counter"), state("null"), MCP.to_owned()]);
}

#[test]
fn c49_messages_right_after_the_handshake_wait_for_the_connect_hook() {
    let sent: Vec<String> = (0..25).map(|n| format!("m{n}")).collect();
    for early in [false, true] {
        notes();
        let host = MemoryHost::new();
        let object = host.agent::<Counter>("a");
        let dial = object.dial("?do=wait&_pk=me");
        let mut client = if early { dial.early([]).start() } else { dial.start() };
        for message in &sent {
            client.send(message);
        }
        host.advance(Duration::from_millis(499));
        assert_eq!(notes(), Vec::<String>::new());
        host.advance(Duration::from_millis(1));
        let expected: Vec<String> = ["connected me None".to_owned()].into_iter().chain(sent.clone()).collect();
        assert_eq!(notes(), expected, "early: {early}");
    }
}

#[test]
fn c50_c51_the_client_chooses_its_id_or_gets_one_of_21_characters() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    object.connect("?_pk=abc");
    assert_eq!(notes(), ["connected abc None"]);
    let mut ids = Vec::new();
    for query in ["", "?_pk=", "?other=1"] {
        object.connect(query);
        let noted = notes().pop().expect("connected");
        let id = noted.split(' ').nth(1).expect("an id").to_owned();
        assert_eq!(id.len(), 21, "{id}");
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)), "{id}");
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn c52_query_parameters_are_readable_in_the_connect_hook() {
    let host = MemoryHost::new();
    host.agent::<Counter>("a").connect("?_pk=x&name=J%C3%BCrgen+A");
    assert_eq!(notes(), [r#"connected x Some("Jürgen A")"#]);
}

#[test]
fn c53_the_connect_hook_may_close() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Counter>("a");
        let mut client = object.connect("?do=refuse&_pk=x");
        assert_eq!(client.close_event(), Close { code: 4001, reason: "Unauthorized".to_owned(), was_clean: true });
        host.run_until_idle();
        assert_eq!(notes(), ["connected x None", "closed x 4001"]);
        assert_eq!(object.sockets(), 0);
    });
}

#[test]
fn c54_c55_a_failing_connect_hook_is_an_error_frame_and_1011_and_leaves_nothing_behind() {
    for failure in ["greet-and-fail", "panic"] {
        with_and_without_auto_reply(|host| {
            let object = host.agent::<Counter>("a");
            let mut other = object.connect("?_pk=other");
            let mut client = object.connect(&format!("?_pk=x&do={failure}"));
            other.send("who");
            assert_eq!(other.next_text(), "1");
            other.send("all");
            assert_eq!(other.next_text(), "to all");

            assert_eq!(client.greeting(), full_greeting());
            let close = Close { code: 1011, reason: "Uncaught exception during session setup".to_owned(), was_clean: true };
            assert_eq!(client.close_event(), close);
            let own = client.texts();
            assert_eq!(own.last().map(String::as_str), Some(CONNECT_FAILED));
            assert!(!own.iter().any(|frame| frame.contains("hunter2") || frame == "to all"), "{own:?}");

            let noted = notes();
            assert_eq!(noted[0], "connected other None");
            assert!(noted[1].starts_with("error x: ") && noted[1].contains("the token hunter2 is unknown"), "{noted:?}");
            assert_eq!(noted[2..], ["closed x 1011"]);
            assert_eq!(object.sockets(), 1);
        });
    }
}

#[test]
fn c55_a_failed_connect_stays_unlisted_over_a_wake_though_its_client_has_not_answered() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut other = object.connect("?_pk=other");
    let mut client = object.dial("?_pk=x&do=panic").start();
    client.hold_close_answer();
    assert_eq!(client.close_event().code, 1011);
    object.evict();
    other.send("who");
    assert_eq!(other.next_text(), "1");
    other.send("all");
    assert_eq!(other.next_text(), "to all");
    assert_eq!(client.texts(), [CONNECT_FAILED]);
    assert_eq!(object.sockets(), 2);
    notes();
    client.answer_close();
    host.run_until_idle();
    assert_eq!(notes(), ["closed x 1011"]);
    assert_eq!(object.sockets(), 1);
}

#[test]
fn c55_messages_of_a_failed_connect_reach_nobody_in_no_wake() {
    for plan in [EvictPlan::Never, EvictPlan::Always] {
        notes();
        let host = MemoryHost::new();
        host.evict_between_events(plan);
        let object = host.agent::<Counter>("a");
        let mut client = object.dial("?_pk=x&do=panic").start();
        // Sent before the client can know.
        client.send("too late");
        assert_eq!(client.close_event().code, 1011);
        host.run_until_idle();
        let noted = notes();
        assert!(noted.len() == 2 && noted[0].starts_with("error x") && noted[1] == "closed x 1011", "{plan:?}: {noted:?}");
    }
}

#[test]
fn a_client_that_leaves_while_its_connect_hook_waits_is_closed_after_it() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut client = object.dial("?_pk=x&do=wait").early([]).start();
    client.send("one");
    host.run_until_idle();
    client.cut();
    host.run_until_idle();
    assert_eq!(notes(), Vec::<String>::new());
    host.advance(Duration::from_secs(1));
    assert_eq!(notes(), ["connected x None", "one", "closed x 1006"]);
    assert_eq!(object.sockets(), 0);
}

#[test]
fn c58_a_reconnect_gets_the_whole_greeting_with_the_current_state() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut client = object.connect("?_pk=me");
    client.set_state(&json!({"count": 7}));
    client.close(1000, "");
    client.close_event();
    let mut client = object.connect("?_pk=me");
    assert_eq!(client.greeting(), [identity_before_state("a", "counter"), state(r#"{"count":7}"#), MCP.to_owned()]);
}

#[test]
fn upgrade_in_capitals_upgrades_and_fails_like_any_other() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut client = object.dial("").header("upgrade", "WebSocket").connect();
    assert_eq!(client.greeting(), full_greeting());
    let mut client = object.dial("?do=panic").header("upgrade", "WebSocket").connect();
    assert_eq!(client.close_event().code, 1011);
}

#[test]
fn a_request_that_does_not_ask_for_a_socket_gets_none() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let refusal = object.dial_with(Request::get(&object.url(""))).try_connect().expect_err("no upgrade");
    assert_eq!((refusal.status, refusal.text()), (StatusCode::NOT_FOUND, "Not implemented"));
}

#[test]
fn another_transport_is_refused_and_not_spoken_to_in_json() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let refusal = object.try_connect("?__agents_transport=capnweb").expect_err("another transport");
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    assert!(object.try_connect("?__agents_transport=cf-websocket").is_ok());
}

#[test]
fn the_router_passes_the_handshake_on() {
    let host = MemoryHost::new();
    host.bind::<Counter>();
    let mut client =
        host.route_connect(upgrade("https://example.com/agents/counter/a?do=welcome"), &Options::new()).expect("routed");
    assert_eq!(client.greeting(), full_greeting());
    assert_eq!(client.next_text(), "welcome");
}
