//! SessionAgent: what clients see, what survives a crash, and what is bounded.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]

use std::time::Duration;

use agents_worker::session::{
    HEARTBEAT, KEPT_FRAME_AGE, MAX_ANSWERS, MAX_EXCHANGES, MAX_HISTORY_BYTES, MAX_KEPT_BYTES, MAX_KEPT_FRAMES, MAX_SESSIONS,
    SESSION_AGE_MS,
};
use durable_agents::testing::{Client, CrashPoint, MemoryHost, Object};

#[path = "support/chat_completions.rs"]
mod chat_completions;
#[path = "support/crashes.rs"]
mod crashes;
#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/session.rs"]
mod scenarios;
use crashes::for_every_crash;
use plain::plain;
use scenarios::{Upstream, agent, all_told, ask, cancel, converse, join, resume, started, told, turns};

scenarios::session_scenarios!(plain);

/// Number of frames that are kept of all sessions, and their bytes.
fn kept(agent: &Object) -> (u64, usize) {
    let sum = "SELECT COUNT(frame), COALESCE(SUM(LENGTH(CAST(frame AS BLOB))), 0) FROM cf_resume_log WHERE seq > 0";
    agent.sql(sum, ()).one().expect("a row")
}

fn sessions(agent: &Object) -> u64 {
    agent.sql("SELECT COUNT(*) FROM sessions", ()).one().expect("a row")
}

#[test]
fn the_newest_4096_frames_are_kept() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let (mut client, id) = started(&agent);
    for number in 0..MAX_KEPT_FRAMES / 2 {
        cancel(&mut client, "c");
        // No faster than a client may.
        if number % 50 == 0 {
            host.advance(Duration::from_secs(1));
        }
    }
    assert_eq!(client.frames().len(), 4_096);
    assert_eq!(kept(&agent).0, 4_096);
    let (mut client, resumed) = resume(&agent, &id, "");
    assert_eq!(resumed, "session:resumed what is left: 4096");
    assert_eq!(all_told(&mut client)[0], "2 agent:cancelled @c");
    for (last_seq, resumed) in [("0", "what is left: 4096"), ("1", "all of 4096"), ("4096", "all of 1"), ("4097", "all of 0")] {
        assert_eq!(resume(&agent, &id, &format!("&lastSeq={last_seq}")).1, format!("session:resumed {resumed}"), "{last_seq}");
    }
}

#[test]
fn kept_frames_take_no_more_than_their_bytes() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, id) = started(&agent);
    for _ in 0..5 {
        ask(&mut client, "more", "m");
        host.run_until_idle();
        upstream.say(&"x".repeat(250_000));
        upstream.end();
        assert_eq!(client.frames().len(), 5);
        assert!(kept(&agent).1 <= MAX_KEPT_BYTES);
    }
    let (frames, size_bytes) = kept(&agent);
    assert!(frames > 15 && size_bytes > MAX_KEPT_BYTES - 260_000, "{frames} frames of {size_bytes} bytes");
    assert_eq!(resume(&agent, &id, "&lastSeq=0").1, format!("session:resumed what is left: {frames}"));
    assert_eq!(resume(&agent, &id, "&lastSeq=11").1, "session:resumed all of 15");
}

#[test]
fn frames_are_kept_for_an_hour() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let (mut client, id) = started(&agent);
    host.advance(KEPT_FRAME_AGE);
    assert_eq!(resume(&agent, &id, "&lastSeq=0").1, "session:resumed all of 1");
    host.advance(Duration::from_millis(1));
    assert_eq!(resume(&agent, &id, "&lastSeq=0").1, "session:resumed what is left: 0");
    assert_eq!(resume(&agent, &id, "").1, "session:resumed what is left: 0");
    assert_eq!(resume(&agent, &id, "&lastSeq=1").1, "session:resumed all of 0");
    client.frames();
    let (mut client, _) = resume(&agent, &id, "&lastSeq=1");
    cancel(&mut client, "c");
    assert_eq!(all_told(&mut client), ["2 agent:cancelled @c", "3 status:update idle @c"], "numbers go on");
    assert_eq!(kept(&agent).0, 2);
    assert_eq!(resume(&agent, &id, "&lastSeq=0").1, "session:resumed what is left: 2");
}

#[test]
fn a_session_is_forgotten_a_day_after_its_last_socket_has_gone() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, id) = started(&agent);
    converse(&host, &upstream, &mut client, "hi", "hello");
    client.close(1000, "");
    host.run_until_idle();
    host.advance(Duration::from_millis(SESSION_AGE_MS - 1));
    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=6");
    assert_eq!(resumed, "session:resumed all of 0");
    client.cut();
    host.run_until_idle();
    host.advance(Duration::from_millis(SESSION_AGE_MS));
    let mut client = agent.connect(&format!("?sessionId={id}&lastSeq=6"));
    assert_ne!(client.next_json()["payload"]["clientId"], id);
    assert_eq!(told(&mut client), "session:resumed what is left: 0");
    // At the next wake, or heartbeat, the old one's rows go.
    agent.evict();
    client.send(r#"{"type":"ping"}"#);
    assert_eq!(told(&mut client), "pong");
    assert_eq!((sessions(&agent), kept(&agent).0, history_rows(&agent)), (1, 0, 0), "nothing of the old one is left");
}

fn history_rows(agent: &Object) -> u64 {
    agent.sql("SELECT COUNT(*) FROM session_history", ()).one().expect("a row")
}

#[test]
fn who_was_connected_for_days_is_not_forgotten_after_a_crash() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let ((mut client, id), (mut silent, silent_id)) = (started(&agent), started(&agent));
    client.cut();
    silent.cut();
    host.run_until_idle();
    let (mut client, _) = resume(&agent, &id, "");
    for _ in 0..2_000 {
        host.advance(Duration::from_secs(60) - HEARTBEAT / 2);
        client.send("ping");
    }
    assert!(client.is_open());
    assert_eq!(sessions(&agent), 1, "the other one was forgotten");
    agent.crash();
    host.advance(HEARTBEAT);
    assert_eq!(agent.alarm_ms(), None);
    host.advance(Duration::from_millis(SESSION_AGE_MS) - HEARTBEAT);
    assert_ne!(agent.connect(&format!("?sessionId={silent_id}")).next_json()["payload"]["clientId"], silent_id);
    assert_eq!(resume(&agent, &id, "&lastSeq=1").1, "session:resumed all of 0");

    // A crash counts like a socket that is lost.
    agent.crash();
    host.advance(HEARTBEAT + Duration::from_millis(SESSION_AGE_MS));
    assert_ne!(agent.connect(&format!("?sessionId={id}")).next_json()["payload"]["clientId"], id);
}

#[test]
fn a_session_is_not_forgotten_while_its_answer_goes_on() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let ((mut client, id), (mut other, _)) = (started(&agent), join(&agent));
    ask(&mut client, "hi", "m");
    host.run_until_idle();
    client.cut();
    let step = Duration::from_secs(50);
    for _ in 0..SESSION_AGE_MS / 50_000 + 2 {
        host.advance(step);
        other.send("ping");
        upstream.say("b");
        host.run_until_idle();
    }
    let (mut client, _) = resume(&agent, &id, "");
    upstream.end();
    assert!(all_told(&mut client).last().is_some_and(|last| last.ends_with("status:update idle @m")));
}

#[test]
fn who_asks_too_much_at_once_is_told_and_stays() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let ((mut client, id), (mut other, _)) = (started(&agent), started(&agent));
    // The first was the start.
    for _ in 1..500 {
        cancel(&mut client, "c");
    }
    assert!(all_told(&mut client).iter().all(|frame| !frame.starts_with("error")));
    agent.evict();
    let frames = kept(&agent);
    for _ in 0..2_000 {
        cancel(&mut client, "c");
    }
    let too_many = "error Too many requests, try again later @c";
    assert!(all_told(&mut client).iter().all(|frame| frame == too_many));
    assert_eq!(kept(&agent), frames, "nothing was written");
    client.send(r#"{"type":"ping"}"#);
    client.send(r#"{"type":"agent:stop"}"#);
    assert_eq!(all_told(&mut client), ["pong", "error Unknown message type: agent:stop"]);
    cancel(&mut other, "c");
    assert_eq!(all_told(&mut other), ["2 agent:cancelled @c", "3 status:update idle @c"]);

    host.advance(Duration::from_secs(1));
    for _ in 0..51 {
        cancel(&mut client, "c");
    }
    let mut told = all_told(&mut client);
    assert_eq!((told.pop().as_deref(), told.len()), (Some(too_many), 100));
    assert!(client.is_open());
    assert_eq!(resume(&agent, &id, "&lastSeq=0").1, "session:resumed all of 1099");
}

#[test]
fn an_instance_has_an_end_to_its_answers() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let mut clients: Vec<_> = (0..MAX_ANSWERS).map(|_| started(&agent).0).collect();
    for client in &mut clients {
        ask(client, "hi", "m");
        host.run_until_idle();
        assert_eq!(told(client), "2 status:update thinking @m");
    }
    let (mut late, _) = started(&agent);
    ask(&mut late, "hi", "l");
    assert_eq!(all_told(&mut late), ["error Too many messages are being answered, try again later @l"]);
    assert_eq!(upstream.asked(), MAX_ANSWERS);
    cancel(&mut clients[7], "c");
    converse(&host, &upstream, &mut late, "hi", "hello");
    assert_eq!(upstream.asked(), MAX_ANSWERS + 1);
}

/// Fills an instance that has room for so many more sessions with some whose clients stay, and counts those.
fn fill(agent: &Object, room: usize) -> Vec<Client> {
    (0..room).map(|_| join(agent).0).collect()
}

fn is_known(agent: &Object, id: &str) -> bool {
    let known: Option<u8> = agent.sql("SELECT 1 FROM sessions WHERE id = ?", (id,)).optional().expect("SQL");
    known.is_some()
}

#[test]
fn a_full_instance_makes_room_by_sessions_whose_clients_have_left() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let leave = |mut client: Client| {
        client.close(1000, "");
        host.advance(Duration::from_millis(1));
    };
    let (mut talked, talked_id) = started(&agent);
    converse(&host, &upstream, &mut talked, "hi", "hello");
    leave(talked);
    let (unused, unused_id) = join(&agent);
    leave(unused);
    let (idle, idle_id) = started(&agent);
    leave(idle);
    let (mut late_talked, late_talked_id) = started(&agent);
    converse(&host, &upstream, &mut late_talked, "hi", "hello");
    leave(late_talked);
    let (mut busy, busy_id) = started(&agent);
    ask(&mut busy, "hi", "m");
    host.run_until_idle();
    leave(busy);
    let mut clients = fill(&agent, MAX_SESSIONS - 5);
    let known = || [&unused_id, &idle_id, &talked_id, &late_talked_id, &busy_id].map(|id| is_known(&agent, id));
    assert_eq!((sessions(&agent), known()), (1_000, [true; 5]));

    for gone in 1..=4 {
        clients.push(join(&agent).0);
        let left = [1, 2, 3, 4, 5].map(|place| place > gone);
        assert_eq!((sessions(&agent), known()), (1_000, left));
    }
    let close = agent.connect("").close_event();
    assert_eq!((close.code, close.reason.as_str()), (1013, "Too many sessions"), "of the others none has left and is at rest");
    let close = agent.connect(&format!("?sessionId={unused_id}")).close_event();
    assert_eq!(close.code, 1013, "it is unknown now");
    assert!(clients.iter_mut().all(|client| client.is_open()));
    assert_eq!(resume(&agent, &busy_id, "").1, "session:resumed all of 2");
    clients[7].close(1000, "");
    join(&agent);
}

#[test]
fn sessions_that_were_only_started_lock_nobody_out() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    for _ in 0..MAX_SESSIONS {
        started(&agent).0.close(1000, "");
    }
    let (mut client, _) = started(&agent);
    cancel(&mut client, "c");
    assert_eq!(all_told(&mut client).len(), 2);
    assert_eq!((sessions(&agent), kept(&agent).0), (1_000, 1_002), "what was kept of the other is gone with it");
}

#[test]
fn a_model_is_reminded_of_the_newest_50_exchanges() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, _) = started(&agent);
    for number in 0..MAX_EXCHANGES + 2 {
        converse(&host, &upstream, &mut client, &format!("question {number}"), &format!("answer {number}"));
    }
    let said = upstream.conversation();
    assert_eq!(said.len(), 101);
    assert_eq!((said[0].1.as_str(), said[100].1.as_str()), ("question 1", "question 51"));
    assert_eq!(history_rows(&agent), MAX_EXCHANGES);

    for _ in 0..4 {
        converse(&host, &upstream, &mut client, "long", &"y".repeat(200_000));
    }
    let bytes: u64 = agent.sql("SELECT SUM(LENGTH(question) + LENGTH(answer)) FROM session_history", ()).one().expect("a row");
    assert!(bytes <= MAX_HISTORY_BYTES && bytes > MAX_HISTORY_BYTES - 200_010, "{bytes}");
}

#[test]
fn an_answer_that_a_crash_ends_is_an_error_at_the_next_wake() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, id) = started(&agent);
    converse(&host, &upstream, &mut client, "hi", "hello");
    ask(&mut client, "Tell me more.", "m2");
    host.run_until_idle();
    upstream.say("One thing");
    assert_eq!(all_told(&mut client).len(), 3);
    agent.crash();
    assert!(upstream.is_aborted());
    assert_eq!(client.close_event().code, 1006);

    let (mut client, resumed) = resume(&agent, &id, "&lastSeq=9");
    assert_eq!(resumed, "session:resumed all of 2");
    let frames = ["10 stream:error The answer was interrupted: the agent was restarted @m2", "11 status:update error @m2"];
    assert_eq!(all_told(&mut client), frames);
    agent.evict();
    client.send(r#"{"type":"ping"}"#);
    assert_eq!(all_told(&mut client), ["pong"], "it is told once");
    converse(&host, &upstream, &mut client, "And?", "So.");
    assert_eq!(upstream.conversation(), turns(&["hi", "hello", "And?"]));
}

#[test]
fn wherever_the_object_crashes_nothing_is_told_that_is_not_kept() {
    for_every_crash(|point| {
        let host = MemoryHost::new();
        let (agent, upstream) = (agent(&host), Upstream::of(&host));
        let (mut client, id) = started(&agent);
        agent.crash_at(point);
        ask(&mut client, "hi", "m");
        host.run_until_idle();
        if upstream.asked() > 0 {
            upstream.say("hello");
            host.run_until_idle();
            upstream.end();
        }
        let told = all_told(&mut client);
        let crashed = agent.crashes() > 0;
        // What comes now is only to look.
        agent.crash_at(CrashPoint::StorageCall(u64::MAX));
        let (mut client, resumed) = resume(&agent, &id, "");
        assert!(resumed.starts_with("session:resumed all of "), "{point:?}: {resumed}");
        let kept = all_told(&mut client);
        assert_eq!(kept[1..=told.len()], told, "{point:?}");
        let seqs: Vec<String> = (1..=kept.len()).map(|seq| seq.to_string()).collect();
        let kept_seqs: Vec<&str> = kept.iter().filter_map(|frame| frame.split(' ').next()).collect();
        assert_eq!(kept_seqs, seqs, "{point:?}");
        let end = kept.last().map(String::as_str).unwrap_or_default();
        let at_rest = [" agent:started", " status:update idle @m", " status:update error @m"];
        assert!(at_rest.iter().any(|rest| end.ends_with(rest)), "{point:?}: {kept:?}");
        // An answer that was told whole is remembered.
        converse(&host, &upstream, &mut client, "again", "yes");
        let remembered = upstream.conversation().len() == 3;
        assert_eq!(remembered, kept.iter().any(|frame| frame.contains("stream:complete")), "{point:?}");
        crashed
    });
}

#[test]
fn a_request_that_cannot_be_stored_is_answered_and_costs_nothing_else() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, _) = started(&agent);
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON cf_resume_log BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    agent.sql(refuse, ()).execute().expect("a trigger");
    ask(&mut client, "hi", "m");
    cancel(&mut client, "c");
    let not_done = "error The request could not be handled, try again";
    assert_eq!(all_told(&mut client), [format!("{not_done} @m"), format!("{not_done} @c")]);
    agent.sql("DROP TRIGGER full", ()).execute().expect("no trigger");
    assert_eq!(upstream.asked(), 0);
    converse(&host, &upstream, &mut client, "hi", "hello");
    assert_eq!(upstream.conversation(), turns(&["hi"]));
}

#[test]
fn a_stream_that_cannot_be_stored_ends_and_lets_the_model_go() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, _) = started(&agent);
    ask(&mut client, "hi", "m");
    host.run_until_idle();
    upstream.say("a");
    assert_eq!(all_told(&mut client).len(), 3);
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON cf_resume_log BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    agent.sql(refuse, ()).execute().expect("a trigger");
    upstream.say("b");
    client.expect_no_frame();
    assert!(upstream.is_aborted());
    agent.sql("DROP TRIGGER full", ()).execute().expect("no trigger");
    converse(&host, &upstream, &mut client, "again", "yes");
}

#[test]
fn a_panic_in_the_model_is_a_failed_answer() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, _) = started(&agent);
    host.serve_url("https://model.test/broken", |_| async { panic!("no words") });
    host.set_var("MODEL_BASE_URL", "https://model.test/broken");
    ask(&mut client, "hi", "m");
    let frames = ["2 status:update thinking @m", "3 stream:error The answer failed @m", "4 status:update error @m"];
    assert_eq!(all_told(&mut client), frames);
    host.set_var("MODEL_BASE_URL", "https://model.test/v1");
    converse(&host, &upstream, &mut client, "hi", "hello");
}

#[test]
fn silent_sockets_are_closed_after_two_periods() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let ((mut silent, id), (mut pinging, _), (mut talking, _)) = (join(&agent), join(&agent), join(&agent));
    silent.hold_close_answer();
    for _ in 0..4 {
        host.advance(Duration::from_secs(15));
        pinging.send("ping");
        talking.send(r#"{"type":"ping"}"#);
        host.run_until_idle();
    }
    host.advance(HEARTBEAT);
    let close = silent.close_event();
    assert_eq!((close.code, close.reason.as_str()), (4008, "No sign of life"));
    assert_eq!((pinging.texts().len(), talking.frames().len()), (4, 4));
    assert!(pinging.is_open() && talking.is_open());
    assert_eq!(resume(&agent, &id, "").1, "session:resumed all of 0", "the session stays");
}

#[test]
fn a_ping_does_not_wake_the_agent() {
    let host = MemoryHost::new();
    let agent = agent(&host);
    let (mut client, _) = join(&agent);
    agent.evict();
    let wakes = agent.wakes();
    for _ in 0..3 {
        client.send("ping");
        assert_eq!(client.next_text(), "pong");
    }
    assert_eq!((agent.wakes(), agent.is_running()), (wakes, false));
    // The alarm does, and finds the life that the runtime took note of.
    host.advance(HEARTBEAT * 2 - Duration::from_secs(1));
    client.send("ping");
    host.advance(HEARTBEAT);
    assert!(client.is_open());
    assert!(agent.wakes() > wakes);
}

#[test]
fn the_alarm_is_there_only_while_somebody_is_connected() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    assert_eq!(agent.get("").status, 404);
    assert_eq!(agent.alarm_ms(), None);
    let ((mut ada, _), (mut bob, _)) = (started(&agent), join(&agent));
    assert_eq!(agent.alarm_ms(), Some(host.now_ms() + 30_000));
    ada.close(1000, "");
    host.run_until_idle();
    assert_eq!(agent.alarm_ms(), Some(host.now_ms() + 30_000));
    bob.cut();
    host.run_until_idle();
    assert_eq!(agent.alarm_ms(), None);

    // An answer that goes on needs one, to stay in memory.
    let (mut client, id) = started(&agent);
    ask(&mut client, "hi", "m");
    host.run_until_idle();
    client.cut();
    host.run_until_idle();
    assert!(agent.alarm_ms().is_some());
    host.advance(Duration::from_secs(50));
    assert!(agent.alarm_ms().is_some() && !upstream.is_aborted() && !agent.try_evict());
    upstream.say("hello");
    upstream.end();
    host.run_until_idle();
    assert_eq!(agent.alarm_ms(), None);
    assert_eq!(resume(&agent, &id, "&lastSeq=2").1, "session:resumed all of 4");
    host.advance(HEARTBEAT * 4);
    assert_eq!((agent.sockets(), agent.alarm_ms()), (0, None), "the last one was silent");

    let (_client, _) = join(&agent);
    agent.crash();
    host.advance(HEARTBEAT);
    assert_eq!(agent.alarm_ms(), None, "nobody was left to say goodbye");
}

#[test]
fn ids_of_sessions_are_in_no_log() {
    let host = MemoryHost::new();
    let (agent, upstream) = (agent(&host), Upstream::of(&host));
    let (mut client, id) = started(&agent);
    ask(&mut client, "hi", "m");
    host.run_until_idle();
    upstream.cut();
    assert_eq!(all_told(&mut client).len(), 3);
    let (_client, _) = resume(&agent, &id, "&lastSeq=x");
    let log = host.log().concat();
    assert!(log.contains("broke off"), "{log}");
    assert!(!log.contains(&id), "{log}");
}
