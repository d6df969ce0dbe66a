//! HubAgent: who gets what, and what other agents tell it.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::time::Duration;

use agents_worker::hub::{AgentState, AgentStatus, ChatMessage, HubAgent, HubAgentCalls as _, Level, MAX_AGENTS};
use durable_agents::prelude::*;
use durable_agents::testing::{Client, MemoryHost};
use serde_json::json;

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/hub.rs"]
mod scenarios;
#[path = "support/tokens.rs"]
mod tokens;
use plain::plain;
use scenarios::{frame, next, presence, publish, sign_in};

scenarios::hub_scenarios!(plain);

/// An agent that tells the hub what it does.
#[derive(Default)]
struct Worker;

#[agent]
impl Agent for Worker {
    async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
        let hub = cx.agent::<HubAgent>("office");
        let status = AgentStatus {
            agent_name: "worker".to_owned(),
            state: AgentState::Working,
            current_task: None,
            progress: Some(7.into()),
        };
        let message = ChatMessage {
            conversation_id: "c1".to_owned(),
            message_id: "m".to_owned(),
            content: "hi".to_owned(),
            sender: "worker".to_owned(),
            timestamp: None,
        };
        let delivered = [
            hub.broadcast_agent_status(status).await?,
            hub.broadcast_chat_message(message).await?,
            hub.send_notification(Level::Success, "done".to_owned(), Some("ada".to_owned())).await?,
            hub.send_notification(Level::Info, "hello".to_owned(), None).await?,
        ];
        let refused = hub.send_notification(Level::Info, String::new(), None).await;
        Ok(Response::json(&json!([delivered, refused.map_err(|error| error.to_string())]))?)
    }
}

#[test]
fn other_agents_publish_without_a_token() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    let mut ada = sign_in(&hub, "ada&conversation=c1");
    let mut bob = sign_in(&hub, "bob");
    ada.frames();
    let answer = host.agent::<Worker>("w").get("").json();
    assert_eq!(answer[0], json!([2, 1, 1, 2]));
    assert!(answer[1]["Err"].as_str().is_some_and(|error| error.contains("message: a text of 1 to 32768 bytes")), "{answer}");
    let status = frame("agent_status", json!({ "agentName": "worker", "state": "working", "progress": 7 }));
    let hello = frame("notification", json!({ "level": "info", "message": "hello" }));
    assert_eq!(next(&mut ada), status);
    assert_eq!(next(&mut ada)["type"], "chat_message");
    assert_eq!(next(&mut ada), frame("notification", json!({ "level": "success", "message": "done" })));
    assert_eq!(next(&mut ada), hello);
    assert_eq!([next(&mut bob), next(&mut bob)], [status, hello]);
}

#[test]
fn the_log_says_that_development_tokens_are_on_and_never_holds_a_token() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    hub.connect("?token=dev:ada");
    hub.connect("?token=hush-hush");
    let log = host.log().join("\n");
    assert!(log.contains("DEV_TOKENS is on: anybody may sign in as anybody"), "{log}");
    assert!(log.contains("token refused: configuration: secret JWT_SECRET is not set"), "{log}");
    assert!(!log.contains("dev:ada") && !log.contains("hush-hush"), "{log}");
}

#[test]
fn a_size_that_is_none_is_in_the_log_and_does_not_count() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    host.set_var("HUB_MAX_MESSAGE_BYTES", "64K");
    let mut ada = sign_in(&host.agent::<HubAgent>("office"), "ada");
    ada.send(format!(r#"{{"type":"ping","data":"{}"}}"#, "x".repeat(60_000)));
    assert_eq!(next(&mut ada), json!({ "type": "pong" }));
    assert!(host.log().join("\n").contains("HUB_MAX_MESSAGE_BYTES is no number of bytes"));
}

#[test]
fn the_largest_message_fits_into_a_full_bucket() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    host.set_var("HUB_MAX_MESSAGE_BYTES", "300000");
    let mut ada = sign_in(&host.agent::<HubAgent>("office"), "ada");
    let ping = format!(r#"{{"type":"ping","data":"{}"}}"#, "x".repeat(300_000 - 25));
    assert_eq!(ping.len(), 300_000);
    ada.send(ping);
    assert_eq!(next(&mut ada), json!({ "type": "pong" }));
}

#[test]
fn statuses_of_so_many_agents_are_kept() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    hub.get("");
    let full = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO hub_statuses SELECT 'agent ' || i, '{}', i FROM n";
    hub.sql(full, (MAX_AGENTS,)).execute().expect("rows");
    publish(&hub, "agent-status", &json!({ "agentName": "agent 1", "state": "idle" }));
    publish(&hub, "agent-status", &json!({ "agentName": "new", "state": "idle" }));
    let count = |name: &str| -> u64 {
        hub.sql("SELECT COUNT(*) FROM hub_statuses WHERE agent GLOB ?", (name,)).one().expect("a number")
    };
    assert_eq!([count("*"), count("agent 1"), count("agent 2"), count("new")], [MAX_AGENTS, 1, 0, 1]);
}

#[test]
fn after_a_crash_those_are_here_who_come_back() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    let (_ada, _bob) = (sign_in(&hub, "ada"), sign_in(&hub, "bob"));
    hub.crash();
    let mut bob = hub.connect("?token=dev:bob");
    assert_eq!(next(&mut bob)["type"], "auth");
    assert_eq!(next(&mut bob), presence("bob", "online"));
    bob.expect_no_frame();
    // The alarm of before is there still, and goes on for those who are.
    host.advance(Duration::from_secs(30));
    assert_eq!(next(&mut bob), json!({ "type": "ping" }));
}

#[test]
fn a_conversation_that_its_connection_cannot_keep_is_refused_with_its_reason() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    let mut ada = sign_in(&hub, &format!("ada&padding={}", "x".repeat(15_500)));
    let subscribe = |client: &mut Client, number: u32| {
        client.send_json(&frame("subscribe", json!({ "conversationId": format!("{number}{}", "x".repeat(127)) })));
        next(client)
    };
    let no_room = json!({ "error": "No room for another conversation: unsubscribe from one, or connect with a shorter URL" });
    let refused = (0..5).find(|number| {
        let answer = subscribe(&mut ada, *number);
        assert!(answer["type"] == "subscribed" || answer == frame("error", no_room.clone()), "{answer}");
        answer["type"] == "error"
    });
    let refused = refused.expect("a full attachment");
    ada.send_json(&frame("unsubscribe", json!({ "conversationId": format!("0{}", "x".repeat(127)) })));
    assert_eq!(next(&mut ada)["type"], "unsubscribed");
    assert_eq!(subscribe(&mut ada, refused)["type"], "subscribed");
    assert!(!host.log().join("\n").contains("on_message"), "{:?}", host.log());
}

#[test]
fn a_message_that_cannot_be_handled_is_answered() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    let mut ada = sign_in(&hub, "ada");
    hub.refuse_storage(Some("UPDATE hub_totals"));
    ada.send_json(&frame("user_presence", json!("busy")));
    assert_eq!(next(&mut ada), presence("ada", "busy"));
    assert_eq!(next(&mut ada), frame("error", json!({ "error": "The message could not be handled, try again" })));
    assert!(ada.is_open());
}

#[test]
fn a_message_writes_the_attachment_of_its_socket_once() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    let hub = host.agent::<HubAgent>("office");
    let mut ada = hub.connect("?token=dev:ada");
    assert_eq!(hub.attachment_writes(), 2, "when it is accepted, and by the connect hook");
    ada.frames();
    for message in [
        json!({ "type": "ping" }),
        frame("user_presence", json!("busy")),
        frame("subscribe", json!({ "conversationId": "c1" })),
        json!({ "type": "nonsense" }),
    ] {
        host.advance(Duration::from_secs(1));
        let before = hub.attachment_writes();
        ada.send_json(&message);
        assert_eq!(ada.texts().len(), 1, "{message}");
        assert_eq!(hub.attachment_writes() - before, 1, "{message}");
    }
}
