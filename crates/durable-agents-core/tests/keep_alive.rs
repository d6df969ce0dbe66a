//! Leases keep an object awake by its alarm, and leave nothing behind.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::RefCell;
use std::time::Duration;

use common::clerk::{ask, clerk};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{AgentOptions, Context, KeepAlive};

clerk!(Clerk, AgentOptions::new());
clerk!(Restless, AgentOptions::new().keep_alive_interval(Duration::from_secs(2)));

thread_local! {
    static LEASES: RefCell<Vec<KeepAlive>> = const { RefCell::new(Vec::new()) };
}

fn take(object: &Object) -> usize {
    ask(object, |cx: Context<Clerk>| async move {
        let lease = cx.keep_alive()?;
        LEASES.with_borrow_mut(|leases| leases.push(lease));
        Ok(cx.keep_alive_count())
    })
}

fn release(object: &Object) -> usize {
    ask(object, |cx: Context<Clerk>| async move {
        if let Some(lease) = LEASES.with_borrow_mut(Vec::pop) {
            lease.release();
        }
        Ok(cx.keep_alive_count())
    })
}

#[test]
fn c166_while_a_lease_is_held_the_alarm_goes_off_every_30_s_and_then_no_more() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let start = host.now_ms();
    assert_eq!(take(&object), 1);
    assert_eq!(take(&object), 2);
    assert_eq!(object.alarm_ms(), Some(start + 30_000));
    let events = host.events();
    host.advance(Duration::from_secs(95));
    assert_eq!(host.events() - events, 3);
    assert_eq!(object.alarm_ms(), Some(start + 120_000));
    assert_eq!((release(&object), object.alarm_ms()), (1, Some(start + 120_000)));
    assert_eq!((release(&object), object.alarm_ms()), (0, None));
    assert_eq!(release(&object), 0);
    let tables: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!(tables, 0);
}

#[test]
fn c166_a_schedule_that_is_due_before_comes_first_and_stays_when_the_lease_ends() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let start = host.now_ms();
    ask(&object, |cx: Context<Clerk>| async move { Ok(cx.schedule(Duration::from_secs(3_600), Clerk::SCRIPT, &())?) });
    take(&object);
    assert_eq!(object.alarm_ms(), Some(start + 30_000));
    release(&object);
    assert_eq!(object.alarm_ms(), Some(start + 3_600_000));
}

#[test]
fn a_lease_ends_with_the_work_it_is_for_whatever_comes_of_it() {
    let host = MemoryHost::new();
    let object = host.agent::<Restless>("a");
    let start = host.now_ms();
    let counts = ask(&object, move |cx: Context<Restless>| async move {
        let inside = cx.keep_alive_while(async { (cx.keep_alive_count(), cx.alarm_ms().await) }).await?;
        let failed =
            cx.keep_alive_while(async { durable_agents_core::Result::<()>::Err(durable_agents_core::error!("failed")) });
        Ok((inside.0, inside.1?, failed.await?.is_err(), cx.keep_alive_count()))
    });
    assert_eq!(counts, (1, Some(start + 2_000), true, 0));
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn a_lease_is_lost_with_the_object_and_its_last_alarm_does_nothing() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    take(&object);
    object.crash();
    LEASES.take();
    host.advance(Duration::from_secs(120));
    assert_eq!(object.alarm_ms(), None);
    let count = ask(&object, |cx: Context<Clerk>| async move { Ok(cx.keep_alive_count()) });
    assert_eq!(count, 0);
}
