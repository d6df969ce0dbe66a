//! Jobs that the object does not survive: how often they are run, what they hold back, and what becomes of them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use common::clerk::{self, SECOND, ask, at_start, office, script, text};
use common::{note, notes};
use durable_agents_core::host::HostError;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::task::{Handler, Task};
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{Agent, Callback, Context, DeadLetter, Result, RetryOptions, ScheduleFilter, ScheduleOptions, When};
use futures::future::LocalBoxFuture;

#[derive(Default)]
struct Mortal;

impl Agent for Mortal {
    type State = ();
    type ConnectionState = ();
    type Props = ();
    const CLASS: &'static str = "Mortal";

    fn new(_: &Context<Self>) -> Self {
        Self
    }

    fn callbacks() -> &'static [Handler<Self>] {
        const {
            &[
                Handler { name: "die", run: die },
                Handler { name: "note", run: clerk::run_note },
                Handler { name: "slow", run: clerk::run_slow },
            ]
        }
    }

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        clerk::start(cx).await
    }

    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        clerk::serve(cx).await
    }
}

impl Mortal {
    const DIE: Callback<Self, ()> = Callback::new("die");
    const NOTE: Callback<Self, String> = Callback::new("note");
    const SLOW: Callback<Self, u64> = Callback::new("slow");
}

thread_local! {
    static OBJECT: RefCell<Option<Object>> = const { RefCell::new(None) };
    static DEATHS: Cell<u64> = const { Cell::new(u64::MAX) };
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Exceeds a limit: before it waits for anything, so that nothing of that turn reaches the disk, or after. Once it has done so often
/// enough it follows the script.
fn die(task: Task<Mortal>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        if DEATHS.get() == 0 {
            return clerk::run_script(task).await;
        }
        DEATHS.set(DEATHS.get() - 1);
        note("dies");
        if WAITS.get() {
            task.cx.sleep(Duration::from_millis(1)).await;
        }
        OBJECT.with_borrow(|object| object.as_ref().expect("an object").crash_at(CrashPoint::StorageCall(1)));
        let _ = task.cx.sql("SELECT 1", ()).execute();
        std::future::pending().await
    })
}

/// A world with one agent in it whose fatal jobs end its object that often.
fn mortal(deaths: u64) -> (MemoryHost, Object) {
    let (host, object) = office::<Mortal>();
    DEATHS.set(deaths);
    WAITS.set(false);
    OBJECT.set(Some(object.clone()));
    (host, object)
}

/// What was noted besides the deaths.
fn others() -> Vec<String> {
    notes().into_iter().filter(|note| note != "dies").collect()
}

fn dead(object: &Object) -> Vec<DeadLetter> {
    ask(object, |cx: Context<Mortal>| async move { Ok(cx.dead_letters()?) })
}

/// Has every change of a row that waits be noted.
fn watch_updates(object: &Object) {
    object.sql("CREATE TABLE updates (setbacks INTEGER)", ()).execute().expect("SQL");
    let tables = "SELECT name FROM sqlite_master WHERE name IN ('cf_agents_queues', 'cf_agents_schedules')";
    for table in object.sql(tables, ()).all::<String>().expect("SQL") {
        let trigger = format!(
            "CREATE TRIGGER watch_{table} AFTER UPDATE ON {table} BEGIN INSERT INTO updates VALUES (NEW.setbacks); END"
        );
        object.sql(&trigger, ()).execute().expect("SQL");
    }
}

/// The setbacks that rows were given since.
fn updates(object: &Object) -> Vec<u32> {
    object.sql("SELECT setbacks FROM updates ORDER BY rowid", ()).all::<u32>().expect("SQL")
}

const TAKEN_DOWN: &str = "the object ended in the middle of the run, the last of 20 setbacks in a row: \
                          it may take more memory or CPU time than the platform allows";

fn is_given_up_after_hours(waits: bool, make: fn(&Context<Mortal>) -> Result<()>, behind: &str) {
    let (host, object) = mortal(u64::MAX);
    WAITS.set(waits);
    ask(&object, move |cx: Context<Mortal>| async move {
        make(&cx)?;
        cx.schedule(2 * SECOND, Mortal::NOTE, &text("in 2 s"))?;
        cx.schedule(When::every(600 * SECOND), Mortal::NOTE, &text("interval"))?;
        Ok(())
    });
    host.advance(3_601 * SECOND);
    assert_eq!(object.crashes(), 13);
    let seen = others();
    assert_eq!(seen.iter().filter(|note| *note == "in 2 s").count(), 1);
    assert!(seen.iter().filter(|note| *note == "interval").count() >= 5, "{seen:?}");
    // Those who come by do not make it run before its time, so they stay.
    let mut client = object.connect("");
    host.advance(60 * SECOND);
    assert!(client.is_open());
    client.close(1000, "");
    host.advance(3 * 3_600 * SECOND);
    assert_eq!(object.crashes(), 21, "one that nobody expected, and 20 that were counted before");
    let letters = dead(&object);
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].callback.as_str(), letters[0].error.as_str(), letters[0].attempts), ("die", TAKEN_DOWN, 20));
    assert_eq!(others().iter().filter(|note| *note == behind).count(), usize::from(!behind.is_empty()));
    host.advance(86_400 * SECOND);
    assert_eq!(object.crashes(), 21);
    // Somebody has repaired it.
    DEATHS.set(0);
    let id = letters[0].id.clone();
    notes();
    assert!(ask(&object, move |cx: Context<Mortal>| async move { Ok(cx.retry_dead_letter(&id)?) }));
    host.advance(SECOND);
    assert_eq!(notes(), ["attempt 1"]);
    assert!(dead(&object).is_empty());
}

#[test]
fn an_item_that_ends_the_object_each_time_becomes_a_dead_letter_and_the_next_one_runs() {
    let make = |cx: &Context<Mortal>| {
        cx.queue(Mortal::DIE, &())?;
        cx.queue(Mortal::NOTE, &text("behind"))?;
        Ok(())
    };
    is_given_up_after_hours(false, make, "behind");
    is_given_up_after_hours(true, make, "behind");
}

#[test]
fn a_one_shot_that_ends_the_object_each_time_becomes_a_dead_letter_and_the_others_run() {
    let make = |cx: &Context<Mortal>| {
        cx.schedule(SECOND, Mortal::DIE, &())?;
        Ok(())
    };
    is_given_up_after_hours(false, make, "");
    is_given_up_after_hours(true, make, "");
}

#[test]
fn a_recurring_schedule_that_ends_the_object_costs_its_turn_and_holds_back_nobody() {
    for (when, waits, deaths) in [
        // The first, the alarm that is repeated for it, and one more: one end in a suspect run may be a deploy's.
        (When::cron("0 * * * *"), false, 3),
        (When::cron("0 * * * *"), true, 3),
        (When::every(1_800 * SECOND), false, 3),
        // It counts as hung for half a minute each time.
        (When::every(1_800 * SECOND), true, 3),
        // Rests of 2 s, then twice as long up to 15 min, each to the next tick.
        (When::cron("* * * * * *"), false, 13),
        (When::cron("* * * * * *"), true, 13),
        (When::every(SECOND), false, 13),
        (When::every(SECOND), true, 13),
    ] {
        let (host, object) = mortal(u64::MAX);
        WAITS.set(waits);
        let made = when.clone();
        ask(&object, move |cx: Context<Mortal>| async move {
            cx.schedule(made, Mortal::DIE, &())?;
            cx.schedule(When::every(60 * SECOND), Mortal::NOTE, &text("minute"))?;
            Ok(())
        });
        host.advance(3_600 * SECOND);
        assert_eq!(object.crashes(), deaths, "{when:?} {waits}");
        let minutes = others().len();
        assert!((55..=60).contains(&minutes), "{when:?}: {minutes}");
        assert!(dead(&object).is_empty(), "{when:?}: what recurs stays");
        // It is well again, and so is the next rest.
        DEATHS.set(0);
        host.advance(3_600 * SECOND);
        DEATHS.set(1);
        host.advance(3_600 * SECOND);
        let setbacks = "SELECT setbacks FROM cf_agents_schedules WHERE callback = 'die'";
        assert_eq!(object.sql(setbacks, ()).one::<u32>().expect("SQL"), 0, "{when:?}");
    }
}

#[test]
fn a_deploy_in_the_middle_of_an_item_has_it_run_again_at_once_and_a_second_one_has_it_rest() {
    let (host, object) = mortal(0);
    ask(&object, |cx: Context<Mortal>| async move {
        cx.queue(Mortal::SLOW, &60_000)?;
        Ok(cx.queue(Mortal::NOTE, &text("behind"))?)
    });
    watch_updates(&object);
    host.advance(5 * SECOND);
    for seen in [&["begins 60000", "begins 60000"][..], &[]] {
        object.crash();
        object.get("");
        host.run_until_idle();
        assert_eq!(notes(), seen);
    }
    object.sql("UPDATE cf_agents_queues SET setbacks = 5 WHERE callback = 'slow'", ()).execute().expect("SQL");
    // 10 s from the beginning of the run that was counted.
    host.advance(9 * SECOND);
    assert!(notes().is_empty());
    host.advance(SECOND);
    assert_eq!(notes(), ["begins 60000"]);
    // However long it would rest now, the alarm looks after it as ever, so that the platform does not drop the object.
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 10_000));
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["ends 60000", "behind"]);
    assert_eq!(updates(&object), [1, 5, 6], "one for each run that was suspect, and none for the item behind it");
    assert_eq!((object.alarm_ms(), dead(&object).len()), (None, 0));
}

#[test]
fn nothing_is_counted_of_jobs_that_run_when_they_are_due_or_pushed() {
    let (host, object) = mortal(0);
    ask(&object, |cx: Context<Mortal>| async move {
        for hour in 1..=3 {
            cx.schedule(hour * 3_600 * SECOND, Mortal::SLOW, &3_000)?;
            cx.schedule(hour * 3_600 * SECOND, Mortal::NOTE, &format!("schedule {hour}"))?;
        }
        Ok(cx.queue(Mortal::NOTE, &text("queued"))?)
    });
    watch_updates(&object);
    assert_eq!(notes(), ["queued"]);
    let begun_ms = host.now_ms();
    for hour in 1..=3 {
        object.evict();
        host.advance(Duration::from_millis(begun_ms + hour * 3_600_000 - 1_000 - host.now_ms()));
        ask(&object, |cx: Context<Mortal>| async move { Ok(cx.queue(Mortal::NOTE, &text("queued"))?) });
        host.run_until_idle();
        // Its memory is lost while it works on nothing.
        object.crash();
        host.advance(4 * SECOND);
        assert_eq!(notes(), ["queued", "begins 3000", "ends 3000", &format!("schedule {hour}")]);
    }
    assert_eq!(updates(&object), [0; 0]);
}

#[test]
fn a_start_that_takes_its_time_is_not_held_against_what_is_due() {
    let (host, object) = mortal(0);
    ask(&object, |cx: Context<Mortal>| async move { Ok(cx.schedule(60 * SECOND, Mortal::NOTE, &text("due"))?) });
    watch_updates(&object);
    object.evict();
    at_start(|cx: Context<Mortal>| async move {
        cx.sleep(10 * SECOND).await;
        Ok(())
    });
    host.advance(69 * SECOND);
    assert!(notes().is_empty());
    host.advance(SECOND);
    assert_eq!(notes(), ["due"]);
    assert_eq!(updates(&object), [0; 0]);
}

#[test]
fn a_failure_of_the_platform_in_a_run_that_was_counted_is_not_counted_twice() {
    fn lost() -> Result<()> {
        Err(HostError::new("Network connection lost.").into())
    }
    fn out_of_memory() -> Result<()> {
        Err(HostError::new("Durable Object's isolate exceeded its memory limit and was reset.").into())
    }
    for (step, setbacks) in [(lost as fn() -> Result<()>, [1, 1, 2]), (out_of_memory, [1, 0, 1])] {
        for queued in [true, false] {
            let (host, object) = mortal(1);
            script(&[step, || Ok(())]);
            ask(&object, move |cx: Context<Mortal>| async move {
                let once = RetryOptions::new().max_attempts(1);
                if queued {
                    cx.queue_with(Mortal::DIE, &(), once)?;
                } else {
                    cx.schedule_with(SECOND, Mortal::DIE, &(), ScheduleOptions::new().retry(once))?;
                }
                Ok(())
            });
            watch_updates(&object);
            host.advance(120 * SECOND);
            assert_eq!(notes(), ["dies", "attempt 1", "attempt 1"], "{queued}");
            assert_eq!(updates(&object), setbacks, "{queued}");
        }
    }
}

#[test]
fn a_one_shot_whose_run_was_counted_can_be_taken_back_and_asked_for_anew() {
    let (host, object) = mortal(0);
    ask(&object, |cx: Context<Mortal>| async move { Ok(cx.schedule(SECOND, Mortal::SLOW, &60_000)?) });
    host.advance(2 * SECOND);
    object.crash();
    // The platform repeats the alarm.
    host.advance(2 * SECOND);
    assert_eq!(notes(), ["begins 60000", "begins 60000"]);
    let now_s = host.now_ms() / 1_000;
    let (time, is_new, cancelled) = ask(&object, |cx: Context<Mortal>| async move {
        let running = cx.schedules(&ScheduleFilter::new())?.remove(0);
        let idempotent = ScheduleOptions::new().idempotent(true);
        let new = cx.schedule_with(100 * SECOND, Mortal::SLOW, &60_000, idempotent)?;
        Ok((running.time, new.id != running.id, cx.cancel_schedule(&running.id)?))
    });
    assert_eq!((time, is_new, cancelled), (now_s + 2, true, true));
    host.advance(99 * SECOND);
    assert_eq!(notes(), ["ends 60000"]);
    host.advance(61 * SECOND);
    assert_eq!(notes(), ["begins 60000", "ends 60000"]);
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn a_recurring_schedule_that_two_deploys_cut_loses_no_turn() {
    let (host, object) = mortal(0);
    let weekly =
        ask(&object, |cx: Context<Mortal>| async move { Ok(cx.schedule(When::cron("0 0 * * 1"), Mortal::SLOW, &60_000)?) });
    host.advance(Duration::from_millis(weekly.time * 1_000 + 1_000 - host.now_ms()));
    for _ in 0..2 {
        object.crash();
        host.advance(5 * SECOND);
    }
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["begins 60000", "begins 60000", "begins 60000", "ends 60000"]);
    let (again, setbacks) = object.sql("SELECT time, setbacks FROM cf_agents_schedules", ()).one::<(u64, u32)>().expect("SQL");
    assert_eq!((again, setbacks), (weekly.time + 7 * 86_400, 0));
}

#[test]
fn a_recurring_schedule_whose_run_was_counted_shows_its_next_time_and_can_be_taken_back() {
    let (host, object) = mortal(0);
    let hourly = || When::cron("0 * * * *");
    let made = ask(&object, move |cx: Context<Mortal>| async move { Ok(cx.schedule(hourly(), Mortal::SLOW, &60_000)?) });
    host.advance(Duration::from_millis(made.time * 1_000 + 1_000 - host.now_ms()));
    object.crash();
    host.advance(2 * SECOND);
    assert_eq!(notes(), ["begins 60000", "begins 60000"]);
    let (same, cancelled) = ask(&object, move |cx: Context<Mortal>| async move {
        let same = cx.schedule(hourly(), Mortal::SLOW, &60_000)?;
        Ok((same.clone(), cx.cancel_schedule(&same.id)?))
    });
    // It began 3 s after it was due, and would be tried again after 2.
    assert_eq!((&same.id, same.time, cancelled), (&made.id, made.time + 5, true));
    host.advance(7_200 * SECOND);
    assert_eq!(notes(), ["ends 60000"]);
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn an_item_taken_back_before_its_counted_run_begins_does_not_run() {
    let (host, object) = mortal(1);
    ask(&object, |cx: Context<Mortal>| async move {
        cx.queue(Mortal::DIE, &())?;
        Ok(cx.queue(Mortal::NOTE, &text("behind"))?)
    });
    host.run_until_idle();
    assert_eq!(notes(), ["dies"]);
    // The wake has the queue go on beside the request that causes it: the setback is noted, and on its way to the disk.
    let taken = ask(&object, |cx: Context<Mortal>| async move {
        cx.sleep(Duration::ZERO).await;
        Ok(cx.dequeue_all_by_callback("die")?)
    });
    assert_eq!(taken, 1);
    host.run_until_idle();
    assert_eq!(notes(), ["behind"]);
}

#[test]
fn each_of_several_items_that_end_the_object_becomes_a_dead_letter() {
    for waits in [true, false] {
        let (host, object) = mortal(u64::MAX);
        WAITS.set(waits);
        ask(&object, |cx: Context<Mortal>| async move {
            cx.queue(Mortal::DIE, &())?;
            cx.queue(Mortal::DIE, &())?;
            Ok(cx.queue(Mortal::NOTE, &text("behind"))?)
        });
        host.advance(12 * 3_600 * SECOND);
        object.get("");
        host.advance(12 * 3_600 * SECOND);
        assert_eq!((object.crashes(), dead(&object).len(), others()), (42, 2, vec![text("behind")]), "{waits}");
    }
}

#[test]
fn an_item_that_runs_is_looked_after_however_often_a_schedule_meets_a_failure_of_the_platform() {
    fn lost() -> Result<()> {
        Err(HostError::new("Network connection lost.").into())
    }
    let (host, object) = mortal(0);
    script(&[lost as fn() -> Result<()>; 20]);
    ask(&object, |cx: Context<Mortal>| async move {
        cx.queue(Mortal::SLOW, &3_600_000)?;
        let once = RetryOptions::new().max_attempts(1);
        Ok(cx.schedule_with(SECOND, Mortal::DIE, &(), ScheduleOptions::new().retry(once))?)
    });
    let mut longest_ms = 0;
    for _ in 0..3_599 {
        host.advance(SECOND);
        longest_ms = longest_ms.max(object.alarm_ms().expect("an alarm") - host.now_ms());
    }
    assert_eq!(longest_ms, 10_000);
    assert!(notes().len() > 10);
}

#[test]
fn an_item_taken_back_before_it_begins_holds_nothing_against_the_next_one() {
    let (host, object) = mortal(0);
    ask(&object, |cx: Context<Mortal>| async move { Ok(cx.queue(Mortal::NOTE, &text("first"))?) });
    watch_updates(&object);
    ask(&object, |cx: Context<Mortal>| async move {
        let id = cx.queue(Mortal::NOTE, &text("a"))?;
        cx.dequeue(&id)?;
        Ok(cx.queue(Mortal::NOTE, &text("b"))?)
    });
    host.run_until_idle();
    assert_eq!(notes(), ["first", "b"]);
    assert_eq!(updates(&object), [0; 0]);
}
