//! What an event costs, in statements and in writes of attachments.

#![allow(clippy::expect_used, clippy::panic, reason = "agents and helpers of tests are part of the tests")]

mod common;

use std::time::Duration;

use common::agent;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::limits::{Limits, Rate};
use durable_agents_core::resume::{Resume, ResumeLimits, ResumeLog};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{Connection, Context, Message, Result};

/// How many statements `act` takes.
fn statements(object: &Object, act: impl FnOnce()) -> u64 {
    let before = object.storage_calls();
    act();
    object.storage_calls() - before
}

#[test]
fn a_statement_is_one_and_only_who_wants_the_number_of_rows_pays_for_it() {
    agent!(Writer: (), (), ();
        async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
            let changed = match cx.sub_path(&request) {
                "begin" => {
                    cx.sql("CREATE TABLE t (n INTEGER)", ()).execute()?;
                    0
                }
                "insert" => {
                    cx.sql("INSERT INTO t VALUES (1), (2), (3)", ()).execute()?;
                    0
                }
                below => cx.sql("DELETE FROM t WHERE n < ?", (below.parse::<u32>()?,)).changes()?,
            };
            Ok(Response::text(changed.to_string()))
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Writer>("a");
    assert_eq!(object.get("begin").status, 200);
    for (asked, changed, expected) in [("insert", "0", 1), ("0", "0", 1), ("3", "2", 2), ("3", "0", 1)] {
        let taken = statements(&object, || assert_eq!(object.get(asked).text(), changed, "{asked}"));
        assert_eq!(taken, expected, "{asked}");
    }
}

#[test]
fn a_logged_frame_is_one_statement_and_two_where_others_go_for_it() {
    const LIMITS: ResumeLimits = ResumeLimits::new().max_frames(5).max_bytes(100).max_age(Duration::from_secs(60));
    agent!(Logger: (), (), ();
        async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
            let logged = ResumeLog::new(cx, "log", LIMITS).append(|_| cx.sub_path(&request).to_owned())?;
            Ok(Response::text(logged.seq.to_string()))
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Logger>("a");
    let mut seq = 0;
    let mut append = |frame: &str| {
        seq += 1;
        statements(&object, || assert_eq!(object.get(frame).text(), seq.to_string()))
    };
    // Makes the table.
    append("1");
    let few: Vec<u64> = (0..4).map(|_| append("few")).collect();
    assert_eq!(few, [1; 4]);
    let full: Vec<u64> = (0..20).map(|_| append("full")).collect();
    assert_eq!(full, [2; 20], "by number");
    append(&"x".repeat(100));
    assert_eq!(append("one"), 2, "by bytes");
    assert_eq!(append("two"), 1);
    host.advance(Duration::from_secs(61));
    assert_eq!(append("three"), 2, "by age");
    assert_eq!(append("four"), 1);
    object.evict();
    // The first event after a wake looks at the tables as well.
    assert_eq!(append("five"), 3);
    assert_eq!(append("six"), 1);
}

#[test]
fn a_broadcast_is_one_statement_for_those_who_resume_and_none_where_nobody_does() {
    const LIMITS: ResumeLimits = ResumeLimits::new().max_age(Duration::from_secs(60));
    const RESUME: Resume = Resume::new(LIMITS);
    agent!(Caster: (), (), ();
        async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
            RESUME.greet(cx, connection, request)
        }

        async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
            match cx.sub_path(&request) {
                "clear" => RESUME.log(cx).clear()?,
                text => RESUME.broadcast(cx, text)?,
            }
            Ok(Response::text("sent"))
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Caster>("a");
    let cast = |text: &str| statements(&object, || assert_eq!(object.get(text).status, 200));
    let times = |count: usize| (0..count).map(|_| cast("x")).collect::<Vec<u64>>();
    // A wake looks at the tables, and asks once whether anybody resumes.
    cast("first");
    assert_eq!(times(3), [0; 3], "nobody");
    let mut client = object.connect("?resume=");
    cast("makes the table");
    assert_eq!(times(3), [1; 3], "somebody");
    host.advance(Duration::from_secs(59));
    assert_eq!(times(3), [1; 3], "somebody still");
    cast("clear");
    cast("a new epoch");
    assert_eq!(times(3), [1; 3], "cleared");
    drop(client.texts());
    client.close(1000, "");
    host.advance(Duration::from_secs(61));
    cast("finds nobody");
    assert_eq!(times(2), [1; 2], "nobody, but maybe a moment ago");
    host.advance(Duration::from_secs(61));
    cast("nobody within the age of frames");
    assert_eq!(times(2), [0; 2], "nobody again");
    assert_eq!(object.sql("SELECT COUNT(*) FROM cf_resume_log", ()).one::<u64>().expect("a count"), 0);
}

#[test]
fn an_attachment_is_written_once_until_a_hook_ends_or_waits() {
    const LIMITS: Limits = Limits::new().messages(Rate::new(3, 1, Duration::from_secs(3_600)));
    agent!(Counting: (), u32, ();
        fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
            connection.note_life()?;
            connection.update_state(|count| count.unwrap_or_default() + 1)?;
            Ok(connection.enforce(&LIMITS, message)?)
        }

        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            match message.as_text() {
                Some("wait") => {
                    connection.set_state(10)?;
                    connection.set_state(20)?;
                    cx.sleep(Duration::from_secs(1)).await;
                    connection.update_state(|count| count.unwrap_or_default() + 1)?;
                    connection.set_readonly(true)?;
                }
                _ => connection.send(connection.state()?.map(|count| count.to_string()).unwrap_or_default())?,
            }
            Ok(())
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Counting>("a");
    let mut client = object.connect("");
    client.texts();
    let mut writes = |text: &str, expected: &[&str]| {
        let before = object.attachment_writes();
        client.send(text);
        host.advance(Duration::from_secs(1));
        assert_eq!(client.texts(), expected, "{text}");
        let written = object.attachment_writes() - before;
        object.evict();
        written
    };
    assert_eq!(writes("x", &["1"]), 1);
    assert_eq!(writes("wait", &[]), 3);
    assert_eq!(writes("x", &["22"]), 1, "all of it survived");
    assert_eq!(writes("x", &[r#"{"error":"Too many messages"}"#]), 1);
}
