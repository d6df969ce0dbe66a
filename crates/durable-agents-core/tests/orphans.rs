//! Background work of an agent that has no callbacks: what earlier versions of it have left, and its end.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::clerk::{SECOND, ask, clerk, forget_callbacks, leftovers, logged, office};
use common::{agent, note, notes};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::task::RunOrigin;
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{AgentOptions, Callback, Context, Error, Result, When};

clerk!(Clerk, AgentOptions::new());

/// More than there are.
const ALL: usize = 100;

/// A clerk with work to do whose next version has no callbacks.
fn orphaned() -> (MemoryHost, Object) {
    forget_callbacks(0);
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(SECOND, Clerk::NOTE, &"once".to_owned())?;
        cx.schedule(When::every(SECOND), Clerk::NOTE, &"again".to_owned())?;
        cx.schedule(When::cron("* * * * *"), Clerk::NOTE, &"and again".to_owned())?;
        Ok(())
    });
    object.evict();
    forget_callbacks(ALL);
    (host, object)
}

#[test]
fn what_runs_once_goes_to_the_dead_letters_and_what_recurs_waits() {
    let (host, object) = orphaned();
    host.advance(SECOND);
    assert_eq!(
        notes(),
        ["error: 2 recurring schedules wait for callbacks, and the agent has none", "error: this.note is not a function"]
    );
    host.advance(600 * SECOND);
    assert_eq!((notes().len(), object.alarm_ms()), (0, None));
    let (letters, waiting) = ask(&object, |cx: Context<Clerk>| async move {
        Ok((cx.dead_letters()?, cx.schedules(&durable_agents_core::ScheduleFilter::new())?.len()))
    });
    assert_eq!((letters.len(), letters[0].origin, letters[0].attempts, waiting), (1, RunOrigin::Schedule, 0, 2));
    assert_eq!(logged(&host, "recurring schedules wait"), 1);

    // A version that has them again runs what is due at its first wake.
    object.evict();
    forget_callbacks(0);
    let id = letters[0].id.clone();
    assert!(ask(&object, move |cx: Context<Clerk>| async move { Ok(cx.retry_dead_letter(&id)?) }));
    host.advance(SECOND);
    let mut ran = notes();
    ran.sort();
    ran.dedup();
    assert_eq!(ran, ["again", "and again", "once"]);
}

#[test]
fn items_of_the_queue_go_to_the_dead_letters_however_many_they_are() {
    forget_callbacks(0);
    let (host, object) = office::<Clerk>();
    ask(&object, |cx: Context<Clerk>| async move {
        for n in 0..100 {
            cx.queue(Clerk::SLOW, &n)?;
        }
        Ok(())
    });
    // Before the first has come to its end.
    object.crash();
    forget_callbacks(ALL);
    let events = host.events();
    host.advance(60 * SECOND);
    assert!(host.events() - events >= 4, "others have to come in between");
    let letters = ask(&object, |cx: Context<Clerk>| async move { Ok((cx.dead_letters()?, cx.queue_len()?)) });
    assert_eq!((letters.0.len(), letters.0[99].payload.as_u64(), letters.1), (100, Some(99), 0));
    let told = notes();
    assert!(told.len() == 100 && told.iter().all(|note| note == "error: this.slow is not a function"), "{told:?}");
}

#[test]
fn storage_that_fails_puts_them_off() {
    let (host, object) = orphaned();
    host.advance(SECOND / 2);
    ask(&object, |_: Context<Clerk>| async move { Ok(()) });
    object.refuse_storage(Some("dead_letters"));
    // Longer than the platform repeats an alarm that fails.
    host.advance(1_000 * SECOND);
    object.refuse_storage(None);
    assert!(object.alarm_ms().is_some_and(|at_ms| at_ms > host.now_ms()), "{:?}", object.alarm_ms());
    host.advance(1_000 * SECOND);
    assert!(notes().contains(&"error: this.note is not a function".to_owned()));
    assert_eq!(object.alarm_ms(), None);
}

// An agent without callbacks, which ends itself.
agent!(Mayfly: (), (), ();
    async fn on_start(&self, _: &Context<Self>, _: Option<()>) -> Result<()> {
        note("hatched");
        Ok(())
    }

    async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
        note(format!("error: {error}"));
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        match request.url().query() {
            Some("schedule") => drop(cx.schedule(60 * SECOND, Callback::<Self, ()>::DESTROY, &())?),
            Some("queue") => drop(cx.queue(Callback::<Self, ()>::DESTROY, &())?),
            Some("every") => drop(cx.schedule(When::every(60 * SECOND), Callback::<Self, ()>::DESTROY, &())?),
            _ => cx.run_due().await?,
        }
        Ok(Response::text("done"))
    }
);

fn is_gone_after(query: &str, evicted: bool) -> bool {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Mayfly>("a");
    object.get(&format!("/agents/mayfly/a?{query}"));
    if evicted {
        object.evict();
    }
    host.advance(30 * SECOND);
    let early = leftovers(&object);
    host.advance(40 * SECOND);
    assert_eq!(early == 0, query == "queue", "{query}");
    assert!(notes().iter().all(|note| note == "hatched"));
    (leftovers(&object), object.alarm_ms(), object.is_running()) == (0, None, false)
}

#[test]
fn an_agent_without_callbacks_ends_when_it_wanted_to() {
    for query in ["schedule", "queue", "every"] {
        for evicted in [false, true] {
            assert!(is_gone_after(query, evicted), "{query} {evicted}");
        }
    }
}
