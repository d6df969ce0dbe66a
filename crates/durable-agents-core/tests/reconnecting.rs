//! What a server does for clients that come back: the server's part of checks C174–C178.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{MCP, agent, identity_before_state, note, notes, state};
use durable_agents_core::http::Request;
use durable_agents_core::testing::{MemoryHost, for_every_eviction};
use durable_agents_core::{Close, Connection, Context, Message, Result};
use serde_json::{Value, json};

agent!(Room: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!(0))
    }

    async fn on_connect(&self, cx: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<()> {
        if let Some(delay_ms) = request.url().query_param("wait_ms") {
            cx.sleep(Duration::from_millis(delay_ms.parse()?)).await;
        }
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text().and_then(|text| text.strip_prefix("close ")) {
            Some(code) => connection.close(code.parse()?, "told to")?,
            None => cx.connection(connection.id()).expect("the newest").send(&message)?,
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, close: &Close) -> Result<()> {
        note(format!("{} {} of {}", connection.id(), close.code, cx.connections().count()));
        Ok(())
    }
);

#[test]
fn c174_c175_the_agent_may_close_with_every_code_that_tells_the_client_what_to_do() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        for code in [1000, 1001, 1008, 1011, 1012, 1013, 4000, 4001, 4499, 4999] {
            let mut client = object.connect("?_pk=me");
            assert_eq!(client.greeting(), [identity_before_state("a", "room"), state("0"), MCP.to_owned()]);
            client.send(format!("close {code}"));
            assert_eq!(client.close_event(), Close { code, reason: "told to".to_owned(), was_clean: true });
        }
    });
}

#[test]
fn c176_a_call_in_flight_when_the_socket_drops_is_dropped_and_the_next_socket_works() {
    let host = MemoryHost::new();
    let object = host.agent::<Room>("a");
    let mut client = object.connect("?_pk=me");
    client.send("in flight");
    client.cut();
    let mut again = object.connect("?_pk=me");
    again.send("buffered");
    assert_eq!(again.texts().last().map(String::as_str), Some("buffered"));
}

#[test]
fn c177_a_socket_that_comes_before_the_old_one_is_gone_works_fully() {
    for_every_eviction(|host| {
        notes();
        let object = host.agent::<Room>("a");
        let mut old = object.connect("?_pk=me");
        let mut new = object.connect("?_pk=me");
        new.send("to me");
        assert_eq!(new.next_text(), "to me");
        old.expect_no_frame();
        old.close(1000, "");
        assert_eq!(old.close_event().code, 1000);
        new.send("still me");
        assert_eq!(new.next_text(), "still me");
        new.set_state(&json!(7));
        new.send("alive");
        assert_eq!(new.texts(), ["alive"]);
        assert_eq!(notes(), ["me 1000 of 1"]);
    });
}

#[test]
fn c178_a_slow_connect_hook_ends_whether_its_client_waited_or_not() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Room>("a");
    let mut patient = object.dial("?_pk=patient&wait_ms=3000").start();
    let mut hasty = object.dial("?_pk=hasty&wait_ms=5000").start();
    host.advance(Duration::from_secs(4));
    assert_eq!(patient.greeting().len(), 3);
    // The official client gives up after four seconds.
    hasty.cut();
    host.advance(Duration::from_secs(1));
    assert_eq!(notes(), ["hasty 1006 of 1"]);
    assert_eq!(object.sockets(), 1);
    patient.send("hello");
    assert_eq!(patient.next_text(), "hello");
}
