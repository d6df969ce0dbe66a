//! Messages that arrive while the connect hook still runs wait in order, in an inbox with a bound.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, note, notes, text};
use durable_agents_core::http::Request;
use durable_agents_core::testing::{Client, MemoryHost, Object};
use durable_agents_core::{AgentOptions, Close, Connection, Context, Message, Result, bail};

/// Most events that wait on one connection, and most bytes on all of them.
const MAX_EVENTS: usize = 1_024;
const MAX_BYTES: usize = 32 * 1024 * 1024;

agent!(Host: u32, u32, ();
    const OPTIONS: AgentOptions = AgentOptions::new().hibernate(false);

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        if request.url().query_param("wait").is_some() {
            cx.sleep(Duration::from_millis(500)).await;
        }
        match request.url().query_param("then").as_deref() {
            Some("fail") => bail!("no"),
            Some("close") => connection.close(4000, "full house")?,
            _ => connection.set_state(7)?,
        }
        note("connected");
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        if message.as_text() == Some("slow") {
            cx.sleep(Duration::from_millis(100)).await;
        }
        if message.as_text() == Some("fail") {
            panic!("no");
        }
        note(format!("{} {:?}", text(&message), connection.state()?));
        connection.send(&message)?;
        Ok(())
    }

    async fn on_close(&self, _: &Context<Self>, _: &Connection<Self>, close: &Close) -> Result<()> {
        note(format!("closed {}", close.code));
        Ok(())
    }
);

fn world() -> (MemoryHost, Object, Client) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Host>("a");
    let bystander = object.connect("");
    notes();
    (host, object, bystander)
}

fn still_served(bystander: &mut Client) {
    bystander.send("hello");
    assert_eq!(bystander.texts(), ["hello"]);
}

#[test]
fn c49_what_waited_is_handled_in_order_and_sees_what_the_connect_hook_set() {
    let (host, object, mut bystander) = world();
    let mut client = object.connect_early("?wait", ["one", "two", "{\"type\":\"cf_agent_state\",\"state\":3}", "three"]);
    client.send("four");
    still_served(&mut bystander);
    assert_eq!(notes(), ["hello Some(7)"]);
    host.advance(Duration::from_millis(500));
    assert_eq!(notes(), ["connected", "one Some(7)", "two Some(7)", "three Some(7)", "four Some(7)"]);
    assert_eq!(client.texts(), ["one", "two", "three", "four"]);
    assert_eq!(bystander.next_json()["state"], 3);
}

#[test]
fn one_that_waits_or_fails_does_not_hold_up_those_behind_it() {
    let (host, object, _bystander) = world();
    let mut client = object.connect_early("?wait", ["slow", "fail", "quick"]);
    host.advance(Duration::from_millis(500));
    assert_eq!(notes(), ["connected", "quick Some(7)"]);
    host.advance(Duration::from_millis(100));
    assert_eq!(client.texts(), ["quick", "slow"]);
    assert!(client.is_open());
}

#[test]
fn a_close_that_waited_comes_after_the_messages_before_it() {
    let (host, object, _bystander) = world();
    let mut client = object.connect_early("?wait", ["one"]);
    client.close(4001, "bye");
    host.advance(Duration::from_millis(500));
    assert_eq!(notes(), ["connected", "one Some(7)", "closed 4001"]);
    assert_eq!(client.close_event().code, 4001);
    assert_eq!(object.sockets(), 1);
}

#[test]
fn the_inbox_takes_its_limit() {
    let (host, object, _bystander) = world();
    let mut client = object.connect_early("?wait", vec!["x"; MAX_EVENTS]);
    host.advance(Duration::from_millis(500));
    assert_eq!(client.frames().len(), MAX_EVENTS);
    assert!(client.is_open());
}

#[test]
fn over_the_limit_the_connection_is_closed_and_nobody_else_notices() {
    let megabyte = vec![0; 1024 * 1024];
    let too_many = vec![Message::Text("x".to_owned()); MAX_EVENTS + 1];
    let too_large = vec![Message::Binary(megabyte); MAX_BYTES / (1024 * 1024) + 1];
    for messages in [too_many, too_large] {
        let (host, object, mut bystander) = world();
        let mut client = object.dial("?wait").early(messages).connect();
        client.send("one more");
        still_served(&mut bystander);
        notes();
        host.advance(Duration::from_millis(500));
        // Its connect hook began, so it ends, and its close hook runs; no message is handled.
        assert_eq!(notes(), ["connected", "closed 1013"]);
        let close = client.close_event();
        assert_eq!((close.code, close.reason.as_str()), (1013, "Too many messages before the connection was ready"));
        assert_eq!(object.sockets(), 1);
        let log = host.log();
        assert!(log.len() == 1 && log[0].contains("Too many messages"), "{log:?}");
        still_served(&mut bystander);
    }
}

#[test]
fn what_waits_on_all_connections_together_has_the_limit_of_one() {
    let (host, object, mut bystander) = world();
    let early = |bytes| object.dial("?wait").early([Message::Binary(vec![0; bytes])]).connect();
    let mut clients = [early(MAX_BYTES / 2), early(MAX_BYTES / 4)];
    let mut refused = early(MAX_BYTES / 8);
    refused.send(vec![0; MAX_BYTES / 4]);
    // What it had is given back.
    let mut last = early(MAX_BYTES / 4);
    still_served(&mut bystander);
    notes();
    host.advance(Duration::from_millis(500));
    let close = refused.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "Too many messages before the connection was ready"));
    assert_eq!(notes().iter().filter(|noted| *noted == "closed 1013").count(), 1);
    for client in clients.iter_mut().chain([&mut last]) {
        assert_eq!(client.frames().len(), 1);
        assert!(client.is_open());
    }

    // So is what has been handled, and what was dropped.
    for then in ["", "&then=fail", "&then=close", ""] {
        let mut client = object.dial(&format!("?wait{then}")).early([Message::Binary(vec![0; MAX_BYTES])]).connect();
        still_served(&mut bystander);
        host.advance(Duration::from_millis(500));
        assert_eq!(client.frames().len(), usize::from(then != "&then=close"), "{then}");
        assert!(!client.is_open() || then.is_empty());
    }
}

#[test]
fn what_waited_for_a_connect_that_failed_or_closed_is_dropped() {
    for (then, code) in [("fail", 1011), ("close", 4000)] {
        let (host, object, mut bystander) = world();
        let mut client = object.connect_early(&format!("?wait&then={then}"), ["one", "two"]);
        host.advance(Duration::from_millis(500));
        assert_eq!(client.close_event().code, code);
        let noted = notes();
        assert!(noted.iter().all(|noted| noted == "connected" || *noted == format!("closed {code}")), "{noted:?}");
        assert_eq!(noted.iter().filter(|noted| noted.starts_with("closed")).count(), 1);
        still_served(&mut bystander);
    }
}
