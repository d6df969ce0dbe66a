//! State, its change hook and the row it is stored in.

use std::rc::Rc;

use durable_agents::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::list::List;

mod no_initial;
pub(crate) mod rows;
mod throwing;

pub use no_initial::TestStateAgentNoInitial;
pub use throwing::TestThrowingStateAgent;

/// The state that most of these agents begin with.
fn standard() -> Value {
    json!({"count": 0, "items": [], "lastUpdated": null})
}

/// What the change hook was told.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    state: Value,
    source: String,
}

impl Change {
    fn new<A: Agent>(state: &Value, source: &Source<A>) -> Self {
        Self { state: state.clone(), source: source.id().to_owned() }
    }
}

/// Shows its state by HTTP and by calls, and how it is stored.
#[derive(Debug, Default)]
pub struct TestStateAgent {
    changes: List<Change>,
}

#[agent]
impl Agent for TestStateAgent {
    type State = Value;

    fn initial_state(&self) -> Option<Value> {
        Some(standard())
    }

    async fn on_state_changed(&self, _: &Context<Self>, state: &Value, source: &Source<Self>) -> Result<()> {
        self.changes.push(Change::new(state, source));
        Ok(())
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let answer = match request.path().rsplit('/').next() {
            Some("state") => json!({"state": cx.state()?}),
            Some("state-updates") => json!({"updates": self.changes.items()}),
            Some("echo") => {
                let method = request.method().to_string();
                json!({"method": method, "body": request.text().await?, "path": "echo"})
            }
            Some("connections") => json!({"count": cx.connections().count()}),
            _ => return Ok(Response::text("Not found").with_status(StatusCode::NOT_FOUND)),
        };
        Ok(Response::json(&answer)?)
    }
}

#[callable(rename_all = "camelCase")]
impl TestStateAgent {
    fn get_state(&self, cx: &Context<Self>) -> Result<Rc<Value>> {
        Ok(cx.state()?)
    }

    fn update_state(&self, cx: &Context<Self>, state: Value) -> Result<()> {
        Ok(cx.set_state(state)?)
    }

    fn get_state_update_calls(&self) -> Result<Vec<Change>> {
        Ok(self.changes.items())
    }

    fn clear_state_update_calls(&self) -> Result<()> {
        self.changes.clear();
        Ok(())
    }

    fn insert_corrupted_state(&self, cx: &Context<Self>) -> Result<()> {
        rows::write_state(cx, rows::CORRUPTED)
    }

    fn get_state_after_corruption(&self, cx: &Context<Self>) -> Result<Rc<Value>> {
        cx.reload_state();
        self.get_state(cx)
    }

    fn get_state_row_count(&self, cx: &Context<Self>) -> Result<usize> {
        Ok(rows::ids(cx)?.len())
    }

    fn get_state_row_ids(&self, cx: &Context<Self>) -> Result<Vec<String>> {
        rows::ids(cx)
    }

    fn insert_legacy_was_changed_row(&self, cx: &Context<Self>) -> Result<()> {
        rows::write_was_changed(cx)
    }

    fn insert_orphaned_was_changed(&self, cx: &Context<Self>) -> Result<()> {
        rows::orphan_was_changed(cx)
    }
}

/// Tells what its change hook was told.
#[derive(Debug, Default)]
pub struct TestPersistedStateAgent {
    changes: List<Change>,
}

#[agent]
impl Agent for TestPersistedStateAgent {
    type State = Value;

    fn initial_state(&self) -> Option<Value> {
        Some(standard())
    }

    async fn on_state_changed(&self, _: &Context<Self>, state: &Value, source: &Source<Self>) -> Result<()> {
        self.changes.push(Change::new(state, source));
        Ok(())
    }
}

#[callable(rename_all = "camelCase")]
impl TestPersistedStateAgent {
    fn get_state(&self, cx: &Context<Self>) -> Result<Rc<Value>> {
        Ok(cx.state()?)
    }

    fn update_state(&self, cx: &Context<Self>, state: Value) -> Result<()> {
        Ok(cx.set_state(state)?)
    }

    fn get_persisted_calls(&self) -> Result<Vec<Change>> {
        Ok(self.changes.items())
    }

    fn clear_persisted_calls(&self) -> Result<()> {
        self.changes.clear();
        Ok(())
    }
}

/// Does not tell clients who it is.
#[derive(Debug, Default)]
pub struct TestNoIdentityAgent;

#[agent]
impl Agent for TestNoIdentityAgent {
    type State = Value;

    const OPTIONS: AgentOptions = AgentOptions::new().send_identity_on_connect(false);

    fn initial_state(&self) -> Option<Value> {
        Some(standard())
    }
}
