//! Tags, lists, lookup and broadcast: checks C67–C73 and C78–C81.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{agent, note, notes, text};
use durable_agents_core::http::Request;
use durable_agents_core::testing::{Client, MemoryHost, Object, for_every_eviction};
use durable_agents_core::{Close, Connection, Context, MAX_TAG_BYTES, Message, Result};

agent!(Room: (), (), ();
    async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
        let tags = request.url().query_param("tags").unwrap_or_default().into_owned();
        Ok(if tags == "-" { vec![String::new()] } else { tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect() })
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let Some(message) = message.as_text() else {
            cx.broadcast(message.as_bytes(), &[]);
            return Ok(());
        };
        let (command, argument) = message.split_once(' ').unwrap_or((message, ""));
        let sorted = |connections: &mut dyn Iterator<Item = Connection<Self>>| {
            let mut ids: Vec<String> = connections.map(|connection| connection.id().to_owned()).collect();
            ids.sort();
            ids.join(",")
        };
        match command {
            "all" => connection.send(sorted(&mut cx.connections()))?,
            "tagged" => connection.send(sorted(&mut cx.connections_tagged(argument)))?,
            "tags" => connection.send(connection.tags().join(","))?,
            "find" => connection.send(cx.connection(argument).map_or("none", |found| {
                if found.uri().contains("newer") { "the newer" } else { "one" }
            }))?,
            "broadcast" => cx.broadcast(argument, &[]),
            "without" => cx.broadcast("to the others", &argument.split(',').collect::<Vec<_>>()),
            "send-to" => {
                let kicked = cx.connection("gone").inspect(|gone| gone.close(4000, "").expect("open"));
                let sent = cx.send_to(cx.connections_tagged(argument).chain(kicked), "to some");
                connection.send(sent.to_string())?;
            }
            "kick" => {
                let kicked = cx.connection(argument).expect("connected");
                kicked.close(4000, "kicked")?;
                connection.send(format!("{} left, send: {:?}", sorted(&mut cx.connections()), kicked.send("late").is_err()))?;
            }
            _ => note(message),
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        cx.broadcast(format!("{} left {} behind", connection.id(), cx.connections().count()), &[]);
        note(text(&Message::Text(format!("found {}", cx.connection(connection.id()).is_some()))));
        Ok(())
    }
);

fn world() -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Room>("a");
    (host, object)
}

fn ask(client: &mut Client, question: &str) -> String {
    client.send(question);
    client.next_text()
}

#[test]
fn c67_c68_tags_list_their_connections_and_the_id_is_the_first() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut admin = object.connect("?_pk=x&tags=admin,staff");
        let _user = object.connect("?_pk=y&tags=staff");
        for (tag, expected) in [("admin", "x"), ("staff", "x,y"), ("other", ""), ("x", "x"), ("y", "y"), ("", "")] {
            assert_eq!(ask(&mut admin, &format!("tagged {tag}")), expected, "{tag}");
        }
        assert_eq!(ask(&mut admin, "tags"), "x,admin,staff");
        assert_eq!(ask(&mut admin, "all"), "x,y");
    });
}

#[test]
fn c69_c70_ten_tags_with_the_id_each_of_1_to_256_bytes() {
    let (_host, object) = world();
    let nine = (0..9).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let longest = "t".repeat(MAX_TAG_BYTES);
    for tags in [nine.as_str(), longest.as_str(), &"ü".repeat(128)] {
        let mut client = object.connect(&format!("?_pk=x&tags={tags}"));
        assert_eq!(ask(&mut client, "tags"), format!("x,{tags}"));
    }
    let bystander_count = object.sockets();
    for (query, told) in [
        (format!("?tags={nine},9"), "A connection can only have 10 tags, including the default id tag. It has 11."),
        (format!("?tags=a,{longest}t"), "A connection tag must not exceed 256 characters. Tag 2 has 257 bytes."),
        (format!("?tags={}", "ü".repeat(129)), "A connection tag must not exceed 256 characters. Tag 1 has 258 bytes."),
        ("?tags=-".to_owned(), "A connection tag must not be an empty string. Tag 1 is."),
        (format!("?_pk={longest}t"), "A connection tag must not exceed 256 characters. Tag 0 has 257 bytes."),
    ] {
        let mut client = object.connect(&query);
        assert_eq!(client.greeting(), Vec::<String>::new());
        assert_eq!(client.next_json(), serde_json::json!({"error": told}));
        let close = client.close_event();
        assert_eq!((close.code, close.reason.as_str()), (1011, "Uncaught exception during session setup"));
        client.expect_no_frame();
        assert_eq!(object.sockets(), bystander_count, "something was left behind");
    }
}

#[test]
fn c71_a_tag_like_the_id_is_not_repeated_and_does_not_count() {
    let (_host, object) = world();
    let mut client = object.connect("?_pk=x&tags=0,x,1,2,3,4,x,5,6,7,8");
    assert_eq!(ask(&mut client, "tags"), "x,0,1,2,3,4,5,6,7,8");
}

#[test]
fn c72_a_lookup_finds_an_open_connection_by_its_id_alone() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut client = object.connect("?_pk=x&tags=admin");
        assert_eq!(ask(&mut client, "find x"), "one");
        assert_eq!(ask(&mut client, "find admin"), "none");
        assert_eq!(ask(&mut client, "find nobody"), "none");
    });
}

#[test]
fn c73_twins_under_one_id_both_live_and_the_newer_is_found() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut older = object.connect("?_pk=x");
        let mut newer = object.connect("?_pk=x&newer");
        assert_eq!(ask(&mut older, "find x"), "the newer");
        assert_eq!(ask(&mut older, "all"), "x,x");
        older.send("broadcast to all");
        assert_eq!((older.next_text(), newer.next_text()), ("to all".to_owned(), "to all".to_owned()));
        newer.close(1000, "");
        assert_eq!(older.next_text(), "x left 1 behind");
        assert_eq!(ask(&mut older, "find x"), "one");
    });
}

#[test]
fn c78_c79_a_broadcast_reaches_everybody_but_those_that_are_left_out() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut clients: Vec<Client> = ["x", "y", "z"].iter().map(|id| object.connect(&format!("?_pk={id}"))).collect();
        clients[0].send("broadcast hello");
        for client in &mut clients {
            assert_eq!(client.texts(), ["hello"]);
        }
        clients[0].send("without x,z,nobody");
        let received: Vec<usize> = clients.iter_mut().map(|client| client.frames().len()).collect();
        assert_eq!(received, [0, 1, 0]);
        let bytes = vec![0, 159, 146, 150, 255];
        clients[1].send(bytes.clone());
        for client in &mut clients {
            assert_eq!(client.next_binary(), bytes);
        }
    });
}

#[test]
fn c80_who_leaves_is_in_no_list_and_gets_no_broadcast_of_its_close_hook() {
    common::with_and_without_auto_reply(|host| {
        let object = host.agent::<Room>("a");
        let mut stays = object.connect("?_pk=stays");
        for leave in [Client::cut as fn(&mut Client), |client| client.close(1000, ""), |client| client.fail("reset")] {
            let mut leaves = object.connect("?_pk=leaves");
            leave(&mut leaves);
            assert_eq!(stays.next_text(), "leaves left 1 behind");
            leaves.expect_no_frame();
        }
        assert_eq!(notes(), ["found false"; 3]);
    });
}

#[test]
fn c81_a_broken_socket_costs_nobody_else_the_broadcast() {
    let (host, object) = world();
    let mut clients: Vec<Client> = ["a", "broken", "cut", "z"].iter().map(|id| object.connect(&format!("?_pk={id}"))).collect();
    clients[1].break_sends("the pipe is gone");
    clients[2].cut();
    clients[0].send("broadcast hello");
    // The cut is under way before the message, so its close hook has run.
    assert_eq!(clients[0].texts(), ["cut left 3 behind", "hello"]);
    assert_eq!(clients[3].texts(), ["cut left 3 behind", "hello"]);
    let told = host.log().iter().filter(|line| line.contains("the pipe is gone") && line.contains("\"broken\"")).count();
    assert_eq!(told, 2, "{:?}", host.log());
}

#[test]
fn who_was_closed_by_the_agent_is_gone_for_it_at_once() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut kicker = object.connect("?_pk=kicker");
        let mut kicked = object.connect("?_pk=kicked");
        kicked.hold_close_answer();
        assert_eq!(ask(&mut kicker, "kick kicked"), "kicker left, send: true");
        assert_eq!(kicked.close_event().code, 4000);
        // And stays gone in the next wake, though its socket has not closed yet.
        assert_eq!(ask(&mut kicker, "all"), "kicker");
        assert_eq!(ask(&mut kicker, "find kicked"), "none");
        kicker.send("broadcast hello");
        assert_eq!(kicker.next_text(), "hello");
        kicked.expect_no_frame();
        kicked.answer_close();
        assert_eq!(kicker.next_text(), "kicked left 1 behind");
    });
}

#[test]
fn an_id_that_cannot_be_a_tag_is_refused_before_any_hook_is_asked() {
    agent!(Curious: (), (), ();
        async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<Vec<String>> {
            note("asked");
            Ok(vec![])
        }
    );
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Curious>("a");
    assert_eq!(object.connect(&format!("?_pk={}", "x".repeat(MAX_TAG_BYTES + 1))).close_event().code, 1011);
    assert_eq!(notes(), Vec::<String>::new());
    object.connect(&format!("?_pk={}", "x".repeat(MAX_TAG_BYTES)));
    assert_eq!(notes(), ["asked"]);
}

#[test]
fn a_message_to_some_says_how_many_took_it() {
    for_every_eviction(|host| {
        let object = host.agent::<Room>("a");
        let mut admin = object.connect("?_pk=x&tags=admin");
        let mut staff = object.connect("?_pk=y&tags=staff");
        let _gone = object.connect("?_pk=gone&tags=others");
        assert_eq!(ask(&mut admin, "send-to staff"), "1");
        assert_eq!(staff.next_text(), "to some");
        assert_eq!(ask(&mut admin, "send-to nobody"), "gone left 2 behind");
        assert_eq!(admin.next_text(), "0");
    });
}
