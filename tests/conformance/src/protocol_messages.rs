//! Connections that get no frames of the protocol.

use std::rc::Rc;

use durable_agents::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::connections::{self, Report, UserState, asks_for, initial_count, merge_user_state, set_user_state};
use crate::state::rows;

/// Sends a connection no frames of the protocol if its URL has `protocol=false`; `readonly=true` makes it readonly.
#[derive(Debug, Default)]
pub struct TestProtocolMessagesAgent;

/// One connection, as its user sees it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolReport {
    is_protocol_enabled: bool,
    #[serde(flatten)]
    report: Report,
}

#[agent]
impl Agent for TestProtocolMessagesAgent {
    type State = Value;
    type ConnectionState = UserState;

    fn initial_state(&self) -> Option<Value> {
        Some(initial_count())
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(!asks_for(request, "protocol", "false"))
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(asks_for(request, "readonly", "true"))
    }
}

#[callable(rename_all = "camelCase")]
impl TestProtocolMessagesAgent {
    fn increment_count(&self, cx: &Context<Self>) -> Result<Value> {
        connections::increment_count(cx)
    }

    fn get_state(&self, cx: &Context<Self>) -> Result<Rc<Value>> {
        Ok(cx.state()?)
    }

    fn get_my_connection_id(&self, cx: &Context<Self>) -> Result<Option<String>> {
        Ok(connections::caller_id(cx))
    }

    fn check_readonly(&self, cx: &Context<Self>, connection_id: String) -> Result<Option<bool>> {
        Ok(connections::is_readonly(cx, &connection_id))
    }

    fn check_protocol_enabled(&self, cx: &Context<Self>, connection_id: String) -> Result<Option<bool>> {
        Ok(cx.connection(&connection_id).map(|connection| connection.is_protocol_enabled()))
    }

    fn get_connection_user_state(&self, cx: &Context<Self>, connection_id: String) -> Result<Option<ProtocolReport>> {
        cx.connection(&connection_id).map(protocol_report).transpose()
    }

    fn set_connection_user_state(
        &self,
        cx: &Context<Self>,
        connection_id: String,
        new_state: UserState,
    ) -> Result<Option<ProtocolReport>> {
        set_user_state(cx, &connection_id, new_state)?.map(protocol_report).transpose()
    }

    fn set_connection_user_state_callback(
        &self,
        cx: &Context<Self>,
        connection_id: String,
        updates: Map<String, Value>,
    ) -> Result<Option<ProtocolReport>> {
        merge_user_state(cx, &connection_id, updates)?.map(protocol_report).transpose()
    }

    fn reset_state_for_lazy_init_test(&self, cx: &Context<Self>) -> Result<()> {
        rows::delete_state(cx)
    }
}

fn protocol_report(connection: Connection<TestProtocolMessagesAgent>) -> Result<ProtocolReport> {
    Ok(ProtocolReport { is_protocol_enabled: connection.is_protocol_enabled(), report: Report::of(&connection)? })
}
