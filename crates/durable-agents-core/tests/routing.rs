//! From a URL to an agent: checks C1–C20.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{MCP, agent, identity, identity_before_state, note, notes, state, upgrade};
use durable_agents_core::http::{Body, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use durable_agents_core::testing::{MemoryHost, Options};
use durable_agents_core::{Context, Result, bail};
use serde_json::{Value, json};

agent!(Counter: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!({"count": 0}))
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let status = if request.path().ends_with("/teapot") { StatusCode::IM_A_TEAPOT } else { StatusCode::OK };
        if request.path().ends_with("/fail") {
            bail!("the database password is hunter2");
        }
        if request.path().ends_with("/increment") {
            cx.update_state(|state| state["count"] = (state["count"].as_i64().unwrap_or_default() + 1).into())?;
        }
        let (method, is_endless) = (request.method().clone(), request.path().ends_with("/endless"));
        let echo = json!({
            "name": cx.name(),
            "method": request.method().as_str(),
            "path": request.path(),
            "query": request.url().query(),
            "custom": request.header("x-custom"),
            "state": *cx.state()?,
            "body": request.text().await?,
        });
        let mut answer = Response::json(&echo)?.with_status(status).with_header(header::ETAG, HeaderValue::from_static("\"7\""));
        if method == Method::HEAD {
            answer = answer.with_header(HeaderName::from_static("x-method"), HeaderValue::from_static("HEAD"));
        }
        if is_endless {
            answer.body = Body::stream(futures::stream::repeat_with(|| Ok("more ".into())));
        }
        Ok(answer)
    }
);

agent!(Silent: (), (), (););

fn get(host: &MemoryHost, path: &str) -> Option<durable_agents_core::testing::Collected> {
    host.route(Request::get(&format!("https://example.com{path}")), &Options::new())
}

fn world() -> MemoryHost {
    let host = MemoryHost::new();
    host.bind::<Counter>();
    host
}

#[test]
fn c1_the_handlers_answer_arrives_unchanged() {
    let answer = get(&world(), "/agents/counter/a/teapot").expect("routed");
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.header("etag"), Some("\"7\""));
    assert_eq!(answer.json()["name"], "a");
}

#[test]
fn c2_c3_c4_other_paths_are_no_route_and_make_no_object() {
    let host = world();
    for path in ["/", "/agents", "/agents/", "/agents/counter", "/agents/counter/", "/other/counter/a", "/AGENTS/counter/a"] {
        assert_eq!(get(&host, path), None, "{path}");
    }
    assert_eq!(host.events(), 0);
}

#[test]
fn c5_c6_c7_an_unknown_class_is_a_bad_request_and_no_socket() {
    let host = world();
    for path in ["/agents/nope/a", "/agents/Counter/a", "/agents/COUNTER/a/b"] {
        let answer = get(&host, path).expect("routed");
        assert_eq!((answer.status, answer.text()), (StatusCode::BAD_REQUEST, "Invalid request"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
    }
    let mut client = host.route_connect(upgrade("https://example.com/agents/nope/a"), &Options::new()).expect("routed");
    let refusal = client.refusal().expect("an HTTP answer");
    assert_eq!((refusal.status, refusal.text()), (StatusCode::BAD_REQUEST, "Invalid request"));
    assert_eq!(client.close_event().code, 1006);
    assert_eq!(host.events(), 0);
}

#[test]
fn c8_c9_a_binding_answers_under_its_kebab_form_only() {
    let host = MemoryHost::new();
    for (binding, class) in [
        ("MyAgent", "my-agent"),
        ("LOUD_AGENT", "loud-agent"),
        ("Chat_Room", "chat--room"),
        ("MyAgent2B", "my-agent2-b"),
        ("AIAssistant", "a-i-assistant"),
    ] {
        host.bind_as::<Counter>(binding);
        let answer = get(&host, &format!("/agents/{class}/a")).expect("routed");
        assert_eq!(answer.status, StatusCode::OK, "{binding}");
    }
    assert_eq!(get(&host, "/agents/ai-assistant/a").expect("routed").status, StatusCode::BAD_REQUEST);
}

#[test]
fn c11_empty_segments_do_not_count() {
    let answer = get(&world(), "//agents///counter//a/").expect("routed");
    assert_eq!(answer.json()["name"], "a");
}

#[test]
fn c12_the_handler_sees_the_whole_path_and_the_query() {
    let answer = get(&world(), "/agents/counter/a/x/y?q=1").expect("routed").json();
    assert_eq!((&answer["path"], &answer["query"]), (&json!("/agents/counter/a/x/y"), &json!("q=1")));
}

#[test]
fn c13_method_headers_and_body_reach_the_handler() {
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let body = "bytes \u{0} of\r\nany kind ü";
        let mut request = Request::new(method.clone(), "https://example.com/agents/counter/a", body);
        request.set_header("x-custom".parse().expect("a name"), HeaderValue::from_static("kept"));
        let answer = world().route(request, &Options::new()).expect("routed").json();
        assert_eq!(answer["method"], method.as_str());
        assert_eq!(answer["custom"], "kept");
        assert_eq!(answer["body"], body);
    }
}

#[test]
fn an_answer_to_head_goes_without_its_body() {
    let host = world();
    // What starts the agent, what finds it started, and what fails.
    for (path, status) in [("", 200), ("", 200), ("/endless", 200), ("/teapot", 418), ("/fail", 500)] {
        let request = Request::new(Method::HEAD, &format!("https://example.com/agents/counter/a{path}"), Body::Empty);
        assert_eq!((request.method(), request.effective_method()), (&Method::HEAD, &Method::GET));
        let answer = host.route(request, &Options::new()).expect("routed");
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, &b""[..]), "{path}");
        let content_type = if status == 500 { "text/plain;charset=UTF-8" } else { "application/json" };
        let length = answer.header("content-length").map(|length| length.parse::<usize>().expect("a length"));
        let request = Request::get(&format!("https://example.com/agents/counter/a{path}"));
        let expected = (path != "/endless").then(|| host.route(request, &Options::new()).expect("routed").body.len());
        // It names the method, which is a letter shorter.
        assert_eq!(length, expected.map(|length| length + usize::from(status != 500)), "{path}");
        assert_eq!(
            (answer.header("content-type"), answer.header("x-method")),
            (Some(content_type), (status != 500).then_some("HEAD")),
            "{path}"
        );
    }
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        assert_eq!(Request::new(method.clone(), "/", Body::Empty).effective_method(), method);
    }
}

#[test]
fn c14_c17_the_prefix_is_an_option() {
    let host = world();
    let routed = |prefix: &'static str, path: &str| {
        host.route(Request::get(&format!("https://example.com{path}")), &Options::new().prefix(prefix)).is_some()
    };
    assert!(routed("api/agents", "/api/agents/counter/a"));
    assert!(!routed("api/agents", "/agents/counter/a"));
    assert!(routed("", "/agents/counter/a"));
    for slashed in ["/agents", "agents/"] {
        assert!(!routed(slashed, "/agents/counter/a"), "{slashed}");
    }
}

#[test]
fn c15_a_name_is_not_decoded() {
    let host = world();
    for name in ["a%20b", "%F0%9F%A6%80", "%2e%2e", "sub"] {
        let url = format!("https://example.com/agents/counter/{name}");
        let mut client = host.route_connect(upgrade(&url), &Options::new()).expect("routed");
        let first = client.greeting().into_iter().next();
        assert_eq!(first, Some(identity_before_state(name, "counter")));
    }
}

#[test]
fn c16_two_names_have_two_states_and_one_name_has_one() {
    let host = world();
    for _ in 0..2 {
        get(&host, "/agents/counter/a/increment");
    }
    get(&host, "/agents/counter/b/increment");
    assert_eq!(get(&host, "/agents/counter/a").expect("routed").json()["state"], json!({"count": 2}));
    assert_eq!(get(&host, "/agents/counter/b").expect("routed").json()["state"], json!({"count": 1}));
}

#[test]
fn c18_an_agent_without_a_request_handler_says_so() {
    let host = MemoryHost::new();
    host.bind::<Silent>();
    let answer = get(&host, "/agents/silent/a").expect("routed");
    assert_eq!((answer.status, answer.text()), (StatusCode::NOT_FOUND, "Not implemented"));
}

#[test]
fn c19_a_failing_handler_is_a_500_without_internals_and_the_next_request_succeeds() {
    let host = world();
    let answer = get(&host, "/agents/counter/a/fail").expect("routed");
    assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert!(host.log().iter().any(|line| line.contains("hunter2") && line.contains("event=on_request")), "{:?}", host.log());
    assert_eq!(get(&host, "/agents/counter/a").expect("routed").status, StatusCode::OK);
}

#[test]
fn c20_identity_tells_name_and_class_whatever_the_url_looks_like() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Counter>("the real name").connect("https://example.com/my/own/path");
    let expected = [identity_before_state("the real name", "counter"), state(r#"{"count":0}"#), MCP.to_owned()];
    assert_eq!(client.greeting(), expected);
}

#[test]
fn c40_the_url_uses_the_binding_and_identity_the_class() {
    let host = MemoryHost::new();
    host.bind_as::<Silent>("OTHER_NAME");
    let url = "https://example.com/agents/other-name/a";
    let mut client = host.route_connect(upgrade(url), &Options::new()).expect("routed");
    assert_eq!(client.greeting(), [identity("a", "silent"), MCP.to_owned()]);
    assert_eq!(get(&host, "/agents/silent/a").expect("routed").status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_default_agent_gets_what_no_bound_agent_is_named_like() {
    let host = world();
    host.bind::<Silent>();
    let name = |path: &str| {
        let options = Options::new().default_agent("Counter");
        let answer = host.route(Request::get(&format!("https://example.com{path}")), &options)?;
        Some(answer.json()["name"].as_str().expect("a name").to_owned())
    };
    assert_eq!(name("/agents/lobby").as_deref(), Some("lobby"));
    assert_eq!(name("/agents/nope/a").as_deref(), Some("nope"));
    assert_eq!(name("/agents/silent"), None);
    assert_eq!(name("/elsewhere"), None);
}

#[test]
fn a_name_of_any_characters_is_an_instance_of_its_own() {
    let host = MemoryHost::new();
    let longest = "ü".repeat(512);
    for name in ["a%20b", "🦀", "a b", "\"quoted\"", "line\nbreak", "nul\u{0}", longest.as_str()] {
        let object = host.agent::<Counter>(name);
        assert_eq!(object.get("/increment").json()["name"], name);
        let mut client = object.connect("");
        let frame: Value = serde_json::from_str(&client.greeting()[0]).expect("JSON");
        assert_eq!(frame["name"], name);
        assert_eq!(object.get("").json()["state"]["count"], 1);
    }
}

#[test]
fn a_name_over_1024_bytes_is_a_failed_start_and_nobody_elses_problem() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>(&"x".repeat(1_025));
    let answer = object.get("");
    assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert!(matches!(&host.take_log()[..], [line] if line.contains("1024 bytes")), "one failure, one line");
    let mut client = object.connect("");
    assert_eq!(client.next_text(), common::CONNECT_FAILED);
    assert_eq!(client.close_event().code, 1011);
    note("reached");
    assert_eq!(host.agent::<Counter>("ok").get("").status, StatusCode::OK);
    assert_eq!(notes(), ["reached"]);
}
