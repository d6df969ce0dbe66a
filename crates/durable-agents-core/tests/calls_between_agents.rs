//! One agent calls a method of another: what comes back, what is told apart, and what the logs say.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::{agent, note, notes};
use durable_agents_core::host::{HostError, HostFault};
use durable_agents_core::http::{HeaderName, HeaderValue, Method, Request, Response};
use durable_agents_core::rpc::{Call, CallError, Callable, Stub as _, answer, typed};
use durable_agents_core::testing::{CrashPoint, MemoryHost, Object};
use durable_agents_core::{AgentStub, Context, Result, bail};
use serde_json::{Value, json};

/// Calls a method of an agent by its name, as the traits that `#[callable]` makes do.
async fn call(stub: &AgentStub<Worker>, method: &str, args: &Value) -> Result<Value, CallError> {
    typed(stub.call_method(method, Ok(args.to_string()))).await
}

// Does what it is told by its methods; one that calls others does so by `relay`.
agent!(Worker: u32, (), Value;
    fn initial_state(&self) -> Option<u32> {
        Some(0)
    }

    async fn on_start(&self, cx: &Context<Self>, props: Option<Value>) -> Result<()> {
        if let Some(props) = props {
            note(format!("{} starts with {props}", cx.name()));
        }
        match cx.name() {
            "broken" => bail!("cannot start"),
            // Calls an agent that calls back, before it has started itself.
            "dizzy" => {
                let path = json!([["dizzy"], "add", [1, 1]]);
                let outcome = call(&cx.agent("friend"), "relay", &path).await;
                note(format!("start: {outcome:?}"));
                // Another instance is no cycle.
                let outcome = call(&cx.agent("friend"), "relay", &json!([["other"], "add", [1, 1]])).await;
                note(format!("start: {outcome:?}"));
            }
            "fails-in-a-call" => {
                let outcome = call(&cx.agent("friend"), "panic", &json!([])).await;
                bail!("the friend is of no help: {outcome:?}")
            }
            _ => {}
        }
        Ok(())
    }

    fn uncallable() -> &'static [&'static str] {
        &["tidy"]
    }

    fn callables() -> &'static [Callable<Self>] {
        const { &[
            Callable::new("add", |call| Box::pin(async move {
                let [a, b] = call.args.take("add(a: i64, b: i64)")?;
                let read = durable_agents_core::rpc::argument::<i64>;
                answer(&(read(a, "a", "i64")? + read(b, "b", "i64")?))
            })),
            Callable::new("nothing", |_| Box::pin(async { Ok(None) })),
            Callable::new("count", |call| Box::pin(async move { answer(&call.cx.update_state(|count| { *count += 1; *count })?) })),
            Callable::new("secret", |_| Box::pin(async { answer(&"told") })).scope("admin"),
            Callable::new("stream", |_| Box::pin(async { Ok(None) })).streaming(),
            Callable::new("caller", |call| Box::pin(async move { answer(&call.cx.caller().is_some()) })),
            Callable::new("fail", |_| Box::pin(async { bail!("no such room") })),
            Callable::new("panic", |_| Box::pin(async { panic!("no hunter2") })),
            Callable::new("query", |call| Box::pin(async move {
                call.cx.sql("SELECT password FROM users", ()).execute()?;
                Ok(None)
            })),
            Callable::new("wait", |call| Box::pin(async move {
                call.cx.sleep(Duration::from_millis(call.args.get(0, "delay_ms")?)).await;
                note("waited");
                Ok(None)
            })),
            // By way of those agents, the last of which does the work.
            Callable::new("relay", |call| Box::pin(relay(call))),
        ] }
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        if let Some(other) = request.url().query_param("hand-on-to") {
            let mut forged = Request::new(Method::POST, CALL_URL, "[1,2]");
            forged.set_header(CALL, forged_header());
            return Ok(cx.agent::<Worker>(&other).fetch(forged).await?);
        }
        Ok(Response::json(&json!({"hook": request.header(CALL.as_str())}))?)
    }
);

async fn relay(own: Call<Worker>) -> Result<durable_agents_core::rpc::Answer> {
    let mut path: Vec<String> = own.args.get(0, "path")?;
    let (method, args): (String, Value) = (own.args.get(1, "method")?, own.args.get(2, "args")?);
    let next = own.cx.agent(&path.remove(0));
    let outcome = match path.is_empty() {
        true => call(&next, &method, &args).await,
        false => call(&next, "relay", &json!([path, method, args])).await,
    };
    answer(&outcome?)
}

// Tells its client what each kind of call came to.
agent!(Client: (), (), ();
    fn callables() -> &'static [Callable<Self>] {
        const { &[
            Callable::new("ask", |own| Box::pin(async move {
                let (name, method): (String, String) = (own.args.get(0, "name")?, own.args.get(1, "method")?);
                let outcome = call(&own.cx.agent(&name), &method, &own.args.get(2, "args")?).await;
                answer(&outcome.map_or_else(|error| format!("{error:?}"), |result| result.to_string()))
            })),
            Callable::new("hand_on", |own| Box::pin(async move {
                answer(&call(&own.cx.agent(&own.args.get::<String>(0, "name")?), "panic", &json!([])).await?)
            })),
            Callable::new("elsewhere", |own| Box::pin(async move {
                let stub = own.cx.agent("a").bound_as("NOWHERE");
                answer(&format!("{:?}", call(&stub, "add", &json!([1, 2])).await))
            })),
            Callable::new("with_props", |own| Box::pin(async move {
                let stub = own.cx.agent("propped").with_props(&json!({"by": "call"}))?;
                answer(&call(&stub, "add", &json!([1, 2])).await?)
            })),
            Callable::new("mistyped", |own| Box::pin(async move {
                let stub = own.cx.agent::<Worker>("a");
                let outcome: Result<String, _> = typed(stub.call_method("add", Ok("[1,2]".to_owned()))).await;
                answer(&format!("{outcome:?}"))
            })),
            Callable::new("hurry", |own| Box::pin(async move {
                let stub = own.cx.agent("a").timeout(Duration::from_millis(20));
                answer(&format!("{:?}", call(&stub, "wait", &json!([50])).await))
            })),
        ] }
    }
);

/// As the core has them: part of the protocol between objects of one worker.
const CALL: HeaderName = HeaderName::from_static("x-agents-call");
const CALL_URL: &str = "https://agent.invalid/call";

fn forged_header() -> HeaderValue {
    HeaderValue::from_static("method=add&request=forged")
}

fn world() -> (MemoryHost, Object, Object) {
    notes();
    let host = MemoryHost::new();
    host.bind::<Worker>();
    let (client, worker) = (host.agent::<Client>("c"), host.agent::<Worker>("a"));
    (host, client, worker)
}

fn ask(client: &Object, name: &str, method: &str, args: &Value) -> String {
    let answer = client.connect("").call("ask", &json!([name, method, args]));
    answer.expect("an answer").as_str().expect("text").to_owned()
}

/// The id of the request in a line of the log.
fn request_id(line: &str) -> &str {
    line.split("request=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("no request in {line}"))
}

#[test]
fn a_result_comes_back_with_its_type() {
    let (_, client, _) = world();
    assert_eq!(ask(&client, "a", "add", &json!([1, 2])), "3");
    assert_eq!(ask(&client, "a", "nothing", &json!([])), "null");
    assert_eq!(ask(&client, "a", "count", &json!([])), "1");
    assert_eq!(ask(&client, "a", "count", &json!([])), "2");
    assert_eq!(ask(&client, "b", "count", &json!([])), "1");
    // Nobody's connection, and the application's own code: no scope is asked for.
    assert_eq!(ask(&client, "a", "caller", &json!([])), "false");
    assert_eq!(ask(&client, "a", "secret", &json!([])), "\"told\"");
}

#[test]
fn a_call_that_wakes_an_agent_brings_its_props() {
    let (_, client, _) = world();
    assert_eq!(client.connect("").call("with_props", &json!([])), Ok(json!(3)));
    assert_eq!(notes(), [r#"propped starts with {"by":"call"}"#]);
}

#[test]
fn failures_are_told_apart() {
    let (host, client, worker) = world();
    for (name, method, args, error) in [
        ("a", "fail", json!([]), r#"Method("no such room")"#),
        ("a", "panic", json!([]), "Internal"),
        ("a", "query", json!([]), "Internal"),
        ("broken", "add", json!([1, 2]), "Internal"),
        ("a", "nope", json!([]), r#"NoSuchMethod("Method nope does not exist")"#),
        ("a", "tidy", json!([]), r#"NoSuchMethod("Method tidy is not callable")"#),
        ("a", "stream", json!([]), r#"NoSuchMethod("Method stream streams, so it is for clients alone")"#),
        ("a", "add", json!([1]), r#"Arguments("argument b is missing, expected i64")"#),
        ("a", "add", json!([1, 2, 3]), r#"Arguments("too many arguments: add(a: i64, b: i64) takes 2, got 3")"#),
        ("a", "add", json!({"a": 1}), "Arguments("),
    ] {
        let outcome = ask(&client, name, method, &args);
        assert!(outcome == error || error.ends_with('(') && outcome.starts_with(error), "{method}: {outcome}");
    }
    worker.fail_next_request(HostError::from(HostFault { retryable: true, ..HostFault::new("try again") }));
    assert_eq!(ask(&client, "a", "add", &json!([1, 2])), r#"Retryable("try again")"#);
    worker.fail_next_request(HostError::from(HostFault { retryable: true, overloaded: true, ..HostFault::new("too much") }));
    assert_eq!(ask(&client, "a", "add", &json!([1, 2])), r#"Overloaded("too much")"#);
    worker.fail_next_request(HostError::new("out of order"));
    assert_eq!(ask(&client, "a", "add", &json!([1, 2])), r#"Host("out of order")"#);
    worker.crash_at(CrashPoint::AfterStorageCall(1));
    assert_eq!(ask(&client, "a", "count", &json!([])), r#"Reset("the object has been reset")"#);
    let elsewhere = client.connect("").call("elsewhere", &json!([]));
    assert_eq!(elsewhere, Ok(json!(r#"Err(NotFound("NOWHERE"))"#)));
    let mistyped = client.connect("").call("mistyped", &json!([])).expect("an answer");
    assert!(mistyped.as_str().is_some_and(|text| text.starts_with("Err(Reply(\"invalid type: integer")), "{mistyped}");
    drop(host);
}

#[test]
fn a_call_gives_up_after_its_time_and_the_method_goes_on() {
    let (host, client, _) = world();
    let mut peer = client.connect("");
    peer.send(r#"{"type":"rpc","id":"1","method":"hurry","args":[]}"#);
    host.advance(Duration::from_millis(20));
    assert_eq!(peer.next_json()["result"], "Err(TimedOut(20ms))");
    assert_eq!(notes(), Vec::<String>::new());
    host.advance(Duration::from_millis(30));
    assert_eq!(notes(), ["waited"]);

    // Thirty seconds unless told otherwise.
    peer.send(r#"{"type":"rpc","id":"2","method":"ask","args":["a","wait",[31000]]}"#);
    host.advance(Duration::from_millis(29_999));
    peer.expect_no_frame();
    host.advance(Duration::from_millis(1));
    assert_eq!(peer.next_json()["result"], "TimedOut(30s)");
}

#[test]
fn a_call_back_to_an_agent_that_is_still_starting_fails_at_once() {
    let (host, client, _) = world();
    let before_ms = host.now_ms();
    assert_eq!(ask(&client, "dizzy", "add", &json!([1, 1])), "2");
    assert_eq!(host.now_ms(), before_ms, "somebody waited");
    assert_eq!(notes(), ["start: Err(Internal)", "start: Ok(Number(2))"]);
    let cycle = "Client/c → Worker/dizzy → Worker/friend → Worker/dizzy";
    assert!(host.log().iter().any(|line| line.contains(&format!("a cycle of calls: {cycle}"))), "{:?}", host.log());
}

#[test]
fn a_call_back_to_an_agent_that_has_started_is_served() {
    let (_, client, _) = world();
    assert_eq!(ask(&client, "a", "relay", &json!([["b", "a", "b"], "add", [1, 2]])), "3");
}

#[test]
fn a_chain_of_calls_ends_after_sixteen() {
    let (host, client, _) = world();
    // The client's agent is the first to wait, so fifteen may follow.
    let path = |length: usize| ["a", "b"].into_iter().cycle().take(length).collect::<Vec<_>>();
    assert_eq!(ask(&client, "z", "relay", &json!([path(15), "add", [1, 2]])), "3");
    assert_eq!(host.take_log(), Vec::<String>::new());
    assert_eq!(ask(&client, "z", "relay", &json!([path(16), "add", [1, 2]])), "Internal");
    assert!(host.log()[0].contains("a cycle of calls: Client/c → Worker/z → Worker/a → Worker/b"), "{:?}", host.log());
}

#[test]
fn one_id_leads_through_the_logs_of_all_agents() {
    let (host, client, _) = world();
    assert_eq!(ask(&client, "a", "relay", &json!([["b", "c"], "panic", []])), "Internal");
    let log = host.take_log();
    let ids: Vec<&str> = log.iter().map(|line| request_id(line)).collect();
    assert_eq!(ids[0].len(), 36, "{log:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{log:?}");
    // Outwards from where it happened, each as the callee and as the caller.
    let places: Vec<&str> = log.iter().filter_map(|line| line.split(" error=").next()?.split(" request=").next()).collect();
    assert_eq!(
        places,
        [
            r#"agent=Worker instance="c" event=panic"#,
            r#"agent=Worker instance="b" event=call to=Worker/"c" method="panic""#,
            r#"agent=Worker instance="b" event=relay"#,
            r#"agent=Worker instance="a" event=call to=Worker/"b" method="relay""#,
            r#"agent=Worker instance="a" event=relay"#,
            r#"agent=Client instance="c" event=call to=Worker/"a" method="relay""#,
        ]
    );
    assert!(log[0].contains("hunter2") && !log[1].contains("hunter2"), "{log:?}");
    assert_eq!(ask(&client, "a", "panic", &json!([])), "Internal");
    assert_ne!(request_id(&host.log()[0]), ids[0], "each outermost call has its own");
}

#[test]
fn the_start_that_a_call_causes_belongs_to_it() {
    let (host, client, _) = world();
    assert_eq!(ask(&client, "fails-in-a-call", "add", &json!([1, 2])), "Internal");
    let log = host.log();
    assert!(log.len() == 4 && log.iter().all(|line| request_id(line) == request_id(&log[0])), "{log:?}");
    assert!(log[2].contains("event=on_start") && log[2].contains("the friend is of no help: Err(Internal)"), "{log:?}");
}

#[test]
fn internals_of_another_agent_do_not_reach_a_client() {
    let (_, client, _) = world();
    assert_eq!(client.connect("").call("hand_on", &json!(["a"])), Err("Internal Server Error".to_owned()));
}

#[test]
fn a_forged_call_from_outside_is_an_ordinary_request() {
    let (_, _, worker) = world();
    let forged = |url: &str| {
        let mut request = Request::new(Method::POST, url, "[1,2]");
        request.set_header(CALL, forged_header());
        request
    };
    // What it would do where only the framework can send it.
    let answer = worker.request(forged(CALL_URL));
    assert_eq!((answer.header("x-agents-answer"), answer.json()), (Some("result"), json!(3)));
    // Another version's: nothing runs, and no hook takes it for something else.
    let foreign =
        Request::new(Method::POST, CALL_URL, "[1,2]").with_header(CALL, HeaderValue::from_static("eyJtZXRob2QiOiJhZGQifQ=="));
    let answer = worker.request(foreign);
    assert_eq!(answer.header("x-agents-answer"), Some("no-such-method"));
    assert!(answer.text().contains("with the same one"), "{}", answer.text());
    // A worker that hands requests to the object by itself, past the router: the URL is the client's, and the agent sees no header.
    assert_eq!(worker.request(forged(&worker.url(""))).json(), json!({"hook": null}));
    // An agent that hands one on.
    assert_eq!(worker.get("?hand-on-to=b").json(), json!({"hook": null}));
}

#[test]
fn the_router_takes_the_header_of_calls_off() {
    let (host, _, worker) = world();
    let mut request = Request::new(Method::POST, &worker.url(""), "[1,2]");
    request.set_header(CALL, forged_header());
    let answer = host.route(request, &durable_agents_core::testing::Options::new()).expect("routed");
    assert_eq!(answer.json(), json!({"hook": null}));
}
