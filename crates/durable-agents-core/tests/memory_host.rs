//! The world that tests run in is itself as the platform is.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use common::{agent, note, notes};
use durable_agents_core::host::{Host, HostError, Rows, SqlValue};
use durable_agents_core::http::{Body, BodyError, FormField, HeaderName, HeaderValue, Method, Request, Response, header};
use durable_agents_core::testing::{CrashPoint, EvictPlan, MemoryHost, Object};
use durable_agents_core::{Connection, Context, Message, Result, error};
use futures::StreamExt;

agent!(Lab: (), (), ();
    async fn on_request(&self, cx: &Context<Self>, mut request: Request) -> Result<Response> {
        match request.path() {
            "/form" => {
                let form = request.form_data().await?;
                return Ok(Response::text(format!("{:?}", form.fields)));
            }
            "/echo" => return Ok(Response { body: request.take_body(), ..Response::default() }),
            "/ticks" => {
                let cx = cx.clone();
                let ticks = futures::stream::unfold(0, move |n| {
                    let cx = cx.clone();
                    async move {
                        if n == 3 {
                            return None;
                        }
                        cx.sleep(Duration::from_secs(1)).await;
                        note(format!("tick {n}"));
                        Some((Ok(Bytes::from(format!("tick {n}"))), n + 1))
                    }
                });
                return Ok(Response { body: Body::stream(ticks), ..Response::default() });
            }
            "/endless" => {
                let endless = futures::stream::repeat_with(|| {
                    note("made");
                    Ok(Bytes::from_static(b"x"))
                });
                return Ok(Response { body: Body::stream(endless), ..Response::default() });
            }
            "/broken" => {
                let pieces = [Ok(Bytes::from_static(b"x")), Err(BodyError::Cut("no more".to_owned()))];
                return Ok(Response { body: Body::stream(futures::stream::iter(pieces)), ..Response::default() });
            }
            "/write-and-wait" => {
                cx.sql("CREATE TABLE IF NOT EXISTS t (n INTEGER)", ()).execute()?;
                cx.sql("INSERT INTO t VALUES (1)", ()).execute()?;
                cx.sleep(Duration::from_secs(1)).await;
                cx.sql("INSERT INTO t VALUES (2)", ()).execute()?;
            }
            "/fetch" => {
                cx.sql("CREATE TABLE IF NOT EXISTS fetched (n INTEGER)", ()).execute()?;
                let url = request.header("x-url").unwrap_or_default();
                return Ok(cx.fetch(Request::new(Method::PUT, &url, "content")).await?);
            }
            "/alarm" => cx.host().set_alarm(Some(cx.now_ms() + 5_000))?,
            "/var" => return Ok(Response::text(cx.var("TOKEN").unwrap_or_default())),
            "/uuid" => return Ok(Response::text(cx.uuid())),
            "/now" => return Ok(Response::text(cx.now_ms().to_string())),
            _ => {}
        }
        Ok(Response::text(cx.name()))
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let wait: u64 = message.as_text().unwrap_or_default().parse().map_err(|_| error!("not a number"))?;
        cx.sleep(Duration::from_millis(wait)).await;
        connection.send(format!("waited {wait} until {}", cx.now_ms()))?;
        Ok(())
    }
);

fn lab() -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Lab>("a");
    (host, object)
}

/// Runs a statement as an agent's code does, past the checks of the core.
fn run(object: &Object, sql: &str, params: Vec<SqlValue>) -> Result<Rows, HostError> {
    thread_local! {
        static STATEMENT: std::cell::RefCell<Option<(String, Vec<SqlValue>)>> = const { std::cell::RefCell::new(None) };
        static ROWS: std::cell::RefCell<Option<Result<Rows, HostError>>> = const { std::cell::RefCell::new(None) };
    }
    agent!(Raw: (), (), ();
        async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
            let (sql, params) = STATEMENT.take().expect("a statement");
            ROWS.set(Some(cx.host().store().run(&sql, &params)));
            Ok(Response::default())
        }
    );
    let host = MemoryHost::new();
    let raw = host.agent::<Raw>(object.name());
    STATEMENT.set(Some((sql.to_owned(), params)));
    raw.get("");
    ROWS.take().expect("it ran")
}

#[test]
fn the_clock_moves_when_told_and_stops_at_everything_on_the_way() {
    let (host, object) = lab();
    let mut client = object.connect("");
    let start = host.now_ms();
    for wait in ["30", "10", "20", "10"] {
        client.send(wait);
    }
    client.expect_no_frame();
    assert_eq!(host.now_ms(), start);
    host.advance(Duration::from_millis(15));
    let at = |wait: u64| format!("waited {wait} until {}", start + wait);
    assert_eq!(client.texts(), [at(10), at(10)]);
    assert_eq!(host.now_ms(), start + 15);
    host.advance(Duration::from_secs(3600));
    assert_eq!(client.texts(), [at(20), at(30)]);
    client.send("0");
    assert_eq!(client.next_text(), format!("waited 0 until {}", start + 15 + 3_600_000));
}

fn fetch(url: &'static str) -> Request {
    Request::get("/fetch").with_header(HeaderName::from_static("x-url"), HeaderValue::from_static(url))
}

#[test]
fn servers_outside_answer_by_the_longest_prefix() {
    let (host, object) = lab();
    for prefix in ["https://a.test/", "https://a.test/b/", "https://a.test/b"] {
        host.serve_url(prefix, move |request| async move {
            let asked = format!("{} {} at {prefix}: ", request.method(), request.url());
            Ok(Response::text(asked + &request.text().await.expect("a text")))
        });
    }
    for (url, answer) in [
        ("https://a.test/x?y", "PUT https://a.test/x?y at https://a.test/: content"),
        ("https://a.test/b/c", "PUT https://a.test/b/c at https://a.test/b/: content"),
        ("https://a.test/bc", "PUT https://a.test/bc at https://a.test/b: content"),
    ] {
        assert_eq!(object.request(fetch(url)).text(), answer);
    }
    host.serve_url("https://a.test/b", |_| async { Ok(Response::text("anew")) });
    assert_eq!(object.request(fetch("https://a.test/bc")).text(), "anew");
    assert_eq!(object.request(fetch("https://b.test/?key=secret")).status, 500);
    let told = host.log().concat();
    assert!(told.contains("nothing answers at") && told.contains("https://b.test/") && !told.contains("secret"), "{told}");
}

#[test]
fn what_leaves_the_world_was_written_down_before() {
    let (host, object) = lab();
    host.serve_url("https://a.test/", |_| async {
        note("asked");
        Ok(Response::default())
    });
    object.get("");
    object.crash_at(CrashPoint::AwaitPoint(1));
    let _ = object.begin(fetch("https://a.test/")).try_wait();
    assert_eq!((object.crashes(), notes()), (1, vec![]));
    object.request(fetch("https://a.test/"));
    assert_eq!(notes(), ["asked"]);
}

#[test]
fn a_test_that_waits_in_vain_is_told_what_waits() {
    let (host, object) = lab();
    let mut client = object.connect("");
    client.send("500");
    client.send("not a number");
    let panic = catch_unwind(AssertUnwindSafe(|| client.next_text())).expect_err("nothing comes");
    let told = panic.downcast_ref::<String>().expect("a text");
    for part in ["a frame never came", r#"waiting: Lab "a", message "500""#, "in 500 ms", "log: agent=Lab", "not a number"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    drop(host);
}

#[test]
fn one_seed_is_one_world() {
    let uuid = |host: MemoryHost| host.agent::<Lab>("a").request(Request::get("/uuid")).text().to_owned();
    let first = uuid(MemoryHost::with_seed(7));
    assert_eq!(first, uuid(MemoryHost::with_seed(7)));
    assert_ne!(first, uuid(MemoryHost::with_seed(8)));
    assert_eq!((first.len(), first.as_bytes()[14]), (36, b'4'));
}

#[test]
fn what_is_written_between_two_await_points_reaches_the_disk_together() {
    for (point, rows) in [
        (CrashPoint::AfterStorageCall(3), 0),
        (CrashPoint::AwaitPoint(1), 0),
        (CrashPoint::AfterAwaitPoint(1), 1),
        (CrashPoint::StorageCall(4), 1),
        (CrashPoint::AwaitPoint(2), 1),
        (CrashPoint::AfterAwaitPoint(2), 2),
    ] {
        let (host, object) = lab();
        object.crash_at(point);
        let request = object.begin(Request::get("/write-and-wait"));
        host.advance(Duration::from_secs(1));
        assert!(request.try_wait().is_err(), "{point:?}");
        assert_eq!(object.crashes(), 1, "{point:?}");
        let table: u32 = object.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
        assert_eq!(table, rows.min(1), "{point:?}");
        if table > 0 {
            assert_eq!(object.sql("SELECT count(*) FROM t", ()).one::<u32>().expect("SQL"), rows, "{point:?}");
        }
    }
}

#[test]
fn the_limits_of_storage_are_the_platforms() {
    let (_host, object) = lab();
    let run = |sql: &str, params: Vec<SqlValue>| run(&object, sql, params);
    assert!(run("SELECT length(?)", vec![vec![0_u8; 2_000_000].into()]).is_ok());
    let error = run("SELECT length(?)", vec![vec![0_u8; 2_300_000].into()]).expect_err("too large");
    assert_eq!(error.message, "string or blob too big: SQLITE_TOOBIG");
    let marks = |count| format!("SELECT {}", vec!["?"; count].join("+"));
    assert!(run(&marks(100), vec![SqlValue::Integer(1); 100]).is_ok());
    assert!(run(&marks(101), vec![SqlValue::Integer(1); 101]).is_err());
    assert!(run(&format!("SELECT '{}'", "x".repeat(100_000)), vec![]).is_err());
    assert!(run("SELECT ?", vec![]).is_err());
    for forbidden in ["BEGIN", "commit", " ROLLBACK", "savepoint x", "ATTACH 'x' AS y"] {
        assert_eq!(run(forbidden, vec![]).expect_err("forbidden").message, "not authorized: SQLITE_AUTH");
    }
    assert_eq!(run("SELECT * FROM nowhere", vec![]).expect_err("no table").message, "no such table: nowhere: SQLITE_ERROR");
}

#[test]
fn numbers_are_those_of_javascript() {
    let (_host, object) = lab();
    let one = |sql: &str, params| run(&object, sql, params).expect("SQL").rows.remove(0).remove(0);
    assert_eq!(one("SELECT 9007199254740991", vec![]), SqlValue::Integer(9_007_199_254_740_991));
    assert_eq!(one("SELECT 9007199254740993", vec![]), SqlValue::Real(9_007_199_254_740_992.0));
    assert_eq!(one("SELECT typeof(?)", vec![SqlValue::Integer(1)]), SqlValue::Text("real".to_owned()));
    assert_eq!(one("SELECT ?", vec![SqlValue::Text("a\u{0}b".to_owned())]), SqlValue::Text("a\u{0}b".to_owned()));
}

#[test]
fn forms_are_taken_apart() {
    let (_host, object) = lab();
    let send = |content_type: &str, body: &str| {
        let request = Request::new(Method::POST, "/form", body.to_owned());
        object.request(request.with_header(header::CONTENT_TYPE, content_type.parse().expect("a value")))
    };
    let body = "--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
                --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\u{0}\u{1}\r\n--XX--\r\n";
    let file = FormField::File {
        filename: "a.txt".to_owned(),
        content_type: "text/plain".to_owned(),
        content: Bytes::from_static(&[0, 1]),
    };
    let expected = vec![("note".to_owned(), FormField::Text("hello".to_owned())), ("file".to_owned(), file)];
    assert_eq!(send("multipart/form-data; boundary=XX", body).text(), format!("{expected:?}"));

    let expected = vec![("a".to_owned(), FormField::Text("1 ü".to_owned())), ("a".to_owned(), FormField::Text(String::new()))];
    assert_eq!(send("application/x-www-form-urlencoded", "a=1+%C3%BC&a=").text(), format!("{expected:?}"));

    for (content_type, body) in
        [("text/plain", "x"), ("multipart/form-data", "x"), ("multipart/form-data; boundary=XX", "--XX\r\nbroken")]
    {
        assert_eq!(send(content_type, body).status, 500, "{content_type}");
    }
}

#[test]
fn a_body_is_streamed_in_and_out() {
    let (host, object) = lab();
    let pieces = futures::stream::iter(["a", "b"].map(|piece| Ok(Bytes::from(piece)))).boxed_local();
    let answer = object.request(Request::new(Method::POST, "/echo", Body::stream(pieces)));
    assert_eq!(answer.text(), "ab");

    let mut ticks = object.stream(Request::get("/ticks"));
    assert_eq!(ticks.try_next_piece(), None);
    for n in 0..3 {
        host.advance(Duration::from_secs(1));
        assert_eq!(ticks.next_piece(), Some(Bytes::from(format!("tick {n}"))));
    }
    assert_eq!(ticks.next_piece(), None);
    assert!(object.try_evict(), "nothing is under way any more");
}

#[test]
fn a_stream_is_made_as_far_as_it_is_read_and_ends_with_its_reader() {
    let (host, object) = lab();
    let mut endless = object.stream(Request::get("/endless"));
    for _ in 0..10 {
        endless.next_piece().expect("endless");
    }
    host.run_until_idle();
    assert!(notes().len() < 15);
    assert!(!object.try_evict(), "the stream is under way");
    drop(endless);
    assert!(object.try_evict());
}

#[test]
fn a_stream_that_fails_or_loses_its_object_is_cut() {
    let (_host, object) = lab();
    assert!(object.begin(Request::get("/broken")).try_wait().is_err());
    let mut ticks = object.stream(Request::get("/ticks"));
    object.crash();
    assert!(catch_unwind(AssertUnwindSafe(|| ticks.next_piece())).is_err());
}

#[test]
fn an_alarm_wakes_its_object_and_is_lost_with_a_turn_that_crashes() {
    let (host, object) = lab();
    object.crash_at(CrashPoint::AwaitPoint(1));
    assert!(object.begin(Request::get("/alarm")).try_wait().is_err());
    assert_eq!(object.alarm_ms(), None);
    object.request(Request::get("/alarm"));
    assert_eq!(object.alarm_ms(), Some(host.now_ms() + 5_000));
    object.evict();
    host.advance(Duration::from_millis(4_999));
    assert!(!object.is_running());
    host.advance(Duration::from_millis(1));
    assert!(object.is_running());
    assert_eq!(object.alarm_ms(), None);
}

#[test]
fn a_crash_loses_sockets_and_an_eviction_keeps_them() {
    let (_host, object) = lab();
    let mut client = object.connect("");
    object.evict();
    assert!(client.is_open());
    client.send("0");
    assert!(client.next_text().starts_with("waited 0"));
    object.crash();
    assert_eq!(client.close_event().code, 1006);
    client.send("0");
    client.expect_no_frame();
    assert_eq!(object.sockets(), 0);
}

#[test]
fn evictions_can_be_planned() {
    for (plan, wakes) in [(EvictPlan::Never, 1), (EvictPlan::Always, 4), (EvictPlan::At(2), 2), (EvictPlan::At(9), 1)] {
        let (host, object) = lab();
        host.evict_between_events(plan);
        for _ in 0..4 {
            object.get("");
        }
        assert_eq!((object.wakes(), host.events()), (wakes, 4), "{plan:?}");
    }
}

#[test]
fn variables_time_and_names_reach_the_agent() {
    let (host, object) = lab();
    host.set_var("TOKEN", "secret");
    assert_eq!(object.request(Request::get("/var")).text(), "secret");
    assert_eq!(object.request(Request::get("/now")).text(), host.now_ms().to_string());
    assert_eq!(object.request(Request::get("/")).text(), "a");
    assert_eq!(object.url("?x=1"), "https://example.com/agents/lab/a?x=1");
    assert_eq!(host.agent::<Lab>("a b/ü").url("sub"), "https://example.com/agents/lab/a%20b%2F%C3%BC/sub");
}

#[test]
fn the_platform_checks_tags_and_attachments_by_itself() {
    // Through the core nothing gets there that the platform would refuse, so the port is asked directly.
    agent!(Pushy: (), (), ();
        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            let size: usize = message.as_text().unwrap_or_default().parse()?;
            let host: &dyn Host = cx.host();
            let socket = host.sockets(None)?.remove(0);
            let before = socket.attachment();
            let outcome = socket.set_attachment(&vec![b'x'; size]);
            if outcome.is_ok() {
                socket.set_attachment(&before.unwrap_or_default())?;
            }
            connection.send(outcome.map_or_else(|error| error.to_string(), |()| "stored".to_owned()))?;
            Ok(())
        }
    );
    let host = MemoryHost::new();
    let mut client = host.agent::<Pushy>("a").connect("");
    client.send("16373");
    client.send("16374");
    let refused = "socket failed: A WebSocket 'attachment' cannot be larger than 16384 bytes.'attachment' was 16385 bytes.";
    assert_eq!(client.texts(), ["stored", refused]);
}

#[test]
fn it_runs_inside_another_executor_as_well() {
    futures::executor::block_on(async {
        let (_host, object) = lab();
        let mut client = object.connect("");
        client.send("0");
        assert!(client.next_text().starts_with("waited 0"));
        assert_eq!(object.get("").text(), "a");
    });
}
