//! Tables that the JavaScript SDK has written are picked up as they are.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::clerk::{SECOND, ask, clerk};
use common::notes;
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{AgentOptions, Context, RetryOptions, ScheduleFilter, ScheduleKind, When};
use serde_json::json;

clerk!(Clerk, AgentOptions::new());

/// The tables as the SDK makes them now.
const NOW: [&str; 3] = [
    "CREATE TABLE cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)",
    "CREATE TABLE cf_agents_schedules (id TEXT PRIMARY KEY NOT NULL DEFAULT (randomblob(9)), callback TEXT, payload TEXT, \
     type TEXT NOT NULL CHECK(type IN ('scheduled', 'delayed', 'cron', 'interval')), time INTEGER, delayInSeconds INTEGER, \
     cron TEXT, intervalSeconds INTEGER, running INTEGER DEFAULT 0, created_at INTEGER DEFAULT (unixepoch()), \
     execution_started_at INTEGER, retry_options TEXT, owner_path TEXT, owner_path_key TEXT)",
    "CREATE TABLE cf_agents_queues (id TEXT PRIMARY KEY NOT NULL, payload TEXT, callback TEXT, \
     created_at INTEGER DEFAULT (unixepoch()), retry_options TEXT)",
];

/// The same as its first versions made them.
const ONCE: [&str; 3] = [
    "CREATE TABLE cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)",
    "CREATE TABLE cf_agents_schedules (id TEXT PRIMARY KEY NOT NULL DEFAULT (randomblob(9)), callback TEXT, payload TEXT, \
     type TEXT NOT NULL CHECK(type IN ('scheduled', 'delayed', 'cron')), time INTEGER, delayInSeconds INTEGER, cron TEXT, \
     created_at INTEGER DEFAULT (unixepoch()))",
    "CREATE TABLE cf_agents_queues (id TEXT PRIMARY KEY NOT NULL, payload TEXT, callback TEXT, \
     created_at INTEGER DEFAULT (unixepoch()))",
];

fn run(object: &Object, sql: &str) {
    object.sql(sql, ()).execute().unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// An object that never was in memory, with what another program has left there.
fn inherited(tables: [&str; 3]) -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let now_s = host.now_ms() / 1_000;
    tables.iter().for_each(|sql| run(&object, sql));
    run(&object, r#"INSERT INTO cf_agents_state VALUES ('cf_state_row_id', '{"from":"js"}')"#);
    let insert = "INSERT INTO cf_agents_schedules (id, callback, payload, type, time, delayInSeconds, cron) VALUES";
    for row in [
        format!("('s', 'note', '\"scheduled\"', 'scheduled', {}, NULL, NULL)", now_s - 100),
        format!("('d', 'note', '\"delayed\"', 'delayed', {}, 5, NULL)", now_s + 5),
        format!("('c', 'note', '\"cron\"', 'cron', {}, NULL, '*/10 * * * * *')", now_s + 10),
        // Without a payload, and under a name that this agent does not have.
        format!("('n', 'script', NULL, 'scheduled', {}, NULL, NULL)", now_s + 6),
        format!("('g', 'gone', '{{\"keep\":[1]}}', 'scheduled', {}, NULL, NULL)", now_s + 7),
    ] {
        run(&object, &format!("{insert} {row}"));
    }
    for item in ["('q1', '\"first\"', 'note')", "('q2', '\"second\"', 'note')"] {
        run(&object, &format!("INSERT INTO cf_agents_queues (id, payload, callback) VALUES {item}"));
    }
    (host, object)
}

fn picked_up(tables: [&str; 3]) {
    let (host, object) = inherited(tables);
    let state = ask(&object, |cx: Context<Clerk>| async move { Ok((*cx.state()?).clone()) });
    assert_eq!(state, json!({"from": "js"}));
    host.run_until_idle();
    // Nobody had set an alarm: the queue goes on at the wake, the schedules by the alarm that the wake sets.
    assert_eq!(notes(), ["first", "second"]);
    host.advance(SECOND);
    assert_eq!(notes(), ["scheduled"]);
    host.advance(9 * SECOND);
    assert_eq!(notes(), ["delayed", "attempt 1", "error: this.gone is not a function", "cron"]);
    let dead = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) });
    assert_eq!((dead.len(), &dead[0].payload), (1, &json!({"keep": [1]})));

    // New work of every kind lives in the same tables.
    let retry = RetryOptions::new().max_attempts(2);
    ask(&object, move |cx: Context<Clerk>| async move {
        cx.schedule(When::every(3 * SECOND), Clerk::NOTE, &"interval".to_owned())?;
        Ok(cx.queue_with(Clerk::NOTE, &"third".to_owned(), retry)?)
    });
    host.advance(9 * SECOND);
    assert_eq!(notes(), ["third", "interval", "interval", "interval"]);
    let kinds = ask(&object, |cx: Context<Clerk>| async move {
        Ok(cx.schedules(&ScheduleFilter::new())?.into_iter().map(|schedule| schedule.kind).collect::<Vec<_>>())
    });
    let cron = ScheduleKind::Cron { cron: "*/10 * * * * *".to_owned() };
    assert_eq!(kinds, [cron, ScheduleKind::Interval { interval_seconds: 3.0 }]);
    let columns: u32 = object.sql("SELECT count(*) FROM pragma_table_info('cf_agents_schedules')", ()).one().expect("SQL");
    assert_eq!(columns, 16);
}

#[test]
fn tables_of_the_javascript_sdk_are_picked_up() {
    picked_up(NOW);
}

#[test]
fn older_ones_get_the_columns_and_kinds_that_they_lack() {
    picked_up(ONCE);
}

#[test]
fn the_columns_are_added_once_and_nothing_is_asked_again() {
    let (host, object) = inherited(ONCE);
    object.get("");
    host.advance(60 * SECOND);
    object.evict();
    let before = object.storage_calls();
    object.get("");
    // The tables, the earliest schedule, whether there is a queue, the alarm; then the queue itself and the alarm's time again.
    assert!(object.storage_calls() - before <= 7, "{}", object.storage_calls() - before);
}

#[test]
fn rows_of_sub_agents_are_left_alone() {
    let (host, object) = inherited(NOW);
    run(&object, "DELETE FROM cf_agents_schedules");
    let row = "INSERT INTO cf_agents_schedules (id, callback, payload, type, time, owner_path, owner_path_key) VALUES \
               ('o', 'note', '\"not mine\"', 'scheduled', 1, '[]', 'k')";
    run(&object, row);
    object.get("");
    host.run_until_idle();
    notes();
    host.advance(60 * SECOND);
    assert!(notes().is_empty());
    assert_eq!(object.alarm_ms(), None);
    let listed = ask(&object, |cx: Context<Clerk>| async move {
        Ok((cx.schedules(&ScheduleFilter::new())?.len(), cx.get_schedule("o")?, cx.cancel_schedule("o")?))
    });
    assert_eq!(listed, (0, None, false));
}

#[test]
fn retry_options_of_the_sdk_count_and_nonsense_does_not() {
    let (host, object) = inherited(NOW);
    run(&object, "DELETE FROM cf_agents_schedules");
    for (id, options, time) in [("a", r#"{"maxAttempts":2,"baseDelayMs":1,"maxDelayMs":1}"#, 1), ("b", "nonsense", 2)] {
        let insert = "INSERT INTO cf_agents_schedules (id, callback, payload, type, time, retry_options) VALUES (?, 'fail', ?, \
                      'scheduled', ?, ?)";
        object.sql(insert, (id, format!("\"{id}\""), time, options)).execute().expect("SQL");
    }
    object.get("");
    host.advance(60 * SECOND);
    let dead = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) });
    let attempts: Vec<_> = dead.iter().map(|letter| (letter.id.as_str(), letter.attempts)).collect();
    assert_eq!(attempts, [("a", 2), ("b", 3)]);
}
