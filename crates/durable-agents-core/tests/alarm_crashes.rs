//! A crash at any point loses no background work, and repeats none that had ended.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::agent;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::task::{Handler, Task};
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{Callback, Context, Result, When, bail};
use futures::future::LocalBoxFuture;

const SECOND: Duration = Duration::from_secs(1);

agent!(Ledger: (), (), ();
    fn callbacks() -> &'static [Handler<Self>] {
        &[Handler { name: "book", run: book }]
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        if request.path().ends_with("make") {
            cx.sql("CREATE TABLE IF NOT EXISTS booked (what TEXT, ended INTEGER)", ()).execute()?;
            for (what, delay) in [("one", 1), ("two", 1), ("fails", 2), ("three", 3)] {
                cx.schedule(delay * SECOND, BOOK, &what.to_owned())?;
            }
            cx.schedule(When::every(15 * SECOND), BOOK, &"interval".to_owned())?;
            for what in ["q1", "q2", "q-fails", "q3"] {
                cx.queue(BOOK, &what.to_owned())?;
            }
            cx.schedule(When::cron("*/20 * * * * *"), BOOK, &"cron".to_owned())?;
        }
        Ok(Response::text("made"))
    }
);

const BOOK: Callback<Ledger, String> = Callback::new("book");

/// Waits once in the middle, so that a run can be cut in two.
fn book(task: Task<Ledger>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let what: String = task.payload()?;
        task.cx.sql("INSERT INTO booked VALUES (?, 0)", [&what]).execute()?;
        task.cx.sleep(Duration::from_millis(20)).await;
        task.cx.sql("INSERT INTO booked VALUES (?, 1)", [&what]).execute()?;
        if what.ends_with("fails") {
            bail!("as it was told");
        }
        Ok(())
    })
}

fn booked(object: &Object, what: &str, ended: bool) -> u32 {
    let sql = "SELECT count(*) FROM booked WHERE what = ? AND ended = ?";
    object.sql(sql, (what, ended)).one().expect("SQL")
}

/// Lets a minute pass with a crash at that point; `false` if it was never reached.
fn crashes_at(point: CrashPoint) -> bool {
    let host = MemoryHost::new();
    let object = host.agent::<Ledger>("a");
    object.crash_at(point);
    let made = object.begin(Request::get("https://example.com/make")).try_wait();
    if made.is_err() {
        let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master WHERE name = 'booked'", ()).one().expect("SQL");
        if tables == 0 {
            // Nothing of the request has happened; its sender asks again.
            object.begin(Request::get("https://example.com/make")).try_wait().expect("it crashes once");
        }
    }
    host.advance(60 * SECOND);
    let crashed = object.crashes() == 1;

    for what in ["one", "two", "three", "q1", "q2", "q3"] {
        // Its last write and the end of its row are one: what has ended does not run again.
        assert_eq!(booked(&object, what, true), 1, "{point:?}: {what}");
        assert!((1..=1 + u32::from(crashed)).contains(&booked(&object, what, false)), "{point:?}: {what}");
    }
    for what in ["fails", "q-fails"] {
        assert!((3..=3 + 2 * u32::from(crashed)).contains(&booked(&object, what, true)), "{point:?}: {what}");
        let dead = "SELECT count(*) FROM cf_agents_dead_letters WHERE payload = ?";
        assert_eq!(object.sql(dead, [format!("{what:?}")]).one::<u32>().expect("SQL"), 1, "{point:?}: {what}");
    }
    for what in ["interval", "cron"] {
        // A run that is cut makes the next ones later: at worst by the time after which it counts as hung.
        assert!((1..=4).contains(&booked(&object, what, true)), "{point:?}: {what}");
    }
    let left: u32 = object.sql("SELECT count(*) FROM cf_agents_schedules", ()).one().expect("SQL");
    let queued: u32 = object.sql("SELECT count(*) FROM cf_agents_queues", ()).one().expect("SQL");
    assert_eq!((left, queued), (2, 0), "{point:?}");
    assert!(object.alarm_ms().is_some_and(|at_ms| at_ms <= host.now_ms() + 20_000), "{point:?}");
    crashed
}

fn for_every(point: impl Fn(u64) -> CrashPoint) -> u64 {
    (1..).take_while(|&n| crashes_at(point(n))).last().unwrap_or_default()
}

#[test]
fn c150_c163_a_crash_at_any_storage_call_loses_no_run() {
    let before = for_every(CrashPoint::StorageCall);
    let after = for_every(CrashPoint::AfterStorageCall);
    assert!(before >= 100 && before == after, "{before} {after}");
}

#[test]
fn c150_c163_a_crash_at_any_await_point_loses_no_run() {
    let before = for_every(CrashPoint::AwaitPoint);
    let after = for_every(CrashPoint::AfterAwaitPoint);
    assert!(before >= 50 && before == after, "{before} {after}");
}
