//! Schedules: when they run, how often, and what one can ask about them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::clerk::{SECOND, ask, at_start, clerk, logged, office, refused, script, text};
use common::{note, notes};
use durable_agents_core::schedule::MAX_INTERVAL_SECONDS;
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{
    AgentOptions, Callback, Context, RetryOptions, ScheduleFilter, ScheduleOptions, TaskError, When, error,
};
use serde_json::{Value, json};

clerk!(Clerk, AgentOptions::new());

fn rows(object: &Object) -> u32 {
    object.sql("SELECT count(*) FROM cf_agents_schedules", ()).one().expect("SQL")
}

/// Schedules a note and returns its record.
fn schedule(object: &Object, when: When, payload: &'static str, options: ScheduleOptions) -> Value {
    ask(object, move |cx: Context<Clerk>| async move {
        Ok(serde_json::to_value(cx.schedule_with(when, Clerk::NOTE, &text(payload), options)?)?)
    })
}

fn id(record: &Value) -> String {
    text(record["id"].as_str().expect("an id"))
}

#[test]
fn c148_a_delayed_callback_runs_once_with_its_payload_and_is_gone() {
    let (host, object) = office::<Clerk>();
    schedule(&object, When::after(SECOND), "hello", ScheduleOptions::new());
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 1_000));
    host.advance(Duration::from_millis(999));
    assert!(notes().is_empty());
    host.advance(SECOND);
    assert_eq!(notes(), ["hello"]);
    assert_eq!((rows(&object), object.alarm_ms()), (0, None));
    host.advance(Duration::from_secs(3_600));
    assert!(notes().is_empty());
}

#[test]
fn c149_a_time_that_has_passed_is_at_the_next_alarm() {
    let (host, object) = office::<Clerk>();
    let past = host.now_ms() - 3_600_000;
    for (when, payload) in
        [(When::at_ms(past), "past"), (When::after_seconds(-5.0), "negative"), (When::after_seconds(0.0), "zero")]
    {
        schedule(&object, when, payload, ScheduleOptions::new());
    }
    host.run_until_idle();
    assert!(notes().is_empty());
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 1));
    host.advance(Duration::from_millis(1));
    assert_eq!(notes(), ["past", "negative", "zero"]);
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn c150_schedules_survive_a_restart_and_overdue_ones_run_once_in_due_order() {
    let (host, object) = office::<Clerk>();
    for (delay, payload) in [(30, "third"), (10, "first"), (20, "second")] {
        schedule(&object, When::after(delay * SECOND), payload, ScheduleOptions::new());
    }
    object.crash();
    assert!(!object.is_running());
    // The platform has lost the alarm, too; whatever wakes the object sets it again.
    object.set_alarm_ms(None);
    host.advance(Duration::from_secs(86_400));
    assert!(notes().is_empty());
    object.get("");
    host.advance(SECOND);
    assert_eq!(notes(), ["first", "second", "third"]);
    assert_eq!(rows(&object), 0);
}

#[test]
fn c151_a_cron_schedule_is_made_once_unless_told_otherwise() {
    let (_, object) = office::<Clerk>();
    let minutely = || When::cron("* * * * *");
    let first = schedule(&object, minutely(), "p", ScheduleOptions::new());
    assert_eq!(schedule(&object, minutely(), "p", ScheduleOptions::new()), first);
    assert_eq!(rows(&object), 1);
    for (when, payload, options) in [
        (minutely(), "p", ScheduleOptions::new().idempotent(false)),
        (minutely(), "q", ScheduleOptions::new()),
        (When::cron("* * * * 1"), "p", ScheduleOptions::new()),
    ] {
        assert_ne!(schedule(&object, when, payload, options), first);
    }
    assert_eq!(rows(&object), 4);
}

#[test]
fn c151_a_cron_schedule_runs_at_each_match_and_makes_up_for_none() {
    let (host, object) = office::<Clerk>();
    schedule(&object, When::cron("*/30 * * * * *"), "tick", ScheduleOptions::new());
    // The world begins at 22:13:20.
    host.advance(Duration::from_secs(10));
    assert_eq!(notes(), ["tick"]);
    host.advance(Duration::from_secs(60));
    assert_eq!(notes(), ["tick", "tick"]);
    object.set_alarm_ms(None);
    object.evict();
    host.advance(Duration::from_secs(600));
    object.get("");
    host.advance(Duration::from_millis(1));
    assert_eq!(notes(), ["tick"]);
    assert_eq!(rows(&object), 1);
}

#[test]
fn c152_a_one_shot_is_made_again_unless_told_otherwise_and_the_first_time_stays() {
    let (_, object) = office::<Clerk>();
    let idempotent = ScheduleOptions::new().idempotent(true);
    let first = schedule(&object, When::after(10 * SECOND), "p", ScheduleOptions::new());
    assert_ne!(schedule(&object, When::after(10 * SECOND), "p", ScheduleOptions::new()), first);
    assert_eq!(schedule(&object, When::after(99 * SECOND), "p", idempotent), first);
    assert_ne!(schedule(&object, When::after(99 * SECOND), "q", idempotent), first);
    let at = schedule(&object, When::at_ms(1_800_000_000_999), "p", idempotent);
    assert_eq!((&at["type"], &at["time"]), (&json!("scheduled"), &json!(1_800_000_000)));
    assert_eq!(schedule(&object, When::at_ms(1_900_000_000_000), "p", idempotent), at);
    assert_eq!(rows(&object), 4);
}

#[test]
fn c153_an_interval_runs_first_after_one_interval_and_again_whatever_comes_of_it() {
    let (host, object) = office::<Clerk>();
    let first = schedule(&object, When::every(SECOND), "tick", ScheduleOptions::new());
    assert_eq!(schedule(&object, When::every(SECOND), "tick", ScheduleOptions::new()), first);
    host.run_until_idle();
    assert!(notes().is_empty());
    host.advance(3 * SECOND);
    assert_eq!(notes(), ["tick", "tick", "tick"]);

    ask(&object, |cx: Context<Clerk>| async move {
        cx.cancel_schedule(&cx.schedules(&ScheduleFilter::new())?[0].id)?;
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        Ok(cx.schedule_with(When::every(SECOND), Clerk::FAIL, &text("no"), once)?)
    });
    host.advance(2 * SECOND);
    assert_eq!(notes(), ["error: no", "error: no"]);
    assert_eq!(rows(&object), 1);
    assert!(ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) }).is_empty());
}

#[test]
fn c153_a_duplicate_sets_an_alarm_that_was_lost() {
    let (host, object) = office::<Clerk>();
    schedule(&object, When::every(60 * SECOND), "tick", ScheduleOptions::new());
    object.set_alarm_ms(None);
    let alarm_ms = ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(When::every(60 * SECOND), Clerk::NOTE, &text("tick"))?;
        Ok(cx.alarm_ms().await?)
    });
    assert_eq!(alarm_ms, Some(host.now_ms() + 60_000));
}

#[test]
fn c154_intervals_and_delays_out_of_range_are_refused() {
    let (_, object) = office::<Clerk>();
    let positive = "intervalSeconds must be a positive number";
    let too_long = "intervalSeconds cannot exceed 2592000 seconds (30 days)";
    let finite = "the delay must be a finite number of seconds";
    for (when, text) in [
        (When::every_seconds(0.0), positive),
        (When::every_seconds(-1.0), positive),
        (When::every_seconds(f64::NAN), positive),
        (When::every_seconds(f64::NEG_INFINITY), positive),
        (When::every_seconds(2_592_001.0), too_long),
        (When::every_seconds(f64::INFINITY), too_long),
        (When::after_seconds(f64::NAN), finite),
        (When::after_seconds(f64::INFINITY), finite),
        (When::after_seconds(f64::NEG_INFINITY), finite),
    ] {
        let refusal =
            refused(&object, move |cx: Context<Clerk>| async move { Ok(cx.schedule(when, Clerk::NOTE, &String::new())?) });
        assert_eq!(refusal, text);
    }
    assert_eq!(MAX_INTERVAL_SECONDS, 2_592_000);
    let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!(tables, 0, "a refused schedule leaves nothing");
}

#[test]
fn c155_an_unknown_callback_is_refused() {
    let (_, object) = office::<Clerk>();
    let refusal =
        refused(
            &object,
            |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Callback::<Clerk, ()>::named("nope"), &())?) },
        );
    assert_eq!(refusal, "this.nope is not a function");
    let refusal =
        refused(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Callback::<Clerk, ()>::named("nope"), &())?) });
    assert_eq!(refusal, "this.nope is not a function");
}

#[test]
fn c161_a_bad_cron_text_is_refused_at_once() {
    let (_, object) = office::<Clerk>();
    for (cron, text) in [
        ("60 * * * *", "Invalid cron expression: minute has 60, which is not in 0-59"),
        ("* *", "Invalid cron expression: expected 5 or 6 elements."),
        ("0 0 30 2 *", "No valid next date was found."),
    ] {
        let refusal = refused(&object, move |cx: Context<Clerk>| async move {
            Ok(cx.schedule(When::cron(cron), Clerk::NOTE, &String::new())?)
        });
        assert_eq!(refusal, text);
    }
}

#[test]
fn a_payload_beyond_the_row_limit_is_refused_and_the_largest_is_not() {
    let (host, object) = office::<Clerk>();
    let outcome = ask(&object, |cx: Context<Clerk>| async move {
        let payload = |bytes: usize| "x".repeat(bytes - 2);
        let limit_bytes = durable_agents_core::MAX_PAYLOAD_BYTES;
        cx.schedule(SECOND, Clerk::FAIL, &payload(limit_bytes))?;
        Ok((cx.schedule(SECOND, Clerk::NOTE, &payload(limit_bytes + 1)), cx.queue(Clerk::NOTE, &payload(limit_bytes + 1))))
    });
    let limit_bytes = durable_agents_core::MAX_PAYLOAD_BYTES;
    let too_large = TaskError::PayloadTooLarge { size_bytes: limit_bytes + 1, limit_bytes };
    assert_eq!(outcome, (Err(too_large.clone()), Err(too_large)));
    // It fits among the dead letters as well, beside the longest error.
    host.advance(10 * SECOND);
    let dead = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) });
    assert_eq!((dead.len(), dead[0].error.len()), (1, 4_096));
}

#[test]
fn c156_a_cancelled_schedule_does_not_run() {
    let (host, object) = office::<Clerk>();
    let record = schedule(&object, When::after(SECOND), "p", ScheduleOptions::new());
    schedule(&object, When::after(5 * SECOND), "q", ScheduleOptions::new());
    let cancelled = ask(&object, move |cx: Context<Clerk>| async move {
        let id = id(&record);
        Ok((cx.cancel_schedule(&id)?, cx.cancel_schedule(&id)?, cx.get_schedule(&id)?))
    });
    assert_eq!(cancelled, (true, false, None));
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 5_000));
    host.advance(2 * SECOND);
    assert!(notes().is_empty());
}

#[test]
fn c156_a_schedule_cancelled_while_the_same_alarm_runs_another_does_not_run() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(SECOND, Clerk::SCRIPT, &())?;
        cx.schedule(SECOND, Clerk::NOTE, &text("cancelled"))?;
        Ok(())
    });
    script(&[|| Err(error!("once more"))]);
    host.advance(SECOND);
    // The first waits for its second attempt, and the second one is taken away.
    let removed = ask(&object, |cx: Context<Clerk>| async move {
        let notes = cx.schedules(&ScheduleFilter::new().callback("note"))?;
        Ok(notes.iter().map(|schedule| cx.cancel_schedule(&schedule.id)).collect::<Result<Vec<_>, _>>()?)
    });
    assert_eq!(removed, [true]);
    host.advance(SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 2"]);
}

#[test]
fn c157_schedules_are_found_by_id_kind_and_time() {
    let (host, object) = office::<Clerk>();
    let now_s = host.now_ms() / 1_000;
    let delayed = schedule(&object, When::after(10 * SECOND), "d", ScheduleOptions::new());
    schedule(&object, When::at_ms((now_s + 20) * 1_000), "s", ScheduleOptions::new());
    schedule(&object, When::cron("0 0 * * *"), "c", ScheduleOptions::new());
    schedule(&object, When::every(30 * SECOND), "i", ScheduleOptions::new());
    let found = |filter: ScheduleFilter| {
        ask(&object, move |cx: Context<Clerk>| async move {
            Ok(cx.schedules(&filter)?.into_iter().map(|schedule| schedule.payload).collect::<Vec<_>>())
        })
    };
    let all = ScheduleFilter::new;
    assert_eq!(found(all()), ["d", "s", "i", "c"]);
    assert_eq!(found(all().id(id(&delayed))), ["d"]);
    for (kind, payload) in [("delayed", "d"), ("scheduled", "s"), ("cron", "c"), ("interval", "i")] {
        assert_eq!(found(all().kind(kind)), [payload]);
    }
    assert_eq!(found(all().between(now_s + 10, now_s + 20)), ["d", "s"]);
    assert_eq!(found(all().from_time(now_s + 21).to_time(now_s + 30)), ["i"]);
    assert_eq!(found(all().kind("cron").between(0, now_s)), Vec::<Value>::new());
    let same = ask(&object, move |cx: Context<Clerk>| async move {
        let found = cx.get_schedule(&id(&delayed))?;
        Ok(serde_json::to_value(found)? == delayed)
    });
    assert!(same);
}

#[test]
fn c158_a_record_has_the_fields_of_its_kind_and_no_others() {
    let (host, object) = office::<Clerk>();
    let now_s = host.now_ms() / 1_000;
    let retry = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(2));
    for (when, options, expected) in [
        (
            When::after(90 * SECOND),
            ScheduleOptions::new(),
            json!({"type": "delayed", "time": now_s + 90, "delayInSeconds": 90}),
        ),
        (
            When::after_seconds(1.5),
            ScheduleOptions::new(),
            json!({"type": "delayed", "time": now_s + 1, "delayInSeconds": 1.5}),
        ),
        (
            When::at_ms(now_s * 1_000 + 5_999),
            retry,
            json!({"type": "scheduled", "time": now_s + 5, "retry": {"maxAttempts": 2}}),
        ),
        (When::cron("@hourly"), ScheduleOptions::new(), json!({"type": "cron", "time": 1_700_002_800, "cron": "@hourly"})),
        (When::every(SECOND), ScheduleOptions::new(), json!({"type": "interval", "time": now_s + 1, "intervalSeconds": 1})),
    ] {
        let mut record = schedule(&object, when, "p", options);
        let fields = record.as_object_mut().expect("an object");
        assert_eq!(fields.remove("id").and_then(|id| id.as_str().map(str::len)), Some(9));
        assert_eq!((fields.remove("callback"), fields.remove("payload")), (Some(json!("note")), Some(json!("p"))));
        assert_eq!(record, expected);
    }
}

#[test]
fn c160_an_interval_that_still_runs_is_skipped_and_after_the_timeout_counts_as_hung() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(When::every(5 * SECOND), Clerk::NOTE, &text("tick"))?) });
    // A run that an earlier incarnation did not finish.
    let now_s = host.now_ms() / 1_000;
    object.evict();
    let mark = "UPDATE cf_agents_schedules SET running = 1, execution_started_at = ?, time = ?";
    object.sql(mark, (now_s - 10, now_s - 5)).execute().expect("SQL");
    object.set_alarm_ms(Some(host.now_ms()));
    host.run_until_idle();
    assert!(notes().is_empty(), "it was started 10 s ago");
    assert_eq!(object.alarm_ms(), Some((now_s + 20) * 1_000), "when it counts as hung");
    host.take_log();
    host.advance(20 * SECOND);
    assert_eq!(notes(), ["tick"]);
    assert_eq!(logged(&host, "counts as hung"), 1);
    host.advance(5 * SECOND);
    assert_eq!(notes(), ["tick"]);
}

clerk!(Patient, AgentOptions::new().hung_schedule_timeout(Duration::from_secs(100)));

#[test]
fn c160_the_timeout_is_an_option() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Patient>("a");
    ask(&object, |cx: Context<Patient>| async move { Ok(cx.schedule(When::every(SECOND), Patient::NOTE, &text("tick"))?) });
    let now_s = host.now_ms() / 1_000;
    object.evict();
    object.sql("UPDATE cf_agents_schedules SET running = 1, execution_started_at = ?", [now_s]).execute().expect("SQL");
    host.advance(99 * SECOND);
    assert!(notes().is_empty());
    host.advance(SECOND);
    assert_eq!(notes(), ["tick"]);
}

#[test]
fn an_interval_that_began_in_the_future_counts_as_hung_at_once() {
    for future_s in [10, 86_400, u64::from(u32::MAX), 9_007_197_000_000_000] {
        let (host, object) = office::<Clerk>();
        schedule(&object, When::every(5 * SECOND), "tick", ScheduleOptions::new());
        // Another clock was ahead, or another program wrote it.
        let now_s = host.now_ms() / 1_000;
        object.evict();
        let mark = "UPDATE cf_agents_schedules SET running = 1, execution_started_at = ?";
        object.sql(mark, [now_s + future_s]).execute().expect("SQL");
        // By the alarm that is set already, and by the one that is set at a wake.
        if future_s > 10 {
            object.set_alarm_ms(None);
            object.get("");
        }
        host.take_log();
        host.advance(5 * SECOND);
        assert_eq!((notes().len(), logged(&host, "counts as hung")), (1, 1), "{future_s}");
        host.advance(5 * SECOND);
        assert_eq!(notes(), ["tick"]);
    }
}

#[test]
fn a_one_shot_made_by_the_start_without_saying_so_is_warned_of_once_per_callback_and_wake() {
    let (host, object) = office::<Clerk>();
    at_start(|cx: Context<Clerk>| async move {
        for delay in [100, 200] {
            cx.schedule(delay * SECOND, Clerk::NOTE, &text("again"))?;
        }
        cx.schedule_with(300 * SECOND, Clerk::FAIL, &text("p"), ScheduleOptions::new().idempotent(true))?;
        cx.schedule(When::every(60 * SECOND), Clerk::SCRIPT, &())?;
        Ok(())
    });
    object.get("");
    assert_eq!(logged(&host, "on_start schedules \"note\" to run once"), 1);
    object.evict();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::FAIL, &text("p"))?) });
    assert_eq!(logged(&host, "to run once"), 1, "of the start alone");
}

#[test]
fn ten_one_shots_of_one_callback_at_once_are_warned_of() {
    let (host, object) = office::<Clerk>();
    for _ in 0..9 {
        schedule(&object, When::after(SECOND), "p", ScheduleOptions::new());
    }
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::SCRIPT, &())?) });
    host.advance(SECOND);
    assert_eq!(logged(&host, "schedules that run once are due"), 0);
    for _ in 0..10 {
        schedule(&object, When::after(SECOND), "p", ScheduleOptions::new());
    }
    host.advance(SECOND);
    assert_eq!(logged(&host, "10 schedules that run once are due for \"note\""), 1);
}

#[test]
fn a_callback_has_no_connection_and_knows_its_run() {
    let (host, object) = office::<Clerk>();
    let mut client = object.connect("");
    ask(&object, |cx: Context<Clerk>| async move {
        let schedule = cx.schedule(SECOND, Clerk::SCRIPT, &())?;
        note(format!("{} {}", schedule.callback, schedule.payload));
        Ok(())
    });
    host.advance(SECOND);
    assert_eq!(notes(), ["script null", "attempt 1"]);
    client.expect_no_frame();
}

#[test]
fn an_agent_that_schedules_nothing_has_no_table_and_asks_for_them_once_per_wake() {
    let (_, object) = office::<Clerk>();
    object.get("");
    assert_eq!(object.storage_calls(), 1);
    for _ in 0..3 {
        object.get("");
    }
    assert_eq!(object.storage_calls(), 1);
    let asked = ask(&object, |cx: Context<Clerk>| async move {
        let schedules = cx.schedules(&ScheduleFilter::new())?;
        Ok((schedules.len(), cx.queue_len()?, cx.dead_letters()?.len(), cx.cancel_schedule("x")?, cx.dequeue("x")?))
    });
    assert_eq!(asked, (0, 0, 0, false, false));
    let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!((tables, object.alarm_ms()), (0, None));
}

#[test]
fn a_second_schedule_further_away_sets_no_alarm() {
    let (_, object) = office::<Clerk>();
    schedule(&object, When::after(SECOND), "p", ScheduleOptions::new());
    let before = object.storage_calls();
    schedule(&object, When::after(2 * SECOND), "q", ScheduleOptions::new());
    assert_eq!(object.storage_calls() - before, 1, "the row, and nothing else");
}

#[test]
fn a_time_that_no_date_can_hold_is_stored_as_the_last_one() {
    let (_, object) = office::<Clerk>();
    for when in [When::after(Duration::MAX), When::at_ms(u64::MAX)] {
        let record = schedule(&object, when, "never", ScheduleOptions::new());
        assert_eq!(record["time"], json!(8_640_000_000_000_u64));
    }
    assert_eq!(object.alarm_ms(), Some(8_640_000_000_000_000));
}

#[test]
fn an_alarm_that_code_took_away_is_set_by_the_next_schedule_once_it_is_forgotten() {
    let (host, object) = office::<Clerk>();
    schedule(&object, When::after(SECOND), "first", ScheduleOptions::new());
    ask(&object, |cx: Context<Clerk>| async move {
        cx.host().set_alarm(None)?;
        cx.reload_alarm();
        Ok(())
    });
    assert_eq!(object.alarm_ms(), None);
    schedule(&object, When::after(SECOND * 5), "second", ScheduleOptions::new());
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 1_000));
}

#[test]
fn an_interval_below_a_second_runs_once_a_second() {
    let (host, object) = office::<Clerk>();
    schedule(&object, When::every_seconds(0.001), "tick", ScheduleOptions::new());
    host.advance(10 * SECOND);
    assert_eq!(notes().len(), 10);
}

#[test]
fn a_one_shot_that_runs_is_not_the_same_request_as_one_made_meanwhile() {
    let (host, object) = office::<Clerk>();
    let ask_for_it = |object: &Object| {
        ask(object, |cx: Context<Clerk>| async move {
            Ok(cx.schedule_with(SECOND, Clerk::SLOW, &1_000, ScheduleOptions::new().idempotent(true))?.id)
        })
    };
    let first = ask_for_it(&object);
    assert_eq!(ask_for_it(&object), first);
    host.advance(Duration::from_millis(1_500));
    let second = ask_for_it(&object);
    assert_ne!(second, first);
    assert_eq!(ask_for_it(&object), second);
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["begins 1000", "ends 1000", "begins 1000", "ends 1000"]);
}

#[test]
fn schedules_run_on_after_one_has_stopped_waiting_for_them() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(When::at_ms(0), Clerk::SLOW, &5_000)?;
        cx.wait_until({
            let cx = cx.clone();
            async move {
                let work = std::pin::pin!(cx.run_due());
                futures::future::select(work, std::pin::pin!(cx.sleep(SECOND))).await;
            }
        });
        Ok(())
    });
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["begins 5000", "begins 5000", "ends 5000"]);
    assert_eq!((rows(&object), object.alarm_ms()), (0, None));
}
