//! ChatAgent: what clients see, and what survives a crash.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::time::Duration;

use agents_worker::chat::{
    ChatAgent, MAX_CONNECTIONS, MAX_CONNECTIONS_OF_USER, MAX_EXPORT, MAX_IN_STATE, MAX_IN_TABLE, MAX_PARTICIPANTS,
};
use durable_agents::http::{Request, StatusCode};
use durable_agents::testing::{CrashPoint, MemoryHost, Object, Options};
use serde_json::{Value, json};

#[path = "support/crashes.rs"]
mod crashes;
#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/chat.rs"]
mod scenarios;
use crashes::for_every_crash;
use plain::plain;
use scenarios::{call, join, keep_in_state, pages, reply, say, texts};

scenarios::chat_scenarios!(plain);

fn state(chat: &Object) -> Value {
    let row: String = chat.sql("SELECT state FROM cf_agents_state WHERE id = 'cf_state_row_id'", ()).one().expect("a state");
    serde_json::from_str(&row).expect("JSON")
}

#[test]
fn the_newest_200_messages_are_in_the_state() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut ada = join(&chat, "?protocol=false");
    for number in 1..=MAX_IN_STATE + 30 {
        say(&mut ada, &number.to_string());
    }
    ada.frames();
    let in_state = state(&chat);
    let in_state = in_state["messages"].as_array().expect("messages");
    assert_eq!(in_state.len(), 200);
    assert_eq!((&in_state[0]["text"], &in_state[199]["text"]), (&json!("31"), &json!("230")));
    let pages = pages(&chat, "");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 50, 50, 30], "50 is the default");
    let newest_first: Vec<String> = (1..=230).rev().map(|number: u32| number.to_string()).collect();
    assert_eq!(pages.concat(), newest_first);
}

#[test]
fn large_messages_leave_the_state_earlier() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut ada = join(&chat, "?protocol=false");
    for number in 10..60 {
        // Each takes six bytes as JSON, on the way in and in the state.
        say(&mut ada, &format!("{number}{}", "\u{1}".repeat(1_300)));
    }
    assert_eq!(ada.texts().len(), 50);
    let in_state = state(&chat)["messages"].as_array().map(Vec::len);
    assert_eq!(in_state, Some(33), "as many as fit into 256 KiB");
    let numbers: Vec<u32> = pages(&chat, "limit=7").concat().iter().map(|text| text[..2].parse().expect("a number")).collect();
    assert_eq!(numbers, (10..60).rev().collect::<Vec<_>>());
}

#[test]
fn how_many_stay_in_the_state_is_remembered_and_checked() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    for wrong in [0, MAX_IN_STATE + 1] {
        assert_eq!(keep_in_state(&chat, wrong), StatusCode::INTERNAL_SERVER_ERROR, "{wrong}");
        let log = host.take_log().concat();
        assert!(log.contains(&format!("messagesInState must be from 1 to 200, not {wrong}")), "{log}");
    }
    assert_eq!(keep_in_state(&chat, 2), StatusCode::OK);
    chat.evict();
    let mut ada = join(&chat, "?protocol=false");
    for text in ["1", "2", "3"] {
        say(&mut ada, text);
    }
    ada.frames();
    assert_eq!(state(&chat)["messages"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_smaller_state_moves_all_that_is_too_much_at_once() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut ada = join(&chat, "?protocol=false");
    for text in ["1", "2", "3", "4", "5"] {
        say(&mut ada, text);
    }
    ada.frames();
    chat.evict();
    keep_in_state(&chat, 2);
    say(&mut ada, "6");
    ada.frames();
    assert_eq!(state(&chat)["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(pages(&chat, "limit=4"), [&["6", "5", "4", "3"][..], &["2", "1"]]);
}

#[test]
fn the_table_is_bounded() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    keep_in_state(&chat, 1);
    let full = "WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
        INSERT INTO chat_history SELECT seq, 'id', seq, 'ada', 0 FROM n";
    chat.sql(full, (MAX_IN_TABLE,)).execute().expect("rows");
    let mut ada = join(&chat, "?protocol=false");
    for text in ["a", "b", "c"] {
        say(&mut ada, text);
    }
    ada.frames();
    let range: (u64, u64, u64) = chat.sql("SELECT MIN(seq), MAX(seq), COUNT(*) FROM chat_history", ()).one().expect("a row");
    assert_eq!(range, (3, MAX_IN_TABLE + 2, MAX_IN_TABLE));
    assert_eq!(pages(&chat, "before=6"), [["5", "4", "3"]], "the end is where rows end");
}

#[test]
fn a_full_chat_lets_in_those_who_are_here_already() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut clients: Vec<_> =
        (0..MAX_PARTICIPANTS).map(|number| chat.connect(&format!("?protocol=false&userId={number}"))).collect();
    let mut late = chat.connect("?protocol=false&userId=late");
    let close = late.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "The chat is full"));
    late.expect_no_frame();
    assert!(chat.connect("?protocol=false&userId=7").is_open());
    assert_eq!(state(&chat)["participants"].as_array().map(Vec::len), Some(MAX_PARTICIPANTS));

    clients[8].close(1000, "");
    assert!(chat.connect("?protocol=false&userId=late").is_open());
}

#[test]
fn a_chat_has_an_end_to_its_connections() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS).map(|_| chat.connect("?protocol=false")).collect();
    for query in ["?protocol=false", "?protocol=false&userId=late"] {
        let mut late = chat.connect(query);
        let close = late.close_event();
        assert_eq!((close.code, close.reason.as_str()), (1013, "The chat is full"));
        late.expect_no_frame();
    }
    assert_eq!(state(&chat)["participants"], json!(["anonymous"]));
    assert!(clients.iter_mut().all(|client| client.is_open()));
    clients[8].close(1000, "");
    assert!(chat.connect("?protocol=false&userId=late").is_open());
}

#[test]
fn a_user_by_token_has_an_end_to_its_connections_and_takes_nobodys() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let chat = host.agent::<ChatAgent>("lobby");
    let join = |query: &str| chat.connect(&format!("?protocol=false&{query}"));
    let strangers: Vec<_> = (0..=MAX_CONNECTIONS_OF_USER).map(|_| join("userId=ada")).collect();
    assert!(strangers.into_iter().all(|mut stranger| stranger.is_open()), "it is anybody's name");

    host.set_var("CHAT_REQUIRE_TOKEN", "true");
    let chat = host.agent::<ChatAgent>("club");
    let join = |query: &str| chat.connect(&format!("?protocol=false&{query}"));
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS_OF_USER).map(|_| join("token=dev:ada")).collect();
    let mut late = join("token=dev:ada");
    let close = late.close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "Too many connections"));
    assert!(join("token=dev:bob").is_open());
    assert!(clients.iter_mut().all(|client| client.is_open()));
    clients[8].close(1000, "");
    assert!(join("token=dev:ada").is_open());
}

#[test]
fn who_says_too_much_at_once_is_told_and_stays() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    keep_in_state(&chat, 1);
    let (mut ada, mut bob) = (join(&chat, "?userId=ada&protocol=false"), join(&chat, "?userId=bob&protocol=false"));
    for number in 0..1_000 {
        say(&mut ada, &number.to_string());
    }
    assert!(ada.texts().iter().all(|frame| frame.contains("message_added")));
    let too_many = json!({ "type": "error", "message": "Too many messages, try again later" });
    chat.evict();
    say(&mut ada, "late");
    assert_eq!(ada.next_json(), too_many);
    call(&mut ada, "post", &json!(["late"]));
    let refused = json!({ "type": "rpc", "id": "1", "success": false, "error": "Too many messages, try again later" });
    assert_eq!(ada.next_json(), refused);
    ada.send(r#"{"type":"rpc","id":5,"method":"post","args":[]}"#);
    assert_eq!(ada.next_json(), too_many, "it is no call");
    ada.set_state(&json!({}));
    let refused = json!({ "type": "cf_agent_state_error", "error": "Too many messages, try again later" });
    assert_eq!(ada.next_json(), refused);
    say(&mut bob, "hi");
    assert_eq!(bob.next_json()["message"]["text"], "hi", "others have said nothing");
    host.advance(Duration::from_secs(1));
    for number in 0..20 {
        say(&mut ada, &number.to_string());
        assert_eq!(ada.next_json()["type"], "message_added");
    }
    say(&mut ada, "late");
    assert_eq!(ada.next_json(), too_many);
    assert!(ada.is_open());
    assert!(pages(&chat, "limit=100").concat().iter().all(|text| text != "late"));
}

#[test]
fn a_client_that_does_not_read_has_an_end_to_its_exports() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let (mut ada, mut bob) = (join(&chat, "?userId=ada&protocol=false"), join(&chat, "?userId=bob&protocol=false"));
    let long = "WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
        INSERT INTO chat_history SELECT seq, 'id', ?, 'ada', 0 FROM n";
    chat.sql(long, (MAX_EXPORT, "x".repeat(8_000))).execute().expect("rows");
    for _ in 0..50 {
        call(&mut ada, "export", &json!([]));
    }
    let frames: Vec<Value> = ada.texts().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    let (refused, sent): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| frame["success"] == false);
    assert_eq!(sent.len(), 20, "one list of 100, and the end, for each of 10");
    assert_eq!((&sent[0]["done"], &sent[1]["result"]), (&json!(false), &json!(100)), "here it goes on");
    assert_eq!(refused.len(), 40);
    assert!(refused.iter().all(|frame| frame["error"] == "Too many exports, try again later"));
    call(&mut bob, "export", &json!([100]));
    assert_eq!((reply(&mut bob)["done"].clone(), reply(&mut bob)["result"].clone()), (json!(false), json!(200)));
    host.advance(Duration::from_millis(200));
    call(&mut ada, "export", &json!([]));
    assert_eq!(reply(&mut ada)["done"], false);
}

#[test]
fn after_a_crash_participants_are_those_who_come_back() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let (mut ada, _bob) = (join(&chat, "?userId=ada"), join(&chat, "?userId=bob"));
    say(&mut ada, "before");
    ada.frames();
    chat.crash();
    assert_eq!(state(&chat)["participants"], json!(["ada", "bob"]), "nobody was left to tell");

    let mut ada = chat.connect("?userId=ada");
    assert_eq!(ada.next_json()["state"]["participants"], json!(["ada"]));
    assert_eq!(ada.next_json()["participants"], json!(["ada"]));
    assert_eq!(pages(&chat, ""), [["before"]]);
}

#[test]
fn after_a_crash_a_request_is_enough_to_set_the_participants_right() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let _ada = join(&chat, "?userId=ada");
    chat.crash();
    chat.get("/history");
    assert_eq!(state(&chat)["participants"], json!([]));
}

#[test]
fn participants_come_from_the_connections_where_the_state_was_lost() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut bob = join(&chat, "?userId=bob");
    let mut ada = join(&chat, "?userId=ada");
    chat.evict();
    chat.sql("UPDATE cf_agents_state SET state = 'broken'", ()).execute().expect("a row");
    say(&mut ada, "hi");
    ada.frames();
    assert_eq!(state(&chat)["participants"], json!(["ada", "bob"]));
    assert!(bob.is_open());
}

#[test]
fn a_message_is_stored_whole_or_not_at_all_wherever_the_object_crashes() {
    for_every_crash(|point| {
        let host = MemoryHost::new();
        let chat = host.agent::<ChatAgent>("lobby");
        keep_in_state(&chat, 2);
        let mut ada = join(&chat, "?protocol=false");
        for text in ["1", "2", "3"] {
            say(&mut ada, text);
        }
        ada.frames();
        chat.crash_at(point);
        say(&mut ada, "4");
        let told = !ada.texts().is_empty();
        let crashed = chat.crashes() > 0;
        // What comes now is only to look.
        chat.crash_at(CrashPoint::StorageCall(u64::MAX));
        let stored = pages(&chat, "limit=1").concat();
        let was = ["3", "2", "1"].map(str::to_owned);
        let is = ["4", "3", "2", "1"].map(str::to_owned);
        assert!(stored == was || stored == is, "{point:?}: {stored:?}");
        assert!(!told || stored == is, "{point:?}: told of what is not stored");
        crashed
    });
}

#[test]
fn a_message_that_cannot_be_stored_is_answered_and_leaves_no_trace() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    keep_in_state(&chat, 2);
    let (mut ada, mut bob) = (join(&chat, "?userId=ada"), join(&chat, "?userId=bob"));
    ada.frames();
    let not_accepted = json!({ "type": "error", "message": "The message was not accepted, try again" });
    let refuse = |table: &str, event: &str| {
        format!("CREATE TRIGGER full BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    };
    for text in ["1", "2", "3"] {
        say(&mut ada, text);
    }
    ada.frames();
    bob.frames();
    for (table, event) in [("chat_history", "INSERT"), ("cf_agents_state", "INSERT")] {
        chat.sql(&refuse(table, event), ()).execute().expect("a trigger");
        say(&mut ada, "lost");
        assert_eq!(ada.next_json(), not_accepted, "{table}");
        bob.expect_no_frame();
        chat.sql("DROP TRIGGER full", ()).execute().expect("no trigger");
        assert_eq!(pages(&chat, "limit=1").concat(), ["3", "2", "1"], "{table}");
    }
    say(&mut ada, "4");
    assert_eq!(bob.next_json()["state"]["messages"][1]["text"], "4");
    assert_eq!(pages(&chat, "limit=1").concat(), ["4", "3", "2", "1"]);
}

#[test]
fn a_message_is_accepted_though_older_ones_cannot_be_looked_after() {
    for statement in ["DELETE FROM chat_history WHERE seq <=", "INTO cf_agents_schedules"] {
        let host = MemoryHost::new();
        let chat = host.agent::<ChatAgent>("lobby");
        keep_in_state(&chat, 1);
        let mut ada = join(&chat, "?userId=ada");
        say(&mut ada, "1");
        ada.frames();
        chat.refuse_storage(Some(statement));
        say(&mut ada, "2");
        assert_eq!(ada.next_json()["state"]["messages"][0]["text"], "2", "{statement}");
        assert_eq!(ada.next_json()["type"], "message_added", "{statement}");
        assert!(host.log().concat().contains("old messages could not be looked after"), "{statement}");
        chat.refuse_storage(None);
        say(&mut ada, "3");
        assert_eq!(pages(&chat, "limit=1").concat(), ["3", "2", "1"], "{statement}");
        let schedules: u32 = chat.sql("SELECT COUNT(*) FROM cf_agents_schedules", ()).one().expect("SQL");
        assert_eq!(schedules, 1, "{statement}");
    }
}

#[test]
fn an_unusable_token_configuration_is_in_the_log_and_lets_nobody_in() {
    let host = MemoryHost::new();
    host.set_var("CHAT_REQUIRE_TOKEN", "true");
    host.set_var("JWT_ALGORITHM", "RS512");
    let chat = host.agent::<ChatAgent>("lobby");
    assert_eq!(chat.connect("?token=dev:ada").close_event().code, 4001);
    let log = host.log().concat();
    assert!(log.contains(r#"JWT_ALGORITHM "RS512" is not supported"#), "{log}");
    assert!(!log.contains("dev:ada"), "{log}");
}

#[test]
fn the_chat_is_the_default_agent() {
    let host = MemoryHost::new();
    host.bind::<ChatAgent>();
    let options = Options::new().default_agent(agents_worker::routes::DEFAULT_AGENT);
    let get = |path: &str| host.route(Request::get(path), &options).map(|answer| answer.status);
    assert_eq!(get("/agents/nope/history"), Some(StatusCode::OK));
    assert_eq!(get("/agents/chat-agent/nope/history"), Some(StatusCode::OK));
    assert_eq!(get("/agents/nope/a"), Some(StatusCode::NOT_FOUND));
    assert_eq!(get("/elsewhere"), None);
}

#[test]
fn a_long_export_goes_on_where_it_ended() {
    let host = MemoryHost::new();
    let chat = host.agent::<ChatAgent>("lobby");
    let mut ada = join(&chat, "?userId=ada&protocol=false");
    for number in 0..MAX_EXPORT + 2 {
        say(&mut ada, &number.to_string());
    }
    ada.frames();
    let mut export = |args: Value| {
        call(&mut ada, "export", &args);
        let mut messages = Vec::new();
        loop {
            let frame = reply(&mut ada);
            if frame["done"] == true {
                return (messages, frame["result"].clone());
            }
            messages.extend(texts(&frame["result"]).into_iter().map(str::to_owned));
        }
    };
    let (first, next) = export(json!([]));
    assert_eq!((first.len(), next), (MAX_EXPORT, json!(MAX_EXPORT)));
    let (rest, end) = export(json!([MAX_EXPORT]));
    assert_eq!((rest, end), (vec!["500".to_owned(), "501".to_owned()], Value::Null));
}
