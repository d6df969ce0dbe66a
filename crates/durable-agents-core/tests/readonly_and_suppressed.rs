//! Connections that may not write, and connections that do not speak the protocol: checks C135, C138–C143.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{MCP, READONLY, agent, identity_before_state, state};
use durable_agents_core::http::Request;
use durable_agents_core::testing::{MemoryHost, for_every_eviction};
use durable_agents_core::{Close, Connection, Context, Message, Result};
use serde_json::{Value, json};

agent!(Board: Value, Value, ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!(0))
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("readonly").is_some())
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("quiet").is_none())
    }

    async fn on_connect(&self, cx: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<()> {
        if request.url().query_param("write").is_some() {
            cx.set_state(json!("written on connect"))?;
        }
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some("lock") => connection.set_readonly(true)?,
            Some("unlock") => connection.set_readonly(false)?,
            Some("flags") => connection.send(format!("{} {}", connection.is_readonly(), connection.is_protocol_enabled()))?,
            Some("own") => connection.set_state(json!({"_cf_readonly": false, "_cf_no_protocol": false}))?,
            Some("all") => cx.broadcast("to all", &[]),
            Some("set") => connection.send(cx.set_state(json!("by message")).is_ok().to_string())?,
            Some("work") => {
                let cx = cx.clone();
                let connection = connection.clone();
                cx.clone().wait_until(async move {
                    // Work begun by an event goes on under its rights.
                    let _ = connection.send(cx.set_state(json!("by work")).is_ok().to_string());
                });
            }
            _ => connection.send("echo")?,
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, _: &Connection<Self>, close: &Close) -> Result<()> {
        if close.reason == "write" {
            cx.set_state(json!("written on close"))?;
        }
        Ok(())
    }
);

#[test]
fn c135_c138_a_readonly_connection_sees_states_and_sets_none() {
    for_every_eviction(|host| {
        let object = host.agent::<Board>("a");
        let mut reader = object.connect("?readonly");
        let mut writer = object.connect("");
        assert_eq!(reader.greeting(), [identity_before_state("a", "board"), state("0"), MCP.to_owned()]);
        reader.set_state(&json!(1));
        assert_eq!(reader.texts(), [READONLY]);
        writer.expect_no_frame();
        writer.set_state(&json!(2));
        assert_eq!(reader.texts(), [state("2")]);
    });
}

#[test]
fn a_readonly_connection_sets_no_state_through_any_hook() {
    let host = MemoryHost::new();
    let object = host.agent::<Board>("a");
    let mut other = object.connect("");
    let mut reader = object.connect("?readonly");
    reader.send("set");
    reader.send("work");
    assert_eq!(reader.texts(), ["false", "false"]);
    reader.close(1000, "write");
    reader.close_event();
    let mut failed = object.connect("?readonly&write");
    assert_eq!(failed.close_event().code, 1011);
    other.expect_no_frame();
    assert!(host.log().iter().any(|line| line.contains("event=on_close") && line.contains("Connection is readonly")));
}

#[test]
fn c139_readonly_changes_with_the_next_message() {
    for_every_eviction(|host| {
        let object = host.agent::<Board>("a");
        let mut client = object.connect("");
        let mut other = object.connect("");
        for (command, expected) in [("lock", vec![READONLY]), ("unlock", vec![])] {
            client.send(command);
            client.set_state(&json!(command));
            assert_eq!(client.texts(), expected);
            assert_eq!(other.frames().len(), 1 - expected.len());
        }
    });
}

#[test]
fn c140_c142_both_flags_survive_hibernation() {
    let host = MemoryHost::new();
    let object = host.agent::<Board>("a");
    for (query, flags) in
        [("", "false true"), ("?readonly", "true true"), ("?quiet", "false false"), ("?readonly&quiet", "true false")]
    {
        let mut client = object.connect(query);
        client.send("own");
        object.evict();
        client.send("flags");
        assert_eq!(client.texts(), [flags]);
    }
}

#[test]
fn c141_a_suppressed_connection_never_gets_a_frame_of_the_protocol() {
    for_every_eviction(|host| {
        let object = host.agent::<Board>("a");
        let mut quiet = object.connect("?quiet");
        let mut other = object.connect("");
        assert_eq!(quiet.greeting(), Vec::<String>::new());
        other.set_state(&json!(1));
        other.send("set");
        quiet.expect_no_frame();
        assert_eq!(other.texts(), [state("\"by message\""), "true".to_owned()]);
        quiet.send("hello");
        other.send("all");
        assert_eq!(quiet.texts(), ["echo", "to all"]);
        other.frames();
        // It may set the state all the same.
        quiet.set_state(&json!(2));
        assert_eq!(other.texts(), [state("2")]);
        quiet.expect_no_frame();
    });
}

#[test]
fn c143_a_reconnect_decides_both_anew() {
    let host = MemoryHost::new();
    let object = host.agent::<Board>("a");
    for (query, flags) in [("&readonly&quiet", "true false"), ("", "false true"), ("&quiet", "false false")] {
        let mut client = object.connect(&format!("?_pk=me{query}"));
        client.send("flags");
        assert_eq!(client.texts(), [flags]);
        client.close(1000, "");
        client.close_event();
    }
}
