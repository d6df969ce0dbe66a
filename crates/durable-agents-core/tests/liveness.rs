//! Pings that wake nobody, and connections at whose other end nobody is any more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, note, notes};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::liveness::{Liveness, MAX_AUTO_RESPONSE_CHARS};
use durable_agents_core::testing::{MemoryHost, Object, for_every_eviction};
use durable_agents_core::{AgentOptions, Connection, Context, Message, Result};

const LIVENESS: Liveness = Liveness::new();

/// An agent that answers pings, by the platform where it can, and looks for life when it is asked to over HTTP.
macro_rules! pulse {
    ($name:ident, $hibernate:literal) => {
        agent!($name: (), (), ();
            const OPTIONS: AgentOptions = AgentOptions::new().hibernate($hibernate);

            async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
                Ok(cx.set_auto_response(Some(("ping", "pong")))?)
            }

            async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
                Ok(false)
            }

            fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Message) -> Result<bool> {
                connection.note_life()?;
                Ok(true)
            }

            async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
                match message.as_text() {
                    Some("no answers") => cx.set_auto_response(None)?,
                    Some("too long") => {
                        let long = "ü".repeat(MAX_AUTO_RESPONSE_CHARS + 1);
                        connection.send(format!("{:?}", cx.set_auto_response(Some((&long, ""))).is_err()))?;
                    }
                    _ => connection.send(format!("heard {}", message.as_text().unwrap_or_default()))?,
                }
                Ok(())
            }

            async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
                let checkup = cx.check_life(&LIVENESS);
                for connection in &checkup.silent {
                    note(connection.id());
                    connection.close(4008, "No sign of life")?;
                }
                let wait_s = checkup.next_ms.map(|next_ms| (next_ms - cx.now_ms()) / 1_000);
                Ok(Response::text(format!("{:?}", wait_s)))
            }
        );
    };
}

pulse!(Sleeper, true);
pulse!(Insomniac, false);

fn look(object: &Object) -> String {
    object.get("look").text().to_owned()
}

#[test]
fn a_ping_is_answered_without_waking_the_agent() {
    let host = MemoryHost::new();
    let object = host.agent::<Sleeper>("a");
    let mut client = object.connect("");
    object.evict();
    for _ in 0..3 {
        client.send("ping");
        assert_eq!(client.texts(), ["pong"]);
    }
    assert_eq!((object.is_running(), object.wakes()), (false, 1));
    client.send("ping ");
    assert_eq!(client.texts(), ["heard ping "]);
    client.send("ping");
    assert_eq!(client.texts(), ["pong"]);
    client.send(b"ping".to_vec());
    client.send("too long");
    assert_eq!(client.texts(), ["heard ", "true"]);
    client.send("no answers");
    client.send("ping");
    assert_eq!(client.texts(), ["heard ping"]);
}

#[test]
fn an_answer_holds_through_evictions_and_not_through_a_reset() {
    agent!(Forgetful: (), (), ();
        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            if message.as_text() == Some("answer") {
                cx.set_auto_response(Some(("ping", "pong")))?;
            }
            Ok(connection.send("heard")?)
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Forgetful>("a");
    let mut client = object.connect("");
    client.send("answer");
    assert_eq!(client.next_text(), "heard");
    object.evict();
    client.send("ping");
    assert_eq!(client.texts(), ["pong"]);
    object.crash();
    let mut client = object.connect("");
    client.send("ping");
    assert_eq!(client.texts(), ["heard"]);
}

#[test]
fn without_hibernation_the_agent_hears_every_ping() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Insomniac>("a").connect("");
    client.send("ping");
    assert_eq!(client.texts(), ["heard ping"]);
}

#[test]
fn who_is_silent_for_too_long_is_found_to_the_second() {
    for_every_eviction(|host| {
        notes();
        let object = host.agent::<Sleeper>("a");
        assert_eq!(look(&object), "None");
        let s = |seconds| host.advance(Duration::from_secs(seconds));
        let _silent = object.connect("?_pk=silent");
        let mut pinging = object.connect("?_pk=pinging");
        let mut talking = object.connect("?_pk=talking");
        assert_eq!(look(&object), "Some(30)");
        s(30);
        talking.send("hello");
        host.run_until_idle();
        s(10);
        pinging.send("ping");
        host.run_until_idle();
        assert_eq!(look(&object), "Some(20)");
        s(19);
        assert_eq!(look(&object), "Some(1)");
        assert_eq!(notes(), [""; 0]);
        s(1);
        assert_eq!(look(&object), "Some(30)");
        assert_eq!(notes(), ["silent"]);
        s(30);
        assert_eq!(look(&object), "Some(10)");
        assert_eq!(notes(), ["talking"]);
        assert_eq!(talking.close_event().code, 4008);
        s(10);
        assert_eq!(look(&object), "None");
        assert_eq!(notes(), ["pinging"]);
    });
}

#[test]
fn the_same_is_found_without_hibernation() {
    let host = MemoryHost::new();
    notes();
    let object = host.agent::<Insomniac>("a");
    let _silent = object.connect("?_pk=silent");
    let mut pinging = object.connect("?_pk=pinging");
    host.advance(Duration::from_secs(59));
    pinging.send("ping");
    assert_eq!(look(&object), "Some(1)");
    host.advance(Duration::from_secs(1));
    assert_eq!(look(&object), "Some(30)");
    assert_eq!(notes(), ["silent"]);
}

#[test]
fn a_peer_that_is_gone_and_does_not_answer_is_found_once() {
    for_every_eviction(|host| {
        notes();
        let object = host.agent::<Sleeper>("a");
        let mut dead = object.connect("?_pk=dead");
        dead.hold_close_answer();
        host.advance(Duration::from_secs(60));
        assert_eq!((look(&object), look(&object)), ("None".to_owned(), "None".to_owned()));
        assert_eq!(notes(), ["dead"]);
    });
}
