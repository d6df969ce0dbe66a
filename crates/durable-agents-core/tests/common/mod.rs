//! What the test files share.

#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses a part of it")]

pub(crate) mod clerk;

use std::cell::RefCell;

use durable_agents_core::http::{HeaderValue, Request, header};
use durable_agents_core::testing::MemoryHost;
use durable_agents_core::{Agent, Message};

/// An agent in one go: types of state, connection state and props, then the hooks that matter.
macro_rules! agent {
    ($name:ident: $state:ty, $connection:ty, $props:ty; $($hooks:tt)*) => {
        #[derive(Default)]
        struct $name;
        agent!(impl $name: $state, $connection, $props; $($hooks)*);
    };
    (impl $name:ident: $state:ty, $connection:ty, $props:ty; $($hooks:tt)*) => {
        impl durable_agents_core::Agent for $name {
            type State = $state;
            type ConnectionState = $connection;
            type Props = $props;
            const CLASS: &'static str = stringify!($name);

            fn new(_: &durable_agents_core::Context<Self>) -> Self {
                Self::default()
            }

            $($hooks)*
        }
    };
}
pub(crate) use agent;

/// `cf_agent_mcp_servers` of an agent without MCP servers.
pub(crate) const MCP: &str = r#"{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}"#;

pub(crate) const REJECTED: &str = r#"{"type":"cf_agent_state_error","error":"State update rejected"}"#;

pub(crate) const READONLY: &str = r#"{"type":"cf_agent_state_error","error":"Connection is readonly"}"#;

pub(crate) const CONNECT_FAILED: &str = r#"{"error":"Internal error during connection setup"}"#;

pub(crate) fn identity(name: &str, agent: &str) -> String {
    format!(r#"{{"name":"{name}","agent":"{agent}","type":"cf_agent_identity"}}"#)
}

pub(crate) fn identity_before_state(name: &str, agent: &str) -> String {
    format!(r#"{{"name":"{name}","agent":"{agent}","type":"cf_agent_identity","stateFollows":true}}"#)
}

pub(crate) fn state(json: &str) -> String {
    format!(r#"{{"state":{json},"type":"cf_agent_state"}}"#)
}

/// The request of a handshake.
pub(crate) fn upgrade(url: &str) -> Request {
    Request::get(url).with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
}

pub(crate) fn text(message: &Message) -> String {
    message.as_text().unwrap_or("(binary)").to_owned()
}

thread_local! {
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes something that happened inside an agent. Each test runs on a thread of its own, and so do its agents.
pub(crate) fn note(what: impl Into<String>) {
    NOTES.with_borrow_mut(|notes| notes.push(what.into()));
}

/// What was noted since the last look.
pub(crate) fn notes() -> Vec<String> {
    NOTES.take()
}

/// Runs a scenario with each way in which the platform treats a client's close frame.
pub(crate) fn with_and_without_auto_reply(scenario: impl Fn(&MemoryHost)) {
    for reply in [true, false] {
        let host = MemoryHost::new();
        host.auto_reply_to_close(reply);
        notes();
        scenario(&host);
    }
}
