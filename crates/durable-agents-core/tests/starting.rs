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
use durable_agents_core::testing::{Client, MemoryHost, Object, Pending};
use durable_agents_core::{Close, Connection, Context, Error, Message, Result, bail};

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
        match message.as_text() {
            Some("kick") => connection.close(4000, "kicked")?,
            // One that has left need not be answered.
            text => drop(connection.send(text.unwrap_or_default())),
        }
        Ok(())
    }

    async fn on_close(&self, _: &Context<Self>, _: &Connection<Self>, close: &Close) -> Result<()> {
        note(format!("closed {}", close.code));
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

/// An agent that has left memory, with a client that is still connected.
fn asleep(host: &MemoryHost) -> (Object, Client) {
    fail_starts(0);
    let object = host.agent::<Slow>("a");
    let client = object.dial("").start();
    host.advance(Duration::from_millis(100));
    object.evict();
    notes();
    (object, client)
}

#[test]
fn what_a_client_sent_before_it_left_is_handled_before_its_end_though_the_start_comes_after() {
    for (leave, code) in [
        (Box::new(|client: &mut Client| client.close(4001, "bye")) as Box<dyn Fn(&mut Client)>, 4001),
        (Box::new(|client: &mut Client| client.cut()), 1006),
        (Box::new(|client: &mut Client| client.fail("broken")), 1006),
    ] {
        common::with_and_without_auto_reply(|host| {
            let (object, mut client) = asleep(host);
            client.send("save this");
            client.send("and this");
            leave(&mut client);
            host.run_until_idle();
            assert_eq!(notes(), ["start"]);
            host.advance(Duration::from_millis(100));
            assert_eq!(notes(), ["started", "save this", "and this", &format!("closed {code}")]);
            assert_eq!(client.close_event().code, code);
            assert_eq!(object.sockets(), 0);
        });
    }
}

#[test]
fn what_came_behind_a_message_that_made_the_agent_close_is_not_for_the_agent() {
    let host = MemoryHost::new();
    let (_object, mut client) = asleep(&host);
    client.send("kick");
    client.send("too late");
    host.advance(Duration::from_millis(100));
    assert_eq!(client.close_event().code, 4000);
    host.run_until_idle();
    assert_eq!(notes(), ["start", "started", "kick", "closed 4000"]);
}

#[test]
fn c56_of_what_waits_on_one_connection_a_failed_start_takes_the_first() {
    let host = MemoryHost::new();
    let (object, mut client) = asleep(&host);
    fail_starts(2);
    client.send("lost");
    client.send("lost too");
    client.send("kept");
    client.close(4001, "bye");
    host.advance(Duration::from_millis(300));
    let failed = ["start", "error hook: true"];
    assert_eq!(notes(), [&failed[..], &failed, &["start", "started", "kept", "closed 4001"]].concat());
    assert_eq!(object.sockets(), 0);
}

#[test]
fn what_waits_for_a_start_is_bounded_for_each_connection() {
    let host = MemoryHost::new();
    let (object, mut client) = asleep(&host);
    for _ in 0..1_024 {
        client.send("x");
    }
    host.advance(Duration::from_millis(100));
    assert_eq!(notes().len(), 2 + 1_024);
    assert!(client.is_open());

    let mut bystander = object.connect("");
    object.evict();
    bystander.send("hello");
    for _ in 0..=1_024 {
        client.send("x");
    }
    client.send("one more");
    notes();
    host.advance(Duration::from_millis(100));
    assert_eq!(notes(), ["start", "started", "hello", "closed 1013"]);
    let close = client.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "Too many messages before the connection was ready"));
    let log = host.log();
    assert!(log.len() == 1 && log[0].contains("Too many messages"), "{log:?}");
    assert_eq!(bystander.texts(), ["hello"]);
}

#[test]
fn what_waits_for_a_start_on_all_connections_together_has_a_bound_too() {
    let host = MemoryHost::new();
    let (object, mut client) = asleep(&host);
    let [mut other, mut third] = [(), ()].map(|()| object.dial("").start());
    host.advance(Duration::from_millis(100));
    object.evict();
    notes();
    let large = "x".repeat(20 * 1024 * 1024);
    client.send(large.as_str());
    other.send(large.as_str());
    third.send("hello");
    host.advance(Duration::from_millis(100));
    // Too long to be printed.
    assert!(notes() == ["start", "started", &large, "hello", "closed 1013"]);
    assert!(client.texts() == [large]);
    assert_eq!(other.close_event().code, 1013);
    assert_eq!(third.texts(), ["hello"]);
}
