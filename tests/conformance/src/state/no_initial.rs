//! An agent that has no state until one is set.

use durable_agents::prelude::*;
use durable_agents::rpc;
use serde_json::Value;

use super::rows;

/// Has no state until one is set, and shows how it is stored.
#[derive(Debug, Default)]
pub struct TestStateAgentNoInitial;

#[agent]
impl Agent for TestStateAgentNoInitial {
    type State = Value;
}

#[callable(rename_all = "camelCase")]
impl TestStateAgentNoInitial {
    /// The state; no result while there is none, where an `Option` would answer `null`.
    fn get_state(&self, cx: &Context<Self>) -> Result<rpc::Answer> {
        match cx.try_state()? {
            Some(state) => rpc::answer(&*state),
            None => Ok(None),
        }
    }

    fn update_state(&self, cx: &Context<Self>, state: Value) -> Result<()> {
        Ok(cx.set_state(state)?)
    }

    fn get_state_row_count(&self, cx: &Context<Self>) -> Result<usize> {
        Ok(rows::ids(cx)?.len())
    }

    fn get_state_row_ids(&self, cx: &Context<Self>) -> Result<Vec<String>> {
        rows::ids(cx)
    }

    fn insert_corrupted_state(&self, cx: &Context<Self>) -> Result<()> {
        rows::write_state(cx, rows::CORRUPTED)
    }

    fn get_state_after_corruption(&self, cx: &Context<Self>) -> Result<rpc::Answer> {
        cx.reload_state();
        self.get_state(cx)
    }

    fn insert_orphaned_was_changed(&self, cx: &Context<Self>) -> Result<()> {
        rows::orphan_was_changed(cx)
    }

    fn insert_falsy_state(&self, cx: &Context<Self>, json: String) -> Result<()> {
        rows::write_state(cx, &json)?;
        cx.reload_state();
        Ok(())
    }

    fn insert_state_row_without_was_changed(&self, cx: &Context<Self>, json: String) -> Result<()> {
        rows::delete_was_changed(cx)?;
        self.insert_falsy_state(cx, json)
    }
}
