//! Connections that may not change the state.

use std::rc::Rc;

use durable_agents::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::connections::{self, Report, UserState, asks_for, initial_count, merge_user_state, set_user_state};
use crate::list::List;

/// Makes a connection readonly if its URL has `readonly=true`.
#[derive(Debug, Default)]
pub struct TestReadonlyAgent {
    attempts: List<Attempt>,
}

/// A change of the state: all of them were allowed, as the hook hears of no others.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<Value>,
    allowed: bool,
}

/// Outcome of `setReadonly`.
#[derive(Debug, Serialize)]
pub struct Switched {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    readonly: Option<bool>,
}

#[agent]
impl Agent for TestReadonlyAgent {
    type State = Value;
    type ConnectionState = UserState;

    fn initial_state(&self) -> Option<Value> {
        Some(initial_count())
    }

    async fn should_connection_be_readonly(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(asks_for(request, "readonly", "true"))
    }

    async fn on_state_changed(&self, _: &Context<Self>, state: &Value, source: &Source<Self>) -> Result<()> {
        let count = state.get("count").cloned();
        self.attempts.push(Attempt { source: source.id().to_owned(), count, allowed: true });
        Ok(())
    }
}

#[callable(rename_all = "camelCase")]
impl TestReadonlyAgent {
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

    fn set_readonly(&self, cx: &Context<Self>, connection_id: String, readonly: bool) -> Result<Switched> {
        let Some(connection) = cx.connection(&connection_id) else {
            return Ok(Switched { success: false, readonly: None });
        };
        connection.set_readonly(readonly)?;
        Ok(Switched { success: true, readonly: Some(readonly) })
    }

    fn get_state_update_attempts(&self) -> Result<Vec<Attempt>> {
        Ok(self.attempts.items())
    }

    fn get_connection_user_state(&self, cx: &Context<Self>, connection_id: String) -> Result<Option<Report>> {
        cx.connection(&connection_id).as_ref().map(Report::of).transpose()
    }

    fn set_connection_user_state(
        &self,
        cx: &Context<Self>,
        connection_id: String,
        new_state: UserState,
    ) -> Result<Option<Report>> {
        set_user_state(cx, &connection_id, new_state)?.as_ref().map(Report::of).transpose()
    }

    fn set_connection_user_state_callback(
        &self,
        cx: &Context<Self>,
        connection_id: String,
        updates: Map<String, Value>,
    ) -> Result<Option<Report>> {
        merge_user_state(cx, &connection_id, updates)?.as_ref().map(Report::of).transpose()
    }
}
