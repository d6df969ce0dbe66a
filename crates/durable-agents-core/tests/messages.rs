//! What reaches the message hook: checks C82–C91.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{agent, note, notes, state};
use durable_agents_core::testing::{MemoryHost, for_every_eviction};
use durable_agents_core::{Connection, Context, Error, Message, Result, bail};
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

agent!(Echo: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!({"count": 0}))
    }

    async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message {
            Message::Text(text) if text == "fail" => bail!("no hunter2"),
            Message::Text(text) if text == "panic" => panic!("no hunter2"),
            Message::Text(text) => connection.send(text)?,
            Message::Binary(bytes) => note(format!("{} bytes", bytes.len())),
        }
        Ok(())
    }

    async fn on_connection_error(&self, _: &Context<Self>, _: &Connection<Self>, error: &Error) -> Result<()> {
        note(error.to_string());
        Ok(())
    }
);

#[test]
fn c82_c84_c85_text_that_is_no_frame_arrives_as_it_is() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Echo>("a").connect("");
        for text in [
            "hello",
            "",
            " ",
            "\u{0}",
            "a\u{0}b",
            "🦀\u{feff}",
            "{incomplete",
            "null",
            "[]",
            "{}",
            "\"\"",
            "0",
            "-1e999",
            r#"{"type":"x"}"#,
            r#"{"type":999}"#,
            r#"{"type":null}"#,
            r#"["cf_agent_state"]"#,
            r#"{"type":"RPC"}"#,
            r#"{"type":"cf_agent_state","state":1}x"#,
            r#"{"type":"cf_agent_identity","name":"x"}"#,
            r#"{"type":"cf_agent_chat_clear"}"#,
            "\"\\ud800\"",
            r#"{"x":"\ud800"}"#,
        ] {
            client.send(text);
            assert_eq!(client.texts(), [text]);
        }
    });
}

#[test]
fn c83_binary_arrives_as_it_is_and_nothing_comes_back() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Echo>("a").connect("");
    // Bytes that would be a frame if they were text.
    client.send(br#"{"type":"cf_agent_state","state":5}"#.as_slice());
    client.send(Vec::new());
    client.expect_no_frame();
    assert_eq!(notes(), ["35 bytes", "0 bytes"]);
}

#[test]
fn c86_c87_incomplete_frames_are_the_agents_own() {
    let host = MemoryHost::new();
    let object = host.agent::<Echo>("a");
    let mut client = object.connect("");
    for text in [
        r#"{"type":"rpc","id":"1","method":"add"}"#,
        r#"{"type":"rpc","id":"1","method":"add","args":null}"#,
        r#"{"type":"rpc","id":5,"method":"add","args":[]}"#,
        r#"{"type":"rpc","id":"1","args":[]}"#,
        r#"{"type":"rpc","method":"add","args":[]}"#,
        r#"{"type":"cf_agent_state"}"#,
    ] {
        client.send(text);
        assert_eq!(client.texts(), [text]);
    }
    let stored: String = object.sql("SELECT state FROM cf_agents_state", ()).one().expect("a row");
    assert_eq!(stored, r#"{"count":0}"#);
}

#[test]
fn c88_complete_frames_never_reach_the_message_hook() {
    let host = MemoryHost::new();
    let object = host.agent::<Echo>("a");
    let mut client = object.connect("");
    let mut other = object.connect("");
    client.send(r#"{"type":"cf_agent_state","state":{"count":1},"extra":[{}]}"#);
    client.send(r#"{"type":"rpc","id":"7","method":"nope","args":[],"extra":null}"#);
    assert_eq!(client.texts(), [r#"{"error":"Method nope does not exist","id":"7","success":false,"type":"rpc"}"#]);
    assert_eq!(other.texts(), [state(r#"{"count":1}"#)]);
}

#[test]
fn c89_an_error_in_the_message_hook_costs_that_message() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Echo>("a").connect("?_pk=me");
    for failing in ["fail", "panic"] {
        client.send(failing);
        client.send("next");
        assert_eq!(client.texts(), ["next"]);
        let noted = notes();
        assert!(noted.len() == 1 && noted[0].ends_with("no hunter2"), "{noted:?}");
        let log = host.take_log();
        assert!(log.len() == 1 && log[0].contains("event=on_message connection=\"me\""), "{log:?}");
    }
    assert!(client.is_open());
}

#[test]
fn c90_large_messages_pass() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Echo>("a").connect("");
    let large = "ü".repeat(MIB / 2);
    client.send(&large);
    assert!(client.next_text() == large);
    client.send(vec![7; 31 * MIB]);
    client.send("{".repeat(31 * MIB));
    assert_eq!(client.next_text().len(), 31 * MIB);
    assert_eq!(notes(), [format!("{} bytes", 31 * MIB)]);
}

#[test]
fn c91_a_message_above_the_platforms_limit_ends_that_connection_alone() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Echo>("a");
    let mut other = object.connect("");
    let mut client = object.connect("");
    client.send(vec![0; 33_554_432]);
    assert!(client.is_open());
    client.send(vec![0; 33_554_433]);
    assert_eq!(client.close_event().code, 1009);
    other.send("still here");
    assert_eq!(other.next_text(), "still here");
    let noted = notes();
    assert_eq!(noted[0], "33554432 bytes");
    assert!(noted.len() == 2 && noted[1].contains("1009"), "{noted:?}");
    assert_eq!(object.sockets(), 1);
}

#[test]
fn lone_surrogates_in_a_frame_cost_that_frame() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Echo>("a").connect("");
    client.send(r#"{"type":"cf_agent_state","state":{"name":"\ud800"}}"#);
    assert_eq!(client.texts(), [common::REJECTED]);
    client.send(r#"{"type":"rpc","id":"a\ud800","method":"x\udc00","args":[]}"#);
    let answer = r#"{"error":"Method x\\udc00 does not exist","id":"a\ud800","success":false,"type":"rpc"}"#;
    assert_eq!(client.texts(), [answer]);
    client.send("alive");
    assert_eq!(client.texts(), ["alive"]);
}
