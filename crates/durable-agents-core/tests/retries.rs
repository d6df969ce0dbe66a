//! Retries: of work in an event, of background work, and of the alarm when the platform has failed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::clerk::{SECOND, ask, at_start, clerk, office, refused, script, try_ask};
use common::{clerk, note, notes};
use durable_agents_core::host::{HostError, HostFault};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::task::Handler;
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{
    Agent, AgentOptions, Callback, Context, Error, Result, RetryOptions, ScheduleOptions, When, bail, error,
};

clerk!(Clerk, AgentOptions::new());
clerk!(Stubborn, AgentOptions::new().retry(RetryOptions::new().max_attempts(5).base_delay_ms(10).max_delay_ms(50)));

/// Puts back everything that it is told was given up.
#[derive(Default)]
struct Forgiving;

impl Agent for Forgiving {
    type State = ();
    type ConnectionState = ();
    type Props = ();
    const CLASS: &'static str = "Forgiving";

    fn new(_: &Context<Self>) -> Self {
        Self
    }

    fn callbacks() -> &'static [Handler<Self>] {
        &[Handler { name: "script", run: clerk::run_script }]
    }

    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        clerk::serve(cx).await
    }

    async fn on_error(&self, cx: &Context<Self>, _: &Error) -> Result<()> {
        for letter in cx.dead_letters()? {
            assert!(cx.retry_dead_letter(&letter.id)?);
            note("put back");
        }
        Ok(())
    }
}

impl Forgiving {
    const SCRIPT: Callback<Self, ()> = Callback::new("script");
}

/// Runs `work` in the agent while the clock goes on for an hour.
fn while_time_passes<A: Agent, T: 'static, F: Future<Output = Result<T>> + 'static>(
    host: &MemoryHost,
    object: &Object,
    work: impl FnOnce(Context<A>) -> F + 'static,
) -> Result<T> {
    for_that_time(3_600 * SECOND, host, object, work)
}

fn for_that_time<A: Agent, T: 'static, F: Future<Output = Result<T>> + 'static>(
    time: Duration,
    host: &MemoryHost,
    object: &Object,
    work: impl FnOnce(Context<A>) -> F + 'static,
) -> Result<T> {
    let result = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&result);
    ask(object, move |cx: Context<A>| async move {
        let work = work(cx.clone());
        cx.wait_until(async move { drop(slot.replace(Some(work.await))) });
        Ok(())
    });
    host.advance(time);
    result.take().expect("it ended")
}

#[test]
fn work_is_tried_again_until_it_succeeds_or_has_been_tried_often_enough() {
    let (host, object) = office::<Clerk>();
    let fast = RetryOptions::new().base_delay_ms(1).max_delay_ms(10);
    let outcome = while_time_passes(&host, &object, move |cx: Context<Clerk>| async move {
        cx.retry(fast, async |attempt| {
            note(format!("attempt {attempt}"));
            if attempt < 3 { Err(error!("transient-{attempt}")) } else { Ok(format!("ok-{attempt}")) }
        })
        .await
    });
    assert_eq!(outcome.expect("it succeeded"), "ok-3");
    assert_eq!(notes(), ["attempt 1", "attempt 2", "attempt 3"]);
    let outcome: Result<()> = while_time_passes(&host, &object, move |cx: Context<Clerk>| async move {
        cx.retry(fast.max_attempts(2), async |attempt| bail!("always-fail-{attempt}")).await
    });
    assert_eq!(outcome.expect_err("it failed").to_string(), "always-fail-2");
}

#[test]
fn the_predicate_sees_the_error_and_the_next_attempt_and_may_end_it() {
    let (host, object) = office::<Clerk>();
    let outcome: Result<()> = while_time_passes(&host, &object, |cx: Context<Clerk>| async move {
        let many = RetryOptions::new().max_attempts(10);
        let agree = |error: &Error, next: u32| {
            note(format!("{error}, then {next}"));
            !error.to_string().starts_with("permanent")
        };
        cx.retry_if(many, async |attempt| bail!("{}-{attempt}", if attempt < 3 { "transient" } else { "permanent" }), agree)
            .await
    });
    assert_eq!(outcome.expect_err("it failed").to_string(), "permanent-3");
    assert_eq!(notes(), ["transient-1, then 2", "transient-2, then 3", "permanent-3, then 4"]);
}

#[test]
fn options_of_the_class_hold_where_the_call_says_nothing() {
    let (host, _) = office::<Clerk>();
    let object = host.agent::<Stubborn>("a");
    let attempts = |options: RetryOptions| {
        let outcome: Result<()> = while_time_passes(&host, &object, move |cx: Context<Stubborn>| async move {
            cx.retry(options, async |attempt| bail!("{attempt}")).await
        });
        outcome.expect_err("it failed").to_string()
    };
    assert_eq!(attempts(RetryOptions::new()), "5");
    assert_eq!(attempts(RetryOptions::new().max_attempts(2)), "2");
    assert_eq!(attempts(RetryOptions::new().base_delay_ms(51)), "retry.baseDelayMs must be <= retry.maxDelayMs");
}

#[test]
fn c164_options_out_of_range_are_refused_when_the_work_is_made() {
    let (_, object) = office::<Clerk>();
    for (retry, text) in [
        (RetryOptions::new().max_attempts(0), "retry.maxAttempts must be >= 1"),
        (RetryOptions::new().base_delay_ms(0), "retry.baseDelayMs must be > 0"),
        (RetryOptions::new().max_delay_ms(0), "retry.maxDelayMs must be > 0"),
        (RetryOptions::new().base_delay_ms(5_000), "retry.baseDelayMs must be <= retry.maxDelayMs"),
    ] {
        let scheduled = refused(&object, move |cx: Context<Clerk>| async move {
            Ok(cx.schedule_with(SECOND, Clerk::SCRIPT, &(), ScheduleOptions::new().retry(retry))?)
        });
        let queued = refused(&object, move |cx: Context<Clerk>| async move { Ok(cx.queue_with(Clerk::SCRIPT, &(), retry)?) });
        assert_eq!((scheduled.as_str(), queued.as_str()), (text, text));
    }
    let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!(tables, 0);
}

#[test]
fn c159_a_callback_that_fails_twice_and_then_succeeds_runs_three_times() {
    let (host, object) = office::<Clerk>();
    script(&[|| Err(error!("one")), || Err(error!("two"))]);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::SCRIPT, &())?) });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 2", "attempt 3"]);
    assert_eq!(left(&object), (0, 0));
}

#[test]
fn c159_a_callback_that_fails_three_times_reaches_the_error_hook_once_and_is_kept() {
    let (host, object) = office::<Clerk>();
    script(&[|| Err(error!("one")), || panic!("two"), || Err(error!("three"))]);
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(SECOND, Clerk::SCRIPT, &())?;
        Ok(cx.schedule(2 * SECOND, Clerk::NOTE, &"next".to_owned())?)
    });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 2", "attempt 3", "error: three", "next"]);
    assert_eq!(left(&object), (0, 1));
}

/// Schedules and dead letters.
fn left(object: &Object) -> (usize, usize) {
    ask(object, |cx: Context<Clerk>| async move {
        Ok((cx.schedules(&durable_agents_core::ScheduleFilter::new())?.len(), cx.dead_letters()?.len()))
    })
}

/// A one-shot that is due and follows the script: whether the alarm's work failed, and whether the schedule is still there.
fn run_due(host: &MemoryHost, object: &Object, attempts: u32) -> (bool, bool) {
    let outcome = for_that_time(Duration::from_millis(100), host, object, move |cx: Context<Clerk>| async move {
        let retry = RetryOptions::new().max_attempts(attempts).base_delay_ms(1).max_delay_ms(2);
        let made = cx.schedule_with(When::at_ms(0), Clerk::SCRIPT, &(), ScheduleOptions::new().retry(retry))?;
        // Nothing but this runs it.
        cx.host().set_alarm(None)?;
        let threw = cx.run_due().await.is_err();
        Ok((threw, cx.get_schedule(&made.id)?.is_some()))
    });
    outcome.expect("it succeeded")
}

fn retryable() -> Result<()> {
    Err(HostError::from(HostFault { retryable: true, ..HostFault::new("internal error") }).into())
}

fn lost() -> Result<()> {
    Err(HostError::new("Network connection lost.").into())
}

fn wrapped() -> Result<()> {
    Err(Error::from(HostError::new("Network connection lost.")).context("SQL query failed: Network connection lost."))
}

fn replaced() -> Result<()> {
    Err(HostError::new("Durable Object reset because its code was updated.").into())
}

fn own() -> Result<()> {
    Err(error!("some ordinary application error"))
}

fn out_of_memory() -> Result<()> {
    Err(HostError::new("Durable Object's isolate exceeded its memory limit and was reset.").into())
}

#[test]
fn failures_of_the_platform_keep_a_one_shot_and_fail_the_alarm() {
    for (steps, attempts, (threw, kept, calls)) in [
        (&[lost as fn() -> Result<()>, lost, lost][..], 3, (true, true, 3)),
        (&[wrapped, wrapped], 2, (true, true, 2)),
        (&[retryable, retryable], 2, (true, true, 2)),
        (&[lost], 3, (false, false, 2)),
        (&[lost, own], 2, (false, false, 2)),
        (&[own, own, own], 3, (false, false, 3)),
        // Nothing that this instance tries will succeed.
        (&[lost, replaced], 5, (true, true, 2)),
        (&[replaced], 1, (true, true, 1)),
    ] {
        let (host, object) = office::<Clerk>();
        script(steps);
        assert_eq!(run_due(&host, &object, attempts), (threw, kept));
        let calls_made = notes().iter().filter(|note| note.starts_with("attempt")).count();
        assert_eq!(calls_made, calls);
        // The alarm comes back and the platform has recovered by then.
        host.advance(10 * SECOND);
        assert_eq!(left(&object).0, 0);
    }
}

#[test]
fn a_one_shot_that_the_platform_fails_is_put_off_longer_each_time_and_given_up_after_hours() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        Ok(cx.schedule_with(SECOND, Clerk::SCRIPT, &(), once)?)
    });
    script(&[lost as fn() -> Result<()>; 20]);
    host.advance(SECOND);
    assert_eq!(notes(), ["attempt 1"]);
    for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900, 900, 900, 900, 900, 900] {
        // What is known of it is on disk.
        object.evict();
        host.advance(wait * SECOND - Duration::from_millis(1));
        assert!(notes().is_empty());
        host.advance(Duration::from_millis(1));
        assert_eq!(notes()[0], "attempt 1");
    }
    assert_eq!(left(&object), (0, 1));
    host.advance(86_400 * SECOND);
    assert!(notes().is_empty());
}

#[test]
fn one_that_the_platform_fails_does_not_hold_back_the_others_for_good() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        cx.schedule_with(SECOND, Clerk::SCRIPT, &(), once)?;
        Ok(cx.schedule(When::every(300 * SECOND), Clerk::NOTE, &"interval".to_owned())?)
    });
    script(&[lost as fn() -> Result<()>; 12]);
    host.advance(3_600 * SECOND);
    assert_eq!(notes().iter().filter(|note| *note == "interval").count(), 12);
    script(&[]);
}

#[test]
fn a_far_schedule_does_not_replace_the_alarm_that_what_failed_waits_for() {
    let (host, object) = office::<Clerk>();
    script(&[lost, || Ok(())]);
    ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        Ok(cx.schedule_with(SECOND, Clerk::SCRIPT, &(), once)?)
    });
    host.advance(SECOND);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(31_536_000 * SECOND, Clerk::NOTE, &String::new())?) });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 1"]);
}

#[test]
fn a_start_that_schedules_far_ahead_and_fails_leaves_the_alarm_for_what_is_due() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::NOTE, &"due".to_owned())?) });
    object.evict();
    at_start(|cx: Context<Clerk>| async move {
        cx.schedule(31_536_000 * SECOND, Clerk::NOTE, &String::new())?;
        bail!("no start")
    });
    // Longer than the platform repeats an alarm.
    host.advance(600 * SECOND);
    assert!(notes().iter().all(|note| note == "error: no start"));
    at_start(|_: Context<Clerk>| async move { Ok(()) });
    host.advance(900 * SECOND);
    assert_eq!(notes().last().map(String::as_str), Some("due"));
}

#[test]
fn a_crash_of_an_alarm_during_which_something_far_was_scheduled_strands_nothing() {
    let mut crashes = 0;
    for n in 1.. {
        let (host, object) = office::<Clerk>();
        ask(&object, |cx: Context<Clerk>| async move {
            cx.schedule(SECOND, Clerk::SLOW, &5_000)?;
            Ok(cx.schedule(SECOND, Clerk::NOTE, &"due".to_owned())?)
        });
        host.advance(2 * SECOND);
        let far = |cx: Context<Clerk>| async move { Ok(cx.schedule(31_536_000 * SECOND, Clerk::NOTE, &String::new())?) };
        ask(&object, far);
        object.crash_at(CrashPoint::AfterAwaitPoint(n));
        host.advance(60 * SECOND);
        assert!(notes().contains(&"due".to_owned()), "{n}");
        assert_eq!(left(&object).0, 1, "{n}");
        crashes += object.crashes();
        if object.crashes() == 0 {
            break;
        }
    }
    assert!(crashes >= 2, "{crashes}");
    // The one that matters: the platform does not repeat what was set again.
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::SLOW, &5_000)?) });
    host.advance(2 * SECOND);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(31_536_000 * SECOND, Clerk::NOTE, &String::new())?) });
    object.crash();
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["begins 5000", "begins 5000", "ends 5000"]);
}

#[test]
fn words_of_the_platform_in_an_authors_error_are_the_authors() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        let words = "Network connection lost. reset because its code was updated, exceeded its memory limit".to_owned();
        cx.schedule(SECOND, Clerk::FAIL, &words)?;
        cx.schedule(SECOND, Callback::<Clerk, String>::named("slow"), &words)?;
        Ok(cx.queue(Clerk::FAIL, &words)?)
    });
    host.advance(60 * SECOND);
    assert_eq!(left(&object), (0, 3));
}

#[test]
fn what_is_given_up_and_put_back_by_the_error_hook_is_not_lost() {
    let (host, _) = office::<Clerk>();
    let second = host.agent::<Forgiving>("b");
    script(&[own, || Ok(())]);
    ask(&second, |cx: Context<Forgiving>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        Ok(cx.schedule_with(SECOND, Forgiving::SCRIPT, &(), once)?)
    });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "put back", "attempt 1"]);
}

#[test]
fn other_rows_run_although_one_fails_the_alarm_and_none_of_them_runs_twice() {
    let (host, object) = office::<Clerk>();
    script(&[lost, || Ok(())]);
    ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        cx.schedule_with(SECOND, Clerk::SCRIPT, &(), once)?;
        Ok(cx.schedule(SECOND, Clerk::NOTE, &"other".to_owned())?)
    });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "other", "attempt 1"]);
}

#[test]
fn a_failed_alarm_that_was_set_again_meanwhile_comes_back_all_the_same() {
    let (host, object) = office::<Clerk>();
    script(&[lost, || Ok(())]);
    ask(&object, |cx: Context<Clerk>| async move {
        let once = ScheduleOptions::new().retry(RetryOptions::new().max_attempts(1));
        cx.schedule(SECOND, Clerk::SLOW, &100)?;
        Ok(cx.schedule_with(SECOND, Clerk::SCRIPT, &(), once)?)
    });
    host.advance(SECOND);
    // Sets the alarm to tomorrow while its handler runs, which would end the platform's own attempts.
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(86_400 * SECOND, Clerk::NOTE, &String::new())?) });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["begins 100", "ends 100", "attempt 1", "attempt 1"]);
    assert_eq!(left(&object).0, 1);
}

#[test]
fn three_failures_for_want_of_memory_in_a_row_are_enough() {
    let (host, object) = office::<Clerk>();
    let strikes = |object: &Object| ask(object, |cx: Context<Clerk>| async move { Ok(cx.memory_limit_strikes()?) });
    script(&[out_of_memory]);
    assert_eq!(run_due(&host, &object, 3), (false, true), "the platform is not to repeat it at once");
    assert_eq!((left(&object), strikes(&object)), ((1, 0), 1));
    // A run without such a failure ends the row.
    assert!(try_ask(&object, |cx: Context<Clerk>| async move { cx.run_due().await }).is_some_and(|run| run.is_ok()));
    assert_eq!(strikes(&object), 0);
    host.advance(60 * SECOND);
    assert_eq!(left(&object), (0, 0));

    notes();
    script(&[out_of_memory, out_of_memory, out_of_memory]);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::SCRIPT, &())?) });
    host.advance(60 * SECOND);
    let told = "error: Durable Object's isolate exceeded its memory limit and was reset.";
    assert_eq!(notes(), ["attempt 1", "attempt 1", "attempt 1", told]);
    assert_eq!((left(&object), strikes(&object)), ((0, 1), 0));
}

#[test]
fn a_queue_item_outlives_failures_of_the_platform_too() {
    let (host, object) = office::<Clerk>();
    script(&[replaced, lost, lost, lost, || Ok(())]);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SCRIPT, &())?) });
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 1", "attempt 2", "attempt 3", "attempt 1"]);
    assert_eq!(ask(&object, |cx: Context<Clerk>| async move { Ok((cx.queue_len()?, cx.dead_letters()?.len())) }), (0, 0));

    script(&[out_of_memory, out_of_memory, out_of_memory]);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SCRIPT, &())?) });
    host.advance(60 * SECOND);
    assert_eq!(ask(&object, |cx: Context<Clerk>| async move { Ok((cx.queue_len()?, cx.dead_letters()?.len())) }), (0, 1));
}

#[test]
fn one_that_needs_too_much_memory_is_given_up_also_beside_alarms_that_go_well() {
    let (host, object) = office::<Clerk>();
    script(&[out_of_memory, out_of_memory, out_of_memory]);
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(SECOND, Clerk::SCRIPT, &())?;
        cx.schedule(When::every(5 * SECOND), Clerk::NOTE, &"interval".to_owned())?;
        Ok(cx.queue(Clerk::NOTE, &"queued".to_owned())?)
    });
    host.advance(120 * SECOND);
    assert_eq!(notes().iter().filter(|note| note.starts_with("attempt")).count(), 3);
    assert_eq!(left(&object), (1, 1));
}

#[test]
fn an_item_that_the_platform_fails_again_and_again_is_given_up_and_the_next_one_runs() {
    let (host, object) = office::<Clerk>();
    script(&[lost as fn() -> Result<()>; 20]);
    ask(&object, |cx: Context<Clerk>| async move {
        cx.queue_with(Clerk::SCRIPT, &(), RetryOptions::new().max_attempts(1))?;
        Ok(cx.queue(Clerk::NOTE, &"next".to_owned())?)
    });
    for _ in 0..100 {
        // A push does not make it run before its time.
        host.advance(60 * SECOND);
        object.get("");
    }
    assert!(!notes().contains(&"next".to_owned()));
    for _ in 0..200 {
        host.advance(60 * SECOND);
        object.evict();
    }
    assert_eq!(notes().last().map(String::as_str), Some("next"));
    assert_eq!(ask(&object, |cx: Context<Clerk>| async move { Ok((cx.queue_len()?, cx.dead_letters()?.len())) }), (0, 1));
}
