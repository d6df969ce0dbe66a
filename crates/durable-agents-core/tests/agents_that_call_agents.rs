//! Several agents of several classes in one world.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{agent, note, notes};
use durable_agents_core::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use durable_agents_core::testing::{CrashPoint, MemoryHost};
use durable_agents_core::{Connection, Context, Message, PROPS_HEADER, Result};
use serde_json::{Value, json};

agent!(Shop: (), (), ();
    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let item = message.as_text().unwrap_or_default();
        let stock = cx.agent::<Stock>("main").with_props(&json!({"from": cx.name()}))?;
        match stock.fetch(Request::post_json("https://stock/take", &json!({"item": item}))?).await {
            Ok(answer) => {
                let status = answer.status.as_u16();
                connection.send(format!("{status} {}", answer.body.text().await?))?;
            }
            Err(error) => connection.send(format!("unreachable: {error}"))?,
        }
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, mut request: Request) -> Result<Response> {
        // A request from outside, handed on as it is.
        request.set_header(HeaderName::from_static("x-through"), HeaderValue::from_static("shop"));
        Ok(cx.agent::<Stock>("main").fetch(request).await?)
    }
);

agent!(Stock: u32, (), Value;
    fn initial_state(&self) -> Option<u32> {
        Some(10)
    }

    async fn on_start(&self, _: &Context<Self>, props: Option<Value>) -> Result<()> {
        note(format!("stock starts with {}", props.unwrap_or_default()));
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        if request.path() == "/take" {
            let order: Value = request.json().await?;
            let left = cx.update_state(|left| {
                *left -= 1;
                *left
            })?;
            return Ok(Response::text(format!("{} taken, {left} left", order["item"].as_str().unwrap_or_default())));
        }
        let seen = json!({
            "through": request.header("x-through"),
            "props": request.header(PROPS_HEADER.as_str()),
            "room": request.header("x-partykit-room"),
            "body": request.text().await?,
        });
        Ok(Response::json(&seen)?.with_status(StatusCode::ACCEPTED))
    }
);

#[test]
fn one_agent_asks_another_and_gives_it_props() {
    notes();
    let host = MemoryHost::new();
    host.bind::<Stock>();
    let shop = host.agent::<Shop>("corner");
    let mut client = shop.connect("");
    client.send("apple");
    client.send("pear");
    assert_eq!(client.texts(), ["200 apple taken, 9 left", "200 pear taken, 8 left"]);
    assert_eq!(notes(), [r#"stock starts with {"from":"corner"}"#]);
}

#[test]
fn c36_a_request_that_is_handed_on_loses_its_internal_headers() {
    let host = MemoryHost::new();
    host.bind::<Stock>();
    let shop = host.agent::<Shop>("corner");
    let mut request = Request::new("POST".parse().expect("a method"), &shop.url(""), "the body");
    request.set_header(HeaderName::from_static("x-partykit-room"), HeaderValue::from_static("elsewhere"));
    let answer = shop.request(request);
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json(), json!({"through": "shop", "props": null, "room": null, "body": "the body"}));
}

#[test]
fn a_crash_of_the_other_is_an_error_to_handle() {
    let host = MemoryHost::new();
    let stock = host.agent::<Stock>("main");
    let mut client = host.agent::<Shop>("corner").connect("");
    stock.crash_at(CrashPoint::AfterStorageCall(2));
    client.send("apple");
    client.send("pear");
    assert_eq!(client.texts(), ["unreachable: the object has been reset", "200 pear taken, 9 left"]);
}

#[test]
fn an_agent_that_nobody_bound_is_unreachable() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Shop>("corner").connect("");
    client.send("apple");
    assert!(client.next_text().starts_with("unreachable: no agent is bound as Stock"));
}

#[test]
fn in_another_jurisdiction_the_same_name_is_another_instance() {
    use durable_agents_core::host::{Placement, Target};
    let host = MemoryHost::new();
    let here = host.agent::<Stock>("main");
    let placement = Placement { jurisdiction: Some("eu".to_owned()), location_hint: None };
    let there = host.object(&Target { binding: "Stock".to_owned(), name: "main".to_owned(), placement });
    here.connect("").set_state(&json!(1));
    assert_eq!(there.connect("").greeting()[1], common::state("10"));
    assert_eq!(here.connect("").greeting()[1], common::state("1"));
}
