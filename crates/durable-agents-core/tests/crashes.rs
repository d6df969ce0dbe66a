//! A crash at any point leaves each state whole, old or new, and shows nobody what was not stored.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, state};
use durable_agents_core::http::{Request, Response, StatusCode};
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{Connection, Context, Message, Result, Source};
use serde_json::{Value, json};

agent!(Ledger: Value, u32, ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!(0))
    }

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        cx.sql("CREATE TABLE IF NOT EXISTS entries (amount INTEGER)", ()).execute()?;
        cx.sleep(Duration::ZERO).await;
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let amount: u64 = message.as_text().unwrap_or_default().parse()?;
        // These two belong together, so nothing is awaited between them.
        cx.sql("INSERT INTO entries VALUES (?)", (amount,)).execute()?;
        cx.update_state(|total| *total = (total.as_u64().unwrap_or_default() + amount).into())?;
        cx.sleep(Duration::ZERO).await;
        connection.update_state(|count| count.unwrap_or_default() + 1)?;
        connection.send(format!("booked {amount}"))?;
        Ok(())
    }

    async fn on_state_changed(&self, cx: &Context<Self>, _: &Value, _: &Source<Self>) -> Result<()> {
        cx.sleep(Duration::ZERO).await;
        cx.sql("SELECT 1", ()).execute()?;
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        Ok(Response::json(&*cx.state()?)?)
    }
);

fn sum(object: &Object) -> u64 {
    let has_table: u32 = object.sql("SELECT count(*) FROM sqlite_master WHERE name = 'entries'", ()).one().expect("SQL");
    if has_table == 0 {
        return 0;
    }
    object.sql("SELECT coalesce(sum(amount), 0) FROM entries", ()).one().expect("SQL")
}

fn total(object: &Object) -> u64 {
    let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master WHERE name = 'cf_agents_state'", ()).one().expect("SQL");
    if tables == 0 {
        return 0;
    }
    let stored: Option<String> = object.sql("SELECT state FROM cf_agents_state", ()).optional().expect("SQL");
    stored.map_or(0, |json| json.parse().expect("a number"))
}

/// Books 1, 2, 4 and 8 with a crash at that point; `false` if it was never reached.
fn crashes_at(point: CrashPoint) -> bool {
    let host = MemoryHost::new();
    let object = host.agent::<Ledger>("a");
    object.crash_at(point);
    let mut watcher = object.connect("");
    let mut client = object.connect("");
    for amount in [1, 2, 4, 8] {
        client.send(amount.to_string());
        host.run_until_idle();
    }
    let crashed = object.crashes() == 1;

    let stored = total(&object);
    assert_eq!(stored, sum(&object), "{point:?}: half of a booking is on disk");
    assert!([0, 1, 3, 7, 15].contains(&stored), "{point:?}: {stored}");
    // Nobody has seen what is not on disk.
    for frame in watcher.greeting().into_iter().chain(watcher.texts()) {
        let frame: Value = serde_json::from_str(&frame).expect("JSON");
        assert!(frame.get("state").and_then(Value::as_u64).unwrap_or_default() <= stored, "{point:?}: {frame} of {stored}");
    }
    for reply in client.texts() {
        let amount: u64 = reply.strip_prefix("booked ").and_then(|amount| amount.parse().ok()).unwrap_or_default();
        assert!(stored & amount == amount, "{point:?}: {reply} of {stored}");
    }
    if crashed {
        // Sockets that were there are lost; the agent goes on with what is stored.
        assert!(watcher.closed().is_none_or(|close| close.code == 1006));
        let mut again = object.connect("");
        assert_eq!(again.greeting()[1], state(&stored.to_string()), "{point:?}");
        again.send("16");
        assert_eq!(again.texts().last().map(String::as_str), Some("booked 16"), "{point:?}");
        assert_eq!(total(&object), stored + 16);
    } else {
        assert_eq!(stored, 15);
    }
    crashed
}

fn for_every(point: impl Fn(u64) -> CrashPoint) -> u64 {
    (1..).take_while(|&n| crashes_at(point(n))).last().unwrap_or_default()
}

#[test]
fn c103_a_crash_at_any_storage_call_leaves_the_old_state_or_the_new() {
    let before = for_every(CrashPoint::StorageCall);
    let after = for_every(CrashPoint::AfterStorageCall);
    assert!(before >= 15 && before == after, "{before} {after}");
}

#[test]
fn c103_a_crash_at_any_await_point_leaves_the_old_state_or_the_new() {
    let before = for_every(CrashPoint::AwaitPoint);
    let after = for_every(CrashPoint::AfterAwaitPoint);
    assert!(before >= 15 && before == after, "{before} {after}");
}

#[test]
fn a_crash_fails_the_requests_under_way_and_not_the_next() {
    let host = MemoryHost::new();
    let object = host.agent::<Ledger>("a");
    object.crash_at(CrashPoint::AwaitPoint(1));
    let failed = object.begin(Request::get("/")).try_wait();
    assert_eq!(failed.expect_err("crashed").to_string(), "the object has been reset");
    let answer = object.get("");
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "0"));
    assert_eq!(object.wakes(), 2);
}

#[test]
fn a_crash_during_the_handshake_is_a_lost_connection() {
    let host = MemoryHost::new();
    let object = host.agent::<Ledger>("a");
    for point in 1..=3 {
        object.crash_at(CrashPoint::AfterAwaitPoint(point));
        let mut client = object.connect("");
        let crashed = object.crashes() == point;
        assert_eq!(client.closed().map(|close| close.code), crashed.then_some(1006), "{point}");
        client.expect_no_frame();
        object.crash_at(CrashPoint::AwaitPoint(u64::MAX));
        if !crashed {
            break;
        }
    }
    assert!(object.connect("").is_open());
}
