//! Destroying an agent leaves nothing of it, also if it is interrupted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::clerk::{SECOND, ask, at_start, clerk, leftovers, try_ask};
use common::{agent, notes};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::presence::Present;
use durable_agents_core::resume::{ResumeLimits, ResumeLog};
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{AgentOptions, Callback, Close, Connection, Context, Message, Reply, Result, Runtime, When};
use serde_json::{Value, json};

clerk!(Clerk, AgentOptions::new());

/// An agent with something of everything.
fn settled(host: &MemoryHost) -> Object {
    notes();
    let object = host.agent::<Clerk>("a");
    ask(&object, |cx: Context<Clerk>| async move {
        cx.set_state(json!("used"))?;
        cx.sql("CREATE TABLE own (n INTEGER)", ()).execute()?;
        cx.sql("CREATE VIEW more AS SELECT n FROM own", ()).execute()?;
        cx.schedule(3_600 * SECOND, Clerk::NOTE, &"scheduled".to_owned())?;
        cx.queue(Clerk::SLOW, &3_600_000)?;
        Ok(())
    });
    object
}

fn was_told(client: &mut durable_agents_core::testing::Client) -> bool {
    client.closed().is_some_and(|close| close.code == 1001 && close.reason == "Durable Object destroyed")
}

fn state(object: &Object) -> Value {
    ask(object, |cx: Context<Clerk>| async move { Ok((*cx.state()?).clone()) })
}

#[test]
fn c165_destroy_answers_closes_the_sockets_and_leaves_nothing() {
    let host = MemoryHost::new();
    let object = settled(&host);
    let mut client = object.connect("");
    client.greeting();
    notes();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.destroy().await?;
        assert_eq!(cx.queue(Clerk::NOTE, &String::new()).expect_err("destroyed").to_string(), "the agent is being destroyed");
        cx.destroy().await
    });
    host.run_until_idle();
    assert!(was_told(&mut client));
    assert_eq!((leftovers(&object), object.alarm_ms(), object.is_running()), (0, None, false));
    assert_eq!(object.crashes(), 0);
    host.advance(2 * 3_600 * SECOND);
    assert!(notes().is_empty(), "neither the schedule nor the rest of the queue runs");
    assert_eq!(state(&object), json!("fresh"));
    let mut again = object.connect("");
    assert!(again.greeting()[1].contains("fresh"));
}

#[test]
fn c165_destroy_as_a_scheduled_callback_skips_the_rest_of_the_alarm() {
    let host = MemoryHost::new();
    let object = settled(&host);
    ask(&object, |cx: Context<Clerk>| async move {
        cx.schedule(60 * SECOND, Callback::<Clerk, ()>::DESTROY, &())?;
        Ok(cx.schedule(60 * SECOND, Clerk::NOTE, &"too late".to_owned())?)
    });
    host.run_until_idle();
    notes();
    host.advance(60 * SECOND);
    assert!(notes().is_empty());
    assert_eq!((leftovers(&object), object.alarm_ms(), object.is_running()), (0, None, false));
    assert_eq!(state(&object), json!("fresh"));
}

/// Destroys an agent that crashes on the way; `false` if it never came there.
fn interrupted_at(point: CrashPoint, woken_by_alarm: bool) -> bool {
    let host = MemoryHost::new();
    let object = settled(&host);
    host.run_until_idle();
    let mut client = object.connect("");
    client.greeting();
    notes();
    object.crash_at(point);
    let outcome = try_ask(&object, |cx: Context<Clerk>| async move { cx.destroy().await });
    host.run_until_idle();
    assert!(object.crashes() == 1 || outcome.is_some_and(|outcome| outcome.is_ok()));
    if woken_by_alarm {
        host.advance(11 * SECOND);
    } else {
        object.set_alarm_ms(None);
    }
    // Either nothing of it has happened, or all of it.
    let look = || try_ask(&object, |cx: Context<Clerk>| async move { Ok((*cx.state()?).clone()) })?.ok();
    let found = look().or_else(look).expect("it crashes once");
    host.run_until_idle();
    let crashed = object.crashes() == 1;
    if found == json!("used") {
        assert!(crashed, "{point:?}");
        let schedules: u32 = object.sql("SELECT count(*) FROM cf_agents_schedules", ()).one().expect("SQL");
        assert_eq!(schedules, 1, "{point:?}");
        assert_ne!(client.closed().map(|close| close.code), Some(1001), "{point:?}: told what did not happen");
        return crashed;
    }
    assert_eq!(found, json!("fresh"), "{point:?}");
    // The state that was read just now is all there can be.
    assert!(leftovers(&object) <= 1, "{point:?}");
    assert_eq!(object.alarm_ms(), None, "{point:?}");
    assert!(matches!(client.closed().map(|close| close.code), Some(1001 | 1006)), "{point:?}");
    crashed
}

fn for_every(point: impl Fn(u64) -> CrashPoint) -> u64 {
    (1..).take_while(|&n| interrupted_at(point(n), true) | interrupted_at(point(n), false)).last().unwrap_or_default()
}

#[test]
fn c165_destroy_is_finished_wherever_it_is_interrupted() {
    for (before, after) in [
        (for_every(CrashPoint::StorageCall), for_every(CrashPoint::AfterStorageCall)),
        (for_every(CrashPoint::AwaitPoint), for_every(CrashPoint::AfterAwaitPoint)),
    ] {
        assert!(before >= 3 && before == after, "{before} {after}");
    }
}

#[test]
fn c165_an_interrupted_end_comes_before_anything_else_of_the_wake() {
    for wake in ["message", "request", "alarm"] {
        let host = MemoryHost::new();
        let object = host.agent::<Clerk>("a");
        ask(&object, |cx: Context<Clerk>| async move { Ok(cx.set_state(json!("used"))?) });
        let mut client = object.connect("");
        client.greeting();
        object.evict();
        object.sql("CREATE TABLE cf_agents_destroying (since INTEGER)", ()).execute().expect("SQL");
        match wake {
            "message" => client.send(r#"{"type":"cf_agent_state","state":"mine"}"#),
            "request" => drop(object.get("")),
            _ => object.set_alarm_ms(Some(host.now_ms())),
        }
        host.run_until_idle();
        assert!(was_told(&mut client));
        assert_eq!((leftovers(&object), object.alarm_ms()), (0, None), "{wake}");
        assert_eq!(state(&object), json!("fresh"), "{wake}");
        let mut again = object.connect("");
        assert!(again.greeting()[1].contains("fresh"));
    }
}

#[test]
fn a_destroy_that_storage_refuses_leaves_the_agent_as_it_was() {
    for refused in ["set alarm", "cf_agents_destroying"] {
        let host = MemoryHost::new();
        let object = host.agent::<Clerk>("a");
        ask(&object, |cx: Context<Clerk>| async move { Ok(cx.set_state(json!("used"))?) });
        object.refuse_storage(Some(refused));
        assert!(try_ask(&object, |cx: Context<Clerk>| async move { cx.destroy().await }).is_some_and(|ended| ended.is_err()));
        object.refuse_storage(None);
        object.evict();
        host.advance(60 * SECOND);
        assert_eq!(state(&object), json!("used"), "{refused}");
    }
}

#[test]
fn no_callback_begins_after_the_end_has() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    notes();
    ask(&object, |cx: Context<Clerk>| async move {
        cx.queue(Clerk::NOTE, &"queued".to_owned())?;
        cx.schedule(durable_agents_core::When::at_ms(0), Clerk::NOTE, &"due".to_owned())?;
        cx.destroy().await?;
        cx.run_due().await
    });
    host.advance(60 * SECOND);
    assert!(notes().is_empty());
    assert_eq!(leftovers(&object), 0);
}

#[test]
fn what_goes_on_beside_the_end_writes_nothing_into_the_emptied_storage() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    ask(&object, |cx: Context<Clerk>| async move {
        cx.set_state(json!("used"))?;
        let beside = cx.clone();
        cx.wait_until(async move {
            loop {
                beside.sleep(Duration::ZERO).await;
                drop(beside.sql("CREATE TABLE late (n INTEGER)", ()).execute());
                drop(beside.sql("DROP TABLE late", ()).execute());
                drop(beside.sql("CREATE TABLE later (n INTEGER)", ()).execute());
                drop(beside.set_state(json!("late")));
            }
        });
        cx.destroy().await
    });
    host.run_until_idle();
    assert_eq!((leftovers(&object), object.alarm_ms(), object.is_running()), (0, None, false));
    assert_eq!(state(&object), json!("fresh"));
}

impl Present for Clerk {
    type Meta = ();

    fn who(connection: &Connection<Self>) -> Option<(String, ())> {
        Some((connection.id().to_owned(), ()))
    }
}

#[test]
fn neither_presence_nor_a_log_of_frames_is_written_into_the_emptied_storage() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let _client = object.connect("");
    ask(&object, |cx: Context<Clerk>| async move {
        let beside = cx.clone();
        let connection = cx.connections().next().expect("connected");
        cx.wait_until(async move {
            loop {
                beside.sleep(Duration::ZERO).await;
                drop(beside.arrive(&connection));
                drop(beside.depart(&connection));
                drop(ResumeLog::new(&beside, "late", ResumeLimits::new()).append(|_| String::from("frame")));
            }
        });
        cx.destroy().await
    });
    host.run_until_idle();
    assert_eq!((leftovers(&object), object.is_running()), (0, false));
}

thread_local! {
    static ALIVE: Cell<u32> = const { Cell::new(0) };
}

struct Mortal;

impl Default for Mortal {
    fn default() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

agent!(impl Mortal: (), (), ();
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        if request.path() == "/destroy" {
            cx.destroy().await?;
        }
        Ok(Response::text("done"))
    }
);

#[test]
fn what_comes_after_the_end_keeps_nothing_of_the_agent_in_memory() {
    let host = MemoryHost::new();
    host.auto_reply_to_close(false);
    let object = host.agent::<Clerk>("a");
    let mut clients = [object.connect(""), object.connect("")];
    let platform = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.host_handle()) });
    let runtime = Runtime::new::<Mortal>(platform.clone());
    let fetch = |path: &str| runtime.fetch(Request::get(&format!("https://example.com{path}")), None);
    assert!(matches!(fetch("/destroy"), Ok(Reply::Response(_))));
    assert_eq!(ALIVE.get(), 1);
    let sockets = platform.sockets(None).expect("there are sockets");
    let close = Close { code: 4001, reason: "bye".to_owned(), was_clean: true };
    // As the platform holds what has no answer: for good.
    let requests = [fetch("/"), fetch("/")];
    let rests =
        [runtime.message(sockets[0].clone(), Message::Text("late".to_owned())), runtime.closed(sockets[1].clone(), close)];
    assert!(requests.iter().all(|reply| !matches!(reply, Ok(Reply::Response(_)))));
    host.run_until_idle();
    assert!(!object.is_running());
    drop(runtime);
    assert_eq!(ALIVE.get(), 0);
    drop((requests, rests));
    let mut codes = clients.each_mut().map(|client| client.close_event().code);
    codes.sort_unstable();
    assert_eq!(codes, [1001, 4001], "each is told, and the end of one is answered");
}

#[test]
fn what_waits_for_a_start_that_destroys_the_agent_is_for_the_next_one() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let is_first = Cell::new(true);
    at_start(move |cx: Context<Clerk>| {
        let ends = is_first.replace(false);
        async move {
            if ends {
                cx.sleep(SECOND).await;
                cx.destroy().await?;
            }
            Ok(())
        }
    });
    let (first, second) = (object.begin(Request::get("/")), object.begin(Request::get("/")));
    host.advance(SECOND);
    assert_eq!(first.wait().text(), "done");
    assert!(second.try_wait().is_err(), "its sender hears of it from the platform");
    assert_eq!(object.get("").text(), "done");
    assert_eq!(object.wakes(), 2);
}

#[test]
fn c165_destroy_while_an_alarm_is_at_work_leaves_none_that_would_make_the_agent_anew() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    at_start(|cx: Context<Clerk>| async move {
        cx.schedule(When::cron("0 * * * *"), Clerk::NOTE, &"hourly".to_owned())?;
        Ok(())
    });
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(SECOND, Clerk::SLOW, &60_000)?) });
    host.advance(2 * SECOND);
    assert_eq!(notes(), ["begins 60000"]);
    ask(&object, |cx: Context<Clerk>| async move { cx.destroy().await });
    host.run_until_idle();
    assert_eq!((leftovers(&object), object.alarm_ms(), object.is_running()), (0, None, false));
    host.advance(2 * 3_600 * SECOND);
    assert_eq!((leftovers(&object), notes().len(), object.wakes()), (0, 0, 1));
}
