//! What any client can cause, as often as it likes, is in the log but not among the errors; what the agent or the platform did is.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::agent;
use durable_agents_core::host::{HostError, Level};
use durable_agents_core::http::Request;
use durable_agents_core::rpc::{Callable, answer};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{Connection, Context, MAX_ATTACHMENT_BYTES, MAX_STATE_BYTES, Message, Result, Source, bail};
use serde_json::{Value, json};

agent!(Desk: u32, String, ();
    fn initial_state(&self) -> Option<u32> {
        Some(0)
    }

    fn validate_state_change(&self, _: &Context<Self>, next: &u32, _: &Source<Self>) -> Result<()> {
        match next {
            7 => bail!("not seven"),
            13 => panic!("not thirteen"),
            17 => Err(HostError::new("storage is on fire").into()),
            _ => Ok(()),
        }
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("readonly").is_some())
    }

    async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
        Ok(request.url().query_param("untagged").into_iter().map(|_| String::new()).collect())
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        if request.url().query_param("wait").is_some() {
            cx.sleep(Duration::from_secs(1)).await;
        }
        connection.set_state("x".repeat(1_000))?;
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some("write") => cx.set_state(1)?,
            Some("remember too much") => connection.set_state("x".repeat(MAX_ATTACHMENT_BYTES))?,
            Some("fail") => bail!("failed"),
            Some("send later") => {
                cx.sleep(Duration::from_secs(1)).await;
                connection.send("later")?;
            }
            Some("remember later") => {
                cx.sleep(Duration::from_secs(1)).await;
                connection.set_state("later".to_owned())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn callables() -> &'static [Callable<Self>] {
        const { &[
            Callable::new("double", |call| Box::pin(async move { answer(&(call.args.get::<i64>(0, "number")? * 2)) })),
            Callable::new("panic", |_| Box::pin(async move { panic!("in a method") })),
        ] }
    }
);

agent!(Stateless: (), (), (););

type Act = Box<dyn FnOnce(&Object)>;

fn act(act: impl FnOnce(&Object) + 'static) -> Act {
    Box::new(act)
}

/// Whether that has one line in the log, which says `expected`, of that level.
fn check(level: Level, expected: &str, host: &MemoryHost) {
    let log = host.log();
    assert!(log.len() == 1 && log[0].contains(expected), "{expected}: {log:?}");
    let lines = |level| host.log_from(level).len();
    let at = [Level::Debug, Level::Info, Level::Warn, Level::Error].into_iter().rfind(|level| lines(*level) > 0);
    assert_eq!(at, Some(level), "{expected}");
}

fn check_each(level: Level, acts: impl IntoIterator<Item = (&'static str, Act)>) {
    for (expected, act) in acts {
        let host = MemoryHost::new();
        act(&host.agent::<Desk>("a"));
        host.advance(Duration::from_secs(2));
        check(level, expected, &host);
    }
}

#[test]
fn what_a_client_causes_is_no_error_of_the_agent() {
    let set_state = |state: Value| act(move |object| object.connect("").set_state(&state));
    let connect = |id: &'static str, id_bytes, url_bytes| {
        act(move |object| drop(object.connect(&format!("?{id}{}&{}", "x".repeat(id_bytes), "x".repeat(url_bytes)))))
    };
    let leave_after = |text: &'static str| {
        act(move |object| {
            let mut client = object.connect("");
            client.send(text);
            client.close(1000, "");
        })
    };
    check_each(
        Level::Info,
        [
            ("state does not fit its type", set_state(json!({"not": "a number"}))),
            ("state is ", set_state(json!("x".repeat(MAX_STATE_BYTES)))),
            ("not seven", set_state(json!(7))),
            ("Connection is readonly", act(|object| object.connect("?readonly").send("write"))),
            ("tag must not exceed", connect("_pk=", 257, 0)),
            ("event=connect", connect("", 0, MAX_ATTACHMENT_BYTES)),
            // There is room for the address, but none beside it for what the agent would remember.
            ("event=on_connect", connect("", 0, MAX_ATTACHMENT_BYTES - 1_000)),
            ("Too many messages", act(|object| drop(object.connect_early("?wait", vec!["x"; 1_025])))),
            ("event=socket", act(|object| object.connect("").fail("reset by peer"))),
            ("connection is closed", leave_after("send later")),
            ("connection is closed", leave_after("remember later")),
        ],
    );

    let host = MemoryHost::new();
    host.agent::<Stateless>("a").connect("").set_state(&json!(1));
    host.run_until_idle();
    check(Level::Info, "agent has no state", &host);
}

#[test]
fn a_call_that_cannot_be_made_and_a_frame_that_cannot_be_read_are_not_logged() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    for (method, args) in [("nothing", json!([])), ("double", json!([])), ("double", json!(["two"]))] {
        client.call(method, &args).expect_err("cannot be made");
    }
    for malformed in ["{", r#"{"type":"rpc"}"#, r#"{"type":"rpc","id":1,"method":2,"args":3}"#, r#"{"type":"cf_agent_state"}"#]
    {
        client.send(malformed);
    }
    client.send(vec![0xff]);
    client.call("double", &json!([2])).expect("is open");
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn what_the_agent_or_the_platform_did_is_an_error() {
    let send = |text: &'static str| act(move |object| object.connect("").send(text));
    let full = act(|object| {
        let mut client = object.connect("");
        let trigger = "CREATE TRIGGER full BEFORE INSERT ON cf_agents_state BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
        object.sql(trigger, ()).execute().expect("SQL");
        client.set_state(&json!(1));
    });
    check_each(
        Level::Error,
        [
            ("not thirteen", act(|object| object.connect("").set_state(&json!(13)))),
            ("storage is on fire", act(|object| object.connect("").set_state(&json!(17)))),
            ("disk is full", full),
            ("Tag 1 is", act(|object| drop(object.connect("?untagged")))),
            ("of attachment", send("remember too much")),
            ("event=on_message", send("fail")),
            ("in a method", act(|object| drop(object.connect("").call("panic", &json!([]))))),
        ],
    );
}

#[test]
fn a_name_that_the_platform_does_not_hand_out_is_a_warning() {
    let host = MemoryHost::new();
    host.agent::<Desk>(&"x".repeat(1_025)).get("");
    check(Level::Warn, "does not know its name", &host);
}
