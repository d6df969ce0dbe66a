//! What the router does before and after the agent: checks C22–C37.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{MCP, agent, identity, note, notes, upgrade};
use durable_agents_core::host::{HostError, HostFault};
use durable_agents_core::http::{HeaderName, HeaderValue, Headers, Method, Request, Response, StatusCode, header};
use durable_agents_core::route::{Before, Binding, Cors, RoutingRetry};
use durable_agents_core::testing::{Collected, MemoryHost, Options};
use durable_agents_core::{Connection, Context, INTERNAL_HEADERS, PROPS_HEADER, Result, encode_props, error};
use serde_json::{Value, json};

agent!(Echo: (), (), Value;
    async fn on_start(&self, _: &Context<Self>, props: Option<Value>) -> Result<()> {
        note(format!("start {}", props.unwrap_or_default()));
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let echo = json!({
            "name": cx.name(),
            "method": request.method().as_str(),
            "url": request.url().as_str(),
            "extra": request.header("x-extra"),
            "props": request.header(PROPS_HEADER.as_str()),
            "all": request.headers().keys().collect::<Vec<_>>(),
        });
        let own = HeaderValue::from_static("https://own.example");
        Ok(Response::json(&echo)?.with_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, own))
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        connection.send_json(&json!({"extra": request.header("x-extra"), "props": request.header(PROPS_HEADER.as_str())}))?;
        Ok(())
    }
);

const URL: &str = "https://example.com/agents/echo/a";

const CORS: [(&str, &str); 4] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, POST, HEAD, OPTIONS"),
    ("access-control-allow-headers", "*"),
    ("access-control-max-age", "86400"),
];

fn world() -> MemoryHost {
    notes();
    let host = MemoryHost::new();
    host.bind::<Echo>();
    host
}

fn cors_of(answer: &Collected) -> Vec<(&str, &str)> {
    CORS.iter().filter_map(|(name, _)| Some((*name, answer.header(name)?))).collect()
}

fn header_set(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

#[test]
fn c22_a_preflight_is_answered_and_wakes_nobody() {
    let host = world();
    let options = Options::new().cors(Cors::AllowAll);
    let answer = host.route(Request::new(Method::OPTIONS, URL, ""), &options).expect("routed");
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, ""));
    assert_eq!(cors_of(&answer), CORS);
    assert_eq!(host.events(), 0);
}

#[test]
fn c23_cors_headers_replace_those_of_the_agent() {
    let answer = world().route(Request::get(URL), &Options::new().cors(Cors::AllowAll)).expect("routed");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(cors_of(&answer), CORS);
}

#[test]
fn c24_an_unknown_class_gets_no_cors_headers() {
    let request = Request::get("https://example.com/agents/nope/a");
    let answer = world().route(request, &Options::new().cors(Cors::AllowAll)).expect("routed");
    assert_eq!((answer.status, cors_of(&answer)), (StatusCode::BAD_REQUEST, vec![]));
}

#[test]
fn c25_c29_an_answer_of_a_hook_gets_cors_headers_unless_it_is_an_upgrades() {
    let host = world();
    let refuse = |_: Request, _| async { Ok(Before::Respond(Response::text("no").with_status(StatusCode::FORBIDDEN))) };
    let options = Options::new().cors(Cors::AllowAll).on_before_request(refuse).on_before_connect(refuse);
    let answer = host.route(Request::get(URL), &options).expect("routed");
    assert_eq!((answer.status, answer.text()), (StatusCode::FORBIDDEN, "no"));
    assert_eq!(cors_of(&answer), CORS);
    let mut client = host.route_connect(upgrade(URL), &options).expect("routed");
    let refusal = client.refusal().expect("an HTTP answer");
    assert_eq!((refusal.status, cors_of(&refusal)), (StatusCode::FORBIDDEN, vec![]));
    assert_eq!(host.events(), 0);
}

#[test]
fn c26_a_set_of_headers_stands_alone() {
    let own =
        Headers::from_iter([header_set("access-control-allow-origin", "https://app.example"), header_set("vary", "origin")]);
    let answer = world().route(Request::get(URL), &Options::new().cors(Cors::Headers(own))).expect("routed");
    assert_eq!(cors_of(&answer), [("access-control-allow-origin", "https://app.example")]);
    assert_eq!(answer.header("vary"), Some("origin"));
}

#[test]
fn c27_without_cors_options_is_a_request_like_any_other() {
    let answer = world().route(Request::new(Method::OPTIONS, URL, ""), &Options::new()).expect("routed");
    assert_eq!(answer.json()["method"], "OPTIONS");
    assert_eq!(cors_of(&answer), [("access-control-allow-origin", "https://own.example")]);
}

#[test]
fn c28_a_hook_that_refuses_an_upgrade_answers_it() {
    let host = world();
    let options = Options::new().on_before_connect(|_, _| async {
        Ok(Before::Respond(Response::text("who are you?").with_status(StatusCode::UNAUTHORIZED)))
    });
    let mut client = host.route_connect(upgrade(URL), &options).expect("routed");
    let refusal = client.refusal().expect("an HTTP answer");
    assert_eq!((refusal.status, refusal.text()), (StatusCode::UNAUTHORIZED, "who are you?"));
    assert_eq!(host.events(), 0);
    // It is asked about upgrades only.
    assert_eq!(host.route(Request::get(URL), &options).expect("routed").status, StatusCode::OK);
}

#[test]
fn c30_c33_a_hook_changes_the_request_and_knows_the_route() {
    let host = world();
    let mark = |mut request: Request, route: durable_agents_core::route::Route| async move {
        note(format!("{} {}", route.binding, route.name));
        request.set_header(HeaderName::from_static("x-extra"), HeaderValue::from_static("from the hook"));
        Ok(Before::Forward(request))
    };
    let options = Options::new().on_before_request(mark).on_before_connect(mark);
    assert_eq!(host.route(Request::get(&format!("{URL}%20b")), &options).expect("routed").json()["extra"], "from the hook");
    let mut client = host.route_connect(upgrade(URL), &options).expect("routed");
    assert_eq!(client.next_json()["extra"], "from the hook");
    assert_eq!(notes(), ["Echo a%20b", "start null", "Echo a", "start null"]);
}

#[test]
fn hooks_look_at_the_agents_they_are_for_and_the_others_are_handed_on() {
    let host = world();
    let refuse = |_, _| async { Ok(Before::Respond(Response::text("no").with_status(StatusCode::FORBIDDEN))) };
    let hooked = || Options::new().on_before_request(refuse).on_before_connect(refuse);
    let bindings = [Binding::new("Echo")];
    for (options, is_for_echo) in [
        (hooked(), true),
        (hooked().hooks_for(&["Echo"]), true),
        (hooked().hooks_for(&["Other"]), false),
        (Options::new().hooks_for(&["Echo"]), false),
    ] {
        let status = if is_for_echo { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(host.route(Request::get(URL), &options).expect("routed").status, status);
        let mut client = host.route_connect(upgrade(URL), &options).expect("routed");
        assert_eq!(client.refusal().is_some(), is_for_echo);
        assert_eq!(options.straight("/agents/echo/a", &bindings).is_none(), is_for_echo);
    }
    assert!(Options::new().cors(Cors::AllowAll).straight("/agents/echo/a", &bindings).is_none());
}

#[test]
fn c31_another_url_does_not_make_it_another_agents() {
    let options = Options::new()
        .on_before_request(|_, _| async { Ok(Before::Forward(Request::get("https://elsewhere.example/agents/echo/b?new=1"))) });
    let answer = world().route(Request::get(URL), &options).expect("routed").json();
    assert_eq!(answer["name"], "a");
    assert_eq!(answer["url"], "https://elsewhere.example/agents/echo/b?new=1");
}

#[test]
fn c32_upgrade_is_compared_without_case() {
    let host = world();
    let options = Options::new().on_before_connect(|request, _| async {
        note("before connect");
        Ok(Before::Forward(request))
    });
    for spelling in ["websocket", "WebSocket", "WEBSOCKET"] {
        let request = Request::get(URL).with_header(header::UPGRADE, HeaderValue::from_static(spelling));
        let mut client = host.route_connect(request, &options).expect("routed");
        assert_eq!(client.greeting(), [identity("a", "echo"), MCP.to_owned()]);
        assert!(notes().contains(&"before connect".to_owned()), "{spelling}");
    }
}

#[test]
fn c34_c35_props_reach_the_start_and_only_that() {
    let host = world();
    let first = json!({"user": "Usuário"});
    let options = Options::new().props(encode_props(&first).expect("JSON"));
    let answer = host.route(Request::get(URL), &options).expect("routed").json();
    assert_eq!(answer["props"], Value::Null);
    let options = Options::new().props(encode_props(&json!({"user": "other"})).expect("JSON"));
    let mut client = host.route_connect(upgrade(URL), &options).expect("routed");
    assert_eq!(client.next_json()["props"], Value::Null);
    assert_eq!(notes(), [format!("start {first}")]);
}

#[test]
fn c36_headers_with_a_meaning_inside_are_not_let_in() {
    let host = world();
    // The hook may be asked about them just as little.
    let options = Options::new().on_before_request(|request: Request, _| async {
        note(format!("hook sees {:?}", request.header("x-agents-lifecycle-props")));
        Ok(Before::Forward(request))
    });
    let answer = host.route(forged(), &options).expect("routed").json();
    assert_eq!(notes(), ["hook sees None", "start null"]);
    assert_eq!(answer["all"], json!(["x-extra"]));
}

#[test]
fn an_object_hides_them_from_its_author_whoever_let_them_in() {
    let host = world();
    let echo = host.agent::<Echo>("a");
    for started in [false, true] {
        assert_eq!(echo.request(forged()).json()["all"], json!(["x-extra"]), "started: {started}");
    }
}

/// A request with every header that only a router or a stub may set, and one that anybody may.
fn forged() -> Request {
    let mut request = Request::get(URL).with_header(HeaderName::from_static("x-extra"), HeaderValue::from_static("1"));
    for name in INTERNAL_HEADERS {
        request.set_header(HeaderName::from_static(name), HeaderValue::from_static(r#"{"admin":true}"#));
    }
    request
}

#[test]
fn the_first_internal_header_is_the_one_that_an_object_takes_at_its_word() {
    let names = [
        "x-agents-lifecycle-props",
        "x-agents-call",
        "x-cf-agents-subagent-url",
        "x-partykit-namespace",
        "x-partykit-jurisdiction",
        "x-partykit-props",
        "x-partykit-room",
    ];
    assert_eq!(INTERNAL_HEADERS, names);
    assert_eq!(INTERNAL_HEADERS[0], PROPS_HEADER);
}

#[test]
fn props_that_do_not_fit_are_a_failed_start() {
    let host = world();
    let bad = Options::new().props(HeaderValue::from_static("%%%"));
    let answer = host.route(Request::get(URL), &bad).expect("routed");
    assert_eq!((answer.status, answer.text()), (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    assert!(host.log().iter().any(|line| line.contains("props are neither JSON nor base64")), "{:?}", host.log());
    assert_eq!(host.route(Request::get(URL), &Options::new()).expect("routed").status, StatusCode::OK);
    assert_eq!(notes(), ["start null"]);
}

#[test]
fn c37_a_retryable_failure_is_tried_again() {
    let host = world();
    let busy = HostError::from(HostFault { retryable: true, ..HostFault::new("network connection lost") });
    let object = host.agent::<Echo>("a");
    object.fail_next_request(busy.clone());
    object.fail_next_request(busy);
    let options = Options::new().on_retry(|notice| note(format!("attempt {} of {}", notice.attempt, notice.max_attempts)));
    let request = Request::new(Method::POST, URL, "the body");
    assert_eq!(host.route(request, &options).expect("routed").json()["method"], "POST");
    assert_eq!(notes(), ["attempt 1 of 3", "attempt 2 of 3", "start null"]);
}

#[test]
fn what_is_not_retryable_or_overloaded_is_not_tried_again() {
    let host = world();
    let object = host.agent::<Echo>("a");
    for (retryable, overloaded, retry) in
        [(false, false, RoutingRetry::default()), (true, true, RoutingRetry::default()), (true, false, RoutingRetry::OFF)]
    {
        object.fail_next_request(HostError::from(HostFault { retryable, overloaded, ..HostFault::new("down") }));
        let failed = host.try_route(Request::get(URL), &Options::new().retry(retry));
        assert_eq!(failed.expect_err("the platform failed").to_string(), "down");
    }
    assert_eq!(object.wakes(), 0);
}

#[test]
fn a_failing_hook_is_the_routers_failure() {
    let host = world();
    let options = Options::new().on_before_request(|_, _| async { Err(error!("no session store")) });
    let failed = host.try_route(Request::get(URL), &options);
    assert_eq!(failed.expect_err("the hook failed").to_string(), "no session store");
    assert_eq!(host.events(), 0);
}
