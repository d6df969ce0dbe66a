//! How connections end: checks C92–C98. Each with and without a platform that answers close frames itself.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, note, notes, with_and_without_auto_reply};
use durable_agents_core::testing::{Client, EvictPlan, MemoryHost, for_every_eviction};
use durable_agents_core::{Close, Connection, Context, Error, Message, Result, bail};

agent!(Door: (), u32, ();
    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let (command, argument) = message.as_text().unwrap_or_default().split_once(' ').unwrap_or_default();
        match command {
            "state" => connection.set_state(argument.parse()?)?,
            "close" => {
                let (code, reason) = argument.split_once(' ').unwrap_or((argument, ""));
                if let Err(refused) = connection.close(code.parse()?, reason) {
                    connection.send(refused.to_string())?;
                }
            }
            "wait" => {
                cx.sleep(Duration::from_millis(argument.parse()?)).await;
                note(format!("send after waiting: {}", connection.send("late").is_ok()));
            }
            _ => note(argument),
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, close: &Close) -> Result<()> {
        note(format!("close {} {:?} {}", close.code, close.reason, close.was_clean));
        if let Some(state) = connection.state()? {
            note(format!("state {state}, send {}, set {}", connection.send("x").is_ok(), connection.set_state(1).is_ok()));
        }
        match close.reason.as_str() {
            "fail" => bail!("no hunter2"),
            "panic" => panic!("no hunter2"),
            "wait" => cx.sleep(Duration::from_secs(1)).await,
            _ => {}
        }
        Ok(())
    }

    async fn on_connection_error(&self, _: &Context<Self>, _: &Connection<Self>, error: &Error) -> Result<()> {
        note(format!("error {error}"));
        Ok(())
    }
);

fn closed(code: u16, reason: &str) -> Close {
    Close { code, reason: reason.to_owned(), was_clean: true }
}

#[test]
fn c92_c93_a_close_is_answered_with_its_own_code_and_reason() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        for (code, reason) in [(4000, "bye"), (1000, ""), (1001, "going away"), (1011, ""), (3000, "ü"), (4999, "last")] {
            let mut client = object.connect("");
            client.close(code, reason);
            assert_eq!(client.close_event(), closed(code, reason));
            host.run_until_idle();
            assert_eq!(notes(), [format!("close {code} {reason:?} true")]);
        }
        assert_eq!(object.sockets(), 0);
    });
}

#[test]
fn c98_a_close_without_a_code_is_1005_on_both_sides() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        let mut client = object.connect("");
        client.close_without_code();
        assert_eq!(client.close_event(), closed(1005, ""));
        host.run_until_idle();
        assert_eq!(notes(), ["close 1005 \"\" true"]);
        assert_eq!(object.sockets(), 0);
    });
}

#[test]
fn c95_a_cut_is_1006_and_not_clean() {
    with_and_without_auto_reply(|host| {
        let mut client = host.agent::<Door>("a").connect("");
        client.cut();
        assert_eq!(client.close_event(), Close { code: 1006, reason: String::new(), was_clean: false });
        host.run_until_idle();
        assert_eq!(notes(), [r#"close 1006 "WebSocket disconnected without sending Close frame." false"#]);
    });
}

#[test]
fn codes_that_must_not_be_sent_reach_the_hook_and_harm_nobody() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        let mut other = object.connect("");
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            let mut client = object.connect("");
            client.close(code, "");
            host.run_until_idle();
            assert_eq!(notes(), [format!("close {code} \"\" true")]);
            other.send("note still here");
            host.run_until_idle();
            assert_eq!(notes(), ["still here"]);
        }
    });
}

#[test]
fn c94_the_close_hook_runs_once_however_many_ends_there_are() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        type End = fn(&mut Client);
        let ends: [(&str, End); 7] = [
            ("both sides close", |client| {
                client.send("close 4000 bye");
                client.close(1000, "");
            }),
            ("the server closes and the client answers", |client| client.send("close 4000 bye")),
            ("the server closes twice", |client| {
                client.send("close 4000 bye");
                client.send("close 4001 again");
            }),
            ("the client closes twice", |client| {
                client.close(1000, "");
                client.close(1001, "");
            }),
            ("the server closes and the client is cut", |client| {
                client.hold_close_answer();
                client.send("close 4000 bye");
                client.closed();
                client.cut();
            }),
            ("an error", |client| client.fail("reset by peer")),
            ("an error and a close", |client| {
                client.fail("reset by peer");
                client.close_again();
            }),
        ];
        for (what, end) in ends {
            let mut client = object.connect("");
            end(&mut client);
            client.close_event();
            host.run_until_idle();
            let noted = notes();
            assert_eq!(noted.iter().filter(|noted| noted.starts_with("close ")).count(), 1, "{what}: {noted:?}");
            assert_eq!(object.sockets(), 0, "{what}");
        }
    });
}

#[test]
fn c96_a_failing_close_hook_does_not_keep_the_handshake_from_its_end() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        for failure in ["fail", "panic"] {
            let mut client = object.connect("");
            client.close(4000, failure);
            assert_eq!(client.close_event(), closed(4000, failure));
            host.run_until_idle();
            let noted = notes();
            assert_eq!(noted[0], format!("close 4000 {failure:?} true"));
            assert!(noted.len() == 2 && noted[1].starts_with("error ") && noted[1].ends_with("no hunter2"), "{noted:?}");
        }
        assert_eq!(object.sockets(), 0);
    });
}

#[test]
fn c97_the_state_is_readable_in_the_close_hook_and_nothing_else_goes() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        for leave in [Client::cut as fn(&mut Client), |client| client.close(1000, ""), |client| client.fail("reset")] {
            let mut client = object.connect("");
            client.send("state 42");
            object.evict();
            leave(&mut client);
            host.run_until_idle();
            assert!(notes().contains(&"state 42, send false, set false".to_owned()));
        }
    });
}

#[test]
fn a_socket_error_is_told_to_the_error_hook_and_then_closes() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Door>("a").connect("?_pk=me");
    client.fail("reset by peer");
    assert_eq!(client.close_event().code, 1006);
    host.run_until_idle();
    assert_eq!(notes(), ["error reset by peer", "close 1006 \"reset by peer\" false"]);
    assert!(host.log().iter().any(|line| line.contains("event=socket connection=\"me\"")), "{:?}", host.log());
}

#[test]
fn the_agent_cannot_close_with_a_code_or_reason_that_no_frame_may_carry() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Door>("a").connect("");
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        client.send(format!("close {code} x"));
        assert!(client.next_text().starts_with(&format!("close code {code} may not be sent")));
    }
    client.send(format!("close 1000 {}", "ü".repeat(62)));
    assert_eq!(client.next_text(), "close reason is 124 bytes long, limit is 123");
    assert!(client.is_open());
    let reason = "x".repeat(123);
    client.send(format!("close 1008 {reason}"));
    assert_eq!(client.close_event(), closed(1008, &reason));
}

#[test]
fn what_comes_after_the_agents_close_is_not_for_the_agent() {
    with_and_without_auto_reply(|host| {
        let mut client = host.agent::<Door>("a").connect("");
        client.hold_close_answer();
        client.send("close 4000 bye");
        client.send("note too late");
        client.answer_close();
        host.run_until_idle();
        assert_eq!(notes(), ["close 4000 \"bye\" true"]);
    });
}

#[test]
fn what_comes_after_the_agents_close_is_not_for_the_next_wake_either() {
    for plan in [EvictPlan::Never, EvictPlan::Always] {
        notes();
        let host = MemoryHost::new();
        host.evict_between_events(plan);
        let mut client = host.agent::<Door>("a").connect("");
        client.send("close 4000 bye");
        // Under way while the agent closes.
        client.send("note too late");
        client.send(r#"{"type":"rpc","id":"1","method":"nope","args":[]}"#);
        assert_eq!(client.close_event(), closed(4000, "bye"));
        client.expect_no_frame();
        assert_eq!(notes(), ["close 4000 \"bye\" true"], "{plan:?}");
    }
}

#[test]
fn an_error_and_a_close_that_wait_for_one_start_are_one_end() {
    notes();
    let host = MemoryHost::new();
    agent!(Sleepy: (), (), ();
        async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
            cx.sleep(Duration::from_secs(1)).await;
            Ok(())
        }

        async fn on_close(&self, _: &Context<Self>, _: &Connection<Self>, close: &Close) -> Result<()> {
            note(format!("close {}", close.code));
            Ok(())
        }
    );
    let object = host.agent::<Sleepy>("a");
    let mut client = object.dial("").start();
    host.advance(Duration::from_secs(1));
    object.evict();
    client.fail("reset by peer");
    client.close_again();
    host.advance(Duration::from_secs(1));
    assert_eq!(notes(), ["close 1006"]);
}

#[test]
fn a_late_report_of_one_connections_end_is_not_taken_for_the_next_ones() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Door>("a");
    let mut first = object.connect("");
    first.fail("reset by peer");
    let mut second = object.connect("");
    first.close_again();
    second.send("note still here");
    host.run_until_idle();
    assert_eq!(notes(), ["error reset by peer", "close 1006 \"reset by peer\" false", "still here"]);
    assert!(second.is_open());
}

#[test]
fn a_send_to_who_has_left_is_an_error_and_no_fault() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        for leave in [Client::cut as fn(&mut Client), |client| client.close(1000, "")] {
            let mut client = object.connect("");
            client.send("wait 500");
            host.run_until_idle();
            leave(&mut client);
            host.advance(Duration::from_secs(1));
            assert_eq!(notes().last().map(String::as_str), Some("send after waiting: false"));
        }
        assert_eq!(host.log(), Vec::<String>::new());
    });
}

#[test]
fn a_slow_close_hook_holds_up_nobody() {
    with_and_without_auto_reply(|host| {
        let object = host.agent::<Door>("a");
        let mut other = object.connect("");
        let mut client = object.connect("");
        client.close(4000, "wait");
        other.send("note handled");
        host.run_until_idle();
        assert_eq!(notes(), ["close 4000 \"wait\" true", "handled"]);
        host.advance(Duration::from_secs(1));
        assert_eq!(client.closed(), Some(closed(4000, "wait")));
        assert_eq!(object.sockets(), 1);
    });
}

#[test]
fn connections_end_alike_whenever_the_object_leaves_memory() {
    for_every_eviction(|host| {
        notes();
        let object = host.agent::<Door>("a");
        let mut first = object.connect("");
        let mut second = object.connect("");
        first.send("state 7");
        second.send("close 4002 out");
        first.close(4001, "bye");
        assert_eq!(first.close_event(), closed(4001, "bye"));
        assert_eq!(second.close_event(), closed(4002, "out"));
        host.run_until_idle();
        let mut noted = notes();
        noted.sort();
        assert_eq!(noted, [r#"close 4001 "bye" true"#, r#"close 4002 "out" true"#, "state 7, send false, set false"]);
        assert_eq!(object.sockets(), 0);
    });
}
