//! Methods that clients call, where the dispatch in the core decides: checks C101, C115–C124, C130, C133, C134, C136, C137.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, note, notes};
use durable_agents_core::http::Request;
use durable_agents_core::rpc::{Callable, answer};
use durable_agents_core::task::Handler;
use durable_agents_core::testing::{MemoryHost, for_every_eviction};
use durable_agents_core::{Connection, Context, Message, Result, bail};
use serde_json::{Value, json};

agent!(Desk: u32, (), ();
    fn initial_state(&self) -> Option<u32> {
        Some(0)
    }

    fn callables() -> &'static [Callable<Self>] {
        const {
        &[
            Callable::new("add", |call| Box::pin(async move {
                answer(&(call.args.get::<i64>(0, "a")? + call.args.get::<i64>(1, "b")?))
            })),
            Callable::new("nothing", |_| Box::pin(async { Ok(None) })),
            Callable::new("null", |_| Box::pin(async { answer(&()) })),
            Callable::new("fail", |_| Box::pin(async { bail!("the shop \"is\" closed") })),
            Callable::new("panic", |_| Box::pin(async { panic!("no hunter2") })),
            Callable::new("query", |call| Box::pin(async move {
                call.cx.sql("SELECT password FROM users", ()).execute()?;
                Ok(None)
            })),
            Callable::new("unwritable", |_| Box::pin(async {
                answer(&std::collections::BTreeMap::from([((1, 2), 3)]))
            })),
            Callable::new("wait", |call| Box::pin(async move {
                let delay_ms = call.args.get(0, "delay_ms")?;
                call.cx.sleep(Duration::from_millis(delay_ms)).await;
                note(format!("waited {delay_ms}"));
                answer(&delay_ms)
            })),
            Callable::new("increment", |call| Box::pin(async move {
                note("before the set");
                call.cx.update_state(|count| *count += 1)?;
                answer(&*call.cx.state()?)
            })),
            Callable::new("read", |call| Box::pin(async move { answer(&*call.cx.state()?) })),
            Callable::new("erase", |_| Box::pin(async {
                note("erased");
                Ok(None)
            })).scope("admin"),
            Callable::new("who", |call| Box::pin(async move { answer(&call.cx.caller().map(|caller| caller.id().to_owned())) })),
        ]
        }
    }

    fn uncallable() -> &'static [&'static str] {
        &["tidy"]
    }

    fn callbacks() -> &'static [Handler<Self>] {
        &[Handler { name: "remind", run: |_| Box::pin(async { Ok(()) }) }]
    }

    async fn has_scope(&self, cx: &Context<Self>, connection: &Connection<Self>, scope: &str) -> Result<bool> {
        cx.sleep(Duration::ZERO).await;
        if connection.uri().contains("expired") {
            bail!("the token has expired");
        }
        Ok(connection.uri().ends_with(&format!("?scope={scope}")))
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("readonly").is_some())
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("quiet").is_none())
    }

    async fn on_message(&self, _: &Context<Self>, _: &Connection<Self>, message: Message) -> Result<()> {
        note(format!("message {:?}", message.as_text()));
        Ok(())
    }
);

fn rpc(id: &str, method: &str, args: &Value) -> String {
    json!({"type": "rpc", "id": id, "method": method, "args": args}).to_string()
}

#[test]
fn c115_c116_c117_c118_c120_c122_replies_are_byte_exact() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Desk>("a").connect("");
        for (method, args, reply) in [
            ("add", json!([2, 3]), r#"{"done":true,"id":"7","result":5,"success":true,"type":"rpc"}"#),
            ("add", json!([2, 3, "extra"]), r#"{"done":true,"id":"7","result":5,"success":true,"type":"rpc"}"#),
            ("nothing", json!([]), r#"{"done":true,"id":"7","success":true,"type":"rpc"}"#),
            ("null", json!([]), r#"{"done":true,"id":"7","result":null,"success":true,"type":"rpc"}"#),
            ("onStart", json!([]), r#"{"error":"Method onStart is not callable","id":"7","success":false,"type":"rpc"}"#),
            ("nope", json!([]), r#"{"error":"Method nope does not exist","id":"7","success":false,"type":"rpc"}"#),
            ("on_start", json!([]), r#"{"error":"Method on_start does not exist","id":"7","success":false,"type":"rpc"}"#),
            ("fail", json!([]), r#"{"error":"the shop \"is\" closed","id":"7","success":false,"type":"rpc"}"#),
            ("add", json!([2]), r#"{"error":"argument b is missing","id":"7","success":false,"type":"rpc"}"#),
        ] {
            client.send(rpc("7", method, &args));
            assert_eq!(client.texts(), [reply]);
        }
        client.send(r#"{"stream":true,"type":"rpc","id":"","method":"add","args":[1,1],"type":"rpc"}"#);
        assert_eq!(client.texts(), [r#"{"done":true,"id":"","result":2,"success":true,"type":"rpc"}"#]);
    });
}

#[test]
fn a_panicking_method_is_an_error_without_internals() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    assert_eq!(client.call("panic", &json!([])), Err("Internal Server Error".to_owned()));
    assert!(host.log()[0].contains("event=panic") && host.log()[0].contains("hunter2"), "{:?}", host.log());
    assert_eq!(client.call("add", &json!([1, 1])), Ok(json!(2)));
}

#[test]
fn what_the_database_says_of_a_failing_query_is_for_the_log() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    assert_eq!(client.call("query", &json!([])), Err("Internal Server Error".to_owned()));
    assert!(host.log()[0].contains("event=query") && host.log()[0].contains("users"), "{:?}", host.log());
}

#[test]
fn c121_c123_replies_come_in_order_of_completion_to_the_caller_alone() {
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    let mut caller = object.connect("");
    let mut other = object.connect("");
    caller.send(rpc("slow", "wait", &json!([50])));
    caller.send(rpc("fast", "wait", &json!([10])));
    host.advance(Duration::from_millis(50));
    let ids: Vec<Value> = [caller.next_json(), caller.next_json()].iter().map(|reply| reply["id"].clone()).collect();
    assert_eq!(ids, ["fast", "slow"]);
    other.expect_no_frame();
}

#[test]
fn c124_a_caller_that_leaves_before_the_reply_breaks_nothing() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    let mut caller = object.connect("?_pk=me");
    caller.send(rpc("1", "wait", &json!([50])));
    host.run_until_idle();
    caller.cut();
    // Back under the same id, where the reply does not belong either.
    let mut again = object.connect("?_pk=me");
    host.advance(Duration::from_millis(50));
    assert_eq!(notes(), ["waited 50"]);
    again.expect_no_frame();
    assert_eq!(host.log(), Vec::<String>::new());
}

#[test]
fn c130_calls_work_on_a_suppressed_connection() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("?quiet");
    assert_eq!(client.call("increment", &json!([])), Ok(json!(1)));
    client.expect_no_frame();
}

#[test]
fn c133_a_result_that_cannot_be_written_is_an_error_and_not_silence() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    assert_eq!(client.call("unwritable", &json!([])), Err("key must be a string".to_owned()));
}

#[test]
fn c134_five_hundred_interleaved_calls_get_five_hundred_replies() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    for number in 0..500 {
        client.send(rpc(&number.to_string(), "wait", &json!([(number * 7919) % 101])));
    }
    host.advance(Duration::from_millis(101));
    let mut ids: Vec<u32> = client
        .texts()
        .iter()
        .map(|reply| serde_json::from_str::<Value>(reply).expect("JSON"))
        .map(|reply| reply["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
}

#[test]
fn c136_c137_a_readonly_connection_may_call_and_may_not_change() {
    for_every_eviction(|host| {
        notes();
        let object = host.agent::<Desk>("a");
        let mut reader = object.connect("?readonly");
        let mut other = object.connect("");
        assert_eq!(reader.call("increment", &json!([])), Err("Connection is readonly".to_owned()));
        // What it did before stays.
        assert_eq!(notes(), ["before the set"]);
        assert_eq!(reader.call("read", &json!([])), Ok(json!(0)));
        other.expect_no_frame();
        assert_eq!(other.call("increment", &json!([])), Ok(json!(1)));
        assert_eq!(reader.call("read", &json!([])), Ok(json!(1)));
    });
}

#[test]
fn a_method_knows_its_caller() {
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    let mut clients: Vec<_> = ["x", "y"].map(|id| object.connect(&format!("?_pk={id}"))).into();
    assert_eq!(clients[1].call("who", &json!([])), Ok(json!("y")));
    assert_eq!(clients[0].call("who", &json!([])), Ok(json!("x")));
}

#[test]
fn c119_what_is_there_and_not_marked_is_not_callable() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    let members = [
        "setState",
        "sql",
        "schedule",
        "scheduleEvery",
        "cancelSchedule",
        "getSchedules",
        "queue",
        "dequeue",
        "dequeueAll",
        "broadcast",
        "destroy",
        "keepAlive",
        "onStart",
        "onConnect",
        "onMessage",
        "onClose",
        "onError",
        "onRequest",
        "fetch",
        "alarm",
        "webSocketMessage",
        "validateStateChange",
        "getCallableMethods",
    ];
    for method in members.into_iter().chain(["tidy", "remind"]) {
        assert_eq!(client.call(method, &json!([])), Err(format!("Method {method} is not callable")));
    }
    for method in ["", "nope", "toString", "__proto__", "state", "set_state", "on_start"] {
        assert_eq!(client.call(method, &json!([])), Err(format!("Method {method} does not exist")));
    }
}

#[test]
fn a_scope_is_asked_for_before_anything_runs() {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    assert_eq!(object.connect("").call("erase", &json!([])), Err("Method erase requires scope admin".to_owned()));
    assert_eq!(object.connect("?expired").call("erase", &json!([])), Err("the token has expired".to_owned()));
    assert_eq!(notes(), Vec::<String>::new());
    assert_eq!(object.connect("?scope=admin").call("erase", &json!([])), Ok(Value::Null));
    assert_eq!(notes(), ["erased"]);
}

#[test]
fn a_reply_goes_to_the_socket_that_asked_also_when_its_id_has_been_taken_over() {
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    let mut old = object.connect("?_pk=me");
    old.send(rpc("1", "wait", &json!([50])));
    let mut new = object.connect("?_pk=me");
    host.advance(Duration::from_millis(50));
    assert_eq!(old.next_json()["id"], "1");
    new.expect_no_frame();
}

#[test]
fn the_arguments_of_a_call_are_read_from_the_message_itself() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    for message in [
        r#"{"args":[2,3],"type":"rpc","id":"ü","method":"add"}"#,
        "  {\"method\":\"add\", \"args\" : [ 2 , 3 ] , \"id\":\"\\u00fc\", \"type\":\"rpc\"}  ",
        r#"{"args":[9,9],"type":"rpc","id":"ü","method":"add","args":[2,3]}"#,
    ] {
        client.send(message);
        assert_eq!(client.texts(), [r#"{"done":true,"id":"ü","result":5,"success":true,"type":"rpc"}"#]);
    }
}
