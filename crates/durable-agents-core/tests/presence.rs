//! Who is here: several sockets a user, a grace period, and no word that is not true.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::agent;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::presence::{MAX_LEAVERS, News, Present, Settled};
use durable_agents_core::testing::{Client, MemoryHost, Object, for_every_eviction};
use durable_agents_core::{Close, Connection, Context, Message, Result, error};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Status {
    Away,
    Busy,
    Online,
}

type User = (String, Status);

/// An agent in which `?user=` is who one is, text changes one's status or name, and `settle` over HTTP is the alarm.
macro_rules! hub {
    ($name:ident, $grace_s:literal, |$user:ident| $tag:expr) => {
        agent!($name: (), User, ();
            async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
                Ok(request.url().query_param("user").map(|user| format!("user:{user}")).into_iter().collect())
            }

            async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
                Ok(false)
            }

            async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
                if let Some(user) = request.url().query_param("user") {
                    connection.set_state((user.into_owned(), Status::Online))?;
                }
                tell(cx, cx.arrive(connection)?);
                Ok(())
            }

            async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
                let (user, status) = connection.state()?.map_or((String::new(), Status::Online), |user| User::clone(&user));
                let next = match message.as_text() {
                    Some("away") => (user, Status::Away),
                    Some("busy") => (user, Status::Busy),
                    Some("online") => (user, Status::Online),
                    Some("fail") => {
                        let refused = cx.change_presence(connection, || Err(error!("no")));
                        assert!(refused.is_err());
                        return Ok(());
                    }
                    Some("sign out") => {
                        tell(cx, cx.depart(connection)?.news);
                        return Ok(());
                    }
                    Some("sign in") => {
                        tell(cx, cx.arrive(connection)?);
                        return Ok(());
                    }
                    Some("roster") => {
                        connection.send(format!("{:?}", cx.roster()?))?;
                        return Ok(());
                    }
                    _ => (message.as_text().unwrap_or_default().to_owned(), status),
                };
                tell(cx, cx.change_presence(connection, || connection.set_state(next))?.news);
                Ok(())
            }

            async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
                tell(cx, cx.depart(connection)?.news);
                Ok(())
            }

            async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
                if cx.sub_path(&request) == "kick" {
                    for connection in cx.connections_tagged("user:bob") {
                        connection.close(4000, "kicked")?;
                        tell(cx, cx.depart(&connection)?.news);
                    }
                }
                let Settled { news, look_again_ms } = cx.settle_presence()?;
                tell(cx, news);
                Ok(Response::text(format!("{:?}", look_again_ms.map(|at_ms| at_ms - cx.now_ms()))))
            }
        );

        impl Present for $name {
            type Meta = Status;

            const GRACE: Duration = Duration::from_secs($grace_s);

            fn who(connection: &Connection<Self>) -> Option<User> {
                connection.state().ok()?.map(|user| User::clone(&user))
            }

            fn tag($user: &str) -> Option<String> {
                $tag
            }

            fn merge(one: Status, other: Status) -> Status {
                one.max(other)
            }
        }
    };
}

hub!(Hub, 5, |_user| None);
hub!(Tagged, 5, |user| Some(format!("user:{user}")));
hub!(Hasty, 0, |_user| None);

fn tell<A: Present<Meta = Status>>(cx: &Context<A>, news: impl IntoIterator<Item = News<Status>>) {
    for news in news {
        let line = match news {
            News::Here { user, meta } => format!("{user} {meta:?}"),
            News::Gone { user, meta } => format!("{user} gone, was {meta:?}"),
        };
        cx.broadcast(line, &[]);
    }
}

fn settle(object: &Object) -> String {
    object.get("settle").text().to_owned()
}

fn say(host: &MemoryHost, client: &mut Client, texts: &[&str]) {
    for text in texts {
        client.send(*text);
    }
    host.run_until_idle();
}

fn rows(object: &Object) -> u32 {
    let has_table: u32 =
        object.sql("SELECT count(*) FROM sqlite_master WHERE name = 'cf_presence_leavers'", ()).one().expect("SQL");
    if has_table == 0 { 0 } else { object.sql("SELECT count(*) FROM cf_presence_leavers", ()).one().expect("SQL") }
}

fn storage_calls(object: &Object, act: impl FnOnce()) -> u64 {
    let before = object.storage_calls();
    act();
    object.storage_calls() - before
}

#[test]
fn devices_of_a_user_merge_and_only_changes_are_news() {
    for_every_eviction(|host| {
        let object = host.agent::<Tagged>("a");
        let mut guest = object.connect("");
        let mut phone = object.connect("?user=ada");
        let mut laptop = object.connect("?user=ada");
        assert_eq!(guest.texts(), ["ada Online"]);
        say(host, &mut phone, &["away"]);
        assert_eq!(guest.texts(), [""; 0]);
        say(host, &mut laptop, &["busy", "busy", "away", "fail"]);
        assert_eq!(guest.texts(), ["ada Busy", "ada Away"]);
        say(host, &mut phone, &["online"]);
        phone.close(1000, "");
        assert_eq!(guest.texts(), ["ada Online", "ada Away"]);
        let _bob = object.connect("?user=bob");
        guest.send("roster");
        assert_eq!(guest.texts(), ["bob Online", r#"{"ada": Away, "bob": Online}"#]);
        assert_eq!((rows(&object), settle(&object).as_str()), (0, "None"));
    });
}

#[test]
fn a_user_is_gone_when_the_grace_period_is_over_and_not_before() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        let mut ada = object.connect("?user=ada");
        say(host, &mut ada, &["busy"]);
        ada.cut();
        host.run_until_idle();
        assert_eq!(settle(&object), "Some(5000)");
        host.advance(Duration::from_secs(2));
        let mut bob = object.connect("?user=bob");
        bob.cut();
        host.advance(Duration::from_millis(2_999));
        // A full second.
        assert_eq!(settle(&object), "Some(1)");
        guest.send("roster");
        assert_eq!(guest.texts(), ["ada Online", "ada Busy", "bob Online", r#"{"ada": Busy, "bob": Online}"#]);
        host.advance(Duration::from_millis(1));
        assert_eq!(settle(&object), "Some(2000)");
        assert_eq!(guest.texts(), ["ada gone, was Busy"]);
        host.advance(Duration::from_secs(2));
        assert_eq!((settle(&object), rows(&object)), ("None".to_owned(), 0));
        guest.send("roster");
        assert_eq!(guest.texts(), ["bob gone, was Online", "{}"]);
        assert_eq!(settle(&object), "None");
        guest.expect_no_frame();
    });
}

#[test]
fn who_is_back_in_time_never_left() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        let mut ada = object.connect("?user=ada");
        assert_eq!(guest.texts(), ["ada Online"]);
        for _ in 0..3 {
            ada.cut();
            host.advance(Duration::from_secs(4));
            assert_eq!(rows(&object), 1);
            ada = object.connect("?user=ada");
            assert_eq!(rows(&object), 0);
        }
        host.advance(Duration::from_secs(4));
        assert_eq!(settle(&object), "None");
        guest.expect_no_frame();
        say(host, &mut ada, &["away"]);
        ada.cut();
        host.run_until_idle();
        // Back as somebody with another status.
        object.connect("?user=ada");
        assert_eq!(guest.texts(), ["ada Away", "ada Online"]);
    });
}

#[test]
fn nothing_is_written_while_users_are_here() {
    let host = MemoryHost::new();
    let object = host.agent::<Tagged>("a");
    let mut ada = object.connect("?user=ada");
    let mut phone = object.connect("?user=ada");
    let calls = storage_calls(&object, || {
        say(&host, &mut ada, &["away", "busy", "online"]);
        phone.close(1000, "");
        host.run_until_idle();
    });
    assert_eq!(calls, 0);
    ada.close(1000, "");
    host.run_until_idle();
    assert_eq!(rows(&object), 1);
}

#[test]
fn both_sockets_of_a_user_can_go_at_once() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        let (mut phone, mut laptop) = (object.connect("?user=ada"), object.connect("?user=ada"));
        phone.cut();
        laptop.cut();
        host.advance(Duration::from_secs(5));
        assert_eq!(settle(&object), "None");
        assert_eq!(guest.texts(), ["ada Online", "ada gone, was Online"]);
    });
}

#[test]
fn a_dead_connection_that_is_closed_departs_once() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        let mut bob = object.connect("?user=bob");
        bob.hold_close_answer();
        assert_eq!(object.get("kick").text(), "Some(5000)");
        host.advance(Duration::from_secs(5));
        assert_eq!(settle(&object), "None");
        assert_eq!(guest.texts(), ["bob Online", "bob gone, was Online"]);
        // The answer comes after all, and so does the close hook.
        bob.answer_close();
        host.run_until_idle();
        assert_eq!((settle(&object), rows(&object)), ("None".to_owned(), 0));
        guest.expect_no_frame();
    });
}

#[test]
fn signing_out_and_becoming_somebody_else_are_departures() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        let mut ada = object.connect("?user=ada");
        say(host, &mut ada, &["sign out", "sign out"]);
        host.advance(Duration::from_secs(5));
        assert_eq!(settle(&object), "None");
        guest.send("roster");
        assert_eq!(guest.texts(), ["ada Online", "ada gone, was Online", "{}"]);
        say(host, &mut ada, &["sign in", "bob"]);
        host.advance(Duration::from_secs(5));
        assert_eq!(settle(&object), "None");
        assert_eq!(guest.texts(), ["ada Online", "bob Online", "ada gone, was Online"]);
        // Once more by closing, which is nothing new for who signed out.
        say(host, &mut ada, &["sign out"]);
        host.advance(Duration::from_secs(4));
        ada.close(1000, "");
        host.advance(Duration::from_secs(1));
        assert_eq!(settle(&object), "None");
        assert_eq!(guest.texts(), ["bob gone, was Online"]);
    });
}

#[test]
fn a_departure_that_was_not_stored_is_one_the_next_time() {
    let host = MemoryHost::new();
    let object = host.agent::<Hub>("h");
    let mut eve = object.connect("?user=eve");
    let mut ada = object.connect("?user=ada");
    eve.texts();
    object.refuse_storage(Some("INSERT OR REPLACE INTO cf_presence_leavers"));
    say(&host, &mut ada, &["sign out", "roster"]);
    assert_eq!(ada.texts().last().map(String::as_str), Some(r#"{"ada": Online, "eve": Online}"#));
    object.refuse_storage(None);
    ada.close(1000, "");
    host.run_until_idle();
    assert_eq!(rows(&object), 1);
    host.advance(Duration::from_secs(5));
    settle(&object);
    assert_eq!(eve.texts(), ["ada gone, was Online"]);
}

#[test]
fn a_guest_is_nobody() {
    for_every_eviction(|host| {
        let object = host.agent::<Hub>("a");
        let mut guest = object.connect("");
        object.connect("").cut();
        guest.send("roster");
        assert_eq!(guest.texts(), ["{}"]);
        assert_eq!(rows(&object), 0);
    });
}

#[test]
fn without_a_grace_period_a_user_is_gone_at_once() {
    for_every_eviction(|host| {
        let object = host.agent::<Hasty>("a");
        let mut guest = object.connect("");
        object.connect("?user=ada").cut();
        host.run_until_idle();
        assert_eq!((rows(&object), settle(&object).as_str()), (0, "None"));
        assert_eq!(guest.texts(), ["ada Online", "ada gone, was Online"]);
    });
}

#[test]
fn a_leaver_that_no_version_of_the_agent_can_read_is_gone_without_a_word() {
    let host = MemoryHost::new();
    let object = host.agent::<Hub>("a");
    let mut guest = object.connect("");
    object.connect("?user=ada").cut();
    host.run_until_idle();
    object.sql("UPDATE cf_presence_leavers SET meta = '\"Sleeping\"'", ()).execute().expect("SQL");
    host.advance(Duration::from_secs(5));
    assert_eq!(settle(&object), "None");
    assert_eq!(rows(&object), 0);
    assert_eq!(guest.texts(), ["ada Online"]);
}

#[test]
fn the_number_of_leavers_is_bounded() {
    let host = MemoryHost::new();
    let object = host.agent::<Hub>("a");
    let mut guest = object.connect("");
    object.connect("?user=ada").cut();
    host.run_until_idle();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
        INSERT INTO cf_presence_leavers SELECT i, '\"Online\"', ? FROM n";
    object.sql(fill, (MAX_LEAVERS, host.now_ms())).execute().expect("SQL");
    let mut bob = object.connect("?user=bob");
    bob.cut();
    assert_eq!(guest.texts(), ["ada Online", "bob Online", "bob gone, was Online"]);
    assert_eq!(u64::from(rows(&object)), MAX_LEAVERS);
    host.advance(Duration::from_secs(5));
    assert_eq!(settle(&object), "None");
    assert_eq!(rows(&object), 0);
}
