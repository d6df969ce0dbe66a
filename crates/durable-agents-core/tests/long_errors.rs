//! What somebody outside has sent is repeated in answers and in the log up to a bound, however long it was.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::agent;
use durable_agents_core::http::{Request, Response, StatusCode};
use durable_agents_core::rpc::{Callable, answer};
use durable_agents_core::testing::MemoryHost;
use durable_agents_core::{Connection, Context, Error, Message, Result};
use serde_json::{Value, json};

agent!(Desk: (), (), ();
    fn callables() -> &'static [Callable<Self>] {
        const { &[
            Callable::new("double", |call| Box::pin(async move { answer(&(call.args.get::<i64>(0, "number")? * 2)) })),
            Callable::new("parse", |call| Box::pin(async move {
                answer(&serde_json::from_str::<i64>(&call.args.get::<String>(0, "text")?)?)
            })),
            Callable::new("order", |call| Box::pin(async move {
                let order = serde_json::from_str::<i64>(&call.args.get::<String>(0, "text")?);
                answer(&order.map_err(|wrong| Error::new(wrong).context("this is no order"))?)
            })),
        ] }
    }

    async fn on_message(&self, _: &Context<Self>, _: &Connection<Self>, message: Message) -> Result<()> {
        serde_json::from_str::<i64>(message.as_text().unwrap_or_default())?;
        Ok(())
    }

    async fn on_request(&self, _: &Context<Self>, request: Request) -> Result<Response> {
        request.json::<i64>().await?;
        Ok(Response::text("a number"))
    }
);

/// As long as words may become when they are escaped once more.
const MAX_BYTES: usize = 10_000;

/// A string that is longer in an error than it was: each character is written as an escape of six.
fn long() -> String {
    "\u{7f}".repeat(1_000_000)
}

#[test]
fn the_answer_to_a_call_repeats_a_bit_of_what_does_not_fit() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    for (method, argument, beginning, end) in [
        ("double", json!(long()), "argument number: invalid type: string", "expected i64"),
        ("parse", json!(format!("\"{}\"", long())), "invalid type: string", "expected i64 at line 1 column 1000002"),
        (&long(), Value::Null, "Method \u{7f}\u{7f}", "\u{7f} does not exist"),
    ] {
        let told = client.call(method, &json!([argument])).expect_err("does not fit");
        assert!(told.starts_with(beginning) && told.ends_with(end), "{told}");
        assert!(told.len() <= MAX_BYTES, "{} bytes", told.len());
    }
}

#[test]
fn the_words_that_a_method_puts_before_an_error_are_what_the_caller_is_told() {
    let host = MemoryHost::new();
    let mut client = host.agent::<Desk>("a").connect("");
    let told = client.call("order", &json!(["secret"])).expect_err("is none");
    assert_eq!(told, "this is no order");
}

#[test]
fn the_log_repeats_a_bit_of_what_does_not_fit() {
    let host = MemoryHost::new();
    let object = host.agent::<Desk>("a");
    let mut client = object.connect("");
    let json = json!(long()).to_string();
    client.send(json.as_str());
    assert_eq!(object.post("", "application/json", json).status, StatusCode::INTERNAL_SERVER_ERROR);
    let log = host.log();
    assert_eq!(log.len(), 2);
    for line in log {
        assert!(line.contains("invalid type: string") && line.contains("expected i64 at line 1 column 1000002"), "{line}");
        assert!(line.len() <= MAX_BYTES, "{} bytes", line.len());
    }
}
