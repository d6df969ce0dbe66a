//! Tables that the JavaScript SDK has written are picked up as they are.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::clerk::{SECOND, ask, clerk, logged, office, text};
use common::notes;
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{AgentOptions, Context, RetryOptions, ScheduleFilter, ScheduleKind, ScheduleOptions, When};
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
    goes_on(&host, &object);
}

/// Everything that [`inherited`] makes is there and runs, once.
fn goes_on(host: &MemoryHost, object: &Object) {
    let state = ask(object, |cx: Context<Clerk>| async move { Ok((*cx.state()?).clone()) });
    assert_eq!(state, json!({"from": "js"}));
    host.run_until_idle();
    // Nobody had set an alarm: the queue goes on at the wake, the schedules by the alarm that the wake sets.
    assert_eq!(notes(), ["first", "second"]);
    host.advance(SECOND);
    assert_eq!(notes(), ["scheduled"]);
    host.advance(9 * SECOND);
    assert_eq!(notes(), ["delayed", "attempt 1", "error: this.gone is not a function", "cron"]);
    let dead = ask(object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) });
    assert_eq!((dead.len(), &dead[0].payload), (1, &json!({"keep": [1]})));

    // New work of every kind lives in the same tables.
    let retry = RetryOptions::new().max_attempts(2);
    ask(object, move |cx: Context<Clerk>| async move {
        cx.schedule(When::every(3 * SECOND), Clerk::NOTE, &"interval".to_owned())?;
        Ok(cx.queue_with(Clerk::NOTE, &"third".to_owned(), retry)?)
    });
    host.advance(9 * SECOND);
    assert_eq!(notes(), ["third", "interval", "interval", "interval"]);
    let kinds = ask(object, |cx: Context<Clerk>| async move {
        Ok(cx.schedules(&ScheduleFilter::new())?.into_iter().map(|schedule| schedule.kind).collect::<Vec<_>>())
    });
    let cron = ScheduleKind::Cron { cron: "*/10 * * * * *".to_owned() };
    assert_eq!(kinds, [cron, ScheduleKind::Interval { interval_seconds: 3.0 }]);
    let columns: u32 = object.sql("SELECT count(*) FROM pragma_table_info('cf_agents_schedules')", ()).one().expect("SQL");
    assert_eq!(columns, 16);
    let leftovers: u32 =
        object.sql("SELECT count(*) FROM sqlite_master WHERE name LIKE 'cf_agents_schedules_%'", ()).one().expect("SQL");
    assert_eq!(leftovers, 0);
}

#[test]
fn tables_of_the_javascript_sdk_are_picked_up() {
    picked_up(NOW);
}

#[test]
fn older_ones_get_the_columns_and_kinds_that_they_lack() {
    picked_up(ONCE);
}

/// What the first schedules table goes through until it is one of now, by a part of each statement.
const STEPS: [&str; 5] = [
    "ADD COLUMN strikes",
    "RENAME TO cf_agents_schedules_old",
    "CREATE TABLE IF NOT EXISTS cf_agents_schedules",
    "INSERT INTO cf_agents_schedules",
    "DROP TABLE cf_agents_schedules_old",
];

#[test]
fn a_table_is_made_anew_whichever_statement_is_refused() {
    for refused in STEPS {
        for crashes in [false, true] {
            let (host, object) = inherited(ONCE);
            object.refuse_storage(Some(refused));
            for _ in 0..2 {
                // What is stored by then stays: the object goes on.
                assert_eq!(object.get("").status, 500, "{refused}");
                if crashes {
                    object.crash();
                }
            }
            object.refuse_storage(None);
            goes_on(&host, &object);
        }
    }
}

/// An object whose first schedules table was put aside, in so many of the steps of making it anew, and what else was done then.
fn put_aside(steps: usize, then: &[&str]) -> (MemoryHost, Object) {
    let (host, object) = inherited(ONCE);
    let columns = "id, callback, payload, type, time, delayInSeconds, cron";
    let copy = format!("INSERT INTO cf_agents_schedules ({columns}) SELECT {columns} FROM cf_agents_schedules_old");
    let all = ["ALTER TABLE cf_agents_schedules RENAME TO cf_agents_schedules_old", NOW[1], &copy];
    all.iter().take(steps).chain(then).for_each(|sql| run(&object, sql));
    (host, object)
}

#[test]
fn a_table_that_was_put_aside_is_taken_up() {
    for steps in 1..=3 {
        let (host, object) = put_aside(steps, &[]);
        goes_on(&host, &object);
    }
    // As the SDK leaves it if its last step fails, and if the one before does.
    let rename = "ALTER TABLE cf_agents_schedules RENAME TO cf_agents_schedules_new";
    let copy = "CREATE TABLE cf_agents_schedules_new AS SELECT *, NULL AS intervalSeconds FROM cf_agents_schedules";
    for left in [&[rename][..], &[rename, NOW[1]], &[copy]] {
        let (host, object) = inherited(ONCE);
        left.iter().for_each(|sql| run(&object, sql));
        goes_on(&host, &object);
    }
}

#[test]
fn what_was_scheduled_beside_a_table_that_was_put_aside_stays() {
    let again = "INSERT INTO cf_agents_schedules (id, callback, payload, type, time, cron) \
                 VALUES ('c2', 'note', '\"cron\"', 'cron', 4102444800, '*/10 * * * * *')";
    let other = "INSERT INTO cf_agents_schedules (id, callback, payload, type, time) \
                 VALUES ('x', 'note', '\"other\"', 'scheduled', 4102444800)";
    let ran = "DELETE FROM cf_agents_schedules WHERE id = 's'";
    for (steps, then, expected) in [
        // What recurs was scheduled once more by the start hook, and is not doubled.
        (2, vec![again, other], vec!["c2", "d", "g", "n", "s", "x"]),
        // What has run since does not come back.
        (3, vec![ran, other], vec!["c", "d", "g", "n", "x"]),
    ] {
        let (_, object) = put_aside(steps, &then);
        let mut ids = ask(&object, |cx: Context<Clerk>| async move {
            Ok(cx.schedules(&ScheduleFilter::new())?.into_iter().map(|schedule| schedule.id).collect::<Vec<_>>())
        });
        ids.sort();
        assert_eq!(ids, expected);
    }
}

#[test]
fn what_the_sdk_has_scheduled_without_a_payload_is_not_scheduled_again() {
    let (_, object) = inherited(NOW);
    run(&object, "DELETE FROM cf_agents_schedules");
    // As it writes them for callbacks that take nothing.
    for row in [
        "'c', NULL, 'cron', 4102444800, NULL, '@daily', NULL",
        "'i', NULL, 'interval', 4102444800, NULL, NULL, 3",
        "'d', NULL, 'delayed', 4102444800, 5, NULL, NULL",
        "'n', 'null', 'cron', 4102444800, NULL, '@hourly', NULL",
    ] {
        let columns = "id, payload, type, time, delayInSeconds, cron, intervalSeconds, callback";
        run(&object, &format!("INSERT INTO cf_agents_schedules ({columns}) VALUES ({row}, 'script')"));
    }
    let ids = ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().idempotent(true);
        let asked = [
            cx.schedule(When::cron("@daily"), Clerk::SCRIPT, &())?,
            cx.schedule(When::every(3 * SECOND), Clerk::SCRIPT, &())?,
            cx.schedule_with(When::after(7 * SECOND), Clerk::SCRIPT, &(), once)?,
            cx.schedule(When::cron("@hourly"), Clerk::SCRIPT, &())?,
        ];
        Ok(asked.map(|schedule| schedule.id))
    });
    assert_eq!(ids, ["c", "i", "d", "n"]);
}

#[test]
fn the_heartbeats_of_older_sdks_are_over() {
    let (host, object) = inherited(NOW);
    run(
        &object,
        "INSERT INTO cf_agents_schedules (id, callback, type, time, intervalSeconds) \
         VALUES ('h', '_cf_keepAliveHeartbeat', 'interval', 1, 30)",
    );
    // Not even if it can be done only at the second attempt.
    for refused in ["DELETE FROM cf_agents_schedules", "ADD COLUMN strikes"] {
        object.refuse_storage(Some(refused));
        assert_eq!(object.get("").status, 500);
    }
    object.refuse_storage(None);
    goes_on(&host, &object);
}

#[test]
fn jobs_where_only_newer_sdks_look_are_told_of_once_a_wake() {
    let (host, object) = inherited(NOW);
    let create = "CREATE TABLE cf_agents_jobs (id TEXT PRIMARY KEY NOT NULL, capability TEXT NOT NULL, fn TEXT NOT NULL, \
                  time INTEGER NOT NULL, payload TEXT) WITHOUT ROWID";
    run(&object, create);
    object.get("");
    assert_eq!(logged(&host, "cf_agents_jobs"), 0);
    run(
        &object,
        "INSERT INTO cf_agents_jobs VALUES ('j', 'scheduler', 'note', 1, '{\"payload\":\"p\",\"type\":\"scheduled\"}')",
    );
    object.evict();
    object.get("");
    object.get("");
    let told = "jobs of the JavaScript SDK are in cf_agents_jobs, which is not taken over: they do not run here";
    assert_eq!(logged(&host, told), 1);
    // They are still there for the SDK.
    let kept: u32 = object.sql("SELECT count(*) FROM cf_agents_jobs", ()).one().expect("SQL");
    assert_eq!(kept, 1);
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

#[test]
fn whatever_another_program_has_marked_as_running_waits_for_one_alarm() {
    for (kind, running) in [("interval", 1), ("interval", 2), ("cron", 1), ("scheduled", 1)] {
        let (host, object) = office::<Clerk>();
        let made =
            ask(
                &object,
                |cx: Context<Clerk>| async move { Ok(cx.schedule(When::cron("0 * * * *"), Clerk::NOTE, &text("due"))?) },
            );
        object.evict();
        let now_s = host.now_ms() / 1_000;
        let mark = "UPDATE cf_agents_schedules SET type = ?, intervalSeconds = 3600, time = ?, running = ?, execution_started_at = ? \
                    WHERE id = ?";
        object.sql(mark, (kind, now_s - 10, running, now_s, made.id)).execute().expect("SQL");
        object.get("");
        let before = host.events();
        host.advance(60 * SECOND);
        assert_eq!((notes(), host.events() - before), (vec![text("due")], 1), "{kind} {running}");
    }
}
