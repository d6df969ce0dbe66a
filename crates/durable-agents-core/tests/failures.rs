//! An error or a panic in any hook costs the event it happened in, and nothing else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::Cell;

use common::{CONNECT_FAILED, REJECTED, agent, note, notes, state};
use durable_agents_core::http::{Request, Response, StatusCode};
use durable_agents_core::rpc::{Callable, answer};
use durable_agents_core::testing::{Client, MemoryHost, Object};
use durable_agents_core::{Agent, Close, Connection, Context, Error, Message, PanicError, Result, Source, bail};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Error,
    Panic,
}

const WAYS: [Way; 2] = [Way::Error, Way::Panic];

thread_local! {
    static TRIPS: Cell<Option<(&'static str, Way)>> = const { Cell::new(None) };
}

/// Fails in `hook` from now on, that way.
fn trip(hook: &'static str, way: Way) {
    TRIPS.set(Some((hook, way)));
}

fn untrip() {
    TRIPS.set(None);
}

/// What every hook begins with.
fn step(hook: &str) -> Result<()> {
    match TRIPS.get() {
        Some((trips, Way::Error)) if trips == hook => bail!("the password of {hook} is hunter2"),
        Some((trips, Way::Panic)) if trips == hook => panic!("the password of {hook} is hunter2"),
        _ => Ok(()),
    }
}

/// The same for a hook that cannot return an error.
fn panic_step(hook: &str) {
    if TRIPS.get().is_some_and(|(trips, _)| trips == hook) {
        panic!("the password of {hook} is hunter2");
    }
}

struct Fragile;

impl Agent for Fragile {
    type State = Value;
    type ConnectionState = Value;
    type Props = ();
    const CLASS: &'static str = "Fragile";

    fn new(_: &Context<Self>) -> Self {
        panic_step("new");
        Self
    }

    fn initial_state(&self) -> Option<Value> {
        panic_step("initial_state");
        Some(json!("initial"))
    }

    fn callables() -> &'static [Callable<Self>] {
        const {
            &[Callable::new("method", |_| {
                Box::pin(async {
                    step("method")?;
                    answer(&"fine")
                })
            })]
        }
    }

    async fn on_start(&self, _: &Context<Self>, _: Option<()>) -> Result<()> {
        step("on_start")
    }

    async fn on_request(&self, _: &Context<Self>, _: Request) -> Result<Response> {
        step("on_request")?;
        Ok(Response::text("fine"))
    }

    async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<Vec<String>> {
        step("connection_tags")?;
        Ok(vec![])
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        step("should_connection_be_readonly")?;
        Ok(false)
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        step("should_send_protocol_messages")?;
        Ok(true)
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Request) -> Result<()> {
        step("on_connect")?;
        connection.set_state(json!("own"))?;
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        if message.as_text() == Some("all") {
            cx.broadcast(format!("{} here", cx.connections().count()), &[]);
            return Ok(());
        }
        step("on_message")?;
        connection.send(&message)?;
        Ok(())
    }

    async fn on_close(&self, _: &Context<Self>, _: &Connection<Self>, _: &Close) -> Result<()> {
        note("closed");
        step("on_close")
    }

    fn validate_state_change(&self, _: &Context<Self>, _: &Value, _: &Source<Self>) -> Result<()> {
        step("validate_state_change")
    }

    async fn on_state_changed(&self, _: &Context<Self>, _: &Value, _: &Source<Self>) -> Result<()> {
        step("on_state_changed")
    }

    async fn on_connection_error(&self, _: &Context<Self>, connection: &Connection<Self>, error: &Error) -> Result<()> {
        note(format!("connection error of {}: {}", connection.id(), kind(error)));
        step("on_connection_error")
    }

    async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
        note(format!("error: {}", kind(error)));
        step("on_error")
    }
}

/// What went wrong, as the error hooks may learn it.
fn kind(error: &Error) -> String {
    let way = match error.downcast_ref::<PanicError>() {
        Some(panic) => {
            assert!(panic.place.contains("failures.rs"), "{}", panic.place);
            "panic"
        }
        None => "error",
    };
    let text = error.to_string();
    let hook = text.split("the password of ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("something else");
    format!("{way} in {hook}")
}

struct Stage {
    host: MemoryHost,
    object: Object,
    bystander: Client,
}

impl Stage {
    /// An agent with state and a client that nothing happens to.
    fn new() -> Self {
        untrip();
        let host = MemoryHost::new();
        let object = host.agent::<Fragile>("a");
        let mut bystander = object.connect("?_pk=bystander");
        bystander.set_state(&json!("stored"));
        host.run_until_idle();
        notes();
        Self { host, object, bystander }
    }

    /// Nothing else is the worse for it, and nobody has learnt anything.
    fn check(mut self, what: &str, seen: &[String]) {
        untrip();
        assert!(!seen.iter().any(|text| text.contains("hunter2") || text.contains(".rs")), "{what}: {seen:?}");
        let log = self.host.log();
        assert!(!log.is_empty() && log.iter().all(|line| line.contains("hunter2")), "{what}: {log:?}");
        self.bystander.frames();
        self.bystander.send("echo");
        self.bystander.send("all");
        assert_eq!(self.bystander.texts(), ["echo", &format!("{} here", self.object.sockets())], "{what}");
        assert!(self.bystander.is_open(), "{what}");
        assert_eq!(self.object.get("").text(), "fine", "{what}");
        let stored: String = self.object.sql("SELECT state FROM cf_agents_state", ()).one().expect("the state");
        assert_eq!(stored, "\"stored\"", "{what}");
        let mut newcomer = self.object.connect("");
        assert_eq!(newcomer.greeting()[1], state("\"stored\""), "{what}");
    }
}

fn way_name(way: Way) -> &'static str {
    match way {
        Way::Error => "error",
        Way::Panic => "panic",
    }
}

#[test]
fn in_hooks_before_the_accept_the_connect_fails_and_leaves_nothing() {
    for hook in ["connection_tags", "should_connection_be_readonly", "should_send_protocol_messages"] {
        for way in WAYS {
            let stage = Stage::new();
            trip(hook, way);
            let mut client = stage.object.connect("?_pk=me");
            let close = client.close_event();
            assert_eq!((close.code, close.reason.as_str()), (1011, "Uncaught exception during session setup"));
            let seen = client.texts();
            assert_eq!(seen, [CONNECT_FAILED]);
            // Its connect hook never began, so no close hook hears of it.
            assert_eq!(notes(), [format!("connection error of me: {} in {hook}", way_name(way))]);
            assert_eq!(stage.object.sockets(), 1);
            stage.check(hook, &seen);
        }
    }
}

#[test]
fn in_the_connect_hook_the_connect_fails() {
    for way in WAYS {
        let stage = Stage::new();
        trip("on_connect", way);
        let mut client = stage.object.connect("?_pk=me");
        assert_eq!(client.close_event().code, 1011);
        stage.host.run_until_idle();
        assert_eq!(notes(), [format!("connection error of me: {} in on_connect", way_name(way)), "closed".to_owned()]);
        let seen = client.texts();
        stage.check("on_connect", &seen);
    }
}

#[test]
fn in_the_message_hook_the_message_is_lost() {
    for way in WAYS {
        let stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("on_message", way);
        client.send("lost");
        client.expect_no_frame();
        assert_eq!(notes(), [format!("connection error of me: {} in on_message", way_name(way))]);
        untrip();
        client.send("kept");
        let seen = client.texts();
        assert_eq!(seen, ["kept"]);
        stage.check("on_message", &seen);
    }
}

#[test]
fn in_the_close_hook_the_client_still_gets_its_answer() {
    for way in WAYS {
        let stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("on_close", way);
        client.close(4000, "bye");
        let close = client.close_event();
        assert_eq!((close.code, close.reason.as_str(), close.was_clean), (4000, "bye", true));
        stage.host.run_until_idle();
        assert_eq!(notes(), ["closed".to_owned(), format!("connection error of me: {} in on_close", way_name(way))]);
        assert_eq!(stage.object.sockets(), 1);
        stage.check("on_close", &[close.reason]);
    }
}

#[test]
fn in_the_connection_error_hook_it_ends_there() {
    for way in WAYS {
        let stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("on_connection_error", way);
        client.fail("hunter2");
        stage.host.run_until_idle();
        assert_eq!(notes(), ["connection error of me: error in something else", "closed"]);
        stage.check("on_connection_error", &[]);
    }
}

#[test]
fn in_the_request_handler_the_request_is_a_500() {
    for way in WAYS {
        let stage = Stage::new();
        trip("on_request", way);
        let answer = stage.object.get("");
        assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
        assert_eq!(notes(), [format!("error: {} in on_request", way_name(way))]);
        stage.check("on_request", &[answer.text().to_owned()]);
    }
}

#[test]
fn in_both_a_hook_and_its_error_hook_it_ends_there_too() {
    agent!(Doomed: (), (), ();
        async fn on_request(&self, _: &Context<Self>, _: Request) -> Result<Response> {
            panic!("first")
        }

        async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            if message.as_text() == Some("echo") {
                connection.send("echo")?;
                return Ok(());
            }
            bail!("first")
        }

        async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
            panic!("second after {error}")
        }

        async fn on_connection_error(&self, _: &Context<Self>, _: &Connection<Self>, error: &Error) -> Result<()> {
            bail!("second after {error}")
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Doomed>("a");
    assert_eq!(object.get("").status, StatusCode::INTERNAL_SERVER_ERROR);
    let mut client = object.connect("");
    client.send("x");
    client.send("echo");
    assert_eq!(client.texts(), ["echo"]);
    let log = host.log();
    let events: Vec<&str> = log
        .iter()
        .map(|line| line.split("event=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default())
        .collect();
    assert_eq!(events, ["on_request", "on_error", "on_message", "on_connection_error"]);
}

#[test]
fn in_the_validation_the_update_is_refused() {
    for way in WAYS {
        let stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("validate_state_change", way);
        client.set_state(&json!("other"));
        let seen = client.texts();
        assert_eq!(seen, [REJECTED]);
        assert_eq!(notes(), Vec::<String>::new());
        stage.check("validate_state_change", &seen);
    }
}

#[test]
fn in_the_change_hook_the_change_stays() {
    for way in WAYS {
        let mut stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("on_state_changed", way);
        client.set_state(&json!("stored"));
        client.expect_no_frame();
        assert_eq!(stage.bystander.texts(), [state("\"stored\"")]);
        assert_eq!(notes(), [format!("error: {} in on_state_changed", way_name(way))]);
        stage.check("on_state_changed", &[]);
    }
}

#[test]
fn in_a_method_the_caller_is_told() {
    for way in WAYS {
        let stage = Stage::new();
        let mut client = stage.object.connect("?_pk=me");
        trip("method", way);
        let told = client.call("method", &json!([])).expect_err("failed");
        // The words of an error are meant for the caller; those of a panic are not.
        match way {
            Way::Error => assert_eq!(told, "the password of method is hunter2"),
            Way::Panic => {
                assert_eq!(told, "Internal Server Error");
                stage.check("method", &[told]);
            }
        }
        untrip();
        assert_eq!(client.call("method", &json!([])), Ok(json!("fine")));
    }
}

#[test]
fn in_the_start_or_the_constructor_the_waking_event_fails_and_the_next_succeeds() {
    for (hook, ways) in [("on_start", &WAYS[..]), ("new", &[Way::Panic])] {
        for &way in ways {
            let stage = Stage::new();
            stage.object.evict();
            trip(hook, way);
            let answer = stage.object.get("");
            assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
            // Without an agent there is no error hook either.
            let told = if hook == "new" { vec![] } else { vec![format!("error: {} in {hook}", way_name(way))] };
            assert_eq!(notes(), told);
            stage.check(hook, &[answer.text().to_owned()]);
        }
    }
}

#[test]
fn in_the_initial_state_the_connect_fails_and_the_next_succeeds() {
    untrip();
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Fragile>("a");
    trip("initial_state", Way::Panic);
    let mut client = object.connect("?_pk=me");
    assert_eq!(client.next_text(), CONNECT_FAILED);
    assert_eq!(client.close_event().code, 1011);
    assert_eq!(object.get("").text(), "fine");
    untrip();
    assert_eq!(object.connect("").greeting()[1], state("\"initial\""));
}

#[test]
fn a_validation_that_refuses_the_initial_state_fails_the_connect() {
    untrip();
    let host = MemoryHost::new();
    let object = host.agent::<Fragile>("a");
    trip("validate_state_change", Way::Error);
    let mut client = object.connect("?_pk=me");
    assert_eq!(client.next_text(), CONNECT_FAILED);
    untrip();
    assert_eq!(object.connect("").greeting().len(), 3);
}

#[test]
fn work_beside_an_event_ends_alone() {
    agent!(Worker: (), (), ();
        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, _: Message) -> Result<()> {
            cx.wait_until(async { panic!("hunter2") });
            connection.send("fine")?;
            Ok(())
        }

        async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
            note(error.to_string());
            Ok(())
        }
    );
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Worker>("a").connect("");
    client.send("go");
    assert_eq!(client.texts(), ["fine"]);
    assert!(notes()[0].ends_with("hunter2"));
    assert!(host.log()[0].contains("event=wait_until"));
}
