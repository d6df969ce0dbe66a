//! An agent whose hooks about its state fail.

use durable_agents::prelude::*;
use serde_json::Value;

use super::standard;
use crate::list::List;

/// Refuses a count of -1; at -2 its change hook fails.
#[derive(Debug, Default)]
pub struct TestThrowingStateAgent {
    errors: List<String>,
}

#[agent]
impl Agent for TestThrowingStateAgent {
    type State = Value;

    fn initial_state(&self) -> Option<Value> {
        Some(standard())
    }

    fn validate_state_change(&self, _: &Context<Self>, next: &Value, _: &Source<Self>) -> Result<()> {
        if count(next) == Some(-1.0) {
            bail!("Invalid state: count cannot be -1");
        }
        Ok(())
    }

    async fn on_state_changed(&self, _: &Context<Self>, state: &Value, _: &Source<Self>) -> Result<()> {
        if count(state) == Some(-2.0) {
            bail!("onStateChanged failed: count cannot be -2");
        }
        Ok(())
    }

    async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
        self.errors.push(error.to_string());
        Ok(())
    }
}

#[callable(rename_all = "camelCase")]
impl TestThrowingStateAgent {
    fn update_state(&self, cx: &Context<Self>, state: Value) -> Result<()> {
        Ok(cx.set_state(state)?)
    }

    fn get_on_error_calls(&self) -> Result<Vec<String>> {
        Ok(self.errors.items())
    }

    fn clear_on_error_calls(&self) -> Result<()> {
        self.errors.clear();
        Ok(())
    }
}

fn count(state: &Value) -> Option<f64> {
    state.get("count")?.as_f64()
}
