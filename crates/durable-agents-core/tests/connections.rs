//! What an agent knows of a connection: checks C61–C66, C74–C77.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use common::{agent, note, notes, text};
use durable_agents_core::http::{Request, Response, StatusCode};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{
    AttachmentError, Connection, Context, MAX_ATTACHMENT_BYTES, MAX_TAG_BYTES, Message, Result, StateError,
};
use serde_json::{Value, json};

agent!(Notebook: Value, Value, ();
    async fn connection_tags(&self, _: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<Vec<String>> {
        if request.url().query_param("early").is_some() {
            connection.set_state(json!("from the tags hook"))?;
        }
        let tag = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| (name == "tag").then(|| value.into_owned());
        Ok(request.url().query_pairs().filter_map(tag).collect())
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("readonly").is_some())
    }

    async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        if request.url().query_param("early").is_some() {
            note(format!("{:?}", connection.state()?));
        }
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let (command, argument) = message.as_text().unwrap_or_default().split_once(' ').unwrap_or((message.as_text().unwrap_or_default(), ""));
        match command {
            "set" => match connection.set_state(serde_json::from_str(argument)?) {
                Ok(()) => {}
                Err(AttachmentError::TooLarge { size_bytes, limit_bytes }) => {
                    connection.send(format!("{size_bytes} of {limit_bytes}"))?;
                }
                Err(error) => connection.send(error.to_string())?,
            },
            "push" => connection.update_state(|previous| {
                note(format!("{previous:?}"));
                let mut list = previous.and_then(|previous| previous.as_array().cloned()).unwrap_or_default();
                list.push(argument.into());
                list.into()
            })?,
            "clear" => connection.clear_state()?,
            "get" => connection.send(serde_json::to_string(&connection.state()?.map(|state| Value::clone(&state)))?)?,
            "readonly" => connection.send(connection.is_readonly().to_string())?,
            "tags" => connection.send(serde_json::to_string(&connection.tags())?)?,
            "uri" => connection.send(connection.uri())?,
            "server" => connection.send(connection.server())?,
            "id" => connection.send(connection.id())?,
            "copies" => {
                let copy = cx.connection(connection.id()).expect("connected");
                copy.set_state(json!("through a copy"))?;
                connection.send(serde_json::to_string(&*connection.state()?.expect("set"))?)?;
            }
            "agent-state" => {
                let outcome = cx.set_state(json!(1));
                connection.send(outcome.err().as_ref().map_or_else(|| "set".to_owned(), StateError::to_string))?;
            }
            _ => note(text(&message)),
        }
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let id = request.url().query_param("id").unwrap_or_default().into_owned();
        match cx.connection(&id) {
            Some(connection) => Ok(Response::json(&connection.state()?.map(|state| Value::clone(&state)))?),
            None => Ok(Response::empty(StatusCode::NOT_FOUND)),
        }
    }
);

fn world() -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Notebook>("room 1");
    (host, object)
}

#[test]
fn c61_connection_state_survives_hibernation() {
    let (_host, object) = world();
    let mut client = object.connect("?_pk=x");
    for state in [json!({"a": 1}), json!(null), json!(0), json!(false), json!(""), json!("ü\u{0}🦀\"")] {
        client.send(format!("set {state}"));
        object.evict();
        client.send("get");
        assert_eq!(client.next_json(), state);
        assert_eq!(object.get("?id=x").json(), state);
    }
    assert!(object.wakes() > 6);
}

#[test]
fn c62_c63_a_state_replaces_and_an_update_sees_the_one_before() {
    let (_host, object) = world();
    let mut client = object.connect("");
    client.send("push a");
    client.send("push b");
    client.send("get");
    assert_eq!(client.next_text(), r#"["a","b"]"#);
    assert_eq!(notes(), ["None", r#"Some(Array [String("a")])"#]);
    client.send(r#"set {"a":1}"#);
    client.send(r#"set {"b":2}"#);
    client.send("get");
    assert_eq!(client.next_text(), r#"{"b":2}"#);
    client.send("clear");
    object.evict();
    client.send("get");
    assert_eq!(client.next_text(), "null");
}

#[test]
fn c64_c65_flags_are_not_in_the_state_and_the_state_does_not_touch_them() {
    let (_host, object) = world();
    let mut client = object.connect("?readonly");
    client.send("get");
    assert_eq!(client.next_text(), "null");
    // Values that are no objects, and names that the reference uses for flags.
    for state in [r#"{"a":1}"#, "5", "\"text\"", "null", "[1]", r#"{"_cf_readonly":false}"#] {
        client.send(format!("set {state}"));
        client.send("get");
        client.send("readonly");
        assert_eq!(client.texts(), [state, "true"]);
        object.evict();
    }
}

#[test]
fn c66_state_set_while_computing_tags_is_there_in_the_connect_hook() {
    let (_host, object) = world();
    let mut client = object.connect("?early");
    client.send("get");
    assert_eq!(client.next_text(), "\"from the tags hook\"");
    assert_eq!(notes(), [r#"Some(String("from the tags hook"))"#]);
}

#[test]
fn copies_of_a_connection_agree() {
    let (_host, object) = world();
    let mut client = object.connect("");
    client.send("set 1");
    client.send("copies");
    assert_eq!(client.next_text(), "\"through a copy\"");
}

#[test]
fn c74_c75_c76_id_tags_uri_and_server_survive_hibernation() {
    let (_host, object) = world();
    let mut client = object.connect("/deep/path?_pk=me%2Fyou&tag=admin&tag=%C3%BC&token=a%20b");
    for _ in 0..2 {
        for question in ["id", "tags", "uri", "server"] {
            client.send(question);
        }
        let uri = "https://example.com/agents/notebook/room%201/deep/path?_pk=me%2Fyou&tag=admin&tag=%C3%BC&token=a%20b";
        assert_eq!(client.texts(), ["me/you", r#"["me/you","admin","ü"]"#, uri, "room 1"]);
        object.evict();
    }
}

#[test]
fn c77_a_state_above_the_limit_is_an_error_and_the_old_one_stays() {
    let (_host, object) = world();
    let mut client = object.connect("?_pk=x");
    client.send("set \"before\"");
    client.send(format!("set \"{}\"", "x".repeat(MAX_ATTACHMENT_BYTES)));
    let told = client.next_text();
    let (size, limit) = told.split_once(" of ").expect("sizes");
    assert_eq!(limit.parse(), Ok(MAX_ATTACHMENT_BYTES));
    assert!(size.parse::<usize>().expect("a number") > MAX_ATTACHMENT_BYTES);
    client.send("get");
    assert_eq!(client.next_text(), "\"before\"");
    object.evict();
    client.send("get");
    assert_eq!(client.next_text(), "\"before\"");
    assert!(client.is_open());
}

#[test]
fn c77_the_largest_state_that_is_said_to_fit_does_fit() {
    let (_host, object) = world();
    let mut client = object.connect("?_pk=x");
    // What the framework takes is told by the error.
    client.send(format!("set \"{}\"", "x".repeat(MAX_ATTACHMENT_BYTES)));
    let told = client.next_text();
    let size: usize = told.split(' ').next().and_then(|size| size.parse().ok()).expect("a size");
    let largest = MAX_ATTACHMENT_BYTES - (size - MAX_ATTACHMENT_BYTES);
    client.send(format!("set \"{}\"", "y".repeat(largest)));
    client.expect_no_frame();
    object.evict();
    client.send("get");
    assert_eq!(client.next_text(), format!("\"{}\"", "y".repeat(largest)));
    client.send(format!("set \"{}\"", "z".repeat(largest + 1)));
    assert_eq!(client.next_text(), format!("{} of {MAX_ATTACHMENT_BYTES}", MAX_ATTACHMENT_BYTES + 1));
}

#[test]
fn a_url_that_fills_the_attachment_fails_the_connect_and_no_other() {
    let (host, object) = world();
    let mut other = object.connect("");
    let mut client = object.connect(&format!("?long={}", "x".repeat(MAX_ATTACHMENT_BYTES)));
    assert_eq!(client.next_text(), common::CONNECT_FAILED);
    assert_eq!(client.close_event().code, 1011);
    assert!(host.log().iter().any(|line| line.contains("bytes of attachment")), "{:?}", host.log());
    other.send("server");
    assert_eq!(other.next_text(), "room 1");
    assert_eq!(object.sockets(), 1);
}

#[test]
fn flags_and_state_fit_beside_the_longest_id_and_tags() {
    let (_host, object) = world();
    let id = "i".repeat(MAX_TAG_BYTES);
    let tags: String = (0..9).map(|n| format!("&tag={n}{}", "t".repeat(MAX_TAG_BYTES - 1))).collect();
    let mut client = object.connect(&format!("?_pk={id}&readonly{tags}"));
    client.send("set \"fits\"");
    object.evict();
    client.send("get");
    client.send("readonly");
    assert_eq!(client.texts(), ["\"fits\"", "true"]);
}
