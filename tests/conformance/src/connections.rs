//! What the agents about flags and states of connections have in common.

use std::rc::Rc;

use durable_agents::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::number;

/// State of a connection: what its user set, whatever that is.
pub(crate) type UserState = Value;

/// What these agents' states begin with.
pub(crate) fn initial_count() -> Value {
    json!({"count": 0})
}

/// Adds one to the count, and returns it.
pub(crate) fn increment_count<A: Agent<State = Value>>(cx: &Context<A>) -> Result<Value> {
    let count = cx.state()?.get("count").and_then(Value::as_f64).unwrap_or_default() + 1.0;
    let count = json!(number::json(count));
    cx.set_state(json!({"count": count}))?;
    Ok(count)
}

/// Whether the upgrade request says `name=value`.
pub(crate) fn asks_for(request: &Request, name: &str, value: &str) -> bool {
    request.url().query_param(name).as_deref() == Some(value)
}

pub(crate) fn caller_id<A: Agent>(cx: &Context<A>) -> Option<String> {
    Some(cx.caller()?.id().to_owned())
}

pub(crate) fn is_readonly<A: Agent>(cx: &Context<A>, id: &str) -> Option<bool> {
    Some(cx.connection(id)?.is_readonly())
}

/// One connection, as its user sees it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    state: Option<Rc<UserState>>,
    is_readonly: bool,
}

impl Report {
    pub(crate) fn of<A: Agent<ConnectionState = UserState>>(connection: &Connection<A>) -> Result<Self> {
        Ok(Self { state: connection.state()?, is_readonly: connection.is_readonly() })
    }
}

/// Replaces the state of that connection, and returns the connection; `None` if there is none.
pub(crate) fn set_user_state<A: Agent<ConnectionState = UserState>>(
    cx: &Context<A>,
    id: &str,
    state: UserState,
) -> Result<Option<Connection<A>>> {
    let Some(connection) = cx.connection(id) else { return Ok(None) };
    connection.set_state(state)?;
    Ok(Some(connection))
}

/// Puts `updates` over the keys of that connection's state, and returns the connection; `None` if there is none.
pub(crate) fn merge_user_state<A: Agent<ConnectionState = UserState>>(
    cx: &Context<A>,
    id: &str,
    updates: Map<String, Value>,
) -> Result<Option<Connection<A>>> {
    let Some(connection) = cx.connection(id) else { return Ok(None) };
    connection.update_state(|previous| {
        let mut merged = match previous {
            Some(Value::Object(previous)) => previous,
            _ => Map::new(),
        };
        merged.extend(updates);
        Value::Object(merged)
    })?;
    Ok(Some(connection))
}
