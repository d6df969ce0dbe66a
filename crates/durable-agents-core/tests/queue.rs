//! The queue: order, one at a time, what a failure costs, and what one can ask about it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::clerk::{SECOND, ask, at_start, clerk, forget_callbacks, logged, office, refused, script, text};
use common::notes;
use durable_agents_core::task::RunOrigin;
use durable_agents_core::testing::Object;
use durable_agents_core::{AgentOptions, Callback, Context, MAX_DEAD_LETTERS, Result, RetryOptions, When, error};
use serde_json::{Value, json};

clerk!(Clerk, AgentOptions::new());

fn waiting(object: &Object) -> u64 {
    ask(object, |cx: Context<Clerk>| async move { Ok(cx.queue_len()?) })
}

fn dead(object: &Object) -> Vec<(String, Value, String, u64)> {
    ask(object, |cx: Context<Clerk>| async move {
        let letters = cx.dead_letters()?.into_iter();
        Ok(letters.map(|letter| (letter.callback, letter.payload, letter.error, letter.attempts)).collect())
    })
}

#[test]
fn c162_items_run_in_the_order_of_their_push_one_at_a_time_and_each_once() {
    let (host, object) = office::<Clerk>();
    let before = ask(&object, |cx: Context<Clerk>| async move {
        cx.queue(Clerk::SLOW, &200)?;
        cx.queue(Clerk::SLOW, &100)?;
        cx.queue(Clerk::NOTE, &text("third"))?;
        Ok(notes())
    });
    assert!(before.is_empty(), "none began before the event waited or ended");
    host.advance(Duration::from_millis(250));
    assert_eq!(notes(), ["begins 200", "ends 200", "begins 100"]);
    assert_eq!(waiting(&object), 2);
    // One more while it works goes to the end.
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::NOTE, &text("fourth"))?) });
    host.advance(SECOND);
    assert_eq!(notes(), ["ends 100", "third", "fourth"]);
    assert_eq!((waiting(&object), object.alarm_ms()), (0, None));
    host.advance(60 * SECOND);
    assert!(notes().is_empty());
}

#[test]
fn c162_a_failing_item_is_given_up_after_its_retries_and_the_next_one_runs() {
    let (host, object) = office::<Clerk>();
    script(&[|| Err(error!("one")), || Err(error!("two")), || Err(error!("three").context("outer"))]);
    ask(&object, |cx: Context<Clerk>| async move {
        cx.queue(Clerk::SCRIPT, &())?;
        Ok(cx.queue(Clerk::NOTE, &text("next"))?)
    });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1", "attempt 2", "attempt 3", "error: outer", "next"]);
    assert_eq!(dead(&object), [(text("script"), json!(null), text("outer: three"), 3)]);
    assert_eq!(waiting(&object), 0);
}

#[test]
fn c163_items_survive_a_crash_and_go_on_by_the_alarm() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.queue(Clerk::SLOW, &60_000)?;
        Ok(cx.queue(Clerk::NOTE, &text("second"))?)
    });
    host.run_until_idle();
    assert_eq!(notes(), ["begins 60000"]);
    object.crash();
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 10_000));
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["begins 60000"], "at least once: it had not ended");
    host.advance(61 * SECOND);
    assert_eq!(notes(), ["ends 60000", "second"]);
    assert_eq!((waiting(&object), object.alarm_ms()), (0, None));
}

#[test]
fn c163_items_left_without_an_alarm_go_on_at_the_next_wake() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SLOW, &1_000)?) });
    host.run_until_idle();
    object.crash();
    object.set_alarm_ms(None);
    notes();
    object.get("");
    host.advance(SECOND);
    assert_eq!(notes(), ["begins 1000", "ends 1000"]);
}

#[test]
fn an_alarm_that_meets_a_running_queue_leaves_it_alone() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SLOW, &35_000)?) });
    host.advance(60 * SECOND);
    assert_eq!(notes(), ["begins 35000", "ends 35000"]);
}

/// What is noted around a start hook that queues a note, does `more`, and ends a second later.
fn noted_around_a_start<F: Future<Output = Result<()>> + 'static>(more: fn(Context<Clerk>) -> F) -> Vec<String> {
    let (host, object) = office::<Clerk>();
    at_start(move |cx: Context<Clerk>| async move {
        cx.queue(Clerk::NOTE, &text("queued"))?;
        more(cx.clone()).await?;
        cx.sleep(SECOND).await;
        common::note("started");
        Ok(())
    });
    let answer = object.begin(durable_agents_core::http::Request::get("/"));
    host.advance(2 * SECOND);
    answer.wait();
    notes()
}

#[test]
fn what_the_start_hook_queues_runs_after_it() {
    assert_eq!(noted_around_a_start(|_| async { Ok(()) }), ["started", "queued"]);
}

#[test]
fn items_are_found_and_taken_back() {
    let (host, object) = office::<Clerk>();
    let found = ask(&object, |cx: Context<Clerk>| async move {
        let group = |group: &str| json!({"group": group});
        let any = Callback::<Clerk, Value>::named("note");
        let first =
            cx.queue_with(&any, &group("a"), RetryOptions::new().max_attempts(3).base_delay_ms(100).max_delay_ms(1_000))?;
        cx.queue_with(&any, &group("a"), RetryOptions::new().max_attempts(7))?;
        let last = cx.queue(&any, &group("b"))?;
        cx.queue(Clerk::SLOW, &5)?;
        let of_a = cx.get_queues("group", &json!("a"))?;
        let item = serde_json::to_value(cx.get_queue(&first)?)?;
        let removed = (cx.dequeue(&last)?, cx.dequeue(&last)?, cx.dequeue_all_by_callback("slow")?, cx.dequeue_all()?);
        Ok((first.clone(), of_a, item, removed, cx.queue_len()?))
    });
    let (first, of_a, item, removed, left) = found;
    let retries: Vec<_> = of_a.iter().map(|item| item.retry.and_then(|retry| retry.max_attempts)).collect();
    assert_eq!(retries, [Some(3), Some(7)]);
    let expected = json!({
        "id": first, "callback": "note", "payload": {"group": "a"}, "createdAt": host.now_ms() / 1_000,
        "retry": {"maxAttempts": 3, "baseDelayMs": 100, "maxDelayMs": 1_000},
    });
    assert_eq!(item, expected);
    assert_eq!((removed, left), ((true, false, 1, 2), 0));
    host.run_until_idle();
    assert!(notes().is_empty());
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn what_was_taken_back_is_gone_even_if_the_alarm_cannot_be_set() {
    let (host, object) = office::<Clerk>();
    let storage = object.clone();
    let taken_back = ask(&object, move |cx: Context<Clerk>| async move {
        cx.schedule(20 * SECOND, Clerk::NOTE, &text("late"))?;
        let early = cx.schedule(5 * SECOND, Clerk::NOTE, &text("early"))?.id;
        let item = cx.queue(Clerk::NOTE, &text("item"))?;
        storage.refuse_storage(Some("set alarm"));
        let taken_back = (cx.cancel_schedule(&early)?, cx.cancel_schedule(&early)?, cx.dequeue(&item)?, cx.queue_len()?);
        storage.refuse_storage(None);
        Ok(taken_back)
    });
    assert_eq!(taken_back, (true, false, true, 0));
    assert_eq!(logged(&host, "set alarm"), 2);
    // It goes off for nothing, and again for what is left.
    host.advance(20 * SECOND);
    assert_eq!(notes(), ["late"]);
}

#[test]
fn an_item_taken_back_between_two_attempts_is_not_tried_again() {
    let (host, object) = office::<Clerk>();
    script(&[|| Err(error!("once"))]);
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SCRIPT, &())?) });
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dequeue_all()?) });
    host.advance(10 * SECOND);
    assert_eq!(notes(), ["attempt 1"]);
    script(&[]);
    assert!(dead(&object).is_empty());
}

#[test]
fn a_payload_of_another_type_is_a_dead_letter_at_once_and_can_be_put_back() {
    let (host, object) = office::<Clerk>();
    let id = ask(&object, |cx: Context<Clerk>| async move {
        Ok(cx.queue(Callback::<Clerk, Value>::named("note"), &json!({"not": "text"}))?)
    });
    host.run_until_idle();
    let reason = "payload does not fit its type: invalid type: map, expected a string at line 1 column 0";
    assert_eq!(dead(&object), [(text("note"), json!({"not": "text"}), text(reason), 1)]);
    assert_eq!(notes(), [format!("error: {reason}")]);
    // Somebody repairs it.
    object.sql("UPDATE cf_agents_dead_letters SET payload = ?", ["\"repaired\""]).execute().expect("SQL");
    let again = id.clone();
    let retried = ask(&object, move |cx: Context<Clerk>| async move {
        Ok((cx.retry_dead_letter(&again)?, cx.retry_dead_letter(&again)?, cx.get_queue(&again)?.is_some()))
    });
    assert_eq!(retried, (true, false, true));
    host.run_until_idle();
    assert_eq!(notes(), ["repaired"]);
    assert!(dead(&object).is_empty());
}

#[test]
fn a_callback_that_is_gone_leaves_its_work_among_the_dead_letters_until_it_is_back() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(SECOND, Clerk::NOTE, &text("scheduled"))?;
        cx.schedule(durable_agents_core::When::every(SECOND), Clerk::NOTE, &text("interval"))?;
        Ok(())
    });
    object.evict();
    forget_callbacks(1);
    host.advance(SECOND);
    assert_eq!(notes(), ["error: this.note is not a function", "error: this.note is not a function"]);
    let letters = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?) });
    assert_eq!((letters.len(), letters[0].origin, letters[0].attempts), (1, RunOrigin::Schedule, 0));
    assert_eq!(letters[0].failed_at_ms, host.now_ms());
    let id = letters[0].id.clone();
    let refusal = refused(&object, move |cx: Context<Clerk>| async move { Ok(cx.retry_dead_letter(&id)?) });
    assert_eq!(refusal, "this.note is not a function");

    forget_callbacks(0);
    let id = letters[0].id.clone();
    assert!(ask(&object, move |cx: Context<Clerk>| async move { Ok(cx.retry_dead_letter(&id)?) }));
    host.advance(SECOND);
    assert_eq!(notes(), ["scheduled", "interval"]);
    assert!(dead(&object).is_empty());
}

#[test]
fn only_the_newest_dead_letters_are_kept_and_the_log_has_the_others() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        for n in 0..MAX_DEAD_LETTERS + 2 {
            cx.queue_with(Clerk::FAIL, &n.to_string(), RetryOptions::new().max_attempts(1))?;
        }
        Ok(())
    });
    host.advance(SECOND);
    let letters = dead(&object);
    assert_eq!((letters.len(), &letters[0].1), (MAX_DEAD_LETTERS, &json!("2")));
    assert_eq!(logged(&host, "is forgotten, there are more than 1000"), 2);
    let id = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.dead_letters()?.remove(0).id) });
    let discarded =
        ask(&object, move |cx: Context<Clerk>| async move { Ok((cx.discard_dead_letter(&id)?, cx.discard_dead_letter(&id)?)) });
    assert_eq!(discarded, (true, false));
    assert_eq!(dead(&object).len(), MAX_DEAD_LETTERS - 1);
}

#[test]
fn nothing_runs_before_the_start_has_ended_even_if_it_is_told_to() {
    assert_eq!(noted_around_a_start(|cx| async move { cx.run_due().await }), ["started", "queued"]);
}

#[test]
fn traffic_does_not_put_off_the_alarm_that_looks_after_the_queue() {
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.queue(Clerk::SLOW, &60_000)?) });
    let due = object.alarm_ms();
    assert_eq!(due, Some(host.now_ms() + 10_000));
    for _ in 0..9 {
        host.advance(SECOND);
        ask(&object, |cx: Context<Clerk>| async move {
            // The second sets the alarm anew.
            for _ in 0..2 {
                cx.schedule(When::every(3_600 * SECOND), Clerk::NOTE, &text("far"))?;
            }
            Ok(())
        });
        assert_eq!(object.alarm_ms(), due);
    }
}

#[test]
fn a_job_whose_end_the_database_does_not_take_down_runs_again_later_and_later_or_not_until_that_can_be_noted() {
    let (deletes, updates_too) = ("DELETE ", "TE ");
    for (queued, refused, runs_in_an_hour) in
        [(true, deletes, 11), (true, updates_too, 1), (false, deletes, 13), (false, updates_too, 1)]
    {
        let (host, object) = office::<Clerk>();
        ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::NOTE, &text("first"))?) });
        host.advance(SECOND);
        ask(&object, move |cx: Context<Clerk>| async move {
            if queued {
                cx.queue(Clerk::SLOW, &1)?;
            } else {
                cx.schedule(Duration::ZERO, Clerk::SLOW, &1)?;
            }
            Ok(())
        });
        object.refuse_storage(Some(refused));
        host.advance(3_600 * SECOND);
        let runs = notes().iter().filter(|note| *note == "ends 1").count();
        assert_eq!(runs, runs_in_an_hour, "{queued} {refused}");
        let failed = logged(&host, "storage refuses");
        assert!(failed < 50, "{queued} {refused}: {failed}");
        object.refuse_storage(None);
        host.advance(1_800 * SECOND);
        assert_eq!(notes(), ["begins 1", "ends 1"], "{queued} {refused}");
        assert_eq!((waiting(&object), object.alarm_ms(), dead(&object).len()), (0, None, 0));
    }
}
