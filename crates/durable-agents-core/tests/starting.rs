//! The start of an agent: checks C56 and C57.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{CONNECT_FAILED, agent, note, notes, text};
use durable_agents_core::http::{Request, Response, StatusCode};
use durable_agents_core::testing::{MemoryHost, Pending};
use durable_agents_core::{Connection, Context, Error, Message, Result, bail};

thread_local! {
    static FAILURES: Cell<u32> = const { Cell::new(0) };
}

fn fail_starts(times: u32) {
    notes();
    FAILURES.set(times);
}

agent!(Slow: (), (), ();
    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        note("start");
        cx.sleep(Duration::from_millis(100)).await;
        if FAILURES.get() > 0 {
            FAILURES.set(FAILURES.get() - 1);
            if FAILURES.get().is_multiple_of(2) { bail!("no hunter2") } else { panic!("no hunter2") }
        }
        note("started");
        Ok(())
    }

    async fn on_request(&self, _: &Context<Self>, request: Request) -> Result<Response> {
        note(format!("request {}", request.path()));
        Ok(Response::text("fine"))
    }

    async fn on_connect(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<()> {
        note("connect");
        Ok(())
    }

    async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        note(text(&message));
        connection.send(text(&message))?;
        Ok(())
    }

    async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
        note(format!("error hook: {}", error.root_cause().to_string().ends_with("no hunter2")));
        Ok(())
    }
);

#[test]
fn c57_start_runs_once_and_before_everything_else() {
    fail_starts(0);
    let host = MemoryHost::new();
    let object = host.agent::<Slow>("a");
    let pending: Vec<Pending> = (0..10).map(|n| object.begin(Request::get(&format!("/{n}")))).collect();
    let mut client = object.dial("").start();
    client.send("hello");
    host.run_until_idle();
    assert_eq!(notes(), ["start"]);
    host.advance(Duration::from_millis(100));
    let requests = (0..10).map(|n| format!("request /{n}"));
    let expected: Vec<String> =
        ["started".to_owned()].into_iter().chain(requests).chain(["connect".to_owned(), "hello".to_owned()]).collect();
    assert_eq!(notes(), expected);
    assert!(pending.into_iter().all(|request| request.wait().status == StatusCode::OK));
}

#[test]
fn c57_start_runs_again_at_the_next_wake() {
    fail_starts(0);
    let host = MemoryHost::new();
    let object = host.agent::<Slow>("a");
    for _ in 0..2 {
        let request = object.begin(Request::get("/x"));
        host.advance(Duration::from_millis(100));
        request.wait();
        assert_eq!(notes(), ["start", "started", "request /x"]);
        object.evict();
    }
}

#[test]
fn c56_a_failed_start_fails_its_event_and_the_next_tries_again() {
    // By an error and by a panic.
    for failures in [1, 2] {
        fail_starts(failures);
        let host = MemoryHost::new();
        let object = host.agent::<Slow>("a");
        for _ in 0..failures {
            let request = object.begin(Request::get("/x"));
            host.advance(Duration::from_millis(100));
            let answer = request.wait();
            assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
            assert_eq!(notes(), ["start", "error hook: true"]);
        }
        let request = object.begin(Request::get("/x"));
        host.advance(Duration::from_millis(100));
        assert_eq!(request.wait().text(), "fine");
        assert_eq!(notes(), ["start", "started", "request /x"]);
        assert!(host.log().iter().all(|line| line.contains("event=on_start") && line.contains("no hunter2")));
    }
}

#[test]
fn c56_of_many_waiting_events_the_first_fails_and_the_second_starts_for_all() {
    fail_starts(1);
    let host = MemoryHost::new();
    let object = host.agent::<Slow>("a");
    let mut pending: Vec<Pending> = (0..10).map(|n| object.begin(Request::get(&format!("/{n}")))).collect();
    host.advance(Duration::from_millis(200));
    let rest = pending.split_off(1);
    assert_eq!(pending.remove(0).wait().status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(rest.into_iter().all(|request| request.wait().status == StatusCode::OK));
    assert_eq!(notes().iter().filter(|noted| *noted == "start").count(), 2);
}

#[test]
fn c56_a_handshake_that_meets_a_failed_start_is_told_so() {
    fail_starts(1);
    let host = MemoryHost::new();
    let object = host.agent::<Slow>("a");
    let mut client = object.dial("").start();
    host.advance(Duration::from_millis(100));
    assert_eq!(client.next_text(), CONNECT_FAILED);
    assert_eq!(client.close_event().code, 1011);
    // It is nobody's connection: no hook hears of its end.
    host.run_until_idle();
    assert_eq!(notes(), ["start", "error hook: true"]);
    assert_eq!(object.sockets(), 0);
}

#[test]
fn c56_a_message_that_meets_a_failed_start_is_lost_and_its_socket_lives_on() {
    fail_starts(0);
    let host = MemoryHost::new();
    let object = host.agent::<Slow>("a");
    let mut client = object.dial("").start();
    host.advance(Duration::from_millis(100));
    object.evict();
    fail_starts(1);
    client.send("lost");
    client.send("kept");
    host.advance(Duration::from_millis(200));
    assert_eq!(client.texts(), ["kept"]);
    assert_eq!(notes(), ["start", "error hook: true", "start", "started", "kept"]);
    assert!(client.is_open());
}

#[test]
fn c56_a_close_that_meets_a_failed_start_is_answered_all_the_same() {
    common::with_and_without_auto_reply(|host| {
        fail_starts(0);
        let object = host.agent::<Slow>("a");
        let mut client = object.dial("").start();
        host.advance(Duration::from_millis(100));
        object.evict();
        fail_starts(1);
        client.close(4000, "bye");
        host.advance(Duration::from_millis(100));
        assert_eq!(client.close_event().code, 4000);
        assert_eq!(object.sockets(), 0);
    });
}
