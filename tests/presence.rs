//! PresenceAgent: who sees whom.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use agents_worker::presence::{MAX_NAME_BYTES, MAX_USERS, PresenceAgent};
use durable_agents::testing::MemoryHost;

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/presence.rs"]
mod scenarios;
use plain::plain;

scenarios::presence_scenarios!(plain);

#[test]
fn after_a_crash_only_those_who_come_back_are_seen() {
    let host = MemoryHost::new();
    let place = host.agent::<PresenceAgent>("office");
    let (_ada, _bob) = (place.connect("?_pk=a&name=ada"), place.connect("?_pk=b&name=bob"));
    place.crash();
    let users = place.connect("?_pk=b&name=bob").next_json()["users"].clone();
    assert_eq!(users.as_object().map(|users| users.keys().cloned().collect::<Vec<_>>()), Some(vec!["b".to_owned()]));
}

#[test]
fn a_full_place_lets_nobody_else_in() {
    let host = MemoryHost::new();
    let place = host.agent::<PresenceAgent>("office");
    let mut clients = Vec::new();
    for _ in 0..MAX_USERS {
        clients.push(place.connect("?name=x"));
        // Together the frames that nobody reads would take gigabytes.
        clients.iter_mut().for_each(|client| drop(client.frames()));
    }
    let mut late = place.connect("?name=late");
    let close = late.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "Too many people are here"));
    late.expect_no_frame();
    clients[3].close(1000, "");
    assert!(place.connect("?name=late").is_open());
}

#[test]
fn a_full_place_takes_no_more_than_34_mb_for_a_change() {
    let host = MemoryHost::new();
    let place = host.agent::<PresenceAgent>("office");
    // The longest id, and what JSON makes most of.
    let join = |last: &str| {
        let (id, name) = ("%22".repeat(256 - last.len()), "%5C".repeat(MAX_NAME_BYTES));
        place.connect(&format!("?_pk={id}{last}&name={name}&protocol=false")).next_text().len()
    };
    let (one, two) = (join(""), join("x"));
    // The second has a letter in the place of a quote.
    let everyone = one + (MAX_USERS - 1) * (two + 1 - one);
    assert!((33_000_000..34_000_000).contains(&(MAX_USERS * everyone)), "{one} {two}");
}
