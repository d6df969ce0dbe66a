//! Streaming methods: checks C125–C129, and what happens when one side leaves or forgets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use common::{agent, note, notes};
use durable_agents_core::bail;
use durable_agents_core::rpc::{Call, Callable, Stream, StreamError};
use durable_agents_core::testing::{Client, MemoryHost, for_every_eviction};
use serde_json::{Value, json};

/// Notes that the method that holds it has been dropped.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        note("dropped");
    }
}

/// Notes each look at `work`.
async fn counted(what: &str, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    poll_fn(|cx| {
        note(what);
        work.as_mut().poll(cx)
    })
    .await;
}

fn stream(call: &Call<Source>) -> Stream<Value> {
    call.stream().expect("declared as streaming")
}

fn outcome(sent: Result<(), StreamError>) -> String {
    sent.map_or_else(|error| error.to_string(), |()| "sent".to_owned())
}

agent!(Source: (), (), ();
    fn callables() -> &'static [Callable<Self>] {
        const { &[
            Callable::new("count", |call| Box::pin(async move {
                let (stream, count) = (call.stream::<u32, u32>()?, call.args.get(0, "count")?);
                for number in 0..count {
                    stream.send(number)?;
                    call.cx.sleep(Duration::from_millis(1)).await;
                }
                stream.end(count)?;
                Ok(None)
            })).streaming(),
            Callable::new("fail_after_one", |call| Box::pin(async move {
                stream(&call).send(json!(1))?;
                bail!("out of numbers");
            })).streaming(),
            Callable::new("panic_after_one", |call| Box::pin(async move {
                stream(&call).send(json!(1))?;
                panic!("no hunter2");
            })).streaming(),
            Callable::new("error_then_more", |call| Box::pin(async move {
                let stream = stream(&call);
                stream.error("x")?;
                note(format!("open {}", stream.is_open()));
                note(outcome(stream.send(json!(1))));
                note(outcome(stream.end(json!(2))));
                note(outcome(stream.finish()));
                note(outcome(stream.error("y")));
                bail!("z");
            })).streaming(),
            Callable::new("finish", |call| Box::pin(async move {
                stream(&call).finish()?;
                Ok(None)
            })).streaming(),
            Callable::new("forget", |call| Box::pin(async move {
                let stream = stream(&call);
                stream.send(json!("only"))?;
                call.cx.wait_until(async move {
                    stream.closed().await;
                    note(format!("after the method: {}", outcome(stream.send(json!(1)))));
                });
                Ok(None)
            })).streaming(),
            Callable::new("watched", |call| Box::pin(async move {
                let (stream, wait_ms) = (stream(&call), call.args.get(0, "wait_ms")?);
                call.cx.wait_until({
                    let stream = stream.clone();
                    async move { counted("closed", stream.closed()).await }
                });
                counted("method", call.cx.sleep(Duration::from_millis(wait_ms))).await;
                Ok(None)
            })).streaming(),
            Callable::new("unwritable", |call| Box::pin(async move {
                let stream = call.stream::<std::collections::BTreeMap<(u8, u8), u8>, Value>()?;
                note(outcome(stream.send(std::collections::BTreeMap::from([((1, 2), 3)]))));
                stream.end(json!("still open"))?;
                Ok(None)
            })).streaming(),
            Callable::new("forever", |call| Box::pin(async move {
                let stream = stream(&call);
                let _dropped = Dropped;
                for number in 0.. {
                    stream.send(json!(number))?;
                    call.cx.sleep(Duration::from_millis(10)).await;
                }
                Ok(None)
            })).streaming(),
            Callable::new("close_me", |call| Box::pin(async move {
                let stream = stream(&call);
                let _dropped = Dropped;
                call.cx.caller().expect("a client").close(4000, "enough")?;
                note(outcome(stream.send(json!(1))));
                call.cx.sleep(Duration::from_secs(1)).await;
                note("not reached");
                Ok(None)
            })).streaming(),
            Callable::new("undeclared", |call| Box::pin(async move {
                call.stream::<u32, u32>()?.send(1)?;
                Ok(None)
            })),
        ] }
    }
);

fn ask(client: &mut Client, method: &str, args: &Value) {
    client.send(json!({"type": "rpc", "id": "7", "method": method, "args": args}).to_string());
}

#[test]
fn c125_chunks_come_in_order_and_then_the_end_with_its_value() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Source>("a").connect("");
        ask(&mut client, "count", &json!([5]));
        host.advance(Duration::from_millis(10));
        let mut frames: Vec<String> = (0..5)
            .map(|number| format!(r#"{{"done":false,"id":"7","result":{number},"success":true,"type":"rpc"}}"#))
            .collect();
        frames.push(r#"{"done":true,"id":"7","result":5,"success":true,"type":"rpc"}"#.to_owned());
        assert_eq!(client.texts(), frames);
    });
}

#[test]
fn c126_a_failure_after_a_chunk_is_the_end() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    let chunk = r#"{"done":false,"id":"7","result":1,"success":true,"type":"rpc"}"#;
    ask(&mut client, "fail_after_one", &json!([]));
    assert_eq!(client.texts(), [chunk, r#"{"error":"out of numbers","id":"7","success":false,"type":"rpc"}"#]);
    ask(&mut client, "panic_after_one", &json!([]));
    assert_eq!(client.texts(), [chunk, r#"{"error":"Internal Server Error","id":"7","success":false,"type":"rpc"}"#]);
    assert!(host.log()[0].contains("event=panic_after_one") && host.log()[0].contains("hunter2"), "{:?}", host.log());
}

#[test]
fn c127_after_the_end_nothing_is_sent() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    ask(&mut client, "error_then_more", &json!([]));
    assert_eq!(client.texts(), [r#"{"error":"x","id":"7","success":false,"type":"rpc"}"#]);
    let closed = "stream is closed";
    assert_eq!(notes(), ["open false", closed, closed, closed, closed]);
    assert_eq!(host.log(), Vec::<String>::new());
}

#[test]
fn c128_a_stream_that_is_finished_or_forgotten_ends_without_a_value() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    let end = r#"{"done":true,"id":"7","success":true,"type":"rpc"}"#;
    ask(&mut client, "finish", &json!([]));
    assert_eq!(client.texts(), [end]);
    ask(&mut client, "forget", &json!([]));
    assert_eq!(client.texts(), [r#"{"done":false,"id":"7","result":"only","success":true,"type":"rpc"}"#, end]);
    assert_eq!(notes(), ["after the method: stream is closed"]);
}

#[test]
fn c133_a_chunk_that_cannot_be_written_is_an_error_for_the_method() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    assert_eq!(client.call("unwritable", &json!([])), Ok(json!("still open")));
    assert_eq!(notes(), ["stream value cannot be written as JSON: key must be a string"]);
}

#[test]
fn a_method_whose_caller_has_left_is_dropped() {
    for leave in [Client::cut as fn(&mut Client), |client| client.close(1000, ""), |client| client.fail("broken pipe")] {
        notes();
        let host = MemoryHost::new();
        let object = host.agent::<Source>("a");
        let mut client = object.connect("?_pk=me");
        ask(&mut client, "forever", &json!([]));
        host.advance(Duration::from_millis(25));
        assert_eq!(client.texts().len(), 3);
        assert_eq!(notes(), Vec::<String>::new());
        leave(&mut client);
        host.run_until_idle();
        assert_eq!(notes(), ["dropped"]);
        // Back under the same id, where the stream does not go on.
        let mut again = object.connect("?_pk=me");
        host.advance(Duration::from_secs(1));
        again.expect_no_frame();
    }
}

#[test]
fn an_agent_that_closes_its_caller_ends_the_stream() {
    notes();
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    ask(&mut client, "close_me", &json!([]));
    assert_eq!(client.closed().map(|close| close.code), Some(4000));
    client.expect_no_frame();
    assert_eq!(notes(), ["stream is closed", "dropped"]);
}

#[test]
fn streams_of_one_socket_do_not_mix_with_each_other_or_with_calls() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    for id in 0..500 {
        client.send(json!({"type": "rpc", "id": id.to_string(), "method": "count", "args": [id % 4]}).to_string());
    }
    host.advance(Duration::from_millis(10));
    let mut seen = vec![Vec::new(); 500];
    for frame in client.texts() {
        let frame: Value = serde_json::from_str(&frame).expect("JSON");
        let id: usize = frame["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        seen[id].push((frame["done"] == true, frame["result"].as_u64().expect("a number")));
    }
    for (id, frames) in seen.into_iter().enumerate() {
        let count = id as u64 % 4;
        let expected: Vec<_> = (0..count).map(|number| (false, number)).chain([(true, count)]).collect();
        assert_eq!(frames, expected, "{id}");
    }
}

/// How often the methods, and those who wait for their streams' ends, were looked at since the last time.
fn looks() -> (usize, usize) {
    let looks = notes();
    let at = |what| looks.iter().filter(|look| *look == what).count();
    (at("method"), at("closed"))
}

#[test]
fn the_end_of_a_stream_wakes_no_other_of_its_socket() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    for id in 0..100 {
        client.send(json!({"type": "rpc", "id": id.to_string(), "method": "watched", "args": [id + 1]}).to_string());
    }
    host.advance(Duration::ZERO);
    notes();
    host.advance(Duration::from_millis(50));
    assert_eq!(client.texts().len(), 50);
    assert_eq!(looks(), (50, 50));
    // All of them hear that the caller has left.
    client.cut();
    host.run_until_idle();
    assert_eq!(looks(), (50, 50));
    host.advance(Duration::from_secs(1));
    assert_eq!(looks(), (0, 0));
}

#[test]
fn a_method_that_is_not_declared_as_streaming_has_no_stream() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Source>("a").connect("");
    assert_eq!(client.call("undeclared", &json!([])), Err("the method is not declared as streaming".to_owned()));
}
