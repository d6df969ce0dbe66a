//! Leaving memory while sockets stay open: checks C144, C145, C147 and C61–C63, C74 once more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::Cell;

use common::{agent, note, notes};
use durable_agents_core::http::Request;
use durable_agents_core::testing::{Client, MemoryHost, Object, for_every_eviction};
use durable_agents_core::{Agent, AgentOptions, Close, Connection, Context, Message, Result};
use serde_json::{Value, json};

#[derive(Default)]
struct Counter {
    in_memory: Cell<u32>,
}

agent!(impl Counter: u32, u32, ();
    fn initial_state(&self) -> Option<u32> {
        Some(0)
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        if message.as_text() == Some("broadcast") {
            cx.broadcast("to all", &[]);
            return Ok(());
        }
        self.in_memory.set(self.in_memory.get() + 1);
        cx.update_state(|count| *count += 1)?;
        connection.update_state(|count| count.unwrap_or_default() + 1)?;
        let own = connection.state()?.map_or(0, |count| *count);
        connection.send(format!("state {} connection {own} memory {}", cx.state()?, self.in_memory.get()))?;
        Ok(())
    }
);

#[test]
fn c144_the_next_message_is_answered_on_the_same_socket_by_a_new_object() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut client = object.connect("");
    client.send("count");
    client.send("count");
    assert_eq!(client.texts().last().map(String::as_str), Some("state 2 connection 2 memory 2"));
    object.evict();
    assert!(!object.is_running());
    client.send("count");
    assert_eq!(client.texts().last().map(String::as_str), Some("state 3 connection 3 memory 1"));
    assert_eq!(object.wakes(), 2);
}

#[test]
fn c145_a_broadcast_after_a_wake_reaches_the_sockets_from_before() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let mut clients: Vec<Client> = (0..5).map(|_| object.connect("")).collect();
    object.evict();
    clients.push(object.connect(""));
    clients[5].send("broadcast");
    for client in &mut clients {
        assert_eq!(client.texts(), ["to all"]);
    }
    object.evict();
    clients[0].send("count");
    for client in &mut clients {
        assert_eq!(client.next_json()["state"], 1);
    }
}

/// Everything that this crate's agents do in their hooks, for both ways of having sockets.
macro_rules! chatty {
    ($name:ident, $hibernate:literal) => {
        agent!($name: Value, Value, ();
            const OPTIONS: AgentOptions = AgentOptions::new().hibernate($hibernate);

            fn initial_state(&self) -> Option<Value> {
                Some(json!({"count": 0}))
            }

            async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
                Ok(request.url().query_param("tag").map(|tag| tag.into_owned()).into_iter().collect())
            }

            async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
                Ok(request.url().query_param("readonly").is_some())
            }

            async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
                Ok(request.url().query_param("quiet").is_none())
            }

            async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Request) -> Result<()> {
                connection.send(format!("welcome, {} here", cx.connections().count()))?;
                cx.broadcast("somebody came", &[connection.id()]);
                Ok(())
            }

            async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
                connection.update_state(|seen| json!(seen.and_then(|seen| seen.as_u64()).unwrap_or_default() + 1))?;
                match message.as_text() {
                    Some("set") => cx.set_state(json!({"count": 9}))?,
                    Some("tagged") => cx.connections_tagged("x").for_each(|one| drop(one.send("you are x"))),
                    Some("find") => connection.send(cx.connection("b").is_some().to_string())?,
                    Some("kick") => cx.connection("b").expect("connected").close(4000, "kicked")?,
                    Some("fail") => panic!("no hunter2"),
                    _ => connection.send(&message)?,
                }
                Ok(())
            }

            async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, close: &Close) -> Result<()> {
                cx.broadcast(format!("{} left with {} after {:?}", connection.id(), close.code, connection.state()?), &[]);
                note(format!("{} {}", connection.id(), close.code));
                Ok(())
            }
        );
    };
}

chatty!(Sleeper, true);
chatty!(Insomniac, false);

/// All that three clients and the hooks see of a scenario.
fn transcript(host: &MemoryHost, object: &Object) -> Vec<String> {
    notes();
    let mut a = object.connect("?_pk=a&tag=x");
    let mut b = object.connect("?_pk=b&readonly&tag=x");
    let mut c = object.connect("?_pk=c&quiet");
    a.set_state(&json!({"count": 1}));
    b.set_state(&json!({"count": 2}));
    a.send("set");
    b.send("tagged");
    c.send("find");
    a.send("fail");
    c.send("hello");
    a.send(vec![1, 2, 3]);
    a.send("kick");
    host.run_until_idle();
    c.close(4001, "bye");
    host.run_until_idle();
    let mut seen = Vec::new();
    for client in [&mut a, &mut b, &mut c] {
        seen.extend(client.greeting());
        seen.extend(client.frames().iter().map(|frame| format!("{frame:?}")));
        seen.push(format!("{:?}", client.closed()));
    }
    seen.extend(notes());
    // Class names are all that may differ.
    seen.into_iter().map(|line| line.replace(Sleeper::CLASS, "*").replace("insomniac", "*").replace("sleeper", "*")).collect()
}

#[test]
fn c147_frames_and_order_are_the_same_without_hibernation() {
    let host = MemoryHost::new();
    let sleeper = transcript(&host, &host.agent::<Sleeper>("a"));
    let insomniac = transcript(&host, &host.agent::<Insomniac>("a"));
    assert_eq!(sleeper, insomniac);
    assert!(sleeper.len() > 20, "{sleeper:#?}");
}

#[test]
fn a_whole_conversation_is_the_same_whenever_the_object_leaves_memory() {
    let host = MemoryHost::new();
    let expected = transcript(&host, &host.agent::<Sleeper>("a"));
    for_every_eviction(|host| {
        assert_eq!(transcript(host, &host.agent::<Sleeper>("a")), expected);
    });
}

#[test]
fn without_hibernation_an_open_socket_keeps_the_object_and_an_eviction_loses_it() {
    for_every_eviction(|host| {
        let object = host.agent::<Insomniac>("a");
        let mut a = object.connect("?_pk=a");
        for _ in 0..3 {
            a.send("hello");
            assert_eq!(a.texts().last().map(String::as_str), Some("hello"));
        }
        assert_eq!(object.wakes(), 1);
        // Forced out, as by a deploy.
        object.evict();
        assert_eq!(a.close_event().code, 1006);
        assert_eq!(object.sockets(), 0);
        let mut a = object.connect("?_pk=a");
        a.send("find");
        assert_eq!(a.texts(), ["welcome, 1 here", "false"]);
    });
}

#[test]
fn an_object_that_waits_stays_in_memory() {
    let host = MemoryHost::new();
    agent!(Waiter: (), (), ();
        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, _: Message) -> Result<()> {
            cx.sleep(std::time::Duration::from_secs(1)).await;
            connection.send("slept")?;
            Ok(())
        }
    );
    let object = host.agent::<Waiter>("a");
    let mut client = object.connect("");
    client.send("go");
    assert!(!object.try_evict());
    host.advance(std::time::Duration::from_secs(1));
    assert_eq!(client.next_text(), "slept");
    assert!(object.try_evict());
}
