//! A client that comes back gets what it has missed, in order and within limits; one that does not ask sees no difference.

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
use durable_agents_core::resume::{Resume, ResumeLimits, ResumeLog, Since};
use durable_agents_core::testing::{Client, CrashPoint, MemoryHost, Object, for_every_eviction};
use durable_agents_core::{Connection, Context, Message, Result};
use serde_json::{Value, json};

const LIMITS: ResumeLimits = ResumeLimits::new().max_frames(5).max_bytes(100).max_age(Duration::from_secs(60));
const RESUME: Resume = Resume::new(LIMITS);

// Broadcasts what it gets; `slow` in the URL lets it wait in its connect hook, before the greeting.
agent!(News: (), (), ();
    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        if request.url().query_param("slow").is_some() {
            cx.sleep(Duration::from_secs(1)).await;
        }
        RESUME.greet(cx, connection, request)
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, _: &Request) -> Result<bool> {
        Ok(false)
    }

    async fn on_message(&self, cx: &Context<Self>, _: &Connection<Self>, message: Message) -> Result<()> {
        Ok(RESUME.broadcast(cx, message)?)
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        match cx.sub_path(&request) {
            "prune" => RESUME.log(cx).prune()?,
            "clear" => RESUME.log(cx).clear()?,
            text => RESUME.broadcast(cx, text)?,
        }
        Ok(Response::text(""))
    }
);

fn say(object: &Object, texts: &[&str]) {
    for text in texts {
        assert_eq!(object.get(text).status, 200);
    }
}

/// What a client that resumes keeps.
struct Resuming {
    client: Client,
    epoch: String,
    seq: u64,
}

impl Resuming {
    /// Connects, and checks what it is told.
    fn connect(object: &Object, asked: &str, recovered: bool, missed: u64, lost: u64) -> Self {
        let mut client = object.connect(&format!("?resume={asked}"));
        let resumed = client.next_json();
        assert_eq!(resumed["type"], "da_resumed");
        assert_eq!(
            (&resumed["recovered"], &resumed["missed"], &resumed["lost"]),
            (&json!(recovered), &json!(missed), &json!(lost)),
            "{asked:?}"
        );
        let epoch = resumed["epoch"].as_str().expect("an epoch").to_owned();
        Self { client, epoch, seq: resumed["seq"].as_u64().expect("a number") }
    }

    fn position(&self) -> String {
        format!("{}.{}", self.epoch, self.seq)
    }

    /// The texts that have come, each numbered with the number after the last.
    fn texts(&mut self) -> Vec<String> {
        let frames = self.client.texts();
        let read = |frame: &String| {
            let frame: Value = serde_json::from_str(frame).expect("JSON");
            self.seq += 1;
            assert_eq!((&frame["type"], &frame["seq"]), (&json!("da_frame"), &json!(self.seq)));
            frame["text"].as_str().expect("text").to_owned()
        };
        frames.iter().map(read).collect()
    }
}

fn rows(object: &Object) -> u32 {
    if has_table(object) { object.sql("SELECT count(*) FROM cf_resume_log WHERE seq > 0", ()).one().expect("SQL") } else { 0 }
}

fn has_table(object: &Object) -> bool {
    object.sql("SELECT count(*) > 0 FROM sqlite_master WHERE name = 'cf_resume_log'", ()).one::<u32>().expect("SQL") == 1
}

#[test]
fn who_comes_back_gets_what_it_missed_and_then_what_comes() {
    for_every_eviction(|host| {
        let object = host.agent::<News>("a");
        let mut first = Resuming::connect(&object, "", true, 0, 0);
        say(&object, &["one", "two"]);
        assert_eq!(first.texts(), ["one", "two"]);
        first.client.cut();
        say(&object, &["three", "four"]);
        let mut second = Resuming::connect(&object, &first.position(), true, 2, 0);
        second.client.send("five");
        assert_eq!(second.texts(), ["three", "four", "five"]);
        assert_eq!(second.epoch, first.epoch);
        second.client.close(1000, "");
        assert_eq!(Resuming::connect(&object, &second.position(), true, 0, 0).texts(), [""; 0]);
    });
}

#[test]
fn who_does_not_ask_sees_frames_as_they_are_and_nothing_is_written_for_it() {
    for_every_eviction(|host| {
        let object = host.agent::<News>("a");
        let mut plain = object.connect("");
        plain.send("one");
        assert_eq!(plain.texts(), ["one"]);
        assert!(!has_table(&object));
        let mut resuming = Resuming::connect(&object, "", true, 0, 0);
        plain.send(vec![1, 255]);
        assert_eq!(plain.frames(), [Message::Binary(vec![1, 255])]);
        assert_eq!(resuming.client.next_text(), r#"{"type":"da_frame","seq":1,"base64":"Af8="}"#);
        assert_eq!(rows(&object), 1);
    });
}

#[test]
fn what_is_over_a_limit_is_lost_and_said_to_be() {
    let long = "x".repeat(40);
    for (texts, wait_s, missed, lost) in [
        (&["1", "2", "3", "4", "5"][..], 0, 5, 0),
        (&["1", "2", "3", "4", "5", "6", "7"], 0, 5, 2),
        (&[&long, &long, "1", "2"], 0, 4, 0),
        (&[&long, &long, &long, "1"], 0, 3, 1),
        (&["1", "2"], 60, 2, 0),
        (&["1", "2"], 61, 0, 2),
    ] {
        let host = MemoryHost::new();
        let object = host.agent::<News>("a");
        let mut client = Resuming::connect(&object, "", true, 0, 0);
        say(&object, &["0"]);
        client.texts();
        client.client.cut();
        say(&object, texts);
        host.advance(Duration::from_secs(wait_s));
        let mut again = Resuming::connect(&object, &client.position(), lost == 0, missed, lost);
        let kept = texts.len() - usize::try_from(missed).expect("few");
        assert_eq!(again.texts(), texts[kept..], "{texts:?} {wait_s}");
    }
}

#[test]
fn a_frame_that_is_itself_over_the_limit_reaches_those_who_are_here_and_costs_others_their_continuity() {
    let host = MemoryHost::new();
    let object = host.agent::<News>("a");
    let mut away = Resuming::connect(&object, "", true, 0, 0);
    away.client.cut();
    let mut here = Resuming::connect(&object, "", true, 0, 0);
    let huge = "x".repeat(101);
    say(&object, &["1", &huge, "2"]);
    assert_eq!(here.texts(), ["1", &huge, "2"]);
    let mut back = object.connect(&format!("?resume={}", away.position()));
    let seqs: Vec<Value> =
        back.texts().iter().map(|text| serde_json::from_str::<Value>(text).expect("JSON")["seq"].clone()).collect();
    assert_eq!(seqs, [0, 1, 3]);
    Resuming::connect(&object, &here.position(), true, 0, 0);
}

#[test]
fn a_position_that_is_not_of_this_log_gets_all_that_is_kept_and_has_not_recovered() {
    let host = MemoryHost::new();
    let object = host.agent::<News>("a");
    let first = Resuming::connect(&object, "", true, 0, 0);
    say(&object, &["1", "2"]);
    let epoch = &first.epoch;
    for asked in ["x", "x.1", &format!("{epoch}."), &format!("{epoch}.3"), &format!("{epoch}.-1"), &format!("{epoch}.1e0")] {
        assert_eq!(Resuming::connect(&object, asked, false, 2, 0).texts(), ["1", "2"], "{asked}");
    }
    say(&object, &["clear", "3"]);
    let mut other = Resuming::connect(&object, &format!("{epoch}.1"), false, 1, 0);
    assert_ne!(&other.epoch, epoch);
    assert_eq!(other.texts(), ["3"]);
}

#[test]
fn what_is_sent_before_the_greeting_comes_once() {
    for_every_eviction(|host| {
        let object = host.agent::<News>("a");
        let first = Resuming::connect(&object, "", true, 0, 0);
        let mut slow = object.connect(&format!("?slow&resume={}", first.position()));
        say(&object, &["1"]);
        host.advance(Duration::from_secs(1));
        say(&object, &["2"]);
        let frames: Vec<Value> = slow.texts().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
        assert_eq!(frames[0]["missed"], 1);
        assert_eq!(frames[1..].iter().map(|frame| frame["text"].as_str().expect("text")).collect::<Vec<_>>(), ["1", "2"]);
    });
}

#[test]
fn a_log_that_nobody_wants_any_more_is_emptied_and_not_written() {
    let host = MemoryHost::new();
    let object = host.agent::<News>("a");
    let mut client = Resuming::connect(&object, "", true, 0, 0);
    for _ in 0..10 {
        host.advance(Duration::from_secs(50));
        say(&object, &["while it is here"]);
    }
    assert_eq!(client.texts().len(), 10);
    client.client.cut();
    host.advance(Duration::from_secs(45));
    say(&object, &["while it may come back"]);
    assert_eq!(rows(&object), 2);
    host.advance(Duration::from_secs(61));
    say(&object, &["for nobody"]);
    assert_eq!(object.sql("SELECT count(*) FROM cf_resume_log", ()).one::<u32>().expect("SQL"), 0);
    Resuming::connect(&object, &client.position(), false, 0, 0);
}

#[test]
fn who_was_here_a_moment_ago_misses_nothing_however_long_nothing_was_said() {
    for_every_eviction(|host| {
        let object = host.agent::<News>("a");
        let mut client = Resuming::connect(&object, "", true, 0, 0);
        say(&object, &["1"]);
        assert_eq!(client.texts(), ["1"]);
        host.advance(Duration::from_secs(3_600));
        client.client.cut();
        say(&object, &["2"]);
        assert_eq!(Resuming::connect(&object, &client.position(), true, 1, 0).texts(), ["2"]);
    });
}

#[test]
fn who_comes_back_within_the_age_of_frames_gets_all_of_that_age() {
    for_every_eviction(|host| {
        let object = host.agent::<News>("a");
        let mut client = Resuming::connect(&object, "", true, 0, 0);
        host.advance(Duration::from_secs(14));
        say(&object, &["1"]);
        assert_eq!(client.texts(), ["1"]);
        client.client.cut();
        host.advance(Duration::from_secs(5));
        say(&object, &["2"]);
        host.advance(Duration::from_secs(54));
        say(&object, &["3"]);
        assert_eq!(Resuming::connect(&object, &client.position(), true, 2, 0).texts(), ["2", "3"]);
    });
}

#[test]
fn pruning_gives_storage_back_and_keeps_the_numbering() {
    let host = MemoryHost::new();
    let object = host.agent::<News>("a");
    let client = Resuming::connect(&object, "", true, 0, 0);
    say(&object, &["prune", "1", "2", "prune"]);
    assert_eq!(rows(&object), 2);
    host.advance(Duration::from_secs(61));
    say(&object, &["prune"]);
    let kept: Vec<(u64, Option<String>)> =
        object.sql("SELECT seq, frame FROM cf_resume_log WHERE seq > 0", ()).all().expect("SQL");
    assert_eq!(kept, [(2, None)]);
    Resuming::connect(&object, &client.position(), false, 0, 2);
    Resuming::connect(&object, &format!("{}.2", client.epoch), true, 0, 0);
    say(&object, &["3"]);
    assert_eq!(Resuming::connect(&object, &format!("{}.2", client.epoch), true, 1, 0).texts(), ["3"]);
}

#[test]
fn a_log_stays_within_its_limits_whatever_is_appended() {
    let host = MemoryHost::new();
    let object = host.agent::<News>("a");
    let _client = Resuming::connect(&object, "", true, 0, 0);
    let mut random = 7_u64;
    for _ in 0..500 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        say(&object, &[&"y".repeat(usize::try_from(random >> 33).expect("fits") % 120 + 1)]);
        host.advance(Duration::from_millis(random >> 50));
        let (frames, bytes): (u64, u64) = object
            .sql("SELECT count(*), coalesce(sum(length(frame)), 0) FROM cf_resume_log WHERE seq > 0", ())
            .one()
            .expect("SQL");
        assert!(frames <= 5 && bytes <= 100, "{frames} {bytes}");
    }
    // As many as fit, and not fewer.
    say(&object, &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(rows(&object), 5);
}

// A protocol of its own: `sid` is the key, the number is in the frame.
agent!(Session: (), (), ();
    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        let url = request.url();
        let Some(sid) = url.query_param("sid") else { return Ok(()) };
        let since = Since::parse(url.query_param("lastSeq").as_deref());
        let replay = ResumeLog::new(cx, &*sid, LIMITS).since(since)?;
        connection.send(format!("{} {} {}", replay.recovered, replay.frames.len(), replay.newest_seq))?;
        for (_, frame) in replay.frames {
            connection.send(frame)?;
        }
        Ok(())
    }

    async fn connection_tags(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
        Ok(request.url().query_param("sid").map(|sid| sid.into_owned()).into_iter().collect())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let sid = connection.tags().pop().unwrap_or_default();
        let text = message.as_text().unwrap_or_default();
        let log = ResumeLog::new(cx, &sid, LIMITS);
        for _ in 0..2 {
            let logged = log.append(|seq| format!("{seq} {text}"))?;
            for connection in cx.connections_tagged(&sid) {
                connection.send(&logged.frame)?;
            }
            cx.sleep(Duration::ZERO).await;
        }
        Ok(())
    }
);

#[test]
fn an_agent_with_numbers_of_its_own_keeps_a_log_for_each_key() {
    for_every_eviction(|host| {
        let object = host.agent::<Session>("a");
        let (mut ada, mut bob) = (object.connect("?sid=ada"), object.connect("?sid=bob"));
        ada.send("x");
        bob.send("y");
        ada.send("z");
        assert_eq!(ada.texts(), ["true 0 0", "1 x", "2 x", "3 z", "4 z"]);
        assert_eq!(bob.texts(), ["true 0 0", "1 y", "2 y"]);
        for (asked, expected) in [
            ("sid=ada&lastSeq=2", &["true 2 4", "3 z", "4 z"][..]),
            ("sid=ada", &["true 4 4", "1 x", "2 x", "3 z", "4 z"]),
            ("sid=ada&lastSeq=4", &["true 0 4"]),
            ("sid=ada&lastSeq=5", &["false 4 4", "1 x", "2 x", "3 z", "4 z"]),
            ("sid=ada&lastSeq=soon", &["false 4 4", "1 x", "2 x", "3 z", "4 z"]),
            ("sid=bob&lastSeq=0", &["true 2 2", "1 y", "2 y"]),
            ("sid=cy", &["true 0 0"]),
            ("sid=cy&lastSeq=1", &["false 0 0"]),
        ] {
            assert_eq!(object.connect(&format!("?{asked}")).texts(), expected, "{asked}");
        }
        bob.send("w");
        for _ in 0..2 {
            ada.send("more");
        }
        assert_eq!(object.connect("?sid=ada").texts()[0], "false 5 8");
        assert_eq!(object.connect("?sid=bob").texts()[0], "true 4 4");
    });
}

/// A conversation with a crash at that point; `false` if it was never reached.
fn crashes_at(point: CrashPoint) -> bool {
    let host = MemoryHost::new();
    let object = host.agent::<Session>("a");
    let mut client = object.connect("?sid=ada");
    object.crash_at(point);
    client.send("x");
    client.send("y");
    host.run_until_idle();
    let seen: Vec<String> = client.texts().into_iter().skip(1).collect();
    let crashed = object.crashes() == 1;
    object.crash_at(CrashPoint::AwaitPoint(u64::MAX));

    let mut again = object.connect("?sid=ada");
    let frames = again.texts();
    let kept = &frames[1..];
    assert_eq!(frames[0], format!("true {} {}", kept.len(), kept.len()), "{point:?}: numbers have no gap");
    // Whatever was seen is kept under the same number.
    assert!(seen.len() <= kept.len() && seen == kept[..seen.len()], "{point:?}: {seen:?} {kept:?}");
    again.send("z");
    let next = again.texts();
    assert_eq!(next[0], format!("{} z", kept.len() + 1), "{point:?}");
    crashed
}

#[test]
fn a_crash_at_any_point_never_takes_back_a_frame_that_somebody_has_seen() {
    for point in [CrashPoint::StorageCall, CrashPoint::AfterStorageCall, CrashPoint::AwaitPoint, CrashPoint::AfterAwaitPoint] {
        let points = (1..).take_while(|&n| crashes_at(point(n))).count();
        assert!(points >= 6, "{:?}", point(u64::try_from(points).expect("few")));
    }
}

// Appends the path of each request to the log of that key.
agent!(Clerk: (), (), ();
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        match cx.sub_path(&request) {
            "destroy" => cx.destroy().await?,
            key => return Ok(Response::text(ResumeLog::new(cx, key, LIMITS).append(|seq| format!("{seq} {key}"))?.seq.to_string())),
        }
        Ok(Response::text(""))
    }
);

#[test]
fn what_memory_knows_of_a_log_is_never_ahead_of_the_database() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    let appended = |expected: &str| assert_eq!(object.get("log").text(), expected);
    for seq in ["1", "2", "3", "4", "5"] {
        appended(seq);
    }
    object.refuse_storage(Some("INSERT INTO cf_resume_log"));
    assert_eq!(object.get("log").status, 500);
    object.refuse_storage(None);
    appended("6");
    // The frame is in the log and must be sent; the oldest is there too, until the next.
    object.refuse_storage(Some("DELETE FROM cf_resume_log"));
    appended("7");
    object.refuse_storage(None);
    assert!(host.take_log().iter().any(|line| line.contains("event=trim resume log")));
    assert_eq!(rows(&object), 6);
    appended("8");
    assert_eq!(rows(&object), 5);
    object.get("destroy");
    host.run_until_idle();
    appended("1");
}

#[test]
fn more_logs_than_memory_keeps_in_mind_are_all_numbered_right() {
    let host = MemoryHost::new();
    let object = host.agent::<Clerk>("a");
    for seq in 1..=7 {
        for key in 0..40 {
            assert_eq!(object.get(&format!("log-{key}")).text(), seq.to_string(), "{key}");
        }
    }
    assert_eq!(rows(&object), 40 * 5);
}
